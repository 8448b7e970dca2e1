//! IDs that stay the same when the content changes: the URL is a place that somebody else's bytes can lie at.

use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, World, manifest, provider};
use crate::domain::event::Event;
use crate::domain::manifest::{IdTemplate, Manifest};

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

#[test]
fn content_that_may_have_been_overwritten_is_sent_again_once_it_is_wanted_back() {
    for restart in [false, true] {
        let mut world = World::new(named(&[("a.png", "logo.png")]));
        world.write("a.png", b"old");
        world.run(MINUTE);
        lose_replies(&mut world);
        world.write("a.png", b"new");
        world.run(20 * SECOND);
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
    let mut world = World::new(named(&[("a.png", "logo.png")]));
    world.write("a.png", b"old");
    world.run(MINUTE);
    lose_replies(&mut world);
    world.write("a.png", b"newer");
    world.run(20 * SECOND);
    world.mend("named");
    world.run(5 * MINUTE);
    world.unsure_of_bytes = false;
    world.run(MINUTE);
    assert_eq!(world.record("a.png", "named").unwrap().live().unwrap().size, 5);
    assert_eq!(world.count(|event| matches!(event, Event::Renewed { .. })), 0);
}

#[test]
fn an_upload_under_an_id_of_its_own_casts_no_doubt_on_what_is_published() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.write("a.png", b"old");
    world.run(MINUTE);
    lose_replies(&mut world);
    world.write("a.png", b"new");
    world.run(20 * SECOND);
    world.mend("named");
    let before = world.sent.len();
    world.write("a.png", b"old");
    world.run(10 * HOUR);
    assert_eq!(world.sent.len(), before);
    world.unsure_of_bytes = false;
    world.run(SECOND);
}
