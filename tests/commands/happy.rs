//! Each command on a day on which all is well.

use serde_json::{Value, json};

use crate::stage::{ACCOUNT, Stage, assert_unchanged, file, files};

/// Two files, one of them at both providers.
fn both() -> Stage {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.write("photos/one.jpg", b"one");
    let both = file("logo.png", "bandwidth").replace("\"bandwidth\"", "[\"bandwidth\", \"plivo\"]");
    let tables = [stage.bandwidth(""), stage.plivo(""), both, files("photos/*.jpg", "bandwidth")];
    stage.manifest(&tables.concat());
    stage
}

#[test]
fn sync_publishes_what_the_manifest_names() {
    let stage = both();
    let run = stage.run(["sync"]).exits_without_data(0);
    run.says("3 uploaded, 0 renewed").says("3 of 3 entries alive");
    assert_eq!(stage.control().media().len(), 3);
    for (file, provider) in
        [("logo.png", "bandwidth"), ("logo.png", "plivo"), ("photos/one.jpg", "bandwidth")]
    {
        let sent = stage.control().send(&stage.url(file, provider)).unwrap();
        assert_eq!(stage.entry(file, provider)["blake3"], json!(sent.blake3));
        assert_eq!(sent.bytes, std::fs::read(stage.path(file)).unwrap());
    }
    assert_eq!(stage.entry("logo.png", "bandwidth")["scope"], ACCOUNT);
}

#[test]
fn a_second_sync_sends_nothing_and_writes_nothing() {
    let stage = both();
    stage.run(["sync"]).exits(0);
    let (requests, serial) = (stage.requests(), stage.state()["serial"].clone());
    let before = stage.listing_without_lock();
    stage.run(["sync"]).exits_without_data(0).says("0 uploaded, 0 renewed");
    assert_eq!(stage.requests(), requests);
    assert_eq!(stage.state()["serial"], serial);
    assert_unchanged(&before, &stage.listing_without_lock());
}

#[test]
fn plan_says_what_sync_would_do_and_does_not_do_it() {
    let stage = both();
    let before = stage.listing();
    let run = stage.run(["plan"]).exits(0);
    run.prints("upload  logo.png        bandwidth")
        .prints("upload  logo.png        plivo")
        .prints("upload  photos/one.jpg  bandwidth  3 B")
        .says("3 entries: 3 upload; 3 requests, 11 B");
    stage.run(["plan", "--exit-code"]).exits(10);
    assert_eq!(stage.requests(), 0);
    assert_unchanged(&before, &stage.listing());
}

#[test]
fn plan_after_sync_has_nothing_to_do_and_touches_nothing() {
    let stage = both();
    stage.run(["sync"]).exits(0);
    let (requests, before) = (stage.requests(), stage.listing());
    stage.run(["plan"]).exits_without_data(0).says("3 entries: 3 keep; 0 requests");
    stage.run(["plan", "--exit-code"]).exits_without_data(0);
    stage.run(["plan", "--all"]).exits(0).prints("keep").prints("renewal in");
    let entries = stage.run(["plan", "--json"]).exits(0).json();
    assert_eq!(entries, json!({"format": 1, "entries": []}));
    let entry = stage.run(["plan", "--json", "--all"]).exits(0).entry("logo.png", "plivo");
    assert_eq!(entry["action"], "keep");
    assert_eq!(entry["url"], stage.url("logo.png", "plivo"));
    assert_eq!(stage.requests(), requests);
    assert_unchanged(&before, &stage.listing());
}

#[test]
fn plan_needs_no_credentials() {
    let stage = both();
    let plan = |stage: &Stage| crate::stage::Run::of(stage.command().env_remove("PASSWORD").arg("plan"));
    plan(&stage).exits(0).says("3 upload");
    stage.run(["sync"]).exits(0);
    plan(&stage).exits(0).says("3 keep");
}

#[test]
fn check_finds_nothing_wrong_and_asks_nobody() {
    let stage = both();
    let before = stage.listing();
    stage
        .run(["check"])
        .exits_without_data(0)
        .says("2 entries at bandwidth")
        .says("1 entry at plivo")
        .says("ok");
    let report = stage.run(["check", "--json"]).exits(0).json();
    assert_eq!((&report["format"], &report["ok"]), (&json!(1), &json!(true)), "{report}");
    assert_eq!(report["findings"], json!([]));
    assert_eq!(stage.requests(), 0);
    assert_unchanged(&before, &stage.listing());
}

#[test]
fn the_schema_that_check_prints_is_the_one_in_the_repository() {
    let printed = Stage::new().run(["check", "--schema"]).exits(0).json();
    let stored: Value = serde_json::from_str(include_str!("../../media.schema.json")).unwrap();
    assert!(printed == stored, "write it anew: mediakeep check --schema > media.schema.json");
}

#[test]
fn status_shows_every_entry_and_asks_nobody() {
    let stage = both();
    stage.run(["sync"]).exits(0);
    let (requests, before) = (stage.requests(), stage.listing());
    let run = stage.run(["status"]).exits(0);
    run.prints("STATE").prints("RENEWAL").prints("EXPIRY").prints(&stage.url("photos/one.jpg", "bandwidth"));
    let entry = stage.run(["status", "--json"]).exits(0).entry("logo.png", "bandwidth");
    assert_eq!(entry["state"], "alive");
    assert_eq!(entry["expires_at"], stage.entry("logo.png", "bandwidth")["expires_at"]);
    assert!(entry["renew_at"].as_str() < entry["expires_at"].as_str(), "{entry}");
    assert_eq!(stage.requests(), requests);
    assert_unchanged(&before, &stage.listing());
}

#[test]
fn url_prints_the_url_and_nothing_else() {
    let stage = both();
    stage.run(["sync"]).exits(0);
    let url = |file: &str, provider: &str| format!("{}\n", stage.url(file, provider));
    let run = stage.run(["url", "photos/one.jpg"]).exits(0);
    assert_eq!((run.stdout, run.stderr), (url("photos/one.jpg", "bandwidth"), String::new()));
    let run = stage.run(["url", "./logo.png", "--provider", "plivo"]).exits(0);
    assert_eq!((run.stdout, run.stderr), (url("logo.png", "plivo"), String::new()));
    stage.run(["url", "logo.png"]).exits_without_data(2).says("--provider").says("bandwidth, plivo");
}

#[test]
fn status_and_url_need_no_credentials() {
    let stage = both();
    stage.run(["sync"]).exits(0);
    for arguments in [["status", "--json"], ["url", "photos/one.jpg"]] {
        crate::stage::Run::of(stage.command().env_remove("PASSWORD").args(arguments)).exits(0).prints("http");
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let run = Stage::new().run(["completions", shell]).exits(0);
        for word in ["sync", "approve", "exit-code", "manifest"] {
            assert!(run.stdout.contains(word), "{shell}: {word}");
        }
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn help_goes_to_standard_output_and_wrong_usage_to_standard_error() {
    let stage = Stage::new();
    let commands = ["run", "sync", "plan", "check", "status", "url", "approve", "init", "emulate", "demo"];
    for command in commands.into_iter().chain(["completions", "man"]) {
        let run = stage.run([command, "--help"]).exits(0).prints("Usage: mediakeep");
        assert_eq!(run.stderr, "", "{command}");
    }
    stage.run(["--help"]).exits(0).prints("Exit codes");
    // What a command has no use for it takes without a word, before it or after it, and does not show.
    for arguments in
        [["-m", "x", "man"], ["man", "-m", "x"], ["man", "--config", "x"], ["--config", "x", "man"]]
    {
        assert_eq!(stage.run(arguments).exits(0).stderr, "");
    }
    assert!(!stage.run(["man", "--help"]).exits(0).stdout.contains("--manifest"));
    stage.run(["--version"]).exits(0).prints("mediakeep 0.");
    stage.run::<&str>([]).exits_without_data(2).says("Usage");
    for wrong in
        [&["sing"][..], &["sync", "--jason"], &["url"], &["plan", "-q", "-v"], &["completions", "tcsh"]]
    {
        stage.run(wrong).exits_without_data(2).says("error:");
    }
}
#[test]
fn the_manual_page_tells_of_every_command_and_exit_code() {
    let run = Stage::new().run(["man"]).exits(0);
    assert!(run.stdout.contains(".TH MEDIAKEEP 1"), "{}", run.stdout);
    for text in [
        "\\-\\-exit\\-code",
        "mediakeep approve",
        "MEDIAKEEP_MANIFEST",
        "halted by the guard",
        "\\-\\-provider",
    ] {
        assert!(run.stdout.contains(text), "{text}: {}", run.stdout);
    }
    assert_eq!(run.stderr, "");
}
