//! How far a scan has come, for progress bars.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a scan has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that may be entries and were looked at.
    pub files: u64,
    /// Files that were read, because their content was not known.
    pub hashed_files: u64,
    /// Their bytes.
    pub hashed_bytes: u64,
}

/// Told about progress now and then, from any thread of the scan; it must not block.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Counts for all threads of one scan.
#[derive(Default)]
pub(super) struct Counter {
    files: AtomicU64,
    hashed_files: AtomicU64,
    hashed_bytes: AtomicU64,
    tell: Option<OnProgress>,
}

/// Reads between two reports; a report follows each folder as well.
const READS_BETWEEN: u64 = 16;

impl Counter {
    pub(super) fn new(tell: Option<OnProgress>) -> Self {
        Self { tell, ..Self::default() }
    }

    pub(super) fn saw(&self, files: usize) {
        self.files.fetch_add(files as u64, Ordering::Relaxed);
        self.report();
    }

    pub(super) fn hashed(&self, bytes: u64) {
        self.hashed_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.hashed_files.fetch_add(1, Ordering::Relaxed).is_multiple_of(READS_BETWEEN) {
            self.report();
        }
    }

    fn report(&self) {
        if let Some(tell) = &self.tell {
            tell(Progress {
                files: self.files.load(Ordering::Relaxed),
                hashed_files: self.hashed_files.load(Ordering::Relaxed),
                hashed_bytes: self.hashed_bytes.load(Ordering::Relaxed),
            });
        }
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Counter").field("files", &self.files).finish_non_exhaustive()
    }
}
