//! Files and folders that the process may not read or write. Root may do everything, so these runs are somebody
//! else's.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use serde_json::json;

use crate::stage::{PASSWORD, Run, Stage, files, skipped};

const NOBODY: u32 = 65_534;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A stage that anybody may work on; `None`, loudly, where the binary is out of others' reach.
fn open_stage() -> Option<Stage> {
    let stage = Stage::new();
    mode(stage.above.path(), 0o777);
    mode(&stage.root(), 0o777);
    for name in ["one.png", "two.png", "folder/three.png"] {
        stage.write(name, name);
    }
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("**/*.png", "bandwidth")));
    let runs = command(&stage, &["--version"]).output().is_ok_and(|output| output.status.success());
    if !runs {
        skipped("others than root cannot run the binary where it lies");
    }
    runs.then_some(stage)
}

/// The binary, run by somebody who is not root.
fn command(stage: &Stage, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mediakeep"));
    command.args(arguments).env_clear().env("PASSWORD", PASSWORD).current_dir(stage.root());
    // What was made a moment ago is our own.
    if stage.root().metadata().unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn run(stage: &Stage, arguments: &[&str]) -> Run {
    Run::of(&mut assert_cmd::Command::from_std(command(stage, arguments)))
}

#[test]
fn a_file_that_may_not_be_read_is_blocked_alone() {
    let Some(stage) = open_stage() else { return };
    mode(&stage.path("two.png"), 0);
    run(&stage, &["plan"]).exits(0).prints("blocked").prints("Permission denied");
    run(&stage, &["sync"]).exits_without_data(4).says("2 of 3 entries alive").says("ermission denied");
    assert_eq!(stage.entry("two.png", "bandwidth")["problem"]["kind"], "unreadable");
    mode(&stage.path("two.png"), 0o644);
    run(&stage, &["sync"]).exits(0).says("3 of 3 entries alive");
    mode(&stage.path("two.png"), 0);
    run(&stage, &["sync"]).exits(0).says("3 of 3 entries alive");
}

#[test]
fn a_folder_that_may_not_be_listed_protects_what_is_below_it() {
    let Some(stage) = open_stage() else { return };
    run(&stage, &["sync"]).exits(0);
    let url = stage.url("folder/three.png", "bandwidth");
    mode(&stage.path("folder"), 0);
    run(&stage, &["sync"])
        .exits_without_data(0)
        .says("folder")
        .says("3 of 3 entries alive")
        .never_says("blocked");
    run(&stage, &["plan"]).exits(0).says("folder cannot be listed");
    let entry = stage.entry("folder/three.png", "bandwidth");
    mode(&stage.path("folder"), 0o755);
    assert_eq!(entry["url"], json!(url));
    assert!(entry["missing_since"].is_null() && entry["retired_at"].is_null(), "{entry}");
    assert_eq!(entry["problem"]["kind"], "unreadable");
    run(&stage, &["sync"]).exits(0);
}

#[test]
fn a_root_that_may_not_be_listed_is_1_and_everything_stays() {
    let Some(stage) = open_stage() else { return };
    let text = stage.read("media.toml").replace("settle", "root = \"folder\"\nsettle");
    stage.write("media.toml", text);
    run(&stage, &["sync"]).exits(0).says("1 of 1 entry alive");
    let url = stage.url("three.png", "bandwidth");
    mode(&stage.path("folder"), 0);
    run(&stage, &["sync"]).exits_without_data(1).says("cannot be looked at").says("ermission denied");
    run(&stage, &["plan"]).exits(1).says("ermission denied");
    mode(&stage.path("folder"), 0o755);
    assert_eq!(stage.url("three.png", "bandwidth"), url);
}

#[test]
fn a_state_folder_that_may_not_be_written_is_1_and_says_so() {
    let Some(stage) = open_stage() else { return };
    run(&stage, &["sync"]).exits(0);
    let requests = stage.requests();
    mode(&stage.path(".mediakeep"), 0o555);
    stage.write("one.png", b"new");
    run(&stage, &["url", "one.png"]).exits(0);
    run(&stage, &["status"]).exits(0);
    let stopped = run(&stage, &["sync"]);
    mode(&stage.path(".mediakeep"), 0o755);
    stopped.exits_without_data(1).says(".mediakeep");
    assert!(stage.requests() <= requests + 1);
    run(&stage, &["sync"]).exits(0).says("3 of 3 entries alive");
}

#[test]
fn a_folder_that_may_not_be_written_takes_no_export_and_nothing_else_is_wrong() {
    let Some(stage) = open_stage() else { return };
    let text = stage.read("media.toml").replace("settle", "state_dir = \"../state\"\nsettle");
    stage.write("media.toml", format!("{text}\n[[export]]\npath = \"urls.json\"\nformat = \"json\"\n"));
    mode(&stage.root(), 0o555);
    let synced = run(&stage, &["sync"]);
    mode(&stage.root(), 0o777);
    synced.exits_without_data(0).says("urls.json").says("3 of 3 entries alive");
    run(&stage, &["sync"]).exits(0).never_says("urls.json");
    assert!(stage.path("urls.json").exists());
}

#[test]
fn a_manifest_and_a_state_that_may_not_be_read_are_told_apart() {
    let Some(stage) = open_stage() else { return };
    run(&stage, &["sync"]).exits(0);
    mode(&stage.state_path(), 0);
    for arguments in [&["url", "one.png"][..], &["status"], &["sync"]] {
        run(&stage, arguments).exits_without_data(1).says("state.json");
    }
    mode(&stage.state_path(), 0o644);
    mode(&stage.path("media.toml"), 0);
    run(&stage, &["sync"]).exits_without_data(3).says("media.toml").says("ermission denied");
}

#[test]
fn who_may_read_the_state_file_alone_sees_what_it_says() {
    let Some(stage) = open_stage() else { return };
    run(&stage, &["sync"]).exits(0);
    let folder = stage.path(".mediakeep");
    // The state file is still readable for all, whatever becomes of what lies beside it.
    for name in ["journal", "journal.1"] {
        if folder.join(name).exists() {
            mode(&folder.join(name), 0);
        }
    }
    std::fs::File::create(folder.join("journal.1")).unwrap();
    mode(&folder.join("journal.1"), 0);
    let url = stage.url("one.png", "bandwidth");
    run(&stage, &["url", "one.png"]).exits(0).prints(&url);
    mode(&folder.join("state.json"), 0);
    run(&stage, &["url", "one.png"]).exits_without_data(1).says("state.json").says("ermission denied");
}
