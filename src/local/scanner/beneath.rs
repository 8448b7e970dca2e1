//! Opens files and folders below root, and never anything outside it.
//!
//! A manifest or a symbolic link that leads out of root must not make us read a foreign file: what is read here is
//! handed to a provider. Relative links that stay inside root are followed; absolute ones count as leading out.

use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::{Errno, Result};

use crate::local::hash_cache::FileId;

/// The watched folder, held open: a rename of root does not change where names lead meanwhile.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    id: FileId,
    resolver: Resolver,
}

/// Who makes sure that a path stays below root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolver {
    /// The kernel, in one step.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Kernel,
    /// We, segment by segment, where the kernel can't (before Linux 5.6, some sandboxes, other systems).
    Steps,
}

impl Root {
    /// Opens root. Links on the way to it are followed: its path is the administrator's.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = again(|| openat(CWD, path, FOLDER, Mode::empty()))?;
        let resolver = Resolver::best_for(folder.as_fd());
        Self::with_resolver(folder, resolver)
    }

    pub(super) fn with_resolver(folder: OwnedFd, resolver: Resolver) -> Result<Self> {
        let id = FileId::of(&fstat(&folder)?);
        Ok(Self { folder, id, resolver })
    }

    /// Which folder it is.
    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Opens a real folder (no links on the way) for listing; root itself is `""`.
    pub(super) fn open_folder(&self, path: &str) -> Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        self.resolver.open(self.folder.as_fd(), path, FOLDER, Links::Refuse)
    }

    /// Opens a file for reading, following links that stay below root. Never waits for a FIFO's other end.
    pub(super) fn open_file(&self, path: &str) -> Result<OwnedFd> {
        self.resolver.open(self.folder.as_fd(), path, FILE, Links::Follow)
    }

    /// What the system says about the file at the end of this path, links below root followed.
    pub(super) fn stat(&self, path: &str) -> Result<Stat> {
        self.resolver.stat(self.folder.as_fd(), path, Links::Follow)
    }

    /// The same of what stands there itself, behind real folders only; a link is reported as a link.
    pub(super) fn stat_itself(&self, path: &str) -> Result<Stat> {
        let root = self.folder.as_fd();
        match path.rsplit_once('/') {
            None => statat(root, path, AtFlags::SYMLINK_NOFOLLOW),
            Some((folder, name)) => {
                let folder = self.resolver.open(root, folder, STEP, Links::Refuse)?;
                statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }
}

/// Opens a file by its name in a folder that is known to lie below root; a link is not followed.
pub(super) fn open_in<Folder: AsFd>(folder: Folder, name: &std::ffi::CStr) -> Result<OwnedFd> {
    again(|| openat(folder.as_fd(), name, FILE.union(OFlags::NOFOLLOW), Mode::empty()))
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// For a folder on the way, which need not be readable.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STEP: OFlags = FOLDER;
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// What to do about symbolic links.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    /// Follow those that stay below root.
    Follow,
    /// Fail as for a loop.
    Refuse,
}

/// Asks again when the system was interrupted, or when a rename raced with the kernel's check.
fn again<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..16 {
        match attempt() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            outcome => return outcome,
        }
    }
    attempt()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Resolver {
    fn best_for(root: BorrowedFd<'_>) -> Self {
        match kernel_open(root, ".", OFlags::PATH | OFlags::CLOEXEC, Links::Refuse) {
            Ok(_) => Self::Kernel,
            Err(_) => Self::Steps,
        }
    }

    fn open(self, root: BorrowedFd<'_>, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd> {
        match self {
            Self::Kernel => kernel_open(root, path, flags, links),
            Self::Steps => Place::find(root, path, links)?.open(flags),
        }
    }

    fn stat(self, root: BorrowedFd<'_>, path: &str, links: Links) -> Result<Stat> {
        match self {
            Self::Kernel => fstat(kernel_open(root, path, OFlags::PATH | OFlags::CLOEXEC, links)?),
            Self::Steps => Place::find(root, path, links)?.stat(),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn kernel_open(root: BorrowedFd<'_>, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if links == Links::Refuse {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    again(|| openat2(root, path, flags, Mode::empty(), resolve))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Resolver {
    fn best_for(_root: BorrowedFd<'_>) -> Self {
        Self::Steps
    }

    fn open(self, root: BorrowedFd<'_>, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd> {
        Place::find(root, path, links)?.open(flags)
    }

    fn stat(self, root: BorrowedFd<'_>, path: &str, links: Links) -> Result<Stat> {
        Place::find(root, path, links)?.stat()
    }
}

/// A name in an open folder, which is root or lies below it. The name is no link, unless that changes meanwhile:
/// then opening it fails.
struct Place<'root> {
    root: BorrowedFd<'root>,
    /// The folders from root down to the one that holds the name.
    folders: Vec<OwnedFd>,
    name: Vec<u8>,
}

impl<'root> Place<'root> {
    fn find(root: BorrowedFd<'root>, path: &str, links: Links) -> Result<Self> {
        let mut place = Self { root, folders: Vec::new(), name: b".".to_vec() };
        let mut ahead: Vec<Vec<u8>> = Vec::new();
        push_segments(&mut ahead, path.as_bytes());
        let mut links_left = LINKS_MAX;
        while let Some(name) = ahead.pop() {
            if name == b".." {
                place.folders.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            match readlinkat(place.folder(), name.as_slice(), Vec::new()) {
                Ok(_) if links == Links::Refuse => return Err(Errno::LOOP),
                Ok(target) => {
                    links_left = usize::checked_sub(links_left, 1).ok_or(Errno::LOOP)?;
                    if target.as_bytes().starts_with(b"/") {
                        return Err(Errno::XDEV);
                    }
                    push_segments(&mut ahead, target.as_bytes());
                }
                Err(Errno::INVAL) if ahead.is_empty() => place.name = name,
                Err(Errno::INVAL) => {
                    let folder = openat(place.folder(), name, STEP | OFlags::NOFOLLOW, Mode::empty())?;
                    place.folders.push(folder);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(place)
    }

    fn folder(&self) -> BorrowedFd<'_> {
        self.folders.last().map_or(self.root, AsFd::as_fd)
    }

    fn open(&self, flags: OFlags) -> Result<OwnedFd> {
        again(|| openat(self.folder(), self.name.as_slice(), flags | OFlags::NOFOLLOW, Mode::empty()))
    }

    fn stat(&self) -> Result<Stat> {
        statat(self.folder(), self.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// As many as Linux follows.
const LINKS_MAX: usize = 40;

/// Puts a path's segments on the stack, the first one on top.
fn push_segments(stack: &mut Vec<Vec<u8>>, path: &[u8]) {
    let segments = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty() && *segment != b".");
    let from = stack.len();
    stack.extend(segments.map(<[u8]>::to_vec));
    stack[from..].reverse();
}
