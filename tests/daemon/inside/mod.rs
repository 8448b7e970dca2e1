//! The daemon inside the test, where its clock can be set, its disk can hang and its helpers can panic.

mod clocks;
mod defects;
mod hangs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use mediakeep::daemon::{Daemon, Observer, Parts, Reload, Reloaded, ScanProgress, ServiceManager};
use mediakeep::domain::event::Event;
use mediakeep::domain::manifest::{Manifest, Source, Sources, parse};
use mediakeep::domain::reconciler::{Mode, Summary};
use mediakeep::domain::state::{Change, State};
use mediakeep::local::clock::{Clock, SystemClock};
use mediakeep::local::signals::Signal;
use mediakeep::local::state_store::{FolderStore, Loaded, Published, StateStore, StoreError};
use mediakeep::provider::KINDS;
use mediakeep::provider::credentials::Lookups;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::stage::{PASSWORD, Stage, file};

/// These tests wait for renewals.
const SHORT_LIFE: Duration = Duration::from_secs(12);

/// A daemon in this process.
struct Inside {
    runtime: Option<Runtime>,
    signals: tokio::sync::mpsc::UnboundedSender<Signal>,
    daemon: Option<JoinHandle<Summary>>,
    events: Arc<Mutex<Vec<Event>>>,
    warnings: Arc<Mutex<Vec<String>>>,
}

/// What is different from the real thing.
struct Twist {
    mode: Mode,
    clock: Arc<dyn Clock>,
    lookups: Arc<dyn Lookups>,
    reload: Reload,
    store: Box<dyn FnOnce(FolderStore) -> Box<dyn StateStore>>,
}

impl Default for Twist {
    fn default() -> Self {
        let secrets =
            ["BANDWIDTH_PASSWORD", "PLIVO_AUTH_TOKEN"].map(|name| (name.to_owned(), PASSWORD.to_owned()));
        Self {
            mode: Mode::Daemon,
            clock: Arc::new(SystemClock::new()),
            lookups: Arc::new(BTreeMap::from(secrets)),
            reload: Box::new(|| Reloaded::Unchanged),
            store: Box::new(|store| Box::new(store)),
        }
    }
}

fn manifest(stage: &Stage) -> Arc<Manifest> {
    let path = stage.media("media.toml");
    let text = std::fs::read(&path).unwrap();
    let folder = stage.beside("state");
    let manifest = Source { name: "media.toml", path: &path, text: &text };
    let sources = Sources { manifest, config: None, state_directory: Some(folder.as_os_str()) };
    Arc::new(parse(&sources, KINDS).manifest.expect("the manifest is good"))
}

impl Inside {
    fn start(stage: &Stage, twist: Twist) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (signals, received) = tokio::sync::mpsc::unbounded_channel();
        let (events, warnings) = (Arc::default(), Arc::default());
        let manifest = manifest(stage);
        let parts = Parts {
            mode: twist.mode,
            store: (twist.store)(FolderStore::open(&manifest.sync.state_dir).unwrap()),
            manifest,
            last_good: None,
            broken: None,
            clock: twist.clock,
            lookups: twist.lookups,
            reload: twist.reload,
            remember: Arc::new(|| Ok(())),
            manifest_files: vec![stage.media("media.toml")],
            signals: received,
            observer: Box::new(Witness { events: Arc::clone(&events), warnings: Arc::clone(&warnings) }),
            board: Arc::default(),
            manager: ServiceManager::none(),
        };
        let daemon = runtime.block_on(async { Daemon::new(parts) }).unwrap_or_else(|error| panic!("{error}"));
        let daemon = Some(runtime.spawn(daemon.run()));
        Self { runtime: Some(runtime), signals, daemon, events, warnings }
    }

    fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| fits(event)).count()
    }

    fn stop(self) -> Summary {
        self.signals.send(Signal::Stop).unwrap();
        self.end()
    }

    fn end(mut self) -> Summary {
        let daemon = self.daemon.take().unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        let end = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(15), daemon).await });
        end.expect("it ends").unwrap()
    }
}

impl Drop for Inside {
    /// Waits for nothing: in these tests there are threads that hang.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Witness {
    events: Arc<Mutex<Vec<Event>>>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Observer for Witness {
    fn event(&mut self, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
    }

    fn warning(&mut self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }

    fn progress(&mut self, _backlog: usize, _scan: ScanProgress) {}
}

fn published(stage: &Stage) {
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "logo");
    }
}

fn stage_with_logo() -> Stage {
    let stage = Stage::with_life(SHORT_LIFE);
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    stage
}

/// A store that does as it is told, now and then.
struct Moody {
    store: FolderStore,
    mood: Arc<Mutex<Mood>>,
}

#[derive(Default)]
struct Mood {
    panics: usize,
    /// Saving waits as long as somebody holds the other end.
    hangs: Option<mpsc::Receiver<()>>,
}

impl Moody {
    fn live_it(&self) {
        let (panics, hang) = {
            let mut mood = self.mood.lock().unwrap();
            let panics = mood.panics > 0;
            mood.panics -= usize::from(panics);
            (panics, mood.hangs.take())
        };
        if let Some(hang) = hang {
            let _ = hang.recv();
        }
        assert!(!panics, "a defect, for a test");
    }
}

impl StateStore for Moody {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.store.load()
    }

    fn record(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.live_it();
        self.store.record(changes)
    }

    fn publish(&mut self, state: &State) -> Result<Published, StoreError> {
        self.live_it();
        self.store.publish(state)
    }

    fn is_in_place(&self) -> bool {
        self.store.is_in_place()
    }
}

fn moody() -> (Twist, Arc<Mutex<Mood>>) {
    let mood = Arc::<Mutex<Mood>>::default();
    let own = Arc::clone(&mood);
    let store = Box::new(move |store| Box::new(Moody { store, mood: own }) as Box<dyn StateStore>);
    (Twist { store, ..Twist::default() }, mood)
}
