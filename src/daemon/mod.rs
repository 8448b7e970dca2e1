//! RUNS: the only loop. Gathers what happened, lets the engine take one turn, performs the effects.
//!
//! It owns all state through the engine; helpers on other threads only send messages. It decides nothing.

pub(crate) mod files;
mod saver;
mod uploader;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use files::FolderReader;
use saver::Saver;
use uploader::Uploader;

use crate::domain::asset::ProviderName;
use crate::domain::event::Event;
use crate::domain::manifest::Manifest;
use crate::domain::reconciler::{Effect, Input, Mode, Reconciler, Summary};
use crate::domain::time::Now;
use crate::local::approval;
use crate::local::clock::Clock;
use crate::local::kept::Kept;
use crate::local::signals::Signal;
use crate::local::state_store::{Loaded, StateStore, StoreError};
use crate::provider::credentials::Lookups;
use crate::provider::http::HttpClient;

/// Everything that the loop is given.
pub struct Parts {
    /// How it works through what is due.
    pub mode: Mode,
    /// What is wanted.
    pub manifest: Arc<Manifest>,
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
    /// Remembers that the manifest in force is good.
    pub remember: Box<dyn FnMut() + Send>,
    /// Files whose change makes the manifest be read again, absolute.
    pub manifest_files: Vec<PathBuf>,
    /// Signals, as they come.
    pub signals: mpsc::UnboundedReceiver<Signal>,
    /// Who is told.
    pub observer: Box<dyn Observer>,
}

/// Reads the manifest and config again.
pub type Reload = Box<dyn FnMut() -> Reloaded + Send>;

/// What reading them again came to.
pub enum Reloaded {
    /// They are good, and others than before.
    Changed(Arc<Manifest>),
    /// They are as they were.
    Unchanged,
    /// They are broken, which has been told.
    Broken,
}

/// Who is told what happens.
pub trait Observer: Send {
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
enum Message {
    Input(Input),
    /// A scan is over; where it was of everything, these folders are to be watched.
    Scanned {
        folders: Option<Vec<crate::local::scanner::Folder>>,
        whole: bool,
    },
    Warnings(Vec<String>),
}

type Inbox = mpsc::UnboundedSender<Message>;

/// The loop.
pub struct Daemon {
    engine: Reconciler,
    mode: Mode,
    clock: Arc<dyn Clock>,
    inbox: mpsc::UnboundedReceiver<Message>,
    folder: FolderReader,
    saver: Saver,
    uploader: Uploader,
    manifest: Arc<Manifest>,
    reload: Reload,
    remember: Box<dyn FnMut() + Send>,
    /// When a manifest that was touched is read again: editors save in several steps.
    reload_at: Option<Instant>,
    signals: mpsc::UnboundedReceiver<Signal>,
    observer: Box<dyn Observer>,
    /// Inputs that the loop itself has for the next turn.
    own: Vec<Input>,
    stop_by: Option<Instant>,
    state_dir: PathBuf,
    swept_at: Option<Instant>,
    uploaded: bool,
    remembered: bool,
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
        let now = clock.now();
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let first = parts.last_good.clone().unwrap_or_else(|| manifest.clone());
        let engine = Reconciler::new(mode, first, state, seed, now);
        let kept = Arc::new(Kept::new(&manifest.sync.state_dir));
        let http = HttpClient::new();
        let mut this = Self {
            folder,
            saver: Saver::start(store, &manifest, sender.clone()),
            uploader: Uploader::new(&manifest, kept, http, parts.lookups, clock.clone(), sender),
            state_dir: manifest.sync.state_dir.clone(),
            engine,
            mode,
            clock,
            inbox,
            manifest: manifest.clone(),
            reload,
            remember,
            reload_at: None,
            signals,
            observer,
            own: Vec::new(),
            stop_by: None,
            swept_at: None,
            uploaded: false,
            remembered: false,
        };
        if parts.last_good.is_some() {
            this.connect_accounts(&manifest.clone());
            this.own.push(Input::Manifest(manifest));
        }
        if unpublished {
            this.own.push(Input::PublishAgain);
        }
        this.export();
        this.connect_accounts(&this.manifest.clone());
        Ok(this)
    }

    /// Runs until a signal (or, for a single pass, until nothing is left to do), and says how things stand.
    pub async fn run(mut self) -> Summary {
        let mut inputs = std::mem::take(&mut self.own);
        loop {
            let now = self.clock.now();
            let step = self.engine.step(now, inputs);
            for effect in step.effects {
                self.perform(effect);
            }
            for event in &step.events {
                self.uploaded |= matches!(event, Event::Uploaded { .. });
                self.observer.event(event);
            }
            self.observer.progress(self.engine.backlog(), self.folder.progress());
            if self.is_over(now) {
                return self.finish().await;
            }
            self.remember_when_settled();
            let wake = step.wake_at.saturating_since(self.clock.now().steady);
            inputs = self.gather(wake).await;
        }
    }

    fn is_over(&self, now: Now) -> bool {
        let late = self.stop_by.is_some_and(|by| by <= Instant::now());
        match self.mode {
            Mode::Once { .. } => self.engine.is_finished(now) || late,
            Mode::Daemon | Mode::Plan => late || (self.stop_by.is_some() && self.engine.has_stopped()),
        }
    }

    /// Waits for something to happen, and takes everything that has.
    async fn gather(&mut self, wake: Duration) -> Vec<Input> {
        let mut inputs = std::mem::take(&mut self.own);
        let mut deadline = Instant::now() + wake;
        for other in [self.reload_at, self.stop_by, self.folder.patience_ends()].into_iter().flatten() {
            deadline = deadline.min(other);
        }
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
        if self.reload_at.is_some_and(|at| at <= Instant::now()) {
            self.reload_manifest(&mut inputs);
        }
        if self.folder.is_hung() {
            inputs.push(Input::ScanHung);
        }
        if self.engine.is_halted()
            && let Ok(Some(approval)) = approval::read(&self.state_dir)
        {
            inputs.push(Input::Approved { digest: approval.digest() });
        }
        inputs
    }

    fn take(&mut self, message: Message, inputs: &mut Vec<Input>) {
        match message {
            Message::Input(input) => inputs.push(input),
            Message::Scanned { folders, whole } => {
                self.folder.answered(folders);
                if whole {
                    self.after_walk();
                }
            }
            Message::Warnings(texts) => self.warn(&texts),
        }
    }

    fn warn(&mut self, texts: &[String]) {
        for text in texts {
            self.observer.warning(text);
        }
    }

    fn on_signal(&mut self, signal: Signal, inputs: &mut Vec<Input>) {
        match signal {
            Signal::Reload => {
                self.reload_manifest(inputs);
                // Whoever asks for it may have changed a secret.
                self.connect_accounts(&self.manifest.clone());
                inputs.append(&mut self.own);
            }
            Signal::Stop => {
                self.stop_by.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
                inputs.push(Input::Stop);
            }
        }
    }

    fn on_changes(&mut self, changes: crate::local::watcher::Changes, inputs: &mut Vec<Input>) {
        self.warn(&changes.warnings);
        if changes.manifest {
            self.reload_at = Some(Instant::now() + RELOAD_DELAY);
        }
        if changes.rescan || !changes.paths.is_empty() {
            inputs.push(Input::Touched { paths: changes.paths, everything: changes.rescan });
        }
    }

    fn reload_manifest(&mut self, inputs: &mut Vec<Input>) {
        self.reload_at = None;
        let Reloaded::Changed(manifest) = (self.reload)() else { return };
        self.remembered = false;
        if manifest.sync.root != self.manifest.sync.root
            || manifest.sync.state_dir != self.manifest.sync.state_dir
        {
            self.observer
                .warning("root and state_dir change by a restart only; the present ones stay in force");
        }
        self.folder.follow(&manifest);
        self.uploader.follow(&manifest);
        self.saver.follow(&manifest);
        self.manifest = manifest.clone();
        inputs.push(Input::Manifest(manifest.clone()));
        self.export();
        self.connect_accounts(&manifest);
        inputs.append(&mut self.own);
    }

    fn export(&self) {
        if !self.manifest.exports.is_empty() {
            self.saver.export(Box::new(self.engine.state()));
        }
    }

    fn connect_accounts(&mut self, manifest: &Manifest) {
        for name in manifest.providers.keys() {
            self.connect(name);
        }
    }

    fn connect(&mut self, provider: &ProviderName) {
        let result = self.uploader.connect(provider);
        self.own.push(Input::Account { provider: provider.clone(), result });
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Scan(request) => self.folder.scan(request),
            Effect::Reconnect(provider) => self.connect(&provider),
            Effect::Upload(order) => self.uploader.start(*order),
            Effect::Record(changes) => self.saver.record(changes),
            Effect::Publish(state) => self.saver.publish(state),
            Effect::ConsumeApproval => {
                if let Err(error) = approval::consume(&self.state_dir) {
                    self.observer.warning(&format!("cannot remove the used approval: {error}"));
                }
            }
        }
    }

    /// What can be done now that the whole folder has been looked at.
    fn after_walk(&mut self) {
        let due = self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP_EVERY);
        if self.mode == Mode::Daemon && due {
            self.swept_at = Some(Instant::now());
            self.uploader.sweep(self.engine.needed_copies());
        }
    }

    /// A manifest is worth remembering once nothing of what it changed is held back.
    fn remember_when_settled(&mut self) {
        if !self.remembered && !self.engine.is_halted() && self.engine.has_walked() {
            (self.remember)();
            self.remembered = true;
        }
    }

    /// What has come in since the last turn.
    fn leftovers(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Warnings(texts) => self.warn(&texts),
                Message::Input(
                    input @ (Input::Uploaded(_) | Input::Recorded(_) | Input::Published { .. }),
                ) => {
                    inputs.push(input);
                }
                Message::Input(_) | Message::Scanned { .. } => {}
            }
        }
        inputs
    }

    async fn finish(mut self) -> Summary {
        if self.uploaded && matches!(self.mode, Mode::Once { .. }) {
            self.uploader.sweep(self.engine.needed_copies());
        }
        self.uploader.abandon().await;
        // What was confirmed in the last moments is recorded as well; nothing new begins.
        let late = std::iter::once(Input::Stop).chain(self.leftovers()).collect();
        let mut events = self.engine.step(self.clock.now(), late).events;
        let (state, held) = self.engine.last_words();
        events.extend(held);
        if let Some(state) = state {
            self.saver.publish(Box::new(state));
        }
        self.saver.close().await;
        self.folder.close();
        // Whether the last snapshot could be saved decides how this ends. Nothing is done about it any more.
        let saved = self.leftovers();
        events.extend(self.engine.step(self.clock.now(), saved).events);
        for event in &events {
            self.observer.event(event);
        }
        let summary = self.engine.summary();
        // The process is about to end: taking a hundred thousand records apart first would be in vain.
        std::mem::forget(self.engine);
        summary
    }
}

/// How long requests that are under way may take after a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
const RELOAD_DELAY: Duration = Duration::from_millis(300);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
