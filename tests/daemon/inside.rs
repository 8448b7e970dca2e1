//! The daemon inside the test, where its clock can be set, its disk can hang and its helpers can panic.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use mediakeep::daemon::{Daemon, Observer, Parts, Reload, Reloaded, ScanProgress, ServiceManager};
use mediakeep::domain::event::Event;
use mediakeep::domain::manifest::{Manifest, Source, Sources, parse};
use mediakeep::domain::reconciler::{Mode, Summary};
use mediakeep::domain::state::{Change, State};
use mediakeep::domain::time::Now;
use mediakeep::local::clock::{Clock, ManualClock, SystemClock};
use mediakeep::local::signals::Signal;
use mediakeep::local::state_store::{FolderStore, Loaded, Published, StateStore, StoreError};
use mediakeep::provider::KINDS;
use mediakeep::provider::credentials::Lookups;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::stage::{PASSWORD, Stage, file, files, pause};

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

#[test]
fn a_clock_that_is_set_forwards_and_back_kills_no_url_and_floods_nobody() {
    let stage = stage_with_logo();
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let real = SystemClock::new();
            let mut last = real.now().steady;
            while !ended.load(Ordering::SeqCst) {
                pause(Duration::from_millis(10));
                let now = real.now().steady;
                clock.advance(now.saturating_since(last));
                last = now;
            }
        });
        let twist = Twist { clock: clock.clone(), ..Twist::default() };
        let inside = Inside::start(&stage, twist);
        published(&stage);
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let year_1970 = mediakeep::domain::time::Timestamp::from_unix_ms(1_000_000);
        let truth = || SystemClock::new().now().wall;
        for wall in [truth() + hours(72), truth() - hours(72), year_1970, truth()] {
            clock.set_wall(wall);
            let before = stage.uploads();
            pause(Duration::from_secs(3));
            let uploads = stage.uploads() - before;
            assert!((2..=8).contains(&uploads), "{uploads} uploads of two entries after a jump to {wall}");
        }
        pause(Duration::from_secs(5));
        let jumps = inside.count(|event| matches!(event, Event::ClockJumped { .. }));
        assert_eq!(jumps, 4);
        assert_eq!(inside.count(|event| matches!(event, Event::Lapsed { .. })), 0);
        inside.stop();
        ended.store(true, Ordering::SeqCst);
    });
    stage.nobody_was_let_down();
}

#[test]
fn a_removal_from_a_glob_counts_after_a_minute() {
    let stage = Stage::with_life(Duration::from_secs(600));
    stage.manifest(&files("*.png", "bandwidth"));
    stage.put("logo.png", "logo");
    stage.put("badge.png", "badge");
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let inside = Inside::start(&stage, Twist { clock: clock.clone(), ..Twist::default() });
    let nudge = |length: u64| {
        clock.advance(Duration::from_secs(length));
        inside.signals.send(Signal::Reload).unwrap();
    };
    stage.until("both are published", || {
        nudge(1);
        ["logo.png", "badge.png"].iter().all(|file| stage.url(file, "bandwidth").is_some())
    });
    stage.remove("badge.png");
    stage.until("the loss is seen", || {
        nudge(0);
        inside.count(|event| matches!(event, Event::Blocked { kind: "missing", .. })) == 1
    });
    nudge(55);
    pause(Duration::from_secs(1));
    assert_eq!(inside.count(|event| matches!(event, Event::Retired { .. })), 0);
    nudge(6);
    stage.until("it is let go", || inside.count(|event| matches!(event, Event::Retired { .. })) == 1);
    inside.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_manifest_on_a_disk_that_does_not_answer_stops_no_renewal() {
    let stage = stage_with_logo();
    let (answer, answered) = mpsc::channel::<()>();
    let reads = Arc::new(Mutex::new(0));
    let count = Arc::clone(&reads);
    let reload: Reload = Box::new(move || {
        *count.lock().unwrap() += 1;
        // Until somebody says so, or nobody can any more.
        let _ = answered.recv();
        Reloaded::Unchanged
    });
    let inside = Inside::start(&stage, Twist { reload, ..Twist::default() });
    published(&stage);
    for _ in 0..3 {
        inside.signals.send(Signal::Reload).unwrap();
    }
    let now = stage.now();
    for provider in ["bandwidth", "plivo"] {
        stage.until_uploaded_after("logo.png", provider, now + Duration::from_secs(1));
    }
    assert_eq!(*reads.lock().unwrap(), 1);
    drop(answer);
    stage.until("what was asked for meanwhile is done", || *reads.lock().unwrap() >= 2);
    inside.stop();
    stage.nobody_was_let_down();
}

/// An environment whose folder of credentials is found once nobody holds it back any more.
struct Held {
    folder: std::path::PathBuf,
    gate: Arc<Mutex<()>>,
}

impl Lookups for Held {
    fn variable(&self, name: &str) -> Option<std::ffi::OsString> {
        if name != "CREDENTIALS_DIRECTORY" {
            return Some(PASSWORD.into());
        }
        let _open = self.gate.lock().unwrap();
        Some(self.folder.clone().into())
    }
}

/// Plivo's token is a file in a folder that can hang.
fn stage_with_credential() -> (Stage, Twist, Arc<Mutex<()>>) {
    let stage = stage_with_logo();
    let accounts = stage.accounts().replace("env = \"PLIVO_AUTH_TOKEN\"", "credential = \"token\"");
    stage.put("media.toml", &(accounts + &file("logo.png")));
    crate::stage::put(&stage.beside("token"), PASSWORD);
    let gate = Arc::<Mutex<()>>::default();
    let lookups = Arc::new(Held { folder: stage.beside(""), gate: Arc::clone(&gate) });
    (stage, Twist { lookups, ..Twist::default() }, gate)
}

#[test]
fn a_secret_on_a_disk_that_does_not_answer_stops_no_renewal() {
    let (stage, twist, gate) = stage_with_credential();
    let inside = Inside::start(&stage, twist);
    published(&stage);
    let hang = gate.lock().unwrap();
    for _ in 0..3 {
        inside.signals.send(Signal::Reload).unwrap();
    }
    let now = stage.now();
    for provider in ["bandwidth", "plivo"] {
        stage.until_uploaded_after("logo.png", provider, now + Duration::from_secs(1));
    }
    drop(hang);
    inside.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_pass_waits_for_a_slow_secret_and_sends_to_other_accounts_meanwhile() {
    let (stage, twist, gate) = stage_with_credential();
    let hang = gate.lock().unwrap();
    let mode = Mode::Once { tries: 3, patience: Duration::from_secs(30) };
    let inside = Inside::start(&stage, Twist { mode, ..twist });
    stage.until_content("logo.png", "bandwidth", "logo");
    assert_eq!(stage.url("logo.png", "plivo"), None);
    drop(hang);
    let summary = inside.end();
    assert_eq!((summary.alive, summary.failing), (2, 0), "{summary:?}");
    assert_eq!(stage.content("logo.png", "plivo").as_deref(), Some("logo"));
}

#[test]
fn a_defect_while_the_manifest_is_read_does_not_end_the_reading() {
    let stage = stage_with_logo();
    let reads = Arc::new(Mutex::new(0));
    let count = Arc::clone(&reads);
    let reload: Reload = Box::new(move || {
        let read = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count
        };
        assert!(read > 1, "a defect, for a test");
        Reloaded::Unchanged
    });
    let inside = Inside::start(&stage, Twist { reload, ..Twist::default() });
    inside.signals.send(Signal::Reload).unwrap();
    let told = |of: fn(&Event) -> bool| inside.events.lock().unwrap().iter().any(of);
    stage.until("it is told", || told(|event| matches!(event, Event::ManifestUnusable { .. })));
    inside.signals.send(Signal::Reload).unwrap();
    stage.until("it is read again", || *reads.lock().unwrap() >= 2);
    stage.until("the end is told", || told(|event| matches!(event, Event::ManifestUsable)));
    inside.stop();
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

#[test]
fn a_defect_while_saving_is_a_failure_to_save_and_nothing_worse() {
    let stage = stage_with_logo();
    let (twist, mood) = moody();
    let inside = Inside::start(&stage, twist);
    published(&stage);
    mood.lock().unwrap().panics = 3;
    stage.put("logo.png", "after the defect");
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "after the defect");
    }
    assert_eq!(inside.count(|event| matches!(event, Event::StateUnwritable { .. })), 1);
    stage.until("that is over", || inside.count(|event| matches!(event, Event::StateWritable)) == 1);
    assert!(!inside.stop().unwritable);
    stage.nobody_was_let_down();
}

#[test]
fn a_state_disk_that_does_not_answer_stops_no_renewal() {
    let stage = Stage::with_life(SHORT_LIFE);
    stage.manifest("[[media]]\nfile = \"logo.png\"\nto = \"bandwidth\"\n");
    stage.put("logo.png", "logo");
    let (twist, mood) = moody();
    let inside = Inside::start(&stage, twist);
    stage.until_content("logo.png", "bandwidth", "logo");
    let (answer, hang) = mpsc::channel();
    mood.lock().unwrap().hangs = Some(hang);
    let (before, uploads) = (stage.uploaded_at("logo.png", "bandwidth").unwrap(), stage.uploads());
    stage.until("renewals go on", || stage.uploads() >= uploads + 2);
    assert_eq!(stage.uploaded_at("logo.png", "bandwidth"), Some(before), "nothing was saved meanwhile");
    drop(answer);
    stage.until_uploaded_after("logo.png", "bandwidth", before);
    inside.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_stop_whose_last_snapshot_fails_says_so() {
    let stage = stage_with_logo();
    let (twist, mood) = moody();
    let inside = Inside::start(&stage, twist);
    published(&stage);
    mood.lock().unwrap().panics = usize::MAX;
    stage.put("logo.png", "never published");
    stage.until("saving fails", || inside.count(|event| matches!(event, Event::StateUnwritable { .. })) == 1);
    let warnings = Arc::clone(&inside.warnings);
    assert!(inside.stop().unwritable);
    let warnings = warnings.lock().unwrap();
    assert!(warnings.iter().any(|text| text.contains("cannot save the state at the end")), "{warnings:?}");
}

#[test]
fn media_that_were_deleted_behind_our_back_are_back_within_an_interval() {
    let stage = Stage::with_life(Duration::from_secs(48 * 3600));
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let inside = Inside::start(&stage, Twist { clock: clock.clone(), ..Twist::default() });
    let nudge = |length: u64| {
        clock.advance(Duration::from_secs(length));
        inside.signals.send(Signal::Reload).unwrap();
    };
    let vanished = || inside.count(|event| matches!(event, Event::Vanished { .. }));
    let verified = || inside.count(|event| matches!(event, Event::Verified { .. }));
    let is_there = |provider| stage.content("logo.png", provider).as_deref() == Some("logo");
    let providers = ["bandwidth", "plivo"];
    stage.until("it is published", || {
        nudge(1);
        providers.into_iter().all(is_there)
    });
    assert_eq!(stage.lists(), 0);
    for provider in providers {
        stage.lose("logo.png", provider);
    }
    nudge(3600);
    stage.until("the losses are seen", || vanished() == 2);
    stage.until("it is back", || {
        nudge(1);
        providers.into_iter().all(is_there)
    });
    assert_eq!(stage.lists(), 2, "one page of each account");
    // In the hour after it there is one look at each account, however often there is something else to do.
    for minute in 1..=60 {
        nudge(60);
        stage.until("it took notice", || verified() >= 2 + if minute == 60 { 2 } else { 0 });
    }
    assert_eq!((stage.lists(), verified(), vanished()), (4, 4, 2));
    inside.stop();
}

/// A clock that panics once when a request is about to go out.
struct Mine {
    clock: SystemClock,
    armed: AtomicBool,
    /// The daemon's own task may ask for the time.
    safe: Mutex<Option<tokio::task::Id>>,
}

impl Clock for Mine {
    fn now(&self) -> Now {
        let safe = *self.safe.lock().unwrap();
        let here = tokio::task::try_id();
        let elsewhere = here.is_some() && safe.is_some() && here != safe;
        assert!(!(elsewhere && self.armed.swap(false, Ordering::SeqCst)), "a defect, for a test");
        self.clock.now()
    }
}

#[test]
fn a_defect_while_sending_is_a_failed_attempt_and_nothing_worse() {
    let stage = Stage::with_life(SHORT_LIFE);
    stage.manifest("[[media]]\nfile = \"logo.png\"\nto = \"bandwidth\"\n");
    stage.put("logo.png", "logo");
    let clock =
        Arc::new(Mine { clock: SystemClock::new(), armed: AtomicBool::new(false), safe: Mutex::new(None) });
    let inside = Inside::start(&stage, Twist { clock: clock.clone(), ..Twist::default() });
    *clock.safe.lock().unwrap() = Some(inside.daemon.as_ref().unwrap().id());
    stage.until_content("logo.png", "bandwidth", "logo");
    clock.armed.store(true, Ordering::SeqCst);
    let before = stage.uploaded_at("logo.png", "bandwidth").unwrap();
    stage.until_uploaded_after("logo.png", "bandwidth", before);
    assert_eq!(inside.count(|event| matches!(event, Event::Failed { .. })), 1);
    inside.stop();
    stage.nobody_was_let_down();
}
