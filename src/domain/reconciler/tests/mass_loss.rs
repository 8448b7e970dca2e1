//! Looks that find hardly anything of ours: an account that was mixed up, a provider in trouble, or a loss indeed.

use std::time::Duration;

use super::world::{HOUR, MINUTE, World, manifest};
use crate::domain::event::Event;
use crate::domain::time::Timestamp;

const FILES: u8 = 30;
const SECOND: Duration = Duration::from_secs(1);

/// Files that are published, a moment before the first look.
fn published(name: &str, files: u8) -> World {
    let mut world = World::new(manifest(&[("*.png", &[name])]));
    (0..files).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(40 * MINUTE);
    assert_eq!((alive(&world, name), world.looks.len()), (usize::from(files), 0));
    world
}

fn alive(world: &World, name: &str) -> usize {
    (0..=u8::MAX).filter(|number| world.url(&format!("{number}.png"), name).is_some()).count()
}

fn until_looks(world: &mut World, looks: usize) -> Timestamp {
    while world.looks.len() < looks {
        world.run(SECOND);
    }
    world.looks[looks - 1].0
}

fn vanished(world: &World) -> usize {
    world.count(|event| matches!(event, Event::Vanished { .. }))
}

fn doubted(world: &World) -> Vec<(usize, usize)> {
    let told = |event: &Event| match event {
        Event::LossDoubted { gone, sought, .. } => Some((*gone, *sought)),
        _ => None,
    };
    world.events.iter().filter_map(told).collect()
}

#[test]
fn a_look_that_finds_nothing_takes_nothing_back_and_everything_is_uploaded_again() {
    for name in ["named", "numbered"] {
        let mut world = published(name, FILES);
        world.holds_nothing = true;
        let first = until_looks(&mut world, 1);
        world.holds_nothing = false;
        // Twice the rate of ten a second, and the journal.
        for _ in 0..10 {
            world.run(SECOND);
            assert_eq!(alive(&world, name), usize::from(FILES), "{name}");
        }
        assert_eq!(world.requests_to(name), 2 * usize::from(FILES), "{name}: once each");
        assert_eq!((doubted(&world), vanished(&world)), (vec![(30, 30)], 0), "{name}");
        let second = until_looks(&mut world, 2);
        assert!(second.saturating_since(first) > 5 * MINUTE, "{name}");
        world.run(20 * HOUR);
        assert_eq!((doubted(&world).len(), vanished(&world), world.dead_urls_seen), (1, 0, 0), "{name}");
        let none = |event: &Event| matches!(event, Event::RetentionLearnt { .. });
        assert_eq!(world.count(none), 0, "{name}: nothing is learnt from it");
    }
}

#[test]
fn what_is_lost_indeed_is_back_at_once_and_was_never_without_a_url() {
    for name in ["named", "numbered"] {
        let mut world = published(name, FILES);
        (0..FILES).for_each(|number| world.lose(&format!("{number}.png"), name));
        until_looks(&mut world, 1);
        world.run(10 * SECOND);
        world.dead_urls_seen = 0;
        assert_eq!(alive(&world, name), usize::from(FILES), "{name}");
        let older = world.published.records.values().map(|record| record.previous.len()).sum::<usize>();
        assert_eq!(older, 0, "{name}: what was lost is not told as an older URL that lives");
        world.run(20 * HOUR);
        assert_eq!((vanished(&world), world.dead_urls_seen), (0, 0), "{name}");
    }
}

#[test]
fn what_is_lost_and_cannot_be_uploaded_is_taken_back_when_a_second_look_agrees() {
    let mut world = published("named", FILES);
    (0..FILES).for_each(|number| world.lose(&format!("{number}.png"), "named"));
    world.uploads_fail = true;
    let first = until_looks(&mut world, 1);
    world.run(MINUTE);
    assert_eq!(alive(&world, "named"), usize::from(FILES));
    let second = until_looks(&mut world, 2);
    assert!(second.saturating_since(first) < 10 * MINUTE);
    world.run(MINUTE);
    assert_eq!((alive(&world, "named"), vanished(&world)), (0, usize::from(FILES)));
    assert_eq!(doubted(&world).len(), 1, "the second one is believed");
}

#[test]
fn a_provider_that_never_finds_anything_is_looked_at_twice_an_interval_at_most() {
    let mut world = published("named", FILES);
    world.holds_nothing = true;
    world.run(24 * HOUR);
    assert!((20..=48).contains(&world.looks.len()), "{}", world.looks.len());
    assert!(world.requests_to("named") <= usize::from(FILES) * (world.looks.len() + 1));
    world.assert_nobody_was_let_down();
}

#[test]
fn few_losses_or_less_than_half_are_believed_at_once() {
    for (files, lost) in [(10, 10), (100, 50)] {
        let mut world = published("named", files);
        (0..lost).for_each(|number| world.lose(&format!("{number}.png"), "named"));
        world.uploads_fail = true;
        until_looks(&mut world, 1);
        world.run(10 * SECOND);
        assert_eq!(alive(&world, "named"), usize::from(files - lost), "{lost} of {files}");
        assert_eq!((vanished(&world), doubted(&world).len()), (usize::from(lost), 0), "{lost} of {files}");
    }
}
