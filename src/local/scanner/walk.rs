//! Goes through folders on a few threads, and hands every name to [`Look`].
//!
//! A thread that lists a folder also looks at its files, and reads them: handing single files from thread to
//! thread costs more than reading them. It gives half of what is left away when another thread has nothing to do.

use std::ffi::CStr;
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::Folder;
use super::exclusion::Exclusions;
use super::listing;
use super::look::{Findings, Found, Look, Naming};
use crate::domain::asset::RelPath;
use crate::domain::observation::Hint;
use crate::local::hash_cache::FileId;

/// Something to do.
pub(super) enum Task {
    /// List this folder (root is `""`) and everything below it.
    Folder(String, Hint),
    /// Look at these names of a listed folder.
    Names(Arc<Names>, Range<usize>, Hint),
    /// Look at this path, over links.
    Path(RelPath, Hint, Naming),
}

/// An open folder, and the names in it that are no folders themselves.
pub(super) struct Names {
    folder: OwnedFd,
    /// What stands before each name in its path: empty, or ending in `/`.
    prefix: String,
    list: NameList,
}

/// Names in one piece of memory.
#[derive(Default)]
struct NameList {
    /// Each one ends in NUL.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl NameList {
    fn get(&self, at: usize) -> &CStr {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        CStr::from_bytes_with_nul(&self.text[start..self.ends[at]]).expect("a name was stored with its NUL")
    }

    fn push(&mut self, name: &CStr) {
        self.text.extend_from_slice(name.to_bytes_with_nul());
        self.ends.push(self.text.len());
    }
}

/// How many threads a scan uses at most: more than one disk access at a time pays, many do not.
pub(super) fn threads_max() -> usize {
    thread::available_parallelism().map_or(2, NonZero::get).clamp(2, 4)
}

/// Does these tasks and all that follow from them, and returns what each thread found.
pub(super) fn run(look: &Look<'_>, tasks: Vec<Task>, threads: usize) -> Vec<Findings> {
    let pool = Pool::new(tasks);
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            .filter_map(|_| {
                let work = || Worker::new(look, &pool).run();
                thread::Builder::new().name("scan".to_owned()).spawn_scoped(scope, work).ok()
            })
            .collect();
        let own = Worker::new(look, &pool).run();
        let joined = helpers.into_iter().map(|helper| match helper.join() {
            Ok(findings) => findings,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(joined).collect()
    })
}

/// The tasks that wait, and who is busy.
struct Pool {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Threads with nothing to do. A hint: read without the lock.
    hungry: AtomicUsize,
}

struct Queue {
    /// Last in, first out, so that few folders wait at a time.
    tasks: Vec<Task>,
    busy: usize,
}

impl Pool {
    fn new(tasks: Vec<Task>) -> Self {
        let queue = Mutex::new(Queue { tasks, busy: 0 });
        Self { queue, changed: Condvar::new(), hungry: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task; `None` when there is none and no thread is left that could add one.
    fn next(&self) -> Option<(Task, Busy<'_>)> {
        let mut queue = self.lock();
        loop {
            if let Some(task) = queue.tasks.pop() {
                queue.busy += 1;
                return Some((task, Busy(self)));
            }
            if queue.busy == 0 {
                return None;
            }
            self.hungry.fetch_add(1, Ordering::Relaxed);
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            self.hungry.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn add(&self, tasks: impl IntoIterator<Item = Task>) {
        self.lock().tasks.extend(tasks);
        self.changed.notify_all();
    }

    fn somebody_waits(&self) -> bool {
        self.hungry.load(Ordering::Relaxed) > 0
    }
}

/// Held while a task is done, so that a panic does not leave the other threads waiting.
struct Busy<'pool>(&'pool Pool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.busy -= 1;
        if queue.busy == 0 && queue.tasks.is_empty() {
            self.0.changed.notify_all();
        }
    }
}

struct Worker<'scan> {
    look: &'scan Look<'scan>,
    pool: &'scan Pool,
    findings: Findings,
    listing: Vec<u8>,
    path: String,
}

impl<'scan> Worker<'scan> {
    fn new(look: &'scan Look<'scan>, pool: &'scan Pool) -> Self {
        Self {
            look,
            pool,
            findings: Findings::default(),
            listing: Vec::with_capacity(32 * 1024),
            path: String::new(),
        }
    }

    fn run(mut self) -> Findings {
        while let Some((task, busy)) = self.pool.next() {
            match task {
                Task::Folder(path, hint) => self.folder(&path, hint),
                Task::Names(names, range, hint) => self.names(&names, range, hint),
                Task::Path(path, hint, naming) => {
                    if let Some(limit) = (self.look.select)(&path) {
                        self.look.at_path(path, limit, hint, naming, &mut self.findings);
                        self.look.progress.saw(1);
                    }
                }
            }
            drop(busy);
        }
        self.findings
    }

    fn folder(&mut self, path: &str, hint: Hint) {
        match self.list(path, hint) {
            Ok(names) => {
                let names = Arc::new(names);
                self.names(&names, 0..names.list.ends.len(), hint);
            }
            // It went away, or became something else, since its name was seen.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) if !path.is_empty() => {}
            Err(error) => self.unreadable(path, error),
        }
    }

    fn unreadable(&mut self, folder: &str, error: Errno) {
        match RelPath::new(folder) {
            Ok(folder) => self.findings.unreadable_folders.push(folder),
            Err(_) => self.findings.root_error = Some(error),
        }
    }

    /// Lists a folder: its folders become tasks, everything else is returned.
    fn list(&mut self, path: &str, hint: Hint) -> Result<Names, Errno> {
        let folder = self.look.root.open_folder(path)?;
        self.findings.folders.push(Folder { path: path.into(), id: FileId::of(&fstat(&folder)?) });
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let mut list = NameList::default();
        let mut below = Vec::new();
        let mut buffer = std::mem::take(&mut self.listing);
        let outcome = listing::each_entry(folder.as_fd(), &mut buffer, |name, kind| {
            if Exclusions::bars_name(name.to_bytes()) {
                return ControlFlow::Continue(());
            }
            if kind == FileType::Directory {
                below.extend(self.child(&prefix, name).map(|folder| Task::Folder(folder, hint)));
            } else {
                list.push(name);
            }
            ControlFlow::Continue(())
        });
        self.listing = buffer;
        if !below.is_empty() {
            self.pool.add(below);
        }
        if let Err(error) = outcome {
            // What was listed is there all the same; what was not may be.
            self.unreadable(path, error);
        }
        Ok(Names { folder, prefix, list })
    }

    /// The path of a folder, unless it is our own or can't be a path.
    fn child(&mut self, prefix: &str, name: &CStr) -> Option<String> {
        let path = name.to_str().ok().map(|name| format!("{prefix}{name}"));
        if path.as_ref().is_none_or(|path| RelPath::new(path).is_err()) {
            self.findings.count_unusable(prefix, name);
            return None;
        }
        path.filter(|path| !self.look.exclusions.is_own(path))
    }

    fn names(&mut self, names: &Arc<Names>, mut range: Range<usize>, hint: Hint) {
        let before = self.findings.files.len();
        while let Some(at) = range.next() {
            if range.len() > 1 && self.pool.somebody_waits() {
                let middle = range.start + range.len() / 2;
                let half = Task::Names(Arc::clone(names), middle..range.end, hint);
                self.pool.add([half]);
                range.end = middle;
            }
            self.name(names, at, hint);
        }
        self.look.progress.saw(self.findings.files.len() - before);
    }

    fn name(&mut self, names: &Names, at: usize, hint: Hint) {
        let name = names.list.get(at);
        self.path.clear();
        self.path.push_str(&names.prefix);
        self.path.push_str(name.to_str().unwrap_or_default());
        let path = RelPath::new(&self.path).ok().filter(|_| name.to_str().is_ok());
        let Some(path) = path else { return self.findings.count_unusable(&names.prefix, name) };
        if self.look.exclusions.is_own(&self.path) {
            return;
        }
        if let Found::Folder = self.look.at_name(names.folder.as_fd(), name, path, hint, &mut self.findings) {
            self.pool.add([Task::Folder(self.path.clone(), hint)]);
        }
    }
}
