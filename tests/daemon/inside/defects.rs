//! Defects of our own: what panics beside the loop costs an attempt, and nothing more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mediakeep::daemon::{Reload, Reloaded};
use mediakeep::domain::event::Event;
use mediakeep::domain::time::Now;
use mediakeep::local::clock::{Clock, SystemClock};
use mediakeep::local::signals::Signal;

use super::{Inside, SHORT_LIFE, Twist, moody, published, stage_with_logo};
use crate::stage::Stage;

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
