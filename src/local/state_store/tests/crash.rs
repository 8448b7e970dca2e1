//! A crash or a failure between any two operations.

use std::sync::Mutex;

use super::super::fault::{Hook, Step};
use super::*;

/// Recorded in batches, published now and then: the story's serials, and what happens after each batch.
const STORY: [(std::ops::RangeInclusive<u64>, bool); 8] = [
    (1..=1, false),
    (2..=4, true),
    (5..=5, true),
    (6..=7, false),
    (8..=8, true),
    (9..=9, true),
    (10..=10, false),
    (11..=13, false),
];

/// Tells the story to a store as a daemon would: what can't be recorded is published. `acknowledged` hears up to
/// which serial the store said yes, before and after each call, and whether the journal took all of it.
fn tell(store: &mut FolderStore, lineage: &Arc<str>, mut acknowledged: impl FnMut(u64, u64, bool)) {
    let mut known = 0;
    let mut all_recorded = true;
    for (serials, publish) in STORY {
        let newest = *serials.end();
        let changes: Vec<_> = serials.map(change).collect();
        acknowledged(known, newest, all_recorded);
        let recorded = store.record(&changes).is_ok();
        all_recorded &= recorded;
        if recorded {
            known = newest;
            acknowledged(known, newest, all_recorded);
        }
        if publish || !recorded {
            let done = (0..4).any(|_| store.publish(&state_after(lineage, newest)).is_ok());
            assert!(done, "a publication fails again and again");
            known = newest;
            acknowledged(known, newest, all_recorded);
        }
    }
}

/// Checks what a start would find in a folder: a whole state, neither older than what was acknowledged nor newer
/// than what was asked for.
fn assert_nothing_lost(folder: &Path, lineage: &Arc<str>, at_least: u64, at_most: u64, what: &str) -> Loaded {
    let loaded = load(folder);
    let serial = loaded.state.serial;
    assert!((at_least..=at_most).contains(&serial), "{what}: {serial} is not in {at_least}..={at_most}");
    // Until the first change is safe there is no history that could go on.
    let lineage = if at_least == 0 { &loaded.state.lineage } else { lineage };
    assert_eq!(loaded.state, state_after(lineage, serial), "{what}");
    loaded
}

/// What each place in the story would leave, with the serials that must and may be in it.
struct Moment {
    step: Step,
    folder: (TempDir, PathBuf),
    at_least: u64,
    at_most: u64,
}

fn every_moment() -> (Vec<Moment>, Arc<str>) {
    let (_above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    let lineage = loaded.state.lineage;
    let moments = Arc::new(Mutex::new(Vec::new()));
    let bounds = Arc::new(Mutex::new((0, 0)));
    store.steps.hook = Some(looking_hook(folder, Arc::clone(&moments), Arc::clone(&bounds)));
    tell(&mut store, &lineage, |at_least, at_most, _| *bounds.lock().unwrap() = (at_least, at_most));
    drop(store);
    (Arc::into_inner(moments).unwrap().into_inner().unwrap(), lineage)
}

fn looking_hook(folder: PathBuf, moments: Arc<Mutex<Vec<Moment>>>, bounds: Arc<Mutex<(u64, u64)>>) -> Hook {
    Box::new(move |step| {
        let (at_least, at_most) = *bounds.lock().unwrap();
        let folder = copy_of(&folder);
        moments.lock().unwrap().push(Moment { step, folder, at_least, at_most });
        Ok(())
    })
}

#[test]
fn a_kill_between_any_two_operations_loses_nothing() {
    let (moments, lineage) = every_moment();
    assert!(moments.len() > 40, "{}", moments.len());
    for (index, moment) in moments.iter().enumerate() {
        let what = format!("moment {index}, before {:?}", moment.step);
        let folder = &moment.folder.1;
        let (_copy, copy) = copy_of(folder);
        let loaded = assert_nothing_lost(&copy, &lineage, moment.at_least, moment.at_most, &what);
        assert_eq!(loaded.notes, [], "{what}");

        // Either snapshot with the journals is the whole state.
        let (_copy, copy) = copy_of(folder);
        if copy.join(STATE_FILE).exists() {
            write(copy.join(STATE_FILE), "{");
            let loaded = assert_nothing_lost(&copy, &lineage, moment.at_least, moment.at_most, &what);
            assert!(!loaded.notes.is_empty() && loaded.unpublished, "{what}");
            assert!(
                !loaded.notes.iter().any(|note| matches!(note, Note::Incomplete { .. } | Note::Gap { .. }))
            );
        }
    }
}

#[test]
fn the_state_file_is_there_and_whole_at_every_instant() {
    let (moments, _) = every_moment();
    let mut seen = false;
    for moment in moments {
        match std::fs::read(moment.folder.1.join(STATE_FILE)) {
            Ok(text) => {
                crate::domain::state_format::decode(
                    &text,
                    &mut crate::domain::state_format::Shared::default(),
                )
                .unwrap();
                seen = true;
            }
            Err(error) => assert!(!seen, "before {:?}: {error}", moment.step),
        }
    }
    assert!(seen);
}

#[test]
fn a_torn_append_leaves_the_lines_before_it() {
    let (moments, lineage) = every_moment();
    let mut cases = 0;
    for moment in moments.iter().filter(|moment| moment.step == Step::SyncJournal) {
        let (_copy, copy) = copy_of(&moment.folder.1);
        let journal = copy.join(JOURNAL_FILE);
        let text = std::fs::read(&journal).unwrap();
        for length in acknowledged_bytes(&text, moment.at_least)..text.len() {
            let whole = length == 0 || text[length - 1] == b'\n';
            for tail in [&b""[..], &[0; 40]] {
                write(&journal, [&text[..length], tail].concat());
                let loaded = recover::recover(&copy).unwrap().loaded;
                assert!((moment.at_least..=moment.at_most).contains(&loaded.state.serial), "{length}");
                let lineage = if moment.at_least == 0 { &loaded.state.lineage } else { &lineage };
                assert_eq!(loaded.state, state_after(lineage, loaded.state.serial), "{length}");
                let torn = matches!(loaded.notes[..], [Note::TornTail { .. }]);
                assert_eq!(torn, !whole || !tail.is_empty(), "{length}: {:?}", loaded.notes);
                cases += 1;
            }
        }
    }
    assert!(cases > 5_000, "{cases}");
}

#[test]
fn what_comes_after_a_torn_append_is_not_appended_to_it() {
    for cut in [1, 2, 30, 200] {
        let (_above, folder, lineage) = full_folder();
        let journal = folder.join(JOURNAL_FILE);
        let text = std::fs::read(&journal).unwrap();
        write(&journal, &text[..text.len() - cut]);
        let (mut store, loaded) = open_and_load(&folder);
        assert_eq!(loaded.state, state_after(&lineage, 8));
        assert!(matches!(loaded.notes[..], [Note::TornTail { .. }]));
        store.record(&[change(9)]).unwrap();
        drop(store);
        let loaded = load(&folder);
        assert_eq!((loaded.state, &loaded.notes[..]), (state_after(&lineage, 9), &[][..]), "{cut}");
    }
}

/// How long the journal was when everything up to `serial` was in it.
fn acknowledged_bytes(text: &[u8], serial: u64) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let known = lines.take_while(|line| {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        line["serial"].as_u64().unwrap() <= serial
    });
    known.map(<[u8]>::len).sum()
}

#[test]
fn a_power_cut_that_keeps_only_some_of_the_renames_loses_nothing() {
    let (_above, before, lineage) = full_folder();
    let (_copy, after) = copy_of(&before);
    let (mut store, _) = open_and_load(&after);
    store.publish(&state_after(&lineage, 9)).unwrap();
    drop(store);
    // Each name may lead to what it led to before or after, except that the journals wait for the snapshots.
    let names = [STATE_FILE, PREVIOUS_FILE];
    for choice in 0..4 {
        for rotated in [false, true] {
            if rotated && choice != 3 {
                continue;
            }
            let (_mix, mix) = copy_of(if rotated { &after } else { &before });
            for (bit, name) in names.iter().enumerate() {
                let source = if choice & (1 << bit) == 0 { &before } else { &after };
                std::fs::copy(source.join(name), mix.join(name)).unwrap();
            }
            for damaged in [None, Some(STATE_FILE), Some(PREVIOUS_FILE)] {
                let (_copy, copy) = copy_of(&mix);
                if let Some(name) = damaged {
                    write(copy.join(name), "");
                }
                assert_nothing_lost(&copy, &lineage, 9, 9, &format!("{choice}, {rotated}, {damaged:?}"));
            }
        }
    }
}

/// A hook that fails at the given places of the story, counted from 0, and counts how many there are.
fn failing_hook(at: Vec<usize>, kind: io::ErrorKind, count: Arc<Mutex<usize>>) -> Hook {
    Box::new(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if at.contains(&(*count - 1)) { Err(kind.into()) } else { Ok(()) }
    })
}

fn story_with_failures(at: &[usize]) -> usize {
    let (_above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    let lineage = loaded.state.lineage;
    let count = Arc::new(Mutex::new(0));
    store.steps.hook = Some(failing_hook(at.to_vec(), io::ErrorKind::StorageFull, Arc::clone(&count)));
    tell(&mut store, &lineage, |at_least, at_most, all_recorded| {
        let (_copy, copy) = copy_of(&folder);
        let loaded = assert_nothing_lost(&copy, &lineage, at_least, at_most, &format!("failure at {at:?}"));
        assert!(!loaded.notes.iter().any(|note| matches!(note, Note::Gap { .. } | Note::Incomplete { .. })));
        // Nor does the older snapshot lack anything that the journal took.
        if all_recorded && copy.join(PREVIOUS_FILE).exists() {
            std::fs::remove_file(copy.join(STATE_FILE)).unwrap();
            assert_nothing_lost(&copy, &lineage, at_least, at_most, &format!("previous, failure at {at:?}"));
        }
    });
    drop(store);
    let places = *count.lock().unwrap();
    assert_nothing_lost(&folder, &lineage, 13, 13, &format!("at the end, failure at {at:?}"));
    places
}

#[test]
fn a_failure_of_any_operation_loses_nothing_that_was_acknowledged() {
    let places = story_with_failures(&[]);
    assert!(places > 40, "{places}");
    for place in 0..places {
        story_with_failures(&[place]);
        story_with_failures(&[place, place + 1]);
        story_with_failures(&[place, place + 2]);
    }
}

/// Fails once where it is told to.
fn fail_once(store: &mut FolderStore, step: Step) {
    let mut armed = true;
    store.steps.hook = Some(Box::new(move |at| {
        if at == step && std::mem::take(&mut armed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }));
}

#[test]
fn a_failed_append_is_cut_back_and_may_be_tried_again() {
    let (_above, folder, lineage) = full_folder();
    let (mut store, _) = open_and_load(&folder);
    let length = || folder.join(JOURNAL_FILE).metadata().unwrap().len();
    let before = length();
    fail_once(&mut store, Step::AppendToJournal);
    let error = store.record(&[change(10)]).unwrap_err();
    assert!(matches!(&error, StoreError::Io { path, source, .. }
        if path.ends_with(JOURNAL_FILE) && source.kind() == io::ErrorKind::StorageFull));
    assert_eq!(length(), before);
    store.record(&[change(10)]).unwrap();
    drop(store);
    assert_eq!(load(&folder).state, state_after(&lineage, 10));
}

#[test]
fn after_a_failed_sync_the_journal_waits_for_a_publication() {
    let (_above, folder, lineage) = full_folder();
    let (mut store, _) = open_and_load(&folder);
    fail_once(&mut store, Step::SyncJournal);
    assert!(matches!(store.record(&[change(10)]), Err(StoreError::Io { .. })));
    // Though nothing fails any more, the same bytes are not synced again as if that could tell anything.
    assert!(matches!(store.record(&[change(10)]), Err(StoreError::NeedsPublish { .. })));
    store.publish(&state_after(&lineage, 10)).unwrap();
    store.record(&[change(11)]).unwrap();
    drop(store);
    assert_eq!(load(&folder).state, state_after(&lineage, 11));
}

#[test]
fn a_failed_publication_leaves_the_old_snapshot_and_no_litter() {
    for step in [Step::StageSnapshot, Step::LinkPrevious, Step::ShowPrevious, Step::ShowSnapshot] {
        let (_above, folder, lineage) = full_folder();
        let (mut store, _) = open_and_load(&folder);
        fail_once(&mut store, step);
        assert!(matches!(store.publish(&state_after(&lineage, 9)), Err(StoreError::Io { .. })), "{step:?}");
        assert_eq!(
            std::fs::read(folder.join(STATE_FILE)).unwrap(),
            encode(&state_after(&lineage, 6)),
            "{step:?}"
        );
        store.publish(&state_after(&lineage, 9)).unwrap();
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let litter = names.filter(|name| name.as_encoded_bytes().starts_with(b".mediakeep-tmp-"));
        assert_eq!(litter.count(), 0, "{step:?}");
    }
}
