//! The media folder: files that people edit, and looks at it. What a look finds is what the real scanner would: files
//! that are busy are not read, and of a folder that is not there nothing is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use mediakeep::domain::asset::{ContentHash, RelPath};
use mediakeep::domain::observation::{
    Coverage, Observation, RootHealth, RootIdentity, ScanReport, ScanRequest,
};
use mediakeep::domain::time::Timestamp;

use super::control::Control;
use super::script::FolderTrouble;

pub(crate) type Bytes = Arc<[u8]>;

/// One file of the folder.
#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) path: RelPath,
    /// What is in it; `None` while there is no such file.
    pub(crate) bytes: Option<Bytes>,
    hash: ContentHash,
    /// From when on it is quiet.
    quiet_at_ms: i64,
    /// When it was last known not to be there.
    absent_at_ms: Option<i64>,
    edition: u32,
}

#[derive(Debug)]
pub(crate) struct Folder {
    files: Vec<Media>,
    by_path: BTreeMap<RelPath, usize>,
    /// Present troubles, by their scenes.
    troubles: BTreeMap<usize, FolderTrouble>,
    control: Control,
}

/// Content that providers refuse begins like this.
const SPOILT: &[u8] = b"spoilt";
pub(crate) const SETTLE_MS: i64 = 2_000;
const SETTLE_RENAMED_MS: i64 = 200;

pub(crate) fn is_spoilt(bytes: &[u8]) -> bool {
    bytes.starts_with(SPOILT)
}

impl Folder {
    pub(crate) fn new(paths: impl Iterator<Item = RelPath>, control: Control) -> Self {
        let mut folder =
            Self { files: Vec::new(), by_path: BTreeMap::new(), troubles: BTreeMap::new(), control };
        for (number, path) in paths.enumerate() {
            folder.by_path.insert(path.clone(), number);
            let bytes = edition_of(number, 0);
            let hash = ContentHash::of(&bytes);
            let quiet_at_ms = i64::MIN;
            let bytes = Some(bytes);
            folder.files.push(Media { path, bytes, hash, quiet_at_ms, absent_at_ms: None, edition: 0 });
        }
        folder
    }

    pub(crate) fn begin(&mut self, scene: usize, trouble: FolderTrouble) {
        self.troubles.insert(scene, trouble);
    }

    pub(crate) fn end(&mut self, scene: usize) {
        self.troubles.remove(&scene);
    }

    pub(crate) fn path(&self, number: usize) -> RelPath {
        self.files[number].path.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn hangs(&self) -> bool {
        self.troubles.values().any(|trouble| *trouble == FolderTrouble::Hangs)
    }

    /// What of the folder's troubles shows first.
    fn trouble(&self) -> Option<FolderTrouble> {
        self.troubles.values().next().copied()
    }

    /// Puts other content into a file.
    pub(crate) fn write(&mut self, number: usize, now_ms: i64, renamed: bool) {
        let file = &mut self.files[number];
        file.edition += 1;
        let bytes = edition_of(number, file.edition);
        self.put(number, bytes, now_ms, renamed);
    }

    /// Puts content into a file that providers refuse.
    pub(crate) fn spoil(&mut self, number: usize, now_ms: i64) {
        let bytes = [SPOILT, &edition_of(number, self.files[number].edition)[..]].concat();
        self.put(number, bytes.into(), now_ms, false);
    }

    /// Puts back what was in a file at the very beginning.
    pub(crate) fn revert(&mut self, number: usize, now_ms: i64) {
        self.put(number, edition_of(number, 0), now_ms, true);
    }

    /// Puts back a file that was removed.
    pub(crate) fn restore(&mut self, number: usize, now_ms: i64) {
        if self.files[number].bytes.is_none() {
            let bytes = edition_of(number, self.files[number].edition);
            self.put(number, bytes, now_ms, true);
        }
    }

    fn put(&mut self, number: usize, bytes: Bytes, now_ms: i64, renamed: bool) {
        let file = &mut self.files[number];
        if file.bytes.is_none() {
            file.absent_at_ms = Some(now_ms);
        }
        file.hash = ContentHash::of(&bytes);
        file.bytes = Some(bytes);
        file.quiet_at_ms = now_ms + if renamed { SETTLE_RENAMED_MS } else { SETTLE_MS };
    }

    pub(crate) fn remove(&mut self, number: usize) {
        self.files[number].bytes = None;
    }

    /// Whether somebody had removed a file at some time after this moment.
    pub(crate) fn was_absent_since(&self, path: &RelPath, since_ms: i64) -> bool {
        self.by_path.get(path).map(|number| &self.files[*number]).is_none_or(|file| {
            file.bytes.is_none() || file.absent_at_ms.is_some_and(|absent| absent >= since_ms)
        })
    }

    /// What is in a file, troubles of the folder aside.
    pub(crate) fn content(&self, path: &RelPath) -> Option<(&Bytes, ContentHash)> {
        let file = &self.files[*self.by_path.get(path)?];
        Some((file.bytes.as_ref()?, file.hash))
    }

    /// What a reader of the file gets.
    pub(crate) fn read(&self, path: &RelPath) -> Option<&Bytes> {
        let number = *self.by_path.get(path)?;
        let can_be_read = match self.trouble() {
            None => true,
            Some(FolderTrouble::IsAnother) => !is_missing_in_another(number),
            Some(_) => false,
        };
        self.files[number].bytes.as_ref().filter(|_| can_be_read)
    }

    /// A look at the folder as it is now.
    pub(crate) fn look(&self, request: &ScanRequest, now_ms: i64, steady: Timestamp) -> ScanReport {
        let coverage = match request {
            ScanRequest::Everything => Coverage::Everything,
            ScanRequest::Paths(paths) => {
                Coverage::Paths(paths.iter().map(|(path, _)| path.clone()).collect())
            }
        };
        let trouble = self.trouble();
        let device = if trouble == Some(FolderTrouble::IsAnother) { 9 } else { 1 };
        let identity = RootIdentity { device, inode: 2 };
        let blind = self.control == Control::TakeUnreadableForMissing;
        let root = match trouble {
            Some(FolderTrouble::Vanishes) => RootHealth::Missing,
            Some(FolderTrouble::IsUnreadable) if !blind => {
                RootHealth::Unreadable { reason: "input/output error".to_owned() }
            }
            Some(FolderTrouble::IsEmpty) => RootHealth::Sound { identity, empty: true },
            _ => RootHealth::Sound { identity, empty: false },
        };
        let hides = |number: usize| match trouble {
            Some(FolderTrouble::IsAnother) => is_missing_in_another(number),
            Some(FolderTrouble::IsUnreadable) => !blind || is_missing_in_another(number),
            Some(FolderTrouble::Vanishes | FolderTrouble::IsEmpty) => true,
            _ => false,
        };
        let shown = |number: &usize| !hides(*number);
        let numbers: Vec<usize> = match &coverage {
            Coverage::Everything => (0..self.files.len()).filter(shown).collect(),
            Coverage::Paths(paths) => {
                paths.iter().filter_map(|path| self.by_path.get(path)).copied().filter(shown).collect()
            }
        };
        let files = numbers.into_iter().filter_map(|number| self.observe(number, now_ms, steady)).collect();
        ScanReport { coverage, root, files, unreadable_folders: Vec::new() }
    }

    fn observe(&self, number: usize, now_ms: i64, steady: Timestamp) -> Option<(RelPath, Observation)> {
        let file = &self.files[number];
        let bytes = file.bytes.as_ref()?;
        let observation = if file.quiet_at_ms > now_ms {
            let wait = u64::try_from(file.quiet_at_ms - now_ms).unwrap_or(0);
            Observation::Settling { look_again_at: steady + std::time::Duration::from_millis(wait) }
        } else {
            Observation::Present { hash: file.hash, size: bytes.len() as u64 }
        };
        Some((file.path.clone(), observation))
    }
}

fn is_missing_in_another(number: usize) -> bool {
    number % 5 == 3
}

fn edition_of(number: usize, edition: u32) -> Bytes {
    format!("file {number}, edition {edition}").into_bytes().into()
}
