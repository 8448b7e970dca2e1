//! What an adversary found: each of these broke a promise once.

use std::sync::Arc;
use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, World, manifest, path, provider};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::guard::Halt;
use crate::domain::manifest::IdTemplate;
use crate::domain::observation::{Coverage, RootHealth, RootIdentity, ScanReport};
use crate::domain::reconciler::{Input, Mode};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const ONCE: Mode = Mode::Once { tries: 3, patience: Duration::from_secs(30) };

#[test]
fn an_entry_without_a_record_is_wanted_again_when_its_file_returns() {
    let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
    world.write("other.png", b"so that the folder is not empty");
    world.fail("numbered", FailureClass::ContentRefused);
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.remove("a.png");
    world.run(10 * SECOND);
    world.mend("numbered");
    world.write("a.png", b"another");
    world.run(MINUTE);
    assert!(world.url("a.png", "numbered").is_some());
}

#[test]
fn a_file_that_is_replaced_while_its_first_upload_is_under_way_stays_an_entry() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.write("other.png", b"so that the folder is not empty");
    world.run(MINUTE);
    world.latency = 5 * SECOND;
    world.write("a.png", b"a");
    world.run(SECOND);
    world.remove("a.png");
    world.run(SECOND);
    world.write("a.png", b"a");
    world.run(MINUTE);
    assert!(world.record("a.png", "named").unwrap().retired_at.is_none());
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 0);
}

#[test]
fn another_file_system_in_place_of_the_folder_holds_everything_back() {
    for restart in [false, true] {
        let rules: [(&str, &[&str]); 1] = [("*.png", &["named"])];
        let mut world = World::new(manifest(&rules));
        (0..40).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.run(MINUTE);
        if restart {
            world.restart(manifest(&rules));
            world.run(MINUTE);
        }
        world.root = Some(RootIdentity { device: 7, inode: 2 });
        (0..8).for_each(|number| world.remove(&format!("{number}.png")));
        world.run(20 * MINUTE);
        // A second look makes it no more familiar than the first one.
        for _ in 0..2 {
            assert!(
                matches!(world.engine.held_back(), Some((Halt::OtherFileSystem, held)) if held.len() == 8)
            );
            assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 0);
            world.give(Input::Touched { paths: Vec::new(), everything: true });
            world.run(20 * MINUTE);
        }
    }
}

#[test]
fn another_device_number_with_all_files_in_place_is_a_reboot_and_nothing_else() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    world.root = Some(RootIdentity { device: 7, inode: 2 });
    world.run(20 * MINUTE);
    world.remove("3.png");
    world.run(5 * MINUTE);
    assert!(!world.engine.is_halted());
    assert!(world.record("3.png", "named").unwrap().retired_at.is_some());
}

#[test]
fn a_shortened_retention_counts_for_what_is_recorded_too() {
    let rules: [(&str, &[&str]); 1] = [("a.png", &["named"])];
    let mut world = World::new(manifest(&rules));
    world.write("a.png", b"a");
    world.run(15 * HOUR);
    let mut shorter = manifest(&rules);
    shorter.providers.get_mut(&provider("named")).unwrap().retention = Some(30 * HOUR);
    world.give(Input::Manifest(Arc::new(shorter)));
    world.run(MINUTE);
    let left =
        world.record("a.png", "named").unwrap().live().unwrap().expires_at.saturating_since(world.now.wall);
    assert!(left > 29 * HOUR && left < 30 * HOUR, "it was due at once, and was renewed: {left:?}");
}

#[test]
fn nothing_is_retired_by_a_look_that_failed() {
    let rules: [(&str, &[&str]); 1] = [("*.png", &["named"])];
    let mut world = World::new(manifest(&rules));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    world.remove("3.png");
    world.run(5 * SECOND);
    world.unreadable = true;
    world.give(Input::Touched { paths: Vec::new(), everything: true });
    world.run(5 * MINUTE);
    world.restart(manifest(&rules));
    world.run(5 * MINUTE);
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 0);
}

#[test]
fn a_folder_that_cannot_be_listed_protects_what_is_in_it_and_nothing_else() {
    let rules: [(&str, &[&str]); 1] = [("**/*.png", &["numbered"])];
    let mut world = World::new(manifest(&rules));
    let inside = ["shut/1.png", "shut/below/2.png"];
    for name in inside.into_iter().chain(["shutter.png", "3.png"]) {
        world.write(name, name.as_bytes());
    }
    world.run(MINUTE);
    world.shut = vec![path("shut")];
    world.remove("shutter.png");
    world.give(Input::Touched { paths: Vec::new(), everything: true });
    world.run(DAY);
    world.restart(manifest(&rules));
    world.run(DAY);
    world.assert_nobody_was_let_down();
    assert!(inside.iter().all(|name| world.url(name, "numbered").is_some()));
    assert!(world.record("shutter.png", "numbered").is_none(), "it was retired, and has ended");
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 1);
}

#[test]
fn a_pass_ends_although_its_look_at_the_folder_hangs() {
    let mut world = World::with_mode(manifest(&[("*.png", &["named"])]), ONCE);
    world.deaf = true;
    world.run(MINUTE);
    world.give(Input::ScanHung);
    world.run(MINUTE);
    assert!(world.engine.is_finished(world.now));
}

#[test]
fn a_pass_ends_although_what_it_tried_is_not_wanted_any_more() {
    let mut world = World::with_mode(manifest(&[("a.png", &["named"]), ("b.png", &["named"])]), ONCE);
    world.write("b.png", b"b");
    world.write("a.png", b"a");
    world.run(Duration::from_millis(4));
    // It goes between the look and the upload.
    world.folder.remove(&path("a.png"));
    world.run(10 * MINUTE);
    assert!(world.engine.is_finished(world.now));
    assert_eq!(world.engine.summary().failing, 1);
}

#[test]
fn a_pass_ends_although_walks_take_longer_than_the_time_between_them() {
    let mut manifest = manifest(&[("*.png", &["named"])]);
    manifest.sync.rescan = Duration::from_millis(1);
    let mut world = World::with_mode(manifest, ONCE);
    world.write("a.png", b"a");
    world.run(MINUTE);
    assert!(world.engine.is_finished(world.now));
}

#[test]
fn two_entries_never_overwrite_each_other_under_one_id() {
    let mut manifest = manifest(&[("a.png", &["named"]), ("b.png", &["named"])]);
    for rule in &mut manifest.rules {
        rule.id = Some(IdTemplate::parse("logo.png").unwrap());
    }
    let mut world = World::new(manifest);
    world.write("a.png", b"same");
    world.write("b.png", b"same");
    world.run(HOUR);
    world.write("a.png", b"edited");
    // The reader checks at each turn that a published URL has the bytes whose hash is recorded for it.
    world.run(6 * 24 * HOUR);
    assert_eq!(world.record("a.png", "named").unwrap().live().unwrap().size, 6);
    assert_eq!(world.url("b.png", "named"), None);
    // What is kept alive without its file holds its ID as well.
    world.remove("a.png");
    world.run(6 * 24 * HOUR);
    assert_eq!(world.record("a.png", "named").unwrap().live().unwrap().size, 6);
    assert_eq!(world.dead_urls_seen, 0);
}

#[test]
fn a_retired_url_that_ends_soon_does_not_shorten_a_pause() {
    let rules: [(&str, &[&str]); 1] = [("*.png", &["numbered"])];
    let mut world = World::new(manifest(&rules));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    world.remove("3.png");
    // It is retired, and a few seconds of its six hours are left.
    world.run(5 * HOUR + 56 * MINUTE);
    let mut failure = Failure::without_answer(FailureClass::Throttled, "slow down");
    failure.retry_after = Some(5 * MINUTE);
    world.mood.insert(provider("numbered"), Mood::Failing(failure));
    world.write("new.png", b"new");
    world.run(10 * SECOND);
    let before = world.requests_to("numbered");
    world.run(4 * MINUTE);
    assert_eq!(world.requests_to("numbered"), before);
}

#[test]
fn a_look_that_is_answered_by_an_unreadable_folder_still_answers_a_pass() {
    let mut world = World::with_mode(manifest(&[("*.png", &["named"])]), ONCE);
    world.deaf = true;
    world.run(SECOND);
    let root = RootHealth::Unreadable { reason: "permission denied".to_owned() };
    let report = ScanReport {
        coverage: Coverage::Everything,
        root,
        files: Vec::new(),
        unreadable_folders: Vec::new(),
    };
    world.give(Input::Scanned(report));
    world.run(MINUTE);
    assert!(world.engine.is_finished(world.now));
}

#[test]
fn a_recorded_failure_is_not_over_because_of_a_restart() {
    let rules: [(&str, &[&str]); 1] = [("a.png", &["named"])];
    let mut world = World::new(manifest(&rules));
    world.fail("named", FailureClass::CredentialsRefused);
    world.write("a.png", b"a");
    world.run(MINUTE);
    assert_eq!(
        &*world.record("a.png", "named").unwrap().trouble.as_ref().unwrap().kind,
        "credentials-refused"
    );
    world.restart(manifest(&rules));
    world.run(10 * MINUTE);
    assert_eq!(world.count(|event| matches!(event, Event::Recovered { .. })), 0);
    assert!(world.record("a.png", "named").unwrap().trouble.is_some());
    world.mend("named");
    world.run(HOUR);
    assert!(world.record("a.png", "named").unwrap().trouble.is_none());
}

#[test]
fn retirements_count_within_the_window_although_their_urls_have_ended() {
    // The window is as long as the longest margin, a day, and what is retired at `numbered` ends within six hours.
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    (0..30).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    for number in 0..20 {
        world.remove(&format!("{number}.png"));
        world.run(HOUR);
    }
    assert!(world.record("0.png", "numbered").is_none(), "its end has come");
    assert!(world.engine.is_halted());
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 10);
    // The window slides on: a day later the first ones count no more.
    world.run(16 * HOUR);
    let retired = world.count(|event| matches!(event, Event::Retired { .. }));
    assert!(retired > 10, "{retired}");
}

#[test]
fn what_was_taken_back_before_its_end_was_never_lost() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    (0..30).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    for _ in 0..20 {
        world.remove("7.png");
        world.run(2 * MINUTE);
        world.write("7.png", &[7]);
        world.run(MINUTE);
    }
    assert!(!world.engine.is_halted());
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 20);
}

#[test]
fn moves_do_not_use_up_what_may_be_lost() {
    let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    for number in 0..20 {
        world.remove(&format!("{number}.png"));
        world.write(&format!("moved-{number}.png"), &[number]);
    }
    for wait in [5 * MINUTE, 8 * HOUR] {
        world.run(wait);
        world.remove(&format!("moved-{}.png", wait.as_secs() / 3600));
        world.run(5 * MINUTE);
        assert!(!world.engine.is_halted(), "{wait:?} after the move");
    }
}

#[test]
fn a_provider_that_asks_for_a_second_again_and_again_is_asked_less_and_less() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..8).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(20 * HOUR);
    let before = world.requests_to("named");
    let failure = Failure {
        retry_after: Some(SECOND),
        ..Failure::without_answer(FailureClass::Throttled, "slow down")
    };
    world.mood.insert(provider("named"), Mood::Failing(failure));
    world.run(18 * HOUR);
    // Four at once, and soon five minutes from one try to the next.
    let requests = world.requests_to("named") - before;
    assert!(requests <= 4 * 18 * 12 + 20, "{requests}");
    world.mend("named");
    world.run(DAY);
    world.assert_nobody_was_let_down();
}

#[test]
fn a_file_that_went_while_nobody_looked_is_not_published_at_another_provider() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    world.write("other.png", b"so that the folder is not empty");
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.folder.remove(&path("a.png"));
    world.restart(manifest(&[("*.png", &["named"])]));
    let before = world.sent.len();
    world.run(10 * MINUTE);
    assert!(world.sent[before..].iter().all(|key| key.path == path("other.png")), "{:?}", world.sent);
    assert!(world.record("a.png", "named").is_none());
    assert!(world.url("other.png", "named").is_some());
}

#[test]
fn what_was_uploaded_under_a_clock_that_was_ahead_promises_no_more_once_it_is_right() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..8).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    world.now.wall = world.now.wall + 31 * HOUR;
    world.run(3 * HOUR);
    let latest = |world: &World| {
        world
            .published
            .records
            .values()
            .map(|record| record.current.as_ref().unwrap().expires_at)
            .max()
            .unwrap()
    };
    assert!(
        latest(&world) > world.now.steady + 70 * HOUR,
        "everything was renewed by the clock that was ahead"
    );
    world.now.wall = world.now.steady;
    world.uploads_fail = true;
    world.run(10 * SECOND);
    // Readers, and a process after this one, have nothing but these moments to go by.
    assert!(latest(&world) <= world.now.wall + 48 * HOUR);
    world.restart(manifest(&[("*.png", &["named"])]));
    world.run(HOUR);
    world.uploads_fail = false;
    world.run(4 * DAY);
    world.assert_nobody_was_let_down();
}
