//! IDs that stay the same when the content changes: the URL is a place that somebody else's bytes can lie at.

use std::sync::Arc;
use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, World, manifest, provider};
use crate::domain::asset::MediaType;
use crate::domain::event::Event;
use crate::domain::failure::FailureClass;
use crate::domain::manifest::{IdTemplate, Manifest};
use crate::domain::reconciler::Input;

const SECOND: Duration = Duration::from_secs(1);

/// Files at `named`, each under the ID beside it.
fn named(rules: &[(&str, &str)]) -> Manifest {
    let files: Vec<(&str, &[&str])> = rules.iter().map(|(file, _)| (*file, ["named"].as_slice())).collect();
    let mut manifest = manifest(&files);
    for (rule, (_, id)) in manifest.rules.iter_mut().zip(rules) {
        rule.id = Some(IdTemplate::parse(id).unwrap());
    }
    manifest
}

fn lose_replies(world: &mut World) {
    world.mood.insert(provider("named"), Mood::LosingReplies);
    world.unsure_of_bytes = true;
}

/// A world in which `a.png` was published, and its new content is sent and never confirmed.
fn unconfirmed(manifest: Manifest, new: &[u8]) -> World {
    let mut world = World::new(manifest);
    world.write("a.png", b"old");
    world.run(MINUTE);
    lose_replies(&mut world);
    world.write("a.png", new);
    world.run(20 * SECOND);
    world
}

#[test]
fn content_that_may_have_been_overwritten_is_sent_again_once_it_is_wanted_back() {
    for restart in [false, true] {
        let mut world = unconfirmed(named(&[("a.png", "logo.png")]), b"new");
        assert!(!world.serves_what_is_recorded("a.png", "named"), "the scene is set");
        world.mend("named");
        if restart {
            world.folder.insert(super::world::path("a.png"), b"old".to_vec());
            world.restart(named(&[("a.png", "logo.png")]));
        } else {
            world.write("a.png", b"old");
        }
        // The account is left alone for a minute after five failures.
        world.run(2 * MINUTE);
        assert!(world.serves_what_is_recorded("a.png", "named"), "restart: {restart}");
        assert_eq!(world.record("a.png", "named").unwrap().live().unwrap().size, 3);
        assert!(world.record("a.png", "named").unwrap().trouble.is_none());
        world.unsure_of_bytes = false;
        let before = world.sent.len();
        world.run(10 * HOUR);
        assert_eq!(world.sent.len(), before, "once is enough");
    }
}

#[test]
fn content_that_may_have_been_overwritten_is_not_sent_while_newer_content_is_on_its_way() {
    let mut world = unconfirmed(named(&[("a.png", "logo.png")]), b"newer");
    world.mend("named");
    world.run(5 * MINUTE);
    world.unsure_of_bytes = false;
    world.run(MINUTE);
    assert_eq!(world.record("a.png", "named").unwrap().live().unwrap().size, 5);
    assert_eq!(world.count(|event| matches!(event, Event::Renewed { .. })), 0);
}

#[test]
fn an_upload_under_an_id_of_its_own_casts_no_doubt_on_what_is_published() {
    let mut world = unconfirmed(manifest(&[("a.png", &["named"])]), b"new");
    world.mend("named");
    let before = world.sent.len();
    world.write("a.png", b"old");
    world.run(10 * HOUR);
    assert_eq!(world.sent.len(), before);
    world.unsure_of_bytes = false;
    world.run(SECOND);
}

/// A world in which these files were published under these IDs.
fn published(rules: &[(&str, &str)]) -> World {
    let mut world = World::new(named(rules));
    for (file, _) in rules {
        world.write(file, file.as_bytes());
    }
    world.run(5 * MINUTE);
    assert!(rules.iter().all(|(file, _)| world.url(file, "named").is_some()));
    world
}

fn give(world: &mut World, rules: &[(&str, &str)]) {
    world.give(Input::Manifest(Arc::new(named(rules))));
}

fn assert_settled(world: &mut World, rules: &[(&str, &str)]) {
    world.unsure_of_bytes = false;
    world.run(HOUR);
    for (file, id) in rules {
        let record = world.record(file, "named").unwrap();
        assert_eq!(record.live().expect(file).id.as_str(), *id, "{file}");
        assert!(record.trouble.is_none(), "{file}: {:?}", record.trouble);
        // What lies under the older ID by now are other bytes.
        assert!(record.previous.iter().all(|older| rules.iter().all(|(_, id)| older.id.as_str() != *id)));
    }
    world.run(5 * 24 * HOUR);
    assert_eq!(world.dead_urls_seen, 0);
}

#[test]
fn entries_that_swap_their_ids_do_so_within_seconds() {
    for ids in [["X", "Y"].as_slice(), &["X", "Y", "Z"], &["Z", "X", "Y"]] {
        let files = ["a.png", "b.png", "c.png"];
        let before: Vec<(&str, &str)> = files.into_iter().zip(ids.iter().copied()).collect();
        let turned = ids.iter().cycle().skip(1).copied();
        let after: Vec<(&str, &str)> = before.iter().map(|(file, _)| *file).zip(turned).collect();
        let mut world = published(&before);
        give(&mut world, &after);
        world.run(10 * SECOND);
        for (file, id) in &after {
            let live = world.record(file, "named").unwrap().live();
            assert_eq!(live.map(|live| live.id.as_str()), Some(*id), "{file}");
        }
        assert_settled(&mut world, &after);
    }
}

#[test]
fn an_id_is_taken_over_once_its_holder_has_moved_away() {
    let before = [("a.png", "X"), ("b.png", "Y")];
    let after = [("a.png", "Y"), ("b.png", "Z")];
    let mut world = published(&before);
    world.fail("named", FailureClass::Unavailable);
    give(&mut world, &after);
    world.run(30 * MINUTE);
    assert_eq!(world.count(|event| matches!(event, Event::Lapsed { .. })), 0);
    world.mend("named");
    world.run(30 * MINUTE);
    assert_eq!(world.count(|event| matches!(event, Event::Lapsed { .. })), 0, "nobody was in the way");
    assert_settled(&mut world, &after);
}

#[test]
fn what_waits_for_an_id_ends_no_renewal_of_its_holder() {
    let mut world = published(&[("a.png", "X"), ("b.png", "Y")]);
    // Its new content is refused, so that it stays where it is.
    world.write("b.png", &[0; 2000]);
    world.run(MINUTE);
    give(&mut world, &[("a.png", "Y"), ("b.png", "Z")]);
    world.run(5 * 24 * HOUR);
    assert_eq!(world.url("a.png", "named").unwrap().rsplit('/').next(), Some("X"));
    assert_eq!(world.url("b.png", "named").unwrap().rsplit('/').next(), Some("Y"));
    assert_eq!(world.count(|event| matches!(event, Event::Lapsed { .. })), 0);
    world.assert_nobody_was_let_down();
}

#[test]
fn an_id_is_free_once_its_entry_is_retired() {
    for restart in [false, true] {
        let mut world = published(&[("a.png", "logo"), ("c.png", "C")]);
        give(&mut world, &[("c.png", "C")]);
        world.run(MINUTE);
        assert!(world.record("a.png", "named").unwrap().retired_at.is_some());
        let after = [("b.png", "logo"), ("c.png", "C")];
        if restart {
            world.restart(named(&after));
        }
        give(&mut world, &after);
        world.write("b.png", b"another logo");
        world.run(MINUTE);
        assert_eq!(world.url("a.png", "named"), None, "restart: {restart}");
        assert_settled(&mut world, &after);
    }
}

#[test]
fn what_is_published_is_found_again_when_its_table_comes_after_the_start() {
    let mut world = published(&[("a.png", "X"), ("b.png", "Y")]);
    let mut without = named(&[]);
    without.providers.remove("named");
    world.restart(without);
    // Its new content is refused, so that it stays where it is, and what is to go there has to wait.
    world.write("a.png", &[0; 2000]);
    give(&mut world, &[("a.png", "Z"), ("b.png", "X")]);
    world.connect();
    world.run(HOUR);
    assert!(world.url("a.png", "named").unwrap().ends_with("/X"));
    assert!(world.url("b.png", "named").unwrap().ends_with("/Y"));
    assert!(world.serves_what_is_recorded("a.png", "named"));
}

#[test]
fn what_becomes_of_an_upload_is_of_interest_to_those_alone_that_wait_for_its_id() {
    let mut world = World::new(named(&[("taken-*.png", "logo.png"), ("other-*.png", "{path}")]));
    (0..200_u8).for_each(|number| world.write(&format!("taken-{number}.png"), &[number]));
    world.run(MINUTE);
    assert_eq!(world.requests_to("named"), 1, "the scene is set: one has the ID, and all others want it");
    let before = world.engine.reviews;
    (0..100_u8).for_each(|number| world.write(&format!("other-{number}.png"), &[number]));
    world.run(20 * SECOND);
    assert_eq!(world.requests_to("named"), 101);
    let reviews = world.engine.reviews - before;
    // Those that wait look twice a minute whether they need to wait any longer.
    assert!(reviews <= 100 * 4 + 200, "{reviews}");
}

#[test]
fn many_that_share_a_handle_cost_one_upload_and_have_it_at_once() {
    let mut world = World::new(named(&[("*.png", "{hash16}.png")]));
    (0..200_u8).for_each(|number| world.write(&format!("{number}.png"), b"the same"));
    world.run(2 * SECOND);
    assert_eq!(world.requests_to("named"), 1);
    assert!((0..200).all(|number| world.url(&format!("{number}.png"), "named").is_some()));
    assert!(world.engine.reviews <= 200 * 5, "{}", world.engine.reviews);
}

#[test]
fn whoever_shares_a_handle_knows_its_age() {
    let mut world = published(&[("a.png", "{hash16}.png"), ("b.png", "{hash16}.png")]);
    world.run(10 * HOUR);
    world.write("a.png", b"new");
    world.run(HOUR);
    world.write("b.png", b"new");
    world.run(MINUTE);
    assert_eq!(world.url("a.png", "named"), world.url("b.png", "named"), "the scene is set");
    world.lose("a.png", "named");
    world.run(HOUR + MINUTE);
    let age = |event: &Event| match event {
        Event::Vanished { age, .. } => Some(*age),
        _ => None,
    };
    let ages: Vec<Duration> = world.events.iter().filter_map(age).collect();
    assert_eq!(ages.len(), 2);
    assert_eq!(ages[0], ages[1]);
}

#[test]
fn a_copy_does_not_end_with_the_first_clock_of_its_id_where_overwriting_restarts_none() {
    const FILES: [(&str, &str); 4] = [
        ("a.png", "{hash16}.png"),
        ("b.png", "{hash16}.png"),
        ("new.png", "{hash16}.png"),
        ("copy.png", "{hash16}.png"),
    ];
    for (case, uploads) in [("the same", 0), ("its file is gone", 0), ("another type", 1)] {
        let mut world = published(&FILES[..2]);
        world.overwriting_keeps_clock = true;
        let mut manifest = named(&FILES);
        if case == "another type" {
            manifest.rules[3].content_type = Some(MediaType::new("audio/mpeg").unwrap());
        }
        world.give(Input::Manifest(Arc::new(manifest)));
        world.run(6 * 24 * HOUR);
        assert_eq!(world.count(|event| matches!(event, Event::OverwritingKeepsClock { .. })), 1);
        world.write("new.png", b"new");
        world.run(30 * HOUR);
        if case == "its file is gone" {
            world.remove("new.png");
            world.run(HOUR);
        }
        let before = world.requests_to("named");
        world.write("copy.png", b"new");
        world.run(MINUTE);
        assert_eq!(world.requests_to("named") - before, uploads, "{case}");
        assert_eq!(world.url("copy.png", "named") == world.url("new.png", "named"), uploads == 0, "{case}");
        world.dead_urls_seen = 0;
        world.run(5 * 24 * HOUR);
        world.assert_nobody_was_let_down();
    }
}

#[test]
fn a_swap_whose_replies_are_lost_leaves_the_recorded_bytes_when_it_is_taken_back() {
    let before = [("a.png", "X"), ("b.png", "Y")];
    let mut world = published(&before);
    lose_replies(&mut world);
    give(&mut world, &[("a.png", "Y"), ("b.png", "X")]);
    world.run(20 * SECOND);
    assert!(!world.serves_what_is_recorded("b.png", "named"), "the scene is set");
    world.mend("named");
    give(&mut world, &before);
    world.run(3 * MINUTE);
    assert_settled(&mut world, &before);
}

#[test]
fn however_ids_are_passed_around_the_state_tells_the_truth_and_settles() {
    const FILES: [&str; 4] = ["a.png", "b.png", "c.png", "d.png"];
    let permutation = |mut number: u32| {
        let mut ids = vec!["V", "W", "X", "Y", "Z"];
        FILES.map(|file| {
            let index = number as usize % ids.len();
            number /= 7;
            (file, ids.remove(index))
        })
    };
    for seed in 1..=20_u32 {
        let mut dice = seed.wrapping_mul(2_654_435_761);
        let mut roll = || {
            dice ^= dice << 13;
            dice ^= dice >> 17;
            dice ^= dice << 5;
            dice
        };
        let mut rules = permutation(roll());
        let mut world = published(&rules);
        for _ in 0..12 {
            match roll() % 6 {
                0..=2 => {
                    rules = permutation(roll());
                    give(&mut world, &rules);
                }
                3 => {
                    let (file, _) = rules[roll() as usize % FILES.len()];
                    world.write(file, &roll().to_le_bytes());
                }
                4 => world.fail("named", FailureClass::Unreachable),
                _ => world.restart(named(&rules)),
            }
            world.run(Duration::from_millis(u64::from(roll() % 40_000)));
            world.mend("named");
        }
        world.run(HOUR);
        assert_settled(&mut world, &rules);
    }
}
