//! Files that change, and git at work.

use super::*;
use crate::local::hash_cache::Stamp;

/// Sets the clock to so long after the later of the file's times.
fn after_change(world: &World, path: &str, milliseconds: u64) {
    let stamp = Stamp::of(&stat(world.path(path)).unwrap());
    let now = stamp.newest() + Duration::from_millis(milliseconds);
    world.clock.set_wall(now);
}

fn settling(observation: &Observation) -> Duration {
    match observation {
        Observation::Settling { look_again_at } => look_again_at.saturating_since(Timestamp::MIN),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_touched_file_is_read_after_the_settle_time_and_a_complete_one_sooner() {
    // (hint, milliseconds since the change, read)
    let table = [
        (Hint::Touched, 1_998, false),
        (Hint::Touched, 2_000, true),
        (Hint::Complete, 198, false),
        (Hint::Complete, 200, true),
    ];
    for (hint, age, read) in table {
        let mut world = World::new();
        world.put("a.png", "1");
        after_change(&world, "a.png", age);
        let shown = world.shown_for(&[("a.png", hint)]);
        let is_read = shown["a.png"] == present("1");
        assert_eq!(is_read, read, "{hint:?} {age} {shown:?}");
        assert_eq!(world.progress().hashed_files, u64::from(read));
    }
}

#[test]
fn looking_again_at_the_promised_moment_is_enough() {
    for hint in [Hint::Complete, Hint::Touched] {
        let mut world = World::new();
        world.put("a.png", "1");
        after_change(&world, "a.png", 7);
        let first = world.shown_for(&[("a.png", hint)]);
        let wait = settling(&first["a.png"])
            .saturating_sub(world.clock.now().steady.saturating_since(Timestamp::MIN));
        assert!(wait <= Duration::from_secs(2), "{wait:?}");
        world.clock.advance(wait);
        assert_eq!(world.shown_for(&[("a.png", hint)])["a.png"], present("1"));
    }
}

#[test]
fn a_full_scan_does_not_forget_that_a_file_was_complete() {
    let mut world = World::new();
    world.put("a.png", "1");
    after_change(&world, "a.png", 50);
    settling(&world.shown_for(&[("a.png", Hint::Complete)])["a.png"]);
    world.clock.advance(Duration::from_millis(200));
    assert_eq!(world.shown()["a.png"], present("1"));
}

#[test]
fn times_in_the_future_delay_a_file_by_the_settle_time_only() {
    let mut world = World::new();
    world.put("a.png", "1");
    world.clock.set_wall(Timestamp::from_unix_ms(1_000_000));
    settling(&world.shown()["a.png"]);
    world.clock.advance(Duration::from_millis(1_999));
    settling(&world.shown()["a.png"]);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.shown()["a.png"], present("1"));
    world.put("a.png", "22");
    settling(&world.shown()["a.png"]);
}

#[test]
fn a_file_being_created_is_settling_and_not_empty() {
    let mut world = World::new();
    world.put("a.png", "");
    after_change(&world, "a.png", 100);
    settling(&world.shown()["a.png"]);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.shown()["a.png"], Observation::Refused(Refusal::Empty));
}

#[test]
fn known_content_needs_no_quiet() {
    let mut world = World::new();
    world.put("a.png", "1");
    world.shown();
    after_change(&world, "a.png", 0);
    assert_eq!(world.shown()["a.png"], present("1"));
}

#[test]
fn without_a_settle_time_a_file_is_read_at_once_and_every_write_is_seen() {
    let place = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock::new());
    let mut scanner = scanner_at(place.path(), &[], clock);
    scanner.reload(select(&[]), Arc::new([]), Duration::ZERO);
    for round in 0..30_u8 {
        let content = [round; 100];
        put(&place.path().join("a.png"), &content);
        let shown = by_path(scanner.scan(&ScanRequest::Everything).report);
        assert_eq!(shown["a.png"], present(content), "{round}");
    }
    let mut world = World::new();
    world.scanner = scanner_at(&world.root(), &[], Arc::new(SystemClock::new()));
    world.scanner.reload(select(&[]), Arc::new([]), Duration::ZERO);
    world.put("b.png", "1");
    world.shown();
    assert_eq!(world.shown()["b.png"], present("1"));
    assert_eq!(world.progress().hashed_files, 0, "it was read at a moment that tells it from later versions");
}

#[test]
fn while_git_works_nothing_new_is_read_and_what_is_known_stays_present() {
    let mut world = World::new();
    world.put("known.png", "1");
    world.shown();
    world.put("new.png", "2");
    world.put("empty.png", "");
    let lock = world.place.path().join(".git/index.lock");
    put(&lock, b"");
    world.clock.set_wall(SystemClock::new().now().wall + Duration::from_secs(5));
    let scan = world.scan();
    assert_eq!(scan.warnings, []);
    let shown = by_path(scan.report);
    assert_eq!(shown["known.png"], present("1"));
    for path in ["new.png", "empty.png"] {
        let again = settling(&shown[path]);
        let wait = again.saturating_sub(world.clock.now().steady.saturating_since(Timestamp::MIN));
        assert_eq!(wait, Duration::from_millis(500), "{path}");
    }
    fs::remove_file(lock).unwrap();
    assert_eq!(world.shown()["new.png"], present("2"));
}

#[test]
fn a_lock_that_git_left_behind_is_waited_for_ten_minutes_and_then_warned_about() {
    let mut world = World::new();
    world.put("new.png", "2");
    let lock = world.path(".git/index.lock");
    put(&lock, b"");
    world.clock.set_wall(SystemClock::new().now().wall + Duration::from_secs(590));
    settling(&world.shown()["new.png"]);
    world.clock.advance(Duration::from_secs(20));
    let scan = world.scan();
    let warned = ScanWarning::AbandonedGitLock(lock.canonicalize().unwrap());
    assert_eq!(scan.warnings, [warned]);
    assert_eq!(by_path(scan.report)["new.png"], present("2"));
}
