//! Bytes of a state of fifty entries are flipped, and its files are cut.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use mediakeep::domain::state::State;
use mediakeep::local::state_store::{self, Loaded, Note};
use tempfile::TempDir;

use crate::scale::{Dice, is_long, tell};
use crate::stage::{LIFE, Stage, files};

const ENTRIES: usize = 50;

/// A folder with both snapshots and both journals of fifty entries.
fn stage_with_state() -> Stage {
    let stage = Stage::with_life(LIFE * 360);
    let accounts = stage
        .accounts()
        .replace("300ms", "10ms")
        .replace("[provider.plivo]", "rate = \"500/s\"\n[provider.plivo]");
    stage.put("media.toml", &(accounts + &files("photos/*.jpg", "bandwidth")));
    for round in 0..3 {
        for number in 0..ENTRIES {
            if round == 0 || number % 3 == round {
                stage.put(&format!("photos/{number}.jpg"), &format!("{number} in round {round}"));
            }
        }
        sync(&stage);
    }
    stage
}

fn sync(stage: &Stage) {
    let output = stage.command(&["sync"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// In memory, where that can be had: tens of thousands of files are written.
fn copy_of(folder: &Path) -> (TempDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let above = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    for name in NAMES {
        fs::copy(folder.join(name), above.path().join(name)).unwrap();
    }
    let path = above.path().to_owned();
    (above, path)
}

const NAMES: [&str; 4] = ["state.json", "state.json.previous", "journal.1", "journal"];

fn write(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Damages a file in every way, and looks each time; returns how often. `bit` says which bit of a byte is flipped at the
/// place of this number.
fn for_each_damage(
    path: &Path,
    bit: impl Fn(usize) -> u32,
    (first, step): (usize, usize),
    mut look: impl FnMut(&str),
) -> usize {
    let right = fs::read(path).unwrap();
    let mut cases = 0;
    for (number, place) in (first..right.len()).step_by(step).enumerate() {
        let mut flipped = right.clone();
        flipped[place] ^= 1 << bit(number);
        for (bytes, how) in [(&flipped[..], "flipped"), (&right[..place], "cut")] {
            write(path, bytes);
            look(&format!("{how} at byte {place} of {}", right.len()));
            cases += 1;
        }
    }
    write(path, &right);
    cases
}

/// Another bit at each place: some give what is no text, or no JSON, and are found without a checksum.
fn each_bit_in_turn(dice: &mut Dice) -> impl Fn(usize) -> u32 + use<> {
    let first = dice.below(8);
    move |number| u32::try_from((first + number as u64) % 8).unwrap()
}

/// What a start would show to readers.
fn urls(state: &State) -> Vec<(String, Option<&str>, String)> {
    let urls = state.records.iter().filter_map(|(key, record)| {
        let handle = record.live()?;
        Some((key.to_string(), handle.url.as_deref(), handle.hash.to_string()))
    });
    urls.collect()
}

fn load(folder: &Path) -> Loaded {
    state_store::read_only(folder).unwrap().unwrap()
}

#[test]
fn a_state_that_is_damaged_at_any_byte_is_found_out_and_costs_no_url() {
    let stage = stage_with_state();
    let journal = stage.beside("state/journal");
    if !journal.exists() {
        // The last publication started a new one, which nothing was written to since.
        write(&journal, b"");
    }
    let (_above, folder) = copy_of(&stage.beside("state"));
    let right = load(&folder);
    assert_eq!((right.state.records.len(), right.notes.len()), (ENTRIES, 0));
    let mut dice = Dice::new();
    let (mut cases, mut found, mut untold) = (0, 0, 0);
    let step = if is_long() { 5 } else { 61 };
    let first = usize::try_from(dice.below(step as u64)).unwrap();
    for name in NAMES {
        cases += for_each_damage(&folder.join(name), each_bit_in_turn(&mut dice), (first, step), |how| {
            let now = load(&folder);
            assert_eq!(urls(&now.state), urls(&right.state), "{name} {how}");
            found += usize::from(!now.notes.is_empty());
            let told = now
                .notes
                .iter()
                .any(|note| matches!(note, Note::DamagedSnapshot { .. } | Note::NoChecksum { .. }));
            untold += usize::from(name == "state.json" && !told);
        });
    }
    // The last newline alone is worth nothing.
    assert!(untold <= 2, "{untold}");
    tell(&format!(
        "{cases} damages to a state of {ENTRIES} entries, {found} of them told, 0 entries lost; seed {}",
        dice.seed
    ));
}

#[test]
fn a_snapshot_alone_that_is_damaged_at_any_byte_never_passes_for_whole() {
    let stage = stage_with_state();
    let (_above, folder) = copy_of_snapshot(&stage.beside("state/state.json"));
    let right = load(&folder);
    let mut dice = Dice::new();
    // Every byte in the long form; in the short one some, beginning with another one each time.
    let step = if is_long() { 1 } else { 23 };
    let first = usize::try_from(dice.below(step as u64)).unwrap();
    let mut unnoticed = 0;
    let cases =
        for_each_damage(&folder.join("state.json"), each_bit_in_turn(&mut dice), (first, step), |how| {
            // Damage to the last newline alone is worth nothing.
            let now = load(&folder);
            if now.notes.is_empty() {
                assert_eq!(urls(&now.state), urls(&right.state), "{how}");
                unnoticed += 1;
            }
        });
    assert!(unnoticed <= 2, "{unnoticed} of {cases}");
    tell(&format!(
        "{cases} damages to a snapshot alone, {unnoticed} of them without a meaning; seed {}",
        dice.seed
    ));
}

fn copy_of_snapshot(file: &Path) -> (TempDir, PathBuf) {
    let above = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::copy(file, above.path().join("state.json")).unwrap();
    let path = above.path().to_owned();
    (above, path)
}

/// The control: a reader that asks only whether it is JSON takes many a flipped byte for good.
#[test]
fn a_reader_without_a_checksum_takes_damage_for_good() {
    let stage = stage_with_state();
    let (_above, folder) = copy_of_snapshot(&stage.beside("state/state.json"));
    let mut fooled = 0;
    for_each_damage(
        &folder.join("state.json"),
        |_| 0,
        (0, 31),
        |_| {
            fooled += usize::from(crate::promises::shown(&folder.join("state.json")).is_ok());
        },
    );
    assert!(fooled > 50, "{fooled}");
}

#[test]
fn a_start_over_a_damaged_state_uploads_each_entry_once_at_most_and_deletes_nothing() {
    let stage = stage_with_state();
    let folder = stage.beside("state");
    let mut dice = Dice::new();
    let cases = if is_long() { 200 } else { 12 };
    let mut uploads = 0;
    for case in 0..cases {
        let file = folder.join("state.json");
        let mut bytes = fs::read(&file).unwrap();
        let place = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
        if case % 2 == 0 {
            bytes.truncate(place);
        } else {
            bytes[place] ^= 0x10;
        }
        write(&file, &bytes);
        if case % 4 < 2 {
            // Nothing is left to recover from.
            for name in &NAMES[1..] {
                drop(fs::remove_file(folder.join(name)));
            }
        }
        stage.control().clear_requests();
        sync(&stage);
        let deletions = stage.control().requests().iter().filter(|sent| sent.method == "DELETE").count();
        assert!(
            stage.uploads() <= ENTRIES && deletions == 0,
            "{} uploads, {deletions} deletions",
            stage.uploads()
        );
        uploads += stage.uploads();
        let shown = crate::promises::kept(&stage, &crate::promises::Shown::new()).unwrap();
        assert_eq!(shown.len(), ENTRIES);
    }
    tell(&format!(
        "{cases} starts over damaged states of {ENTRIES} entries: {uploads} uploads, 0 deletions; seed {}",
        dice.seed
    ));
}
