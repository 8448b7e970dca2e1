//! Copies of published bytes, by their hash, so that a lost folder does not kill URLs.
//!
//! Nothing here is synced to the disk: the name is the hash, so that a copy which a power cut tore shows when it is
//! read, and counts as none. Never the only place of anything that can't be had again from the folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use super::atomic_file::{self, Durability, TEMPORARY_PREFIX};
use super::own_file;
use crate::domain::asset::ContentHash;

/// The kept copies of one state folder, as `kept/ab/<64 hexadecimal digits>`.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    /// Held shared by whoever writes a copy, and exclusively by whoever removes half-written ones.
    writing: RwLock<()>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many copies.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// What was removed.
    pub removed: Usage,
    /// What is left.
    pub left: Usage,
}

impl Kept {
    /// The copies in a state folder. Nothing is touched, or made, until one is put there.
    #[must_use]
    pub fn new(state_folder: &Path) -> Self {
        Self { folder: state_folder.join("kept"), writing: RwLock::new(()) }
    }

    /// Keeps these bytes under their hash. Does nothing where a copy of that length is there already.
    ///
    /// # Errors
    /// What the system said. The state folder itself is not made here.
    pub fn put(&self, hash: &ContentHash, content: &[u8]) -> io::Result<()> {
        let path = self.path_of(hash);
        if path.symlink_metadata().is_ok_and(|known| known.is_file() && known.len() == content.len() as u64) {
            return Ok(());
        }
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        let write = || atomic_file::replace(&path, content, 0o600, Durability::Volatile);
        match write() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let shard = path.parent().unwrap_or(&self.folder);
                make_folder(&self.folder)?;
                make_folder(shard)?;
                write()
            }
            result => result,
        }
    }

    /// The bytes with this hash, if a sound copy is there. A copy that is not sound is removed.
    #[must_use]
    pub fn get(&self, hash: &ContentHash) -> Option<Bytes> {
        let path = self.path_of(hash);
        let content = own_file::read(&path, u64::MAX).ok()??;
        if ContentHash::of(&content) == *hash {
            return Some(content.into());
        }
        // If that fails the next one finds it, and `put` replaces it.
        let _ = std::fs::remove_file(path);
        None
    }

    /// Whether there is a copy, without reading it: it may prove torn.
    #[must_use]
    pub fn has(&self, hash: &ContentHash) -> bool {
        self.path_of(hash).symlink_metadata().is_ok_and(|known| known.is_file() && known.len() > 0)
    }

    /// Removes every copy that is not needed, and what a crash left half written. `needed` must know of uploads
    /// that are still going on: their copies may be there before any record is.
    ///
    /// # Errors
    /// What the system said of the first thing that failed; everything else was done all the same.
    pub fn sweep(&self, needed: impl Fn(&ContentHash) -> bool) -> io::Result<Swept> {
        let mut swept = Swept::default();
        let mut result = Ok(());
        for shard in self.shards()? {
            // Temporary files that are seen now are nobody's: whoever writes one waits.
            let _alone = self.writing.write().unwrap_or_else(PoisonError::into_inner);
            let shard_result = sweep_shard(&shard, &needed, &mut swept);
            result = result.and(shard_result);
        }
        result.map(|()| swept)
    }

    /// How much is kept.
    ///
    /// # Errors
    /// What the system said.
    pub fn usage(&self) -> io::Result<Usage> {
        let mut usage = Usage::default();
        for shard in self.shards()? {
            for entry in std::fs::read_dir(shard)? {
                let entry = entry?;
                if hash_of(&entry).is_some() {
                    usage.add(&entry)?;
                }
            }
        }
        Ok(usage)
    }

    fn shards(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut shards = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                shards.push(entry.path());
            }
        }
        Ok(shards)
    }

    fn path_of(&self, hash: &ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

impl Usage {
    fn add(&mut self, entry: &std::fs::DirEntry) -> io::Result<()> {
        match entry.metadata() {
            Ok(metadata) => {
                self.files += 1;
                self.bytes += metadata.len();
                Ok(())
            }
            // Removed while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn sweep_shard(shard: &Path, needed: &impl Fn(&ContentHash) -> bool, swept: &mut Swept) -> io::Result<()> {
    let mut result = Ok(());
    for entry in std::fs::read_dir(shard)? {
        let entry = entry?;
        let done = match hash_of(&entry) {
            Some(hash) if needed(&hash) => swept.left.add(&entry),
            Some(_) => swept.removed.add(&entry).and_then(|()| std::fs::remove_file(entry.path())),
            None if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) => {
                std::fs::remove_file(entry.path())
            }
            // Whatever this is, we did not put it there.
            None => Ok(()),
        };
        result = result.and(done);
    }
    result
}

fn hash_of(entry: &std::fs::DirEntry) -> Option<ContentHash> {
    entry.file_name().to_str()?.parse().ok()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn kept() -> (tempfile::TempDir, Kept) {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        (folder, kept)
    }

    fn put(kept: &Kept, content: &[u8]) -> ContentHash {
        let hash = ContentHash::of(content);
        kept.put(&hash, content).unwrap();
        hash
    }

    #[expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]
    fn overwrite(path: &Path, content: &[u8]) {
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn what_was_put_comes_back() {
        let (folder, kept) = kept();
        let hash = ContentHash::of(b"picture");
        assert!(!kept.has(&hash));
        assert_eq!(kept.get(&hash), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "looking makes nothing");
        put(&kept, b"picture");
        assert!(kept.has(&hash));
        assert_eq!(kept.get(&hash).unwrap(), b"picture"[..]);
        let name = hash.to_string();
        assert!(folder.path().join("kept").join(&name[..2]).join(&name).is_file());
    }

    #[test]
    fn a_copy_that_is_there_is_not_written_again() {
        let (_folder, kept) = kept();
        let hash = put(&kept, b"picture");
        let identity = own_file::Identity::at(&kept.path_of(&hash)).unwrap();
        put(&kept, b"picture");
        assert_eq!(own_file::Identity::at(&kept.path_of(&hash)).unwrap(), identity);
    }

    #[test]
    fn a_torn_copy_counts_as_none_and_can_be_made_again() {
        for torn in [&b""[..], b"pict", b"picturf", b"picture and more"] {
            let (_folder, kept) = kept();
            let hash = put(&kept, b"picture");
            overwrite(&kept.path_of(&hash), torn);
            assert_eq!(kept.get(&hash), None);
            assert!(!kept.path_of(&hash).exists());
            put(&kept, b"picture");
            assert_eq!(kept.get(&hash).unwrap(), b"picture"[..]);

            // One of another length is replaced even before anybody read it.
            overwrite(&kept.path_of(&hash), &torn[..torn.len() / 2]);
            put(&kept, b"picture");
            assert_eq!(kept.get(&hash).unwrap(), b"picture"[..]);
        }
    }

    #[test]
    fn a_link_is_no_copy() {
        let (folder, kept) = kept();
        let hash = put(&kept, b"picture");
        let target = folder.path().join("target");
        std::fs::copy(kept.path_of(&hash), &target).unwrap();
        std::fs::remove_file(kept.path_of(&hash)).unwrap();
        std::os::unix::fs::symlink(&target, kept.path_of(&hash)).unwrap();
        assert!(!kept.has(&hash));
        assert_eq!(kept.get(&hash), None);
        put(&kept, b"picture");
        assert_eq!(kept.get(&hash).unwrap(), b"picture"[..]);
    }

    #[test]
    fn a_sweep_leaves_what_is_needed_and_nothing_else_of_ours() {
        let (_folder, kept) = kept();
        let needed: BTreeSet<_> = [b"one", b"two"].map(|content| put(&kept, content)).into();
        let spare = put(&kept, b"four!");
        let shard = kept.path_of(&spare).parent().unwrap().to_owned();
        let (half, stranger) = (shard.join(".mediakeep-tmp-x"), shard.join("notes.txt"));
        overwrite(&half, b"fo");
        overwrite(&stranger, b"somebody's");
        assert_eq!(kept.usage().unwrap(), Usage { files: 3, bytes: 11 });

        let swept = kept.sweep(|hash| needed.contains(hash)).unwrap();
        let (removed, left) = (Usage { files: 1, bytes: 5 }, Usage { files: 2, bytes: 6 });
        assert_eq!(swept, Swept { removed, left });
        assert_eq!(kept.usage().unwrap(), left);
        assert!(!kept.has(&spare) && !half.exists() && stranger.exists());
        assert_eq!(kept.get(&ContentHash::of(b"one")).unwrap(), b"one"[..]);
    }

    #[test]
    fn a_sweep_of_nothing_is_no_error() {
        let (_folder, kept) = kept();
        assert_eq!(kept.sweep(|_| true).unwrap(), Swept::default());
        assert_eq!(kept.usage().unwrap(), Usage::default());
    }

    #[test]
    fn copies_are_put_and_swept_at_the_same_time() {
        let (_folder, kept) = kept();
        std::thread::scope(|scope| {
            for writer in 0..3_u32 {
                let kept = &kept;
                scope.spawn(move || {
                    for number in 0..200_u32 {
                        put(kept, format!("{writer} {}", number % 50).as_bytes());
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..20 {
                    kept.sweep(|_| true).unwrap();
                }
            });
        });
        assert_eq!(kept.sweep(|_| true).unwrap().left.files, 150);
    }

    #[test]
    fn a_state_folder_that_is_gone_is_not_made_for_a_copy() {
        let (folder, kept) = kept();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(kept.put(&ContentHash::of(b"x"), b"x").is_err());
        assert!(!path.exists());
    }
}
