//! `docs/reference.md` against what the program prints: each field that is printed stands there, and the other way round.

use std::collections::BTreeSet;

use mediakeep::domain::failure::FailureClass;
use mediakeep::domain::obstacles::CREDENTIALS_MISSING;
use mediakeep::domain::plan::Action;
use serde_json::{Value, json};

use crate::stage::{Run, Stage, file, files, write};

const REFERENCE: &str = include_str!("../../docs/reference.md");

/// The fields in the table with this header; of those columns, the first one names them.
fn documented(header: &str) -> Vec<(String, String)> {
    let table =
        REFERENCE.split(&format!("| {header} |")).nth(1).unwrap_or_else(|| panic!("no table {header}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let fields = rows.flat_map(|row| {
        let mut columns = row.split(" | ");
        let names = columns.next().unwrap().split('`').skip(1).step_by(2).map(str::to_owned);
        let second = columns.next().unwrap().to_owned();
        names.map(move |name| (name, second.clone())).collect::<Vec<_>>()
    });
    fields.collect()
}

/// The paths of all fields in a value; what an account is called does not matter.
fn fields(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_here) => {
            for (name, value) in fields_here {
                let name = if prefix == "obstacles.accounts" { "NAME" } else { name };
                let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
                fields(value, &path, found);
                if name != "NAME" {
                    found.insert(path);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, prefix, found)),
        _ => {}
    }
}

#[track_caller]
fn assert_same(what: &str, printed: &BTreeSet<String>, documented: impl IntoIterator<Item = String>) {
    let documented: BTreeSet<String> = documented.into_iter().collect();
    let undocumented: Vec<_> = printed.difference(&documented).collect();
    let unprinted: Vec<_> = documented.difference(printed).collect();
    assert!(undocumented.is_empty(), "{what} prints what docs/reference.md does not name: {undocumented:?}");
    assert!(unprinted.is_empty(), "docs/reference.md names what {what} did not print: {unprinted:?}");
}

/// A folder with everything in it that there is a field for.
fn eventful() -> Stage {
    let stage = Stage::new();
    for number in 0..12 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    stage.write("kept.jpg", b"kept");
    stage.write("sounds/a.mp3", b"sound");
    let rules = [files("*.png", "plivo"), files("*.jpg", "plivo"), files("sounds/*.mp3", "plivo")].concat();
    let accounts = [stage.bandwidth("").replace("PASSWORD", "ELSEWHERE"), stage.plivo("")].concat();
    let rest = file("kept.jpg", "bandwidth");
    stage.manifest(&[&*accounts, &rules, &rest].concat());
    stage.run(["sync"]).exits(3);
    // New content leaves an older URL behind, a missing file is told, one is retired, the guard holds a rule back.
    stage.write("kept.jpg", b"new");
    stage.remove("0.png");
    stage.remove("1.png");
    std::fs::remove_dir_all(stage.path("sounds")).unwrap();
    stage.run(["sync"]).exits(3);
    stage.edit_state(|state| {
        state["media"]["0.png"]["plivo"]["missing_since"] = json!("2026-01-01T00:00:00Z");
    });
    stage.run(["sync"]).exits(3);
    stage.edit_state(|state| {
        state["media"]["sounds/a.mp3"]["plivo"]["missing_since"] = json!("2026-01-01T00:00:00Z");
    });
    stage.run(["sync"]).exits(3);
    stage.run(["approve", "--yes"]).exits(0);
    stage
}

#[test]
fn the_reference_names_each_field_of_plan_status_and_sync_and_no_other() {
    let stage = eventful();
    let table = documented("field of an entry | in | meaning");
    for (command, options) in [("plan", &["--all"][..]), ("status", &[]), ("sync", &[])] {
        let listing = stage.run([&[command, "--json"], options].concat()).json();
        let mut printed = BTreeSet::new();
        fields(&listing["entries"], "", &mut printed);
        let named = table.iter().filter(|(_, commands)| commands == "all" || commands == command);
        assert_same(command, &printed, named.map(|(name, _)| name.clone()));
        let mut rest = listing.as_object().unwrap().clone();
        assert_eq!((rest.remove("format"), rest.remove("entries").is_some()), (Some(json!(1)), true));
        let mut printed = BTreeSet::new();
        fields(&Value::Object(rest), "", &mut printed);
        let named = if command == "status" { documented("field of status | meaning") } else { Vec::new() };
        assert_same(command, &printed, named.into_iter().map(|(name, _)| name));
    }
}

#[test]
fn the_reference_names_each_field_of_check_and_no_other() {
    let stage = Stage::new();
    stage.write("large.png", vec![0; 3_500_001]);
    let account = stage.bandwidth("").replace("PASSWORD", "ELSEWHERE");
    let account = account.replace("rate = \"1000/s\"", "rate = \"1/h\"\nmargin = \"1h\"\nretention = \"2h\"");
    let rules =
        [file("large.png", "bandwidth"), file("gone.png", "bandwidth"), files("*.jpg", "bandwidth")].concat();
    stage.manifest(&format!("{account}{rules}"));
    let mut printed = BTreeSet::new();
    let report = stage.run(["check", "--json"]).exits(3).json();
    let kinds: BTreeSet<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, BTreeSet::from(["blocked", "capacity", "credential", "rule-without-files"]));
    for kind in kinds {
        assert!(REFERENCE.contains(&format!("`{kind}`")), "{kind}");
    }
    fields(&report, "", &mut printed);
    stage.manifest(&format!("{account}{rules}sinc = 3\n"));
    fields(&stage.run(["check", "--json"]).exits(3).json(), "", &mut printed);
    assert_same("check", &printed, documented("field of check | meaning").into_iter().map(|(name, _)| name));
}

#[test]
fn the_reference_names_each_field_of_notify_and_no_other() {
    let stage = Stage::new();
    stage.write("media.toml", "version = 1\n");
    write(
        &stage.above.path().join("config.toml"),
        "version = 1\n[sync]\nroot = \"media\"\nstate_dir = \"state\"\n[hook]\non_risk = { command = [\"true\"] }\n",
    );
    let report = stage.run(["notify", "--test", "--json", "--config", "../config.toml"]).exits(0).json();
    let mut printed = BTreeSet::new();
    fields(&report, "", &mut printed);
    assert_same(
        "notify",
        &printed,
        documented("field of notify | meaning").into_iter().map(|(name, _)| name),
    );
}

#[test]
fn the_reference_names_each_state_action_and_kind_of_account_problem() {
    let row = |name: &str| REFERENCE.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap();
    let names =
        |name: &str, value: &str| assert!(row(name).contains(&format!("`{value}`")), "{name}: {value}");
    let actions = [
        Action::Upload,
        Action::Renew,
        Action::Keep,
        Action::KeepAlive,
        Action::Wait,
        Action::Blocked,
        Action::Retire,
        Action::Retired,
    ];
    for action in actions {
        names("action", serde_json::to_value(action).unwrap().as_str().unwrap());
    }
    let help = Run::of(Stage::new().command().args(["status", "--help"])).exits(0).stdout;
    let states =
        help.split("States:").nth(1).unwrap().lines().skip(1).map_while(|line| line.strip_prefix("  "));
    let states: Vec<&str> = states.filter_map(|line| line.split("  ").next()).collect();
    assert!(states.len() > 5, "{states:?}");
    for state in states {
        names("state", state);
    }
    // A refused content is the entry's own trouble, never the account's.
    let classes = [
        FailureClass::Unreachable,
        FailureClass::Ambiguous,
        FailureClass::Throttled,
        FailureClass::Unavailable,
        FailureClass::Unexpected,
        FailureClass::CredentialsRefused,
        FailureClass::AddressUnknown,
    ];
    let kinds = classes.iter().map(|class| class.as_str()).chain([CREDENTIALS_MISSING]);
    for kind in kinds {
        names("obstacles.accounts.NAME.kind", kind);
    }
}
