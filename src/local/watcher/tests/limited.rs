//! Fewer watches than folders. The limit is that of a user namespace, so nobody else notices.

use std::process::Command;

use super::*;

const INSIDE: &str = "MEDIAKEEP_TEST_INSIDE_NAMESPACE";

/// Runs this test once more where `setting` is `value`; false inside, where the test itself is to run.
fn runs_elsewhere(test: &str, setting: &str, value: u32) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let script = format!("echo {value} > /proc/sys/user/{setting} && exec \"$0\" --exact \"$1\" --nocapture");
    let name = format!("local::watcher::tests::limited::{test}");
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "sh", "-c", &script]).arg(std::env::current_exe().unwrap()).arg(name);
    match command.env(INSIDE, "1").output() {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            // Some sandboxes forbid user namespaces; there, this cannot be tried.
            assert!(said.contains("unshare"), "{} {said}", String::from_utf8_lossy(&output.stdout));
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
    true
}

#[test]
fn with_too_few_watches_it_polls_says_what_is_needed_and_watches_once_there_are_enough() {
    let name = "with_too_few_watches_it_polls_says_what_is_needed_and_watches_once_there_are_enough";
    if runs_elsewhere(name, "max_inotify_watches", 8) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    for number in 0..20 {
        put(&place.path().join(format!("root/{}/{number}/a.png", number % 5)), "x");
    }
    put(&place.path().join("media.toml"), "x");
    let mut world = World::over(place, &["media.toml"], pngs());
    let first = world.until(|changes| changes.rescan);
    let [warning] = first.warnings.as_slice() else { panic!("{first:?}") };
    // Root, 5 folders, 20 below them, and the manifest's.
    assert!(warning.contains("needs 27 inotify watches"), "{warning}");
    assert!(warning.contains("fs.inotify.max_user_watches"), "{warning}");
    assert!(matches!(world.watcher.mode(), Mode::Polling { .. }));
    // What can still be watched is, and looking does not start another look.
    put(&world.place.path().join("media.toml"), "y");
    world.until(|changes| changes.manifest);
    for _ in 0..2 {
        world.scan_and_rearm();
        let tried_again = world.until(|changes| changes.manifest);
        assert!(!tried_again.rescan && tried_again.warnings.is_empty(), "{tried_again:?}");
    }
    for number in 1..5 {
        fs::remove_dir_all(world.path(&number.to_string())).unwrap();
    }
    // The last try may have met the folders while they went away, so the next scan may only mend what it did.
    let enough = Mode::Watching { folders: 7 };
    for _ in 0..100 {
        world.scan_and_rearm();
        put(&world.place.path().join("media.toml"), "z");
        world.until(|changes| changes.manifest);
        if world.watcher.mode() == enough {
            break;
        }
    }
    assert_eq!(world.watcher.mode(), enough);
    world.put_and_find("0/5/b.png");
    // A folder too many, while it watches.
    for number in 0..3 {
        world.put(&format!("more/{number}/c.png"));
    }
    let more = world.until(|changes| !changes.warnings.is_empty());
    assert!(more.rescan && more.warnings[0].contains("inotify watches"), "{more:?}");
}

#[test]
fn without_any_inotify_instance_it_polls() {
    let name = "without_any_inotify_instance_it_polls";
    if runs_elsewhere(name, "max_inotify_instances", 0) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join("root/a.png"), "x");
    let mut world = World::over(place, &["root/media.toml"], pngs());
    let first = world.until(|changes| changes.rescan);
    assert!(first.warnings[0].contains("fs.inotify.max_user_instances"), "{first:?}");
    world.scan_and_rearm();
    assert!(matches!(world.watcher.mode(), Mode::Polling { .. }));
}
