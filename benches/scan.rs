//! What a look at an unchanged folder costs, beside the bare walk that no look can do without.
//!
//! The walk and the scan take turns in one run, so that their ratio means something on a busy machine.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use mediakeep::domain::observation::{Observation, ScanRequest};
use mediakeep::local::clock::SystemClock;
use mediakeep::local::hash_cache::HashCache;
use mediakeep::local::scanner::{ScanOptions, Scanner};
use tempfile::TempDir;

fn main() {
    divan::main();
}

const FILES: [usize; 2] = [1_000, 10_000];

/// Folders of a hundred files of one KiB.
fn tree(files: usize) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    for number in 0..files {
        let folder = root.path().join(format!("folder-{:04}", number / 100));
        if number % 100 == 0 {
            fs::create_dir(&folder).expect("a folder can be made");
        }
        let path = folder.join(format!("picture-{number:06}.png"));
        let content = [u8::try_from(number % 251).unwrap_or(0); 1024];
        std::io::Write::write_all(&mut fs::File::create(path).expect("a file can be made"), &content)
            .expect("a file can be written");
    }
    root
}

fn scanner(root: &Path) -> Scanner {
    let options = ScanOptions {
        root: root.to_owned(),
        own: Vec::new(),
        select: Arc::new(|_| Some(3_500_000)),
        literals: Arc::new([]),
        settle: Duration::ZERO,
        clock: Arc::new(SystemClock::new()),
    };
    Scanner::new(options, HashCache::default())
}

#[divan::bench(args = FILES)]
fn bare_walk(bencher: Bencher<'_, '_>, files: usize) {
    let root = tree(files);
    bencher.bench_local(|| walk(black_box(root.path())));
}

fn walk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the folder can be listed").flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => walk(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

#[divan::bench(args = FILES)]
fn scan_of_unchanged_files(bencher: Bencher<'_, '_>, files: usize) {
    let root = tree(files);
    let mut scanner = scanner(root.path());
    let first = scanner.scan(&ScanRequest::Everything).report.files;
    assert_eq!(first.iter().filter(|(_, shown)| matches!(shown, Observation::Present { .. })).count(), files);
    bencher.bench_local(|| scanner.scan(black_box(&ScanRequest::Everything)));
}

#[divan::bench(args = FILES)]
fn first_scan(bencher: Bencher<'_, '_>, files: usize) {
    let root = tree(files);
    bencher
        .with_inputs(|| scanner(root.path()))
        .bench_local_values(|mut scanner| scanner.scan(black_box(&ScanRequest::Everything)));
}
