//! Providers that lose media, forget them early, or do not count an upload under an existing ID: within one interval
//! it is seen and mended, and what can be learnt is learnt.

use std::sync::Arc;
use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, World, manifest, path, provider};
use super::{DAY, Input, Mode};
use crate::domain::asset::EntryKey;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::manifest::{IdTemplate, Manifest};

fn vanished(world: &World) -> usize {
    world.count(|event| matches!(event, Event::Vanished { .. }))
}

fn switches(world: &World) -> Vec<(usize, Option<EntryKey>)> {
    let told = |event: &Event| match event {
        Event::OverwritingKeepsClock { fixed, example, .. } => Some((*fixed, example.clone())),
        _ => None,
    };
    world.events.iter().filter_map(told).collect()
}

fn learnt(world: &World) -> Vec<Duration> {
    let told = |event: &Event| match event {
        Event::RetentionLearnt { retention, .. } => Some(*retention),
        _ => None,
    };
    world.events.iter().filter_map(told).collect()
}

/// Two or more files at a provider.
fn world_with(files: u8, manifest: Manifest) -> World {
    let mut world = World::new(manifest);
    (0..files).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world
}

fn at(name: &str) -> Manifest {
    manifest(&[("*.png", &[name])])
}

/// Waits for the first look, which is answered ten minutes later. What is asked from now on is answered soon.
fn begin_a_late_look(world: &mut World) {
    world.latency = 10 * MINUTE;
    while world.looks.is_empty() {
        world.run(Duration::from_secs(10));
    }
    world.latency = Duration::from_secs(1);
}

#[test]
fn media_that_vanish_are_back_within_an_interval() {
    for name in ["named", "numbered"] {
        let mut world = world_with(20, at(name));
        world.run(HOUR);
        for file in ["3.png", "7.png"] {
            world.lose(file, name);
        }
        world.run(HOUR + MINUTE);
        assert_eq!(vanished(&world), 2, "{name}");
        world.dead_urls_seen = 0;
        world.run(12 * HOUR);
        world.assert_nobody_was_let_down();
        assert_eq!(vanished(&world), 2, "{name}: two losses are told twice, and no more");
        assert!(learnt(&world).is_empty() && switches(&world).is_empty(), "{name}: two losses prove nothing");
    }
}

#[test]
fn readers_are_not_given_a_url_that_is_known_to_be_dead() {
    let mut world = world_with(2, at("named"));
    world.run(2 * HOUR);
    world.lose("0.png", "named");
    world.run(20 * MINUTE);
    world.uploads_fail = true;
    world.run(HOUR);
    assert_eq!(world.url("0.png", "named"), None);
    assert!(world.url("1.png", "named").is_some());
    // A crash does not forget it.
    world.uploads_fail = false;
    world.restart(at("named"));
    world.run(MINUTE);
    assert!(world.url("0.png", "named").is_some());
}

#[test]
fn there_is_at_most_one_look_an_hour_and_none_where_it_is_turned_off() {
    let mut world = world_with(30, manifest(&[("*.png", &["named", "numbered"])]));
    world.run(3 * DAY);
    for name in ["named", "numbered"] {
        let begun: Vec<_> = world.looks.iter().filter(|look| look.1.as_str() == name).collect();
        assert!((70..=72).contains(&begun.len()), "{name}: {}", begun.len());
        assert!(begun.windows(2).all(|pair| pair[1].0.saturating_since(pair[0].0) >= HOUR), "{name}");
        let questions = begun.iter().map(|look| look.2).max().unwrap();
        assert!(questions <= 30, "{name}: {questions} questions for 30 media");
    }
    assert_eq!(vanished(&world), 0, "no false alarm");

    let mut off = manifest(&[("*.png", &["named", "numbered"])]);
    off.providers.values_mut().for_each(|config| config.verify = Duration::ZERO);
    let mut world = world_with(3, off);
    world.run(DAY);
    assert!(world.looks.is_empty());
}

#[test]
fn a_restart_is_no_reason_for_a_look() {
    let mut world = world_with(3, at("named"));
    for _ in 0..100 {
        world.run(30 * MINUTE);
        world.restart(at("named"));
    }
    assert!(world.looks.is_empty());
}

#[test]
fn a_single_pass_looks_at_nothing() {
    let mode = Mode::Once { tries: 3, patience: Duration::from_secs(30) };
    let mut world = World::with_mode(at("named"), mode);
    world.write("0.png", b"0");
    world.run(DAY);
    assert!(world.looks.is_empty());
}

#[test]
fn a_look_that_fails_is_told_once_and_alarms_nobody() {
    for class in [FailureClass::Unavailable, FailureClass::CredentialsRefused, FailureClass::AddressUnknown] {
        let mut world = world_with(5, at("named"));
        world.run(10 * MINUTE);
        world.looks_fail = Some(Failure::without_answer(class, "no list for you"));
        world.run(DAY);
        assert_eq!(world.looks.len(), 24, "{class}: the next one comes after an interval");
        let told = world.count(|event| matches!(event, Event::VerificationFailed { .. }));
        assert_eq!(told, 1, "{class}");
        assert_eq!(vanished(&world), 0, "{class}");
        assert_eq!(world.count(|event| matches!(event, Event::AccountStopped { .. })), 0, "{class}");
        world.assert_nobody_was_let_down();
    }
}

#[test]
fn an_account_that_is_down_or_asks_to_wait_is_not_looked_at() {
    let mut world = world_with(5, at("named"));
    world.run(2 * HOUR);
    world.fail("named", FailureClass::CredentialsRefused);
    world.write("new.png", b"new");
    world.run(MINUTE);
    let looks = world.looks.len();
    world.run(5 * HOUR);
    assert_eq!(world.looks.len(), looks);
    world.mend("named");
    world.run(2 * HOUR);
    assert!(world.looks.len() > looks);

    let mut wish = Failure::without_answer(FailureClass::Throttled, "slow down");
    wish.retry_after = Some(5 * HOUR);
    world.mood.insert(provider("named"), Mood::Failing(wish));
    world.run(HOUR);
    let looks = world.looks.len();
    world.run(4 * HOUR);
    assert_eq!(world.looks.len(), looks, "nor is one that asked to wait in answer to a look");
}

#[test]
fn a_look_ends_when_its_account_is_to_be_left_alone_and_the_next_one_comes_as_ever() {
    for class in [FailureClass::Throttled, FailureClass::CredentialsRefused] {
        let mut world = world_with(5, at("named"));
        world.run(30 * MINUTE);
        world.lose("0.png", "named");
        begin_a_late_look(&mut world);
        let mut failure = Failure::without_answer(class, "not now");
        failure.retry_after = (class == FailureClass::Throttled).then_some(5 * MINUTE);
        world.mood.insert(provider("named"), Mood::Failing(failure));
        world.write("new.png", b"new");
        world.run(10 * Duration::from_secs(1));
        assert_eq!(world.broken_off, 1, "{class}");
        world.mend("named");
        world.run(58 * MINUTE);
        assert_eq!((world.looks.len(), vanished(&world)), (1, 0), "{class}: nothing is known from it");
        world.run(3 * MINUTE);
        assert_eq!((world.looks.len(), vanished(&world)), (2, 1), "{class}");
    }
}

#[test]
fn a_look_that_takes_long_is_not_followed_by_another_at_once() {
    let mut world = world_with(5, at("named"));
    world.run(30 * MINUTE);
    world.latency = 50 * MINUTE;
    world.run(10 * HOUR);
    assert!(world.looks.len() > 4);
    assert!(world.looks.windows(2).all(|pair| pair[1].0.saturating_since(pair[0].0) >= (50 + 54) * MINUTE));
}

#[test]
fn a_look_that_is_to_wait_holds_uploads_only_where_the_account_has_one_limit_for_both() {
    for (name, held) in [("named", false), ("numbered", true)] {
        let mut world = world_with(5, at(name));
        world.run(10 * MINUTE);
        let mut wish = Failure::without_answer(FailureClass::Throttled, "too many lists");
        wish.retry_after = Some(40 * MINUTE);
        world.looks_fail = Some(wish.clone());
        while world.looks.is_empty() {
            world.run(MINUTE);
        }
        world.write("new.png", b"new");
        world.run(MINUTE);
        assert_eq!(world.url("new.png", name).is_none(), held, "{name}");
        world.run(HOUR);
        assert!(world.url("new.png", name).is_some(), "{name}");
        // A longer wish than the interval is honoured, up to a day.
        wish.retry_after = Some(70 * HOUR);
        world.looks_fail = Some(wish);
        let before = world.looks.len();
        world.run(2 * HOUR);
        assert_eq!(world.looks.len(), before + 1, "{name}");
        world.looks_fail = None;
        world.run(20 * HOUR);
        assert_eq!(world.looks.len(), before + 1, "{name}");
        world.run(5 * HOUR);
        assert!(world.looks.len() > before + 1, "{name}");
        world.assert_nobody_was_let_down();
    }
}

#[test]
fn a_list_that_names_nothing_is_not_believed_while_the_media_are_there() {
    let mut world = world_with(30, at("named"));
    world.lists_are_empty = true;
    world.run(3 * DAY);
    assert_eq!(vanished(&world), 0);
    world.assert_nobody_was_let_down();
}

#[test]
fn what_was_uploaded_while_a_look_was_under_way_is_not_judged_by_it() {
    let mut world = world_with(1, at("named"));
    world.latency = 2 * MINUTE;
    world.run(30 * MINUTE);
    world.lose("0.png", "named");
    // The look finds nothing, and before its answer is in, new content is on its way.
    while world.looks.is_empty() {
        world.run(Duration::from_secs(10));
    }
    world.write("0.png", b"new");
    world.run(HOUR);
    assert_eq!(vanished(&world), 0);
    assert!(world.url("0.png", "named").is_some());
}

#[test]
fn what_was_confirmed_under_the_same_id_while_a_look_was_under_way_is_not_judged_by_it() {
    let mut manifest = at("named");
    manifest.rules[0].id = Some(IdTemplate::parse("{path}").unwrap());
    let mut world = world_with(1, manifest);
    world.run(30 * MINUTE);
    world.lose("0.png", "named");
    // The look finds nothing and answers late; by then the upload that mends it has long been confirmed.
    begin_a_late_look(&mut world);
    let old = world.url("0.png", "named");
    world.write("0.png", b"new");
    world.run(MINUTE);
    assert!(world.serves_what_is_recorded("0.png", "named"), "the scene is set");
    world.run(30 * MINUTE);
    assert_eq!((vanished(&world), world.looks.len()), (0, 1));
    assert_eq!(world.url("0.png", "named"), old, "readers keep the URL");
}

#[test]
fn an_upload_is_not_looked_for_at_once() {
    let mut world = world_with(1, at("named"));
    world.run(40 * MINUTE);
    // Whatever moment the first look has: the file is changed every minute until then.
    for minute in 0..30_u8 {
        world.write("0.png", &[1, minute]);
        world.run(MINUTE);
    }
    assert!(world.looks.is_empty(), "nothing is old enough to be looked for");
}

#[test]
fn a_shorter_life_is_learnt_and_then_nothing_dies_any_more() {
    for (name, real, assumed) in [("named", 15 * HOUR, 48 * HOUR), ("numbered", 2 * HOUR, 6 * HOUR)] {
        let mut world = world_with(10, at(name));
        world.lives.insert(provider(name), real);
        world.run(2 * DAY);
        let learnt = learnt(&world);
        assert_eq!(learnt.len(), 1, "{name}: {learnt:?}");
        assert!(learnt[0] < real && learnt[0] >= real / 3, "{name}: {learnt:?} of {assumed:?}");
        world.dead_urls_seen = 0;
        let vanished_before = vanished(&world);
        world.run(7 * DAY);
        world.assert_nobody_was_let_down();
        assert_eq!(vanished(&world), vanished_before, "{name}");
        for number in 0..10 {
            let record = world.record(&format!("{number}.png"), name).unwrap();
            let handle = record.live().unwrap();
            assert!(handle.expires_at.saturating_since(handle.uploaded_at) <= learnt[0], "{name}");
        }
    }
}

#[test]
fn a_shorter_life_that_is_learnt_takes_nothing_back_that_was_just_seen_alive() {
    let mut world = world_with(5, at("named"));
    world.lives.insert(provider("named"), 15 * HOUR);
    world.run(70 * MINUTE);
    (5..10).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(14 * HOUR);
    assert_eq!(vanished(&world), 0, "the scene is set");
    // The first ones are found gone, when the others are older than the life that is learnt from it.
    world.run(51 * MINUTE);
    assert_eq!((vanished(&world), learnt(&world).len()), (5, 1));
    let renewed = |event: &Event| matches!(event, Event::Renewed { .. });
    assert_eq!(world.count(renewed), 5, "those that were just seen are renewed at once");
    assert_eq!(world.count(|event| matches!(event, Event::Lapsed { .. })), 0);
}

#[test]
fn a_shorter_life_is_learnt_from_a_single_file_too_in_the_end() {
    let mut world = world_with(1, at("named"));
    world.lives.insert(provider("named"), 10 * HOUR);
    world.run(4 * DAY);
    assert_eq!(learnt(&world).len(), 1);
    assert_eq!(vanished(&world), 3);
    world.dead_urls_seen = 0;
    world.run(7 * DAY);
    world.assert_nobody_was_let_down();
}

#[test]
fn what_was_learnt_survives_another_manifest_and_is_not_longer_than_it() {
    let mut world = world_with(10, at("named"));
    world.lives.insert(provider("named"), 15 * HOUR);
    world.run(2 * DAY);
    let mut stricter = at("named");
    stricter.providers.get_mut("named").unwrap().retention = Some(5 * HOUR);
    for (manifest, longest) in [(at("named"), 15 * HOUR), (stricter, 5 * HOUR)] {
        world.give(Input::Manifest(Arc::new(manifest)));
        world.run(DAY);
        let record = world.record("0.png", "named").unwrap();
        let handle = record.live().unwrap();
        assert!(handle.expires_at.saturating_since(handle.uploaded_at) <= longest);
    }
    assert_eq!(learnt(&world).len(), 1);
}

#[test]
fn somebody_who_deletes_media_teaches_nothing() {
    let mut world = world_with(30, at("named"));
    world.run(20 * HOUR);
    for round in 0..20_u8 {
        world.run(3 * HOUR);
        for number in 0..3 {
            world.lose(&format!("{}.png", (round * 3 + number) % 12), "named");
        }
    }
    world.run(2 * HOUR);
    // A renewal was faster now and then.
    assert!((50..=60).contains(&vanished(&world)), "{}", vanished(&world));
    assert_eq!((learnt(&world), switches(&world)), (vec![], vec![]));
}

#[test]
fn where_overwriting_does_not_restart_the_clock_renewals_have_new_ids() {
    for files in [1, 2, 10] {
        let mut world = world_with(files, at("named"));
        world.overwriting_keeps_clock = true;
        world.run(6 * DAY);
        assert_eq!(switches(&world), [(0, None)], "{files}");
        assert!(learnt(&world).is_empty(), "{files}");
        let (before, url) = (vanished(&world), world.url("0.png", "named").unwrap());
        assert!(before <= usize::from(files.max(2)) * 2, "{files}: {before}");
        world.dead_urls_seen = 0;
        world.run(7 * DAY);
        assert_eq!((world.dead_urls_seen, vanished(&world)), (0, before), "{files}");
        assert_ne!(world.url("0.png", "named").unwrap(), url, "{files}");
        // A restart knows it by the IDs.
        world.restart(at("named"));
        world.run(7 * DAY);
        assert_eq!((world.dead_urls_seen, vanished(&world)), (0, before), "{files}");
        // New IDs are no more uploads than before.
        let requests = world.requests_to("named");
        assert!(requests <= usize::from(files) * 20 * 2, "{files}: {requests}");
    }
}

#[test]
fn a_table_that_comes_later_goes_on_renewing_under_new_ids() {
    let mut world = world_with(3, at("named"));
    world.overwriting_keeps_clock = true;
    world.run(6 * DAY);
    assert_eq!(switches(&world).len(), 1);
    let mut without = at("named");
    without.providers.remove("named");
    world.restart(without);
    world.give(Input::Manifest(Arc::new(at("named"))));
    world.connect();
    world.dead_urls_seen = 0;
    let before = vanished(&world);
    world.run(7 * DAY);
    assert_eq!((world.dead_urls_seen, vanished(&world)), (0, before));
}

#[test]
fn new_content_goes_out_as_ever_where_renewals_have_new_ids() {
    let mut world = world_with(2, at("named"));
    world.overwriting_keeps_clock = true;
    world.run(6 * DAY);
    assert_eq!(switches(&world).len(), 1);
    // There and back again: an ID that is in use already would not live long.
    for content in [b"one", b"two", b"one"] {
        world.write("0.png", content);
        world.run(HOUR);
    }
    // Content that is refused is not sent in a loop.
    world.fail("named", FailureClass::ContentRefused);
    world.write("0.png", b"refused");
    let before = world.requests_to("named");
    world.run(5 * HOUR);
    assert!(world.requests_to("named") - before <= 4);
    world.mend("named");
    world.dead_urls_seen = 0;
    world.run(7 * DAY);
    world.assert_nobody_was_let_down();
}

#[test]
fn an_id_that_the_manifest_fixes_stays_and_is_told() {
    let mut manifest = at("named");
    manifest.rules[0].id = Some(IdTemplate::parse("{path}").unwrap());
    let mut world = world_with(3, manifest);
    world.overwriting_keeps_clock = true;
    world.run(20 * DAY);
    let told = switches(&world);
    assert_eq!((told.len(), told[0].0), (1, 3));
    assert_eq!(told[0].1.as_ref().unwrap().path, path("0.png"));
    assert!(world.url("0.png", "named").unwrap().ends_with("/0.png"));
    // Each media dies every two days, and is back within an hour.
    assert!((3 * 8..=3 * 10).contains(&vanished(&world)), "{}", vanished(&world));
}

#[test]
fn where_overwriting_restarts_the_clock_nothing_changes() {
    let mut world = world_with(10, at("named"));
    world.run(30 * DAY);
    assert!(switches(&world).is_empty() && learnt(&world).is_empty());
    assert_eq!((world.dead_urls_seen, vanished(&world)), (0, 0));
}

#[test]
fn a_foreign_writer_is_told_once_and_not_fought() {
    let mut world = world_with(3, at("named"));
    world.run(2 * HOUR);
    let foreign = |world: &World| {
        world.count(|event| matches!(event, Event::ForeignContent { sent: 1, found: 99, .. }))
    };
    let before = world.requests_to("named");
    world.intrude("1.png", "named", 99);
    world.run(10 * HOUR);
    assert_eq!(foreign(&world), 1);
    assert_eq!(world.requests_to("named"), before, "nothing is sent because of it");
    assert_eq!(vanished(&world), 0);
    // The usual renewal made it ours again; what happens after that is news.
    world.run(14 * HOUR);
    world.intrude("1.png", "named", 99);
    world.run(2 * HOUR);
    assert_eq!(foreign(&world), 2);
}

#[test]
fn an_answer_about_another_account_or_an_entry_that_is_gone_is_no_news() {
    let mut world = world_with(2, at("named"));
    world.latency = 5 * MINUTE;
    world.run(30 * MINUTE);
    world.lose("0.png", "named");
    world.lose("1.png", "named");
    while world.looks.is_empty() {
        world.run(Duration::from_secs(10));
    }
    world.scope = crate::domain::asset::Scope::new("another").unwrap();
    world.connect();
    world.run(30 * MINUTE);
    assert_eq!(vanished(&world), 0);
}
