//! The state folder in every condition that a disk, a person or another version can leave it in. No URL is ever lost
//! without a word, and what is not ours is not touched.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::stage::{Run, Stage, assert_unchanged, files, skipped, write};

/// Two pictures, published one after the other, so that there are two snapshots.
fn published() -> Stage {
    let stage = Stage::new();
    stage.write("one.png", b"one");
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    stage.run(["sync"]).exits(0);
    stage.write("two.png", b"two");
    stage.run(["sync"]).exits(0);
    stage
}

/// Every file of the state folder that is no bookkeeping.
fn urls(stage: &Stage) -> Vec<String> {
    ["one.png", "two.png"].map(|file| stage.url(file, "bandwidth")).to_vec()
}

#[test]
fn a_damaged_state_file_is_told_kept_aside_and_mended_from_what_is_left() {
    type Damage = fn(&str) -> String;
    let damages: [(&str, Damage); 4] = [
        ("cut short", |text| text[..text.len() / 2].to_owned()),
        ("empty", |_| String::new()),
        ("flipped", |text| text.replace("two.png", "too.png")),
        ("garbage", |_| "\u{0}\u{0}\u{0}".to_owned()),
    ];
    for (what, damage) in damages {
        let stage = published();
        let (urls, requests) = (urls(&stage), stage.requests());
        write(&stage.state_path(), damage(&stage.read(".mediakeep/state.json")));
        let before = stage.listing();
        // Those that only read fall back as well, tell it, and leave everything as it is.
        stage.run(["url", "two.png"]).exits(0).prints(&urls[1]).says("warning:").says("damaged");
        stage.run(["status"]).exits(0).prints(&urls[0]).says("damaged");
        stage.run(["plan"]).exits_without_data(0).says("2 keep");
        assert_unchanged(&before, &stage.listing());
        stage.run(["sync"]).exits_without_data(0).says("damaged").says("state.json.broken-1");
        assert_eq!(self::urls(&stage), urls, "{what}");
        assert_eq!(stage.requests(), requests, "{what}: everything was known");
        assert!(stage.path(".mediakeep/state.json.broken-1").exists());
        stage.run(["sync"]).exits(0).never_says("damaged");
    }
}

#[test]
fn where_nothing_is_left_to_mend_it_from_everything_is_uploaded_again_and_said() {
    let stage = published();
    for name in ["state.json", "state.json.previous", "journal", "journal.1"] {
        let path = stage.path(".mediakeep").join(name);
        if path.exists() {
            write(&path, "no JSON at all");
        }
    }
    stage.run(["url", "one.png"]).exits_without_data(4).says("damaged");
    stage.run(["sync"]).exits_without_data(0).says("damaged").says("2 uploaded");
    urls(&stage);
}

#[test]
fn a_state_of_a_later_version_is_refused_by_its_writers_name_and_not_touched() {
    let stage = Stage::with_logo_published();
    let later = json!({"format": 2, "writer": "mediakeep 9.9.9", "everything": "is different"}).to_string();
    write(&stage.state_path(), &later);
    let before = stage.listing();
    for arguments in [&["status"][..], &["plan"], &["url", "logo.png"], &["check"], &["approve"]] {
        stage.run(arguments).exits_without_data(1).says("format 2").says("mediakeep 9.9.9");
    }
    assert_unchanged(&before, &stage.listing());
    stage.write("logo.png", b"changed");
    let requests = stage.requests();
    for command in ["sync", "run"] {
        stage.run([command]).exits_without_data(1).says("format 2").says("mediakeep 9.9.9");
    }
    assert_eq!((stage.read(".mediakeep/state.json"), stage.requests()), (later, requests));
}

#[test]
fn json_of_somebody_else_is_refused_and_not_touched() {
    for other in
        [r#"{"name": "my-app", "version": "1.0.0"}"#, "[1, 2, 3]\n", "\"text\"", r#"{"format": "png"}"#]
    {
        let stage = Stage::with_logo();
        write(&stage.state_path(), other);
        for command in ["sync", "plan", "status"] {
            stage.run([command]).exits_without_data(1).says("state.json").says("state_dir");
        }
        assert_eq!((stage.read(".mediakeep/state.json"), stage.requests()), (other.to_owned(), 0));
    }
}

#[test]
fn a_state_folder_that_was_deleted_is_made_again() {
    let stage = published();
    std::fs::remove_dir_all(stage.path(".mediakeep")).unwrap();
    stage.run(["status"]).exits_without_data(4).says("no state in");
    stage.run(["sync"]).exits_without_data(0).says("2 uploaded");
    urls(&stage);
    assert_eq!(stage.read(".mediakeep/.gitignore"), "*\n");
}

#[test]
fn a_snapshot_that_was_deleted_comes_back_without_an_upload() {
    let stage = published();
    let (urls, requests) = (urls(&stage), stage.requests());
    std::fs::remove_file(stage.state_path()).unwrap();
    stage.run(["url", "two.png"]).exits(0).says("state.json is gone");
    stage.run(["sync"]).exits_without_data(0).says("state.json is gone");
    assert_eq!((self::urls(&stage), stage.requests()), (urls, requests));
}

#[test]
fn a_torn_journal_loses_nothing_that_was_told() {
    let stage = published();
    let urls = urls(&stage);
    for name in ["journal", "journal.1"] {
        let path = stage.path(".mediakeep").join(name);
        let mut text = std::fs::read_to_string(&path).unwrap_or_default();
        text.push_str("{\"lineage\": \"half a li");
        write(&path, text);
    }
    stage.run(["url", "two.png"]).exits(0).prints(&urls[1]);
    stage.run(["sync"]).exits_without_data(0).says("0 uploaded");
    assert_eq!(self::urls(&stage), urls);
}

#[test]
fn a_state_that_was_edited_by_hand_is_taken_at_its_word() {
    let stage = published();
    stage.edit_state(|state| {
        state["media"].as_object_mut().unwrap().remove("one.png");
    });
    stage.run(["plan"]).exits(0).says("edited by hand").prints("upload  one.png");
    stage.run(["sync"]).exits_without_data(0).says("edited by hand").says("1 uploaded");
    stage.run(["sync"]).exits(0).never_says("edited by hand");
}

#[test]
fn something_else_in_the_place_of_the_state_folder_is_1_and_stays() {
    let stage = Stage::with_logo();
    stage.write(".mediakeep", b"a file");
    for command in ["sync", "run"] {
        stage.run([command]).exits_without_data(1).says(".mediakeep");
    }
    assert_eq!((stage.read(".mediakeep"), stage.requests()), ("a file".to_owned(), 0));
    for command in ["status", "plan"] {
        stage.run([command]).exits_without_data(1).says(".mediakeep");
    }
}

#[test]
fn a_state_folder_in_a_folder_that_is_not_there_is_1_and_nothing_is_made() {
    let stage = Stage::with_logo();
    let text = stage.read("media.toml").replace("settle", "state_dir = \"../mount/state\"\nsettle");
    stage.write("media.toml", text);
    stage.run(["sync"]).exits_without_data(1).says("mount/state");
    assert!(!stage.above.path().join("mount").exists());
    stage.run(["status"]).exits_without_data(4).says("mount/state");
}

#[test]
fn a_link_in_the_place_of_a_state_file_is_refused_and_never_followed() {
    for name in ["state.json", "lock", "journal"] {
        let stage = Stage::with_logo();
        std::fs::create_dir(stage.path(".mediakeep")).unwrap();
        let victim = stage.above.path().join("victim");
        write(&victim, "precious");
        symlink(&victim, stage.path(".mediakeep").join(name)).unwrap();
        stage.run(["sync"]).exits_without_data(1).says(name);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        assert_eq!(stage.requests(), 0, "{name}");
    }
}

#[test]
fn a_state_that_cannot_be_saved_is_given_up_after_three_tries_and_loses_nothing() {
    let stage = Stage::with_logo_published();
    // A snapshot keeps the one before it, and here it cannot.
    let obstacle = stage.path(".mediakeep/state.json.previous");
    write(&obstacle.join("in the way"), "");
    stage.write("logo.png", b"new");
    let before = stage.read(".mediakeep/state.json");
    stage.run(["sync"]).exits_without_data(1).says("keep the previous state").says("cannot be written");
    assert_eq!(stage.read(".mediakeep/state.json"), before);
    std::fs::remove_dir_all(&obstacle).unwrap();
    // The journal knew all the time.
    let requests = stage.requests();
    stage.run(["sync"]).exits(0).says("0 uploaded");
    assert_eq!((stage.requests(), &stage.entry("logo.png", "bandwidth")["size"]), (requests, &json!(3)));
}

/// Takes the folder's mount away again.
struct Mount<'p>(&'p Path);

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_1_and_leaves_the_state_that_was() {
    let stage = Stage::new();
    let small = stage.above.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&small).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        skipped("this machine does not let the test mount a small disk");
        return;
    }
    let _mount = Mount(&small);
    let config = format!(
        "version = 1\n[sync]\nroot = \"media\"\nsettle = \"0s\"\nstate_dir = \"small/state\"\n{}",
        stage.bandwidth("")
    );
    write(&stage.above.path().join("config.toml"), config);
    stage.write("media.toml", format!("version = 1\n{}", files("*.png", "bandwidth")));
    stage.write("logo.png", b"logo");
    // Enough of them that a copy which goes makes no room for a new state.
    for number in 0..40 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    let sync = || stage.run(["sync", "--config", "../config.toml"]);
    sync().exits(0);
    let path = small.join("state/state.json");
    let before = std::fs::read(&path).unwrap();
    write_until_full(&small.join("filler"));
    stage.write("logo.png", vec![1; 100_000]);
    let run = sync();
    assert_eq!(run.code, Some(1), "{}", run.all());
    assert!(run.stderr.contains("cannot be written"), "{}", run.all());
    assert!(std::fs::read(&path).unwrap() == before, "the old state stays whole: {}", run.all());
    std::fs::remove_file(small.join("filler")).unwrap();
    sync().exits(0).says("41 of 41 entries alive");
    let shown: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(shown["media"]["logo.png"]["bandwidth"]["size"], 100_000);
}

fn write_until_full(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn data_that_cannot_be_printed_is_1() {
    let stage = Stage::with_logo_published();
    for arguments in
        [&["url", "logo.png"][..], &["status"], &["plan", "--all"], &["plan", "--json"], &["sync", "--json"]]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_mediakeep"))
            .args(arguments)
            .env_clear()
            .env("PASSWORD", crate::stage::PASSWORD)
            .current_dir(stage.root())
            .stdout(full)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains("standard output"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_state_file_may_be_read_by_all_and_is_whole_whatever_the_umask_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::with_logo();
    let command = format!("umask 077 && exec {} sync", env!("CARGO_BIN_EXE_mediakeep"));
    let mut shell = assert_cmd::Command::new("sh");
    shell.args(["-c", &command]).env("PASSWORD", crate::stage::PASSWORD).current_dir(stage.root());
    Run::of(&mut shell).exits(0);
    let mode = |path: &str| stage.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(".mediakeep/state.json"), mode(".mediakeep")), (0o644, 0o755));
}
