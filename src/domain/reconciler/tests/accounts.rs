//! Accounts whose credentials come late, and passes that meet a provider that is down.

use std::sync::Arc;
use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, NUMBERED, World, manifest, provider};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::manifest::Manifest;
use crate::domain::reconciler::{Input, Mode};

const SECOND: Duration = Duration::from_secs(1);
const ONCE: Mode = Mode::Once { tries: 3, patience: Duration::from_secs(30) };

fn found(world: &World, name: &str) -> Input {
    Input::Account { provider: provider(name), result: Ok(world.scope.clone()), is_new: false }
}

#[test]
fn a_probe_after_a_refusal_waits_for_the_credentials_that_are_read_for_it() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.fail("named", FailureClass::CredentialsRefused);
    world.credentials_hang = true;
    world.write("a.png", b"a");
    world.run(20 * MINUTE);
    assert_eq!(world.requests_to("named"), 1, "the probe is still waiting");
    world.mend("named");
    world.give(found(&world, "named"));
    world.run(SECOND);
    assert_eq!(world.requests_to("named"), 2);
    assert!(world.url("a.png", "named").is_some());
}

#[test]
fn a_credential_that_is_refused_for_a_day_costs_thirty_requests_wherever_nothing_is_alive() {
    for name in ["named", "numbered"] {
        let mut world = World::new(manifest(&[("*.png", &[name])]));
        (0..50).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.fail(name, FailureClass::CredentialsRefused);
        world.run(24 * HOUR);
        assert!((10..=30).contains(&world.requests_to(name)), "{name}: {}", world.requests_to(name));
    }
}

#[test]
fn whatever_mends_a_refused_credential_is_noticed_soon() {
    enum Mended {
        OtherCredentials,
        Reload,
        AtTheProvider,
    }
    for (mended, within) in [(Mended::OtherCredentials, 15), (Mended::Reload, 0), (Mended::AtTheProvider, 70)]
    {
        let mut world = World::new(manifest(&[("a.png", &["named"])]));
        world.fail("named", FailureClass::CredentialsRefused);
        world.write("a.png", b"a");
        world.run(24 * HOUR);
        world.mend("named");
        match mended {
            Mended::OtherCredentials => world.credentials_are_new = true,
            Mended::Reload => world.give(found(&world, "named")),
            Mended::AtTheProvider => {}
        }
        world.run(within * MINUTE + 10 * SECOND);
        assert!(world.url("a.png", "named").is_some(), "{within}");
    }
}

#[test]
fn what_lapsed_while_the_credentials_were_refused_is_soon_back_and_a_day_of_it_costs_thirty_requests() {
    for name in ["named", "numbered"] {
        let manifest = || manifest(&[("*.png", &[name])]);
        let mut world = World::new(manifest());
        (0..50).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.run(MINUTE);
        world.fail(name, FailureClass::CredentialsRefused);
        world.run(50 * HOUR);
        let dead = |world: &World| (0..50).all(|number| world.url(&format!("{number}.png"), name).is_none());
        assert!(dead(&world), "the scene is set");
        // A process that begins knows of no failure, and asks more often at first.
        for begins in [false, true] {
            if begins {
                world.begin(Mode::Daemon, Arc::new(manifest()));
            }
            let before = world.requests_to(name);
            world.run(24 * HOUR);
            let requests = world.requests_to(name) - before;
            assert!((18..=30).contains(&requests), "{name}: {requests}");
        }
        world.mend(name);
        world.run(71 * MINUTE);
        let back = (0..50).all(|number| world.url(&format!("{number}.png"), name).is_some());
        assert!(back, "{name}: mended at the provider");
    }
}

#[test]
fn a_reload_that_mends_nothing_begins_the_waits_anew() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.fail("named", FailureClass::CredentialsRefused);
    world.write("a.png", b"a");
    world.run(24 * HOUR);
    world.give(found(&world, "named"));
    world.run(SECOND);
    let before = world.requests_to("named");
    world.mend("named");
    world.run(3 * MINUTE);
    assert_eq!(world.requests_to("named"), before + 1);
}

#[test]
fn credentials_that_cannot_be_read_for_a_probe_leave_it_to_those_that_were_read_before() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.fail("named", FailureClass::CredentialsRefused);
    world.credentials_hang = true;
    world.write("a.png", b"a");
    world.run(5 * MINUTE);
    world.mend("named");
    let hangs = Err("reading its credentials takes too long".to_owned());
    world.give(Input::Account { provider: provider("named"), result: hangs, is_new: false });
    world.run(SECOND);
    assert!(world.url("a.png", "named").is_some());
}

#[test]
fn a_pass_is_not_over_before_it_is_known_whether_an_account_can_be_used() {
    for found_at_last in [true, false] {
        let mut world = World::with_mode(manifest(&[("a.png", &["named", "numbered"])]), ONCE);
        world.disconnect("numbered");
        world.write("a.png", b"a");
        world.run(8 * SECOND);
        assert!(world.url("a.png", "named").is_some());
        assert!(!world.engine.is_finished(world.now));
        let result = if found_at_last { Ok(world.scope.clone()) } else { Err("no such file".to_owned()) };
        world.give(Input::Account { provider: provider("numbered"), result, is_new: false });
        world.run(8 * SECOND);
        assert!(world.engine.is_finished(world.now));
        assert_eq!(world.url("a.png", "numbered").is_some(), found_at_last);
        assert_eq!(world.engine.summary().unusable.len(), usize::from(!found_at_last));
    }
}

#[test]
fn a_pass_gives_a_provider_that_is_down_one_more_chance_soon_and_ends() {
    let mut world = World::with_mode(manifest(&[("*.png", &["named", "numbered"])]), ONCE);
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.fail("named", FailureClass::Unavailable);
    world.run(15 * SECOND);
    assert!(world.engine.is_finished(world.now), "nobody waits a minute for one request");
    let requests = world.requests_to("named");
    assert!((6..=9).contains(&requests), "those that were under way, and a probe: {requests}");
    let summary = world.engine.summary();
    assert_eq!(summary.down, [provider("named")]);
    assert_eq!((summary.alive, summary.failing), (20, 20));
}

#[test]
fn a_pass_outlasts_a_provider_that_is_down_for_seconds() {
    let mut world = World::with_mode(manifest(&[("*.png", &["named"])]), ONCE);
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.fail("named", FailureClass::Unavailable);
    world.run(5 * SECOND);
    assert!(!world.engine.is_finished(world.now));
    world.mend("named");
    world.run(MINUTE);
    assert!(world.engine.is_finished(world.now));
    let summary = world.engine.summary();
    assert_eq!((summary.alive, summary.failing, summary.down.len()), (20, 0, 0));
}

/// The table `named` with the kind of the other one.
fn of_another_kind() -> Manifest {
    let mut manifest = manifest(&[("*.png", &["named"])]);
    manifest.providers.get_mut("named").unwrap().kind = &NUMBERED;
    manifest
}

#[test]
fn a_table_that_becomes_another_kind_is_a_provider_that_nothing_is_known_of() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    let mut wish = Failure::without_answer(FailureClass::Throttled, "slow down");
    wish.retry_after = Some(2 * HOUR);
    world.mood.insert(provider("named"), Mood::Failing(wish));
    world.write("a.png", b"a");
    world.run(10 * SECOND);
    assert_eq!(world.requests_to("named"), 1, "the scene is set");
    world.mend("named");
    world.give(Input::Manifest(Arc::new(of_another_kind())));
    world.run(10 * SECOND);
    assert_eq!(world.requests_to("named"), 1, "whose account it is is not known yet");
    world.give(found(&world, "named"));
    world.run(10 * SECOND);
    assert!(world.url("a.png", "named").is_some(), "the one before asked to wait, this one did not");
}

#[test]
fn what_was_wrong_with_an_account_is_over_when_its_table_is_another_kind_or_gone() {
    let without = || {
        let mut manifest = manifest(&[("*.png", &["numbered"])]);
        manifest.providers.remove("named");
        manifest
    };
    // What was published keeps its account until its URL has ended.
    for (next, published, unpublished, within) in [
        (of_another_kind(), 0, 1, 10 * SECOND),
        (without(), 0, 0, 10 * SECOND),
        (without(), 0, 1, 10 * SECOND),
        (without(), 1, 1, 50 * HOUR),
    ] {
        let mut world = World::new(manifest(&[("*.png", &["named"])]));
        (0..published).for_each(|number| world.write(&format!("published-{number}.png"), &[number]));
        world.run(MINUTE);
        (0..unpublished).for_each(|number| world.write(&format!("{number}.png"), &[number, 1]));
        let lost = Err("PASSWORD is not set".to_owned());
        world.fail("named", FailureClass::CredentialsRefused);
        world.give(Input::Account { provider: provider("named"), result: lost, is_new: false });
        world.run(10 * SECOND);
        let gone =
            |event: &Event| matches!(event, Event::AccountGone { provider } if provider.as_str() == "named");
        assert_eq!(world.count(gone), 0);
        let has_table = next.providers.contains_key(&provider("named"));
        let next = Arc::new(next);
        world.give(Input::Manifest(next.clone()));
        world.give(Input::Manifest(next));
        world.run(10 * SECOND);
        assert_eq!(world.count(gone), usize::from(published == 0));
        world.run(within);
        let is_left = world.engine.overview().accounts.contains_key(&provider("named"));
        assert_eq!((world.count(gone), is_left), (1, has_table));
    }
    let mut healthy = World::new(manifest(&[("*.png", &["named"])]));
    healthy.run(10 * SECOND);
    healthy.give(Input::Manifest(Arc::new(of_another_kind())));
    healthy.run(10 * SECOND);
    assert_eq!(healthy.count(|event| matches!(event, Event::AccountGone { .. })), 0);
}

#[test]
fn looks_are_part_of_what_an_account_has_to_carry() {
    // Looks take a page of seven media each, and there are twenty-four of them in the margin.
    for (verify, requests) in [(HOUR, 70 + 24 * 10), (Duration::ZERO, 70)] {
        let mut manifest = manifest(&[("*.png", &["named"])]);
        manifest.providers.get_mut("named").unwrap().verify = verify;
        let mut world = World::new(manifest);
        (0..70).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.run(MINUTE);
        let capacity = world.engine.capacity();
        let named = capacity.iter().find(|capacity| capacity.provider.as_str() == "named").unwrap();
        assert_eq!((named.entries, named.round), (70, SECOND * requests / 10));
    }
}

#[test]
fn what_is_under_way_when_a_table_becomes_another_kind_still_counts_as_under_way() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.latency = MINUTE;
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(10 * SECOND);
    assert_eq!(world.most_in_flight, 4);
    world.give(Input::Manifest(Arc::new(of_another_kind())));
    world.give(found(&world, "named"));
    world.run(HOUR);
    assert_eq!(world.most_in_flight, 4);
    assert!((0..20).all(|number| world.url(&format!("{number}.png"), "named").is_some()));
}
