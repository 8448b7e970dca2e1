//! Saves on a thread of its own, so that the loop never waits for a disk: journal, snapshots, exports.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::time::Instant;

use super::{Inbox, Message};
use crate::domain::export;
use crate::domain::manifest::{Export, Manifest};
use crate::domain::reconciler::Input;
use crate::domain::state::{Change, State};
use crate::local::export_file::ExportFolder;
use crate::local::state_store::StateStore;

pub(super) struct Saver {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Record(Vec<Change>),
    Publish(Box<State>),
    Export(Box<State>),
    Follow(Arc<Manifest>),
}

struct Desk {
    store: Box<dyn StateStore>,
    manifest: Arc<Manifest>,
    exports: ExportFolder,
    inbox: Inbox,
    /// What was said about exports last: the same trouble is told once.
    told: Vec<String>,
}

impl Saver {
    pub(super) fn start(store: Box<dyn StateStore>, manifest: &Arc<Manifest>, inbox: Inbox) -> Self {
        let (orders, waiting) = mpsc::channel();
        let exports = ExportFolder::new(manifest.sync.root.clone(), manifest.sync.state_dir.clone());
        let mut desk = Desk { store, manifest: manifest.clone(), exports, inbox, told: Vec::new() };
        let work = move || {
            while let Ok(order) = waiting.recv() {
                desk.perform(order);
            }
        };
        let thread = std::thread::Builder::new().name("saver".to_owned()).spawn(work);
        Self { orders: Some(orders), thread: thread.ok() }
    }

    pub(super) fn record(&self, changes: Vec<Change>) {
        self.order(Order::Record(changes));
    }

    pub(super) fn publish(&self, state: Box<State>) {
        self.order(Order::Publish(state));
    }

    /// Brings the exports up to date, and nothing else.
    pub(super) fn export(&self, state: Box<State>) {
        self.order(Order::Export(state));
    }

    pub(super) fn follow(&self, manifest: &Arc<Manifest>) {
        self.order(Order::Follow(manifest.clone()));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            drop(orders.send(order));
        }
    }

    /// Finishes what was ordered. Saving is what a stop is worth waiting for.
    pub(super) async fn close(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}

impl Desk {
    fn perform(&mut self, order: Order) {
        match order {
            Order::Record(changes) => {
                let result = self.store.record(&changes).map_err(|error| chain(&error));
                self.tell(Input::Recorded(result));
            }
            Order::Publish(state) => {
                let begin = Instant::now();
                let result = self.store.publish(&state).map(drop).map_err(|error| chain(&error));
                let published = result.is_ok();
                self.tell(Input::Published { result, took: begin.elapsed() });
                if published {
                    self.export(&state);
                }
            }
            Order::Export(state) => self.export(&state),
            Order::Follow(manifest) => self.manifest = manifest,
        }
    }

    fn export(&mut self, state: &State) {
        let write = |export: &Export| {
            let text = export::render(export.format, state)
                .map_err(|clash| format!("cannot write the export {}: {clash}", export.path))?;
            self.exports.write(export, &text).map_err(|error| chain(&error))
        };
        let problems: Vec<String> =
            self.manifest.exports.iter().filter_map(|export| write(export).err()).collect();
        if problems != self.told {
            self.told.clone_from(&problems);
            drop(self.inbox.send(Message::Warnings(problems)));
        }
    }

    fn tell(&self, input: Input) {
        drop(self.inbox.send(Message::Input(input)));
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
