//! A provider that fails in one way all day long, before five hundred entries: it is asked seldom, and as soon as it is
//! well everything is as it should be.

use std::time::Duration;

use super::world::{HOUR, MINUTE, Mood, World, manifest, provider};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::time::Timestamp;

const ENTRIES: usize = 500;
const DAY: Duration = Duration::from_secs(86_400);
/// Requests at once, by default.
const CONCURRENCY: usize = 4;

/// One way to fail, and how often one may ask in a day, whatever is to be done.
struct Ailment {
    name: &'static str,
    class: FailureClass,
    wish: Option<Duration>,
    latency: Duration,
    requests_max: usize,
}

/// Probes of an account after 1, 2, 4, 8 and then every 15 minutes; before them what was under way, twice at most.
const PROBED: usize = 2 * CONCURRENCY + 4 + 24 * 4 + 1;
/// What only a person can mend: probes after 1, 2, 4 minutes and so on up to every seventy.
const REFUSED: usize = 30;
/// Each entry by itself every six hours, a quarter of the margin, beginning at once.
const EACH_ENTRY: usize = ENTRIES * 5;
/// A renewal that is refused is tried more often while its time runs out: each quarter of what is left.
const EACH_RENEWAL: usize = ENTRIES * 8;

fn ailments() -> Vec<Ailment> {
    let ailment = |name, class, requests_max| Ailment {
        name,
        class,
        wish: None,
        latency: Duration::from_millis(200),
        requests_max,
    };
    let asks_to_wait = |name, seconds: u64| Ailment {
        wish: Some(Duration::from_secs(seconds)),
        ..ailment(
            name,
            FailureClass::Throttled,
            CONCURRENCY * (86_400 / usize::try_from(seconds).unwrap() + 2),
        )
    };
    vec![
        ailment("401", FailureClass::CredentialsRefused, REFUSED),
        ailment("404", FailureClass::AddressUnknown, REFUSED),
        ailment("413", FailureClass::ContentRefused, EACH_ENTRY),
        // A wait in seconds and a date come to the same: a length.
        asks_to_wait("429 for a minute", 60),
        asks_to_wait("429 for an hour", 3600),
        // The wait doubles up to five minutes.
        ailment("429 without a word", FailureClass::Throttled, CONCURRENCY * (24 * 12 + 10)),
        ailment("503", FailureClass::Unavailable, PROBED),
        ailment("200 with a page", FailureClass::Unexpected, PROBED),
        ailment("no connection", FailureClass::Unreachable, PROBED),
        ailment("reset", FailureClass::Ambiguous, PROBED),
        Ailment { latency: MINUTE, ..ailment("no answer", FailureClass::Ambiguous, PROBED) },
    ]
}

fn world_with_files() -> World {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    for number in 0..ENTRIES {
        world.write(&format!("{number}.png"), format!("{number}").as_bytes());
    }
    world
}

fn fall_ill(world: &mut World, ailment: &Ailment) {
    let mut failure = Failure::without_answer(ailment.class, ailment.name);
    failure.retry_after = ailment.wish;
    world.mood.insert(provider("named"), Mood::Failing(failure));
    world.latency = ailment.latency;
    world.sent_at.clear();
    world.most_in_flight = 0;
}

/// What a day of failures came to.
fn judge(world: &World, ailment: &Ailment, requests_max: usize) {
    let name = ailment.name;
    let requests = world.sent_at.len();
    assert!((1..=requests_max).contains(&requests), "{name}: {requests} requests in a day");
    assert!(world.most_in_flight <= CONCURRENCY, "{name}: {} at once", world.most_in_flight);
    if let Some(wish) = ailment.wish {
        let inside = inside_a_pause(&world.sent_at, ailment.latency, wish);
        assert_eq!(inside, 0, "{name}: requests while the provider asked to wait");
    }
}

/// Requests that went out after an answer had asked to wait, and before that time was over.
fn inside_a_pause(sent: &[Timestamp], latency: Duration, wish: Duration) -> usize {
    let after = |one: Timestamp, other: Timestamp| other.saturating_since(one);
    let pairs = sent.windows(2);
    pairs.filter(|pair| after(pair[0], pair[1]) > latency && after(pair[0], pair[1]) < wish).count()
}

#[test]
fn no_failing_answer_makes_a_flood_out_of_five_hundred_entries() {
    for ailment in ailments() {
        let mut world = world_with_files();
        fall_ill(&mut world, &ailment);
        world.run(DAY);
        judge(&world, &ailment, ailment.requests_max);
        world.mend("named");
        world.latency = Duration::from_millis(200);
        world.run(7 * HOUR);
        let live = world.published.records.values().filter(|record| record.live().is_some()).count();
        assert_eq!((live, world.dead_urls_seen), (ENTRIES, 0), "{}", ailment.name);
    }
}

#[test]
fn no_failing_answer_to_five_hundred_renewals_makes_a_flood_or_kills_a_url() {
    // One of each kind: looking at five hundred URLs at each turn takes its time.
    let kinds = ["401", "413", "429 for an hour", "503", "no answer"];
    for ailment in ailments().into_iter().filter(|ailment| kinds.contains(&ailment.name)) {
        let mut world = world_with_files();
        // Just before the first of them is due.
        world.run(19 * HOUR);
        fall_ill(&mut world, &ailment);
        world.run(DAY);
        let refused = ailment.class == FailureClass::ContentRefused;
        judge(&world, &ailment, if refused { EACH_RENEWAL } else { ailment.requests_max });
        world.mend("named");
        world.latency = Duration::from_millis(200);
        // Until whatever was not renewed would have died.
        world.run(6 * HOUR);
        let live = world.published.records.values().filter(|record| record.live().is_some()).count();
        assert_eq!((live, world.dead_urls_seen), (ENTRIES, 0), "{}", ailment.name);
    }
}
