//! Where watching goes blind, or used to.

use std::sync::RwLock;

use super::*;

fn numbered(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(name).collect()
}

#[test]
fn files_in_new_nested_folders_are_found() {
    let mut world = World::new(&[]);
    let files = numbered(100, |number| format!("{number}/b/c/f.png"));
    for file in &files {
        world.put(file);
    }
    let changes = world.until_found(files.clone());
    assert!(!changes.rescan, "{changes:?}");
    world.put_and_find("77/b/c/later.png");
}

#[test]
fn files_in_folders_that_are_removed_and_made_again_are_found() {
    let mut world = World::new(&["a/b/0.png"]);
    for round in 0..30 {
        fs::remove_dir_all(world.path("a")).unwrap();
        let files = numbered(20, |number| format!("a/b/{round}-{number}.png"));
        for file in &files {
            world.put(file);
        }
        world.until_found(files);
    }
    world.put_and_find("a/b/later.png");
}

#[test]
fn a_full_folder_that_is_moved_in_is_reported_and_watched() {
    let mut world = World::new(&["old/x.png"]);
    let outside = world.place.path().join("outside");
    let files = numbered(50, |number| format!("in/{}/{number}.png", number % 7));
    for file in &files {
        put(&world.place.path().join(file.replacen("in", "outside", 1)), "x");
    }
    rename(&outside, &world.path("in"));
    world.until_found(files);
    world.put_and_find("in/3/later.png");
    rename(&world.path("in/3"), &world.path("old/3"));
    world.until_found(["old/3/later.png".to_owned()]);
    world.put_and_find("old/3/last.png");
}

#[test]
fn a_folder_that_is_replaced_by_another_is_watched_in_its_place() {
    let mut world = World::new(&["a/1.png", "b/sub/2.png"]);
    rename(&world.path("a"), &world.place.path().join("aside"));
    rename(&world.path("b"), &world.path("a"));
    world.until_found(["a/sub/2.png".to_owned()]);
    world.put_and_find("a/sub/real.png");
    world.until_marker();
    put(&world.place.path().join("aside/ghost.png"), "x");
    let changes = world.until_marker();
    assert!(!changes.paths.iter().any(|(path, _)| path.as_str().ends_with("ghost.png")), "{changes:?}");
}

#[test]
fn a_checkout_of_a_thousand_files_is_found() {
    let files = numbered(1_000, |number| format!("{}/{number}.png", number % 20));
    let names: Vec<_> = files.iter().map(String::as_str).collect();
    let mut world = World::new(&names);
    for file in &files {
        // git removes a file, makes it again and writes it.
        fs::remove_file(world.path(file)).unwrap();
        world.put(file);
    }
    let changes = world.until_found(files);
    assert!(!changes.rescan);
}

#[test]
fn a_root_that_is_moved_away_is_given_up_and_its_successor_watched() {
    let mut world = World::new(&["a/1.png"]);
    let aside = world.place.path().join("aside");
    rename(&world.path(""), &aside);
    let changes = world.until(|changes| !changes.warnings.is_empty());
    assert!(changes.rescan);
    assert!(matches!(world.watcher.mode(), Mode::Polling { .. }));
    put(&world.path("a/2.png"), "x");
    // The daemon polls now; its scan finds the new folder.
    world.scan_and_rearm();
    world.until(|changes| changes.rescan);
    assert_eq!(world.watcher.mode(), Mode::Watching { folders: 2 });
    put(&aside.join("a/ghost.png"), "x");
    let changes = world.until_marker();
    assert_eq!(changes.paths.len(), 1, "{changes:?}");
    world.put_and_find("a/3.png");
}

#[test]
fn a_root_that_is_removed_and_made_again_is_watched_again() {
    let mut world = World::new(&["a/1.png"]);
    for round in 0..3 {
        fs::remove_dir_all(world.path("")).unwrap();
        world.until(|changes| !changes.warnings.is_empty());
        let file = format!("b/{round}.png");
        world.put(&file);
        world.scan_and_rearm();
        world.until(|changes| changes.rescan);
        let later = format!("b/{round}-later.png");
        world.put_and_find(&later);
    }
}

#[test]
fn a_root_that_comes_late_is_watched_from_the_scan_that_finds_it() {
    let mut world = World::over(tempfile::tempdir().unwrap(), &["media.toml"], pngs());
    let first = world.until(|changes| changes.rescan);
    assert!(matches!(world.watcher.mode(), Mode::Polling { .. }), "{first:?}");
    put(&world.place.path().join("media.toml"), "x");
    world.until(|changes| changes.manifest);
    world.put("a.png");
    world.scan_and_rearm();
    world.until(|changes| changes.rescan);
    world.put_and_find("b.png");
}

#[test]
fn another_folder_under_a_known_path_is_watched_after_a_scan_without_any_event() {
    let mut world = World::new(&["a/1.png", "b/1.png"]);
    let mut folders = world.scanner.scan(&ScanRequest::Everything).folders.unwrap();
    // As if something had been mounted over `a`: the same path, another inode, and no event.
    for folder in folders.iter_mut().filter(|folder| &*folder.path == "a") {
        folder.id.inode += 1;
    }
    world.watcher.rearm(folders);
    let changes = world.until_path("a", Hint::Touched);
    assert_eq!(changes.paths.len(), 1, "{changes:?}");
    world.put_and_find("a/2.png");
}

#[test]
fn a_scan_that_finds_what_is_watched_changes_nothing() {
    let mut world = World::new(&["a/1.png", "b/c/1.png"]);
    fs::create_dir(world.path("later")).unwrap();
    world.until_path("later", Hint::Touched);
    fs::remove_dir_all(world.path("b")).unwrap();
    world.until_path("b", Hint::Touched);
    for _ in 0..3 {
        world.scan_and_rearm();
    }
    let changes = world.until_marker();
    assert_eq!(changes.paths.len(), 1, "{changes:?}");
    world.scan_and_rearm();
    world.until_marker();
    assert_eq!(world.watcher.mode(), Mode::Watching { folders: 3 });
}

/// The event thread is held up, while more happens than the system's queue holds.
#[test]
fn an_overflow_means_that_everything_is_looked_at() {
    let gate = Arc::new(RwLock::new(()));
    let held = Arc::clone(&gate);
    let select: Select = Arc::new(move |path| {
        drop(held.read());
        (path.extension() == Some("png")).then_some(1)
    });
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    let world = World::over(place, &["root/media.toml"], select);
    world.until(|changes| changes.rescan);
    let queue_max = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let files: usize = queue_max.trim().parse().unwrap();
    let closed = gate.write().unwrap();
    // Two files in turns, so that the events differ and none is merged with the one before.
    for _ in 0..files / 2 {
        File::create(world.path("a.txt")).unwrap();
        File::create(world.path("b.txt")).unwrap();
    }
    drop(closed);
    world.until(|changes| changes.rescan);
    world.until_marker();
}
