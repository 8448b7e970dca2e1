//! Whether git is about to replace files in root.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::time::{Now, Timestamp};

/// What the lock of the repository that holds root says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GitState {
    /// There is no lock, or no repository.
    Free,
    /// git works on the files: what is new there may be half of a checkout.
    Busy,
    /// A lock that no living git can still hold: left behind by a crash.
    Abandoned(PathBuf),
}

/// Watches the lock, and remembers since when it has been there.
#[derive(Debug, Default)]
pub(super) struct GitLock {
    first_seen: Option<(Identity, Timestamp)>,
}

type Identity = (u64, u64, i64, i64);

/// How long a lock is believed.
const BELIEVED: Duration = Duration::from_secs(600);

impl GitLock {
    /// Looks at the lock now.
    pub(super) fn look(&mut self, root: &Path, now: Now) -> GitState {
        let lock = git_folder(root).map(|folder| folder.join("index.lock"));
        let Some((lock, found)) =
            lock.and_then(|lock| Some((lock.clone(), fs::symlink_metadata(lock).ok()?)))
        else {
            self.first_seen = None;
            return GitState::Free;
        };
        let identity = (found.dev(), found.ino(), found.mtime(), found.mtime_nsec());
        let since = match self.first_seen {
            Some((known, since)) if known == identity => since,
            _ => now.steady,
        };
        self.first_seen = Some((identity, since));
        let written = Timestamp::from_unix_ms(found.mtime().saturating_mul(1000));
        let age = now.wall.saturating_since(written).max(now.steady.saturating_since(since));
        if age < BELIEVED { GitState::Busy } else { GitState::Abandoned(lock) }
    }
}

/// The folder with the index of the repository that holds `root`.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    root.ancestors().find_map(|folder| {
        let entry = folder.join(".git");
        let found = fs::metadata(&entry).ok()?;
        if found.is_dir() { Some(entry) } else { linked_folder(folder, &entry, found.is_file()) }
    })
}

/// A worktree and a submodule have a file there that says where their folder is.
fn linked_folder(holder: &Path, entry: &Path, is_file: bool) -> Option<PathBuf> {
    if !is_file {
        return None;
    }
    let mut text = String::new();
    File::open(entry).ok()?.take(8192).read_to_string(&mut text).ok()?;
    Some(holder.join(text.strip_prefix("gitdir:")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut File::create(path).unwrap(), text.as_bytes()).unwrap();
    }

    fn at(seconds: i64) -> Now {
        Now::at(Timestamp::from_unix_ms(seconds * 1000))
    }

    fn lock_of(age_base: i64, lock: &Path) {
        write(lock, "");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(age_base).unwrap());
        File::options().write(true).open(lock).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn a_lock_counts_for_ten_minutes_and_then_is_abandoned() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("repository/media/here");
        fs::create_dir_all(&root).unwrap();
        let lock = place.path().join("repository/.git/index.lock");
        let mut watch = GitLock::default();
        fs::create_dir_all(lock.parent().unwrap()).unwrap();
        assert_eq!(watch.look(&root, at(1_000)), GitState::Free);
        lock_of(1_000, &lock);
        assert_eq!(watch.look(&root, at(1_599)), GitState::Busy);
        let real = lock.canonicalize().unwrap();
        assert_eq!(watch.look(&root, at(1_600)), GitState::Abandoned(real));
        fs::remove_file(&lock).unwrap();
        assert_eq!(watch.look(&root, at(1_601)), GitState::Free);
    }

    #[test]
    fn a_lock_from_the_future_is_not_believed_forever() {
        let place = tempfile::tempdir().unwrap();
        let lock = place.path().join(".git/index.lock");
        lock_of(1_000_000, &lock);
        let mut watch = GitLock::default();
        assert_eq!(watch.look(place.path(), at(1_000)), GitState::Busy);
        assert_eq!(watch.look(place.path(), at(1_599)), GitState::Busy);
        assert!(matches!(watch.look(place.path(), at(1_600)), GitState::Abandoned(_)));
    }

    #[test]
    fn the_lock_of_a_worktree_is_where_its_git_file_says() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("tree");
        write(&root.join(".git"), "gitdir: ../main/.git/worktrees/tree\n");
        let lock = place.path().join("main/.git/worktrees/tree/index.lock");
        let mut watch = GitLock::default();
        assert_eq!(watch.look(&root, at(10)), GitState::Free);
        lock_of(10, &lock);
        assert_eq!(watch.look(&root, at(20)), GitState::Busy);
    }
}
