//! What programs read: JSON listings, tables, and what is on which stream.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stage::{Run, Stage, file, files};

fn fields(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// A published file, a blocked one and one that is missing.
fn mixed() -> Stage {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.write("large.png", vec![0; 3_500_001]);
    let rules = [file("logo.png", "bandwidth"), file("gone.png", "bandwidth"), files("l*.png", "bandwidth")];
    stage.manifest(&format!("{}{}", stage.bandwidth(""), rules.concat()));
    stage
}

#[test]
fn every_listing_has_a_format_and_entries_with_the_states_field_names() {
    let stage = mixed();
    let sync = stage.run(["sync", "--json"]).exits(4);
    let recorded = stage.entry("logo.png", "bandwidth");
    for (arguments, code) in [(&["status", "--json"][..], 4), (&["plan", "--json", "--all"], 0)] {
        let run = stage.run(arguments).exits(code);
        assert_eq!(fields(&run.json()), BTreeSet::from(["entries".to_owned(), "format".to_owned()]));
        let entry = run.entry("logo.png", "bandwidth");
        for field in fields(&recorded) {
            assert_eq!(entry[&field], recorded[&field], "{arguments:?}: {field}");
        }
        assert_eq!(run.entry("large.png", "bandwidth")["problem"]["kind"], "too-large");
        assert_eq!(run.entry("gone.png", "bandwidth")["url"], Value::Null);
    }
    let entry = sync.entry("logo.png", "bandwidth");
    for field in fields(&recorded) {
        assert_eq!(entry[&field], recorded[&field], "sync: {field}");
    }
}

#[test]
fn the_plan_for_programs_says_action_reason_and_cost() {
    let stage = mixed();
    let plan = stage.run(["plan", "--json"]).exits(0);
    let upload = plan.entry("logo.png", "bandwidth");
    assert_eq!(
        [&upload["action"], &upload["why"], &upload["bytes"], &upload["requests"], &upload["deadline"]],
        [&json!("upload"), &json!("new"), &json!(4), &json!(1), &Value::Null]
    );
    let blocked = plan.entry("large.png", "bandwidth");
    assert_eq!((&blocked["action"], &blocked["requests"]), (&json!("blocked"), &json!(0)));
    stage.run(["sync"]).exits(4);
    let left = stage.run(["plan", "--json"]).exits(0).json();
    assert_eq!(left["entries"].as_array().unwrap().len(), 2, "what needs nothing is left out: {left}");
    let all = stage.run(["plan", "--json", "--all"]).exits(0);
    assert_eq!(all.entry("logo.png", "bandwidth")["action"], "keep");
}

#[test]
fn the_state_file_has_the_shape_that_is_promised() {
    let stage = Stage::with_logo_published();
    stage.write("logo.png", b"another");
    stage.run(["sync"]).exits(0);
    let text = stage.read(".mediakeep/state.json");
    let json = stage.state();
    assert_eq!(
        (&json["format"], &json["writer"]),
        (&Value::from(1), &Value::from(format!("mediakeep {}", env!("CARGO_PKG_VERSION"))))
    );
    assert!(json["lineage"].is_string() && json["serial"].is_u64());
    let entry = &json["media"]["logo.png"]["bandwidth"];
    let expected = [
        "id",
        "url",
        "scope",
        "blake3",
        "size",
        "content_type",
        "cache_control",
        "uploaded_at",
        "expires_at",
        "previous",
        "problem",
    ];
    assert_eq!(fields(entry), expected.map(str::to_owned).into());
    assert_eq!(
        fields(&entry["previous"][0]),
        ["id", "url", "scope", "blake3", "expires_at"].map(str::to_owned).into()
    );
    assert_eq!(entry["blake3"].as_str().unwrap().len(), 64);
    for field in ["uploaded_at", "expires_at"] {
        let time = entry[field].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-11-21T16:00:00Z".len(), "{time}");
    }
    assert!(text.starts_with("{\n  \"format\": 1,\n  \"writer\": \"mediakeep "), "{text}");
}

#[test]
fn problems_have_the_shape_that_is_promised() {
    let stage = Stage::with_logo();
    stage.fault(json!({"count": null, "action": {"empty": 503}}));
    stage.run(["sync"]).exits(4);
    let problem = stage.entry("logo.png", "bandwidth")["problem"].clone();
    assert_eq!(
        fields(&problem),
        ["kind", "detail", "since", "attempts", "next_try"].map(str::to_owned).into()
    );
    assert_eq!((&problem["kind"], &problem["attempts"]), (&json!("unavailable"), &json!(3)));
    assert!(problem["since"].is_string() && problem["next_try"].is_string(), "{problem}");
}

#[test]
fn standard_output_is_data_and_everything_else_is_on_standard_error() {
    let stage = mixed();
    let none: [(&[&str], i32); 4] =
        [(&["check"], 0), (&["sync"], 4), (&["sync", "-vv"], 4), (&["sync", "-q"], 4)];
    for (arguments, code) in none {
        stage.run(arguments).exits_without_data(code);
    }
    for arguments in
        [&["plan", "--json"][..], &["status", "--json"], &["sync", "--json"], &["check", "--json"]]
    {
        // Nothing but one JSON value, whatever is said beside it.
        stage.run(arguments.iter().chain(&["-vv"])).json();
        stage.run(arguments.iter().chain(&["--log-format", "json"])).json();
        stage.run(arguments.iter().chain(&["-q"])).json();
    }
}

#[test]
fn quiet_says_what_went_wrong_and_nothing_else() {
    let stage = Stage::with_logo();
    for arguments in [
        &["check", "-q"][..],
        &["plan", "-q"],
        &["sync", "-q"],
        &["status", "-q"],
        &["url", "-q", "logo.png"],
    ] {
        let run = stage.run(arguments).exits(0);
        assert_eq!(run.stderr, "", "{arguments:?}");
    }
    stage.run(["url", "-q", "gone.png"]).exits(4).says("error:");
    stage.fault(json!({"count": null, "action": {"empty": 415}}));
    stage.write("logo.png", b"refused");
    stage.run(["sync", "-q"]).exits(4).says("415").says("error:").never_says("0 uploaded");
}

#[test]
fn no_colours_and_no_progress_bars_where_nobody_looks() {
    let stage = mixed();
    for arguments in
        [&["sync", "-v"][..], &["check"], &["plan"], &["status"], &["--help"], &["sync", "-m", "broken.toml"]]
    {
        stage.write("broken.toml", "version = 2\n");
        let run = stage.run(arguments);
        assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{}", run.all());
        assert!(!run.stderr.contains('\r'), "{}", run.all());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let stage = Stage::new();
    for number in 0..2000 {
        stage.write(format!("{number:04}.png"), format!("{number}"));
    }
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    let line = format!("{} plan | head -n 1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_mediakeep"));
    let mut shell = assert_cmd::Command::new("bash");
    let run = Run::of(shell.args(["-c", &line]).current_dir(stage.root()));
    run.exits(0).prints("ACTION").never_says("Broken pipe");
}

#[test]
fn the_emulator_listens_on_loopback_only_and_says_where() {
    let stage = Stage::new();
    for arguments in [
        &["emulate", "--listen", "0.0.0.0:0"][..],
        &["emulate", "--listen", "nonsense"],
        &["emulate", "--retention", "twilio=1h"],
        &["emulate", "--retention", "plivo=7h"],
        &["demo", "--duration", "1s"],
        &["demo", "--duration", "soon"],
    ] {
        stage.run(arguments).exits_without_data(2).says("error:");
    }
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    stage.run(["emulate", "--listen", &address]).exits_without_data(1).says(&address);
}
