//! A state folder on this machine's disk.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Step, Steps};
use super::journal::{Journal, rename};
use super::lock::{Lock, LockError};
use super::recover::{Current, recover};
use super::{
    JOURNAL_FILE, Loaded, OLDER_JOURNAL_FILE, PREVIOUS_FILE, Published, STATE_FILE, StateStore, StoreError,
    set_aside,
};
use crate::domain::state::{Change, State};
use crate::domain::state_format::encode;
use crate::local::atomic_file::{self, Durability, TEMPORARY_PREFIX};
use crate::local::own_file::Identity;

/// The state folder of a process that may write to it: it holds the folder's lock.
pub struct FolderStore {
    folder: PathBuf,
    lock: Lock,
    /// What is known after [`StateStore::load`].
    known: Option<Known>,
    /// Whether the lock had to be taken anew since the last publication: then nothing in the folder is what we knew.
    taken_anew: bool,
    pub(super) steps: Steps,
}

struct Known {
    lineage: Arc<str>,
    journal: Journal,
    /// `state.json`, while it can be used.
    current: Option<Current>,
    /// The serial of `state.json.previous`, where that is known.
    previous: Option<u64>,
}

/// Why a state folder can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to it.
    #[error("{} is in use by {}; stop that first", folder.display(), Self::holder(*pid))]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// That process, if it says.
        pid: Option<u32>,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn holder(pid: Option<u32>) -> String {
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locked { pid, .. } => Self::LockLost { pid },
            OpenError::Io { action, path, source } => Self::Io { action, path, source },
        }
    }
}

impl FolderStore {
    /// Takes a state folder for this process, and makes it where there is none. The folder above it must be
    /// there: where that is missing, something is not mounted yet.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let lock = settle_in(folder)?;
        remove_stale(folder, lock.file());
        Ok(Self { folder: folder.to_owned(), lock, known: None, taken_anew: false, steps: Steps::default() })
    }

    /// Makes sure that the folder is there and that we hold its lock, whatever happened to it.
    fn stay_home(&mut self) -> Result<(), StoreError> {
        if self.lock.is_in_place() {
            return Ok(());
        }
        self.lock = settle_in(&self.folder)?;
        self.taken_anew = true;
        if let Some(known) = &mut self.known {
            known.current = None;
            known.previous = None;
        }
        Ok(())
    }

    /// What a folder held that was taken anew is not ours to go on with, now that a whole state is in it.
    fn begin_anew(&mut self) -> io::Result<()> {
        for name in [JOURNAL_FILE, OLDER_JOURNAL_FILE, PREVIOUS_FILE] {
            let path = self.folder.join(name);
            if path.symlink_metadata().is_ok() {
                let _ = set_aside::keep(&path);
                std::fs::remove_file(&path)?;
            }
        }
        if let Some(known) = &mut self.known {
            known.journal = Journal::new(&self.folder);
            known.previous = None;
        }
        self.taken_anew = false;
        Ok(())
    }
}

impl Known {
    /// The snapshot that is shown gets a second name, which replaces the one before it.
    fn keep_previous(&mut self, folder: &Path, steps: &mut Steps) -> io::Result<()> {
        let path = folder.join(STATE_FILE);
        let Some(current) = self.current else { return Ok(()) };
        if Identity::at(&path)? != Some(current.identity) {
            // What somebody else put there is not worth keeping in the place of a good one.
            self.current = None;
            return Ok(());
        }
        let second = folder.join(format!("{TEMPORARY_PREFIX}previous"));
        remove_if_there(&second)?;
        steps.before(Step::LinkPrevious)?;
        link_or_copy(&path, &second)?;
        steps.before(Step::ShowPrevious)?;
        rename(&second, &folder.join(PREVIOUS_FILE))?;
        self.previous = Some(current.serial);
        // Where both already were the same file, the rename did nothing.
        remove_if_there(&second)
    }
}

impl StateStore for FolderStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let recovered = recover(&self.folder)?;
        let mut loaded = recovered.loaded;
        loaded.notes.extend(recovered.snapshots.damaged.iter().map(|file| set_aside::keep(file)));
        let journal =
            Journal::resume(&self.folder, recovered.whole_bytes, recovered.newest, recovered.older_newest);
        let lineage = Arc::clone(&loaded.state.lineage);
        self.known = Some(Known {
            lineage,
            journal,
            current: recovered.snapshots.current,
            previous: recovered.snapshots.previous,
        });
        Ok(loaded)
    }

    fn record(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let known = self.known.as_mut().ok_or(StoreError::NotLoaded)?;
        if changes.is_empty() {
            return Ok(());
        }
        if self.taken_anew || !self.lock.is_in_place() {
            return Err(StoreError::NeedsPublish { reason: "the state folder was removed" });
        }
        known.journal.append(&known.lineage, changes, &mut self.steps)
    }

    fn publish(&mut self, state: &State) -> Result<Published, StoreError> {
        if self.known.is_none() {
            return Err(StoreError::NotLoaded);
        }
        self.stay_home()?;
        let bytes = self.show(state)?;
        self.steps
            .before(Step::SyncFolder)
            .and_then(|()| atomic_file::sync_folder(&self.folder))
            .map_err(StoreError::io("make durable", &self.folder))?;
        if self.taken_anew {
            self.begin_anew().map_err(StoreError::io("tidy up", &self.folder))?;
        }
        if let Some(known) = &mut self.known {
            // The state is safe already. Without a new journal the old one grows until the next publication.
            let _ = known.journal.rotate(known.previous, &mut self.steps);
        }
        let _ = self.steps.before(Step::Done);
        Ok(Published { serial: state.serial, bytes })
    }

    fn is_in_place(&self) -> bool {
        let Some(current) = self.known.as_ref().and_then(|known| known.current) else {
            return self.lock.is_in_place();
        };
        let shown = Identity::at(&self.folder.join(STATE_FILE));
        self.lock.is_in_place() && shown.is_ok_and(|shown| shown == Some(current.identity))
    }
}

impl FolderStore {
    /// Writes the snapshot and puts it in its place; the size is the answer.
    fn show(&mut self, state: &State) -> Result<u64, StoreError> {
        let known = self.known.as_mut().ok_or(StoreError::NotLoaded)?;
        let path = self.folder.join(STATE_FILE);
        let failed = |source| StoreError::Io { action: "write", path: path.clone(), source };
        let text = encode(state);
        let bytes = text.len() as u64;

        self.steps.before(Step::StageSnapshot).map_err(failed)?;
        let staged = atomic_file::stage(&path, &text, 0o644, Durability::Durable).map_err(failed)?;
        drop(text);
        known
            .keep_previous(&self.folder, &mut self.steps)
            .map_err(StoreError::io("keep the previous state in", &self.folder))?;
        self.steps.before(Step::ShowSnapshot).map_err(failed)?;
        staged.show().map_err(failed)?;
        known.lineage = Arc::clone(&state.lineage);
        let identity = Identity::at(&path).map_err(StoreError::io("look at", &path))?;
        known.current = identity.map(|identity| Current { serial: state.serial, identity });
        Ok(bytes)
    }
}

/// Makes the folder where there is none, and takes its lock.
fn settle_in(folder: &Path) -> Result<Lock, OpenError> {
    let failed = |action| move |source| OpenError::Io { action, path: folder.to_owned(), source };
    match std::fs::create_dir(folder) {
        Ok(()) => {
            // Other programs read the state, whatever our umask is.
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(failed("open up"))?;
            sync_above(folder).map_err(failed("make durable"))?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("make")(error)),
    }
    let lock = Lock::take(folder).map_err(|error| match error {
        LockError::Held(pid) => OpenError::Locked { folder: folder.to_owned(), pid },
        LockError::Io(source) => OpenError::Io { action: "lock", path: folder.to_owned(), source },
    })?;
    let ignore = folder.join(".gitignore");
    if ignore.symlink_metadata().is_err() {
        atomic_file::replace(&ignore, b"*\n", 0o644, Durability::Volatile).map_err(failed("write to"))?;
    }
    Ok(lock)
}

/// Makes the folder's own name survive a power cut, where we may.
fn sync_above(folder: &Path) -> io::Result<()> {
    let above = match folder.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => return Ok(()),
    };
    match atomic_file::sync_folder(above) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Removes what a killed process left half written. Other processes write an approval here without the lock, so
/// young files stay: the lock file, written a moment ago, tells the time.
fn remove_stale(folder: &Path, lock: &File) {
    let Ok(now) = lock.metadata().and_then(|metadata| metadata.modified()) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes());
        let age =
            entry.metadata().and_then(|metadata| metadata.modified()).map(|then| now.duration_since(then));
        if ours && matches!(age, Ok(Ok(age)) if age > STALE_AFTER) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// An age that nobody needs to write a small file.
const STALE_AFTER: Duration = Duration::from_secs(60);

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A second name for a file; where the file system has none, a copy that is as durable.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) =>
        {
            std::fs::copy(from, to)?;
            File::open(to)?.sync_all()
        }
        result => result,
    }
}
