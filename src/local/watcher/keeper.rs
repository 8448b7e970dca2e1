//! Keeps one watch on each folder. The only thread that may wait for the disk or for the event thread.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use notify::{
    Config, ErrorKind, EventKindMask, PathOp, RecommendedWatcher, RecursiveMode, WatchPathConfig,
    Watcher as _,
};
use rustix::fs::{FileType, lstat};

use super::pending::{Mark, Pending};
use super::sorting::{Orders, Text};
use super::{Shared, WatchOptions, limits, lock};
use crate::domain::asset::RelPath;
use crate::local::hash_cache::FileId;
use crate::local::scanner::{Exclusions, Folder};

/// What the keeper has been asked to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Folders that may be new.
    new: HashMap<RelPath, Mark>,
    /// So many that all are gone through.
    all: bool,
    root_lost: bool,
    /// The folders that a full scan found.
    pub(super) folders: Option<Vec<Folder>>,
    pub(super) stop: bool,
}

/// More new folders than that, and all are gone through.
const NEW_MAX: usize = 10_000;

impl Work {
    pub(super) fn follow(&mut self, orders: Orders) {
        self.root_lost |= orders.root_lost;
        if !self.all {
            self.new.extend(orders.watch);
        }
        if self.new.len() > NEW_MAX {
            self.new = HashMap::new();
            self.all = true;
        }
    }

    fn is_empty(&self) -> bool {
        self.new.is_empty() && !self.all && !self.root_lost && self.folders.is_none() && !self.stop
    }
}

/// Owns the watches.
pub(super) struct Keeper {
    options: WatchOptions,
    shared: Arc<Shared>,
    watches: Option<RecommendedWatcher>,
    /// Which folder is watched under each path.
    known: HashMap<PathBuf, FileId>,
    /// Why root is not watched, if it is not.
    refused: Option<Refused>,
}

/// Why root can't be watched.
#[derive(Debug)]
enum Refused {
    /// There are fewer watches than folders: it is tried again with fewer folders or more watches.
    Watches { needed: usize, limit: Option<usize> },
    /// Anything else: it is tried again after each scan.
    Other(String),
}

impl Keeper {
    pub(super) fn new(options: WatchOptions, shared: Arc<Shared>) -> Self {
        Self { options, shared, watches: None, known: HashMap::new(), refused: None }
    }

    pub(super) fn run(mut self) {
        self.start();
        loop {
            let work = self.wait();
            if work.stop {
                return;
            }
            if work.root_lost {
                self.refuse(Refused::Other("the folder was moved, removed or unmounted".to_owned()));
            } else if work.all {
                self.start();
            } else if self.refused.is_none() {
                self.watch_new(work.new);
            }
            if let Some(folders) = work.folders {
                self.compare(&folders);
            }
        }
    }

    fn wait(&self) -> Work {
        let work = lock(&self.shared.work);
        let came = self.shared.work_came.wait_while(work, |work| work.is_empty());
        mem::take(&mut *came.unwrap_or_else(PoisonError::into_inner))
    }

    /// Watches everything anew, and has everything looked at after that.
    fn start(&mut self) {
        self.refused = None;
        match self.watch_all() {
            Ok(()) => {
                self.shared.watching(self.known.len());
                self.shared.change(Pending::rescan);
            }
            Err(refused) => self.refuse(refused),
        }
    }

    /// Gives root up for now. Manifest and config stay watched, if that is possible.
    fn refuse(&mut self, refused: Refused) {
        let texts = self.texts();
        let others = self.watched().into_iter().filter(|path| !texts.contains(path)).collect();
        self.unwatch(others);
        self.shared.poll(match &refused {
            Refused::Watches { needed, .. } => limits::too_few_watches(*needed),
            Refused::Other(reason) => reason.clone(),
        });
        self.refused = Some(refused);
    }

    /// Finds out where root, manifest and config really are.
    fn look_around(&self) {
        let root = self.options.root.canonicalize().ok();
        let exclusions = Exclusions::new(&self.options.root, &self.options.own);
        let texts = Text::find(&self.options.texts);
        let mut view = self.shared.view.write().unwrap_or_else(PoisonError::into_inner);
        (view.root, view.exclusions, view.texts) = (root, exclusions, texts);
    }

    fn root(&self) -> Option<PathBuf> {
        self.shared.view.read().unwrap_or_else(PoisonError::into_inner).root.clone()
    }

    fn texts(&self) -> Vec<PathBuf> {
        let view = self.shared.view.read().unwrap_or_else(PoisonError::into_inner);
        view.texts.keys().cloned().collect()
    }

    fn exclusions(&self) -> Exclusions {
        self.shared.view.read().unwrap_or_else(PoisonError::into_inner).exclusions.clone()
    }

    fn watch_all(&mut self) -> Result<(), Refused> {
        self.look_around();
        self.begin()?;
        let texts = self.watch(self.texts());
        // A change may have fallen between the old watches and the new ones.
        self.shared.change(Pending::manifest);
        let root = self.root().ok_or_else(|| Refused::Other("there is no such folder".to_owned()))?;
        if let Some(kind) = limits::network_file_system(&root) {
            return Err(Refused::Other(format!("it lies on {kind}, where others' changes cause no events")));
        }
        if let Err(other @ Refused::Other(_)) = texts {
            return Err(other);
        }
        self.watch_below(&root, vec![root.clone()])
    }

    /// Makes the watcher, or has it forget everything.
    fn begin(&mut self) -> Result<(), Refused> {
        if self.watches.is_some() {
            let watched = self.watched().into_iter().collect();
            self.unwatch(watched);
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let config = Config::default()
            .with_follow_symlinks(false)
            .with_event_kinds(EventKindMask::CORE | EventKindMask::ACCESS_CLOSE);
        let watches = RecommendedWatcher::new(move |event| shared.event(&event), config);
        self.watches = Some(watches.map_err(|error| Refused::Other(no_watcher(&error)))?);
        Ok(())
    }

    /// Watches folders that appeared, and has them looked at after that.
    fn watch_new(&mut self, new: HashMap<RelPath, Mark>) {
        let Some(root) = self.root() else { return };
        for (path, mark) in new {
            let folder = root.join(path.as_str());
            if folder_id(&folder).is_none() {
                continue;
            }
            match self.watch_below(&root, vec![folder]) {
                Ok(()) => self.shared.change(|pending| pending.mark(path, mark)),
                Err(refused) => return self.refuse(refused),
            }
            self.shared.watching(self.known.len());
        }
    }

    /// Watches these folders and all below them: a level is watched, and then listed for the next one.
    fn watch_below(&mut self, root: &Path, folders: Vec<PathBuf>) -> Result<(), Refused> {
        let exclusions = self.exclusions();
        let mut level = folders;
        while !level.is_empty() {
            self.watch(level.clone()).map_err(|refused| match refused {
                Refused::Watches { .. } => self.too_few(root, &exclusions, &level),
                other @ Refused::Other(_) => other,
            })?;
            level = level.iter().flat_map(|folder| subfolders(root, folder, &exclusions)).collect();
        }
        Ok(())
    }

    /// How many watches it would take.
    fn too_few(&self, root: &Path, exclusions: &Exclusions, level: &[PathBuf]) -> Refused {
        let mut needed: HashSet<PathBuf> = self.known.keys().cloned().collect();
        let mut level = level.to_vec();
        while !level.is_empty() {
            let next = level.iter().flat_map(|folder| subfolders(root, folder, exclusions)).collect();
            needed.extend(mem::replace(&mut level, next));
        }
        Refused::Watches { needed: needed.len(), limit: limits::watches_max() }
    }

    /// Watches single folders; those that are gone or may not be read are passed over: a scan says so.
    fn watch(&mut self, folders: Vec<PathBuf>) -> Result<(), Refused> {
        let Some(watches) = &mut self.watches else { return Ok(()) };
        let config = WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(false);
        let watch = |path: &PathBuf| PathOp::Watch(path.clone(), config.clone());
        let mut operations: Vec<_> = folders.iter().map(watch).collect();
        while let Err(error) = watches.update_paths(mem::take(&mut operations)) {
            match error.source.kind {
                ErrorKind::MaxFilesWatch => return Err(Refused::Watches { needed: 0, limit: None }),
                _ if error.origin.is_some() => operations = error.remaining,
                _ => return Err(Refused::Other(format!("the watcher failed: {}", error.source))),
            }
        }
        for path in folders {
            if let Some(id) = folder_id(&path) {
                self.known.insert(path, id);
            }
        }
        Ok(())
    }

    fn unwatch(&mut self, folders: Vec<PathBuf>) {
        let Some(watches) = &mut self.watches else { return };
        for path in &folders {
            self.known.remove(path);
        }
        let mut operations: Vec<_> = folders.into_iter().map(PathOp::Unwatch).collect();
        while let Err(error) = watches.update_paths(mem::take(&mut operations)) {
            if error.origin.is_none() {
                return;
            }
            // A watch that is gone already is no error here.
            operations = error.remaining;
        }
    }

    /// Mends the watches after a full scan.
    fn compare(&mut self, found: &[Folder]) {
        let before = self.root();
        self.look_around();
        let root = self.root();
        match (root, &self.refused) {
            (_, Some(refused)) if !refused.may_have_ended(found.len()) => {}
            (Some(root), None) if before.as_ref() == Some(&root) => {
                let found: HashMap<PathBuf, FileId> =
                    found.iter().map(|folder| (folder_path(&root, folder), folder.id)).collect();
                self.drop_stale(&found);
                self.watch_missing(&root, &found);
            }
            _ => self.start(),
        }
    }

    /// Ends the watches on folders that are gone, or that are not the ones under their paths any more.
    fn drop_stale(&mut self, found: &HashMap<PathBuf, FileId>) {
        // What the scan did not find may have come after it.
        let now = |path: &PathBuf| found.get(path).copied().or_else(|| folder_id(path));
        let stale = self.known.iter().filter(|(path, id)| now(path) != Some(**id));
        let stale: Vec<_> = stale.map(|(path, _)| path.clone()).collect();
        if !stale.is_empty() {
            self.unwatch(stale);
        }
    }

    /// Watches what a scan found unwatched, and has it looked at once more.
    fn watch_missing(&mut self, root: &Path, found: &HashMap<PathBuf, FileId>) {
        let watched = self.watched();
        let missing: Vec<_> = found.keys().filter(|path| !watched.contains(*path)).cloned().collect();
        let texts = self.texts().into_iter().filter(|path| !watched.contains(path)).collect();
        if let Err(refused) = self.watch(texts).and_then(|()| self.watch_below(root, missing.clone())) {
            return self.refuse(refused);
        }
        self.shared.watching(self.known.len());
        self.shared.change(|pending| {
            for path in &missing {
                match path.strip_prefix(root).ok().and_then(Path::to_str).map(RelPath::new) {
                    Some(Ok(path)) => pending.mark(path, Mark::Touched),
                    _ => pending.rescan(),
                }
            }
        });
    }

    /// What is watched according to the system's side, which loses watches with their folders.
    fn watched(&mut self) -> HashSet<PathBuf> {
        let watched = self.watches.as_ref().and_then(|watches| watches.watched_paths().ok());
        let watched: HashSet<_> = watched.unwrap_or_default().into_iter().map(|(path, _)| path).collect();
        self.known.retain(|path, _| watched.contains(path));
        watched
    }
}

impl Refused {
    fn may_have_ended(&self, folders: usize) -> bool {
        match self {
            Self::Watches { needed, limit } => folders < *needed || limits::watches_max() > *limit,
            Self::Other(_) => true,
        }
    }
}

/// Root itself has the empty path, and no `/` at its end.
fn folder_path(root: &Path, folder: &Folder) -> PathBuf {
    if folder.path.is_empty() { root.to_owned() } else { root.join(&*folder.path) }
}

/// Which folder stands under a path, if one does; a link is none.
fn folder_id(path: &Path) -> Option<FileId> {
    let stat = lstat(path).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::Directory).then(|| FileId::of(&stat))
}

/// The folders in a folder, without those that are never looked at.
fn subfolders(root: &Path, folder: &Path, exclusions: &Exclusions) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let may_be_watched = |path: &PathBuf| {
        let below = path.strip_prefix(root).ok().and_then(Path::to_str);
        below.is_some_and(|below| !below.is_empty() && !exclusions.bars(below))
    };
    entries.filter(is_folder).map(|entry| entry.path()).filter(may_be_watched).collect()
}

fn no_watcher(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::Io(source) if matches!(source.raw_os_error(), Some(23 | 24)) => {
            "the system allows no more inotify instances or open files; raise fs.inotify.max_user_instances"
                .to_owned()
        }
        _ => format!("no watcher could be made: {error}"),
    }
}
