//! What the loop is given: everything that it does not make itself, and what other threads tell it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::accounts::Answer;
use super::board::Board;
use super::service_manager::ServiceManager;
use crate::domain::event::Event;
use crate::domain::manifest::{Manifest, Unusable};
use crate::domain::reconciler::{Input, Mode};
use crate::domain::state::State;
use crate::local::clock::Clock;
use crate::local::scanner::Folder;
use crate::local::signals::Signal;
use crate::local::state_store::StateStore;
use crate::provider::credentials::Lookups;

/// Everything that the loop is given.
pub struct Parts {
    /// How it works through what is due.
    pub mode: Mode,
    /// What is wanted.
    pub manifest: Arc<Manifest>,
    /// Why `manifest` is not what lies there now but an older one, where that is so.
    pub broken: Option<Unusable>,
    /// What was wanted when all was well, where that is another manifest: its provider tables stay in force until
    /// their entries may go.
    pub last_good: Option<Arc<Manifest>>,
    /// Where what is known is recorded; nothing has been read from it yet.
    pub store: Box<dyn StateStore>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Where credentials are looked up.
    pub lookups: Arc<dyn Lookups>,
    /// Reads the manifest and config again.
    pub reload: Reload,
    /// Remembers that `manifest` is good.
    pub remember: Remember,
    /// Files whose change makes the manifest be read again, absolute.
    pub manifest_files: Vec<PathBuf>,
    /// Signals, as they come.
    pub signals: mpsc::UnboundedReceiver<Signal>,
    /// Who is told.
    pub observer: Box<dyn Observer>,
    /// Where it shows how things stand.
    pub board: Arc<Board>,
    /// The service manager, where one listens.
    pub manager: ServiceManager,
}

/// Reads the manifest and config again. Runs beside the loop: they may lie on a disk that does not answer.
pub type Reload = Box<dyn FnMut() -> Reloaded + Send>;

/// Remembers a manifest for a day on which the present one is broken; says why it could not. Runs beside the loop.
pub type Remember = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What reading them again came to.
pub enum Reloaded {
    /// They are good, and others than before; root and state folder are where they were at the start. The second
    /// remembers them.
    Changed(Arc<Manifest>, Remember),
    /// They are as they were.
    Unchanged,
    /// They cannot be used, or not without a restart.
    Broken(Unusable),
}

/// Is told what readers of the state file find from now on, on another thread than the loop's.
pub type Readers = Arc<dyn Fn(&State) + Send + Sync>;

/// Who is told what happens.
pub trait Observer: Send {
    /// Who is told what readers find: once what is recorded at the start, then each snapshot when it is in place, before
    /// the events that waited for it. Asked once.
    fn readers(&self) -> Option<Readers> {
        None
    }
    /// Something happened.
    fn event(&mut self, event: &Event);
    /// Something that is no part of the engine needs attention.
    fn warning(&mut self, text: &str);
    /// How much is left to send, and what the scan has done so far.
    fn progress(&mut self, backlog: usize, scan: ScanProgress);
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanProgress {
    /// Whether one is under way.
    pub active: bool,
    /// Files seen so far.
    pub seen: u64,
    /// Files read so far.
    pub hashed: u64,
}

/// What reaches the loop from other threads.
pub(super) enum Message {
    Input(Input),
    /// A scan is over; where it was of everything, these folders are to be watched.
    Scanned {
        folders: Option<Vec<Folder>>,
        whole: bool,
    },
    Warnings(Vec<String>),
    /// An account's credentials were looked up.
    Connected(Answer),
    /// The manifest was read again, by this.
    Reloaded(Reload, Reloaded),
    /// Whether what stands in the way could be noted.
    Noted {
        written: bool,
    },
    /// Whether the manifest in force could be remembered.
    Remembered(Result<(), String>),
    /// How the state folder looks.
    Looked {
        /// Whether what was published is still there.
        in_place: bool,
        /// The digest of what somebody approved.
        approved: Option<String>,
    },
}

pub(super) type Inbox = mpsc::UnboundedSender<Message>;

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Performs what must not end the thread it runs on, not even by a defect of ours.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let work = std::panic::AssertUnwindSafe(work);
    std::panic::catch_unwind(work).unwrap_or_else(|_| Err("a defect in mediakeep".to_owned()))
}
