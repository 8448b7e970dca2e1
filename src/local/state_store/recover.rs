//! From files to a state: the newest snapshot that can be used, and the journal's lines after it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::journal::Generation;
use super::note::Note;
use super::{JOURNAL_FILE, Loaded, OLDER_JOURNAL_FILE, PREVIOUS_FILE, STATE_FILE, StoreError};
use crate::domain::records::Records;
use crate::domain::state::State;
use crate::domain::state_format::{Line, Shared, decode};
use crate::local::own_file::{self, Identity};

/// Reads a state folder that another process may be writing to. Takes no lock, writes nothing, makes nothing.
///
/// # Errors
/// As [`super::StateStore::load`]; `None` where there is no state.
pub fn read_only(folder: &Path) -> Result<Option<Loaded>, StoreError> {
    let path = folder.join(STATE_FILE);
    for _ in 0..READ_ATTEMPTS {
        let recovered = match recover(folder) {
            // Who may read the snapshot need not be allowed to read the journals.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => break,
            recovered => recovered?,
        };
        // While the snapshot stays the same, the journals still reach back to it.
        let unchanged = match &recovered.snapshots.seen {
            Some(file) => own_file::is_in_place(file, &path),
            None => path.symlink_metadata().is_err(),
        };
        if unchanged {
            let mut loaded = recovered.loaded;
            // A line that is being written right now looks like this.
            loaded.notes.retain(|note| !matches!(note, Note::TornTail { .. }));
            return Ok(recovered.anything.then_some(loaded));
        }
    }
    // Or somebody publishes faster than we read. What they showed last is whole in itself.
    let mut notes = Vec::new();
    let (state, _) = read_snapshots(folder, &mut Shared::default(), &mut notes)?;
    Ok(state.map(|state| Loaded { state, notes, unpublished: false }))
}

/// How often a snapshot may be replaced while it is read.
const READ_ATTEMPTS: usize = 20;

/// A snapshot that can be used, as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    /// What it holds.
    pub(super) serial: u64,
    /// Which file it is.
    pub(super) identity: Identity,
}

/// What was found, with what a writer needs to go on.
pub(super) struct Recovered {
    pub(super) loaded: Loaded,
    /// Whether there was anything at all.
    pub(super) anything: bool,
    pub(super) snapshots: Snapshots,
    /// The journals: how far the younger one is whole, and the newest serial in each.
    pub(super) whole_bytes: u64,
    pub(super) newest: u64,
    pub(super) older_newest: u64,
}

/// What is known of the two snapshots.
#[derive(Default)]
pub(super) struct Snapshots {
    /// `state.json`, if it can be used.
    pub(super) current: Option<Current>,
    /// `state.json`, if there is one that can be read, usable or not. Held open, so that no later one looks the same.
    seen: Option<File>,
    /// The serial of `state.json.previous`, where it was needed and could be used.
    pub(super) previous: Option<u64>,
    /// The ones that can't be used.
    pub(super) damaged: Vec<PathBuf>,
}

/// Reads everything that is there.
pub(super) fn recover(folder: &Path) -> Result<Recovered, StoreError> {
    let mut shared = Shared::default();
    let mut notes = Vec::new();
    let (base, snapshots) = read_snapshots(folder, &mut shared, &mut notes)?;
    let current = base.as_ref().filter(|_| snapshots.current.is_some());
    let older = Generation::read(&folder.join(OLDER_JOURNAL_FILE), current, &mut shared, &mut notes)?;
    let younger = Generation::read(&folder.join(JOURNAL_FILE), current, &mut shared, &mut notes)?;

    let lines = || older.lines.iter().chain(&younger.lines);
    let anything = base.is_some() || !snapshots.damaged.is_empty() || lines().next().is_some();
    let (state, applied) = replay(base, lines(), !snapshots.damaged.is_empty(), &mut notes);
    Ok(Recovered {
        anything,
        whole_bytes: younger.whole_bytes,
        newest: younger.newest(&state.lineage),
        older_newest: older.newest(&state.lineage),
        loaded: Loaded { state, notes, unpublished: applied || (anything && snapshots.current.is_none()) },
        snapshots,
    })
}

/// The newest snapshot that can be used.
fn read_snapshots(
    folder: &Path,
    shared: &mut Shared,
    notes: &mut Vec<Note>,
) -> Result<(Option<State>, Snapshots), StoreError> {
    let mut found = Snapshots::default();
    let path = folder.join(STATE_FILE);
    match read_snapshot(&path, shared, notes)? {
        Snapshot::Usable(state, file) => {
            let identity = Identity::of(&file.metadata().map_err(StoreError::io("look at", &path))?);
            found.current = Some(Current { serial: state.serial, identity });
            found.seen = Some(file);
            return Ok((Some(state), found));
        }
        Snapshot::Damaged(file) => {
            found.seen = file;
            found.damaged.push(path);
        }
        Snapshot::Absent => {}
    }
    let path = folder.join(PREVIOUS_FILE);
    match read_snapshot(&path, shared, notes)? {
        Snapshot::Usable(state, _) => {
            if found.damaged.is_empty() {
                notes.push(Note::MissingSnapshot);
            }
            found.previous = Some(state.serial);
            return Ok((Some(state), found));
        }
        Snapshot::Damaged(_) => found.damaged.push(path),
        Snapshot::Absent => {}
    }
    Ok((None, found))
}

enum Snapshot {
    Absent,
    Usable(State, File),
    Damaged(Option<File>),
}

fn read_snapshot(path: &Path, shared: &mut Shared, notes: &mut Vec<Note>) -> Result<Snapshot, StoreError> {
    let damage = |reason: String| Note::DamagedSnapshot { file: path.to_owned(), reason };
    let (text, file) = match own_file::read_and_hold(path, u64::MAX) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Snapshot::Absent),
        // A disk that can't give a file back any more: the same as one that gives back nonsense.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            notes.push(damage(error.to_string()));
            return Ok(Snapshot::Damaged(own_file::open(path, OpenOptions::new().read(true)).ok()));
        }
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    match decode(&text, shared) {
        Ok(decoded) => {
            if !decoded.sealed {
                notes.push(Note::NoChecksum { file: path.to_owned() });
            }
            Ok(Snapshot::Usable(decoded.state, file))
        }
        Err(error) if error.is_damage() => {
            notes.push(damage(error.to_string()));
            Ok(Snapshot::Damaged(Some(file)))
        }
        Err(source) => Err(StoreError::Format { path: path.to_owned(), source }),
    }
}

/// Applies the lines that are newer than the snapshot. Says whether they changed anything.
fn replay<'a>(
    base: Option<State>,
    lines: impl Iterator<Item = &'a Line> + Clone,
    damaged: bool,
    notes: &mut Vec<Note>,
) -> (State, bool) {
    let from_nothing = base.is_none();
    let mut state = base.unwrap_or_else(|| State {
        // Without a snapshot the newest line tells which history this is, and without a line a new one begins.
        lineage: lines.clone().last().map_or_else(new_lineage, |line| Arc::clone(&line.lineage)),
        serial: 0,
        root: None,
        records: Records::default(),
    });
    let mut foreign = 0;
    let mut gaps = Vec::new();
    let mut applied = false;
    let mut changed = BTreeMap::new();
    for Line { lineage, change } in lines {
        if *lineage != state.lineage {
            foreign += 1;
        } else if change.serial > state.serial {
            if change.serial > state.serial + 1 {
                gaps.push(Note::Gap { first: state.serial + 1, last: change.serial - 1 });
            }
            state.serial = change.serial;
            // A snapshot may hold what was recorded only after it: then its readers lack nothing.
            let before = changed.insert(change.key.clone(), change.record.clone());
            let before = before.unwrap_or_else(|| state.records.get(&change.key).cloned());
            applied |= before != change.record;
        }
    }
    if !changed.is_empty() {
        state.records = state.records.with(changed);
    }
    if foreign > 0 {
        notes.push(Note::OtherHistory { lines: foreign });
    }
    if from_nothing && (!gaps.is_empty() || (damaged && !applied)) {
        notes.push(Note::Incomplete { entries: state.records.len() });
    } else {
        notes.append(&mut gaps);
    }
    (state, applied)
}

fn new_lineage() -> Arc<str> {
    uuid::Uuid::new_v4().to_string().into()
}
