//! Files that change while they are read.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::beneath::Root;
use super::super::read::{Moment, Source, Unread, read_stable, regular};
use super::*;

type Interference = (&'static str, fn(&Path));

/// What can happen to a file in the middle of a read.
const INTERFERENCES: [Interference; 6] = [
    ("written in place", |path| {
        let mut file = File::options().write(true).open(path).unwrap();
        file.write_all(b"NEW").unwrap();
    }),
    ("grown", |path| {
        File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
    }),
    ("cut", |path| File::options().write(true).open(path).unwrap().set_len(2).unwrap()),
    ("replaced by a rename", |path| {
        let other = path.with_extension("new");
        put(&other, b"old");
        rustix::fs::rename(&other, path).unwrap();
    }),
    ("removed and made again", |path| {
        fs::remove_file(path).unwrap();
        put(path, b"old");
    }),
    ("replaced by a link", |path| {
        rustix::fs::rename(path, path.with_extension("moved")).unwrap();
        symlink(path.with_extension("moved").file_name().unwrap(), path).unwrap();
    }),
];

#[test]
fn a_file_that_changes_during_a_read_is_never_reported_with_a_hash() {
    for (what, interfere) in INTERFERENCES {
        for moment in [Moment::Opened, Moment::Read] {
            let world = World::new();
            world.put("a.png", "old");
            let path = world.path("a.png");
            let long_ago = std::time::SystemTime::UNIX_EPOCH;
            File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
            let root = Root::open(&world.root()).unwrap();
            let source = Source::Path(&root, "a.png");
            let stamp = regular(source.stat()).unwrap();
            let mut buffer = Vec::new();
            let read = read_stable(source, &stamp, &mut buffer, |now| {
                if now == moment {
                    interfere(&path);
                }
            });
            assert!(matches!(read, Err(Unread::Changed | Unread::Failed(_))), "{what} {moment:?} {read:?}");
        }
    }
}

#[test]
fn a_file_whose_folder_is_replaced_during_a_read_is_not_what_its_path_names_any_more() {
    let world = World::new();
    world.put("folder/a.png", "old");
    world.put("other/a.png", "new");
    let root = Root::open(&world.root()).unwrap();
    let source = Source::Path(&root, "folder/a.png");
    let stamp = regular(source.stat()).unwrap();
    let read = read_stable(source, &stamp, &mut Vec::new(), |now| {
        if now == Moment::Read {
            rustix::fs::rename(world.path("folder"), world.path("aside")).unwrap();
            rustix::fs::rename(world.path("other"), world.path("folder")).unwrap();
        }
    })
    .map(<[u8]>::to_vec);
    assert!(matches!(read, Err(Unread::Changed)), "{read:?}");
}

#[test]
fn a_file_that_is_left_alone_is_read_whole() {
    let world = World::new();
    let content = vec![7; 300_000];
    world.put("a.png", &content);
    let root = Root::open(&world.root()).unwrap();
    let source = Source::Path(&root, "a.png");
    let stamp = regular(source.stat()).unwrap();
    let mut buffer = vec![9; 10];
    assert_eq!(read_stable(source, &stamp, &mut buffer, |_| {}).unwrap(), content);
}

/// Ends the writer, also when an assertion fails.
struct SetAtEnd<'flag>(&'flag AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A writer that overwrites a file in place, piece by piece, with all of one version or all of the other, while
/// it is scanned again and again: every hash that is reported belongs to one whole version.
#[test]
fn no_mixture_of_two_versions_is_ever_hashed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.png");
    let versions = [vec![b'A'; 900_000], vec![b'B'; 900_000]];
    put(&path, &versions[0]);
    let whole: Vec<_> = versions.iter().map(present).collect();
    let mut scanner = scanner_at(place.path(), &[], Arc::new(SystemClock::new()));
    scanner.reload(select(&[]), Arc::new([]), Duration::ZERO);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(&path).unwrap();
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                for (number, piece) in versions[round % 2].chunks(4096).enumerate() {
                    std::os::unix::fs::FileExt::write_all_at(&file, piece, (number * 4096) as u64).unwrap();
                }
                // It pauses for about as long as the scanner waits before a read, so that the next version often
                // begins in the middle of one, and now and then long enough for a whole one.
                let pause = if round % 3 == 0 { 80_000 } else { 20_000 + 100 * (round % 37) as u64 };
                std::thread::sleep(Duration::from_micros(pause));
            }
        });
        let _end = SetAtEnd(&done);
        let mut hashed = 0;
        for _ in 0..400 {
            let shown = by_path(scanner.scan(&ScanRequest::Everything).report);
            match &shown["a.png"] {
                Observation::Settling { .. } => {}
                other => {
                    assert!(whole.contains(other), "{other:?}");
                    hashed += 1;
                }
            }
            if hashed == 10 {
                break;
            }
        }
        assert!(hashed > 0, "the writer paused, and nothing was read");
    });
}
