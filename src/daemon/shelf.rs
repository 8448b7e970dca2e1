//! Finds the bytes of an upload and keeps copies, on threads that a dead disk can hang.
//!
//! Each place has so many threads and no more: what hangs holds up whatever else lies there, and neither other places
//! nor what the rest of the process needs threads for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::domain::asset::{ContentHash, RelPath};
use crate::domain::manifest::Manifest;
use crate::domain::reconciler::{Order, Source};
use crate::local::kept::Kept;
use crate::local::scanner::read_exact;

/// Where bytes come from and where copies go.
#[derive(Clone)]
pub(super) struct Shelf {
    root: Arc<PathBuf>,
    kept: Arc<Kept>,
    keep_copies: bool,
    /// Copies made since the last sweep began: it must not take them for superfluous.
    fresh: Arc<Mutex<BTreeSet<ContentHash>>>,
    threads: Arc<Threads>,
}

/// The bytes that were meant.
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) bytes: Bytes,
    /// Why there is no copy of them, where there should be.
    pub(super) warning: Option<String>,
}

impl Shelf {
    pub(super) fn new(manifest: &Manifest, kept: Arc<Kept>) -> Self {
        Self {
            root: Arc::new(manifest.sync.root.clone()),
            kept,
            keep_copies: manifest.sync.keep_copies,
            fresh: Arc::default(),
            threads: Arc::new(Threads::new()),
        }
    }

    pub(super) fn follow(&mut self, manifest: &Manifest) {
        self.keep_copies = manifest.sync.keep_copies;
    }

    /// Finds the bytes in the first source that has them. One that hangs leaves time for the next.
    pub(super) async fn fetch(&self, order: &Order) -> Result<Found, String> {
        let steps = u32::try_from(order.sources.len()).unwrap_or(u32::MAX).saturating_add(1);
        let patience = order.time_limit / steps;
        let mut told = Vec::new();
        for source in &order.sources {
            let read = timeout(patience, self.read(*source, order)).await;
            match read.unwrap_or_else(|_| Err(TOO_LONG.to_owned())) {
                Ok(bytes) => {
                    let keep = *source == Source::File && self.keep_copies;
                    let warning = if keep { self.keep(order, &bytes, patience).await.err() } else { None };
                    return Ok(Found { source: *source, bytes, warning });
                }
                Err(detail) => told.push(detail),
            }
        }
        Err(told.join(", and "))
    }

    async fn read(&self, source: Source, order: &Order) -> Result<Bytes, String> {
        let (hash, size) = (order.wanted.hash, order.wanted.size);
        let read = match source {
            Source::KeptCopy => {
                let kept = self.kept.clone();
                let work = move || kept.get(&hash).ok_or_else(|| "there is no kept copy".to_owned());
                self.threads.in_state_folder(work).await
            }
            Source::File => {
                let (root, path) = (self.root.clone(), order.key.path.clone());
                let work = move || {
                    let (bytes, found) = read_exact(&root, &path, size).map_err(|error| error.to_string())?;
                    let same = (found == hash).then_some(bytes);
                    same.ok_or_else(|| "the file has other content by now".to_owned())
                };
                self.threads.in_folder_of(&order.key.path, work).await
            }
        };
        read.unwrap_or_else(|| Err("reading it was interrupted".to_owned()))
    }

    async fn keep(&self, order: &Order, bytes: &Bytes, patience: Duration) -> Result<(), String> {
        let hash = order.wanted.hash;
        lock(&self.fresh).insert(hash);
        let (kept, bytes) = (self.kept.clone(), bytes.clone());
        let put = self.threads.in_state_folder(move || kept.put(&hash, &bytes));
        let why = match timeout(patience, put).await {
            Ok(Some(Ok(()))) => return Ok(()),
            Ok(Some(Err(error))) => error.to_string(),
            Ok(None) => "it was interrupted".to_owned(),
            Err(_) => "it takes too long".to_owned(),
        };
        Err(format!("cannot keep a copy of {}: {why}", order.key.path))
    }

    /// Removes copies that nothing needs, and says why it could not. What is kept from this call on is not touched.
    /// One sweep at a time: one that hangs is not joined by others.
    pub(super) fn sweep(
        &self,
        needed: BTreeSet<ContentHash>,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let sweeping = self.threads.sweeping.clone().try_acquire_owned().ok();
        if sweeping.is_some() {
            lock(&self.fresh).clear();
        }
        let (kept, fresh) = (self.kept.clone(), self.fresh.clone());
        async move {
            let Some(sweeping) = sweeping else { return Ok(()) };
            let is_needed = move |hash: &ContentHash| needed.contains(hash) || lock(&fresh).contains(hash);
            match beside(vec![sweeping], move || kept.sweep(is_needed).map(drop)).await {
                Some(Err(error)) => Err(format!("cannot tidy the kept copies: {error}")),
                Some(Ok(())) | None => Ok(()),
            }
        }
    }
}

/// How many threads may wait for each place at once.
struct Threads {
    state_folder: Arc<Semaphore>,
    sweeping: Arc<Semaphore>,
    media: Arc<Semaphore>,
    /// For each folder that files are being read in.
    folders: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Threads {
    fn new() -> Self {
        Self {
            state_folder: Arc::new(Semaphore::new(STATE_FOLDER_THREADS)),
            sweeping: Arc::new(Semaphore::new(1)),
            media: Arc::new(Semaphore::new(MEDIA_THREADS)),
            folders: Mutex::default(),
        }
    }

    async fn in_state_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = self.state_folder.clone().acquire_owned().await.ok()?;
        beside(vec![permit], work).await
    }

    /// A mount can be any folder above a file. Its own folder and the topmost one are counted apart, so that neither
    /// many files nor many folders of one dead mount take all threads.
    async fn in_folder_of<T: Send + 'static>(
        &self,
        path: &RelPath,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let mut permits = Vec::new();
        for semaphore in self.folders_of(path) {
            permits.push(semaphore.acquire_owned().await.ok()?);
        }
        permits.push(self.media.clone().acquire_owned().await.ok()?);
        beside(permits, work).await
    }

    /// The narrowest first: whoever waits for one holds none of a wider one.
    fn folders_of(&self, path: &RelPath) -> Vec<Arc<Semaphore>> {
        let folder = path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        let topmost = folder.split_once('/').map(|(topmost, _)| topmost);
        let mut folders = lock(&self.folders);
        folders.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let mut of = |name: String, threads| {
            folders.entry(name).or_insert_with(|| Arc::new(Semaphore::new(threads))).clone()
        };
        let mut both = vec![of(format!("{folder}/"), FOLDER_THREADS)];
        both.extend(topmost.map(|topmost| of(format!("{topmost}/**"), TOPMOST_THREADS)));
        both
    }
}

/// Works on a thread that may block. The permits are given back when it is done, not when nobody waits any more.
async fn beside<T: Send + 'static>(
    permits: Vec<OwnedSemaphorePermit>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let task = tokio::task::spawn_blocking(move || {
        let _until_done = permits;
        work()
    });
    task.await.ok()
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

const TOO_LONG: &str = "reading it takes too long";
/// For kept copies.
const STATE_FOLDER_THREADS: usize = 16;
/// For all files of the media folder. The runtime has 512 threads for what may block, and others need some.
const MEDIA_THREADS: usize = 192;
/// For the files of one folder.
const FOLDER_THREADS: usize = 16;
/// For all files below one folder of root.
const TOPMOST_THREADS: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::daemon::testing;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    /// Threads that hang until the other end is dropped.
    fn hang(threads: &Arc<Threads>, paths: impl IntoIterator<Item = String>) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for text in paths {
            let (threads, held) = (threads.clone(), held.clone());
            let read =
                async move { threads.in_folder_of(&path(&text), move || lock(&held).recv().is_err()).await };
            tokio::spawn(read);
        }
        release
    }

    fn on_a_small_runtime(claim: impl Future<Output = ()>) {
        // One thread more than everything here may take.
        let most = MEDIA_THREADS + STATE_FOLDER_THREADS + 1;
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(most).build().unwrap();
        runtime.block_on(claim);
    }

    async fn come_to_rest() {
        for _ in 0..2000 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_mount_that_hangs_holds_up_its_own_files_only() {
        on_a_small_runtime(async {
            let threads = Arc::new(Threads::new());
            let deep = (0..900).map(|number| format!("mount/{}/{number}.png", number / 20));
            let flat = (0..100).map(|number| format!("{number}.png"));
            let release = hang(&threads, deep.chain(flat));
            come_to_rest().await;
            let taken = MEDIA_THREADS - threads.media.available_permits();
            assert_eq!(taken, TOPMOST_THREADS + FOLDER_THREADS);
            assert_eq!(threads.in_folder_of(&path("other/1.png"), || 1).await, Some(1));
            assert_eq!(threads.in_folder_of(&path("other/deep/1.png"), || 2).await, Some(2));
            assert_eq!(threads.in_state_folder(|| 3).await, Some(3));
            drop(release);
            assert_eq!(threads.in_folder_of(&path("mount/1/1.png"), || 4).await, Some(4), "it answers again");
            assert_eq!(threads.in_folder_of(&path("1.png"), || 5).await, Some(5));
        });
    }

    #[test]
    fn whatever_hangs_others_find_a_thread() {
        on_a_small_runtime(async {
            let threads = Arc::new(Threads::new());
            let files = (0..3000).map(|number| format!("{}/{}/1.png", number % 100, number));
            let release = hang(&threads, files);
            let (release_state, held) = mpsc::channel::<()>();
            let held = Arc::new(Mutex::new(held));
            for _ in 0..100 {
                let (threads, held) = (threads.clone(), held.clone());
                tokio::spawn(
                    async move { threads.in_state_folder(move || lock(&held).recv().is_err()).await },
                );
            }
            come_to_rest().await;
            assert_eq!(threads.media.available_permits(), 0);
            assert_eq!(threads.state_folder.available_permits(), 0);
            assert_eq!(tokio::task::spawn_blocking(|| "saved").await.unwrap(), "saved");
            drop((release, release_state));
        });
    }

    #[tokio::test]
    async fn a_copy_that_is_kept_while_a_sweep_is_under_way_survives_that_one_and_not_the_next() {
        let folder = tempfile::tempdir().unwrap();
        testing::put(&folder.path().join("logo.png"), "logo");
        let manifest = testing::manifest(folder.path());
        std::fs::create_dir(&manifest.sync.state_dir).unwrap();
        let kept = Arc::new(Kept::new(&manifest.sync.state_dir));
        let shelf = Shelf::new(&manifest, kept.clone());
        let (old, hash) = (ContentHash::of(b"old"), ContentHash::of(b"logo"));
        kept.put(&old, b"old").unwrap();
        let order = testing::order(vec![Source::File], Duration::from_secs(3600));
        // It begins with what was needed then. No record tells of the copy yet: its upload is still going on.
        let sweep = shelf.sweep(BTreeSet::new());
        let warning = shelf.fetch(&order).await.map(|found| found.warning);
        assert_eq!(warning, Ok(None));
        sweep.await.unwrap();
        assert_eq!((kept.has(&old), kept.has(&hash)), (false, true));
        shelf.sweep(BTreeSet::new()).await.unwrap();
        assert!(!kept.has(&hash), "by the next one it is needed or it is not");
    }

    #[test]
    fn folders_that_nobody_reads_in_are_forgotten() {
        on_a_small_runtime(async {
            let threads = Threads::new();
            for number in 0..100 {
                threads.in_folder_of(&path(&format!("{number}/1.png")), || ()).await.unwrap();
            }
            assert!(lock(&threads.folders).len() <= 2);
        });
    }
}
