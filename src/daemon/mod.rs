//! RUNS: the only loop. Gathers what happened, lets the engine take one turn, performs the effects.
//!
//! It owns all state through the engine; helpers on other threads only send messages. It decides nothing.

pub(crate) mod files;

mod accounts;
pub mod board;
mod ending;
mod exporter;
pub mod heartbeat;
mod limiter;
mod manifest_reader;
mod memory;
pub(crate) mod parts;
pub mod reading;
mod saver;
mod service_manager;
mod shelf;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod uploader;
mod verifier;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use accounts::Accounts;
use board::{Showing, View};
use files::FolderReader;
use manifest_reader::ManifestReader;
use memory::Memory;
use parts::{Inbox, Message, chain, guarded};
pub use parts::{Observer, Parts, Readers, Reload, Reloaded, Remember, ScanProgress};
use reading::Reading;
use saver::Saver;
pub use service_manager::ServiceManager;
use uploader::Uploader;

use crate::domain::asset::{ContentHash, EntryKey};
use crate::domain::event::Event;
use crate::domain::manifest::Manifest;
use crate::domain::reconciler::{Effect, Input, Mode, Reconciler, Summary};
use crate::domain::time::Now;
use crate::local::approval;
use crate::local::clock::Clock;
use crate::local::kept::Kept;
use crate::local::signals::Signal;
use crate::local::state_store::{Loaded, StoreError};
use crate::local::watcher::Changes;

/// The loop.
pub struct Daemon {
    engine: Reconciler,
    mode: Mode,
    clock: Arc<dyn Clock>,
    inbox: mpsc::UnboundedReceiver<Message>,
    folder: FolderReader,
    saver: Saver,
    accounts: Accounts,
    uploader: Uploader,
    manifest: Arc<Manifest>,
    reader: ManifestReader,
    reading: Reading,
    memory: Memory,
    signals: mpsc::UnboundedReceiver<Signal>,
    observer: Box<dyn Observer>,
    manager: ServiceManager,
    /// Inputs that the loop itself has for the next turn.
    own: Vec<Input>,
    /// What came before the first turn.
    early: Vec<Message>,
    stop_by: Option<Instant>,
    /// Whether the state folder is being looked at, and since when it was last.
    looking: bool,
    looked_at: Instant,
    /// What is being sent, until the engine knows what became of it.
    sending: BTreeMap<EntryKey, ContentHash>,
    walked: bool,
    walked_at: Option<Now>,
    showing: Showing,
    /// The approval that a pass has told the engine of at its end.
    approval: Option<String>,
    swept_at: Option<Instant>,
    uploaded: bool,
}

impl Daemon {
    /// Puts the loop together and reads what is recorded. The first look at the folder begins meanwhile.
    ///
    /// # Errors
    /// If what is recorded cannot be read, or is not ours.
    pub fn new(parts: Parts) -> Result<Self, StoreError> {
        let Parts { mode, manifest, mut store, clock, mut observer, signals, reload, remember, .. } = parts;
        let (sender, inbox) = mpsc::unbounded_channel();
        let mut folder =
            FolderReader::new(&manifest, &parts.manifest_files, clock.clone(), sender.clone(), mode);
        folder.start_looking();
        let Loaded { state, notes, unpublished } = store.load()?;
        for note in &notes {
            observer.warning(&note.to_string());
        }
        let readers = observer.readers();
        if let Some(readers) = &readers {
            readers(&state);
        }
        let now = clock.now();
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let last_good = parts.last_good.unwrap_or_else(|| manifest.clone());
        let engine = Reconciler::new(mode, last_good.clone(), state, seed, now);
        let state_dir = manifest.sync.state_dir.clone();
        let kept = Arc::new(Kept::new(&state_dir));
        let uploader = Uploader::new(&last_good, kept, clock.clone(), sender.clone());
        let mut this = Self {
            folder,
            saver: Saver::start(store, &manifest, readers, sender.clone())?,
            accounts: Accounts::new(&last_good, parts.lookups, parts.board.clone(), sender.clone()),
            uploader,
            reader: ManifestReader::new(reload, sender),
            engine,
            mode,
            clock,
            inbox,
            manifest: last_good.clone(),
            memory: Memory::new(remember),
            signals,
            observer,
            manager: parts.manager,
            reading: Reading::first(parts.broken, now.wall),
            own: Vec::new(),
            early: Vec::new(),
            stop_by: None,
            looking: false,
            looked_at: Instant::now(),
            sending: BTreeMap::new(),
            walked: false,
            walked_at: None,
            showing: Showing::new(parts.board),
            approval: None,
            swept_at: None,
            uploaded: false,
        };
        if let Some(event) = this.reading.event() {
            this.tell_of_reading(&event);
        }
        this.connect_accounts();
        if !Arc::ptr_eq(&last_good, &manifest) {
            this.take_manifest(manifest);
        }
        if unpublished {
            this.own.push(Input::PublishAgain);
        }
        if let Ok(Some(approval)) = approval::read(&state_dir) {
            this.own.push(Input::Approved { digest: approval.digest() });
        }
        this.export();
        Ok(this)
    }

    /// Runs until a signal (or, for a single pass, until nothing is left to do), and says how things stand.
    pub async fn run(mut self) -> Summary {
        let mut inputs = self.begin().await;
        loop {
            let now = self.clock.now();
            let mut news = !inputs.is_empty();
            let step = self.engine.step(now, inputs);
            news |= !step.effects.is_empty() || !step.events.is_empty();
            self.showing.turned(news);
            for effect in step.effects {
                self.perform(effect);
            }
            self.tell(&step.events);
            self.manager.turn(&self.engine, self.folder.progress(), news);
            self.saver.note(&self.engine, now.wall);
            self.observer.progress(self.engine.backlog(), self.folder.progress());
            if self.is_over(now) && !self.has_fresh_approval() {
                return self.finish().await;
            }
            self.remember_when_settled();
            self.sweep_after_walk();
            self.look_at_state_folder();
            self.show(now);
            let wake = step.wake_at.saturating_since(self.clock.now().steady);
            inputs = self.gather(wake).await;
        }
    }

    /// What the first turn begins with. Credentials in files are worth a moment: entries need not be looked at twice
    /// then. Anything else that comes meanwhile answers what that turn will ask for, so it comes after it.
    async fn begin(&mut self) -> Vec<Input> {
        let mut inputs = std::mem::take(&mut self.own);
        let patience = Instant::now() + START_PATIENCE;
        while self.accounts.is_looking_up() {
            match tokio::time::timeout_at(patience, self.inbox.recv()).await {
                Ok(Some(Message::Connected(answer))) => inputs.extend(self.accounts.answered(answer)),
                Ok(Some(other)) => self.early.push(other),
                Ok(None) | Err(_) => break,
            }
        }
        inputs
    }

    /// For those who look on.
    fn show(&mut self, at: Now) {
        self.showing.show_if_due(|| View {
            overview: self.engine.overview(),
            at,
            walked_at: self.walked_at,
            rescan: self.manifest.sync.rescan,
            reading: self.reading.clone(),
            watching: self.folder.watching(),
        });
    }

    fn tell(&mut self, events: &[Event]) {
        for event in events {
            self.uploaded |= matches!(event, Event::Uploaded { .. });
            if matches!(event, Event::StateWritable) {
                self.remember_again();
            }
            self.observer.event(event);
        }
    }

    fn is_over(&self, now: Now) -> bool {
        let late = self.stop_by.is_some_and(|by| by <= Instant::now());
        match self.mode {
            Mode::Once { .. } => self.engine.is_finished(now) || late,
            Mode::Daemon | Mode::Plan => late || (self.stop_by.is_some() && self.engine.has_stopped()),
        }
    }

    /// Whether a pass that the guard halted has an approval that the engine was not told of yet. It is told then.
    fn has_fresh_approval(&mut self) -> bool {
        let asked =
            matches!(self.mode, Mode::Once { .. }) && self.stop_by.is_none() && self.engine.is_halted();
        let Some(approval) =
            asked.then(|| approval::read(&self.manifest.sync.state_dir)).and_then(|read| read.ok().flatten())
        else {
            return false;
        };
        let digest = approval.digest();
        if self.approval.as_ref() == Some(&digest) {
            return false;
        }
        self.approval = Some(digest.clone());
        self.own.push(Input::Approved { digest });
        true
    }

    /// Waits for something to happen, and takes everything that has.
    async fn gather(&mut self, wake: Duration) -> Vec<Input> {
        let mut inputs = std::mem::take(&mut self.own);
        for message in std::mem::take(&mut self.early) {
            self.take(message, &mut inputs);
        }
        let mut deadline = Instant::now() + wake;
        let patience = [self.folder.patience_ends(), self.accounts.patience_ends()];
        let others = [self.reader.due(), self.stop_by, self.showing.due(), self.manager.due()];
        deadline = others.into_iter().chain(patience).flatten().fold(deadline, Instant::min);
        if inputs.is_empty() {
            tokio::select! {
                Some(message) = self.inbox.recv() => self.take(message, &mut inputs),
                Some(signal) = self.signals.recv() => self.on_signal(signal, &mut inputs),
                changes = self.folder.changed() => self.on_changes(changes, &mut inputs),
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message, &mut inputs);
        }
        self.reader.read_if_due();
        inputs.append(&mut self.accounts.overdue());
        if self.folder.is_hung() {
            inputs.push(Input::ScanHung);
        }
        inputs
    }

    fn take(&mut self, message: Message, inputs: &mut Vec<Input>) {
        match message {
            Message::Input(input) => {
                if let Input::Uploaded(outcome) = &input {
                    self.sending.remove(&outcome.order.key);
                }
                inputs.push(input);
            }
            Message::Scanned { folders, whole } => {
                self.folder.answered(folders);
                self.walked |= whole;
                self.walked_at = if whole { Some(self.clock.now()) } else { self.walked_at };
            }
            Message::Warnings(texts) => self.warn(&texts),
            Message::Connected(answer) => inputs.extend(self.accounts.answered(answer)),
            Message::Reloaded(reload, reloaded) => {
                self.reader.answered(reload);
                if let Some(event) = self.reading.again(&reloaded, self.clock.now().wall) {
                    self.tell_of_reading(&event);
                }
                self.showing.changed();
                self.manager.reloaded();
                if let Reloaded::Changed(manifest, remember) = reloaded {
                    self.memory = Memory::new(remember);
                    self.take_manifest(manifest);
                    inputs.append(&mut self.own);
                }
            }
            Message::Noted { written } => self.saver.answered_note(written),
            Message::Remembered(result) => self.on_remembered(result),
            Message::Looked { in_place, approved } => {
                self.looking = false;
                inputs.extend(approved.map(|digest| Input::Approved { digest }));
                if !in_place {
                    inputs.push(Input::PublishAgain);
                    self.remember_again();
                }
            }
        }
    }

    fn tell_of_reading(&mut self, event: &Event) {
        self.manager.manifest_is_broken(self.reading.broken.as_ref().map(|(unusable, _)| unusable.name()));
        self.observer.event(event);
    }

    fn warn(&mut self, texts: &[String]) {
        for text in texts {
            self.observer.warning(text);
        }
    }

    fn on_signal(&mut self, signal: Signal, inputs: &mut Vec<Input>) {
        match signal {
            Signal::Reload => {
                self.manager.reloading();
                self.reader.read();
                // Whoever asks for it may have changed a secret.
                self.connect_accounts();
                inputs.append(&mut self.own);
            }
            Signal::Stop => {
                self.manager.stopping();
                self.stop_by.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
                self.uploader.stop();
                inputs.push(Input::Stop);
            }
        }
    }

    fn on_changes(&mut self, changes: Changes, inputs: &mut Vec<Input>) {
        self.warn(&changes.warnings);
        // Whatever may have been missed, a change of the manifest may be among it.
        if changes.manifest || changes.rescan {
            self.reader.touched();
        }
        if changes.rescan || !changes.paths.is_empty() {
            inputs.push(Input::Touched { paths: changes.paths, everything: changes.rescan });
        }
    }

    fn take_manifest(&mut self, manifest: Arc<Manifest>) {
        self.folder.follow(&manifest);
        self.accounts.follow(&manifest);
        self.uploader.follow(&manifest);
        self.saver.follow(&manifest);
        self.manifest = manifest.clone();
        self.own.push(Input::Manifest(manifest));
        self.export();
        self.connect_accounts();
    }

    fn export(&mut self) {
        if !self.manifest.exports.is_empty() {
            self.saver.export(Box::new(self.engine.state()));
        }
    }

    fn connect_accounts(&mut self) {
        let names = self.manifest.providers.keys();
        self.own.extend(names.filter_map(|name| self.accounts.look_up(name)));
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Scan(request) => self.folder.scan(request),
            Effect::Reconnect(provider) => self.own.extend(self.accounts.look_up(&provider)),
            Effect::Upload(order) => {
                self.sending.insert(order.key.clone(), order.wanted.hash);
                self.uploader.start(self.accounts.get(&order.key.provider), *order);
            }
            Effect::EndLook(provider) => self.uploader.end_look(&provider),
            Effect::Verify(look) => self.uploader.verify(self.accounts.get(&look.provider), *look),
            Effect::Record(changes) => self.saver.record(changes),
            Effect::Publish(state) => self.saver.publish(state),
            Effect::ConsumeApproval => self.saver.consume_approval(),
        }
    }

    /// Removes copies that nothing needs. Only what the engine has taken in counts, so that comes after a turn.
    fn sweep_after_walk(&mut self) {
        let due = self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP_EVERY);
        if std::mem::take(&mut self.walked) && due && self.mode == Mode::Daemon {
            self.swept_at = Some(Instant::now());
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let mut needed = self.engine.needed_copies();
        needed.extend(self.sending.values());
        self.uploader.sweep(needed);
    }

    /// A state folder that vanished shows when it is written to next, which can be a day away.
    fn look_at_state_folder(&mut self) {
        if self.mode == Mode::Daemon && !self.looking && self.looked_at.elapsed() >= LOOK_EVERY {
            (self.looking, self.looked_at) = (true, Instant::now());
            self.saver.look();
        }
    }

    /// A manifest is worth remembering once nothing of what it changed is held back.
    fn remember_when_settled(&mut self) {
        if !self.engine.is_halted()
            && self.engine.has_walked()
            && let Some(remember) = self.memory.begin()
        {
            self.saver.remember(remember);
        }
    }

    /// What was written beside the state may have gone with its folder.
    fn remember_again(&mut self) {
        self.saver.note_again();
        self.memory.may_be_lost();
    }

    fn on_remembered(&mut self, result: Result<(), String>) {
        self.memory.answered(result.is_ok());
        if let Err(why) = result {
            self.observer.warning(&format!("cannot remember the manifest that works: {why}"));
        }
    }
}

/// How long requests that are under way may take after a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often the state folder is looked at, at most. It happens once a turn, and turns are up to 30 s apart.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long the first turn waits for credentials at most.
const START_PATIENCE: Duration = Duration::from_millis(100);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
