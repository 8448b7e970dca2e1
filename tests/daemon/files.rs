//! Files that people and programs write, replace, remove and bring back.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use crate::stage::{LIFE, Stage, file, files, pause, rename};

#[test]
fn a_new_file_an_edit_and_a_save_by_rename_are_published_at_both_providers() {
    let stage = Stage::new();
    stage.manifest(&(file("logo.png") + &files("photos/**/*.jpg", "bandwidth")));
    stage.put("logo.png", "first");
    let mut daemon = stage.run();
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "first");
    }
    stage.put("photos/new/1.jpg", "in a new folder");
    stage.until_content("photos/new/1.jpg", "bandwidth", "in a new folder");

    stage.put("logo.png", "edited in place");
    stage.until_content("logo.png", "plivo", "edited in place");
    stage.until_content("logo.png", "bandwidth", "edited in place");
    let older = stage.entry("logo.png", "plivo")["previous"].as_array().map_or(0, Vec::len);
    assert!(older >= 1, "what readers may still hold is told: {}", stage.state());

    stage.put(".logo.png.swp", "saved by rename");
    rename(&stage.media(".logo.png.swp"), &stage.media("logo.png"));
    stage.until_content("logo.png", "bandwidth", "saved by rename");
    stage.until_content("logo.png", "plivo", "saved by rename");
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_slow_writer_is_waited_for_and_half_a_file_is_never_sent() {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "before");
    let mut daemon = stage.run();
    stage.until_content("logo.png", "bandwidth", "before");

    let mut whole = String::new();
    let mut writer = File::create(stage.media("logo.png")).unwrap();
    for number in 0..20 {
        let piece = format!("piece {number}, ");
        writer.write_all(piece.as_bytes()).unwrap();
        whole += &piece;
        pause(Duration::from_millis(100));
        assert_eq!(stage.content("logo.png", "bandwidth").as_deref(), Some("before"));
    }
    drop(writer);
    stage.until_content("logo.png", "bandwidth", &whole);
    stage.until_content("logo.png", "plivo", &whole);
    let sizes: Vec<_> = stage.control().media().iter().map(|media| media.size).collect();
    assert!(sizes.iter().all(|size| [6, whole.len()].contains(size)), "{sizes:?}");
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_checkout_publishes_the_other_branch_and_nothing_while_git_holds_its_lock() {
    let stage = Stage::new();
    let git = |words: &str| {
        let identity =
            ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "core.hooksPath=/dev/null"];
        let mut git = Command::new("git");
        git.args(identity)
            .args(words.split(' '))
            .current_dir(stage.media(""))
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = git.output().expect("this test needs git");
        assert!(output.status.success(), "git {words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let fill = |branch: &str| {
        for number in 0..12 {
            stage.put(&format!("photos/{number}.jpg"), &format!("{branch} {number}"));
        }
        git("add .");
        git(&format!("commit -qm {branch}"));
    };
    stage.manifest(&files("photos/*.jpg", "bandwidth"));
    git("init -q -b day");
    fill("day");
    git("checkout -q -b night");
    fill("night");
    let mut daemon = stage.run();
    stage.until_content("photos/11.jpg", "bandwidth", "night 11");

    for branch in ["day", "night", "day"] {
        git(&format!("checkout -q {branch}"));
        for number in [0, 7, 11] {
            let path = format!("photos/{number}.jpg");
            stage.until_content(&path, "bandwidth", &format!("{branch} {number}"));
        }
    }

    let lock = stage.media(".git/index.lock");
    File::create(&lock).unwrap();
    stage.put("photos/3.jpg", "half of a checkout");
    pause(Duration::from_secs(2));
    assert_eq!(stage.content("photos/3.jpg", "bandwidth").as_deref(), Some("day 3"));
    std::fs::remove_file(&lock).unwrap();
    stage.until_content("photos/3.jpg", "bandwidth", "half of a checkout");
    assert_eq!(stage.state()["media"].as_object().unwrap().len(), 12);
    assert!(!stage.log().contains("retired: "), "{}", stage.log());
    daemon.stop();
    stage.nobody_was_let_down();
}

pub(crate) fn a_file_that_the_manifest_names_is_deleted() {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "still here");
    stage.put("notes.txt", "so that the folder is not empty");
    let mut daemon = stage.run();
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "still here");
    }
    stage.remove("logo.png");
    stage.until("the loss is told", || stage.entry("logo.png", "plivo")["problem"]["kind"] == "missing");
    pause(LIFE + Duration::from_secs(2));
    for provider in ["bandwidth", "plivo"] {
        assert_eq!(stage.content("logo.png", provider).as_deref(), Some("still here"));
    }
    assert!(stage.log().contains("from_kept_copy=true"), "{}", stage.log());
    stage.put("logo.png", "back");
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "back");
    }
    stage.until("the problem is gone", || stage.entry("logo.png", "plivo")["problem"].is_null());
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_file_deleted_from_a_glob_is_let_go_after_a_while_and_taken_back_without_an_upload() {
    // So long that nothing falls due or ends meanwhile on a slow machine, and changes are still shown within seconds.
    let stage = Stage::with_life(Duration::from_secs(300));
    stage.manifest(&files("photos/*.jpg", "bandwidth"));
    for name in ["gone", "1", "2"] {
        stage.put(&format!("photos/{name}.jpg"), name);
    }
    let mut daemon = stage.run();
    stage.until("all are published", || {
        stage.state()["media"].as_object().is_some_and(|media| media.len() == 3)
    });
    stage.remove("photos/gone.jpg");
    stage.until("its absence is noted", || {
        !stage.entry("photos/gone.jpg", "bandwidth")["missing_since"].is_null()
    });
    daemon.stop();

    // Half a minute later it is still wanted, whatever happened to the daemon; two minutes later it is not.
    stage.edit_state(|state| {
        state["media"]["photos/gone.jpg"]["bandwidth"]["missing_since"] = stage.ago(30).into();
    });
    let mut daemon = stage.run();
    daemon.until_says("started");
    pause(Duration::from_secs(3));
    assert!(stage.entry("photos/gone.jpg", "bandwidth")["retired_at"].is_null());
    daemon.stop();
    stage.edit_state(|state| {
        state["media"]["photos/gone.jpg"]["bandwidth"]["missing_since"] = stage.ago(120).into();
    });
    let mut daemon = stage.run();
    stage.until("it is let go", || !stage.entry("photos/gone.jpg", "bandwidth")["retired_at"].is_null());
    assert!(stage.url("photos/gone.jpg", "bandwidth").is_some(), "it lives on until it expires by itself");

    let uploads = stage.uploads();
    stage.put("photos/gone.jpg", "gone");
    stage.until("it is wanted again", || stage.entry("photos/gone.jpg", "bandwidth")["retired_at"].is_null());
    assert_eq!(stage.uploads(), uploads);
    daemon.stop();
    stage.nobody_was_let_down();
}
