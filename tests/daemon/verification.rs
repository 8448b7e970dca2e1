//! Providers that are otherwise than their documents say, and others who use the same account.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::stage::{ACCOUNT, Stage, pause};

/// These tests wait for deaths.
const SHORT_LIFE: Duration = Duration::from_secs(12);

/// Bandwidth alone, looked at every second.
fn watchful(life: Duration, rules: &str) -> Stage {
    let stage = Stage::with_life(life);
    let account = stage.bandwidth(life.as_secs());
    let head = "version = 1\n[sync]\nsettle = \"300ms\"\n";
    stage.put("media.toml", &format!("{head}{account}verify = \"1s\"\n{rules}"));
    stage
}

#[test]
fn where_overwriting_does_not_prolong_a_life_renewals_have_new_ids_and_nobody_is_let_down_any_more() {
    let stage = watchful(SHORT_LIFE, "[[media]]\nfiles = \"*.png\"\nto = \"bandwidth\"\n");
    stage.control().change_switches(json!({"bandwidth": {"overwrite_restarts": false}})).unwrap();
    let names = ["a.png", "b.png", "c.png"];
    for name in names {
        stage.put(name, name);
    }
    let mut process = stage.run();
    stage.until("they are published", || names.iter().all(|name| stage.url(name, "bandwidth").is_some()));
    let first: Vec<_> = names.iter().map(|name| stage.entry(name, "bandwidth")["id"].clone()).collect();
    stage.until("it is found out", || stage.log().contains("each renewal has a new ID and URL from now on"));
    stage.until("they are back", || names.iter().all(|name| stage.content(name, "bandwidth").is_some()));
    let (before, vanished) = (stage.seen(), stage.log().matches("does not hold it any more").count());
    assert!(vanished >= 2, "that is how it was found out");
    pause(SHORT_LIFE * 2);
    let after = stage.seen();
    assert_eq!(after.dead.len(), before.dead.len(), "{:?}", &after.dead[before.dead.len()..]);
    assert!(after.fetches > before.fetches && after.torn.is_empty());
    assert_eq!(stage.log().matches("does not hold it any more").count(), vanished);
    for (name, first) in names.iter().zip(first) {
        assert_ne!(stage.entry(name, "bandwidth")["id"], first);
    }
    process.stop();
}

#[test]
fn somebody_who_writes_under_our_id_is_told_and_not_fought() {
    let stage = watchful(SHORT_LIFE * 2, "[[media]]\nfile = \"a.png\"\nto = \"bandwidth\"\n");
    stage.put("a.png", "ours");
    let mut process = stage.run();
    stage.until_content("a.png", "bandwidth", "ours");
    let id = stage.entry("a.png", "bandwidth")["id"].as_str().unwrap().to_owned();
    let told = || stage.log().matches("somebody else has written under its ID").count();
    let uploaded_at = stage.uploaded_at("a.png", "bandwidth");
    stage.control().seed_inbound(ACCOUNT, &id, "image/png", Bytes::from_static(b"of somebody else"));
    stage.until("it is told", || told() == 1);
    assert_eq!(stage.uploaded_at("a.png", "bandwidth"), uploaded_at);
    // The renewal comes when it is due, and what is there is ours again.
    stage.until_content("a.png", "bandwidth", "ours");
    assert_eq!(told(), 1);
    process.stop();
}
