//! What stands in a folder, and what a scan of everything makes of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn finds_every_file_that_may_be_an_entry_and_nothing_else() {
    let mut world = World::new();
    for path in ["a.png", "brand/logo.png", "brand/deep/er/x.png", ".hidden.png"] {
        world.put(path, path);
    }
    for path in [
        "notes.txt",
        ".git/objects/a.png",
        "sub/.git/a.png",
        ".mediakeep/kept/a.png",
        "brand/.mediakeep-tmp-1.png",
        "media.toml",
    ] {
        world.put(path, path);
    }
    fs::create_dir(world.path("folder.png")).unwrap();
    let expected = shows([
        ("a.png", present("a.png")),
        ("brand/logo.png", present("brand/logo.png")),
        ("brand/deep/er/x.png", present("brand/deep/er/x.png")),
        (".hidden.png", present(".hidden.png")),
    ]);
    assert_eq!(world.shown(), expected);
    assert_eq!(world.scan().report.coverage, Coverage::Everything);
}

#[test]
fn an_unchanged_file_is_not_read_again_not_even_after_a_restart() {
    let mut world = World::new();
    for number in 0..100 {
        world.put(&format!("{number}.png"), format!("content {number}"));
    }
    let first = world.shown();
    assert_eq!(world.progress(), Progress { files: 100, hashed_files: 100, hashed_bytes: 990 });
    assert_eq!(world.shown(), first);
    assert_eq!(world.progress(), Progress { files: 100, hashed_files: 0, hashed_bytes: 0 });
    let saved = world.place.path().join("hash-cache");
    assert!(world.scanner.save_cache(&saved).unwrap());
    world.scanner.cache = HashCache::load(&saved);
    assert_eq!(world.shown(), first);
    assert_eq!(world.progress().hashed_files, 0);
    assert!(!world.scanner.save_cache(&saved).unwrap(), "nothing changed, so nothing is written");
}

#[test]
fn files_that_are_gone_are_forgotten_by_a_full_scan_only() {
    let mut world = World::new();
    for name in ["a.png", "b.png", "c.png"] {
        world.put(name, name);
    }
    world.shown();
    fs::remove_file(world.path("a.png")).unwrap();
    world.shown_for(&[("a.png", Hint::Touched)]);
    assert_eq!(world.scanner.cache.len(), 3);
    world.shown();
    assert_eq!(world.scanner.cache.len(), 2);
}

#[test]
fn a_change_is_seen_even_with_its_old_size_and_modification_time() {
    let mut world = World::new();
    world.put("a.png", "old");
    let modified = fs::metadata(world.path("a.png")).unwrap().modified().unwrap();
    assert_eq!(world.shown()["a.png"], present("old"));
    world.put("a.png", "new");
    File::options().write(true).open(world.path("a.png")).unwrap().set_modified(modified).unwrap();
    assert_eq!(world.shown()["a.png"], present("new"));
}

#[test]
fn a_large_folder_is_shared_between_threads_and_each_file_is_named_once() {
    let mut world = World::new();
    for number in 0..3_000 {
        world.put(&format!("flat/{number}.png"), number.to_string());
    }
    let shown = world.shown();
    assert_eq!(shown.len(), 3_000);
    for (path, observation) in shown {
        let number = path.trim_start_matches("flat/").trim_end_matches(".png");
        assert_eq!(observation, present(number), "{path}");
    }
}

#[test]
fn every_literal_is_in_a_full_report_whatever_became_of_it() {
    let literals = [
        "there.bin",
        "missing.bin",
        "gone/below.bin",
        "folder.bin",
        "pipe.bin",
        "linked/inside.bin",
        "dangling.bin",
        "file.txt/below.bin",
    ];
    let mut world = World::naming(&literals);
    world.put("there.bin", "1");
    world.put("file.txt", "2");
    world.put("real/inside.bin", "3");
    world.link("linked", "real");
    world.link("dangling.bin", "nowhere.bin");
    fs::create_dir(world.path("folder.bin")).unwrap();
    make_fifo(&world.path("pipe.bin"));
    let expected = shows([
        ("there.bin", present("1")),
        ("missing.bin", Observation::Missing),
        ("gone/below.bin", Observation::Missing),
        ("folder.bin", Observation::Refused(Refusal::Directory)),
        ("pipe.bin", Observation::Refused(Refusal::Special)),
        ("linked/inside.bin", present("3")),
        ("dangling.bin", Observation::Missing),
        ("file.txt/below.bin", Observation::Missing),
    ]);
    assert_eq!(world.shown(), expected);
}

#[test]
fn what_is_no_regular_file_is_refused_unopened() {
    let mut world = World::new();
    make_fifo(&world.path("pipe.png"));
    let _listener = UnixListener::bind(world.path("socket.png")).unwrap();
    world.link("to-pipe.png", "pipe.png");
    let special = Observation::Refused(Refusal::Special);
    let expected =
        shows([("pipe.png", special.clone()), ("socket.png", special.clone()), ("to-pipe.png", special)]);
    assert_eq!(world.shown(), expected);
    assert_eq!(read_exact(&world.root(), &rel("pipe.png"), LIMIT), Err(ReadError::Refused(Refusal::Special)));
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn a_file_above_the_limit_is_not_read() {
    let mut world = World::new();
    let size = 3 << 30;
    File::create(world.path("huge.png")).unwrap().set_len(size).unwrap();
    world.put("fits.png", vec![1; usize::try_from(LIMIT).unwrap()]);
    let shown = world.shown();
    assert_eq!(shown["huge.png"], Observation::Refused(Refusal::TooLarge { size }));
    assert!(matches!(shown["fits.png"], Observation::Present { .. }));
    assert_eq!(world.progress().hashed_bytes, LIMIT);
    let refused = read_exact(&world.root(), &rel("huge.png"), LIMIT);
    assert_eq!(refused, Err(ReadError::Refused(Refusal::TooLarge { size })));
}

#[test]
fn empty_files_and_lfs_pointers_are_no_media() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let long = format!("{pointer}{}", " ".repeat(1024));
    let mut world = World::new();
    world.put("empty.png", "");
    world.put("pointer.png", pointer);
    world.put("long.png", &long);
    let expected = shows([
        ("empty.png", Observation::Refused(Refusal::Empty)),
        ("pointer.png", Observation::Refused(Refusal::LfsPointer)),
        ("long.png", present(&long)),
    ]);
    assert_eq!(world.shown(), expected);
    assert_eq!(world.shown(), expected);
    assert_eq!(world.progress().hashed_files, 0, "a pointer is remembered as one");
}

#[test]
fn hostile_names_are_reported_as_they_are() {
    let mut world = World::new();
    let longest = format!("{}.png", "n".repeat(251));
    let names = [
        "a b.png",
        "-rf.png",
        "new\nline.png",
        "\u{1b}[31mred.png",
        "'\"$(id)`.png",
        "..png",
        "...png",
        "löwe-狮子-\u{202e}gnp.png",
        "lo\u{308}we.png",
        "back\\slash.png",
        "*?[x].png",
        longest.as_str(),
    ];
    for name in names {
        world.put(name, name);
    }
    let shown = world.shown();
    assert_eq!(shown.len(), names.len());
    for name in names {
        assert_eq!(shown[name], present(name), "{name:?}");
        let (bytes, hash) = read_exact(&world.root(), &rel(name), LIMIT).unwrap();
        assert_eq!((&*bytes, hash), (name.as_bytes(), ContentHash::of(name.as_bytes())));
    }
}

#[test]
fn names_that_are_no_utf8_are_passed_over_and_counted() {
    let mut world = World::new();
    world.put("fine.png", "1");
    put(&world.root().join(OsStr::from_bytes(b"bad\xff.png")), b"2");
    put(&world.root().join(OsStr::from_bytes(b"worse\xfe")).join("below.png"), b"3");
    let scan = world.scan();
    let [ScanWarning::UnusableNames { count: 2, example }] = scan.warnings.as_slice() else {
        panic!("{:?}", scan.warnings);
    };
    assert!(example.contains("\\xf"), "{example}");
    assert_eq!(by_path(scan.report), shows([("fine.png", present("1"))]));
}

#[test]
fn a_path_that_is_longer_than_the_system_allows_stops_nothing() {
    let mut world = World::new();
    world.put("fine.png", "1");
    let mut folder = rustix::fs::openat(
        rustix::fs::CWD,
        world.root(),
        rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..20 {
        let name = "d".repeat(250);
        rustix::fs::mkdirat(&folder, &name, rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        folder = rustix::fs::openat(&folder, &name, flags, rustix::fs::Mode::empty()).unwrap();
    }
    let scan = world.scan();
    assert!(
        matches!(scan.warnings[..], [ScanWarning::UnusableNames { count: 1, .. }]),
        "{:?}",
        scan.warnings
    );
    assert_eq!(by_path(scan.report), shows([("fine.png", present("1"))]));
}

#[test]
fn a_file_named_twice_by_hard_links_counts_twice() {
    let mut world = World::new();
    world.put("a.png", "same");
    fs::hard_link(world.path("a.png"), world.path("b.png")).unwrap();
    assert_eq!(world.shown(), shows([("a.png", present("same")), ("b.png", present("same"))]));
}

#[test]
fn a_new_manifest_changes_what_is_looked_at() {
    let mut world = World::new();
    world.put("a.png", "1");
    world.put("b.bin", "2");
    assert_eq!(world.shown().len(), 1);
    let literals = literals_of(&["b.bin"]);
    let only_literals: Select = Arc::new(|path| (path.as_str() == "b.bin").then_some(LIMIT));
    world.scanner.reload(only_literals, literals.as_slice().into(), Duration::ZERO);
    assert_eq!(world.shown(), shows([("b.bin", present("2"))]));
}
