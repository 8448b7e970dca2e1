//! Eight ways in which a watcher is told nothing: what is new is found all the same, and nothing old is given up.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::scale::tell;
use crate::stage::{Mount, Stage, files, play, put, rename, skip};

#[derive(Clone, Copy, Debug)]
enum Blindness {
    /// The folder is removed, and another one made in its place.
    Removed,
    /// It is renamed, and another one put in its place.
    Renamed,
    /// Something is mounted over it.
    MountedOver,
    /// What was mounted there is not any more.
    Unmounted,
    /// More happens than the system's queue holds.
    Overflow,
    /// There are fewer watches than folders.
    WatchLimit,
    /// There is no watcher to be had at all.
    InstanceLimit,
    /// The file system does not tell what happens below it.
    Silent,
}

const PHOTOS: [&str; 3] = ["photos/1.jpg", "photos/sub/2.jpg", "photos/sub/deeper/3.jpg"];
const NEW: &str = "photos/sub/new.jpg";

#[test]
fn what_happens_while_the_watcher_is_blind_is_found_and_nothing_is_given_up() {
    let scenes = [
        ("removed", Blindness::Removed),
        ("renamed", Blindness::Renamed),
        ("mounted over", Blindness::MountedOver),
        ("unmounted", Blindness::Unmounted),
        ("overflow", Blindness::Overflow),
        ("watch limit", Blindness::WatchLimit),
        ("instance limit", Blindness::InstanceLimit),
        ("silent", Blindness::Silent),
    ];
    play(scenes.map(|(name, blindness)| (name, move || go_blind(blindness))));
}

/// The manifest and the photos, as another copy of the folder would hold them.
fn fill(stage: &Stage, root: &Path) {
    let accounts = stage.accounts().replace("[sync]", "[sync]\nrescan = \"3s\"");
    put(&root.join("media.toml"), &(accounts + &files("photos/**/*.jpg", "bandwidth")));
    for photo in PHOTOS {
        put(&root.join(photo), photo);
    }
}

fn go_blind(blindness: Blindness) {
    // Nothing is due for renewal meanwhile, so that nothing but the folder is a reason to do something.
    let stage = Stage::with_life(Duration::from_secs(600));
    let (media, lower) = (stage.media("").join(""), stage.beside("lower"));
    let mut mounts = Vec::new();
    match blindness {
        Blindness::Unmounted => match Mount::over(&media, 1 << 20) {
            Some(mount) => mounts.push(mount),
            None => return skip("nothing may be mounted here"),
        },
        Blindness::Silent => match overlay(&stage, &lower, &media) {
            Some(mount) => mounts.push(mount),
            None => return skip("no overlay may be mounted here"),
        },
        _ => {}
    }
    fill(
        &stage,
        if mounts.is_empty() || matches!(blindness, Blindness::Unmounted) { &media } else { &lower },
    );
    let Some(command) = command(&stage, blindness) else {
        return skip("no user namespace can be made here, so the limits of watching cannot be lowered");
    };
    let mut daemon = stage.start(command);
    for photo in PHOTOS {
        stage.until_content(photo, "bandwidth", photo);
    }
    let before = stage.state();

    match blindness {
        Blindness::Removed => fs::remove_dir_all(&media).unwrap(),
        Blindness::Renamed => rename(&media, &stage.beside("away")),
        Blindness::MountedOver => match Mount::over(&media, 1 << 20) {
            Some(mount) => mounts.push(mount),
            None => return skip("nothing may be mounted here"),
        },
        Blindness::Unmounted => mounts.clear(),
        Blindness::Overflow => {
            daemon.signal("STOP");
            let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
            for number in 0..queue.trim().parse::<usize>().unwrap().min(100_000) {
                File::create(stage.media("photos").join(format!("{}.txt", number % 5000))).unwrap();
            }
        }
        Blindness::WatchLimit | Blindness::InstanceLimit | Blindness::Silent => {}
    }
    let root = if matches!(blindness, Blindness::Silent) { &lower } else { &media };
    match blindness {
        Blindness::Removed | Blindness::Renamed | Blindness::MountedOver | Blindness::Unmounted => {
            fill(&stage, root);
        }
        _ => {}
    }
    put(&root.join(NEW), "new");
    let begin = Instant::now();
    if matches!(blindness, Blindness::Overflow) {
        daemon.signal("CONT");
    }
    stage.until_content(NEW, "bandwidth", "new");
    let took = begin.elapsed();

    for photo in PHOTOS {
        assert_eq!(
            stage.entry(photo, "bandwidth")["url"],
            before["media"][photo]["bandwidth"]["url"],
            "{blindness:?}"
        );
    }
    let deletions = stage.control().requests().iter().filter(|sent| sent.method == "DELETE").count();
    assert_eq!((deletions, stage.uploads()), (0, PHOTOS.len() + 1), "{blindness:?}: {}", stage.log());
    assert!(!stage.log().contains("retired: "), "{blindness:?}: {}", stage.log());
    daemon.stop();
    stage.nobody_was_let_down();
    tell(&format!("blind ({blindness:?}): found after {:.1} s", took.as_secs_f32()));
}

/// The daemon, with as much to watch with as it is given.
fn command(stage: &Stage, blindness: Blindness) -> Option<Command> {
    let setting = match blindness {
        Blindness::WatchLimit => "3 > /proc/sys/user/max_inotify_watches",
        Blindness::InstanceLimit => "0 > /proc/sys/user/max_inotify_instances",
        _ => return Some(stage.command(&["run"])),
    };
    let allowed = Command::new("unshare").args(["-U", "-r", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let script = format!("echo {setting} && exec \"$0\" run");
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "sh", "-c", &script, env!("CARGO_BIN_EXE_mediakeep")]);
    stage.furnish(&mut command);
    Some(command)
}

/// What is written to the lower folder of an overlay shows above it without an event.
fn overlay(stage: &Stage, lower: &Path, over: &Path) -> Option<Mount> {
    let (upper, work) = (stage.beside("upper"), stage.beside("work"));
    for folder in [lower, &upper, &work] {
        fs::create_dir(folder).unwrap();
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    Mount::with(Command::new("mount").args(["-t", "overlay", "-o", &options, "none"]), over)
}
