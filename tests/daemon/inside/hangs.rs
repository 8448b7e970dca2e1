//! Disks that do not answer: the manifest's, a secret's and the state's. Renewals go on meanwhile.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use mediakeep::daemon::{Reload, Reloaded};
use mediakeep::domain::reconciler::Mode;
use mediakeep::local::signals::Signal;
use mediakeep::provider::credentials::Lookups;

use super::{Inside, SHORT_LIFE, Twist, moody, published, stage_with_logo};
use crate::stage::{PASSWORD, Stage, file};

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
