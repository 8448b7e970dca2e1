//! Providers that are down, slow, wrong or busy, for less than the margin.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Stage, file, files, pause, play};

#[test]
fn an_outage_shorter_than_the_margin_is_not_noticed_by_readers() {
    let reply = |status: u16| json!({"reply": {"status": status, "body": "{\"description\": \"down\"}"}});
    let troubles = [
        ("unavailable", reply(503)),
        ("credentials refused", reply(401)),
        ("connections reset", json!({"reset": "head"})),
        ("no answer", json!("hang")),
        ("answers lost", json!("lost_reply")),
        ("a captive portal", json!("html")),
    ];
    play(troubles.map(|(name, action)| (name, move || endure(&action))));
}

fn endure(action: &Value) {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    let mut daemon = stage.run();
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "logo");
    }
    // From before the first renewal on.
    pause(Duration::from_secs(5));
    let (from, before) = (stage.now(), stage.uploads());
    for method in ["PUT", "POST"] {
        stage.fault(json!({"method": method, "count": null, "action": action}));
    }
    pause(Duration::from_secs(8));
    stage.control().clear_faults();
    let tried = stage.uploads() - before;
    for provider in ["bandwidth", "plivo"] {
        stage.until_uploaded_after("logo.png", provider, from + Duration::from_secs(1));
    }
    assert!((1..60).contains(&tried), "{action}: {tried} attempts");
    assert!(!stage.log().contains("has died"), "{action}: {}", stage.log());
    stage.until("the problem is gone", || {
        ["bandwidth", "plivo"].iter().all(|provider| stage.entry("logo.png", provider)["problem"].is_null())
    });
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_wish_to_wait_is_honoured_for_the_whole_account_and_for_no_other() {
    let stage = Stage::with_life(Duration::from_secs(600));
    stage.manifest(&(file("1.png") + &file("2.png") + &file("3.png")));
    let too_many = json!({"reply": {"status": 429, "headers": {"Retry-After": "4"}, "body": "{}"}});
    stage.put("1.png", "1");
    let mut daemon = stage.run();
    stage.until_content("1.png", "bandwidth", "1");
    stage.fault(json!({"provider": "bandwidth", "method": "PUT", "action": too_many}));
    stage.put("2.png", "2");
    daemon.until_says("asks us to wait");
    stage.put("3.png", "3");
    stage.until_content("3.png", "plivo", "3");
    let puts = || stage.control().requests().iter().filter(|request| request.method == "PUT").count();
    assert_eq!(puts(), 2, "one before, and the one that was told to wait");
    stage.until_content("3.png", "bandwidth", "3");
    stage.until_content("2.png", "bandwidth", "2");
    let requests = stage.control().requests();
    let sent: Vec<_> = requests.iter().filter(|request| request.method == "PUT").collect();
    let pause = sent[2].at.saturating_since(sent[1].at);
    assert!(pause >= Duration::from_secs(4), "{pause:?}");
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn no_more_requests_are_under_way_than_the_table_allows() {
    let stage = Stage::with_life(Duration::from_secs(600));
    for number in 0..6 {
        stage.put(&format!("{number}.png"), "content");
    }
    let accounts = stage.accounts().replace("kind = \"plivo\"\n", "kind = \"plivo\"\nconcurrency = 2\n");
    stage.put("media.toml", &(accounts + &files("*.png", "plivo")));
    // None of them ends before the stage does.
    stage.fault(json!({"provider": "plivo", "method": "POST", "count": null, "action": "hang"}));
    let daemon = stage.run();
    stage.until("two are under way", || stage.uploads() >= 2);
    pause(Duration::from_secs(2));
    assert_eq!(stage.uploads(), 2, "{}", daemon.said());
    drop(daemon);
}

#[test]
fn a_provider_that_is_down_for_good_does_not_touch_the_other_one() {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    stage.fault(json!({"provider": "plivo", "method": "POST", "count": null, "action": {"empty": 500}}));
    let mut daemon = stage.run();
    for content in ["logo", "second", "third"] {
        stage.put("logo.png", content);
        stage.until_content("logo.png", "bandwidth", content);
    }
    assert_eq!(stage.url("logo.png", "plivo"), None);
    let problem = stage.entry("logo.png", "plivo")["problem"].clone();
    assert_eq!(problem["kind"], "unavailable", "{problem}");
    daemon.stop();
    stage.nobody_was_let_down();
}
