//! What is learnt from losses where not everything is known: uploads before a restart.

use std::time::Duration;

use super::world::{HOUR, MINUTE, World, manifest};
use crate::domain::event::Event;
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
