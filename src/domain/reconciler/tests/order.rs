//! What goes first, what waits for what, and how long: within one account, and never beyond it.

use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, World, manifest, provider};
use crate::domain::asset::ContentHash;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::reconciler::Input;
use crate::domain::reconciler::account::Account;
use crate::domain::reconciler::entry::Lane;
use crate::domain::testing::key;
use crate::domain::time::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

fn throttled(wish: Option<Duration>) -> Failure {
    Failure { retry_after: wish, ..Failure::without_answer(FailureClass::Throttled, "slow down") }
}

#[test]
fn a_wish_to_wait_outlasts_whatever_else_is_answered_meanwhile() {
    let later: [&[Option<Failure>]; 3] =
        [&[None], &[Some(throttled(Some(SECOND)))], &[Some(throttled(None)), None]];
    for answers in later {
        let mut world = World::new(manifest(&[("*.png", &["named"])]));
        let answers = std::iter::once(Some(throttled(Some(HOUR)))).chain(answers.iter().cloned());
        world.mood.insert(provider("named"), Mood::Answering(answers.collect()));
        (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.run(10 * SECOND);
        assert_eq!(world.requests_to("named"), 4, "as many as go out at once");
        world.run(59 * MINUTE);
        assert_eq!(world.requests_to("named"), 4);
        world.run(5 * MINUTE);
        assert_eq!(world.count(|event| matches!(event, Event::Uploaded { .. })), 20);
    }
}

#[test]
fn a_url_of_another_account_that_ends_soon_does_not_shorten_a_pause() {
    let mut world = World::new(manifest(&[("*.png", &["named"]), ("*.mp3", &["numbered"])]));
    world.write("a.mp3", b"sound");
    world.run(MINUTE);
    world.fail("numbered", FailureClass::Unavailable);
    // A few minutes of its six hours are left.
    world.run(5 * HOUR + 48 * MINUTE);
    world.mood.insert(provider("named"), Mood::Failing(throttled(Some(HOUR))));
    world.write("a.png", b"picture");
    world.run(10 * SECOND);
    assert_eq!(world.requests_to("named"), 1);
    world.run(58 * MINUTE);
    assert_eq!(world.requests_to("named"), 1);
}

#[test]
fn renewals_and_new_content_take_turns_and_what_ends_first_goes_first() {
    let config = manifest(&[("*", &["named"])]).providers[&provider("named")].clone();
    let mut account = Account::new(config);
    let at = |minute: i64| Timestamp::from_unix_ms(minute * 60_000);
    for (lane, minute, name) in [
        (Lane::Fresh, 0, "f1"),
        (Lane::Fresh, 0, "f2"),
        (Lane::Renewal, 9, "a"),
        (Lane::Renewal, 7, "z"),
        (Lane::Renewal, 8, "m"),
        (Lane::Lapsed, 0, "l"),
        (Lane::Urgent, 3, "u3"),
        (Lane::Urgent, 2, "u2"),
    ] {
        account.enqueue(lane, at(minute), key(name, "named"));
    }
    let order: Vec<_> = std::iter::from_fn(|| account.next()).map(|key| key.path.to_string()).collect();
    assert_eq!(order, ["u2", "u3", "l", "z", "f1", "m", "f2", "a"]);
}

#[test]
fn after_an_outage_the_renewal_whose_url_ends_first_goes_first() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.write("z.png", b"ends first");
    world.run(6 * HOUR);
    world.write("a.png", b"ends later");
    world.run(MINUTE);
    // When it is over both have long been due, and one of them goes out as a probe.
    world.fail("named", FailureClass::Unavailable);
    world.run(27 * HOUR);
    world.sent.clear();
    world.mend("named");
    world.run(HOUR);
    assert_eq!(world.sent.iter().map(|key| key.path.as_str()).collect::<Vec<_>>(), ["z.png", "a.png"]);
    world.assert_nobody_was_let_down();
}

#[test]
fn a_renewal_that_is_refused_is_tried_more_often_as_its_time_runs_out() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    world.uploads_fail = true;
    // Two and a half hours are left, and a twentieth of the life is the longest wait by then.
    world.run(45 * HOUR + 30 * MINUTE);
    world.uploads_fail = false;
    world.run(2 * HOUR + 30 * MINUTE);
    world.assert_nobody_was_let_down();
    assert!((0..20).all(|number| world.url(&format!("{number}.png"), "named").is_some()));
}

#[test]
fn a_lease_begins_when_its_request_is_sent_on_both_clocks() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
    world.latency = 20 * MINUTE;
    world.write("a.png", b"a");
    world.run(HOUR);
    let record = world.record("a.png", "numbered").unwrap();
    let handle = record.live().unwrap();
    assert_eq!(handle.uploaded_at, world.sent_at[0].floor_to_second());
    assert_eq!(handle.expires_at, handle.uploaded_at + 6 * HOUR - MINUTE);
    // No clock was set, so that both say the same.
    assert_eq!(handle.steady_expires_at, handle.expires_at);
}

#[test]
fn the_copy_of_what_has_lapsed_is_needed_until_it_lives_again() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.root = None;
    world.give(Input::Touched { paths: Vec::new(), everything: true });
    world.fail("numbered", FailureClass::Unavailable);
    world.run(8 * HOUR);
    assert!(world.url("a.png", "numbered").is_none(), "it has lapsed");
    let needed = world.engine.needed_copies();
    assert!(needed.contains(&ContentHash::of(b"a")));
    world.kept.retain(|hash, _| needed.contains(hash));
    world.mend("numbered");
    world.run(HOUR);
    assert!(world.url("a.png", "numbered").is_some());
}
