//! What is reported, and with which hint.

use std::os::unix::fs::symlink;

use super::pending::Mark;
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
fn manifest_and_config_are_noticed_outside_root_and_behind_links_too() {
    let place = tempfile::tempdir().unwrap();
    let at = |path: &str| place.path().join(path);
    put(&at("root/a.png"), "x");
    put(&at("etc/mediakeep.toml"), "x");
    put(&at("configs/1/media.toml"), "x");
    put(&at("configs/2/media.toml"), "x");
    symlink("1", at("configs/current")).unwrap();
    symlink("current/media.toml", at("configs/media.toml")).unwrap();
    let paths =
        ["etc/mediakeep.toml", "configs/1/media.toml", "configs/next", "configs/current", "etc/other"];
    let [config, target, next, current, other] = paths.map(at);
    let world = World::over(place, &["configs/media.toml", "etc/mediakeep.toml"], pngs());
    world.until(|changes| changes.rescan);

    put(&other, "x");
    let before = world.until_marker();
    assert!(!before.manifest, "another file in the config's folder");
    for saved in [&config, &target] {
        put(saved, "y");
        let changes = world.until(|changes| changes.manifest);
        assert!(!changes.rescan && changes.paths.is_empty(), "{changes:?}");
    }
    // How mounted configuration is replaced: the link in the middle is.
    symlink("2", &next).unwrap();
    rename(&next, &current);
    world.until(|changes| changes.manifest);
}

#[test]
fn a_root_behind_a_link_is_watched_under_its_own_name() {
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join("real/sub/a.png"), "x");
    symlink("real", place.path().join("root")).unwrap();
    let world = World::over(place, &["real/media.toml"], pngs());
    world.until(|changes| changes.rescan);
    world.put("sub/b.png");
    world.until_path("sub/b.png", Hint::Complete);
    world.put("media.toml");
    world.until(|changes| changes.manifest);
}

#[test]
fn unfinished_changes_are_reported_now_and_then_and_finished_ones_at_once() {
    let world = World::new(&[]);
    let World { watcher, runtime, .. } = &world;
    let touch = |name: &str, mark: Mark| watcher.shared.change(|pending| pending.mark(rel(name), mark));
    runtime.block_on(async {
        tokio::time::pause();
        touch("a.png", Mark::Touched);
        watcher.changed().await;
        let delivered = Instant::now();
        touch("a.png", Mark::Touched);
        watcher.changed().await;
        assert!(delivered.elapsed() >= UNFINISHED_EVERY, "{:?}", delivered.elapsed());
        let delivered = Instant::now();
        touch("a.png", Mark::Touched);
        touch("b.png", Mark::Complete);
        assert_eq!(watcher.changed().await.paths.len(), 2);
        assert_eq!(delivered.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_wait_that_is_given_up_loses_nothing() {
    let world = World::new(&[]);
    for round in 0..50 {
        let name = format!("{round}.png");
        world.runtime.block_on(async {
            for _ in 0..3 {
                let given_up = tokio::time::timeout(Duration::ZERO, world.watcher.changed()).await;
                assert!(given_up.is_err(), "{given_up:?}");
            }
        });
        world.put(&name);
        world.until_path(&name, Hint::Complete);
    }
}
