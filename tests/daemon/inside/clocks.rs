//! Clocks that are set, and time that passes faster than it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mediakeep::domain::event::Event;
use mediakeep::local::clock::{Clock as _, ManualClock, SystemClock};
use mediakeep::local::signals::Signal;

use super::{Inside, Twist, published, stage_with_logo};
use crate::stage::{Stage, file, files, pause};

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

/// A daemon whose clock goes only when it is told to.
struct ByHand {
    inside: Inside,
    clock: Arc<ManualClock>,
}

impl ByHand {
    fn start(stage: &Stage) -> Self {
        let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
        Self { inside: Inside::start(stage, Twist { clock: clock.clone(), ..Twist::default() }), clock }
    }

    /// Time goes by, and the daemon has a look.
    fn nudge(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.inside.signals.send(Signal::Reload).unwrap();
    }
}

#[test]
fn a_removal_from_a_glob_counts_after_a_minute() {
    let stage = Stage::with_life(Duration::from_secs(600));
    stage.manifest(&files("*.png", "bandwidth"));
    stage.put("logo.png", "logo");
    stage.put("badge.png", "badge");
    let daemon = ByHand::start(&stage);
    stage.until("both are published", || {
        daemon.nudge(1);
        ["logo.png", "badge.png"].iter().all(|file| stage.url(file, "bandwidth").is_some())
    });
    stage.remove("badge.png");
    stage.until("the loss is seen", || {
        daemon.nudge(0);
        daemon.inside.count(|event| matches!(event, Event::Blocked { kind: "missing", .. })) == 1
    });
    daemon.nudge(55);
    pause(Duration::from_secs(1));
    assert_eq!(daemon.inside.count(|event| matches!(event, Event::Retired { .. })), 0);
    daemon.nudge(6);
    stage.until("it is let go", || daemon.inside.count(|event| matches!(event, Event::Retired { .. })) == 1);
    daemon.inside.stop();
    stage.nobody_was_let_down();
}

#[test]
fn media_that_were_deleted_behind_our_back_are_back_within_an_interval() {
    let stage = Stage::with_life(Duration::from_secs(48 * 3600));
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    let daemon = ByHand::start(&stage);
    let vanished = || daemon.inside.count(|event| matches!(event, Event::Vanished { .. }));
    let verified = || daemon.inside.count(|event| matches!(event, Event::Verified { .. }));
    let is_there = |provider| stage.content("logo.png", provider).as_deref() == Some("logo");
    let providers = ["bandwidth", "plivo"];
    stage.until("it is published", || {
        daemon.nudge(1);
        providers.into_iter().all(is_there)
    });
    assert_eq!(stage.lists(), 0);
    for provider in providers {
        stage.lose("logo.png", provider);
    }
    daemon.nudge(3600);
    stage.until("the losses are seen", || vanished() == 2);
    stage.until("it is back", || {
        daemon.nudge(1);
        providers.into_iter().all(is_there)
    });
    assert_eq!(stage.lists(), 2, "one page of each account");
    // In the hour after it there is one look at each account, however often there is something else to do.
    for minute in 1..=60 {
        daemon.nudge(60);
        stage.until("it took notice", || verified() >= 2 + if minute == 60 { 2 } else { 0 });
    }
    assert_eq!((stage.lists(), verified(), vanished()), (4, 4, 2));
    daemon.inside.stop();
}
