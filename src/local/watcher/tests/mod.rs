//! The watcher on real folders. Every wait ends with the event that is waited for, and fails after a while.

mod blind;
mod changes;
mod limited;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::domain::observation::ScanRequest;
use crate::local::clock::SystemClock;
use crate::local::hash_cache::HashCache;
use crate::local::scanner::{ScanOptions, Scanner, Select};

/// So long for something that comes at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watched folder, and somebody who listens.
struct World {
    place: TempDir,
    scanner: Scanner,
    watcher: Watcher,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// Watches a folder that these files are in; every `.png` is an entry. The manifest lies in the folder.
    fn new(files: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir(&root).unwrap();
        for file in files {
            put(&root.join(file), "old");
        }
        let world = Self::over(place, &["root/media.toml"], pngs());
        world.until(|changes| changes.rescan);
        world
    }

    /// Watches the folder `root` in a place, without waiting for the first answer.
    fn over(place: TempDir, texts: &[&str], select: Select) -> Self {
        let root = place.path().join("root");
        let own = vec![root.join(".mediakeep"), root.join("media.toml")];
        let options = ScanOptions {
            root: root.clone(),
            own: own.clone(),
            select,
            literals: Arc::new([]),
            settle: Duration::ZERO,
            clock: Arc::new(SystemClock::new()),
        };
        let scanner = Scanner::new(options, HashCache::default());
        let texts = texts.iter().map(|text| place.path().join(text)).collect();
        let watcher = Watcher::start(WatchOptions { root, own, texts, interest: scanner.interest() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { place, scanner, watcher, runtime }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.place.path().join("root").join(path)
    }

    fn put(&self, path: &str) {
        put(&self.path(path), "new");
    }

    /// Collects changes until they are enough.
    fn until(&self, mut enough: impl FnMut(&Changes) -> bool) -> Changes {
        self.runtime.block_on(async {
            let mut sum = Changes::default();
            let mut hints = BTreeMap::new();
            let wait = async {
                loop {
                    let changes = self.watcher.changed().await;
                    hints.extend(changes.paths);
                    sum.paths = hints.clone().into_iter().collect();
                    sum.rescan |= changes.rescan;
                    sum.manifest |= changes.manifest;
                    sum.warnings.extend(changes.warnings);
                    if enough(&sum) {
                        return;
                    }
                }
            };
            let outcome = tokio::time::timeout(PATIENCE, wait).await;
            assert!(outcome.is_ok(), "waited in vain; so far: {sum:?}; mode {:?}", self.watcher.mode());
            sum
        })
    }

    /// Collects changes until this path is among them.
    fn until_path(&self, path: &str, hint: Hint) -> Changes {
        self.until(|changes| changes.paths.contains(&(rel(path), hint)))
    }

    /// Looks at whatever is reported, as the daemon does, until all these files were come across.
    fn until_found(&mut self, files: impl IntoIterator<Item = String>) -> Changes {
        let mut missing: BTreeSet<String> = files.into_iter().collect();
        let root = self.path("");
        self.until(|changes| {
            let from = changes.paths.iter().map(|(path, _)| root.join(path.as_str()));
            for file in from.chain(changes.rescan.then(|| root.clone())).flat_map(|path| files_below(&path)) {
                missing.remove(file.strip_prefix(&root).unwrap().to_str().unwrap());
            }
            missing.is_empty()
        })
    }

    /// Writes a file, and looks at what is reported until it is found.
    fn put_and_find(&mut self, path: &str) {
        self.put(path);
        self.until_found([path.to_owned()]);
    }

    /// What the daemon does after each full scan.
    fn scan_and_rearm(&mut self) {
        if let Some(folders) = self.scanner.scan(&ScanRequest::Everything).folders {
            self.watcher.rearm(folders);
        }
    }

    /// Writes a file that is reported for sure, and returns everything that was reported until then.
    fn until_marker(&self) -> Changes {
        self.put("marker.png");
        self.until_path("marker.png", Hint::Complete)
    }
}

fn pngs() -> Select {
    Arc::new(|path| (path.extension() == Some("png")).then_some(1_000_000))
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().flat_map(|entry| files_below(&entry.path())).collect(),
        Err(_) if path.exists() => vec![path.to_owned()],
        Err(_) => Vec::new(),
    }
}

fn put(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
}

fn rename(from: &Path, to: &Path) {
    rustix::fs::rename(from, to).unwrap();
}

fn rel(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}
