//! What happens in the gaps: while an upload is under way, between two looks, on the way out.

use std::sync::Arc;
use std::time::Duration;

use super::world::{HOUR, MINUTE, World, manifest, path, provider};
use crate::domain::approval::digest;
use crate::domain::asset::{ContentHash, EntryKey};
use crate::domain::event::Event;
use crate::domain::failure::FailureClass;
use crate::domain::reconciler::{Effect, Input, LastWords};
use crate::domain::state::Record;
use crate::domain::time::{Now, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_url_that_ends_while_its_renewal_hangs_is_withdrawn_in_time() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.latency = 8 * HOUR;
    world.run(6 * HOUR);
    assert_eq!(world.url("a.png", "numbered"), None, "the renewal is still under way");
    assert_eq!(world.dead_urls_seen, 0);
    assert_eq!(world.count(|event| matches!(event, Event::AtRisk { .. })), 1);
    assert_eq!(world.count(|event| matches!(event, Event::Lapsed { .. })), 1);
}

#[test]
fn older_urls_leave_the_state_when_they_end() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    let mut seen = 0;
    for _ in 0..2_000 {
        world.run(MINUTE);
        let older = &world.record("a.png", "numbered").unwrap().previous;
        seen += older.len();
        assert!(older.iter().all(|older| older.expires_at + 10 * MINUTE > world.now.wall), "{older:?}");
    }
    assert!(seen > 1_000, "{seen}");
}

#[test]
fn the_end_of_an_older_url_is_hardly_ever_worth_a_snapshot_of_its_own() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    for number in 0..40 {
        world.write(&format!("{number}.png"), b"a");
    }
    world.run(MINUTE);
    let (uploads, first) = (world.sent.len(), world.shown.serial);
    world.run(72 * HOUR);
    let renewals = world.sent.len() - uploads;
    let snapshots = usize::try_from(world.shown.serial - first).unwrap() - renewals;
    assert!(renewals > 40 * 15, "{renewals}");
    assert!(snapshots <= renewals + renewals / 4, "{snapshots} snapshots for {renewals} renewals");
}

#[test]
fn an_older_url_is_not_said_to_live_longer_because_the_clock_was_set() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
    world.now = Now { wall: world.now.wall + 72 * HOUR, steady: world.now.steady };
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.now = Now { wall: world.now.wall - 72 * HOUR, steady: world.now.steady };
    world.run(HOUR);
    let record = world.record("a.png", "numbered").unwrap();
    let ends =
        record.previous.iter().map(|older| older.expires_at).chain(Some(record.live().unwrap().expires_at));
    assert!(record.previous.len() == 1, "it was renewed at once");
    ends.for_each(|end| assert!(end <= world.now.wall + 6 * HOUR, "{end}"));
}

#[test]
fn a_stop_that_waits_for_an_upload_does_not_spin() {
    let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
    world.write("a.png", b"a");
    world.run(2 * SECOND);
    world.latency = HOUR;
    world.fail("named", FailureClass::CredentialsRefused);
    world.write("b.png", b"b");
    world.write("c.png", b"c");
    world.run(SECOND);
    world.give(Input::Touched { paths: Vec::new(), everything: true });
    world.give(Input::Stop);
    let turns = world.turns;
    world.run(MINUTE);
    assert!(!world.engine.has_stopped(), "an upload is still under way");
    assert!(world.turns - turns < 40, "{} turns in a minute", world.turns - turns);
}

#[test]
fn a_folder_that_comes_back_does_not_shorten_the_minute_after_a_removal() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    for number in 0..8 {
        world.write(&format!("{number}.png"), &[number]);
    }
    world.run(MINUTE);
    world.remove("0.png");
    world.run(5 * SECOND);
    let root = world.root.take();
    world.give(Input::Touched { paths: Vec::new(), everything: true });
    world.run(10 * SECOND);
    world.root = root;
    world.run(15 * SECOND);
    assert_eq!(world.count(|event| matches!(event, Event::FolderBack)), 1);
    assert_eq!(world.record("0.png", "named").unwrap().retired_at, None);
    world.run(2 * MINUTE);
    assert!(world.record("0.png", "named").unwrap().retired_at.is_some());
    assert_eq!(world.count(|event| matches!(event, Event::Retired { .. })), 1);
}

#[test]
fn a_slow_disk_never_keeps_a_new_url_from_readers_until_the_old_one_is_dead() {
    let mut world = World::new(manifest(&[("*.png", &["numbered"])]));
    world.save_takes = 20 * MINUTE;
    for number in 0..40 {
        world.write(&format!("{number}.png"), &[number]);
        world.run(7 * MINUTE);
    }
    for _ in 0..400 {
        world.run(7 * MINUTE);
        let now = world.now.wall;
        let dead = |record: &&Arc<Record>| record.live().is_some_and(|handle| handle.expires_at <= now);
        assert_eq!(world.shown.records.values().filter(dead).count(), 0, "{now}");
    }
}

#[test]
fn a_state_folder_that_can_be_written_again_is_written_soon_however_short_media_live() {
    let seconds = |count: u64| Duration::from_secs(count);
    for life in [seconds(20), 6 * HOUR] {
        let mut wanted = manifest(&[("a.png", &["numbered"])]);
        for config in wanted.providers.values_mut() {
            config.retention = Some(life);
        }
        let mut world = World::new(wanted);
        world.write("a.png", b"a");
        world.run(seconds(1));
        world.state_writable = false;
        world.run(life * 3);
        world.state_writable = true;
        world.run((life / 20).min(seconds(33)));
        assert_eq!(world.count(|event| matches!(event, Event::StateWritable)), 1, "{life:?}");
    }
}

#[test]
fn a_credential_that_was_missing_is_looked_up_until_it_is_there() {
    let mut world = World::new(manifest(&[("a.png", &["named", "numbered"])]));
    let missing = || Input::Account {
        provider: provider("numbered"),
        result: Err("no such file".to_owned()),
        is_new: false,
    };
    world.give(missing());
    world.disconnect("numbered");
    world.write("a.png", b"a");
    world.credentials_missing = true;
    world.run(10 * MINUTE);
    assert!(world.url("a.png", "named").is_some());
    assert_eq!(world.url("a.png", "numbered"), None);
    let told = world.count(|event| matches!(event, Event::AccountUnusable { connected: false, .. }));
    assert_eq!(told, 1);
    world.credentials_missing = false;
    world.run(2 * MINUTE);
    assert!(world.url("a.png", "numbered").is_some());
    assert_eq!(world.count(|event| matches!(event, Event::AccountUsable { .. })), 1);
}

#[test]
fn credentials_that_vanish_leave_those_that_were_read_before_in_use() {
    let mut world = World::new(manifest(&[("a.png", &["named", "numbered"])]));
    world.write("a.png", b"a");
    world.run(MINUTE);
    world.credentials_missing = true;
    world.give(Input::Account {
        provider: provider("numbered"),
        result: Err("no such file".to_owned()),
        is_new: false,
    });
    world.run(24 * HOUR);
    world.assert_nobody_was_let_down();
    let told = world.count(|event| matches!(event, Event::AccountUnusable { connected: true, .. }));
    assert_eq!(told, 1);
}

#[test]
fn an_approval_that_nothing_needs_any_more_releases_no_later_accident() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.write("a.png", b"a");
    world.write("other.txt", b"so that the folder is not empty");
    world.run(MINUTE);
    let key = EntryKey { path: path("a.png"), provider: provider("named") };
    let approved = || Input::Approved { digest: digest([&key]) };
    world.remove("a.png");
    world.run(5 * SECOND);
    world.give(approved());
    world.run(5 * SECOND);
    assert_eq!(world.approvals_used, 0, "the file may stay away");
    world.write("a.png", b"a");
    world.run(5 * SECOND);
    // It is found in its place for as long as it is there.
    world.give(approved());
    world.run(5 * SECOND);
    assert_eq!(world.approvals_used, 1, "it is withdrawn");
    world.remove("a.png");
    world.run(5 * MINUTE);
    assert!(world.engine.is_halted());
}

#[test]
fn an_approval_that_was_there_before_the_first_look_counts_after_it() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    world.write("a.png", b"a");
    world.write("b.mp3", b"b");
    world.run(MINUTE);
    world.remove("a.png");
    world.run(2 * MINUTE);
    assert!(world.engine.is_halted());
    let key = EntryKey { path: path("a.png"), provider: provider("named") };
    let digest = digest([&key]);
    world.restart(manifest(&[("*.png", &["named"])]));
    world.give(Input::Approved { digest });
    world.run(2 * MINUTE);
    assert_eq!(world.approvals_used, 1);
    assert!(!world.engine.is_halted());
}

#[test]
fn what_a_stop_finds_confirmed_is_in_the_last_words() {
    let mut world = World::new(manifest(&[("a.png", &["named"])]));
    world.write("a.png", b"a");
    world.run(Duration::from_millis(100));
    assert_eq!(world.sent.len(), 1);
    let late = world.take_outcome();
    let step = world.engine.step(world.now, vec![Input::Stop]);
    assert!(!step.effects.iter().any(|effect| matches!(effect, Effect::Upload(_))));
    let _ = world.engine.step(world.now, vec![late]);
    let LastWords { state, events, .. } = world.engine.last_words();
    let key = EntryKey { path: path("a.png"), provider: provider("named") };
    assert!(state.unwrap().records.get(&key).unwrap().live().is_some());
    assert!(events.iter().any(|event| matches!(event, Event::Uploaded { .. })));
}

#[test]
fn a_live_handle_is_not_renewed_again_within_a_twentieth_of_its_life() {
    let gap = 359 * MINUTE / 20;
    // What makes a handle due again as soon as it was renewed: a provider that tells a life shorter than the margin,
    // or a wall clock that keeps being set back, so that each upload lies in the future.
    for (told_life, set_back) in [(Some(2 * HOUR), None), (None, Some(30 * SECOND))] {
        let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
        world.told_life = told_life;
        world.write("a.png", b"a");
        for _ in 0..300 {
            world.run(10 * SECOND);
            world.now.wall = world.now.wall - set_back.unwrap_or_default();
        }
        let between = world.sent_at.windows(2).map(|pair| pair[1].saturating_since(pair[0]));
        let shortest = between.min().expect("it was renewed again and again");
        assert!(shortest >= gap, "{shortest:?} with a told life of {told_life:?}");
        world.assert_nobody_was_let_down();
    }
}

#[test]
fn of_too_many_older_urls_the_one_that_ends_soonest_is_told_no_more() {
    let mut world = World::new(manifest(&[("a.png", &["numbered"])]));
    // The first ones live longest: then the provider tells a shorter life.
    for number in 0..60_u8 {
        world.told_life = (number >= 5).then_some(3 * HOUR);
        world.write("a.png", &[number]);
        world.run(10 * SECOND);
    }
    let record = world.record("a.png", "numbered").unwrap();
    assert_eq!(record.previous.len(), 50);
    let lives_long = |end| end > world.now.wall + 5 * HOUR;
    assert_eq!(record.previous.iter().filter(|older| lives_long(older.expires_at)).count(), 5);
    // Of the others the newest are left: 14 to 58, for 59 is the current one.
    let hashes: Vec<_> = record.previous.iter().map(|older| older.hash).collect();
    let newest_first = (14..59_u8).rev().chain((0..5).rev()).map(|number| ContentHash::of(&[number]));
    assert_eq!(hashes, newest_first.collect::<Vec<_>>());
}

#[test]
fn new_content_that_vanishes_before_it_is_read_is_looked_at_again_and_told_if_it_stays_away() {
    let rules: [(&str, &[&str]); 1] = [("a.png", &["named"])];
    let set_up = || {
        let mut world = World::new(manifest(&rules));
        world.write("a.png", b"a");
        world.run(Duration::from_millis(4));
        world
    };
    // It changes between the look and the upload: the next look finds that, and nothing is said.
    let mut world = set_up();
    world.folder.insert(path("a.png"), b"other".to_vec());
    world.run(2 * SECOND);
    assert_eq!(world.record("a.png", "named").unwrap().live().unwrap().size, 5);
    assert_eq!(world.count(|event| matches!(event, Event::SourceLost { .. })), 0);
    // Each look finds bytes that no upload finds.
    let mut world = set_up();
    world.unreadable_bytes = true;
    world.run(10 * MINUTE);
    let told = world.count(|event| matches!(event, Event::SourceLost { .. }));
    assert!((2..20).contains(&told), "{told}");
    assert_eq!(&*world.record("a.png", "named").unwrap().trouble.as_ref().unwrap().kind, "source-lost");
    world.unreadable_bytes = false;
    world.run(6 * MINUTE);
    assert!(world.url("a.png", "named").is_some());
    assert!(world.record("a.png", "named").unwrap().trouble.is_none());
}

#[test]
fn a_wall_clock_that_is_far_off_is_told_once_per_account() {
    for (minutes, told) in [(0, 0), (4, 0), (-4, 0), (6, 2), (-6, 2), (3 * 1440, 2)] {
        let mut world = World::new(manifest(&[("*.png", &["named", "numbered"])]));
        world.now.wall = Timestamp::from_unix_ms(world.now.wall.unix_ms() + minutes * 60_000);
        world.fail("named", FailureClass::Unavailable);
        (0..5).for_each(|number| world.write(&format!("{number}.png"), &[number]));
        world.run(5 * MINUTE);
        let count = |world: &World| world.count(|event| matches!(event, Event::ClockDiffers { .. }));
        assert_eq!(count(&world), told, "{minutes}");
        let right = |event: &Event| match event {
            Event::ClockDiffers { difference, is_ahead, .. } => {
                *difference <= MINUTE * u32::try_from(minutes.abs()).unwrap() && *is_ahead == (minutes > 0)
            }
            _ => true,
        };
        assert!(world.events.iter().all(right), "{minutes}");
        // Once it has been right, it is worth telling again.
        world.now.wall = world.now.steady;
        world.mend("named");
        world.run(30 * HOUR);
        assert_eq!(count(&world), told, "{minutes}");
        world.now.wall = world.now.wall + 10 * MINUTE;
        world.run(30 * HOUR);
        assert_eq!(count(&world), told + 2, "{minutes}");
    }
}

#[test]
fn a_crash_between_two_receipts_for_one_file_sends_its_old_content_to_nobody() {
    let rules: [(&str, &[&str]); 1] = [("a.png", &["named", "numbered"])];
    let mut world = World::new(manifest(&rules));
    world.write("a.png", b"old");
    world.run(MINUTE);
    let key = EntryKey { path: path("a.png"), provider: provider("numbered") };
    let before = world.published.records.get(&key).cloned();
    world.write("a.png", b"new");
    world.run(MINUTE);
    // Only the other provider's receipt was recorded. No look shows what the file holds now.
    world.published.records = world.published.records.with([(key, before)]);
    world.deaf = true;
    world.sent.clear();
    world.events.clear();
    world.restart(manifest(&rules));
    world.run(MINUTE);
    assert_eq!(world.sent, [], "the old content was sent where the new one is published");
    let is_told = |event: &Event| matches!(event, Event::SourceLost { .. } | Event::Failed { .. });
    assert!(!world.events.iter().any(is_told), "nor was it looked for: {:?}", world.events);
    // Each provider's own content is renewed all the same.
    world.run(50 * HOUR);
    world.assert_nobody_was_let_down();
    assert!(world.requests_to("numbered") > 15);
    world.deaf = false;
    world.sent.clear();
    world.restart(manifest(&rules));
    world.run(MINUTE);
    let sent: Vec<_> = world.sent.iter().map(|key| key.provider.as_str()).collect();
    assert_eq!(sent, ["numbered"]);
}

#[test]
fn whatever_a_snapshot_shows_is_in_the_journal_too() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    // So that receipts arrive while the journal takes the ones before, and a snapshot is due.
    world.record_takes = Duration::from_millis(50);
    world.latency = Duration::from_millis(7);
    for number in 0..300_u16 {
        world.write(&format!("{number}.png"), &number.to_be_bytes());
        world.run(Duration::from_millis(9));
    }
    world.run(MINUTE);
    assert_eq!(world.published.records.len(), 300);
    assert_eq!(world.unjournalled, 0);
}

#[test]
fn the_last_words_are_in_the_journal_too() {
    let mut world = World::new(manifest(&[("a.png", &["named"]), ("b.png", &["named"])]));
    world.write("a.png", b"a");
    world.write("b.png", b"b");
    world.run(Duration::from_millis(100));
    assert_eq!(world.sent.len(), 2);
    // The second receipt comes while the journal takes the first.
    for _ in 0..2 {
        let outcome = world.take_outcome();
        let _ = world.engine.step(world.now, vec![outcome]);
    }
    let words = world.engine.last_words();
    let late: Vec<_> = words.changes.iter().map(|change| change.key.path.as_str()).collect();
    assert_eq!(late.len(), 1, "{late:?}");
    let state = words.state.unwrap();
    assert!(words.changes[0].serial < state.serial);
    assert_eq!(state.records.len(), 2);
}

#[test]
fn a_guard_that_holds_back_more_and_more_is_told_again_and_not_for_each_entry() {
    let mut world = World::new(manifest(&[("*.png", &["named"])]));
    (0..200_u8).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.run(MINUTE);
    let told = |world: &World| -> Vec<usize> {
        let numbers = world.events.iter().filter_map(|event| match event {
            Event::GuardHalted { held_back, .. } => Some(*held_back),
            _ => None,
        });
        numbers.collect()
    };
    (0..70).for_each(|number| world.remove(&format!("{number}.png")));
    world.run(5 * MINUTE);
    (70..140).for_each(|number| world.remove(&format!("{number}.png")));
    world.run(2 * MINUTE);
    assert_eq!(told(&world), [70, 140], "twice as much is told at once");
    for number in 140..190 {
        world.remove(&format!("{number}.png"));
        world.run(10 * SECOND);
    }
    world.run(12 * MINUTE);
    let after = told(&world);
    assert_eq!(after.last(), Some(&190), "{after:?}");
    assert!(after.is_sorted() && after.len() <= 4, "{after:?}");
    // Less than was told endangers nothing more.
    (100..150).for_each(|number: u8| world.write(&format!("{number}.png"), &[number]));
    world.run(HOUR);
    assert_eq!(world.engine.held_back().map(|(_, held_back)| held_back.len()), Some(140));
    assert_eq!(told(&world), after);
}

#[test]
fn what_is_alive_counts_until_it_is_let_go_with_the_end_that_comes_first() {
    let mut world = World::new(manifest(&[("*.png", &["named"]), ("x.mp3", &["numbered"])]));
    (0..20).for_each(|number| world.write(&format!("{number}.png"), &[number]));
    world.write("x.mp3", b"x");
    world.run(MINUTE);
    let counts = |world: &World| {
        let summary = world.engine.summary();
        (summary.entries, summary.live, summary.first_end)
    };
    let first = world.record("x.mp3", "numbered").unwrap().live().unwrap().expires_at;
    assert_eq!(counts(&world), (21, 21, Some(first)));
    world.give(Input::Manifest(Arc::new(manifest(&[("*.png", &["named"])]))));
    world.run(MINUTE);
    let ends = (0..20).map(|number| world.record(&format!("{number}.png"), "named").unwrap());
    let next = ends.map(|record| record.live().unwrap().expires_at).min();
    assert!(next > Some(first));
    assert_eq!(counts(&world), (20, 20, next), "it expires by itself");
    world.give(Input::Manifest(Arc::new(manifest(&[]))));
    world.run(MINUTE);
    assert!(world.engine.is_halted());
    assert_eq!(counts(&world), (0, 20, next), "what the guard holds back is kept alive");
}
