//! Reads a file's content so that it is one version of it: stat, read, stat again.

use std::ffi::CStr;
use std::path::Path;

use bytes::Bytes;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use rustix::io::Errno;

use super::beneath::{self, Root};
use crate::domain::asset::{ContentHash, RelPath};
use crate::domain::observation::{Observation, Refusal};
use crate::local::hash_cache::Stamp;

/// Where a file is to be found, twice: before and after reading.
#[derive(Clone, Copy)]
pub(super) enum Source<'scan> {
    /// A name in an open folder; a link there is none of ours.
    Named(BorrowedFd<'scan>, &'scan CStr),
    /// A path below root; links below root are followed.
    Path(&'scan Root, &'scan str),
}

impl Source<'_> {
    pub(super) fn stat(self) -> Result<Stat, Errno> {
        match self {
            Self::Named(folder, name) => statat(folder, name, AtFlags::SYMLINK_NOFOLLOW),
            Self::Path(root, path) => root.stat(path),
        }
    }

    fn open(self) -> Result<OwnedFd, Errno> {
        match self {
            Self::Named(folder, name) => beneath::open_in(folder, name),
            Self::Path(root, path) => root.open_file(path),
        }
    }
}

/// The stamp of a regular file, or what there is instead of one.
pub(super) fn regular(stat: Result<Stat, Errno>) -> Result<Stamp, Observation> {
    let stat = stat.map_err(no_file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Stamp::of(&stat)),
        FileType::Directory => Err(Observation::Refused(Refusal::Directory)),
        FileType::Symlink => Err(Observation::Refused(Refusal::EscapingLink)),
        _ => Err(Observation::Refused(Refusal::Special)),
    }
}

/// What an error says about a file.
pub(super) fn no_file(error: Errno) -> Observation {
    match error {
        Errno::NOENT | Errno::NOTDIR => Observation::Missing,
        Errno::XDEV | Errno::LOOP => Observation::Refused(Refusal::EscapingLink),
        other => Observation::Unreadable { reason: in_words(other) },
    }
}

/// What the system said, in words for a report.
pub(super) fn in_words(error: Errno) -> String {
    let hint = match error {
        Errno::ACCESS | Errno::PERM => "; let the user that mediakeep runs as read it",
        Errno::MFILE | Errno::NFILE => "; it is tried again, and a higher limit of open files helps",
        Errno::STALE | Errno::IO => "; look at the disk or the mount",
        _ => "",
    };
    format!("{error}{hint}")
}

/// Moments in a read at which a test may interfere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The file has been opened and nothing has been read.
    Opened,
    /// Everything has been read and nothing has been compared.
    Read,
}

/// Why no content came of a read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It changed meanwhile: what was read is worth nothing.
    Changed,
    /// The system refused.
    Failed(Errno),
}

impl From<Errno> for Unread {
    fn from(error: Errno) -> Self {
        Self::Failed(error)
    }
}

/// Reads the file that looked like `stamp` into the start of `buffer`, if it still looks so before and after.
pub(super) fn read_stable<'buffer>(
    source: Source<'_>,
    stamp: &Stamp,
    buffer: &'buffer mut Vec<u8>,
    mut interpose: impl FnMut(Moment),
) -> Result<&'buffer [u8], Unread> {
    let size = usize::try_from(stamp.size).map_err(|_| Errno::FBIG)?;
    let file = source.open()?;
    still(stamp, fstat(&file))?;
    interpose(Moment::Opened);
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    let content = &mut buffer[..size];
    fill(&file, content)?;
    interpose(Moment::Read);
    still(stamp, fstat(&file))?;
    still(stamp, source.stat())?;
    Ok(content)
}

fn still(stamp: &Stamp, stat: Result<Stat, Errno>) -> Result<(), Unread> {
    match regular(Ok(stat?)) {
        Ok(found) if found == *stamp => Ok(()),
        _ => Err(Unread::Changed),
    }
}

fn fill(file: &OwnedFd, content: &mut [u8]) -> Result<(), Unread> {
    let mut filled = 0;
    while filled < content.len() {
        match rustix::io::read(file, &mut content[filled..]) {
            Ok(0) => return Err(Unread::Changed),
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether this is a git-LFS pointer: a short text in place of a media that was never pulled.
pub(super) fn is_lfs_pointer(content: &[u8]) -> bool {
    content.len() < 1024 && content.starts_with(b"version https://git-lfs.github.com/spec/")
}

/// Why [`read_exact`] has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// It changed while it was read; another look tells when it is quiet.
    #[error("the file changed while it was read")]
    Changed,
    /// It is nothing that can be uploaded.
    #[error("{}", .0.explain())]
    Refused(Refusal),
    /// The system refused; holds what it said.
    #[error("can't be read: {0}")]
    Unreadable(String),
}

/// Reads a whole file below root for an upload: what is hashed here is what is sent.
///
/// The caller compares the hash with the one it wants. Links are followed as long as they stay below root.
///
/// # Errors
/// Whatever keeps the file from being one version of at most `limit` bytes.
pub fn read_exact(root: &Path, path: &RelPath, limit: u64) -> Result<(Bytes, ContentHash), ReadError> {
    let root = Root::open(root).map_err(|error| refuse(no_file(error)))?;
    let source = Source::Path(&root, path.as_str());
    let stamp = regular(source.stat()).map_err(refuse)?;
    match stamp.size {
        0 => return Err(ReadError::Refused(Refusal::Empty)),
        size if size > limit => return Err(ReadError::Refused(Refusal::TooLarge { size })),
        _ => {}
    }
    let mut content = Vec::new();
    read_stable(source, &stamp, &mut content, |_| {}).map_err(|unread| match unread {
        Unread::Changed => ReadError::Changed,
        Unread::Failed(error) => refuse(no_file(error)),
    })?;
    let hash = ContentHash::of(&content);
    Ok((content.into(), hash))
}

fn refuse(observation: Observation) -> ReadError {
    match observation {
        Observation::Missing => ReadError::Missing,
        Observation::Refused(refusal) => ReadError::Refused(refusal),
        Observation::Unreadable { reason } => ReadError::Unreadable(reason),
        Observation::Present { .. } | Observation::Settling { .. } => ReadError::Changed,
    }
}
