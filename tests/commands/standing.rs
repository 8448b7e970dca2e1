//! What can be asked while something is wrong: `status` and `url` answer from what is recorded, and say what is amiss.

use std::path::Path;

use serde_json::json;

use crate::stage::{AUTH_ID, PASSWORD, Run, Stage, assert_unchanged, file, files, rename, write};

#[test]
fn status_and_url_go_by_the_last_manifest_that_worked() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    for broken in ["<<<<<<< HEAD\nversion = 1\n", "version = 2\n", ""] {
        stage.write("media.toml", broken);
        let before = stage.listing();
        let run = stage.run(["status"]).exits(0).prints(&url).prints("alive").prints("in 1");
        run.says("media.toml cannot be used").says("mediakeep check").says("the last one that worked");
        let run = stage.run(["status", "--json"]).exits(0);
        assert_eq!(run.entry("logo.png", "bandwidth")["state"], "alive");
        let run = stage.run(["url", "logo.png"]).exits(0).says("the last one that worked");
        assert_eq!(run.stdout, format!("{url}\n"));
        stage.run(["url", "logo.png", "--provider", "plivo"]).exits_without_data(2).says("it has bandwidth");
        assert_unchanged(&before, &stage.listing());
    }
    stage.remove("media.toml");
    stage.run(["url", "logo.png"]).exits(0);
}

#[test]
fn where_the_last_manifest_may_not_be_read_the_state_answers_by_itself() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    std::fs::remove_file(stage.path(".mediakeep/last-good/last-good.json")).unwrap();
    stage.write("media.toml", "version = 2\n");
    stage.run(["status"]).exits(0).prints(&url).says("what the state file says by itself");
    for arguments in [&["url", "logo.png"][..], &["url", "logo.png", "--provider", "bandwidth"]] {
        assert_eq!(stage.run(arguments).exits(0).stdout, format!("{url}\n"));
    }
    stage.run(["url", "logo.png", "--provider", "plivo"]).exits_without_data(4);
    // Where nothing is recorded either, what is wrong with the manifest is the answer.
    std::fs::remove_dir_all(stage.path(".mediakeep")).unwrap();
    stage.run(["status"]).exits_without_data(3).says("media.toml:1");
}

#[test]
fn a_state_that_lies_in_the_folder_is_not_believed_where_the_config_names_another_one() {
    let stage = Stage::with_logo_published();
    let config = |state_dir: &Path| {
        format!("version = 1\n[sync]\nroot = \"media\"\nstate_dir = \"{}\"\n", state_dir.display())
    };
    std::fs::remove_file(stage.path(".mediakeep/last-good/last-good.json")).unwrap();
    write(&stage.above.path().join("config.toml"), config(&stage.above.path().join("elsewhere")));
    stage.write("media.toml", "broken");
    stage.run(["url", "logo.png", "--config", "../config.toml"]).exits_without_data(3);
}

#[test]
fn a_broken_config_is_called_by_its_name() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    stage.write("media.toml", "version = 1\n[[media]]\nfile = \"logo.png\"\nto = \"bandwidth\"\n");
    let sync = "version = 1\n[sync]\nroot = \"media\"\nstate_dir = \"media/.mediakeep\"\n";
    for broken in ["[sink]\n", "<<<<<<< HEAD\n"] {
        write(&stage.above.path().join("config.toml"), format!("{sync}{broken}"));
        let run = stage.run(["status", "--config", "../config.toml"]).exits(0).prints(&url);
        run.says("the config ../config.toml cannot be used (`mediakeep check` says why)");
    }
}

#[test]
fn what_is_merely_odd_is_said_by_check_alone() {
    let stage = Stage::with_logo();
    stage.run(["check"]).exits(0).says("git clean");
    for command in ["plan", "sync", "status", "approve"] {
        stage.run([command]).exits(0).never_says("git clean");
    }
    stage.write("media.toml", "version = 2\n");
    for command in ["plan", "sync", "approve"] {
        stage.run([command]).exits(3).never_says("git clean").says("1 error");
    }
}

#[test]
fn every_missing_credential_is_told_in_one_run() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    let nowhere = |table: String, name: &str| {
        let table = table.replace("PASSWORD", &format!("{name}_SECRET"));
        let table = table.replace("\"api\"", "{ env = \"B_USER\" }");
        table.replace(&format!("\"{AUTH_ID}\""), "{ env = \"P_ID\" }")
    };
    let both = file("logo.png", "bandwidth").replace("\"bandwidth\"", "[\"bandwidth\", \"plivo\"]");
    stage.manifest(&[nowhere(stage.bandwidth(""), "B"), nowhere(stage.plivo(""), "P"), both].concat());
    for command in ["check", "sync"] {
        let mut run = stage.run([command]).exits_without_data(3);
        for name in ["B_USER", "B_SECRET", "P_ID", "P_SECRET"] {
            run = run.says(&format!("{name} is not set"));
        }
    }
    let findings = stage.run(["check", "--json"]).exits(3).json()["findings"].clone();
    assert_eq!(findings.as_array().unwrap().len(), 4, "{findings}");
}

#[test]
fn what_is_named_wrongly_is_named_with_its_remedy() {
    let stage = Stage::with_logo();
    let run = stage.run(["check", "-m", "../media"]).exits_without_data(3);
    run.says("wants the file, not its folder").says("../media/media.toml");
    let text = stage.read("media.toml").replace("settle", "state_dir = \"../no/such/state\"\nsettle");
    stage.write("media.toml", text);
    for command in ["sync", "run"] {
        let run = stage.run([command]).exits_without_data(1).says("no/such is missing");
        run.says("mkdir -p").says("state_dir");
    }
    let taken = stage.emulator.addr().to_string();
    let run = stage.run(["emulate", "--listen", &taken]).exits_without_data(1).says("--listen 127.0.0.1:0");
    assert_eq!(run.stderr.matches("in use").count(), 1, "{}", run.all());
}

#[test]
fn a_file_that_is_too_large_is_told_with_the_limit() {
    let stage = Stage::new();
    let rules = [file("large.png", "plivo"), file("huge.png", "plivo")].concat();
    stage.manifest(&format!("{}{rules}", stage.plivo("")));
    for (name, size) in [("large.png", 2_000_001), ("huge.png", 5_000_000)] {
        stage.write(name, vec![1; size]);
        let limit = format!("{size} bytes, but its provider takes at most 2000000");
        stage.run(["check"]).exits(0).says(&limit);
        stage.run(["plan"]).exits(0).prints(&limit);
    }
}

#[test]
fn help_is_there_as_a_command_too() {
    let stage = Stage::new();
    let all = stage.run(["--help"]).exits(0).stdout;
    assert_eq!(stage.run(["help"]).exits(0).stdout, all);
    let one = stage.run(["url", "--help"]).exits(0).stdout;
    assert_eq!(stage.run(["help", "url"]).exits(0).stdout, one);
    stage.run(["help", "nonsense"]).exits_without_data(2);
}

#[test]
fn where_a_providers_table_is_gone_sync_says_when_its_urls_end() {
    let stage = Stage::new();
    for number in 0..12 {
        stage.write(format!("{number:02}.png"), format!("{number}"));
    }
    stage.write("logo.jpg", b"logo");
    let rules = [files("*.png", "bandwidth"), file("logo.jpg", "plivo")];
    stage.manifest(&[stage.bandwidth(""), stage.plivo(""), rules.concat()].concat());
    stage.run(["sync"]).exits(0).never_says("cannot be renewed");
    stage.manifest(&[stage.plivo(""), rules[1].clone()].concat());
    let ends = stage.state()["media"].as_object().unwrap().values().fold(Vec::new(), |mut ends, entry| {
        ends.extend(entry["bandwidth"]["expires_at"].as_str().map(str::to_owned));
        ends
    });
    let run =
        stage.run(["sync"]).exits(6).says("12 entries there cannot be renewed").says("[provider.bandwidth]");
    run.says(ends.iter().min().unwrap());
    stage.run(["approve", "--yes"]).exits(0);
    stage.run(["sync"]).exits(0).never_says("cannot be renewed");
}

#[test]
fn init_writes_for_the_folder_that_one_stands_in_or_that_is_named() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.write("other/sound.mp3", b"sound");
    stage.run(["init", "-m", "other"]).exits_without_data(2).says("--manifest other/media.toml");
    stage.run(["init"]).exits_without_data(0).says("wrote media.toml");
    assert!(stage.read("media.toml").contains("*.png"));
    stage.run(["init", "-m", "other/media.toml"]).exits_without_data(0).says("other/media.toml");
    let named = stage.read("other/media.toml");
    assert!(named.contains("*.mp3") && !named.contains("*.png"), "{named}");
}

/// Two providers, of which Plivo's credentials are nowhere.
fn half_connected() -> Stage {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    let plivo = stage.plivo("").replace("PASSWORD", "ELSEWHERE");
    let both = file("logo.png", "bandwidth").replace("\"bandwidth\"", "[\"bandwidth\", \"plivo\"]");
    stage.manifest(&[stage.bandwidth(""), plivo, both].concat());
    stage.run(["sync"]).exits(3);
    stage
}

#[test]
fn status_names_the_account_whose_credentials_are_nowhere() {
    let stage = half_connected();
    let run = stage.run(["status"]).exits(3).prints("all of plivo: credentials-missing");
    run.prints("ELSEWHERE is not set; nothing is sent there");
    let report = stage.run(["status", "--json"]).exits(3);
    assert_eq!(report.entry("logo.png", "plivo")["state"], "waiting");
    let obstacles = &report.json()["obstacles"];
    let accounts = obstacles["accounts"].as_object().unwrap();
    assert_eq!(accounts.keys().collect::<Vec<_>>(), ["plivo"]);
    assert_eq!(accounts["plivo"]["kind"], "credentials-missing");
    assert!(obstacles["since"].is_string() && obstacles["guard"].is_null(), "{obstacles}");
    // The same again is no news.
    let before = stage.listing_without_lock();
    stage.run(["sync"]).exits(3);
    assert_unchanged(&before, &stage.listing_without_lock());

    Run::of(stage.command().env("ELSEWHERE", PASSWORD).arg("sync")).exits(0);
    assert!(stage.run(["status", "--json"]).exits(0).json()["obstacles"].is_null());
}

#[test]
fn status_names_the_account_that_refuses_the_credentials() {
    let stage = Stage::with_logo();
    Run::of(stage.command().env("PASSWORD", "wrong").arg("sync")).exits(7);
    stage.run(["status"]).exits(7).prints("all of bandwidth: credentials-refused");
    stage.run(["sync"]).exits(0);
    stage.run(["status"]).exits(0);
}

#[test]
fn status_says_what_the_guard_holds_back_and_how_to_let_it_go() {
    let stage = Stage::new();
    stage.write("one.png", b"one");
    stage.write("two/two.png", b"two");
    let rules = [files("*.png", "bandwidth"), files("two/*.png", "bandwidth")].concat();
    stage.manifest(&format!("{}{rules}", stage.bandwidth("")));
    stage.run(["sync"]).exits(0);
    stage.run(["status"]).exits(0);
    let aside = stage.above.path().join("aside");
    rename(&stage.path("two"), &aside);
    stage.edit_state(|state| {
        state["media"]["two/two.png"]["bandwidth"]["missing_since"] = json!("2026-01-01T00:00:00Z");
    });
    stage.run(["sync"]).exits(6);
    let run =
        stage.run(["status"]).exits(6).prints("the guard holds back 1 entry").prints("lost all its files");
    run.prints("mediakeep approve");
    let guard = stage.run(["status", "--json"]).exits(6).json()["obstacles"]["guard"].clone();
    assert_eq!(guard["entries"], 1, "{guard}");
    rename(&aside, &stage.path("two"));
    stage.run(["sync"]).exits(0);
    stage.run(["status"]).exits(0).prints("alive");
}
