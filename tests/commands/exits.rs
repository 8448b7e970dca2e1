//! The exit codes, each by a way to get it, and which one wins where several apply.

use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::stage::{PASSWORD, Run, Stage, assert_unchanged, file, files, rename};

// 3: manifest, config, credentials

#[test]
fn a_missing_or_unreadable_manifest_is_3_with_a_remedy() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("folder")).unwrap();
    for command in ["sync", "plan", "check", "status", "approve", "run"] {
        stage.run([command]).exits_without_data(3).says("media.toml").says("mediakeep init");
        stage.run([command, "-m", "folder"]).exits_without_data(3).says("folder");
        stage.run([command, "--config", "gone.toml", "-m", "media.toml"]).exits_without_data(3);
    }
    stage.run(["url", "a.png"]).exits_without_data(3).says("--manifest");
}

#[test]
fn a_broken_manifest_is_3_and_nothing_is_sent_or_written() {
    let stage = Stage::with_logo_published();
    stage.write("media.toml", "<<<<<<< HEAD\nversion = 1\n");
    let (requests, before) = (stage.requests(), stage.listing());
    for arguments in [&["sync"][..], &["plan"], &["check"], &["approve"]] {
        stage.run(arguments).exits_without_data(3).says("media.toml:1");
    }
    assert_eq!(stage.requests(), requests);
    assert_unchanged(&before, &stage.listing());
}

#[test]
fn a_credential_that_is_nowhere_is_3_for_sync_and_check() {
    let stage = Stage::with_logo();
    for command in ["sync", "check"] {
        let run = Run::of(stage.command().env_remove("PASSWORD").arg(command));
        run.exits_without_data(3).says("password").says("PASSWORD is not set");
    }
    assert_eq!(stage.requests(), 0);
}

#[test]
fn a_provider_without_credentials_does_not_stop_another_one() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    let plivo = stage.plivo("").replace("PASSWORD", "ELSEWHERE");
    let rule = file("logo.png", "bandwidth").replace("\"bandwidth\"", "[\"bandwidth\", \"plivo\"]");
    stage.manifest(&[stage.bandwidth(""), plivo, rule].concat());
    stage.run(["sync"]).exits_without_data(3).says("ELSEWHERE is not set").says("1 of 2 entries alive");
    stage.url("logo.png", "bandwidth");
}

// 4: without a live URL

/// A folder full of things that are no media, and one that is.
fn obstacles() -> Stage {
    let stage = Stage::new();
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("**/*", "bandwidth")));
    stage.write("good.png", b"good");
    stage.write("large.png", vec![0; 3_500_001]);
    stage.write("program.exe", b"MZ");
    stage.write("no-extension", b"?");
    stage.write("odd.xyzzy", b"?");
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "ab".repeat(32));
    stage.write("pointer.png", pointer);
    symlink("/etc/hostname", stage.path("absolute.png")).unwrap();
    stage.write("../outside.png", b"secret");
    symlink("../outside.png", stage.path("relative.png")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        stage.path("pipe.png"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    stage
}

#[test]
fn blocked_files_are_4_each_with_its_reason_and_the_others_go_on() {
    let stage = obstacles();
    let reasons = [
        ("large.png", "too-large"),
        ("program.exe", "type-refused"),
        ("no-extension", "type-refused"),
        ("odd.xyzzy", "type-refused"),
        ("pointer.png", "lfs-pointer"),
        ("absolute.png", "escaping-link"),
        ("relative.png", "escaping-link"),
        ("pipe.png", "not-a-file"),
    ];
    let plan = stage.run(["plan"]).exits(0);
    let sync =
        stage.run(["sync"]).exits_without_data(4).says("1 of 9 entries alive").says("mediakeep status");
    let status = stage.run(["status"]).exits(4).prints("blocked");
    for (file, kind) in reasons {
        assert!(
            plan.stdout.lines().any(|line| line.contains("blocked") && line.contains(file)),
            "{}",
            plan.all()
        );
        let told = |line: &str| line.contains(&format!("{file:?}")) && line.contains(kind);
        assert!(sync.stderr.lines().any(told), "{file}: {}", sync.all());
        assert!(status.stdout.contains(&format!("{file} at bandwidth: {kind}: ")), "{}", status.all());
        let entry = stage.entry(file, "bandwidth");
        assert_eq!((&entry["url"], &entry["problem"]["kind"]), (&json!(null), &json!(kind)), "{file}");
        stage.run(["url", file]).exits_without_data(4);
    }
    stage.run(["url", "good.png"]).exits(0);
    let media = stage.control().media();
    assert_eq!(media.len(), 1);
    assert_eq!(media[0].size, 4);
}

#[test]
fn a_second_sync_over_blocked_files_says_again_where_to_look() {
    let stage = obstacles();
    stage.run(["sync"]).exits(4);
    let before = stage.listing_without_lock();
    stage.run(["sync", "--quiet"]).exits_without_data(4).says("mediakeep status");
    assert_unchanged(&before, &stage.listing_without_lock());
}

#[test]
fn files_that_the_manifest_names_are_4_while_they_are_missing_empty_or_a_folder() {
    let stage = Stage::new();
    stage.write("empty.png", b"");
    std::fs::create_dir(stage.path("folder.png")).unwrap();
    let rules = ["gone.png", "empty.png", "folder.png"].map(|name| file(name, "bandwidth"));
    stage.manifest(&format!("{}{}", stage.bandwidth(""), rules.concat()));
    stage.run(["sync"]).exits_without_data(4).says("0 of 3 entries alive");
    for (file, kind) in [("gone.png", "missing"), ("empty.png", "empty"), ("folder.png", "not-a-file")] {
        assert_eq!(stage.entry(file, "bandwidth")["problem"]["kind"], kind);
    }
    for file in ["gone.png", "empty.png"] {
        stage.write(file, b"there");
    }
    stage.run(["sync"]).exits(4).says("2 of 3 entries alive");
    assert_eq!(stage.entry("gone.png", "bandwidth")["problem"], json!(null));
}

#[test]
fn a_glob_passes_over_empty_files_and_what_it_never_takes() {
    let stage = Stage::new();
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("**/*", "bandwidth")));
    stage.write("empty.png", b"");
    stage.write(".hidden.png", b"hidden");
    stage.write(".git/objects/a.png", b"git");
    stage.write("good.png", b"good");
    stage.run(["plan"]).exits(0).says("1 entry: 1 upload");
    stage.run(["sync"]).exits_without_data(0).says("1 of 1 entry alive");
    assert_eq!(stage.control().media().len(), 1);
    stage.write("empty.png", b"not any more");
    stage.run(["sync"]).exits(0).says("2 of 2 entries alive");
    stage.write("empty.png", b"");
    stage.run(["sync"]).exits(4).says("kept_alive=true").says("1 of 2 entries alive");
    stage.run(["url", "empty.png"]).exits(0);
}

#[test]
fn one_id_for_two_contents_blocks_the_later_entry_and_one_content_is_shared() {
    let stage = Stage::new();
    let rule = |name: &str| format!("{}id = \"same.png\"\n", file(name, "bandwidth"));
    stage.write("a.png", b"one");
    stage.write("b.png", b"two");
    // Two literal rules with one ID are an error of the text; two files of a glob are not.
    stage.manifest(&format!("{}{}{}", stage.bandwidth(""), rule("a.png"), rule("b.png")));
    stage.run(["sync"]).exits_without_data(3).says("media.toml");
    let glob = format!("{}id = \"{{ext}}/same.png\"\n", files("*.png", "bandwidth"));
    stage.manifest(&format!("{}{glob}", stage.bandwidth("")));
    stage.run(["sync"]).exits(4).says("id-taken").says("a.png").says("1 of 2 entries alive");
    stage.run(["url", "b.png"]).exits_without_data(4);
    stage.write("b.png", b"one");
    stage.run(["sync"]).exits(0).says("2 of 2 entries alive");
    assert_eq!(stage.url("a.png", "bandwidth"), stage.url("b.png", "bandwidth"));
    assert_eq!(stage.control().media().len(), 1);
}

#[test]
fn one_content_under_one_id_is_uploaded_once_and_serves_both_at_once() {
    let stage = Stage::new();
    let glob = format!("{}id = \"same.png\"\n", files("*.png", "bandwidth"));
    stage.manifest(&format!("{}{glob}", stage.bandwidth("")));
    for name in ["a.png", "b.png", "c.png"] {
        stage.write(name, b"one");
    }
    stage.run(["sync"]).exits_without_data(0).says("3 of 3 entries alive");
    assert_eq!(stage.requests(), 1);
    assert_eq!(stage.url("a.png", "bandwidth"), stage.url("c.png", "bandwidth"));
}

#[test]
fn ids_that_differ_in_case_only_are_one_id() {
    let stage = Stage::new();
    let glob = format!("{}id = \"{{name}}\"\n", files("*.png", "bandwidth"));
    stage.manifest(&format!("{}{glob}", stage.bandwidth("")));
    stage.write("a.png", b"one");
    stage.write("A.png", b"two");
    stage.run(["sync"]).exits_without_data(4).says("id-taken").says("1 of 2 entries alive");
}

#[test]
fn url_of_what_is_unknown_is_4_and_of_what_can_be_no_file_is_2() {
    let stage = Stage::with_logo_published();
    for nothing in ["other.png", "logo.png/x", "LOGO.PNG"] {
        let run = stage.run(["url", nothing]).exits_without_data(4);
        run.says(&format!(
            "nothing is published for {nothing}, and no rule of media.toml is for it: add one"
        ));
    }
    for nonsense in ["", "../logo.png", "/logo.png", "a//b.png", "."] {
        stage.run(["url", nonsense]).exits_without_data(2).says("error:");
    }
    stage.run(["url", "logo.png", "--provider", "plivo"]).exits_without_data(2).says("it has bandwidth");
}

#[test]
fn url_of_what_is_wanted_and_not_there_yet_says_whom_to_ask() {
    let stage = Stage::with_logo_published();
    let rules = [file("logo.png", "bandwidth"), file("new.png", "bandwidth"), file("sound.mp3", "plivo")];
    stage.manifest(&[stage.bandwidth(""), stage.plivo(""), rules.concat()].concat());
    stage.run(["url", "new.png"]).exits_without_data(4).says("`mediakeep plan` says");
    let elsewhere = stage.run(["url", "sound.mp3", "--provider", "bandwidth"]).exits_without_data(4);
    elsewhere.says("no rule of media.toml is for it at bandwidth");
    // The state speaks for itself where no manifest can be read, and says nothing about rules.
    std::fs::remove_dir_all(stage.path(".mediakeep/last-good")).unwrap();
    stage.write("media.toml", "<<<<<<<");
    stage.run(["url", "other.png"]).exits_without_data(4).never_says("rule");
}

#[test]
fn status_and_url_say_where_they_looked_before_anything_was_recorded() {
    let stage = Stage::with_logo();
    let before = stage.listing();
    let folder = stage.path(".mediakeep").canonicalize().unwrap_or_else(|_| stage.path(".mediakeep"));
    for arguments in [&["status"][..], &["url", "logo.png"], &["approve"]] {
        let run = stage.run(arguments).exits_without_data(4);
        run.says(folder.to_str().unwrap()).says("STATE_DIRECTORY").says("mediakeep sync");
    }
    assert_unchanged(&before, &stage.listing());
}

// 5: a second instance

/// Kills what was started.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn daemon(stage: &Stage) -> Daemon {
    let child = Command::new(env!("CARGO_BIN_EXE_mediakeep"))
        .arg("run")
        .env_clear()
        .env("PASSWORD", PASSWORD)
        .current_dir(stage.root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let daemon = Daemon(child);
    let mut looks = 0;
    while !stage.state_path().exists() {
        looks += 1;
        assert!(looks < 3000, "the daemon publishes nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon
}

#[test]
fn a_second_instance_is_5_and_names_the_first() {
    let stage = Stage::with_logo();
    let daemon = daemon(&stage);
    let pid = format!("process {}", daemon.0.id());
    for command in ["sync", "run"] {
        stage.run([command]).exits_without_data(5).says(&pid).says(".mediakeep");
    }
    // Those that only read are welcome.
    stage.run(["status"]).exits(0);
    stage.run(["url", "logo.png"]).exits(0);
    stage.run(["plan"]).exits_without_data(0);
    stage.run(["approve", "--yes"]).exits_without_data(0);
    // A credential that is nowhere would be so without the other one, too.
    let without = Run::of(stage.command().env_remove("PASSWORD").arg("sync"));
    without.exits_without_data(3).says(&pid).says("PASSWORD is not set");
    drop(daemon);
    stage.run(["sync"]).exits(0);
}

// 7: refused credentials

#[test]
fn wrong_credentials_are_7_and_one_request_is_enough_to_know() {
    let stage = Stage::new();
    for number in 0..20 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    stage.manifest(&format!("{}{}", stage.bandwidth("concurrency = 1"), files("*.png", "bandwidth")));
    let run = Run::of(stage.command().env("PASSWORD", "wr0ng-s3cret").arg("sync"));
    let run = run.exits_without_data(7).says("credentials").says("bandwidth");
    assert!(!run.all().contains("wr0ng-s3cret"), "{}", run.all());
    assert!(stage.requests() <= 3, "{} requests", stage.requests());
    let text = stage.read(".mediakeep/state.json");
    assert!(text.contains("credentials-refused") && !text.contains("wr0ng-s3cret"), "{text}");
    stage.run(["sync"]).exits(0).says("20 of 20 entries alive");
}

#[test]
fn an_account_of_somebody_else_is_7() {
    let stage = Stage::with_logo();
    stage.control().change_switches(json!({"bandwidth": {"accounts": ["1"]}})).unwrap();
    stage.run(["sync"]).exits_without_data(7).says("403").says("5500012");
    stage.control().change_switches(json!({"plivo": {"auth_ids": ["MAYJK2NDEXOTM5ZWQ3MD"]}})).unwrap();
    stage.manifest(&format!("{}{}", stage.plivo(""), file("logo.png", "plivo")));
    stage.run(["sync"]).exits_without_data(7).says("401");
}

#[test]
fn refused_credentials_leave_what_is_published() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    stage.write("logo.png", b"another logo");
    Run::of(stage.command().env("PASSWORD", "wrong").arg("sync")).exits_without_data(7);
    assert_eq!(stage.url("logo.png", "bandwidth"), url);
    stage.run(["url", "logo.png"]).exits(0).prints(&url);
}

// Precedence: 3, 5, 1, 7, 6, 4

#[test]
fn a_credential_that_is_nowhere_goes_before_one_that_is_refused_and_that_before_a_blocked_file() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    let rule = file("logo.png", "bandwidth").replace("\"bandwidth\"", "[\"bandwidth\", \"plivo\"]");
    let blocked = file("gone.png", "bandwidth");
    stage.manifest(&[stage.bandwidth(""), stage.plivo(""), rule.clone(), blocked.clone()].concat());
    Run::of(stage.command().env("PASSWORD", "wrong").arg("sync")).exits_without_data(7);
    let nowhere = stage.plivo("").replace("PASSWORD", "ELSEWHERE");
    stage.manifest(&[stage.bandwidth(""), nowhere, rule, blocked].concat());
    Run::of(stage.command().env("PASSWORD", "wrong").arg("sync")).exits_without_data(3);
    Run::of(stage.command().env("ELSEWHERE", "wrong").arg("sync")).exits_without_data(7);
    stage.run(["status"]).exits(7);
}

#[test]
fn the_guard_goes_before_a_blocked_file_and_refused_credentials_before_the_guard() {
    let stage = Stage::with_logo_published();
    stage.write("other.png", b"new");
    let (logo, other) = (file("logo.png", "bandwidth"), file("other.png", "bandwidth"));
    let gone = file("gone.png", "bandwidth");
    stage.manifest(&[stage.bandwidth(""), logo, other, gone].concat());
    let away = stage.above.path().join("away");
    // What counts is the folder, so the manifest comes from elsewhere.
    let text = stage.read("media.toml").replace("settle", "root = \"media\"\nstate_dir = \"state\"\nsettle");
    crate::stage::write(&stage.above.path().join("media.toml"), text);
    let sync = |password: &str| {
        let mut command = stage.command();
        Run::of(command.current_dir(stage.above.path()).env("PASSWORD", password).arg("sync"))
    };
    sync(PASSWORD).exits(4).says("2 of 3 entries alive");
    stage.write("other.png", b"newer");
    rename(&stage.root(), &away);
    std::fs::create_dir(stage.root()).unwrap();
    sync(PASSWORD).exits(6).says("empty");
    std::fs::remove_dir(stage.root()).unwrap();
    sync(PASSWORD).exits(6).says("missing");
    rename(&away, &stage.root());
    sync("wrong").exits(7);
    sync(PASSWORD).exits(4);
}
