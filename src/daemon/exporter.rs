//! Writes exports on a thread of its own. They lie in the watched folder, which can be a dead network mount, and
//! nothing else may wait for that. Only the newest state is of interest: whatever came before it is dropped.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::{Inbox, Message, chain, guarded};
use crate::domain::export;
use crate::domain::manifest::{Export, Manifest};
use crate::domain::state::State;
use crate::local::export_file::ExportFolder;

/// Hands over what is to be exported; clones share the thread, which ends with the last of them.
#[derive(Clone)]
pub(super) struct Exporter {
    slot: Arc<Slot>,
    /// Closed when the thread has ended.
    done: Arc<Mutex<mpsc::Receiver<()>>>,
}

#[derive(Default)]
struct Slot {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    manifest: Option<Arc<Manifest>>,
    state: Option<Box<State>>,
    closed: bool,
}

enum Order {
    Follow(Arc<Manifest>),
    Export(Box<State>),
}

impl Exporter {
    pub(super) fn start(manifest: &Arc<Manifest>, inbox: Inbox) -> Self {
        let slot = Arc::<Slot>::default();
        let (finished, done) = mpsc::channel::<()>();
        let folder = ExportFolder::new(manifest.sync.root.clone(), manifest.sync.state_dir.clone());
        let mut desk = Desk { folder, manifest: manifest.clone(), inbox, told: Vec::new() };
        let orders = slot.clone();
        let work = move || {
            while let Some(order) = orders.next() {
                match order {
                    Order::Follow(manifest) => desk.manifest = manifest,
                    Order::Export(state) => desk.export(&state),
                }
            }
            drop(finished);
        };
        // Without a thread there are no exports, which is no reason to stop.
        drop(std::thread::Builder::new().name("exporter".to_owned()).spawn(work));
        Self { slot, done: Arc::new(Mutex::new(done)) }
    }

    pub(super) fn follow(&self, manifest: &Arc<Manifest>) {
        self.slot.change(|waiting| waiting.manifest = Some(manifest.clone()));
    }

    pub(super) fn export(&self, state: Box<State>) {
        self.slot.change(|waiting| waiting.state = Some(state));
    }

    /// Lets what was ordered be written. A folder that hangs is left alone.
    pub(super) fn close(&self) {
        self.slot.change(|waiting| waiting.closed = true);
        // Nobody sends: the channel closes when the thread ends.
        let _ = lock(&self.done).recv_timeout(CLOSE_PATIENCE);
    }
}

impl Slot {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut lock(&self.waiting));
        self.came.notify_one();
    }

    /// Waits for work; `None` where there is none left and none will come.
    fn next(&self) -> Option<Order> {
        let idle =
            |waiting: &mut Waiting| waiting.manifest.is_none() && waiting.state.is_none() && !waiting.closed;
        let waiting = self.came.wait_while(lock(&self.waiting), idle);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let manifest = waiting.manifest.take().map(Order::Follow);
        manifest.or_else(|| waiting.state.take().map(Order::Export))
    }
}

struct Desk {
    folder: ExportFolder,
    manifest: Arc<Manifest>,
    inbox: Inbox,
    /// What was said about exports last: the same trouble is told once.
    told: Vec<String>,
}

impl Desk {
    fn export(&mut self, state: &State) {
        let write = |export: &Export| {
            guarded(|| {
                let (text, clash) = match export::render(export.format, state) {
                    Ok(text) => (text, Ok(())),
                    Err(clash) => {
                        let told = format!("the export {} leaves out what clashes: {clash}", export.path);
                        (clash.without, Err(told))
                    }
                };
                self.folder.write(export, &text).map_err(|error| chain(&error)).and(clash)
            })
        };
        let problems: Vec<String> =
            self.manifest.exports.iter().filter_map(|export| write(export).err()).collect();
        if problems != self.told {
            self.told.clone_from(&problems);
            drop(self.inbox.send(Message::Warnings(problems)));
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

const CLOSE_PATIENCE: Duration = Duration::from_millis(500);
