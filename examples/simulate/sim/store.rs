//! The steps of the real state store, on the simulated disk. Reading is the real thing: what a crash left is written
//! into a real folder, and the real store opens that. A test holds both to each other, file by file.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use mediakeep::domain::state::{Change, State};
use mediakeep::domain::state_format::{Shared, decode_line, encode_line};
use mediakeep::local::state_store::{FolderStore, Loaded, StateStore};

use super::control::Control;
use super::disk::{Disk, Stop};

pub(crate) const STATE: &str = "state.json";
pub(crate) const PREVIOUS: &str = "state.json.previous";
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const OLDER_JOURNAL: &str = "journal.1";
const STAGED: &str = ".staged";
const SECOND_NAME: &str = ".second-name";

#[derive(Debug, Default)]
pub(crate) struct Store {
    lineage: Arc<str>,
    /// Whether the journal's file is there and open.
    open: bool,
    good_bytes: usize,
    newest: u64,
    older_newest: u64,
    unusable: bool,
    /// The serial of the snapshot that is shown, and of the one before it, as far as they are known.
    current: Option<u64>,
    previous: Option<u64>,
    control: Control,
}

impl Store {
    /// Opens what is on the disk; `scratch` is an empty folder for the real store to read it from.
    pub(crate) fn open(
        disk: &mut Disk,
        scratch: &Path,
        control: Control,
    ) -> Result<(Self, Loaded, bool), String> {
        disk.remove(STAGED);
        disk.remove(SECOND_NAME);
        let files = disk.read_all();
        let loaded = read(scratch, &files)?;
        let lines = |name: &str| {
            let bytes = files.iter().find(|(other, _)| other == name).map(|(_, bytes)| &bytes[..]);
            journal_lines(bytes.unwrap_or_default(), &loaded.state.lineage)
        };
        let ((whole, newest), (_, older_newest)) = (lines(JOURNAL), lines(OLDER_JOURNAL));
        let usable = |name| disk.snapshot(name).map(|state| state.serial);
        let current = usable(STATE);
        let store = Self {
            lineage: loaded.state.lineage.clone(),
            open: disk.has(JOURNAL),
            good_bytes: whole,
            newest,
            older_newest,
            unusable: false,
            current,
            previous: if current.is_none() { usable(PREVIOUS) } else { None },
            control,
        };
        disk.cut(JOURNAL, whole);
        Ok((store, loaded, !files.is_empty()))
    }

    /// Where there was nothing yet, the history gets a name that is the same in every run.
    pub(crate) fn begin(&mut self, lineage: &Arc<str>) {
        self.lineage = lineage.clone();
    }

    pub(crate) fn record(&mut self, disk: &mut Disk, changes: &[Change]) -> Result<(), Stop> {
        let is_unlucky = |change: &Change| change.serial.is_multiple_of(5);
        if self.control == Control::DropRecords && changes.iter().any(is_unlucky) {
            return Ok(());
        }
        if self.unusable {
            return Err(Stop::Refused);
        }
        let mut text = Vec::new();
        for change in changes {
            encode_line(&mut text, &self.lineage, change);
        }
        self.append(disk, &text).inspect_err(|stop| {
            if *stop == Stop::Refused {
                disk.cut(JOURNAL, self.good_bytes);
            }
        })?;
        if let Err(stop) = disk.sync(JOURNAL) {
            if stop == Stop::Refused {
                self.unusable = true;
                disk.cut(JOURNAL, self.good_bytes);
            }
            return Err(stop);
        }
        self.good_bytes += text.len();
        self.newest = changes.iter().map(|change| change.serial).fold(self.newest, u64::max);
        Ok(())
    }

    fn append(&mut self, disk: &mut Disk, text: &[u8]) -> Result<(), Stop> {
        if !self.open {
            disk.create(JOURNAL)?;
            disk.sync_names()?;
            self.open = true;
            self.good_bytes = 0;
        }
        disk.append(JOURNAL, text)
    }

    pub(crate) fn publish(&mut self, disk: &mut Disk, state: Arc<State>) -> Result<(), Stop> {
        let serial = state.serial;
        if self.control == Control::WriteInPlace {
            disk.write_snapshot(STATE, state)?;
            disk.sync(STATE)?;
        } else {
            self.show(disk, state).inspect_err(|stop| {
                if *stop == Stop::Refused {
                    disk.remove(STAGED);
                }
            })?;
        }
        self.current = Some(serial);
        disk.sync_names()?;
        self.rotate(disk)
    }

    fn show(&mut self, disk: &mut Disk, state: Arc<State>) -> Result<(), Stop> {
        disk.write_snapshot(STAGED, state)?;
        disk.sync(STAGED)?;
        if let Some(current) = self.current {
            disk.link(STATE, SECOND_NAME)?;
            disk.rename(SECOND_NAME, PREVIOUS)?;
            self.previous = Some(current);
        }
        disk.rename(STAGED, STATE)
    }

    fn rotate(&mut self, disk: &mut Disk) -> Result<(), Stop> {
        let nothing_to_do = self.good_bytes == 0 && !self.unusable;
        if nothing_to_do || self.older_newest > self.previous.unwrap_or(0) {
            return Ok(());
        }
        if disk.has(JOURNAL) {
            disk.rename(JOURNAL, OLDER_JOURNAL)?;
            self.older_newest = self.newest;
        }
        (self.open, self.good_bytes, self.newest, self.unusable) = (false, 0, 0, false);
        Ok(())
    }
}

/// Up to where a journal consists of whole lines, and the newest serial of this history in it.
fn journal_lines(bytes: &[u8], lineage: &str) -> (usize, u64) {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let mut shared = Shared::default();
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| decode_line(&line[..line.len() - 1], &mut shared).ok());
    let ours = lines.filter(|line| *line.lineage == *lineage);
    (whole, ours.map(|line| line.change.serial).max().unwrap_or(0))
}

/// Lets the real store read these files.
fn read(scratch: &Path, files: &[(String, Vec<u8>)]) -> Result<Loaded, String> {
    let failed = |error: &dyn std::error::Error| format!("{error} ({})", scratch.display());
    for entry in scratch.read_dir().map_err(|error| failed(&error))?.flatten() {
        std::fs::remove_file(entry.path()).map_err(|error| failed(&error))?;
    }
    for (name, bytes) in files {
        let mut file = File::create(scratch.join(name)).map_err(|error| failed(&error))?;
        file.write_all(bytes).map_err(|error| failed(&error))?;
    }
    let mut store = FolderStore::open(scratch).map_err(|error| failed(&error))?;
    store.load().map_err(|error| failed(&error))
}
