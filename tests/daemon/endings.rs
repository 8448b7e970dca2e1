//! How it ends.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::stage::{Stage, file, files, pause, put, rename};

fn hanging_upload() -> Stage {
    let stage = Stage::with_life(Duration::from_secs(600));
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    stage.fault(json!({"method": "PUT", "count": null, "action": "hang"}));
    stage
}

#[test]
fn a_stop_gives_up_on_an_upload_that_hangs_and_ends_well() {
    let stage = hanging_upload();
    let mut daemon = stage.run();
    stage.until_content("logo.png", "plivo", "logo");
    daemon.signal("TERM");
    pause(Duration::from_secs(2));
    assert!(daemon.is_running(), "what is under way is waited for");
    assert!(daemon.wait(Duration::from_secs(12)).success(), "{}", daemon.said());
    assert_eq!(stage.content("logo.png", "plivo").as_deref(), Some("logo"));
    stage.nobody_was_let_down();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let stage = hanging_upload();
    let mut daemon = stage.run();
    stage.until_content("logo.png", "plivo", "logo");
    daemon.signal("TERM");
    pause(Duration::from_millis(500));
    daemon.signal("INT");
    let begin = Instant::now();
    assert_eq!(daemon.wait(Duration::from_secs(5)).code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(4), "it took as long as a gentle stop");
}

#[test]
fn a_stop_of_an_idle_daemon_waits_for_nothing() {
    let stage = Stage::with_life(Duration::from_secs(600));
    let mut daemon = stage.run_with_logo();
    pause(Duration::from_secs(1));
    daemon.signal("INT");
    assert!(daemon.wait(Duration::from_secs(4)).success(), "less than the patience for uploads");
}

#[test]
fn a_stop_that_could_not_save_the_state_is_no_success() {
    let stage = Stage::with_life(Duration::from_secs(600));
    let mut daemon = stage.run_with_logo();
    rename(&stage.beside("state"), &stage.beside("away"));
    put(&stage.beside("state"), "not a folder");
    stage.put("logo.png", "new");
    daemon.until_says("the state folder cannot be written");
    daemon.signal("TERM");
    assert_eq!(daemon.wait(Duration::from_secs(12)).code(), Some(1), "{}", daemon.said());
}

#[test]
fn an_upload_that_is_confirmed_while_it_stops_is_recorded_and_nothing_new_is_sent() {
    let stage = Stage::with_life(Duration::from_secs(600));
    let slow = stage.bandwidth(600) + "rate = \"1/s\"\n";
    stage.put("media.toml", &format!("version = 1\n{slow}{}", files("*.png", "bandwidth")));
    for number in 0..12 {
        stage.put(&format!("{number}.png"), &format!("{number}"));
    }
    stage.fault(json!({"method": "PUT", "count": null, "delay": "2s"}));
    let mut daemon = stage.run();
    stage.until("something is under way", || stage.uploads() > 0);
    daemon.signal("TERM");
    pause(Duration::from_millis(200));
    let sent = stage.uploads();
    assert!(daemon.wait(Duration::from_secs(10)).success());
    assert_eq!(stage.uploads(), sent, "something was sent after the stop");
    let stored = stage.control().media().len();
    let published = stage.state()["media"].as_object().map_or(0, serde_json::Map::len);
    assert!(stored > 0 && stored == published, "{stored} stored, {published} published");
    stage.nobody_was_let_down();
}

#[test]
fn a_second_instance_is_refused_and_told_who_holds_the_folder() {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    let mut daemon = stage.run();
    stage.until_content("logo.png", "plivo", "logo");
    for words in [["run"], ["sync"]] {
        let mut second = stage.start(stage.command(&words));
        assert_eq!(second.wait(Duration::from_secs(10)).code(), Some(5), "{}", second.said());
        assert!(second.said().contains(&format!("process {}", daemon.pid())), "{}", second.said());
    }
    daemon.kill();
    let mut third = stage.run();
    third.until_says("started");
    pause(Duration::from_secs(1));
    third.stop();
    stage.nobody_was_let_down();
}
