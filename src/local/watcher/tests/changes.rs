//! What is reported, and with which hint.

use std::os::unix::fs::symlink;

use super::*;

fn names(changes: &Changes) -> Vec<&str> {
    changes.paths.iter().map(|(path, _)| path.as_str()).collect()
}

#[test]
fn a_finished_write_is_complete_and_an_unfinished_one_is_not() {
    let world = World::new(&["open.png", "gone.png", "b/moved.png"]);
    assert_eq!(world.watcher.mode(), Mode::Watching { folders: 2 });
    let mut file = File::options().append(true).open(world.path("open.png")).unwrap();
    file.write_all(b"more").unwrap();
    world.until_path("open.png", Hint::Touched);
    drop(file);
    world.until_path("open.png", Hint::Complete);
    fs::remove_file(world.path("gone.png")).unwrap();
    world.until_path("gone.png", Hint::Touched);
    put(&world.path("b/half.txt"), "x");
    rename(&world.path("b/half.txt"), &world.path("b/whole.png"));
    world.until_path("b/whole.png", Hint::Complete);
    rustix::fs::chmod(world.path("open.png"), 0o600.into()).unwrap();
    world.until_path("open.png", Hint::Touched);
}

#[test]
fn a_file_from_elsewhere_is_complete_and_one_that_is_moved_away_is_reported() {
    let world = World::new(&["a.png"]);
    let outside = world.place.path().join("outside.png");
    put(&outside, "x");
    rename(&outside, &world.path("in.png"));
    world.until_path("in.png", Hint::Complete);
    rename(&world.path("a.png"), &outside);
    world.until_path("a.png", Hint::Touched);
}

#[test]
fn what_is_not_ours_to_look_at_is_not_reported() {
    let world = World::new(&[".git/HEAD", ".mediakeep/state.json", "a.png", "sub/.git/x.png"]);
    for path in [
        ".git/index",
        ".git/new/a.png",
        ".mediakeep/journal",
        ".mediakeep-tmp-1.png",
        "notes.txt",
        "sub/.git/x.png",
    ] {
        world.put(path);
    }
    assert_eq!(fs::read(world.path("a.png")).unwrap(), b"old");
    let changes = world.until_marker();
    assert_eq!(names(&changes), ["marker.png"]);
    assert!(!changes.rescan && !changes.manifest, "{changes:?}");
}

#[test]
fn an_uninteresting_file_is_reported_once_a_link_leads_to_it() {
    let mut world = World::new(&["store/1.bin"]);
    symlink("store/1.bin", world.path("a.png")).unwrap();
    world.until_path("a.png", Hint::Touched);
    world.scan_and_rearm();
    world.put("store/1.bin");
    world.until_path("store/1.bin", Hint::Complete);
}

#[test]
fn the_manifest_is_noticed_however_it_is_saved() {
    let world = World::new(&["media.toml"]);
    world.put("media.toml");
    world.until(|changes| changes.manifest);
    for _ in 0..2 {
        put(&world.path("media.toml.swp"), "x");
        rename(&world.path("media.toml.swp"), &world.path("media.toml"));
        let changes = world.until(|changes| changes.manifest);
        assert!(!changes.rescan);
    }
    fs::remove_file(world.path("media.toml")).unwrap();
    world.until(|changes| changes.manifest);
}

#[test]
fn manifest_and_config_are_noticed_outside_root_too() {
    let select: Select = Arc::new(|_| Some(1));
    let world = World::with(&["sub/a.png"], &["root/media.toml", "etc/mediakeep.toml"], select);
    assert_eq!(world.watcher.mode(), Mode::Watching { folders: 2 }, "there is no such folder yet");
    drop(world);
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join("etc/mediakeep.toml"), "x");
    put(&place.path().join("configs/1/media.toml"), "x");
    symlink("1", place.path().join("configs/current")).unwrap();
    symlink("current/media.toml", place.path().join("configs/media.toml")).unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    let select: Select = Arc::new(|_| Some(1));
    let interest = crate::local::scanner::Scanner::new(
        ScanOptions {
            root: place.path().join("root"),
            own: Vec::new(),
            select,
            literals: Arc::new([]),
            settle: Duration::ZERO,
            clock: Arc::new(SystemClock::new()),
        },
        HashCache::default(),
    )
    .interest();
    let _ = interest;
}
