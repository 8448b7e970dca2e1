//! Manifest and config as two files, by two kinds of people: who edits pictures cannot send the password elsewhere.

use std::path::Path;

use crate::stage::{PASSWORD, Run, Stage, bandwidth_at, file, write};

/// A manifest in the folder, and a config in another one that states root, account and, if asked for, more.
fn split(more: &str) -> Stage {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.write("media.toml", format!("version = 1\n{}", file("logo.png", "bandwidth")));
    config(&stage, more);
    stage
}

fn config(stage: &Stage, more: &str) {
    let text = format!("version = 1\n[sync]\nsettle = \"0s\"\n{more}\n{}", stage.bandwidth(""));
    write(&stage.above.path().join("etc/mediakeep.toml"), text);
}

const CONFIG: [&str; 2] = ["--config", "../etc/mediakeep.toml"];

fn run(stage: &Stage, arguments: &[&str]) -> Run {
    stage.run(arguments.iter().chain(&CONFIG))
}

#[test]
fn a_manifest_beside_a_config_holds_media_and_exports_only() {
    let stage = split("");
    run(&stage, &["sync"]).exits_without_data(0).says("1 uploaded");
    let manifest = stage.read("media.toml");
    let elsewhere = bandwidth_at("https://evil.example", "");
    for (table, place) in [
        (elsewhere.as_str(), "provider"),
        ("\n[sync]\nroot = \"/etc\"\n", "sync"),
        ("\n[hook]\nrun = \"rm -rf /\"\n", "hook"),
        ("\n[serve]\nlisten = \"0.0.0.0:80\"\n", "serve"),
    ] {
        stage.write("media.toml", format!("{manifest}{table}"));
        let requests = stage.requests();
        for command in ["check", "sync", "plan", "approve", "run"] {
            // What ran before could go on with the last good manifest; a pass never does.
            if command == "run" {
                continue;
            }
            run(&stage, &[command]).exits_without_data(3).says(place).says("--> media.toml:");
        }
        assert_eq!(stage.requests(), requests);
    }
}

#[test]
fn the_refusal_says_why_and_where_it_belongs() {
    let stage = split("");
    let manifest = stage.read("media.toml");
    stage.write("media.toml", format!("{manifest}{}", stage.bandwidth("")));
    run(&stage, &["check"]).exits(3).says("../etc/mediakeep.toml").says("must not be able to send");
}

#[test]
fn media_do_not_belong_in_a_config_and_commands_not_in_a_manifest_alone_either() {
    let stage = split(&file("logo.png", "bandwidth"));
    run(&stage, &["check"]).exits_without_data(3).says("../etc/mediakeep.toml:").says("manifest");
    let stage = Stage::with_logo();
    let manifest = stage.read("media.toml");
    stage.write("media.toml", format!("{manifest}\n[hook]\nrun = \"true\"\n"));
    stage.run(["check"]).exits_without_data(3).says("[hook] can't stand in the manifest").says("--config");
}

#[test]
fn relative_paths_belong_to_the_file_that_states_them() {
    let stage = split("root = \"../media\"\nstate_dir = \"state\"");
    let account = stage.bandwidth("").replace("{ env = \"PASSWORD\" }", "{ file = \"secret\" }");
    let text = format!(
        "version = 1\n[sync]\nsettle = \"0s\"\nroot = \"../media\"\nstate_dir = \"state\"\n{account}"
    );
    write(&stage.above.path().join("etc/mediakeep.toml"), text);
    write(&stage.above.path().join("etc/secret"), PASSWORD);
    // The manifest may lie anywhere: root comes from the config.
    let manifest = stage.above.path().join("elsewhere/media.toml");
    write(&manifest, stage.read("media.toml"));
    let mut command = stage.command();
    let command = command.current_dir("/").env_remove("PASSWORD").arg("sync").arg("-m").arg(&manifest);
    Run::of(command.arg("--config").arg(stage.above.path().join("etc/mediakeep.toml"))).exits_without_data(0);
    assert!(stage.above.path().join("etc/state/state.json").exists());
    assert!(!stage.path(".mediakeep").exists() && !stage.above.path().join("elsewhere/.mediakeep").exists());
}

#[test]
fn without_a_root_the_manifests_folder_is_watched_and_holds_the_state() {
    let stage = split("");
    run(&stage, &["sync"]).exits(0);
    assert!(stage.state_path().exists());
    assert!(!stage.above.path().join("etc/.mediakeep").exists());
}

#[test]
fn the_environment_names_both_files_and_arguments_go_first() {
    let stage = split("");
    let from = |variables: &[(&str, &Path)], arguments: &[&str]| {
        let mut command = stage.command();
        command.current_dir("/");
        for (name, value) in variables {
            command.env(name, value);
        }
        Run::of(command.args(arguments))
    };
    let (manifest, config) = (stage.path("media.toml"), stage.above.path().join("etc/mediakeep.toml"));
    let both = [("MEDIAKEEP_MANIFEST", manifest.as_path()), ("MEDIAKEEP_CONFIG", config.as_path())];
    from(&both, &["sync"]).exits(0);
    from(&both, &["url", "logo.png"]).exits(0).prints("http");
    let gone = [("MEDIAKEEP_MANIFEST", manifest.as_path()), ("MEDIAKEEP_CONFIG", Path::new("/nowhere.toml"))];
    from(&gone, &["status"]).exits_without_data(3).says("/nowhere.toml").says("MEDIAKEEP_CONFIG");
    from(&gone, &["status", "--config", config.to_str().unwrap()]).exits(0);
    // An empty variable is a mistake, and no way to have no config.
    for name in ["MEDIAKEEP_MANIFEST", "MEDIAKEEP_CONFIG"] {
        let empty = [(name, Path::new(""))];
        from(&empty, &["status"]).exits_without_data(2).says(&format!("${name} is empty"));
        from(&empty, &["--version"]).exits(0);
    }
    // What is wrong with what was typed is told as that.
    let empty = [("MEDIAKEEP_MANIFEST", Path::new("")), ("MEDIAKEEP_CONFIG", Path::new(""))];
    for typed in [
        &["status", "--config", ""][..],
        &["status", "--config"],
        &["status", "--config=a", "--config=b"],
        &["status", "--configs", "x"],
        &["status", "-m"],
    ] {
        from(&both, typed).exits_without_data(2).never_says("is empty");
        from(&empty[1..], typed).exits_without_data(2).never_says("CONFIG is empty");
    }
    from(&empty[..1], &["status", "-m", ""]).exits_without_data(2).never_says("is empty");
}

#[test]
fn the_state_directory_of_systemd_is_used_where_nothing_else_is_said() {
    let stage = Stage::with_logo();
    let folder = stage.above.path().join("var");
    std::fs::create_dir(&folder).unwrap();
    let with = |arguments: &[&str]| Run::of(stage.command().env("STATE_DIRECTORY", &folder).args(arguments));
    with(&["sync"]).exits(0);
    assert!(folder.join("state.json").exists() && !stage.path(".mediakeep").exists());
    with(&["url", "logo.png"]).exits(0);
    stage.run(["url", "logo.png"]).exits_without_data(4).says(".mediakeep");
    // What the manifest says goes first.
    let text = stage.read("media.toml").replace("settle", "state_dir = \"../own\"\nsettle");
    stage.write("media.toml", text);
    with(&["sync"]).exits(0);
    assert!(stage.above.path().join("own/state.json").exists());
}

#[test]
fn a_credential_file_and_a_config_below_root_are_never_media() {
    let stage = Stage::new();
    for name in ["secret.txt", "logo.txt", "mediakeep.txt"] {
        stage.write(name, PASSWORD);
    }
    let account = stage.bandwidth("").replace("{ env = \"PASSWORD\" }", "{ file = \"secret.txt\" }");
    stage.write("mediakeep.txt", format!("version = 1\n[sync]\nsettle = \"0s\"\n{account}"));
    stage.write("logo.txt", b"no secret");
    stage.write("media.toml", format!("version = 1\n{}", crate::stage::files("**/*.txt", "bandwidth")));
    stage.run(["sync", "--config", "mediakeep.txt"]).exits(0).says("1 of 1 entry alive");
    let media = stage.control().media();
    assert_eq!((media.len(), media[0].size), (1, "no secret".len()));
    for name in ["secret.txt", "mediakeep.txt"] {
        stage.write("media.toml", format!("version = 1\n{}", file(name, "bandwidth")));
        stage.run(["sync", "--config", "mediakeep.txt"]).exits_without_data(3).says(name);
    }
}
