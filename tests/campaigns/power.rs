//! The power goes off: a file system on an image of its own is shut down hard while the state is written, and mounted again.
//!
//! Needs root, loop devices and `xfs_io`; says loudly where it can't be tried.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mediakeep::domain::asset::{EntryKey, ProviderName, RelPath};
use mediakeep::domain::records::Records;
use mediakeep::domain::state::{Change, Record, State, Trouble};
use mediakeep::domain::time::Timestamp;
use mediakeep::local::state_store::{self, FolderStore, StateStore as _};
use tempfile::TempDir;

use crate::scale::{Dice, scale, tell};
use crate::stage::{pause, skip};

/// How many changes are recorded from one publication to the next.
const PUBLISH_EVERY: u64 = 20;
const FILE_SYSTEMS: [(&str, u64); 2] = [("ext4", 64 << 20), ("xfs", 320 << 20)];

/// A file system of its own, mounted until it is dropped.
struct Disk {
    place: TempDir,
}

impl Disk {
    fn new(kind: &str, bytes: u64) -> Option<Self> {
        let disk = Self { place: tempfile::tempdir().unwrap() };
        File::create(disk.image()).unwrap().set_len(bytes).unwrap();
        fs::create_dir(disk.root()).unwrap();
        let force = if kind == "xfs" { "-f" } else { "-F" };
        let made = runs(Command::new(format!("mkfs.{kind}")).args(["-q", force]).arg(disk.image()));
        (made && runs(Command::new("xfs_io").arg("-V")) && disk.mount()).then_some(disk)
    }

    fn image(&self) -> PathBuf {
        self.place.path().join("image")
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    fn mount(&self) -> bool {
        runs(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))
    }

    /// From now on nothing reaches the disk, and what only memory held is gone.
    fn cut(&self) {
        assert!(runs(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(self.root())));
    }

    /// After a cut: as the next boot finds it. A program that another test is just starting has a copy of every file that
    /// is open here, for a moment: that long this one is busy.
    fn boot(&self) {
        let unmounted = || runs(Command::new("umount").arg(self.root()));
        let mut tries = 0;
        while !unmounted() {
            tries += 1;
            assert!(tries < 200, "{} stays busy", self.root().display());
            pause(Duration::from_millis(50));
        }
        assert!(self.mount());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = runs(Command::new("umount").arg("-l").arg(self.root()));
    }
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The change with this serial, which tells it.
fn change(serial: u64) -> Change {
    let trouble = Trouble {
        kind: "blocked".into(),
        detail: format!("serial {serial}").into(),
        since: Timestamp::from_unix_ms(1_700_000_000_000),
        attempts: 1,
        next_try: None,
    };
    let key = EntryKey {
        path: RelPath::new(&format!("{}.png", serial % 7)).unwrap(),
        provider: ProviderName::new("bandwidth").unwrap(),
    };
    Change {
        serial,
        key,
        record: Some(Arc::new(Record { trouble: Some(Box::new(trouble)), ..Record::default() })),
    }
}

fn records_after(serial: u64) -> Records {
    let changes = (serial.saturating_sub(6).max(1)..=serial).map(change);
    changes.filter_map(|change| Some((change.key, change.record?))).collect()
}

/// Records and publishes until the disk refuses; tells the serial that was made durable last.
fn keep_state(folder: &Path, acknowledged: &AtomicU64) {
    let mut store = FolderStore::open(folder).unwrap();
    let lineage = store.load().unwrap().state.lineage;
    for serial in 1.. {
        if store.record(&[change(serial)]).is_err() {
            return;
        }
        acknowledged.store(serial, Ordering::SeqCst);
        let state =
            State { lineage: Arc::clone(&lineage), serial, root: None, records: records_after(serial) };
        if serial.is_multiple_of(PUBLISH_EVERY) && store.publish(&state).is_err() {
            return;
        }
        // Most cuts are to come while the journal alone has what is newest.
        pause(Duration::from_micros(300));
    }
}

/// The same without any sync: a temporary file, and a rename.
fn keep_state_carelessly(folder: &Path, acknowledged: &AtomicU64) {
    fs::create_dir(folder).unwrap();
    let (beside, shown) = (folder.join("state.json.new"), folder.join("state.json"));
    for serial in 1_u64.. {
        let written = File::create(&beside).and_then(|mut file| write!(file, "{serial}"));
        if written.is_err() || rustix::fs::rename(&beside, &shown).is_err() {
            return;
        }
        acknowledged.store(serial, Ordering::SeqCst);
        pause(Duration::from_micros(300));
    }
}

/// Cuts the power at some moment while `writer` writes; the folder as it is found, and what had been acknowledged.
fn cut_while(disk: &Disk, number: usize, dice: &mut Dice, writer: fn(&Path, &AtomicU64)) -> (PathBuf, u64) {
    let folder = disk.root().join(format!("state-{number}"));
    let acknowledged = AtomicU64::new(0);
    let known = std::thread::scope(|scope| {
        let writing = scope.spawn(|| writer(&folder, &acknowledged));
        while acknowledged.load(Ordering::SeqCst) == 0 && !writing.is_finished() {
            pause(Duration::from_millis(1));
        }
        pause(dice.millis_below(300));
        // Only what is known before the cut counts.
        let known = acknowledged.load(Ordering::SeqCst);
        disk.cut();
        known
    });
    disk.boot();
    (folder, known)
}

#[test]
fn no_power_cut_loses_what_was_recorded_or_tears_what_is_read() {
    for (kind, bytes) in FILE_SYSTEMS {
        let Some(disk) = Disk::new(kind, bytes) else {
            skip(&format!(
                "no {kind} can be made, mounted and shut down here (root; Debian package: xfsprogs)"
            ));
            continue;
        };
        let (cuts, mut dice) = (scale(8, 200), Dice::new());
        let (mut recorded, seed) = (0, dice.seed);
        for number in 0..cuts {
            let (folder, known) = cut_while(&disk, number, &mut dice, keep_state);
            let loaded = state_store::read_only(&folder).unwrap().unwrap();
            let State { serial, records, .. } = loaded.state;
            assert!(serial >= known, "{kind}, cut {number}: {known} was recorded, {serial} is left");
            assert_eq!(records, records_after(serial), "{kind}, cut {number}: {:?}", loaded.notes);
            // Readers look at this file alone; it comes with the first publication.
            if known > PUBLISH_EVERY {
                let text = fs::read(folder.join("state.json")).unwrap();
                let whole = serde_json::from_slice::<serde_json::Value>(&text);
                assert!(whole.is_ok(), "{kind}, cut {number}: {}", String::from_utf8_lossy(&text));
            }
            recorded += known;
            fs::remove_dir_all(&folder).unwrap();
        }
        tell(&format!(
            "{cuts} power cuts on {kind}, {recorded} changes recorded before them, 0 lost; seed {seed}"
        ));
    }
}

/// The control: without syncs the same cuts lose what was said to be written.
#[test]
fn a_writer_without_syncs_loses_what_it_acknowledged_to_the_same_cuts() {
    for (kind, bytes) in FILE_SYSTEMS {
        let Some(disk) = Disk::new(kind, bytes) else {
            skip(&format!(
                "no {kind} can be made, mounted and shut down here (root; Debian package: xfsprogs)"
            ));
            continue;
        };
        let (cuts, mut dice) = (scale(4, 20), Dice::new());
        let mut lost = 0;
        for number in 0..cuts {
            let (folder, known) = cut_while(&disk, number, &mut dice, keep_state_carelessly);
            let text = fs::read_to_string(folder.join("state.json")).unwrap_or_default();
            lost += usize::from(text.parse().unwrap_or(0) < known);
        }
        assert!(lost * 10 >= cuts * 9, "{kind}: {lost} of {cuts}");
        tell(&format!("{cuts} power cuts on {kind} without syncs: {lost} lost what had been acknowledged"));
    }
}
