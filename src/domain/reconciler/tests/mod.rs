//! Timelines: what the engine does over hours and days, in milliseconds.

mod accounts;
mod edges;
mod hostile;
mod ids;
mod lessons;
mod mass_loss;
mod order;
mod planning;
mod politeness;
mod verification;
mod world;

use std::sync::Arc;
use std::time::Duration;

use world::{HOUR, MINUTE, World, manifest, path, provider};

use super::{Input, Mode};
use crate::domain::approval::digest;
use crate::domain::asset::Scope;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::guard::Halt;
use crate::domain::observation::RootIdentity;
use crate::domain::time::{Now, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn uploads_what_is_new_and_renews_it_for_a_month_without_a_dead_url() {
    let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
    for number in 0..20 {
        world.write(&format!("{number}.png"), &[number]);
    }
    world.run(30 * DAY);
    world.assert_nobody_was_let_down();
    assert_eq!(world.published.records.len(), 40);
    // Renewed after between 19.2 and 24 hours, and 2.4 and 3 hours: jitter only ever makes it earlier.
    let named = world.requests_to("named");
    assert!((20 * 30..=20 * 38).contains(&named), "{named}");
    let numbered = world.requests_to("numbered");
    assert!((20 * 240..=20 * 310).contains(&numbered), "{numbered}");
}

#[test]
fn at_least_nine_tenths_of_the_margin_are_left_whenever_one_reads() {
    let mut world = World::new(manifest(&[("a.png", &["named", "numbered"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    for _ in 0..500 {
        world.run(17 * MINUTE);
        for (name, margin) in [("named", 24), ("numbered", 3)] {
            let left = world
                .record("a.png", name)
                .unwrap()
                .live()
                .unwrap()
                .expires_at
                .saturating_since(world.now.wall);
            assert!(left >= HOUR * margin * 9 / 10, "{name}: {left:?} left");
        }
    }
}

#[test]
fn changed_content_is_published_at_once_and_the_old_url_is_told_as_long_as_it_lives() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.write("a.png", b"old");
    world.run(MINUTE);
    let old = world.url("a.png", "named").unwrap();
    world.write("a.png", b"new");
    world.run(Duration::from_secs(5));
    assert_ne!(world.url("a.png", "named").unwrap(), old);
    assert_eq!(&*world.record("a.png", "named").unwrap().previous[0].url, old);
    world.run(3 * DAY);
    assert!(world.record("a.png", "named").unwrap().previous.is_empty());
    world.assert_nobody_was_let_down();
}

#[test]
fn an_outage_shorter_than_nine_tenths_of_the_margin_costs_nothing() {
    for (name, margin) in [("named", 24 * HOUR), ("numbered", 3 * HOUR)] {
        for class in [
            FailureClass::Unreachable,
            FailureClass::Ambiguous,
            FailureClass::Unavailable,
            FailureClass::CredentialsRefused,
        ] {
            let mut world = World::new(manifest(&[("*.png", &[name])]));
            (0..30).for_each(|number| world.write(&format!("{number}.png"), &[number]));
            world.run(margin);
            world.fail(name, class);
            world.run(margin * 9 / 10);
            world.mend(name);
            world.run(2 * DAY);
            world.assert_nobody_was_let_down();
        }
    }
}

#[test]
fn a_failing_provider_is_probed_and_not_flooded() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.fail("named", FailureClass::CredentialsRefused);
    for number in 0..200_u8 {
        world.write(&format!("{number}.png"), &[number]);
    }
    world.run(DAY);
    // Four at once to begin with, then one probe after 1, 2, 4 minutes and so on up to seventy.
    let requests = world.requests_to("named");
    assert!(requests <= 30, "{requests}");
    assert_eq!(world.count(|event| matches!(event, Event::AccountStopped { .. })), 1);
}

#[test]
fn a_failing_provider_does_not_stop_another_one() {
    let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
    world.fail("named", FailureClass::Unavailable);
    let names = (0..20).map(|number| format!("{number}.png"));
    for (name, number) in names.clone().zip(0..) {
        world.write(&name, &[number]);
    }
    for length in [MINUTE, DAY] {
        world.run(length);
        assert!(names.clone().all(|name| world.url(&name, "named").is_none()));
        assert!(names.clone().all(|name| world.url(&name, "numbered").is_some()), "after {length:?}");
    }
    world.assert_nobody_was_let_down();
}

#[test]
fn no_request_goes_out_while_a_provider_asks_to_wait() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    let mut failure = Failure::without_answer(FailureClass::Throttled, "slow down");
    failure.retry_after = Some(HOUR);
    world.mood.insert(provider("named"), world::Mood::Failing(failure));
    for number in 0..50_u8 {
        world.write(&format!("{number}.png"), &[number, 1]);
    }
    world.run(Duration::from_secs(10));
    let before = world.requests_to("named");
    world.run(59 * MINUTE);
    assert_eq!(world.requests_to("named"), before);
    world.mend("named");
    world.run(2 * MINUTE);
    assert!(world.url("49.png", "named").is_some());
}

#[test]
fn content_that_is_refused_never_stops_the_renewal_of_what_is_published() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"]), ("b.png", &["numbered"])]));
    world.write("a.png", b"good");
    world.write("b.png", b"other");
    world.run(MINUTE);
    let hash = world.record("a.png", "numbered").unwrap().live().unwrap().hash;
    world.write("a.png", &[0; 2000]);
    world.run(3 * DAY);
    world.assert_nobody_was_let_down();
    let record = world.record("a.png", "numbered").unwrap();
    assert_eq!(record.live().unwrap().hash, hash, "the old content is kept alive");
    assert_eq!(&*record.trouble.as_ref().unwrap().kind, "too-large");
    assert_eq!(
        world.count(|event| matches!(event, Event::Blocked { .. })),
        1,
        "told once, not at each renewal"
    );
}

#[test]
fn a_deleted_file_that_the_manifest_names_is_kept_alive_from_its_copy() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
    world.write("a.png", b"a");
    world.write("unrelated.txt", b"so that the folder is not empty");
    world.run(MINUTE);
    world.remove("a.png");
    world.run(5 * DAY);
    world.assert_nobody_was_let_down();
    assert_eq!(&*world.record("a.png", "numbered").unwrap().trouble.as_ref().unwrap().kind, "missing");
    world.write("a.png", b"a");
    world.run(MINUTE);
    assert!(world.record("a.png", "numbered").unwrap().trouble.is_none());
}

#[test]
fn a_file_that_left_a_glob_is_retired_after_a_minute_and_expires_by_itself() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    world.remove("7.png");
    world.run(Duration::from_secs(50));
    assert!(world.record("7.png", "numbered").unwrap().retired_at.is_none());
    world.run(Duration::from_secs(30));
    assert!(world.record("7.png", "numbered").unwrap().retired_at.is_some());
    assert!(world.url("7.png", "numbered").is_some(), "it stays until it expires");
    world.run(7 * HOUR);
    assert!(world.record("7.png", "numbered").is_none());
    world.assert_nobody_was_let_down();
}

#[test]
fn a_file_that_returns_is_wanted_again_without_an_upload() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    let requests = world.requests_to("named");
    world.remove("7.png");
    world.run(10 * MINUTE);
    world.write("7.png", &[7]);
    world.run(10 * MINUTE);
    assert!(world.record("7.png", "named").unwrap().retired_at.is_none());
    assert_eq!(world.requests_to("named"), requests);
}

#[test]
fn a_vanished_folder_retires_nothing_and_kills_no_url() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    (0..5).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    world.root = None;
    world.give(Input::Touched { paths: Vec::new(), everything: true });
    world.run(3 * DAY);
    world.assert_nobody_was_let_down();
    assert!(world.engine.is_halted());
    assert_eq!(world.count(|event| matches!(event, Event::GuardHalted { halt: Halt::FolderMissing, .. })), 1);
    assert_eq!(world.count(|event| matches!(event, Event::FolderUnusable { .. })), 1);
    world.root = Some(RootIdentity { device: 1, inode: 2 });
    world.run(MINUTE);
    assert!(!world.engine.is_halted());
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 0);
}

#[test]
fn an_emptied_folder_and_an_emptied_rule_wait_for_approval_of_exactly_their_entries() {
    let mut world = World::new(manifest(&[("*.png", &["named"]), ("*.mp3", &["named"])]));
    (0..40).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.write("x.mp3", b"x");
    world.run(MINUTE);
    world.remove("x.mp3");
    world.run(5 * MINUTE);
    assert!(matches!(world.engine.held_back(), Some((Halt::RuleEmptied(rule), _)) if rule == "*.mp3"));
    world.give(Input::Approved { digest: "another set".to_owned() });
    world.run(MINUTE);
    assert!(world.engine.is_halted());
    let approved = digest(world.engine.held_back().unwrap().1);
    world.give(Input::Approved { digest: approved });
    world.run(MINUTE);
    assert!(!world.engine.is_halted());
    assert_eq!(world.approvals_used, 1);
    assert!(world.record("x.mp3", "named").unwrap().retired_at.is_some());
}

#[test]
fn a_mass_deletion_in_small_steps_is_held_back_all_the_same() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..30).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    for number in 0..20 {
        world.remove(&format!("{number}.png"));
        world.run(3 * MINUTE);
    }
    assert!(world.engine.is_halted());
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 10);
}

#[test]
fn a_moved_file_counts_neither_as_lost_nor_as_new() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..30).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    for number in 0..30 {
        world.remove(&format!("{number}.png"));
        world.write(&format!("moved-{number}.png"), &[number]);
    }
    world.run(5 * MINUTE);
    assert!(!world.engine.is_halted());
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 30);
}

#[test]
fn an_entry_that_leaves_the_manifest_is_retired_and_one_that_comes_back_is_not() {
    let both = || manifest(&[("a.png", &["named"]), ("b.png", &["named"])]);
    let mut world = World::new(both());
    world.write("a.png", b"a");
    world.write("b.png", b"b");
    world.run(MINUTE);
    world.give(Input::Manifest(Arc::new(manifest(&[("a.png", &["named"])]))));
    world.run(MINUTE);
    assert!(world.record("b.png", "named").unwrap().retired_at.is_some());
    world.give(Input::Manifest(Arc::new(both())));
    world.run(MINUTE);
    assert!(world.record("b.png", "named").unwrap().retired_at.is_none());
}

#[test]
fn entries_of_a_provider_that_left_the_manifest_live_on_while_the_guard_holds_them_back() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    let mut without = manifest(&[("*.png", &["named"])]);
    without.providers.remove("numbered");
    world.give(Input::Manifest(Arc::new(without)));
    world.run(2 * DAY);
    assert!(world.engine.is_halted());
    world.assert_nobody_was_let_down();
    assert!(world.url("3.png", "numbered").is_some());
}

#[test]
fn a_busy_file_is_never_sent_and_never_delays_the_renewal_of_what_is_published() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.busy.push(path("a.png"));
    world.write("a.png", b"half of someth");
    world.run(DAY);
    world.assert_nobody_was_let_down();
    assert_eq!(&*world.record("a.png", "numbered").unwrap().trouble.as_ref().unwrap().kind, "still-changing");
    world.busy.clear();
    world.run(MINUTE);
    assert!(world.record("a.png", "numbered").unwrap().trouble.is_none());
    assert_eq!(world.record("a.png", "numbered").unwrap().live().unwrap().size, 14);
}

#[test]
fn a_restart_uploads_nothing_that_is_not_due() {
    let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
    (0..10).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(HOUR);
    let before = world.sent.len();
    for _ in 0..5 {
        world.restart(manifest(&[("*.png", &["named", "numbered"])]));
        world.run(5 * MINUTE);
    }
    assert_eq!(world.sent.len(), before);
}

#[test]
fn after_a_stop_longer_than_the_retention_everything_comes_back() {
    let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
    (0..10).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(HOUR);
    world.now = Now::at(world.now.wall + 3 * DAY);
    world.restart(manifest(&[("*.png", &["named", "numbered"])]));
    world.run(5 * MINUTE);
    assert_eq!(world.count(|event| matches!(event, Event::Lapsed { .. })), 20);
    let dead_after_restart = world.dead_urls_seen;
    assert!((0..10).all(|number| world.url(&format!("{number}.png"), "numbered").is_some()));
    world.run(5 * DAY);
    assert_eq!(world.dead_urls_seen, dead_after_restart);
}

#[test]
fn clock_jumps_make_no_url_die_and_no_flood() {
    for hours in [-72, -1, 1, 72] {
        let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
        (0..10).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.run(HOUR);
        world.now.wall = Timestamp::from_unix_ms(world.now.wall.unix_ms() + hours * 3_600_000);
        let before = world.sent.len();
        world.run(30 * MINUTE);
        assert!(world.sent.len() - before <= 20, "{hours}: one round at most");
        assert_eq!(world.count(|event| matches!(event, Event::ClockJumped { .. })), 1);
        assert_eq!(world.count(|event| matches!(event, Event::Lapsed { .. })), 0, "{hours}");
        world.run(5 * DAY);
        world.assert_nobody_was_let_down();
    }
}

#[test]
fn while_the_state_cannot_be_written_renewals_go_on_and_new_content_waits() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.state_writable = false;
    world.write("a.png", b"changed");
    world.run(Duration::from_secs(20));
    let sent_before = world.sent.len();
    world.write("b.png", b"b");
    world.run(30 * HOUR);
    assert!(world.sent[sent_before..].iter().all(|key| key.path == path("a.png")), "only renewals");
    assert!(world.sent.len() > sent_before);
    assert_eq!(world.count(|event| matches!(event, Event::StateUnwritable { .. })), 1);
    world.state_writable = true;
    world.run(MINUTE);
    assert!(world.url("b.png", "named").is_some());
    world.assert_nobody_was_let_down();
}

#[test]
fn after_a_change_of_account_the_old_url_stays_until_the_new_receipt() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    let old = world.url("a.png", "named").unwrap();
    world.scope = Scope::new("other").unwrap();
    world.fail("named", FailureClass::Unavailable);
    world.connect();
    world.run(MINUTE);
    assert_eq!(world.url("a.png", "named").unwrap(), old);
    world.mend("named");
    world.run(10 * MINUTE);
    assert!(world.url("a.png", "named").unwrap().contains("/other/"));
}

#[test]
fn a_single_pass_does_what_is_due_and_ends() {
    let once = Mode::Once { tries: 3, patience: Duration::from_secs(30) };
    let mut world = World::with_mode(manifest(&[("*.png", &["named", "numbered"])]), once);
    (0..10).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(Duration::from_secs(10));
    assert!(world.engine.is_finished(world.now));
    assert_eq!(world.published.records.len(), 20);
    let summary = world.engine.summary();
    assert_eq!((summary.entries, summary.alive, summary.failing), (20, 20, 0));
}

#[test]
fn a_single_pass_tries_three_times_and_ends_even_if_nothing_works() {
    let once = Mode::Once { tries: 3, patience: Duration::from_secs(30) };
    for class in [
        FailureClass::Ambiguous,
        FailureClass::ContentRefused,
        FailureClass::CredentialsRefused,
        FailureClass::Throttled,
    ] {
        let mut world = World::with_mode(manifest(&[("*.png", &["named"])]), once);
        world.fail("named", class);
        (0..3).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.run(10 * MINUTE);
        assert!(world.engine.is_finished(world.now), "{class}");
        assert!(world.requests_to("named") <= 9, "{class}: {}", world.requests_to("named"));
        assert_eq!(world.engine.summary().failing, 3);
    }
}

#[test]
fn two_names_for_the_same_bytes_under_one_id_share_a_handle_and_other_bytes_are_blocked() {
    let mut manifest = manifest(&[("a.png", &["named"]), ("b.png", &["named"]), ("c.png", &["named"])]);
    for rule in &mut manifest.rules {
        rule.id = Some(crate::domain::manifest::IdTemplate::parse("one/name.png").unwrap());
    }
    let mut world = World::new(manifest);
    world.write("a.png", b"same");
    world.write("b.png", b"same");
    world.write("c.png", b"other");
    world.run(HOUR);
    assert_eq!(world.requests_to("named"), 1);
    assert_eq!(world.url("a.png", "named"), world.url("b.png", "named"));
    assert_eq!(&*world.record("c.png", "named").unwrap().trouble.as_ref().unwrap().kind, "id-taken");
    world.run(3 * DAY);
    world.assert_nobody_was_let_down();
}

#[test]
fn work_grows_with_what_changed_and_not_with_what_exists() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..200).for_each(|number| world.write(&format!("{number}.png"), &u16::to_le_bytes(number)));
    world.run(MINUTE);
    world.write("7.png", b"changed");
    world.run(Duration::from_millis(300));
    assert_eq!(world.sent.iter().filter(|key| key.path == path("7.png")).count(), 2);
    assert_eq!(world.sent.len(), 201);
}

#[test]
fn people_are_told_of_an_upload_once_readers_can_see_it() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.write("a.png", b"a");
    world.run(Duration::from_secs(1));
    assert_eq!(world.count(|event| matches!(event, Event::Uploaded { .. })), 1);
    assert!(world.url("a.png", "named").is_some());
}
