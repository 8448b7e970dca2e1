//! The loop itself, where what comes first is arranged.

use std::ffi::OsString;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::local::clock::SystemClock;
use crate::local::state_store::FolderStore;
use crate::provider::credentials::Lookups;

/// An environment that hangs as long as somebody holds the other end.
struct Hanging(Mutex<Receiver<()>>);

impl Lookups for Hanging {
    fn variable(&self, _name: &str) -> Option<OsString> {
        let _ = self.0.lock().unwrap().recv();
        None
    }
}

struct Deaf;

impl Observer for Deaf {
    fn event(&mut self, _event: &Event) {}

    fn warning(&mut self, _text: &str) {}

    fn progress(&mut self, _backlog: usize, _scan: ScanProgress) {}
}

const HANGING_ACCOUNT: &str = r#"
version = 1
[provider.plivo]
kind = "plivo"
auth_id = "MATESTTESTTESTTEST00"
auth_token = { credential = "token" }
[[media]]
file = "logo.png"
to = "plivo"
"#;

fn parts(folder: &std::path::Path, signals: mpsc::UnboundedReceiver<Signal>) -> Parts {
    let manifest = testing::manifest_of(folder, HANGING_ACCOUNT);
    Parts {
        mode: Mode::Daemon,
        store: Box::new(FolderStore::open(&manifest.sync.state_dir).unwrap()),
        manifest,
        last_good: None,
        broken: None,
        clock: Arc::new(SystemClock::new()),
        lookups: Arc::new(BTreeMap::<String, String>::new()),
        reload: Box::new(|| Reloaded::Unchanged),
        remember: Arc::new(|| Ok(())),
        manifest_files: Vec::new(),
        signals,
        observer: Box::new(Deaf),
        board: Arc::default(),
        manager: ServiceManager::none(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_loop_shows_that_it_goes_on_and_one_that_has_ended_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (_signals, signals) = mpsc::unbounded_channel();
    let board = Arc::<board::Board>::default();
    board.watch(true);
    let parts = Parts { board: board.clone(), ..parts(folder.path(), signals) };
    let daemon = Daemon::new(parts).unwrap_or_else(|error| panic!("{error}"));
    let running = tokio::spawn(daemon.run());
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(board.heartbeat.age() <= Duration::from_secs(31), "{:?}", board.heartbeat.age());
    }
    let view = board.view().expect("somebody looks on");
    assert_eq!(view.overview.entries.len(), 1);
    running.abort();
    tokio::time::sleep(heartbeat::STALLED_AFTER).await;
    assert!(board.heartbeat.has_stalled());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_over_while_credentials_are_waited_for_is_taken_after_the_turn_that_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    testing::put(&folder.path().join("logo.png"), "logo");
    let (held_by, waiting) = channel();
    let (_signals, signals) = mpsc::unbounded_channel();
    let lookups = Arc::new(Hanging(Mutex::new(waiting)));
    let parts = Parts { lookups, ..parts(folder.path(), signals) };
    let mut daemon = Daemon::new(parts).unwrap_or_else(|error| panic!("{error}"));
    // That folders were found, and what is in them.
    while daemon.inbox.len() < 2 {
        std::thread::yield_now();
    }
    let looked = |inputs: &[Input]| inputs.iter().any(|input| matches!(input, Input::Scanned(_)));
    let first = daemon.begin().await;
    assert!(!looked(&first), "the first turn has not asked for it yet: {first:?}");
    let second = daemon.gather(Duration::ZERO).await;
    assert!(looked(&second), "{second:?}");
    drop(held_by);
}
