//! Says which paths are worth a look. It carries no facts: whatever it says, only a look tells what is there.
//!
//! Every folder is watched by itself, first watched and then listed, because a recursive watch loses what is created
//! in new folders. Whenever something may have been missed, the answer is to look at everything.

mod keeper;
mod limits;
mod pending;
mod sorting;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::keeper::{Keeper, Work};
use self::pending::{Pending, Urgency};
use self::sorting::View;
use super::scanner::{Exclusions, Folder, Interest};
use crate::domain::asset::RelPath;
use crate::domain::observation::Hint;

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The watched folder, absolute.
    pub root: PathBuf,
    /// Absolute paths of our own things: never watched and never reported.
    pub own: Vec<PathBuf>,
    /// The manifest and the config, absolute, wherever they lie.
    pub texts: Vec<PathBuf>,
    /// Which files are worth a report.
    pub interest: Interest,
}

/// What may have changed since the last answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files and folders; a folder stands for everything below it.
    pub paths: Vec<(RelPath, Hint)>,
    /// Everything is to be looked at, because something may have been missed.
    pub rescan: bool,
    /// The manifest or the config was touched.
    pub manifest: bool,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// Whether changes are noticed by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The watches are being set up; the first [`Changes`] say when they are.
    Starting,
    /// They are.
    Watching {
        /// How many folders are watched.
        folders: usize,
    },
    /// They are not, so somebody has to look now and then.
    Polling {
        /// Why, in words.
        reason: String,
    },
}

/// Watches a folder, the manifest and the config.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    /// When somebody last heard of an unfinished change only.
    last: Mutex<Option<Instant>>,
}

/// What the event thread, the keeper's thread and the listener share. Each lock is held for a moment only.
#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Notify,
    work: Mutex<Work>,
    work_came: Condvar,
    view: RwLock<View>,
    mode: Mutex<Mode>,
}

/// Changes that are still going on are reported this often.
const UNFINISHED_EVERY: Duration = Duration::from_millis(100);

impl Watcher {
    /// Starts to watch, on threads of its own. The first answer of [`Self::changed`] is a rescan: it comes when
    /// everything is watched, or when it is clear that it can't be.
    #[must_use]
    pub fn start(options: WatchOptions) -> Self {
        let view = View {
            root: None,
            exclusions: Exclusions::default(),
            interest: options.interest.clone(),
            texts: std::collections::HashMap::new(),
        };
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            wake: Notify::new(),
            work: Mutex::default(),
            work_came: Condvar::new(),
            view: RwLock::new(view),
            mode: Mutex::new(Mode::Starting),
        });
        let keeper = Keeper::new(options, Arc::clone(&shared));
        let bereaved = Arc::clone(&shared);
        let work = move || {
            // A defect there must not leave us waiting for news that nobody brings.
            if catch_unwind(AssertUnwindSafe(|| keeper.run())).is_err() {
                bereaved.poll("the watcher ended in a defect of mediakeep".to_owned());
            }
        };
        if let Err(error) = thread::Builder::new().name("watches".to_owned()).spawn(work) {
            shared.poll(format!("no thread could be started: {error}"));
        }
        Self { shared, last: Mutex::new(None) }
    }

    /// Waits until something may have changed, and hands over all of it. Nothing is lost when the wait is given up.
    pub async fn changed(&self) -> Changes {
        loop {
            let urgency = lock(&self.shared.pending).urgency();
            let due = match urgency {
                Urgency::None => None,
                Urgency::Soon => lock(&self.last).map(|last| last + UNFINISHED_EVERY),
                Urgency::Now => return self.take(),
            };
            match due.filter(|due| *due > Instant::now()) {
                None if urgency == Urgency::Soon => return self.take(),
                None => self.shared.wake.notified().await,
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.shared.wake.notified()).await;
                }
            }
        }
    }

    fn take(&self) -> Changes {
        *lock(&self.last) = Some(Instant::now());
        lock(&self.shared.pending).take()
    }

    /// Compares the watches with the folders that a full scan found, and mends them. To be called after each one: some
    /// changes cause no event (something mounted over a folder, root replaced by another).
    pub fn rearm(&self, folders: Vec<Folder>) {
        lock(&self.shared.work).folders = Some(folders);
        self.shared.work_came.notify_one();
    }

    /// Whether changes are noticed by themselves.
    pub fn mode(&self) -> Mode {
        lock(&self.shared.mode).clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        lock(&self.shared.work).stop = true;
        self.shared.work_came.notify_one();
    }
}

impl Shared {
    /// Takes an event.
    fn event(&self, event: &notify::Result<notify::Event>) {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let orders = self.change(|pending| view.sort(event, pending));
        drop(view);
        if orders.root_lost || !orders.watch.is_empty() {
            lock(&self.work).follow(orders);
            self.work_came.notify_one();
        }
    }

    /// Changes what is pending, and wakes the listener if there is more reason to than before.
    fn change<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        let mut pending = lock(&self.pending);
        let before = pending.urgency();
        let outcome = change(&mut pending);
        if pending.urgency() > before {
            self.wake.notify_one();
        }
        outcome
    }

    /// From now on, nothing is noticed by itself. That is a reason to look at everything once: a look that finds the
    /// same again is no reason for another one.
    fn poll(&self, reason: String) {
        let warning = format!("changes are not noticed by themselves: {reason}");
        let mode = Mode::Polling { reason };
        let before = std::mem::replace(&mut *lock(&self.mode), mode.clone());
        self.change(|pending| {
            if before != mode {
                pending.warn(warning);
            }
            if !matches!(before, Mode::Polling { .. }) {
                pending.rescan();
            }
        });
    }

    /// From now on, changes are noticed.
    fn watching(&self, folders: usize) {
        *lock(&self.mode) = Mode::Watching { folders };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
