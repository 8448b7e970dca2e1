//! The lock of a state folder: held by one process, freed by the system whatever ends that process.
//!
//! Its file is never replaced and never deleted, since a lock on a file that has no name any more keeps nobody out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::local::own_file;

/// A lock that is held.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

/// Why a lock is not ours.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another process holds it, whose id this is, if it says.
    Held(Option<u32>),
    /// What the system said.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Lock {
    /// Takes the lock of a folder, or says who holds it.
    pub(super) fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("lock");
        for _ in 0..ATTEMPTS {
            let file = own_file::open(
                &path,
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644),
            )?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&path))),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            let lock = Self { file, path: path.clone() };
            // Somebody may have removed the file between opening and locking it.
            if lock.is_in_place() {
                lock.write_pid();
                return Ok(lock);
            }
        }
        Err(io::Error::other("the lock file keeps vanishing").into())
    }

    /// Whether the folder's lock file is still the one that we hold.
    pub(super) fn is_in_place(&self) -> bool {
        own_file::is_in_place(&self.file, &self.path)
    }

    /// The open lock file. It was written to a moment ago, which tells the time on the disk's clock.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Tells others who we are. The lock holds without it, so a full disk is no reason to give up.
    fn write_pid(&self) {
        let mut file = &self.file;
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
    }
}

impl Drop for Lock {
    /// Closing the file is not enough while a child process is being started, which has it open for a moment too.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn holder(path: &Path) -> Option<u32> {
    let text = own_file::read(path, PID_BYTES_MAX).ok()??;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// How often a lock file may vanish under our hands before we give up.
const ATTEMPTS: usize = 5;
const PID_BYTES_MAX: u64 = 64;
