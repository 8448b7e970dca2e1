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

#[tokio::test(start_paused = true)]
async fn a_look_that_is_over_while_credentials_are_waited_for_is_taken_after_the_turn_that_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    testing::put(&folder.path().join("logo.png"), "logo");
    let manifest = testing::manifest_of(folder.path(), HANGING_ACCOUNT);
    let (held_by, waiting) = channel();
    let (_signals, signals) = mpsc::unbounded_channel();
    let parts = Parts {
        mode: Mode::Daemon,
        store: Box::new(FolderStore::open(&manifest.sync.state_dir).unwrap()),
        manifest,
        last_good: None,
        clock: Arc::new(SystemClock::new()),
        lookups: Arc::new(Hanging(Mutex::new(waiting))),
        reload: Box::new(|| Reloaded::Unchanged),
        remember: Arc::new(|| Ok(())),
        manifest_files: Vec::new(),
        signals,
        observer: Box::new(Deaf),
        manager: ServiceManager::none(),
    };
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
