//! The journal: appending to it, starting a new one, and reading what is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::fault::{Step, Steps};
use super::note::Note;
use super::{JOURNAL_FILE, OLDER_JOURNAL_FILE, StoreError};
use crate::domain::state::{Change, State};
use crate::domain::state_format::{Line, LineError, Shared, decode_line, encode_line};
use crate::local::{atomic_file, own_file};

/// What a journal file held when it was read.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// Its good lines, in the order of the file.
    pub(super) lines: Vec<Line>,
    /// Up to where it consists of whole lines, in bytes.
    pub(super) whole_bytes: u64,
}

impl Generation {
    /// Reads a journal. What can't be used is told in `notes` and left out. Serials only ever go up, so where its
    /// last line is no newer than the snapshot `base`, none is, and the others are not taken apart.
    pub(super) fn read(
        path: &Path,
        base: Option<&State>,
        shared: &mut Shared,
        notes: &mut Vec<Note>,
    ) -> Result<Self, StoreError> {
        if let Some(base) = base
            && let Some((line, whole_bytes)) = last_line(path, shared)
            && line.lineage == base.lineage
            && line.change.serial <= base.serial
        {
            return Ok(Self { lines: vec![line], whole_bytes });
        }
        let content = match own_file::read(path, u64::MAX) {
            Ok(content) => content.unwrap_or_default(),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                notes.push(Note::UnreadableJournal { file: path.to_owned(), reason: error.to_string() });
                return Ok(Self::default());
            }
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let mut generation = Self { lines: Vec::new(), whole_bytes: whole as u64 };
        for (index, line) in content[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            match decode_line(&line[..line.len() - 1], shared) {
                Ok(line) => generation.lines.push(line),
                Err(error) => notes.push(damaged_line(path, index + 1, &error)),
            }
        }
        if whole < content.len() {
            let bytes = (content.len() - whole) as u64;
            notes.push(Note::TornTail { file: path.to_owned(), bytes });
        }
        Ok(generation)
    }

    /// The highest serial of a history in it.
    pub(super) fn newest(&self, lineage: &str) -> u64 {
        let ours = self.lines.iter().filter(|line| *line.lineage == *lineage);
        ours.map(|line| line.change.serial).max().unwrap_or(0)
    }
}

/// The last line of a journal that ends with a good one, and the journal's length; `None` wherever that can't be told
/// without reading more.
fn last_line(path: &Path, shared: &mut Shared) -> Option<(Line, u64)> {
    let (tail, bytes) = own_file::read_tail(path, TAIL_BYTES).ok().flatten()?;
    let text = tail.strip_suffix(b"\n")?;
    let begin = match text.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => newline + 1,
        None if tail.len() as u64 == bytes => 0,
        None => return None,
    };
    Some((decode_line(&text[begin..], shared).ok()?, bytes))
}

/// Far more than a line has, unless its entry has many older URLs.
const TAIL_BYTES: u64 = 16 * 1024;

fn damaged_line(path: &Path, line: usize, error: &LineError) -> Note {
    Note::DamagedLine { file: path.to_owned(), line, reason: error.to_string() }
}

/// The journal that changes are appended to.
pub(super) struct Journal {
    folder: PathBuf,
    /// The file, once there is one.
    file: Option<File>,
    /// Its length up to the last line that counts, in bytes.
    good_bytes: u64,
    /// The highest serial in it.
    newest: u64,
    /// The highest serial in the older journal.
    older_newest: u64,
    /// Why nothing more may be appended to this one.
    unusable: Option<&'static str>,
}

impl Journal {
    /// A journal in a folder that has none.
    pub(super) fn new(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder, file: None, good_bytes: 0, newest: 0, older_newest: 0, unusable: None }
    }

    /// Goes on with a journal that was read: cuts off its torn tail.
    pub(super) fn resume(folder: &Path, whole_bytes: u64, newest: u64, older_newest: u64) -> Self {
        let mut journal = Self { newest, older_newest, ..Self::new(folder) };
        match own_file::open(&journal.path(), OpenOptions::new().append(true)) {
            Ok(file) => {
                // Where nothing is torn nothing is touched.
                let whole = file.metadata().is_ok_and(|about| about.len() == whole_bytes);
                if !whole && file.set_len(whole_bytes).is_err() {
                    journal.unusable = Some("its torn tail could not be cut off");
                }
                journal.file = Some(file);
                journal.good_bytes = whole_bytes;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => journal.unusable = Some("the journal could not be opened for writing"),
        }
        journal
    }

    /// Appends changes and makes them durable: all of them or none.
    pub(super) fn append(
        &mut self,
        lineage: &str,
        changes: &[Change],
        steps: &mut Steps,
    ) -> Result<(), StoreError> {
        let mut text = Vec::new();
        for change in changes {
            encode_line(&mut text, lineage, change);
        }
        if let Some(reason) = self.unusable {
            return Err(StoreError::NeedsPublish { reason });
        }
        if let Err(error) = self.write(&text, steps) {
            self.cut_back(steps);
            return Err(StoreError::io("append to", self.path())(error));
        }
        if let Err(error) = self.sync(steps) {
            self.unusable = Some("an earlier change could not be made durable in the journal");
            self.cut_back(steps);
            return Err(StoreError::io("make durable", self.path())(error));
        }
        if !self.holds(self.good_bytes + text.len() as u64) {
            let reason = "somebody removed or changed the journal";
            self.unusable = Some(reason);
            return Err(StoreError::NeedsPublish { reason });
        }
        self.good_bytes += text.len() as u64;
        self.newest = changes.iter().map(|change| change.serial).fold(self.newest, u64::max);
        Ok(())
    }

    fn write(&mut self, text: &[u8], steps: &mut Steps) -> io::Result<()> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            let file = own_file::open(&self.path(), options.append(true).create(true).mode(0o644))?;
            // Whatever a failed attempt or a stranger left there is none of our lines.
            file.set_len(0)?;
            steps.before(Step::SyncNewJournalsName)?;
            atomic_file::sync_folder(&self.folder)?;
            self.file = Some(file);
            self.good_bytes = 0;
        }
        steps.before(Step::AppendToJournal)?;
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(text))
    }

    fn sync(&self, steps: &mut Steps) -> io::Result<()> {
        steps.before(Step::SyncJournal)?;
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// Takes back what was appended in vain, so that no later start reads half of it.
    fn cut_back(&mut self, steps: &mut Steps) {
        let Some(file) = &self.file else { return };
        if steps.before(Step::CutJournalBack).and_then(|()| file.set_len(self.good_bytes)).is_err() {
            self.unusable = Some("what a failed attempt left in the journal could not be cut off");
        }
    }

    /// Whether the journal's name still leads to our file, of this length: what was written elsewhere is lost.
    fn holds(&self, bytes: u64) -> bool {
        self.file.as_ref().is_some_and(|file| {
            own_file::is_in_place(file, &self.path()) && file.metadata().is_ok_and(|now| now.len() == bytes)
        })
    }

    /// Starts a new journal after a publication. The older one is dropped for it, so this waits while that holds
    /// anything newer than the previous snapshot, whose serial `previous` is.
    pub(super) fn rotate(&mut self, previous: Option<u64>, steps: &mut Steps) -> io::Result<()> {
        if self.good_bytes == 0 && self.unusable.is_none() {
            return Ok(());
        }
        if self.older_newest > previous.unwrap_or(0) {
            return Ok(());
        }
        steps.before(Step::RotateJournal)?;
        match rename(&self.path(), &self.folder.join(OLDER_JOURNAL_FILE)) {
            Ok(()) => self.older_newest = self.newest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        *self = Self { older_newest: self.older_newest, ..Self::new(&self.folder) };
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.join(JOURNAL_FILE)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "one of our own names for another; the module says what a crash leaves"
)]
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}
