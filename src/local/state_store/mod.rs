//! The state folder: what survives a restart, a kill and a power cut.
//!
//! # Files
//!
//! | name | what it is |
//! |---|---|
//! | `state.json` | the snapshot that other programs read |
//! | `state.json.previous` | the snapshot before it |
//! | `journal` | the changes since the snapshot, one a line, each durable before it counts |
//! | `journal.1` | the changes between the previous snapshot and the snapshot |
//! | `lock` | an OS lock, held while a process may write here; holds that process's id |
//! | `*.broken-1` and so on | what was damaged, kept for people to look at |
//!
//! Either snapshot, with the lines of both journals that have a higher serial, is the whole state.
//!
//! # What a crash leaves behind
//!
//! [`StateStore::record`] appends whole lines and makes them durable with one fdatasync.
//!
//! | a crash after | leaves |
//! |---|---|
//! | part of the append | a torn tail, which the next start cuts off; nobody was told that these lines count |
//! | the append | the lines, or a torn tail, or nothing; the same applies |
//! | fdatasync | the lines. Where the journal was new its name was made durable before, too |
//!
//! [`StateStore::publish`], where the snapshots are `p` (previous) and `s`, the journals hold `p..s` and `s..n`, and
//! the new snapshot is `n`:
//!
//! | a crash after | leaves |
//! |---|---|
//! | `n` is written beside its place and made durable | `p`, `s`, both journals, and a temporary file that the next start removes |
//! | a second name of `s` is linked | the same; that name counts as a temporary file |
//! | that name is renamed over `state.json.previous` | `s` twice; the journals reach back to `p`, which is more than enough |
//! | `n` is renamed over `state.json` | before the folder is synced, a power cut may bring back any of the states above, each of them complete; after a mere kill it is `s` and `n` |
//! | the folder is synced | `s` and `n`, journals `p..s` and `s..n`: more than enough |
//! | `journal` is renamed over `journal.1` | `s` and `n`, with `s..n`: just enough. A power cut may undo the rename: see above |
//! | the next record makes a new `journal` and syncs the folder | the same, and the new name; both renames are durable now |
//!
//! The one exception: a change that could not be recorded is in the new snapshot only, until the next publication.
//!
//! So `state.json` names a complete snapshot at every instant, and `journal.1` is dropped only when it holds nothing
//! that is newer than the snapshot that is then the previous one. Its cost does not depend on how much it holds.
//!
//! # What a failure leaves behind
//!
//! A failed append is cut back to the last good length. After a failed fdatasync nothing that the journal was given
//! since is believed, nor is the sync tried again, since a kernel may report such a failure once and forget it: the
//! journal takes nothing more until a whole snapshot has been published, which starts a new one. A failed
//! publication leaves the old snapshot, and whatever it wrote is thrown away.
//!
//! A folder that vanishes while its lock is held is made again by the next publication, unless another process has
//! made it and holds its lock.

mod fault;
mod folder;
mod journal;
mod lock;
mod note;
mod recover;
mod set_aside;

pub use folder::{FolderStore, OpenError};
pub use note::Note;
pub use recover::read_only;

use std::io;
use std::path::PathBuf;

use crate::domain::state::{Change, State};
use crate::domain::state_format::FormatError;

/// Where the state is kept. One process at a time writes it.
pub trait StateStore: Send {
    /// Reads everything; to be called once, before anything else.
    ///
    /// # Errors
    /// [`StoreError::Format`] where what is there is whole and not ours to replace, and what the system said.
    /// Damage is no error: it is told in [`Loaded::notes`].
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Makes changes durable: when it returns, they survive a power cut. Serials only ever go up.
    ///
    /// # Errors
    /// Nothing was recorded then. After [`StoreError::NeedsPublish`], publishing the whole state records it all.
    fn record(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// Shows a whole state to readers, and makes it durable.
    ///
    /// # Errors
    /// Readers then see the state before it, or, where the folder could not be synced, perhaps this one.
    fn publish(&mut self, state: &State) -> Result<Published, StoreError>;

    /// Whether what was published last is still there, and the place still ours. Publishing again mends it.
    fn is_in_place(&self) -> bool;
}

/// What was found.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub state: State,
    /// What people should hear about.
    pub notes: Vec<Note>,
    /// Whether `state` is not what `state.json` holds, so that it is to be published at once.
    pub unpublished: bool,
}

/// What a publication wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The serial of the state that readers see now.
    pub serial: u64,
    /// The size of the snapshot in bytes.
    pub bytes: u64,
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not ours to replace.
    #[error("cannot use {}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: FormatError,
    },
    /// The journal can't take changes: the whole state is to be published.
    #[error("changes can't be recorded one by one until the whole state is published: {reason}")]
    NeedsPublish {
        /// What happened to the journal.
        reason: &'static str,
    },
    /// The state folder vanished, and another process has taken its place.
    #[error(
        "the lock of the state folder was lost to {}; stop one of them",
        OpenError::holder(*pid)
    )]
    LockLost {
        /// The other process, if it says.
        pid: Option<u32>,
    },
    /// Nothing may be written before what is there was read.
    #[error("the state has not been read yet")]
    NotLoaded,
}

impl StoreError {
    /// Says what was tried, on which file.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// The snapshot's name.
pub const STATE_FILE: &str = "state.json";
const PREVIOUS_FILE: &str = "state.json.previous";
const JOURNAL_FILE: &str = "journal";
const OLDER_JOURNAL_FILE: &str = "journal.1";

#[cfg(test)]
mod tests;
