//! Looks at one file and says what it shows.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::beneath::Root;
use super::exclusion::Exclusions;
use super::progress::Counter;
use super::read::{Source, Unread, is_lfs_pointer, no_file, read_stable, regular};
use super::settle::{Memory, Seen, Verdict};
use super::{Folder, Select};
use crate::domain::asset::{ContentHash, RelPath};
use crate::domain::observation::{Hint, Observation, Refusal};
use crate::domain::time::Timestamp;
use crate::local::clock::Clock;
use crate::local::hash_cache::{Content, HashCache, Stamp};

/// What every look of one scan needs to know.
pub(super) struct Look<'scan> {
    pub(super) root: &'scan Root,
    pub(super) root_path: &'scan Path,
    pub(super) exclusions: &'scan Exclusions,
    pub(super) select: Select,
    pub(super) cache: &'scan HashCache,
    pub(super) memory: &'scan Memory,
    pub(super) settle: Duration,
    pub(super) clock: &'scan dyn Clock,
    /// Whether git is replacing files: nothing new is read then.
    pub(super) git_is_busy: bool,
    pub(super) progress: &'scan Counter,
    /// Root without links on the way, found when it is first needed.
    pub(super) real_root: OnceLock<Option<PathBuf>>,
}

/// What one thread of a scan found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) files: Vec<(RelPath, Observation)>,
    pub(super) folders: Vec<Folder>,
    pub(super) unreadable_folders: Vec<RelPath>,
    /// Why root could not be listed, if it could not.
    pub(super) root_error: Option<Errno>,
    /// What was read, and when the reading began.
    pub(super) read: Vec<(Stamp, Content, Timestamp)>,
    pub(super) seen: Vec<(RelPath, Seen)>,
    /// Where a link leads, and the link.
    pub(super) links: Vec<(RelPath, RelPath)>,
    pub(super) unusable: Unusable,
    /// Reused for every file.
    buffer: Vec<u8>,
}

/// Names that can't be a path in a manifest.
#[derive(Debug, Default)]
pub(super) struct Unusable {
    pub(super) count: u64,
    /// One of them, escaped.
    pub(super) example: Option<String>,
}

impl Findings {
    pub(super) fn count_unusable(&mut self, prefix: &str, name: &CStr) {
        self.unusable.count += 1;
        let describe = || format!("\"{}{}\"", prefix.escape_debug(), name.to_bytes().escape_ascii());
        self.unusable.example.get_or_insert_with(describe);
    }

    /// Everything that these found.
    pub(super) fn merge(all: Vec<Self>) -> Self {
        let mut all = all.into_iter();
        let mut sum = all.next().unwrap_or_default();
        for mut next in all {
            sum.files.append(&mut next.files);
            sum.folders.append(&mut next.folders);
            sum.unreadable_folders.append(&mut next.unreadable_folders);
            sum.root_error = sum.root_error.or(next.root_error);
            sum.read.append(&mut next.read);
            sum.seen.append(&mut next.seen);
            sum.links.append(&mut next.links);
            sum.unusable.count += next.unusable.count;
            sum.unusable.example = sum.unusable.example.or(next.unusable.example);
        }
        sum
    }
}

/// What turned out to stand under a name.
pub(super) enum Found {
    /// It was looked at, or it is nothing to look at.
    Done,
    /// A folder, although the listing did not say so.
    Folder,
}

/// How soon a file is looked at again that git may be replacing, or that changed while it was read.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Look<'_> {
    /// Looks at what stands under a name in a folder that is known to lie below root.
    pub(super) fn at_name(
        &self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        path: RelPath,
        hint: Hint,
        findings: &mut Findings,
    ) -> Found {
        let Some(limit) = (self.select)(&path) else { return Found::Done };
        let source = Source::Named(folder, name);
        let stat = source.stat();
        match kind(&stat) {
            Some(FileType::Directory) => return Found::Folder,
            Some(FileType::Symlink) => self.at_path(path, limit, hint, Naming::IfThere, findings),
            _ => {
                let observation = self.judge(source, stat, &path, limit, hint, findings);
                Self::report(path, observation, Naming::IfThere, findings);
            }
        }
        Found::Done
    }

    /// Looks at what a path leads to, over links that stay below root.
    pub(super) fn at_path(
        &self,
        path: RelPath,
        limit: u64,
        hint: Hint,
        naming: Naming,
        findings: &mut Findings,
    ) {
        let source = Source::Path(self.root, path.as_str());
        let stat = source.stat();
        let is_file = kind(&stat) == Some(FileType::RegularFile);
        let observation = match self.where_it_leads(&path, is_file && naming != Naming::Plain) {
            Err(observation) => observation,
            Ok(target) => {
                findings.links.extend(target.map(|target| (target, path.clone())));
                self.judge(source, stat, &path, limit, hint, findings)
            }
        };
        Self::report(path, observation, naming, findings);
    }

    /// The file below root that a link leads to, if it is one: what stands at the end of a link must be fit to be
    /// an entry itself.
    fn where_it_leads(&self, path: &RelPath, may_be_link: bool) -> Result<Option<RelPath>, Observation> {
        if !may_be_link {
            return Ok(None);
        }
        let root = self.real_root.get_or_init(|| self.root_path.canonicalize().ok());
        let root = root.as_ref().ok_or(Observation::Missing)?;
        let target = root.join(path.as_str()).canonicalize().map_err(|_| Observation::Missing)?;
        let target = target.strip_prefix(root).ok().and_then(Path::to_str);
        match target.map(RelPath::new) {
            Some(Ok(target)) if !self.exclusions.bars(target.as_str()) => {
                Ok((target != *path).then_some(target))
            }
            _ => Err(Observation::Refused(Refusal::EscapingLink)),
        }
    }

    fn report(path: RelPath, observation: Observation, naming: Naming, findings: &mut Findings) {
        let is_there =
            !matches!(observation, Observation::Missing | Observation::Refused(Refusal::Directory));
        if is_there || naming == Naming::Always {
            findings.files.push((path, observation));
        }
    }

    fn judge(
        &self,
        source: Source<'_>,
        stat: Result<Stat, Errno>,
        path: &RelPath,
        limit: u64,
        hint: Hint,
        findings: &mut Findings,
    ) -> Observation {
        let stamp = match regular(stat) {
            Ok(stamp) => stamp,
            Err(observation) => return observation,
        };
        if stamp.size > limit {
            return Observation::Refused(Refusal::TooLarge { size: stamp.size });
        }
        if let Some(content) = self.cache.get(&stamp) {
            return show(content, stamp.size);
        }
        let now = self.clock.now();
        let (verdict, seen) = self.memory.judge(path, &stamp, hint, self.settle, now);
        findings.seen.extend(seen.map(|seen| (path.clone(), seen)));
        match (verdict, self.git_is_busy) {
            (Verdict::WaitUntil(moment), false) => Observation::Settling { look_again_at: moment },
            (Verdict::WaitUntil(moment), true) => {
                Observation::Settling { look_again_at: moment.max(now.steady + LOOK_AGAIN) }
            }
            (Verdict::Quiet, true) => Observation::Settling { look_again_at: now.steady + LOOK_AGAIN },
            (Verdict::Quiet, false) if stamp.size == 0 => Observation::Refused(Refusal::Empty),
            (Verdict::Quiet, false) => self.read(source, &stamp, hint, findings),
        }
    }

    fn read(&self, source: Source<'_>, stamp: &Stamp, hint: Hint, findings: &mut Findings) -> Observation {
        let read_at = self.start_reading(stamp, hint);
        match read_stable(source, stamp, &mut findings.buffer, |_| {}) {
            Ok(bytes) => {
                let content = Content { hash: ContentHash::of(bytes), lfs_pointer: is_lfs_pointer(bytes) };
                self.progress.hashed(stamp.size);
                findings.read.push((*stamp, content, read_at));
                show(content, stamp.size)
            }
            Err(Unread::Changed) => {
                Observation::Settling { look_again_at: self.clock.now().steady + self.settle.max(LOOK_AGAIN) }
            }
            Err(Unread::Failed(error)) => no_file(error),
        }
    }

    /// The moment of reading. Without a settle time, a file may have been written in this very tick of the kernel's
    /// clock, and a second write in it would leave the same times behind: then the tick is waited for first. A file
    /// that is known to be complete needs no such wait: whoever writes it again closes it again, which is heard of.
    fn start_reading(&self, stamp: &Stamp, hint: Hint) -> Timestamp {
        let now = self.clock.now().wall;
        let tick = stamp.granularity();
        if hint == Hint::Touched && tick <= TICK_MAX && stamp.is_racy(now) && stamp.newest() <= now {
            std::thread::sleep(tick + Duration::from_millis(1));
            return self.clock.now().wall;
        }
        now
    }
}

/// The longest pause before a read.
const TICK_MAX: Duration = Duration::from_millis(20);

/// Whether a path is named in the report where no file stands there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Always: the manifest names it.
    Always,
    /// Only if there is a file, or what looks like one.
    IfThere,
    /// The same, and it is known that no link leads there.
    Plain,
}

fn kind(stat: &Result<Stat, Errno>) -> Option<FileType> {
    stat.as_ref().ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

fn show(content: Content, size: u64) -> Observation {
    if content.lfs_pointer {
        Observation::Refused(Refusal::LfsPointer)
    } else {
        Observation::Present { hash: content.hash, size }
    }
}
