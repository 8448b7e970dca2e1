//! What looks like an accident retires nothing, ends with 6, and is let go only by an approval of exactly that.

use serde_json::{Value, json};

use crate::stage::{Run, Stage, assert_unchanged, file, files, rename, write};

/// So many files, each named by a rule of its own.
fn named(count: usize) -> Stage {
    let stage = Stage::new();
    for number in 0..count {
        stage.write(format!("{number:02}.png"), format!("{number}"));
    }
    name(&stage, 0..count);
    stage.run(["sync"]).exits(0);
    stage
}

/// Names only these.
fn name(stage: &Stage, numbers: impl Iterator<Item = usize>) {
    let rules: String = numbers.map(|number| file(&format!("{number:02}.png"), "bandwidth")).collect();
    stage.manifest(&format!("{}{rules}", stage.bandwidth("")));
}

fn retired(stage: &Stage) -> usize {
    let media = stage.state()["media"].as_object().unwrap().clone();
    media.values().filter(|entry| entry["bandwidth"]["retired_at"].is_string()).count()
}

#[test]
fn a_mass_deletion_is_held_back_shown_approved_and_let_go() {
    let stage = named(20);
    name(&stage, 0..5);
    for _ in 0..2 {
        stage.run(["sync"]).exits_without_data(6).says("15 of 20").says("mediakeep approve");
        assert_eq!(retired(&stage), 0);
    }
    stage.run(["plan"]).exits(6).prints("held back by the guard").says("15 blocked");
    stage.run(["status"]).exits(6).prints("holds back 15 entries");
    let before = stage.listing();
    let shown = stage.run(["approve"]).exits(6).says("15 entries").says("--yes").says("nothing was approved");
    let lines: Vec<String> = (5..20).map(|number| format!("{number:02}.png\tbandwidth\n")).collect();
    let list = lines.concat();
    assert_eq!(shown.stdout, list);
    assert_unchanged(&before, &stage.listing());
    stage.run(["sync"]).exits(6);

    let approved = stage.run(["approve", "--yes"]).exits(0).says("approved");
    assert_eq!(approved.stdout, list);
    let requests = stage.requests();
    stage.run(["sync"]).exits_without_data(0).says("5 of 5 entries alive");
    assert_eq!((retired(&stage), stage.requests()), (15, requests));
    stage.run(["sync"]).exits(0);
    stage.run(["approve", "--yes"]).exits_without_data(0).says("holds nothing back");
}

#[test]
fn plan_sync_and_status_agree_before_and_after_the_minute_is_over() {
    let stage = Stage::new();
    for name in ["a.png", "sounds/a.mp3", "sounds/b.mp3"] {
        stage.write(name, name);
    }
    let rules = [files("*.png", "bandwidth"), files("sounds/*.mp3", "bandwidth")].concat();
    stage.manifest(&format!("{}{rules}", stage.bandwidth("")));
    stage.run(["sync"]).exits(0);
    std::fs::remove_dir_all(stage.path("sounds")).unwrap();
    // Seen by nobody yet, and then seen by a pass.
    for _ in 0..2 {
        let run = stage.run(["plan"]).exits(0).says("the guard would hold back 2 entries once");
        let run = run.says("lost all its files").says("2 keep alive").never_says("blocked");
        run.prints("for less than a minute; then the guard would hold it back").prints("mediakeep approve");
        assert_eq!(
            stage.run(["plan", "--json"]).exits(0).entry("sounds/a.mp3", "bandwidth")["action"],
            "keep-alive"
        );
        stage.run(["sync"]).exits(0);
        let run = stage.run(["status"]).exits(0).prints("kept alive").prints("gone for a minute");
        assert!(!run.stdout.contains("holds back"), "{}", run.all());
    }
    let gone_for_long = || {
        stage.edit_state(|state| {
            for name in ["a", "b"] {
                state["media"][format!("sounds/{name}.mp3")]["bandwidth"]["missing_since"] =
                    json!("2026-01-01T00:00:00Z");
            }
        });
    };
    gone_for_long();
    for _ in 0..2 {
        let run = stage.run(["plan"]).exits(6).says("the guard holds back 2 entries: ").says("2 blocked");
        run.prints("held back by the guard: ");
        stage.run(["sync"]).exits(6);
        let run = stage.run(["status"]).exits(6).prints("holds back 2 entries").prints("kept alive");
        assert!(!run.stdout.contains("gone for a minute"), "{}", run.all());
    }
    // What the guard lets pass is to be retired, now or then.
    stage.write("sounds/a.mp3", "sounds/a.mp3");
    stage.run(["plan"]).exits(0).prints("its file is gone\n").says("1 retire");
    stage.write("sounds/b.mp3", "sounds/b.mp3");
    stage.run(["sync"]).exits(0);
    stage.remove("sounds/b.mp3");
    stage.run(["plan"]).exits(0).prints("let go once it has been gone for a minute").says("1 retire");
}

#[test]
fn an_approval_that_waits_is_shown_until_it_is_used() {
    let stage = named(20);
    name(&stage, 0..5);
    stage.run(["sync"]).exits(6);
    let status = || stage.run(["status", "--json"]).exits(6).json()["approval"].clone();
    assert!(status().is_null());
    stage.run(["approve", "--yes"]).exits(0).says("approved; ");
    assert_eq!(status()["entries"], 15);
    assert!(status()["approved_at"].is_string(), "{}", status());
    stage.run(["status"]).exits(6).prints("an approval of 15 entries waits, given ");
    // The same again changes nothing, and needs no yes.
    let before = stage.listing();
    let again =
        stage.run(["approve"]).exits(0).says("an approval of 15 entries waits").says("for exactly these");
    assert_eq!(again.stdout.lines().count(), 15);
    assert_unchanged(&before, &stage.listing());
    // Another set is another matter: the older approval gives way.
    name(&stage, 0..4);
    stage.run(["approve"]).exits(6).says("for others than these").says("nothing was approved");
    assert_eq!(status()["entries"], 15);
    stage.run(["approve", "--yes"]).exits(0).says("for others than these");
    assert_eq!(status()["entries"], 16);
    name(&stage, 0..20);
    stage.run(["approve"]).exits_without_data(0).says("holds nothing back").says("16 entries waits");
    name(&stage, 0..4);
    stage.run(["sync"]).exits(0);
    assert!(stage.run(["status", "--json"]).exits(0).json()["approval"].is_null());
    assert!(!stage.run(["status"]).exits(0).stdout.contains("approval"));
}

#[test]
fn an_approval_counts_for_exactly_what_it_showed_and_only_once() {
    let stage = named(30);
    name(&stage, 0..15);
    stage.run(["sync"]).exits(6);
    stage.run(["approve", "--yes"]).exits(0);
    name(&stage, 0..14);
    stage.run(["sync"]).exits_without_data(6).says("16 of 30");
    assert_eq!(retired(&stage), 0);
    // What was approved is gone again once it is back.
    name(&stage, 0..15);
    stage.run(["sync"]).exits(0);
    assert_eq!(retired(&stage), 15);
    name(&stage, 0..30);
    stage.run(["sync"]).exits(0);
    name(&stage, 0..15);
    stage.run(["sync"]).exits(6);
}

#[test]
fn renewals_go_on_while_the_guard_holds() {
    let stage = named(20);
    name(&stage, 0..2);
    stage.run(["sync"]).exits(6);
    stage.edit_state(|state| {
        for entry in state["media"].as_object_mut().unwrap().values_mut() {
            entry["bandwidth"]["uploaded_at"] = json!("2020-01-01T00:00:00Z");
            entry["bandwidth"]["expires_at"] = json!("2020-01-03T00:00:00Z");
        }
    });
    stage.run(["sync"]).exits_without_data(6).says("20 uploaded").never_says("no longer in the manifest");
    stage.run(["url", "19.png"]).exits(0);
}

#[test]
fn an_emptied_or_missing_folder_is_6_and_everything_stays() {
    let stage = Stage::new();
    let config = format!(
        "version = 1\n[sync]\nroot = \"media\"\nstate_dir = \"state\"\nsettle = \"0s\"\n{}",
        stage.bandwidth("")
    );
    write(&stage.above.path().join("config.toml"), config);
    write(&stage.above.path().join("media.toml"), format!("version = 1\n{}", files("*.png", "bandwidth")));
    let run = |command: &str| {
        let arguments = [command, "--config", "config.toml"];
        Run::of(stage.command().current_dir(stage.above.path()).args(arguments))
    };
    for name in ["a.png", "b.png"] {
        stage.write(name, name);
    }
    run("sync").exits(0);
    let away = stage.above.path().join("away");
    rename(&stage.root(), &away);
    let reads = || std::fs::read_to_string(stage.above.path().join("state/state.json")).unwrap();
    for (word, detail) in [("missing", "it is not there"), ("empty", "it is empty")] {
        run("sync").exits_without_data(6).says(word).says("kept alive").never_says("blocked");
        run("plan").exits(6).says(detail).prints(word);
        assert!(!reads().contains("retired_at"));
        std::fs::create_dir_all(stage.root()).unwrap();
    }
    std::fs::remove_dir(stage.root()).unwrap();
    rename(&away, &stage.root());
    run("sync").exits_without_data(0).says("2 of 2 entries alive").never_says("mended");
}

#[test]
fn a_folder_that_was_never_there_is_no_success() {
    let stage = Stage::new();
    stage.manifest(&format!("root = \"nowhere\"\n{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    stage.run(["sync"]).exits_without_data(6).says("missing");
    stage.run(["plan"]).exits(6).says("nowhere");
    stage.write("file", b"");
    stage.manifest(&format!("root = \"file\"\n{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    stage.run(["sync"]).exits_without_data(1).says("not a folder");
}

#[test]
fn a_rule_that_lost_all_its_files_is_6_however_few_they_were() {
    let stage = Stage::new();
    stage.write("a.png", b"a");
    stage.write("sounds/a.mp3", b"sound");
    stage.manifest(
        &[stage.bandwidth(""), files("*.png", "bandwidth"), files("sounds/*.mp3", "bandwidth")].concat(),
    );
    stage.run(["sync"]).exits(0);
    std::fs::remove_dir_all(stage.path("sounds")).unwrap();
    stage.run(["sync"]).exits(0);
    stage.edit_state(|state| {
        state["media"]["sounds/a.mp3"]["bandwidth"]["missing_since"] = json!("2026-01-01T00:00:00Z");
    });
    stage.run(["sync"]).exits_without_data(6).says("sounds/*.mp3");
    stage.run(["approve", "--yes"]).exits(0).prints("sounds/a.mp3\tbandwidth");
    stage.run(["sync"]).exits(0);
    assert!(stage.entry("sounds/a.mp3", "bandwidth")["retired_at"].is_string());
}

#[test]
fn a_glob_that_lost_most_of_its_files_can_be_approved_before_the_minute_is_over() {
    let stage = Stage::new();
    for number in 0..20 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    stage.run(["sync"]).exits(0);
    for number in 0..15 {
        stage.remove(format!("{number}.png"));
    }
    stage.run(["sync"]).exits(0).says("20 of 20 entries alive");
    stage.run(["approve", "--yes"]).exits(0);
    stage.edit_state(|state| {
        for entry in state["media"].as_object_mut().unwrap().values_mut() {
            if entry["bandwidth"]["missing_since"].is_string() {
                entry["bandwidth"]["missing_since"] = json!("2026-01-01T00:00:00Z");
            }
        }
    });
    stage.run(["sync"]).exits(0).says("5 of 5 entries alive");
    let media: Value = stage.state()["media"].clone();
    assert_eq!(media.as_object().unwrap().len(), 20);
}
