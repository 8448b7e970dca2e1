//! What the disk shows: the answer of a look at one path, or at the whole folder.

use super::asset::{ContentHash, RelPath};
use super::time::Timestamp;

/// What a look at one file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A regular file that has been quiet for long enough, with known content.
    Present {
        /// The hash of its bytes.
        hash: ContentHash,
        /// Its size in bytes.
        size: u64,
    },
    /// A file that changed a moment ago, is changing now, or that git is about to replace. Not read.
    Settling {
        /// When it is worth looking again, on the steady clock.
        look_again_at: Timestamp,
    },
    /// There is no such file, and the folder that would hold it could be listed.
    Missing,
    /// It may be there, but it or its folder can't be read.
    Unreadable {
        /// Why, in words: what the system said.
        reason: String,
    },
    /// It is there and it is not a media: it blocks its entries.
    Refused(Refusal),
}

/// Why a file can't be an entry's content, whatever the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Larger than any provider of its entries takes; its content was not read.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It has no bytes.
    Empty,
    /// A git-LFS pointer: the real content was never pulled.
    LfsPointer,
    /// A directory where a file should be.
    Directory,
    /// A FIFO, a socket or a device.
    Special,
    /// A symbolic link that leads out of root (or that is absolute, or that loops).
    EscapingLink,
}

impl Refusal {
    /// The refusal in words, with the remedy.
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::TooLarge { size } => format!("{size} bytes is larger than its provider takes"),
            Self::Empty => "the file is empty".to_owned(),
            Self::LfsPointer => "a git-LFS pointer, not the media itself; run `git lfs pull`".to_owned(),
            Self::Directory => "a directory, not a file".to_owned(),
            Self::Special => "a FIFO, socket or device, not a file".to_owned(),
            Self::EscapingLink => {
                "a symbolic link that leads out of root (absolute links count as such)".to_owned()
            }
        }
    }
}

/// How a change was noticed, which says how long the file must be quiet before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// It arrived by rename or was closed after writing: it is complete, so a short quiet time is enough.
    Complete,
    /// Anything else: somebody may still be writing.
    Touched,
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanRequest {
    /// The whole folder.
    Everything,
    /// These paths; a folder stands for everything below it.
    Paths(Vec<(RelPath, Hint)>),
}

/// What a scan looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The whole folder: a known file that the report does not name is missing.
    Everything,
    /// These files and folders: a known file at or below one of them that the report does not name is missing.
    Paths(Vec<RelPath>),
}

/// The answer to a [`ScanRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanReport {
    /// What was looked at.
    pub coverage: Coverage,
    /// How root is.
    pub root: RootHealth,
    /// What was found, each file once, in no particular order. Only files that may be entries are named.
    pub files: Vec<(RelPath, Observation)>,
    /// Folders below root that could not be listed: known files below them count as unreadable, not as missing.
    pub unreadable_folders: Vec<RelPath>,
}

/// How the watched folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootHealth {
    /// It can be listed.
    Sound {
        /// Which folder it is, so that another file system mounted in its place is noticed.
        identity: RootIdentity,
        /// Whether nothing at all is in it (our own files do not count).
        empty: bool,
    },
    /// It is not there.
    Missing,
    /// It is there (or not) and can't be listed, or the look took too long.
    Unreadable {
        /// Why, in words.
        reason: String,
    },
}

/// Which folder root is, as the system sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RootIdentity {
    /// The file system's device number.
    pub device: u64,
    /// The folder's inode number.
    pub inode: u64,
}
