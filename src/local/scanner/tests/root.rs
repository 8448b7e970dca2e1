//! How root is, and folders below it that can't be listed.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::*;

fn health(world: &mut World) -> RootHealth {
    let full = world.scan();
    let some = world.scan_for(&request(&[("a.png", Hint::Touched)]));
    assert_eq!(full.report.root, some.report.root);
    if !matches!(full.report.root, RootHealth::Sound { .. }) {
        assert!(full.report.files.is_empty() && some.report.files.is_empty());
        assert_eq!(full.folders, None);
        assert_eq!(some.report.coverage, Coverage::Paths(vec![rel("a.png")]));
    }
    full.report.root
}

fn identity(health: &RootHealth) -> RootIdentity {
    match health {
        RootHealth::Sound { identity, .. } => *identity,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_root_that_is_gone_is_missing_and_not_empty() {
    let mut world = World::naming(&["a.png"]);
    fs::remove_dir(world.root()).unwrap();
    assert_eq!(health(&mut world), RootHealth::Missing);
    put(&world.root(), b"a file");
    assert!(matches!(health(&mut world), RootHealth::Unreadable { .. }));
}

#[test]
fn a_root_with_only_our_own_files_is_empty() {
    let mut world = World::new();
    let is_empty = |world: &mut World| match health(world) {
        RootHealth::Sound { empty, .. } => empty,
        other => panic!("{other:?}"),
    };
    assert!(is_empty(&mut world));
    for ours in [".mediakeep/state.json", "media.toml", ".mediakeep-tmp-x"] {
        world.put(ours, "x");
    }
    assert!(is_empty(&mut world));
    world.put("notes.txt", "x");
    assert!(!is_empty(&mut world));
}

#[test]
fn another_folder_in_roots_place_has_another_identity() {
    let mut world = World::new();
    let before = identity(&health(&mut world));
    assert_eq!(identity(&health(&mut world)), before);
    rustix::fs::rename(world.root(), world.place.path().join("aside")).unwrap();
    fs::create_dir(world.root()).unwrap();
    assert_ne!(identity(&health(&mut world)), before);
}

#[test]
fn a_root_that_is_replaced_during_the_look_does_not_count() {
    let mut world = World::new();
    world.put("a.png", "1");
    let (root, aside) = (world.root(), world.place.path().join("aside"));
    world.scanner.set_progress(Some(Arc::new(move |_| {
        if !aside.exists() {
            fs::create_dir(&aside).unwrap();
            swap(&root, &aside);
        }
    })));
    let scan = world.scanner.scan(&ScanRequest::Everything);
    assert!(matches!(scan.report.root, RootHealth::Unreadable { .. }), "{scan:?}");
    assert!(scan.report.files.is_empty());
}

fn swap(one: &Path, other: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn a_full_scan_names_every_folder_that_must_be_watched() {
    let mut world = World::new();
    world.put("a/b/1.png", "1");
    world.put(".git/objects/x", "x");
    world.put(".mediakeep/kept/x", "x");
    world.link("to-a", "a");
    let mut folders = world.scan().folders.unwrap();
    folders.sort_by(|one, other| one.path.cmp(&other.path));
    let paths: Vec<_> = folders.iter().map(|folder| &*folder.path).collect();
    assert_eq!(paths, ["", "a", "a/b"]);
    let root = stat(world.root()).unwrap();
    assert_eq!(folders[0].id, FileId::of(&root));
}

/// Permissions do not bind the superuser, so as root this test runs once more as somebody else.
#[test]
fn what_may_not_be_read_is_unreadable_and_not_missing() {
    const NAME: &str = "local::scanner::tests::root::what_may_not_be_read_is_unreadable_and_not_missing";
    let scratch = tempfile::tempdir().unwrap();
    if fs::metadata(scratch.path()).unwrap().uid() == 0 {
        let copy = tempfile::Builder::new().prefix("as-nobody-").tempdir().unwrap();
        rustix::fs::chmod(copy.path(), 0o755.into()).unwrap();
        let program = copy.path().join("tests");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut again = Command::new(&program);
        again.args(["--exact", NAME]).uid(65_534).gid(65_534).env("TMPDIR", "/tmp").current_dir("/tmp");
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let mut world = World::naming(&["shut/a.bin", "kept.bin", "half/a.bin"]);
    for path in ["shut/a.bin", "shut/b.png", "half/a.bin", "kept.bin", "open.png"] {
        world.put(path, "x");
    }
    let root = world.root();
    let mode = |path: &str, mode: u32| rustix::fs::chmod(root.join(path), mode.into()).unwrap();
    mode("shut", 0o000);
    mode("half", 0o111);
    mode("kept.bin", 0o000);
    let scan = world.scan();
    mode("shut", 0o755);
    let mut unreadable = scan.report.unreadable_folders.clone();
    unreadable.sort();
    assert_eq!(unreadable, [rel("half"), rel("shut")]);
    let shown = by_path(scan.report);
    assert_eq!(shown["open.png"], present("x"));
    assert_eq!(shown["half/a.bin"], present("x"), "a name that is known needs no listing");
    for path in ["shut/a.bin", "kept.bin"] {
        assert!(matches!(shown[path], Observation::Unreadable { .. }), "{path} {:?}", shown[path]);
    }
    assert_eq!(shown.len(), 4);
}
