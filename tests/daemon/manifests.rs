//! The manifest is edited, broken, mended, removed and replaced under the running daemon.

use std::fs;
use std::time::Duration;

use mediakeep::local::last_good;
use rustix::fs::{CWD, FileType, Mode};

use crate::process::Process;
use crate::stage::{LIFE, Stage, file, files, pause, put, rename};

pub(crate) const BROKEN: &str = "version = 1\n<<<<<<< HEAD\n[[media]]\n";

#[test]
fn a_manifest_that_breaks_keeps_the_old_one_in_force_until_it_is_mended() {
    let stage = Stage::new();
    stage.put("badge.png", "badge");
    let mut daemon = stage.run_with_logo();
    stage.put("media.toml", BROKEN);
    daemon.until_says("the one before stays in force");
    stage.put("logo.png", "new logo");
    stage.until_content("logo.png", "plivo", "new logo");
    assert_eq!(daemon.count("the one before stays in force"), 1, "{}", daemon.said());

    stage.manifest(&(file("logo.png") + &file("badge.png")));
    stage.until_content("badge.png", "plivo", "badge");

    fs::remove_file(stage.media("media.toml")).unwrap();
    daemon.until_says("cannot read the manifest");
    stage.put("badge.png", "new badge");
    stage.until_content("badge.png", "bandwidth", "new badge");

    // Whoever opens a FIFO to read it waits until somebody writes.
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(CWD, stage.media("media.toml"), FileType::Fifo, mode, 0).unwrap();
    daemon.until_says("not a regular file");

    // Saved by rename, as most editors do.
    stage.put("seal.png", "seal");
    let text = stage.accounts() + &file("logo.png") + &file("badge.png") + &file("seal.png");
    put(&stage.media(".media.toml.swp"), &text);
    rename(&stage.media(".media.toml.swp"), &stage.media("media.toml"));
    stage.until_content("seal.png", "plivo", "seal");
    daemon.stop();
    stage.nobody_was_let_down();
}

/// The daemon is started again, and goes on from the last good manifest, loudly.
pub(crate) fn the_manifest_is_broken_or_absent_at_a_restart(text: Option<&str>) {
    let stage = Stage::new();
    stage.put("badge.png", "badge");
    let mut daemon = stage.run_with_logo();
    stage.until("the manifest is remembered", || stage.beside("state/last-good").is_dir());
    daemon.stop();

    match text {
        Some(text) => stage.put("media.toml", text),
        None => stage.remove("media.toml"),
    }
    let mut daemon = stage.run();
    daemon.until_says("starting from the last one that worked");
    stage.put("logo.png", "new logo");
    stage.until_content("logo.png", "plivo", "new logo");
    pause(LIFE);
    assert_eq!(stage.content("logo.png", "bandwidth").as_deref(), Some("new logo"));
    stage.manifest(&(file("logo.png") + &file("badge.png")));
    stage.until_content("badge.png", "plivo", "badge");
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_first_start_without_a_good_manifest_is_refused() {
    let stage = Stage::new();
    stage.put("media.toml", BROKEN);
    let mut daemon = stage.run();
    assert_eq!(daemon.wait(Duration::from_secs(10)).code(), Some(3), "{}", daemon.said());
    assert!(!stage.beside("state").exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_changed_root_or_state_dir_is_told_and_waits_for_a_restart() {
    let stage = Stage::new();
    stage.put("elsewhere/logo.png", "there");
    let mut daemon = stage.run_with_logo();
    let moved = stage.accounts().replace("[sync]", "[sync]\nroot = \"elsewhere\"") + &file("logo.png");
    stage.put("media.toml", &moved);
    daemon.until_says("`root` is changed by a restart only");
    stage.put("logo.png", "still here");
    stage.until_content("logo.png", "bandwidth", "still here");
    // It counts as one that cannot be used, and taken back, as one that can.
    daemon.until_says("the manifest cannot be used; the one before stays in force");
    assert_eq!(daemon.count("can be used again"), 0, "{}", daemon.said());
    stage.manifest(&file("logo.png"));
    daemon.until_says("manifest and config can be used again");
    assert_eq!(daemon.count("changed by a restart only"), 1, "{}", daemon.said());
    stage.put("media.toml", &moved);
    stage.until("the new one is back", || daemon.count("changed by a restart only") == 2);
    assert_eq!(daemon.count("manifest read again"), 0, "{}", daemon.said());
    daemon.stop();
    let mut daemon = stage.run();
    stage.until_content("logo.png", "bandwidth", "there");
    daemon.stop();
    stage.nobody_was_let_down();
}

/// More entries than the guard lets go lose their provider's table, under the running daemon or between two runs.
pub(crate) fn the_table_of_a_provider_vanishes(restart: bool) {
    let stage = Stage::new();
    let life = LIFE.as_secs();
    stage.manifest(&(files("photos/*.jpg", "plivo") + &files("logo.png", "bandwidth")));
    stage.put("logo.png", "logo");
    let photos: Vec<String> = (0..12).map(|number| format!("photos/{number}.jpg")).collect();
    for photo in &photos {
        stage.put(photo, photo);
    }
    let mut daemon = stage.run();
    for photo in &photos {
        stage.until_content(photo, "plivo", photo);
    }
    stage.until("the manifest is remembered", || stage.beside("state/last-good").is_dir());
    if restart {
        daemon.stop();
    }
    let without = format!("version = 1\n{}{}", stage.bandwidth(life), files("logo.png", "bandwidth"));
    stage.put("media.toml", &without);
    if restart {
        daemon = stage.run();
    }
    daemon.until_says("halted by the guard");
    pause(LIFE + Duration::from_secs(1));
    for photo in &photos {
        assert_eq!(stage.content(photo, "plivo").as_deref(), Some(photo.as_str()), "{}", stage.log());
    }
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn exports_follow_the_urls_and_cause_no_look_at_themselves() {
    let stage = Stage::new();
    let exports = "[[export]]\npath = \"urls.json\"\nformat = \"json\"\n\
                   [[export]]\npath = \"urls.env\"\nformat = \"env\"\n";
    stage.manifest(&(file("logo.png") + exports));
    stage.put("logo.png", "first");
    let mut daemon = stage.run();
    let exported = || -> Option<String> {
        let text = fs::read_to_string(stage.media("urls.json")).ok()?;
        let urls: serde_json::Value = serde_json::from_str(&text).unwrap();
        urls["logo.png"]["plivo"].as_str().map(str::to_owned)
    };
    for content in ["first", "second"] {
        stage.put("logo.png", content);
        stage.until_content("logo.png", "plivo", content);
        stage.until("the export follows", || {
            exported().is_some() && exported() == stage.url("logo.png", "plivo")
        });
    }
    let env = fs::read_to_string(stage.media("urls.env")).unwrap();
    assert!(env.contains("MEDIAKEEP_PLIVO_LOGO_PNG='http://"), "{env}");

    // What is somebody else's stays; that is told, and stops nothing.
    stage.put("urls.json", "my own notes");
    stage.put("logo.png", "third");
    stage.until_content("logo.png", "plivo", "third");
    daemon.until_says("not written by mediakeep");
    assert_eq!(fs::read_to_string(stage.media("urls.json")).unwrap(), "my own notes");
    daemon.stop();
    stage.nobody_was_let_down();
}

/// The accounts in a config of their own beside the media folder, and nothing but rules in the manifest.
fn with_config(stage: &Stage, sync: &str, rules: &str) {
    let config = stage.accounts().replace("[sync]", &format!("[sync]\nroot = \"media\"\n{sync}"));
    put(&stage.beside("mediakeep.toml"), &config);
    stage.put("media.toml", &format!("version = 1\n{rules}"));
}

fn run_with_config(stage: &Stage) -> Process {
    let mut command = stage.command(&["run"]);
    command.env_remove("STATE_DIRECTORY").env("MEDIAKEEP_CONFIG", stage.beside("mediakeep.toml"));
    stage.start(command)
}

#[test]
fn the_last_good_manifest_is_found_where_the_config_says_that_the_state_is() {
    let stage = Stage::new();
    with_config(&stage, "state_dir = \"state\"", &file("logo.png"));
    stage.put("logo.png", "logo");
    let mut daemon = run_with_config(&stage);
    stage.until_content("logo.png", "plivo", "logo");
    stage.until("the manifest is remembered", || stage.beside("state/last-good/last-good.json").exists());
    daemon.stop();
    stage.put("media.toml", BROKEN);
    let mut daemon = run_with_config(&stage);
    daemon.until_says("starting from the last one that worked");
    stage.put("logo.png", "new logo");
    stage.until_content("logo.png", "plivo", "new logo");
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_config_that_breaks_is_called_by_its_name_and_keeps_the_old_one_in_force() {
    let stage = Stage::new();
    with_config(&stage, "state_dir = \"state\"", &file("logo.png"));
    stage.put("logo.png", "logo");
    let mut daemon = run_with_config(&stage);
    stage.until_content("logo.png", "plivo", "logo");
    let good = fs::read_to_string(stage.beside("mediakeep.toml")).unwrap();
    put(&stage.beside("mediakeep.toml"), &good.replace("[sync]", "[sink]"));
    daemon.until_says("the config cannot be used; the one before stays in force");
    assert!(!daemon.said().contains("the manifest cannot be used"), "{}", daemon.said());
    put(&stage.beside("mediakeep.toml"), &good.replace("[sync]", "[sync]\nkeep_copies = true"));
    daemon.until_says("config read again");
    daemon.until_says("manifest and config can be used again");
    // What came into force is told, and not what was read last.
    let unusable = "the manifest cannot be used; the one before stays in force";
    stage.put("media.toml", BROKEN);
    daemon.until_says(unusable);
    put(&stage.beside("mediakeep.toml"), &good.replace("[sync]", "[sync]\nrescan = \"9m\""));
    stage.put("media.toml", "version = 1\n[sink]\n");
    stage.until("both were read", || daemon.count(unusable) == 2);
    stage.put("media.toml", &format!("version = 1\n{}", file("logo.png")));
    stage.until("the config is in force", || daemon.count("config read again") == 2);
    assert!(!daemon.said().contains("manifest read again"), "{}", daemon.said());
    stage.put("logo.png", "new logo");
    stage.until_content("logo.png", "plivo", "new logo");
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn what_is_remembered_within_reach_of_editors_moves_no_credentials() {
    let stage = Stage::with_life(Duration::from_secs(600));
    // The state is in the media folder by default.
    let folder = stage.media(".mediakeep");
    with_config(&stage, "", &file("logo.png"));
    stage.put("logo.png", "logo");
    let mut daemon = run_with_config(&stage);
    let remembered = folder.join("last-good/last-good.json");
    stage.until("it is published and remembered", || {
        fs::read_to_string(folder.join("state.json"))
            .is_ok_and(|text| text.matches("\"url\": \"http").count() == 2)
            && remembered.exists()
    });
    daemon.stop();

    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let evil = format!("http://{}", elsewhere.local_addr().unwrap());
    let mut good = last_good::load(&folder).unwrap();
    let config = good.config.as_mut().unwrap();
    config.text = config.text.replace(&stage.emulator.base_url_plivo(), &evil);
    // With a manifest that differs from the remembered one, and with a broken one.
    for text in [format!("version = 1\n{}{}", file("logo.png"), file("badge.png")), BROKEN.to_owned()] {
        last_good::save(&folder, &good).unwrap();
        stage.put("media.toml", &text);
        let mut daemon = run_with_config(&stage);
        daemon.until_says("started");
        let uploads = stage.uploads();
        stage.put("logo.png", &format!("new logo, {} bytes of manifest", text.len()));
        stage.until("the true provider gets it", || stage.uploads() >= uploads + 2);
        daemon.stop();
        let caller = elsewhere.accept().map(|(_, address)| address);
        assert!(caller.is_err(), "the credentials went elsewhere:\n{}", daemon.said());
    }
}
