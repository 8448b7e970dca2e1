//! The scanner on real folders, with a clock that the test moves.

mod escapes;
mod files;
mod paths;
mod quiet;
mod root;
mod torn;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::domain::asset::ContentHash;
use crate::domain::observation::{Hint, Observation, Refusal};
use crate::domain::time::{Now, Timestamp};
use crate::local::clock::{ManualClock, SystemClock};

const LIMIT: u64 = 1_000_000;

/// A folder, and a scanner whose clock stands an hour after the test began: whatever the test writes is quiet.
struct World {
    place: TempDir,
    clock: Arc<ManualClock>,
    scanner: Scanner,
    progress: Arc<Mutex<Progress>>,
}

impl World {
    fn new() -> Self {
        Self::naming(&[])
    }

    /// Every `.png` is an entry, and so are these.
    fn naming(literals: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("root")).unwrap();
        let now = SystemClock::new().now().wall + Duration::from_secs(3600);
        let clock = Arc::new(ManualClock::at(Now::at(now)));
        let scanner = scanner_at(&place.path().join("root"), &literals_of(literals), clock.clone());
        Self { place, clock, scanner, progress: Arc::default() }
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        put(&self.path(path), content.as_ref());
    }

    fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        symlink(target, self.path(path)).unwrap();
    }

    fn scan(&mut self) -> Scan {
        self.scan_for(&ScanRequest::Everything)
    }

    /// Scans, and counts what was read.
    fn scan_for(&mut self, request: &ScanRequest) -> Scan {
        *self.progress.lock().unwrap() = Progress::default();
        let counted = Arc::clone(&self.progress);
        let keep_largest = move |progress: Progress| {
            let mut counted = counted.lock().unwrap();
            counted.files = counted.files.max(progress.files);
            counted.hashed_files = counted.hashed_files.max(progress.hashed_files);
            counted.hashed_bytes = counted.hashed_bytes.max(progress.hashed_bytes);
        };
        self.scanner.set_progress(Some(Arc::new(keep_largest)));
        self.scanner.scan(request)
    }

    /// A scan of everything, by path; each path once.
    fn shown(&mut self) -> BTreeMap<String, Observation> {
        by_path(self.scan().report)
    }

    fn shown_for(&mut self, paths: &[(&str, Hint)]) -> BTreeMap<String, Observation> {
        by_path(self.scan_for(&request(paths)).report)
    }

    fn progress(&self) -> Progress {
        *self.progress.lock().unwrap()
    }
}

fn scanner_at(root: &Path, literals: &[RelPath], clock: Arc<dyn Clock>) -> Scanner {
    let options = ScanOptions {
        root: root.to_owned(),
        own: [".mediakeep", "media.toml"].map(|name| root.join(name)).to_vec(),
        select: select(literals),
        literals: literals.into(),
        settle: Duration::from_secs(2),
        clock,
    };
    Scanner::new(options, HashCache::default())
}

fn select(literals: &[RelPath]) -> Select {
    let literals = literals.to_vec();
    Arc::new(move |path| (path.extension() == Some("png") || literals.contains(path)).then_some(LIMIT))
}

fn literals_of(texts: &[&str]) -> Vec<RelPath> {
    texts.iter().map(|text| rel(text)).collect()
}

fn rel(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn request(paths: &[(&str, Hint)]) -> ScanRequest {
    ScanRequest::Paths(paths.iter().map(|(path, hint)| (rel(path), *hint)).collect())
}

fn by_path(report: ScanReport) -> BTreeMap<String, Observation> {
    let count = report.files.len();
    let files: BTreeMap<_, _> =
        report.files.into_iter().map(|(path, shown)| (path.to_string(), shown)).collect();
    assert_eq!(files.len(), count, "a file is named twice");
    files
}

fn put(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(content).unwrap();
}

fn present(content: impl AsRef<[u8]>) -> Observation {
    let content = content.as_ref();
    Observation::Present { hash: ContentHash::of(content), size: content.len() as u64 }
}

fn shows<const N: usize>(expected: [(&str, Observation); N]) -> BTreeMap<String, Observation> {
    expected.into_iter().map(|(path, shown)| (path.to_owned(), shown)).collect()
}
