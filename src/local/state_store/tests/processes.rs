//! Other processes: readers, a second writer, and a kill that nothing can be done about.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const FOLDER: &str = "MEDIAKEEP_TEST_STATE_FOLDER";
const TASK: &str = "MEDIAKEEP_TEST_TASK";

/// Starts this test program again, as another process with the store in `folder`.
fn another_process(folder: &Path, task: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["local::state_store::tests::processes::what_the_other_process_does", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(TASK, task)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The next serial that the other process says is safe.
fn next_acknowledged(output: &mut impl BufRead) -> u64 {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the other process ended");
        if let Some(serial) = line.trim().strip_prefix("safe ") {
            return serial.parse().unwrap();
        }
    }
}

/// Does nothing when it is run as a test; [`another_process`] gives it a folder and a task.
#[test]
fn what_the_other_process_does() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (mut store, loaded) = open_and_load(Path::new(&folder));
    let lineage = loaded.state.lineage;
    println!("\nsafe {}", loaded.state.serial);
    if std::env::var(TASK).is_ok_and(|task| task == "hold") {
        let _ = io::stdin().read(&mut [0]);
        return;
    }
    for serial in loaded.state.serial + 1..100_000 {
        store.record(&[change(serial)]).unwrap();
        println!("safe {serial}");
        if serial % 3 == 0 {
            store.publish(&state_after(&lineage, serial)).unwrap();
        }
    }
}

#[test]
fn a_second_process_is_refused_with_the_holders_id_until_that_is_killed() {
    let (_above, folder) = nowhere();
    let (mut child, mut output) = another_process(&folder, "hold");
    next_acknowledged(&mut output);
    let Err(OpenError::Locked { pid, .. }) = FolderStore::open(&folder) else { panic!("opened") };
    assert_eq!(pid, Some(child.id()));
    assert!(read_only(&folder).unwrap().is_none(), "reading needs no lock");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(FolderStore::open(&folder).is_ok());
}

#[test]
fn a_killed_process_loses_nothing_that_it_called_safe() {
    let (_above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    let lineage = loaded.state.lineage;
    store.publish(&state_after(&lineage, 0)).unwrap();
    drop(store);
    let mut safe = 0;
    for round in 0..15 {
        let (mut child, mut output) = another_process(&folder, "write");
        for _ in 0..=(round * 5 % 17) {
            safe = next_acknowledged(&mut output);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        let said = rest.lines().filter_map(|line| line.strip_prefix("safe ")?.parse().ok());
        safe = said.fold(safe, u64::max);

        let loaded = load(&folder);
        assert!(loaded.state.serial >= safe && loaded.state.serial <= safe + 1, "round {round}");
        assert_eq!(loaded.state, state_after(&lineage, loaded.state.serial), "round {round}");
        let loud = loaded.notes.iter().filter(|note| !matches!(note, Note::TornTail { .. }));
        assert_eq!(loud.count(), 0, "{:?}", loaded.notes);
    }
    assert!(safe > 60, "{safe}");
}

/// How many changes the writer records while others read.
const WRITES: u64 = 300;

#[test]
fn readers_see_a_whole_state_whatever_the_writer_does() {
    let (_above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    let lineage = loaded.state.lineage;
    let history: Vec<_> = (0..=WRITES).map(|serial| state_after(&lineage, serial)).collect();
    store.publish(&history[0]).unwrap();
    let (done, reads, published) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) || reads.load(Ordering::Relaxed) < 2_000 {
                    let at_least = published.load(Ordering::SeqCst);
                    let loaded = read_only(&folder).unwrap().unwrap();
                    assert_eq!(loaded.notes, []);
                    let serial = usize::try_from(loaded.state.serial).unwrap();
                    assert!(serial >= at_least, "{serial} after {at_least}");
                    assert_eq!(loaded.state, history[serial]);
                    let text = std::fs::read(folder.join(STATE_FILE)).unwrap();
                    serde_json::from_slice::<serde_json::Value>(&text).unwrap();
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for serial in 1..=WRITES {
            store.record(&[change(serial)]).unwrap();
            if serial % 2 == 0 {
                let index = usize::try_from(serial).unwrap();
                store.publish(&history[index]).unwrap();
                published.store(index, Ordering::SeqCst);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(reads.into_inner() >= 2_000);
}
