//! The process is killed or frozen at moments that nobody chose.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use crate::stage::{Stage, file, files, pause, play};

#[test]
fn twenty_kills_tear_no_state_lose_no_entry_and_kill_no_url() {
    play(
        [("first", 0), ("second", 1), ("third", 2), ("fourth", 3)]
            .map(|(name, row)| (name, move || five_kills(row))),
    );
}

fn five_kills(row: usize) {
    let stage = Stage::new();
    stage.manifest(&(files("photos/*.jpg", "bandwidth") + &files("photos/*.jpg", "plivo")));
    for number in 0..6 {
        stage.put(&format!("photos/{number}.jpg"), "first");
    }
    let mut seen = BTreeSet::new();
    for round in 0..5 {
        let mut daemon = stage.run();
        for number in 0..3 {
            stage.put(&format!("photos/{number}.jpg"), &format!("round {round} of {row}"));
        }
        let length = RandomState::new().build_hasher().finish() % 1500;
        pause(Duration::from_millis(length));
        daemon.kill();
        let now = published(&stage);
        assert!(now.is_superset(&seen), "lost after {length} ms: {:?}", seen.difference(&now));
        seen = now;
    }
    let mut daemon = stage.run();
    daemon.until_says("started");
    for number in 0..6 {
        for provider in ["bandwidth", "plivo"] {
            let content = if number < 3 { format!("round 4 of {row}") } else { "first".to_owned() };
            stage.until_content(&format!("photos/{number}.jpg"), provider, &content);
        }
    }
    daemon.stop();
    // Three contents in five rounds and three others, at two providers, and what a kill left unconfirmed.
    let uploads = stage.uploads();
    assert!(uploads <= 2 * (5 * 3 + 3) + 6 * 8 + 40, "{uploads} uploads");
    stage.nobody_was_let_down();
}

/// The entries that have a URL.
fn published(stage: &Stage) -> BTreeSet<String> {
    let whole = stage.state();
    let files = whole["media"].as_object().into_iter().flatten();
    let entries = files.flat_map(|(file, providers)| {
        providers.as_object().into_iter().flatten().map(move |(provider, entry)| (file, provider, entry))
    });
    entries
        .filter(|(.., entry)| entry["url"].is_string())
        .map(|(file, provider, _)| format!("{file}@{provider}"))
        .collect()
}

#[test]
fn a_process_that_is_frozen_for_half_the_margin_lets_no_url_die() {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "patient");
    let mut daemon = stage.run();
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "patient");
    }
    // Until just before the renewal, and then for half of the margin of 9.5 s.
    pause(Duration::from_secs(6));
    daemon.signal("STOP");
    pause(Duration::from_millis(4750));
    daemon.signal("CONT");
    let thawed = stage.now();
    for provider in ["bandwidth", "plivo"] {
        stage.until("it is renewed", || {
            stage.uploaded_at("logo.png", provider).is_some_and(|at| at >= thawed.floor_to_second())
        });
    }
    assert!(!stage.log().contains("has died"), "{}", stage.log());
    daemon.stop();
    stage.nobody_was_let_down();
}
