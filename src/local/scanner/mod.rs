//! Looks at files: which are there, and with which content. Decides nothing about them.
//!
//! Metadata selects what is read, the hash decides. A file that is not quiet is never read as new content, and a
//! path that leads out of root is never read at all.

mod beneath;
mod exclusion;
mod git_lock;
mod interest;
mod listing;
mod look;
mod progress;
mod read;
mod request;
mod settle;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::fs::stat;
use rustix::io::Errno;

pub(crate) use exclusion::Exclusions;
pub use interest::Interest;
pub use progress::{OnProgress, Progress};
pub use read::{ReadError, read_exact};

use self::beneath::Root;
use self::git_lock::{GitLock, GitState};
use self::look::{Findings, Look, Unusable};
use self::progress::Counter;
use self::settle::Memory;
use super::atomic_file::TEMPORARY_PREFIX;
use super::clock::Clock;
use super::hash_cache::{FileId, HashCache};
use crate::domain::asset::RelPath;
use crate::domain::observation::{Coverage, Observation, RootHealth, RootIdentity, ScanReport, ScanRequest};

/// Says whether a path may be an entry, and if so how many bytes its file may have.
pub type Select = Arc<dyn Fn(&RelPath) -> Option<u64> + Send + Sync>;

/// What a scanner looks at, and how.
pub struct ScanOptions {
    /// The watched folder, absolute.
    pub root: PathBuf,
    /// Absolute paths of our own things (state folder, manifest, config, exports): never entered and never media. A
    /// root that holds nothing else is empty.
    pub own: Vec<PathBuf>,
    /// What may be an entry, literals included.
    pub select: Select,
    /// The files that the manifest names: each is in a report about its whereabouts, whether it is there or not.
    pub literals: Arc<[RelPath]>,
    /// Quiet time after the last write before a file is read; zero means at once.
    pub settle: Duration,
    /// Tells what time it is.
    pub clock: Arc<dyn Clock>,
}

/// Looks at the files below root.
pub struct Scanner {
    root: PathBuf,
    own: Vec<PathBuf>,
    exclusions: Exclusions,
    interest: Interest,
    settle: Duration,
    clock: Arc<dyn Clock>,
    cache: HashCache,
    memory: Memory,
    git_lock: GitLock,
    on_progress: Option<OnProgress>,
    threads_max: usize,
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// What the files show.
    pub report: ScanReport,
    /// What people should know.
    pub warnings: Vec<ScanWarning>,
    /// Every folder that was listed, if the scan was of everything and root is sound: what must be watched.
    pub folders: Option<Vec<Folder>>,
}

/// A folder at or below root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Relative to root, which itself is `""`.
    pub path: Box<str>,
    /// Which folder it is.
    pub id: FileId,
}

/// Something about root that people should know. It stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanWarning {
    /// Names that can't be a path in a manifest.
    #[error(
        "names that are no UTF-8 or too long are passed over ({count}, {example} among them); rename them"
    )]
    UnusableNames {
        /// How many.
        count: u64,
        /// One of them, escaped.
        example: String,
    },
    /// A lock that git left behind.
    #[error("{} is over ten minutes old and no longer waited for; remove it if no git is running", .0.display())]
    AbandonedGitLock(PathBuf),
}

impl Scanner {
    /// A scanner that starts with what `cache` knows.
    #[must_use]
    pub fn new(options: ScanOptions, cache: HashCache) -> Self {
        let ScanOptions { root, own, select, literals, settle, clock } = options;
        Self {
            exclusions: Exclusions::new(&root, &own),
            root,
            own,
            interest: Interest::new(select, literals),
            settle,
            clock,
            cache,
            memory: Memory::default(),
            git_lock: GitLock::default(),
            on_progress: None,
            threads_max: walk::threads_max(),
        }
    }

    /// Takes what was known about files when they were looked at last.
    pub fn remember(&mut self, cache: HashCache) {
        self.cache = cache;
    }

    /// Takes what a new manifest says. What is known about files stays known.
    pub fn reload(&mut self, select: Select, literals: Arc<[RelPath]>, settle: Duration) {
        self.interest.replace(select, literals);
        self.settle = settle;
    }

    /// Has progress reported; see [`OnProgress`].
    pub fn set_progress(&mut self, on_progress: Option<OnProgress>) {
        self.on_progress = on_progress;
    }

    /// Which changes are worth a look, for the watcher. It follows reloads and learns with each scan.
    pub fn interest(&self) -> Interest {
        self.interest.clone()
    }

    /// Writes the hash cache, if anything in it changed.
    ///
    /// # Errors
    /// What the system said; nothing is lost but time at the next start.
    pub fn save_cache(&mut self, path: &Path) -> io::Result<bool> {
        self.cache.save(path)
    }

    /// Looks. Blocks, for as long as the disk does.
    #[must_use]
    pub fn scan(&mut self, request: &ScanRequest) -> Scan {
        let root = match Root::open(&self.root) {
            Ok(root) => root,
            Err(error) => return unsound(request, root_without(error)),
        };
        let everything = matches!(request, ScanRequest::Everything);
        if everything {
            self.exclusions = Exclusions::new(&self.root, &self.own);
            self.cache.begin_full_look();
        }
        let git = self.git_lock.look(&self.root, self.clock.now());
        let (coverage, mut findings) = self.look(&root, git == GitState::Busy, request);
        let health = self.health(&root, &findings);
        if !matches!(health, RootHealth::Sound { .. }) {
            return unsound(request, health);
        }
        self.learn(&mut findings, everything);
        let Findings { files, folders, unreadable_folders, .. } = findings;
        Scan {
            warnings: warnings(findings.unusable, git),
            report: ScanReport { coverage, root: health, files, unreadable_folders },
            folders: everything.then_some(folders),
        }
    }

    fn look(&self, root: &Root, git_is_busy: bool, request: &ScanRequest) -> (Coverage, Findings) {
        let progress = Counter::new(self.on_progress.clone());
        let look = Look {
            root,
            root_path: &self.root,
            exclusions: &self.exclusions,
            select: self.interest.select(),
            cache: &self.cache,
            memory: &self.memory,
            settle: self.settle,
            clock: &*self.clock,
            git_is_busy,
            progress: &progress,
            real_root: OnceLock::new(),
        };
        match request {
            ScanRequest::Everything => request::everything(&look, &self.interest, self.threads_max),
            ScanRequest::Paths(paths) => request::paths(&look, &self.interest, paths, self.threads_max),
        }
    }

    /// How root is now, after the look: it may have been replaced meanwhile, and then nothing of the look counts.
    fn health(&self, root: &Root, findings: &Findings) -> RootHealth {
        if let Some(error) = findings.root_error {
            return root_without(error);
        }
        // Listing root costs by its size, and a look at one file should not.
        let holds_files = findings.files.iter().any(|(_, shown)| *shown != Observation::Missing);
        let empty = if holds_files { Ok(false) } else { self.is_empty(root) };
        match (stat(&self.root), empty) {
            (Err(error), _) | (_, Err(error)) => root_without(error),
            (Ok(now), Ok(empty)) if FileId::of(&now) == root.id() => {
                let FileId { device, inode } = root.id();
                RootHealth::Sound { identity: RootIdentity { device, inode }, empty }
            }
            _ => RootHealth::Unreadable { reason: "it was replaced while it was looked at".to_owned() },
        }
    }

    /// Whether root holds nothing but our own files.
    fn is_empty(&self, root: &Root) -> Result<bool, Errno> {
        let mut empty = true;
        // A small buffer: one foreign entry is enough, and a large folder must not cost more than a small one.
        let mut buffer = Vec::with_capacity(1024);
        listing::each_entry(root.open_folder("")?.as_fd(), &mut buffer, |name, _| {
            let ours = name.to_bytes().starts_with(TEMPORARY_PREFIX.as_bytes())
                || name.to_str().is_ok_and(|name| self.exclusions.is_own(name));
            empty = ours;
            if ours { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(empty)
    }

    fn learn(&mut self, findings: &mut Findings, everything: bool) {
        for (stamp, content, read_at) in findings.read.drain(..) {
            self.cache.insert(&stamp, content, read_at);
        }
        let seen = findings.seen.drain(..);
        if everything {
            self.memory.replace(seen);
        } else {
            self.memory.extend(seen);
        }
        self.interest.learn(std::mem::take(&mut findings.links), everything);
        if everything && findings.unreadable_folders.is_empty() {
            self.cache.forget_unseen();
        }
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Scanner")
            .field("root", &self.root)
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

fn root_without(error: Errno) -> RootHealth {
    match error {
        Errno::NOENT => RootHealth::Missing,
        Errno::NOTDIR => RootHealth::Unreadable { reason: "it is not a folder".to_owned() },
        error => RootHealth::Unreadable { reason: read::in_words(error) },
    }
}

/// The answer where root itself is the news.
fn unsound(request: &ScanRequest, root: RootHealth) -> Scan {
    let coverage = match request {
        ScanRequest::Everything => Coverage::Everything,
        ScanRequest::Paths(paths) => Coverage::Paths(paths.iter().map(|(path, _)| path.clone()).collect()),
    };
    let report = ScanReport { coverage, root, files: Vec::new(), unreadable_folders: Vec::new() };
    Scan { report, warnings: Vec::new(), folders: None }
}

fn warnings(unusable: Unusable, git: GitState) -> Vec<ScanWarning> {
    let names = unusable.example.map(|example| ScanWarning::UnusableNames { count: unusable.count, example });
    let lock = match git {
        GitState::Abandoned(path) => Some(ScanWarning::AbandonedGitLock(path)),
        GitState::Free | GitState::Busy => None,
    };
    names.into_iter().chain(lock).collect()
}
