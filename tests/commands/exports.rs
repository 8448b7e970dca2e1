//! The URLs in other shapes, for programs that read no state file.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::stage::{Stage, file, files};

fn export(path: &str, format: &str) -> String {
    format!("\n[[export]]\npath = \"{path}\"\nformat = \"{format}\"\n")
}

fn exported(exports: &str) -> Stage {
    let stage = Stage::new();
    stage.write("brand/logo.png", b"logo");
    let both = file("brand/logo.png", "x").replace("\"x\"", "[\"bandwidth\", \"plivo\"]");
    let blocked = file("gone.png", "plivo");
    stage.manifest(&[stage.bandwidth(""), stage.plivo(""), both, blocked, exports.to_owned()].concat());
    stage
}

#[test]
fn exports_hold_what_is_alive_in_each_of_the_three_formats() {
    let formats = ["json", "env", "toml"];
    let stage = exported(&formats.map(|format| export(&format!("urls.{format}"), format)).concat());
    stage.run(["sync"]).exits(4);
    let (bandwidth, plivo) = (stage.url("brand/logo.png", "bandwidth"), stage.url("brand/logo.png", "plivo"));
    let expected = json!({"brand/logo.png": {"bandwidth": bandwidth, "plivo": plivo}});
    assert_eq!(serde_json::from_str::<Value>(&stage.read("urls.json")).unwrap(), expected);
    assert_eq!(toml::from_str::<Value>(&stage.read("urls.toml")).unwrap(), expected);
    let print = ". ./urls.env && printf '%s %s' \"$MEDIAKEEP_BANDWIDTH_BRAND_LOGO_PNG\" \"$MEDIAKEEP_PLIVO_BRAND_LOGO_PNG\"";
    let shell = Command::new("sh").args(["-c", print]).current_dir(stage.root()).output().unwrap();
    assert_eq!(String::from_utf8(shell.stdout).unwrap(), format!("{bandwidth} {plivo}"));
}

#[test]
fn an_export_is_written_again_only_when_its_bytes_change() {
    let stage = exported(&export("urls.json", "json"));
    stage.run(["sync"]).exits(4);
    let identity = || {
        let about = stage.path("urls.json").metadata().unwrap();
        (about.ino(), about.mtime(), about.mtime_nsec(), about.ctime_nsec())
    };
    let before = identity();
    stage.run(["sync"]).exits(4);
    // A new entry without a URL changes the state and not the export.
    stage.write("media.toml", format!("{}{}", stage.read("media.toml"), file("also-gone.png", "plivo")));
    stage.run(["sync"]).exits(4);
    assert_eq!(identity(), before);
    stage.write("brand/logo.png", b"another logo");
    stage.run(["sync"]).exits(4);
    assert_ne!(identity(), before);
    assert!(stage.read("urls.json").contains(&stage.url("brand/logo.png", "bandwidth")));
}

#[test]
fn an_export_that_was_deleted_or_is_new_is_written_without_any_upload() {
    let stage = exported("");
    stage.run(["sync"]).exits(4);
    let requests = stage.requests();
    stage.write("media.toml", format!("{}{}", stage.read("media.toml"), export("urls.json", "json")));
    stage.run(["sync"]).exits(4);
    let text = stage.read("urls.json");
    stage.remove("urls.json");
    stage.run(["sync"]).exits(4);
    assert_eq!((stage.read("urls.json"), stage.requests()), (text, requests));
}

#[test]
fn a_file_of_somebody_else_is_never_replaced() {
    let stage = exported(&export("package.json", "json"));
    let theirs = r#"{"name": "my-app", "dependencies": {}}"#;
    stage.write("package.json", theirs);
    stage.run(["sync"]).exits(4).says("package.json").says("not written by mediakeep");
    assert_eq!(stage.read("package.json"), theirs);
    stage.url("brand/logo.png", "plivo");
    stage.remove("package.json");
    stage.run(["sync"]).exits(4).never_says("not written by mediakeep");
    assert!(stage.read("package.json").contains("brand/logo.png"));
}

#[test]
fn an_export_is_never_written_through_a_link_or_into_a_folder_that_is_not_there() {
    let stage = exported(
        &[export("out/urls.json", "json"), export("link.json", "json"), export("no/urls.env", "env")]
            .concat(),
    );
    let outside = stage.above.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, stage.path("out")).unwrap();
    symlink(outside.join("victim.json"), stage.path("link.json")).unwrap();
    let run = stage.run(["sync"]).exits(4).says("out/urls.json").says("link.json").says("no/urls.env");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{}", run.all());
    assert!(!stage.path("no").exists());
}

#[test]
fn a_folder_that_takes_no_export_is_a_problem_and_no_failure() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    // No permission stops root, a folder in its place does.
    std::fs::create_dir(stage.path("urls.json")).unwrap();
    stage.manifest(
        &[stage.bandwidth(""), file("logo.png", "bandwidth"), export("urls.json", "json")].concat(),
    );
    stage.run(["sync"]).exits_without_data(0).says("WARN").says("urls.json");
    stage.run(["url", "logo.png"]).exits(0);
}

#[test]
fn two_entries_with_one_name_in_an_env_export_are_left_out_and_told() {
    let stage = Stage::new();
    stage.write("a-b.png", b"one");
    stage.write("a_b.png", b"two");
    stage.write("other.png", b"three");
    let exports = [export("urls.env", "env"), export("urls.json", "json")].concat();
    stage.manifest(&[stage.bandwidth(""), files("*.png", "bandwidth"), exports].concat());
    stage.run(["sync"]).exits(0).says("a-b.png").says("a_b.png").says("urls.env");
    let expected = format!("MEDIAKEEP_BANDWIDTH_OTHER_PNG='{}'", stage.url("other.png", "bandwidth"));
    assert_eq!(stage.read("urls.env").lines().skip(1).collect::<Vec<_>>(), [expected]);
    assert!(stage.read("urls.json").contains("a_b.png"));
}

#[test]
fn exports_are_no_media_and_may_not_lie_where_they_do_harm() {
    let stage = Stage::new();
    stage.write("logo.json", b"{}");
    stage
        .manifest(&[stage.bandwidth(""), files("*.json", "bandwidth"), export("urls.json", "json")].concat());
    stage.run(["sync"]).exits(0).says("1 of 1 entry alive");
    stage.run(["sync"]).exits(0).says("1 of 1 entry alive");
    assert_eq!(stage.control().media().len(), 1);
    for path in
        ["../urls.json", "/tmp/urls.json", ".git/hooks/post-merge", ".mediakeep/urls.json", "media.toml"]
    {
        stage.manifest(&[stage.bandwidth(""), files("*.json", "bandwidth"), export(path, "json")].concat());
        stage.run(["sync"]).exits_without_data(3).says("--> media.toml:");
    }
    stage.manifest(
        &[stage.bandwidth(""), file("urls.json", "bandwidth"), export("urls.json", "json")].concat(),
    );
    stage.run(["check"]).exits_without_data(3);
}

#[test]
fn plan_and_status_write_no_export() {
    let stage = exported(&export("urls.json", "json"));
    for command in ["plan", "check", "status"] {
        stage.run([command]);
    }
    assert!(!stage.path("urls.json").exists());
}
