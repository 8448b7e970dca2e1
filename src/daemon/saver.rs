//! The state folder's desk: whatever is read or written there while the loop runs, on a thread of its own, so that the
//! loop never waits for that disk.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use super::exporter::Exporter;
use super::{Inbox, Message, Readers, Remember, chain, guarded};
use crate::domain::manifest::Manifest;
use crate::domain::obstacles::Obstacles;
use crate::domain::reconciler::{Input, Reconciler};
use crate::domain::state::{Change, State};
use crate::domain::time::Timestamp;
use crate::local::approval;
use crate::local::obstacles_file;
use crate::local::state_store::{StateStore, StoreError};

pub(super) struct Saver {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    exporter: Exporter,
    /// What was last told to stand in the way.
    noted: Option<Obstacles>,
    /// When that is to be told again, because it could not be written.
    note_again_at: Option<Instant>,
}

enum Order {
    Record(Vec<Change>),
    Publish(Box<State>),
    /// See whether everything is still in its place, and whether an approval is there.
    Look,
    ConsumeApproval,
    Remember(Remember),
    Note(Obstacles, Timestamp),
}

struct Desk {
    store: Box<dyn StateStore>,
    state_dir: PathBuf,
    exporter: Exporter,
    readers: Option<Readers>,
    inbox: Inbox,
}

impl Saver {
    /// # Errors
    /// If the thread cannot be started: nothing would ever be saved.
    pub(super) fn start(
        store: Box<dyn StateStore>,
        manifest: &Arc<Manifest>,
        readers: Option<Readers>,
        inbox: Inbox,
    ) -> Result<Self, StoreError> {
        Self::start_on(std::thread::Builder::new(), store, manifest, readers, inbox)
    }

    fn start_on(
        thread: std::thread::Builder,
        store: Box<dyn StateStore>,
        manifest: &Arc<Manifest>,
        readers: Option<Readers>,
        inbox: Inbox,
    ) -> Result<Self, StoreError> {
        let (orders, waiting) = mpsc::channel();
        let exporter = Exporter::start(manifest, inbox.clone());
        let state_dir = manifest.sync.state_dir.clone();
        let path = state_dir.clone();
        let mut desk = Desk { store, state_dir, exporter: exporter.clone(), readers, inbox };
        let work = move || {
            while let Ok(order) = waiting.recv() {
                desk.perform(order);
            }
        };
        let thread = thread.name("saver".to_owned()).spawn(work).map_err(|source| {
            let action = "start the thread that saves to";
            StoreError::Io { action, path, source }
        })?;
        Ok(Self { orders: Some(orders), thread: Some(thread), exporter, noted: None, note_again_at: None })
    }

    pub(super) fn record(&self, changes: Vec<Change>) {
        self.order(Order::Record(changes));
    }

    pub(super) fn publish(&self, state: Box<State>) {
        self.order(Order::Publish(state));
    }

    /// Looks at the state folder; the answer is [`Message::Looked`].
    pub(super) fn look(&self) {
        self.order(Order::Look);
    }

    pub(super) fn consume_approval(&self) {
        self.order(Order::ConsumeApproval);
    }

    /// Shows what stands in the way of many entries at once, where that is news. Before the first look at everything,
    /// nobody knows that nothing does.
    pub(super) fn note(&mut self, engine: &Reconciler, now: Timestamp) {
        let obstacles = engine.obstacles();
        if engine.has_walked() || !obstacles.is_empty() {
            self.note_obstacles(obstacles, now);
        }
    }

    fn note_obstacles(&mut self, obstacles: Obstacles, now: Timestamp) {
        let is_due = self.note_again_at.is_some_and(|at| at <= Instant::now());
        if is_due || self.noted.as_ref() != Some(&obstacles) {
            self.note_again_at = None;
            self.noted = Some(obstacles.clone());
            self.order(Order::Note(obstacles, now));
        }
    }

    /// What was shown may be gone, or was never written.
    pub(super) fn note_again(&mut self) {
        self.noted = None;
    }

    /// Whether the last note could be written. One that could not is tried again, not at once: the folder is the same.
    pub(super) fn answered_note(&mut self, written: bool) {
        self.note_again_at = (!written).then(|| Instant::now() + NOTE_AGAIN);
    }

    /// The answer is [`Message::Remembered`].
    pub(super) fn remember(&self, remember: Remember) {
        self.order(Order::Remember(remember));
    }

    /// Brings the exports up to date, and nothing else.
    pub(super) fn export(&self, state: Box<State>) {
        self.exporter.export(state);
    }

    pub(super) fn follow(&self, manifest: &Arc<Manifest>) {
        self.exporter.follow(manifest);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            drop(orders.send(order));
        }
    }

    /// Finishes what was ordered. Saving is what a stop is worth waiting for.
    pub(super) async fn close(&mut self) {
        self.orders = None;
        let (thread, exporter) = (self.thread.take(), self.exporter.clone());
        let end = move || {
            if let Some(thread) = thread {
                drop(thread.join());
            }
            exporter.close();
        };
        drop(tokio::task::spawn_blocking(end).await);
    }
}

impl Desk {
    fn perform(&mut self, order: Order) {
        match order {
            Order::Record(changes) => {
                let result = guarded(|| self.store.record(&changes).map_err(|error| chain(&error)));
                self.tell(Message::Input(Input::Recorded(result)));
            }
            Order::Publish(state) => {
                let begin = Instant::now();
                let result = guarded(|| self.store.publish(&state).map(drop).map_err(|error| chain(&error)));
                let published = result.is_ok();
                if let Some(readers) = self.readers.as_ref().filter(|_| published) {
                    readers(&state);
                }
                self.tell(Message::Input(Input::Published { result, took: begin.elapsed() }));
                if published {
                    self.exporter.export(state);
                }
            }
            Order::Look => {
                let waiting = approval::read(&self.state_dir).ok().flatten();
                let approved = waiting.map(|approval| approval.digest());
                self.tell(Message::Looked { in_place: self.store.is_in_place(), approved });
            }
            Order::ConsumeApproval => {
                if let Err(error) = approval::consume(&self.state_dir) {
                    let text = format!("cannot remove the used approval: {error}");
                    self.tell(Message::Warnings(vec![text]));
                }
            }
            Order::Note(obstacles, now) => {
                // A folder that takes no file is told of by what matters more.
                let result = guarded(|| {
                    obstacles_file::write(&self.state_dir, &obstacles, now).map_err(|error| error.to_string())
                });
                self.tell(Message::Noted { written: result.is_ok() });
            }
            Order::Remember(remember) => self.tell(Message::Remembered(guarded(|| remember()))),
        }
    }

    fn tell(&self, message: Message) {
        drop(self.inbox.send(message));
    }
}

const NOTE_AGAIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::records::Records;
    use crate::domain::state_format::testing::at;
    use crate::local::state_store::{FolderStore, Loaded, Published};

    /// Refuses the first publication.
    struct RefusesFirst {
        store: FolderStore,
        refused: bool,
    }

    impl StateStore for RefusesFirst {
        fn load(&mut self) -> Result<Loaded, StoreError> {
            self.store.load()
        }

        fn record(&mut self, changes: &[Change]) -> Result<(), StoreError> {
            self.store.record(changes)
        }

        fn publish(&mut self, state: &State) -> Result<Published, StoreError> {
            if std::mem::replace(&mut self.refused, true) {
                return self.store.publish(state);
            }
            Err(StoreError::NeedsPublish { reason: "the disk is full" })
        }

        fn is_in_place(&self) -> bool {
            self.store.is_in_place()
        }
    }

    #[tokio::test]
    async fn what_could_not_be_published_is_neither_exported_nor_told_to_readers() {
        for publications in 1..=3 {
            let folder = tempfile::tempdir().unwrap();
            let text = "version = 1\n[[export]]\npath = \"urls.json\"\nformat = \"json\"\n";
            let manifest = crate::daemon::testing::manifest_of(folder.path(), text);
            let mut store = FolderStore::open(&manifest.sync.state_dir).unwrap();
            let lineage = store.load().unwrap().state.lineage;
            let (inbox, mut messages) = tokio::sync::mpsc::unbounded_channel();
            let told = Arc::new(Mutex::new(Vec::new()));
            let ear = told.clone();
            let readers: Readers = Arc::new(move |state| ear.lock().unwrap().push(state.serial));
            let store = Box::new(RefusesFirst { store, refused: false });
            let mut saver = Saver::start(store, &manifest, Some(readers), inbox).unwrap();
            for serial in 1..=publications {
                let (lineage, records) = (lineage.clone(), Records::default());
                saver.publish(Box::new(State { lineage, serial, root: None, records }));
            }
            // After this, whatever was handed over was written.
            saver.close().await;
            let mut published = Vec::new();
            while let Some(message) = messages.recv().await {
                match message {
                    Message::Input(Input::Published { result, .. }) => published.push(result.is_ok()),
                    Message::Warnings(texts) => panic!("{texts:?}"),
                    _ => {}
                }
            }
            let expected: Vec<_> = (1..=publications).map(|serial| serial > 1).collect();
            assert_eq!(published, expected);
            assert_eq!(*told.lock().unwrap(), (2..=publications).collect::<Vec<_>>());
            assert_eq!(folder.path().join("urls.json").exists(), publications > 1, "{publications}");
        }
    }

    #[test]
    fn a_thread_that_cannot_be_started_is_an_error_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = crate::daemon::testing::manifest(folder.path());
        let store = Box::new(FolderStore::open(&manifest.sync.state_dir).unwrap());
        let (inbox, _messages) = tokio::sync::mpsc::unbounded_channel();
        let impossible = std::thread::Builder::new().stack_size(usize::MAX / 2);
        let error = Saver::start_on(impossible, store, &manifest, None, inbox).err().expect("no such thread");
        let text = error.to_string();
        assert!(text.contains("cannot start the thread that saves to"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_that_could_not_be_written_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = crate::daemon::testing::manifest(folder.path());
        let state_dir = manifest.sync.state_dir.clone();
        let store = Box::new(FolderStore::open(&state_dir).unwrap());
        let (inbox, mut messages) = tokio::sync::mpsc::unbounded_channel();
        let mut saver = Saver::start(store, &manifest, None, inbox).unwrap();
        let obstacles = Obstacles { folder: Some("it is not there".to_owned()), ..Obstacles::default() };
        let now = at("2026-11-21T16:00:00Z");
        // A folder in its place refuses the file whoever asks, root included.
        let in_the_way = state_dir.join("obstacles.json");
        std::fs::create_dir(&in_the_way).unwrap();
        for (passed, written) in [(0, Some(false)), (29, None), (1, Some(false)), (29, None)] {
            tokio::time::advance(Duration::from_secs(passed)).await;
            saver.note_obstacles(obstacles.clone(), now);
            assert_eq!(answer(&mut saver, &mut messages).await, written, "after {passed} s");
        }
        std::fs::remove_dir(&in_the_way).unwrap();
        for (passed, written) in [(1, Some(true)), (3600, None)] {
            tokio::time::advance(Duration::from_secs(passed)).await;
            saver.note_obstacles(obstacles.clone(), now);
            assert_eq!(answer(&mut saver, &mut messages).await, written, "after {passed} s");
        }
        assert_eq!(obstacles_file::read(&state_dir), Some((obstacles, now)));
        saver.close().await;
    }

    /// What became of a note; nothing where none was ordered. A look behind it shows that nothing else is to come.
    async fn answer(
        saver: &mut Saver,
        messages: &mut tokio::sync::mpsc::UnboundedReceiver<Message>,
    ) -> Option<bool> {
        saver.look();
        let mut answer = None;
        loop {
            match messages.recv().await.expect("the desk is there") {
                Message::Noted { written } => {
                    saver.answered_note(written);
                    answer = Some(written);
                }
                Message::Looked { .. } => return answer,
                _ => {}
            }
        }
    }
}
