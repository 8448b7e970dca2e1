//! Looks at the folder on a thread of its own, and listens to the watcher. The loop never waits for a disk: a
//! network mount can be dead.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::time::Instant;

use super::{Inbox, Message, ScanProgress, guarded};
use crate::domain::manifest::Manifest;
use crate::domain::observation::{Coverage, RootHealth, ScanReport, ScanRequest};
use crate::domain::reconciler::{Input, Mode};
use crate::local::clock::Clock;
use crate::local::hash_cache::HashCache;
use crate::local::scanner::{Folder, Scan, ScanOptions, Scanner, Select};
use crate::local::watcher::{self, Changes, WatchOptions, Watcher};

pub(super) struct FolderReader {
    orders: Option<mpsc::Sender<Order>>,
    done: mpsc::Receiver<()>,
    watcher: Option<Watcher>,
    progress: Arc<Counters>,
    scanning: Option<Scanning>,
    poll_at: Option<Instant>,
    /// Whether the first look began before anybody asked for it.
    ahead: bool,
}

enum Order {
    Scan(ScanRequest),
    Follow(Select, Arc<[crate::domain::asset::RelPath]>, Duration),
}

/// How far the scan is that is under way, written by its threads.
#[derive(Debug, Default)]
struct Counters {
    files: AtomicU64,
    hashed: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Scanning {
    seen: ScanProgress,
    moved_at: Instant,
    told_hung: bool,
}

impl FolderReader {
    pub(super) fn new(
        manifest: &Arc<Manifest>,
        manifest_files: &[PathBuf],
        clock: Arc<dyn Clock>,
        inbox: Inbox,
        mode: Mode,
    ) -> Self {
        let progress = Arc::<Counters>::default();
        let cache_path = manifest.sync.state_dir.join(HASH_CACHE);
        let options = scan_options(manifest, manifest_files, clock);
        let own = options.own.clone();
        let mut scanner = Scanner::new(options, HashCache::default());
        let counters = progress.clone();
        scanner.set_progress(Some(Arc::new(move |progress| {
            counters.files.store(progress.files, Ordering::Relaxed);
            counters.hashed.store(progress.hashed_files, Ordering::Relaxed);
        })));
        let watcher = (mode == Mode::Daemon).then(|| {
            let interest = scanner.interest();
            let root = manifest.sync.root.clone();
            Watcher::start(WatchOptions { root, own, texts: manifest_files.to_vec(), interest })
        });
        let (orders, waiting) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let mut desk = Desk { scanner, cache_path, inbox, told: BTreeSet::new() };
        let work = move || {
            desk.scanner.remember(HashCache::load(&desk.cache_path));
            while let Ok(order) = waiting.recv() {
                desk.perform(order);
            }
            desk.save_cache();
            drop(finished);
        };
        let thread = std::thread::Builder::new().name("scanner".to_owned()).spawn(work);
        Self {
            orders: thread.is_ok().then_some(orders),
            done,
            watcher,
            progress,
            scanning: None,
            poll_at: None,
            ahead: false,
        }
    }

    pub(super) fn follow(&self, manifest: &Arc<Manifest>) {
        let literals = manifest.literal_files().cloned().collect();
        self.order(Order::Follow(selector(manifest), literals, manifest.sync.settle));
    }

    /// Begins with the look at everything that the engine asks for first.
    pub(super) fn start_looking(&mut self) {
        self.scan(ScanRequest::Everything);
        self.ahead = true;
    }

    pub(super) fn scan(&mut self, request: ScanRequest) {
        if std::mem::take(&mut self.ahead) && request == ScanRequest::Everything {
            return;
        }
        self.progress.files.store(0, Ordering::Relaxed);
        self.progress.hashed.store(0, Ordering::Relaxed);
        let seen = ScanProgress { active: true, ..ScanProgress::default() };
        self.scanning = Some(Scanning { seen, moved_at: Instant::now(), told_hung: false });
        self.order(Order::Scan(request));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            drop(orders.send(order));
        }
    }

    pub(super) fn progress(&self) -> ScanProgress {
        ScanProgress {
            active: self.scanning.is_some(),
            seen: self.progress.files.load(Ordering::Relaxed),
            hashed: self.progress.hashed.load(Ordering::Relaxed),
        }
    }

    /// Notes that the answer has come; watches the folders that were found.
    pub(super) fn answered(&mut self, folders: Option<Vec<Folder>>) {
        self.scanning = None;
        if let (Some(watcher), Some(folders)) = (&self.watcher, folders) {
            watcher.rearm(folders);
        }
    }

    /// When a scan that makes no progress counts as hung.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        let scanning = self.scanning.filter(|scanning| !scanning.told_hung)?;
        Some(scanning.moved_at + HUNG_AFTER)
    }

    /// Whether the scan that is under way has made no progress for a minute. Said once.
    pub(super) fn is_hung(&mut self) -> bool {
        let now = self.progress();
        let Some(scanning) = &mut self.scanning else { return false };
        if now != scanning.seen {
            scanning.seen = now;
            scanning.moved_at = Instant::now();
        }
        let hung = scanning.moved_at.elapsed() >= HUNG_AFTER;
        hung && !std::mem::replace(&mut scanning.told_hung, true)
    }

    /// What the watcher noticed; for ever pending where nobody watches. Where it cannot watch, a look at
    /// everything is worth it now and then.
    pub(super) async fn changed(&mut self) -> Changes {
        let Some(watcher) = &self.watcher else { return std::future::pending().await };
        if !matches!(watcher.mode(), watcher::Mode::Polling { .. }) {
            return watcher.changed().await;
        }
        let everything = Changes { rescan: true, manifest: true, ..Changes::default() };
        let poll_at = *self.poll_at.get_or_insert_with(|| Instant::now() + POLL_EVERY);
        tokio::select! {
            changes = watcher.changed() => changes,
            () = tokio::time::sleep_until(poll_at) => {
                self.poll_at = None;
                everything
            }
        }
    }

    /// Whether changes are noticed by themselves.
    pub(super) fn watching(&self) -> watcher::Mode {
        let nobody = || watcher::Mode::Polling { reason: "nobody watches during a single pass".to_owned() };
        self.watcher.as_ref().map_or_else(nobody, Watcher::mode)
    }

    /// Lets the scanner save what it knows. One that hangs is left alone.
    pub(super) fn close(&mut self) {
        self.orders = None;
        // Nobody sends: the channel closes when the thread ends.
        let _ = self.done.recv_timeout(CLOSE_PATIENCE);
    }
}

struct Desk {
    scanner: Scanner,
    cache_path: PathBuf,
    inbox: Inbox,
    /// Warnings that were told and still hold, as far as the last looks showed.
    told: BTreeSet<String>,
}

impl Desk {
    fn perform(&mut self, order: Order) {
        match order {
            Order::Follow(select, literals, settle) => self.scanner.reload(select, literals, settle),
            Order::Scan(request) => {
                let scan = guarded(|| Ok(self.scanner.scan(&request)));
                let scan = scan.unwrap_or_else(|defect| failed(&request, defect));
                let whole = request == ScanRequest::Everything;
                self.warn(&scan, whole);
                drop(self.inbox.send(Message::Scanned { folders: scan.folders, whole }));
                drop(self.inbox.send(Message::Input(Input::Scanned(scan.report))));
                // Writing the cache costs as much as there are files, so not after every look.
                if whole {
                    self.save_cache();
                }
            }
        }
    }

    /// Tells what is new: the same trouble shows in every look.
    fn warn(&mut self, scan: &Scan, whole: bool) {
        let texts: BTreeSet<String> = scan.warnings.iter().map(ToString::to_string).collect();
        let news: Vec<String> = texts.difference(&self.told).cloned().collect();
        if whole {
            self.told = texts;
        } else {
            self.told.extend(texts);
        }
        if !news.is_empty() {
            drop(self.inbox.send(Message::Warnings(news)));
        }
    }

    fn save_cache(&mut self) {
        if let Err(error) = self.scanner.save_cache(&self.cache_path) {
            drop(self.inbox.send(Message::Warnings(vec![format!("cannot save the hash cache: {error}")])));
        }
    }
}

/// The answer where looking itself failed: nothing that it may have found counts.
fn failed(request: &ScanRequest, reason: String) -> Scan {
    let coverage = match request {
        ScanRequest::Everything => Coverage::Everything,
        ScanRequest::Paths(paths) => Coverage::Paths(paths.iter().map(|(path, _)| path.clone()).collect()),
    };
    let root = RootHealth::Unreadable { reason };
    let report = ScanReport { coverage, root, files: Vec::new(), unreadable_folders: Vec::new() };
    Scan { report, warnings: Vec::new(), folders: None }
}

/// What a scanner is told by a manifest.
pub(crate) fn scan_options(
    manifest: &Arc<Manifest>,
    manifest_files: &[PathBuf],
    clock: Arc<dyn Clock>,
) -> ScanOptions {
    let mut own = manifest_files.to_vec();
    own.push(manifest.sync.state_dir.clone());
    own.extend(manifest.exports.iter().map(|export| manifest.sync.root.join(export.path.as_str())));
    ScanOptions {
        root: manifest.sync.root.clone(),
        own,
        select: selector(manifest),
        literals: manifest.literal_files().cloned().collect(),
        settle: manifest.sync.settle,
        clock,
    }
}

fn selector(manifest: &Arc<Manifest>) -> Select {
    let manifest = manifest.clone();
    Arc::new(move |path| manifest.max_bytes(path))
}

/// The hash cache's name in the state folder.
pub(crate) const HASH_CACHE: &str = "hash-cache";
const HUNG_AFTER: Duration = Duration::from_secs(60);
/// How often everything is looked at where changes are not noticed by themselves.
const POLL_EVERY: Duration = Duration::from_secs(60);
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);
