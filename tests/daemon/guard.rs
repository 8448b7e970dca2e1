//! The guard, and people who release it.

use std::time::Duration;

use crate::stage::{Stage, files, pause};

#[test]
fn an_approval_releases_the_guard_of_the_running_daemon_within_seconds() {
    let stage = Stage::with_life(Duration::from_secs(60));
    stage.manifest(&(files("photos/*.jpg", "bandwidth") + &files("*.png", "bandwidth")));
    stage.put("logo.png", "logo");
    for number in 0..12 {
        stage.put(&format!("photos/{number}.jpg"), &format!("{number}"));
    }
    let mut daemon = stage.run();
    stage.until("all are published", || {
        stage.state()["media"].as_object().is_some_and(|media| media.len() == 13)
    });
    stage.manifest(&files("*.png", "bandwidth"));
    daemon.until_says("halted by the guard");
    assert!(daemon.said().contains("mediakeep approve"), "{}", daemon.said());

    // Whoever only looks approves nothing.
    let mut looking = stage.start(stage.command(&["approve"]));
    assert_eq!(looking.wait(Duration::from_secs(10)).code(), Some(6), "{}", looking.said());
    pause(Duration::from_secs(3));
    assert_eq!(daemon.count("retired: "), 0, "{}", daemon.said());

    let mut approving = stage.start(stage.command(&["approve", "--yes"]));
    assert!(approving.wait(Duration::from_secs(10)).success(), "{}", approving.said());
    daemon.until_says("the guard holds nothing back any more");
    stage.until("they are let go", || {
        (0..12)
            .all(|number| !stage.entry(&format!("photos/{number}.jpg"), "bandwidth")["retired_at"].is_null())
    });
    assert!(stage.entry("logo.png", "bandwidth")["retired_at"].is_null());
    stage.until("the approval is used up", || !stage.beside("state/approval.json").exists());
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn an_approval_given_while_nothing_runs_counts_for_the_next_one_pass() {
    let stage = Stage::with_life(Duration::from_secs(600));
    stage.manifest(&(files("photos/*.jpg", "bandwidth") + &files("*.png", "bandwidth")));
    stage.put("logo.png", "logo");
    for number in 0..12 {
        stage.put(&format!("photos/{number}.jpg"), &format!("{number}"));
    }
    let run = |words: &[&str]| {
        let mut process = stage.start(stage.command(words));
        let code = process.wait(Duration::from_secs(30)).code();
        (code, process.said())
    };
    assert_eq!(run(&["sync"]).0, Some(0), "{}", stage.log());
    stage.manifest(&files("*.png", "bandwidth"));
    assert_eq!(run(&["sync"]).0, Some(6), "{}", stage.log());
    assert_eq!(run(&["approve", "--yes"]).0, Some(0), "{}", stage.log());
    assert_eq!(run(&["sync"]).0, Some(0), "{}", stage.log());
    assert_eq!(run(&["sync"]).0, Some(0), "{}", stage.log());
    assert!(!stage.entry("photos/3.jpg", "bandwidth")["retired_at"].is_null());
    stage.nobody_was_let_down();
}
