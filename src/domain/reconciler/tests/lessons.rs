//! What is learnt from losses where not everything is known: looks that told nothing, and uploads before a restart.

use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, World, manifest, provider};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::manifest::Manifest;

const SECOND: Duration = Duration::from_secs(1);
const OLD: [&str; 3] = ["0.png", "1.png", "2.png"];

fn named() -> Manifest {
    manifest(&[("*.png", &["named"])])
}

/// Old files that are published.
fn published() -> World {
    let mut world = World::new(named());
    OLD.iter().zip(0..).for_each(|(name, number)| world.write(name, &[number]));
    world.run(5 * MINUTE);
    assert!(OLD.iter().all(|name| world.url(name, "named").is_some()));
    world
}

fn until_another_look(world: &mut World) {
    let before = world.looks.len();
    while world.looks.len() == before {
        world.run(SECOND);
    }
}

#[test]
fn what_was_uploaded_before_a_restart_has_a_new_id_before_its_first_clock_runs_out() {
    let mut world = published();
    world.overwriting_keeps_clock = true;
    world.restart(named());
    let new = ["8.png", "9.png"];
    new.iter().zip(8..).for_each(|(name, number)| world.write(name, &[number]));
    world.run(43 * HOUR);
    until_another_look(&mut world);
    // Right before a look, so that no renewal mends it. They end a little early, and the old ones are about to.
    world.run(59 * MINUTE);
    for name in new {
        world.lose(name, "named");
    }
    let overwritten = OLD.map(|name| world.url(name, "named").unwrap());
    until_another_look(&mut world);
    world.run(MINUTE);
    assert_eq!(world.count(|event| matches!(event, Event::OverwritingKeepsClock { .. })), 1);
    world.dead_urls_seen = 0;
    // What was renewed just now is not renewed again at once, but soon enough all the same.
    world.run(145 * MINUTE);
    for (name, before) in OLD.into_iter().zip(overwritten) {
        assert_ne!(world.url(name, "named").unwrap(), before, "{name}");
    }
    world.run(7 * 24 * HOUR);
    world.assert_nobody_was_let_down();
}

/// The next look is told to end before it found anything, because the account is to be left alone.
fn break_off_a_look(world: &mut World) {
    world.latency = 10 * MINUTE;
    until_another_look(world);
    world.latency = SECOND;
    let mut failure = Failure::without_answer(FailureClass::Throttled, "not now");
    failure.retry_after = Some(5 * MINUTE);
    world.mood.insert(provider("named"), Mood::Failing(failure));
    world.write("new.png", b"new");
    world.run(10 * SECOND);
    world.mend("named");
    assert_eq!(world.broken_off, 1);
}

/// The next look fails.
fn fail_a_look(world: &mut World) {
    world.looks_fail = Some(Failure::without_answer(FailureClass::Unavailable, "no list for you"));
    until_another_look(world);
    world.looks_fail = None;
    world.run(MINUTE);
    assert_eq!(world.count(|event| matches!(event, Event::VerificationFailed { .. })), 1);
}

#[test]
fn a_life_that_is_learnt_after_a_look_that_told_nothing_counts_from_the_one_before() {
    let looks: [fn(&mut World); 2] = [break_off_a_look, fail_a_look];
    for look_in_vain in looks {
        let mut world = published();
        world.run(5 * HOUR);
        world.write("young.png", b"young");
        world.run(5 * HOUR);
        // They end right after a look that saw them.
        until_another_look(&mut world);
        world.run(MINUTE);
        for name in OLD {
            world.lose(name, "named");
        }
        let lived = world.now.steady.saturating_since(world.sent_at[0]);
        look_in_vain(&mut world);
        assert_eq!(world.count(|event| matches!(event, Event::Vanished { .. })), 0);
        until_another_look(&mut world);
        world.run(MINUTE);
        let told = |event: &Event| match event {
            Event::RetentionLearnt { retention, .. } => Some(*retention),
            _ => None,
        };
        let learnt: Vec<Duration> = world.events.iter().filter_map(told).collect();
        assert!(learnt.len() == 1 && learnt[0] <= lived, "{learnt:?}, and they lived for {lived:?}");
    }
}
