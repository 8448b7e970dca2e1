//! The store against its promises: nothing recorded is lost, and what is read is whole or said to be otherwise.

mod crash;
mod damage;
mod processes;
mod refusals;

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::domain::records::Records;
use crate::domain::state::State;
use crate::domain::state_format::encode;
use crate::domain::state_format::testing::{key, live};

/// A folder to keep state in, which does not exist yet. In memory where that can be had: thousands of syncs take
/// their time on a disk, and show nothing here that they would not show in memory.
fn nowhere() -> (TempDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let above = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let folder = above.path().join("state");
    (above, folder)
}

fn open_and_load(folder: &Path) -> (FolderStore, Loaded) {
    let mut store = FolderStore::open(folder).unwrap();
    let loaded = store.load().unwrap();
    (store, loaded)
}

/// What a process would find that starts now.
fn load(folder: &Path) -> Loaded {
    open_and_load(folder).1
}

#[expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]
fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap();
}

/// A copy of a folder's files, as a crash at this moment would leave them.
fn copy_of(folder: &Path) -> (TempDir, PathBuf) {
    let (above, copy) = nowhere();
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    (above, copy)
}

/// The change with this serial in the story that these tests tell: uploads, renewals and removals of a few entries.
fn change(serial: u64) -> Change {
    let record = (!serial.is_multiple_of(7)).then(|| live(&format!("version-{serial}")));
    Change { serial, key: key(&format!("{}.png", serial % 3), "bandwidth"), record }
}

/// The state after that change.
fn state_after(lineage: &Arc<str>, serial: u64) -> State {
    let changes = (1..=serial).map(change).map(|change| (change.key, change.record));
    State { lineage: Arc::clone(lineage), serial, root: None, records: Records::default().with(changes) }
}

/// A folder with both snapshots and both journals: previous 3, current 6, journals 4..6 and 7..9.
fn full_folder() -> (TempDir, PathBuf, Arc<str>) {
    let (above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    let lineage = loaded.state.lineage;
    for serial in 1..=9 {
        store.record(&[change(serial)]).unwrap();
        if serial == 3 || serial == 6 {
            store.publish(&state_after(&lineage, serial)).unwrap();
        }
    }
    (above, folder, lineage)
}

#[test]
fn what_is_recorded_and_published_comes_back() {
    let (_above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    assert_eq!((loaded.state.serial, loaded.unpublished, loaded.notes.len()), (0, false, 0));
    let lineage = loaded.state.lineage;
    store.record(&[change(1), change(2)]).unwrap();
    drop(store);

    let (mut store, loaded) = open_and_load(&folder);
    assert_eq!(loaded.state, state_after(&lineage, 2));
    assert!(loaded.unpublished && loaded.notes.is_empty());
    let published = store.publish(&loaded.state).unwrap();
    let text = std::fs::read(folder.join(STATE_FILE)).unwrap();
    assert_eq!(published, Published { serial: 2, bytes: text.len() as u64 });
    assert_eq!(text, encode(&loaded.state));
    drop(store);

    let loaded = load(&folder);
    assert_eq!(loaded.state, state_after(&lineage, 2));
    assert!(!loaded.unpublished && loaded.notes.is_empty());
}

#[test]
fn what_a_snapshot_held_before_it_was_recorded_is_not_published_again() {
    let (_above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    let state = state_after(&loaded.state.lineage, 1);
    store.publish(&state).unwrap();
    store.record(&[Change { serial: 2, ..change(1) }]).unwrap();
    drop(store);
    let loaded = load(&folder);
    assert_eq!((loaded.state.serial, loaded.unpublished), (2, false));
    assert_eq!(loaded.state.records, state.records);
}

#[test]
fn every_folder_has_a_history_of_its_own() {
    let (one, other) = (nowhere(), nowhere());
    assert_ne!(load(&one.1).state.lineage, load(&other.1).state.lineage);
}

#[test]
fn the_journal_is_cut_behind_the_previous_snapshot() {
    let (_above, folder, lineage) = full_folder();
    let serials = |name: &str| -> Vec<u64> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| line["serial"].as_u64().unwrap()).collect()
    };
    assert_eq!(serials(OLDER_JOURNAL_FILE), [4, 5, 6]);
    assert_eq!(serials(JOURNAL_FILE), [7, 8, 9]);
    assert_eq!(std::fs::read(folder.join(STATE_FILE)).unwrap(), encode(&state_after(&lineage, 6)));
    assert_eq!(std::fs::read(folder.join(PREVIOUS_FILE)).unwrap(), encode(&state_after(&lineage, 3)));

    // A publication that knows less than was recorded drops nothing that it does not know.
    let (mut store, _) = open_and_load(&folder);
    store.publish(&state_after(&lineage, 8)).unwrap();
    assert_eq!(serials(OLDER_JOURNAL_FILE), [7, 8, 9]);
    store.record(&[change(10)]).unwrap();
    store.publish(&state_after(&lineage, 8)).unwrap();
    assert_eq!((serials(OLDER_JOURNAL_FILE), serials(JOURNAL_FILE)), (vec![7, 8, 9], vec![10]));
    drop(store);
    assert_eq!(load(&folder).state, state_after(&lineage, 10));
}

#[test]
fn only_what_belongs_there_is_left_in_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let (_above, folder, _) = full_folder();
    let mode = |name: &str| folder.join(name).metadata().unwrap().permissions().mode() & 0o777;
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".gitignore", "journal", "journal.1", "lock", "state.json", "state.json.previous"]);
    assert_eq!((mode("."), mode("state.json"), mode("state.json.previous")), (0o755, 0o644, 0o644));
    assert_eq!(std::fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
    assert_eq!(std::fs::read_to_string(folder.join("lock")).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn a_vanished_folder_is_made_again_by_the_next_publication() {
    let (_above, folder, lineage) = full_folder();
    let (mut store, _) = open_and_load(&folder);
    for round in 0..2 {
        std::fs::remove_dir_all(&folder).unwrap();
        let serial = 10 + 3 * round;
        assert!(matches!(store.record(&[change(serial)]), Err(StoreError::NeedsPublish { .. })));
        assert!(!folder.exists());
        store.publish(&state_after(&lineage, serial)).unwrap();
        store.record(&[change(serial + 1)]).unwrap();
        store.publish(&state_after(&lineage, serial + 1)).unwrap();
        store.record(&[change(serial + 2)]).unwrap();
        let loaded = read_only(&folder).unwrap().unwrap();
        assert_eq!(loaded.state, state_after(&lineage, serial + 2));
        assert_eq!(loaded.notes, []);
        assert!(matches!(FolderStore::open(&folder), Err(OpenError::Locked { .. })));
    }
}

#[test]
fn files_that_vanish_one_by_one_cost_nothing() {
    for lost in
        [vec![STATE_FILE], vec![JOURNAL_FILE], vec!["lock"], vec![JOURNAL_FILE, "lock"], vec![PREVIOUS_FILE]]
    {
        let (_above, folder, lineage) = full_folder();
        let (mut store, _) = open_and_load(&folder);
        for file in &lost {
            std::fs::remove_file(folder.join(file)).unwrap();
        }
        for serial in 10..=20 {
            if store.record(&[change(serial)]).is_err() {
                store.publish(&state_after(&lineage, serial)).unwrap();
            }
            let (_copy, copy) = copy_of(&folder);
            assert_eq!(load(&copy).state, state_after(&lineage, serial), "{lost:?}, {serial}");
        }
    }
}

#[test]
fn a_folder_that_somebody_else_took_is_left_to_them() {
    let (_above, folder, lineage) = full_folder();
    let (mut store, _) = open_and_load(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    let (mut other, _) = open_and_load(&folder);
    other.record(&[change(1)]).unwrap();
    let pid = Some(std::process::id());
    let lost = |result| matches!(result, Err(StoreError::LockLost { pid: holder }) if holder == pid);
    assert!(lost(store.publish(&state_after(&lineage, 9))));
    assert!(!folder.join(STATE_FILE).exists());
}

#[test]
fn a_folder_taken_anew_stays_strange_until_a_state_is_published_there() {
    let (_above, folder, lineage) = full_folder();
    let (_strange_above, strange, _) = full_folder();
    let (mut store, _) = open_and_load(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    // Somebody puts another folder there, with a journal and a lock of its own.
    let (_copy, copy) = copy_of(&strange);
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(copy).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let mut armed = true;
    store.steps.hook = Some(Box::new(move |_| {
        if std::mem::take(&mut armed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }));
    assert!(matches!(store.publish(&state_after(&lineage, 9)), Err(StoreError::Io { .. })));
    assert!(matches!(store.record(&[change(10)]), Err(StoreError::NeedsPublish { .. })));
    for serial in [10, 12] {
        store.publish(&state_after(&lineage, serial)).unwrap();
        store.record(&[change(serial + 1)]).unwrap();
        let (_copy, copy) = copy_of(&folder);
        let loaded = load(&copy);
        assert_eq!((loaded.state, &loaded.notes[..]), (state_after(&lineage, serial + 1), &[][..]));
    }
    assert!(folder.join("journal.broken-1").exists(), "what was strange is kept");
}

#[test]
fn stale_temporary_files_are_removed_and_young_ones_are_not() {
    let (_above, folder, _) = full_folder();
    let (stale, young) = (folder.join(".mediakeep-tmp-old"), folder.join(".mediakeep-tmp-new"));
    for path in [&stale, &young] {
        write(path, "half");
    }
    let file = std::fs::File::options().write(true).open(&stale).unwrap();
    file.set_modified(young.metadata().unwrap().modified().unwrap() - std::time::Duration::from_secs(61))
        .unwrap();
    load(&folder);
    assert_eq!((stale.exists(), young.exists()), (false, true));
}

#[test]
fn reading_alone_changes_and_makes_nothing() {
    let (above, folder) = nowhere();
    assert!(read_only(&folder).unwrap().is_none());
    assert_eq!(std::fs::read_dir(above.path()).unwrap().count(), 0);

    let (_above, folder, lineage) = full_folder();
    let torn = folder.join(JOURNAL_FILE);
    let text = std::fs::read(&torn).unwrap();
    write(&torn, &text[..text.len() - 1]);
    write(folder.join(PREVIOUS_FILE), "damaged");
    let names = || std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let before: Vec<_> = names().into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    let loaded = read_only(&folder).unwrap().unwrap();
    assert_eq!((loaded.state, loaded.unpublished), (state_after(&lineage, 8), true));
    assert_eq!(loaded.notes, []);
    let after: Vec<_> = names().into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    assert_eq!(before, after);
}
