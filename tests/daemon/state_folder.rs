//! The state folder goes away, or cannot be written.

use std::fs;
use std::time::Duration;

use crate::process::Process;
use crate::stage::{Mount, Stage, pause, put, rename, skip};

fn stage_with_logo(life: u64) -> (Stage, Process) {
    let stage = Stage::with_life(Duration::from_secs(life));
    let daemon = stage.run_with_logo();
    stage.until("the manifest is remembered", || stage.beside("state/last-good").is_dir());
    (stage, daemon)
}

#[test]
fn a_removed_state_folder_is_made_again_from_memory_and_still_keeps_others_out() {
    // Long before the next renewal would have to write to it.
    let (stage, mut daemon) = stage_with_logo(400);
    fs::remove_dir_all(stage.beside("state")).unwrap();
    stage.until_content("logo.png", "plivo", "logo");
    let mut second = stage.run();
    assert_eq!(second.wait(Duration::from_secs(10)).code(), Some(5), "{}", second.said());
    stage.until("the manifest is remembered again", || stage.beside("state/last-good").is_dir());

    fs::remove_file(stage.beside("state/state.json")).unwrap();
    stage.until_content("logo.png", "plivo", "logo");
    let uploads = stage.uploads();
    daemon.stop();
    let mut daemon = stage.run();
    daemon.until_says("started");
    pause(Duration::from_secs(2));
    daemon.stop();
    assert_eq!(stage.uploads(), uploads, "nothing that was recorded was forgotten");
    stage.nobody_was_let_down();
}

#[test]
fn while_something_else_is_in_the_state_folders_place_renewals_go_on_and_are_recorded_later() {
    let (stage, mut daemon) = stage_with_logo(20);
    let before = stage.uploaded_at("logo.png", "bandwidth").unwrap();
    rename(&stage.beside("state"), &stage.beside("away"));
    put(&stage.beside("state"), "not a folder");
    let requests = stage.uploads();
    stage.until("renewals go on", || stage.uploads() >= requests + 2);
    daemon.until_says("the state folder cannot be written");
    fs::remove_file(stage.beside("state")).unwrap();
    rename(&stage.beside("away"), &stage.beside("state"));
    stage.until_uploaded_after("logo.png", "bandwidth", before);
    daemon.until_says("the state folder can be written again");
    daemon.stop();
}

#[test]
fn a_full_disk_under_the_state_folder_stops_no_renewal_and_no_url_of_bandwidth_dies() {
    let stage = Stage::with_life(Duration::from_secs(12));
    let folder = stage.beside("state");
    fs::create_dir(&folder).unwrap();
    let Some(mount) = Mount::over(&folder, 256 << 10) else { return skip("nothing may be mounted here") };
    let rule = "[[media]]\nfile = \"logo.png\"\nto = \"bandwidth\"\n";
    stage.manifest(rule);
    stage.put("logo.png", "logo");
    let mut daemon = stage.run();
    stage.until_content("logo.png", "bandwidth", "logo");
    let ballast = folder.join("ballast");
    let mut size = 256 << 10;
    while size > 0 {
        // Until not even a byte is left.
        match std::io::Write::write_all(
            &mut fs::File::options().create(true).append(true).open(&ballast).unwrap(),
            &vec![0; size],
        ) {
            Ok(()) => {}
            Err(_) => size /= 2,
        }
    }
    let requests = stage.uploads();
    stage.put("logo.png", "must wait");
    daemon.until_says("the state folder cannot be written");
    stage.until("renewals go on", || stage.uploads() >= requests + 2);
    assert_eq!(stage.content("logo.png", "bandwidth").as_deref(), Some("logo"), "new content waits");
    fs::remove_file(&ballast).unwrap();
    stage.until_content("logo.png", "bandwidth", "must wait");
    daemon.stop();
    stage.nobody_was_let_down();
    drop(mount);
}
