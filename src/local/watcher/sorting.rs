//! From the system's events to what is worth knowing. Runs on the event thread, so it never blocks.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, EventKind};

use super::pending::{Mark, Pending};
use crate::domain::asset::RelPath;
use crate::local::scanner::{Exclusions, Interest};

/// What the event thread needs to know to read a path.
#[derive(Debug)]
pub(super) struct View {
    /// Root without links on the way; `None` while there is none.
    pub(super) root: Option<PathBuf>,
    pub(super) exclusions: Exclusions,
    pub(super) interest: Interest,
    /// The folders of manifest and config.
    pub(super) texts: HashMap<PathBuf, Text>,
}

/// A folder with manifest or config in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) names: Vec<OsString>,
    /// One of them is a link, and what it leads to may be replaced by moving other names in the folder.
    pub(super) linked: bool,
}

impl Text {
    /// The folders of these files, and where their links lead.
    pub(super) fn find(files: &[PathBuf]) -> HashMap<PathBuf, Self> {
        let mut texts: HashMap<PathBuf, Self> = HashMap::new();
        for path in files {
            let linked = path.is_symlink();
            let target = linked.then(|| path.canonicalize().ok()).flatten();
            for file in [Some(path.clone()), target].into_iter().flatten() {
                let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
                if let (Some(folder), Some(name)) = (folder, file.file_name()) {
                    let text = texts.entry(folder).or_default();
                    text.names.push(name.to_owned());
                    text.linked |= linked;
                }
            }
        }
        texts
    }
}

/// What an event leads to, beside marks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// Folders that may be new, and must be watched with all that is below them.
    pub(super) watch: Vec<(RelPath, Mark)>,
    /// Root itself went away.
    pub(super) root_lost: bool,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A file changed.
    File(Mark),
    /// A file or a folder changed.
    Any(Mark),
    /// A folder appeared: it is looked at once it is watched.
    NewFolder,
    /// A file or a folder appeared.
    Arrived,
    /// A file or a folder went away.
    Gone,
    /// What is mounted there changed.
    Unmounted,
    /// Nothing new.
    Nothing,
}

impl View {
    /// Notes what an event means.
    pub(super) fn sort(&self, event: &notify::Result<Event>, pending: &mut Pending) -> Orders {
        let mut orders = Orders::default();
        match event {
            Err(error) => {
                pending.rescan();
                pending.warn(format!("watching had a gap: {error}"));
            }
            Ok(event) if event.need_rescan() => pending.rescan(),
            Ok(event) => {
                let meaning = Meaning::of(event.kind);
                for path in &event.paths {
                    self.sort_path(path, meaning, pending, &mut orders);
                }
            }
        }
        orders
    }

    fn sort_path(&self, path: &Path, meaning: Meaning, pending: &mut Pending, orders: &mut Orders) {
        if meaning == Meaning::Nothing {
            return;
        }
        if self.is_text(path, meaning) {
            pending.manifest();
            if self.texts.contains_key(path) {
                // Its watch is lost with it; the rescan has it set up again.
                pending.rescan();
            }
        }
        let Some(below) = self.root.as_ref().and_then(|root| path.strip_prefix(root).ok()) else { return };
        if below.as_os_str().is_empty() {
            orders.root_lost |= matches!(meaning, Meaning::Gone | Meaning::Unmounted);
            return pending.rescan();
        }
        let Some(path) = below.to_str().and_then(|below| RelPath::new(below).ok()) else { return };
        if !self.exclusions.bars(path.as_str()) {
            self.mark(path, meaning, pending, orders);
        }
    }

    fn mark(&self, path: RelPath, meaning: Meaning, pending: &mut Pending, orders: &mut Orders) {
        match meaning {
            Meaning::File(mark) if self.interest.wants(&path) => pending.mark(path, mark),
            Meaning::Any(mark) => pending.mark(path, mark),
            Meaning::NewFolder => orders.watch.push((path, Mark::Touched)),
            Meaning::Arrived => {
                orders.watch.push((path.clone(), Mark::Complete));
                pending.mark(path, Mark::Complete);
            }
            Meaning::Gone => pending.mark(path, Mark::Touched),
            Meaning::Unmounted => {
                orders.watch.push((path.clone(), Mark::Touched));
                pending.mark(path, Mark::Touched);
            }
            Meaning::File(_) | Meaning::Nothing => {}
        }
    }

    fn is_text(&self, path: &Path, meaning: Meaning) -> bool {
        if self.texts.contains_key(path) {
            return matches!(meaning, Meaning::Gone | Meaning::Unmounted);
        }
        let Some(text) = path.parent().and_then(|folder| self.texts.get(folder)) else { return false };
        let moved = matches!(meaning, Meaning::Arrived | Meaning::Gone | Meaning::NewFolder);
        text.linked && moved
            || path.file_name().is_some_and(|name| text.names.iter().any(|known| known == name))
    }
}

impl Meaning {
    fn of(kind: EventKind) -> Self {
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Self::File(Mark::Complete),
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => Self::Nothing,
            EventKind::Create(CreateKind::Folder) => Self::NewFolder,
            EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
                Self::File(Mark::Touched)
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Self::Arrived,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(RemoveKind::Folder) => {
                Self::Gone
            }
            EventKind::Modify(ModifyKind::Metadata(_)) => Self::Any(Mark::Metadata),
            EventKind::Remove(RemoveKind::File) => Self::File(Mark::Touched),
            EventKind::Remove(_) => Self::Unmounted,
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Other => {
                Self::Any(Mark::Touched)
            }
        }
    }
}
