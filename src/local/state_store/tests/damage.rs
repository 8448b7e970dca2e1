//! Files that are cut short, flipped or missing.

use super::*;

/// Damages one file in every way that a byte allows, and looks at what a start would find.
fn for_each_damage(name: &str, masks: &[u8], check: impl Fn(&[State], &str, &Loaded)) {
    let (_above, folder, lineage) = full_folder();
    let history: Vec<_> = (0..=9).map(|serial| state_after(&lineage, serial)).collect();
    let path = folder.join(name);
    let right = std::fs::read(&path).unwrap();
    let case = |text: &[u8], what: String| {
        write(&path, text);
        let recovered = recover::recover(&folder).unwrap_or_else(|error| panic!("{what}: {error}"));
        check(&history, &what, &recovered.loaded);
    };
    for length in 0..right.len() {
        case(&right[..length], format!("{name} cut to {length}"));
    }
    for place in 0..right.len() {
        for mask in masks {
            let mut text = right.clone();
            text[place] ^= mask;
            case(&text, format!("{name} with byte {place} xor {mask}"));
        }
    }
}

#[test]
fn any_damage_to_the_snapshot_costs_nothing_and_is_told() {
    for_each_damage(STATE_FILE, &[0x01, 0x20, 0xff], |history, what, loaded| {
        assert_eq!(loaded.state, history[9], "{what}");
        // Only the last newline is worth nothing.
        let damaged = loaded.notes.iter().any(|note| matches!(note, Note::DamagedSnapshot { .. }));
        let unsealed = matches!(loaded.notes[..], [Note::NoChecksum { .. }]);
        assert!(damaged || unsealed, "{what}: {:?}", loaded.notes);
    });
}

#[test]
fn damage_to_the_previous_snapshot_costs_nothing() {
    for_each_damage(PREVIOUS_FILE, &[0x01], |history, what, loaded| {
        assert_eq!((&loaded.state, &loaded.notes[..]), (&history[9], &[][..]), "{what}");
    });
}

#[test]
fn damage_to_the_older_journal_costs_nothing_while_the_snapshot_is_good() {
    for_each_damage(OLDER_JOURNAL_FILE, &[0x01], |history, what, loaded| {
        assert_eq!(loaded.state, history[9], "{what}");
    });
}

#[test]
fn damage_to_the_journal_costs_the_damaged_lines_only_and_is_told() {
    for_each_damage(JOURNAL_FILE, &[0x01, 0x20, 0xff], |history, what, loaded| {
        let cut_between_lines = loaded.notes.is_empty();
        if cut_between_lines {
            assert!(history.contains(&loaded.state), "{what}");
            assert!(what.contains("cut"), "{what}");
            return;
        }
        // Every entry is as it was at some time since the snapshot: nothing is made up, nothing older comes back.
        for key in history[9].records.keys() {
            let mut known = history[6..].iter().map(|state| state.records.get(key));
            assert!(known.any(|record| record == loaded.state.records.get(key)), "{what}, {key}");
        }
    });
}

#[test]
fn lines_after_a_damaged_one_still_count() {
    let (_above, folder, lineage) = full_folder();
    let path = folder.join(JOURNAL_FILE);
    let mut text = std::fs::read(&path).unwrap();
    text[10] ^= 1;
    write(&path, &text);
    let loaded = load(&folder);
    assert_eq!(loaded.state.serial, 9);
    for serial in [8, 9] {
        let change = change(serial);
        assert_eq!(loaded.state.records.get(&change.key), change.record.as_ref(), "{serial}");
    }
    // What the damaged line held is as it was before, and not as it was after.
    let lost = change(7).key;
    assert_eq!(loaded.state.records.get(&lost), state_after(&lineage, 6).records.get(&lost));
    assert!(matches!(loaded.notes[..], [Note::DamagedLine { line: 1, .. }, Note::Gap { first: 7, last: 7 }]));
}

#[test]
fn a_damaged_snapshot_is_kept_aside_and_replaced_without_harming_the_good_one() {
    let (_above, folder, lineage) = full_folder();
    write(folder.join(STATE_FILE), "{\"format\": 1, \"wri");
    for _ in 0..2 {
        let (mut store, loaded) = open_and_load(&folder);
        assert_eq!((loaded.unpublished, &loaded.state), (true, &state_after(&lineage, 9)));
        let kept = folder.join("state.json.broken-1");
        assert!(
            loaded
                .notes
                .iter()
                .any(|note| matches!(note, Note::KeptAside { kept_as: Some(name), .. } if *name == kept))
        );
        assert_eq!(std::fs::read(&kept).unwrap(), b"{\"format\": 1, \"wri");
        assert!(!folder.join("state.json.broken-2").exists(), "the same file is kept once");
        // Once more, as after a crash before the publication.
        drop(store.steps.hook.take());
    }
    let (mut store, loaded) = open_and_load(&folder);
    store.publish(&loaded.state).unwrap();
    assert_eq!(std::fs::read(folder.join(PREVIOUS_FILE)).unwrap(), encode(&state_after(&lineage, 3)));
    drop(store);
    // The journals were not cut: the good older one still leads to the whole state.
    write(folder.join(STATE_FILE), "");
    assert_eq!(load(&folder).state, state_after(&lineage, 9));
}

#[test]
fn what_somebody_else_wrote_over_the_snapshot_does_not_replace_the_previous_one() {
    let (_above, folder, lineage) = full_folder();
    let (mut store, _) = open_and_load(&folder);
    write(folder.join(STATE_FILE), "rubbish");
    store.publish(&state_after(&lineage, 9)).unwrap();
    assert_eq!(std::fs::read(folder.join(STATE_FILE)).unwrap(), encode(&state_after(&lineage, 9)));
    assert_eq!(std::fs::read(folder.join(PREVIOUS_FILE)).unwrap(), encode(&state_after(&lineage, 3)));
    drop(store);
    // The journals reach back to it.
    write(folder.join(STATE_FILE), "");
    assert_eq!(load(&folder).state, state_after(&lineage, 9));
}

#[test]
fn a_few_damaged_files_are_kept_and_no_more() {
    let (_above, folder, lineage) = full_folder();
    for round in 0..6 {
        write(folder.join(STATE_FILE), format!("damaged {round}"));
        let (mut store, loaded) = open_and_load(&folder);
        assert_eq!(loaded.state, state_after(&lineage, 9));
        store.publish(&loaded.state).unwrap();
    }
    let kept = |number: u32| std::fs::read_to_string(folder.join(format!("state.json.broken-{number}")));
    assert_eq!(kept(1).unwrap(), "damaged 0");
    assert_eq!(kept(3).unwrap(), "damaged 5");
    assert!(kept(4).is_err());
}

#[test]
fn without_any_snapshot_the_journal_tells_what_it_knows() {
    let (_above, folder, lineage) = full_folder();
    for name in [STATE_FILE, PREVIOUS_FILE] {
        write(folder.join(name), "damaged");
    }
    let (mut store, loaded) = open_and_load(&folder);
    assert!(loaded.unpublished);
    assert!(
        loaded.notes.iter().any(|note| matches!(note, Note::Incomplete { entries: 2 })),
        "{:?}",
        loaded.notes
    );
    assert_eq!((&loaded.state.lineage, loaded.state.serial), (&lineage, 9));
    assert_eq!(
        loaded.state.records,
        state_after(&lineage, 9).records,
        "changes 4 to 9 touch every entry here"
    );
    store.publish(&loaded.state).unwrap();
    store.record(&[change(10)]).unwrap();
    drop(store);
    assert_eq!(load(&folder).state, state_after(&lineage, 10));
}

#[test]
fn a_journal_from_the_beginning_is_complete_without_a_snapshot() {
    let (_above, folder) = nowhere();
    let (mut store, loaded) = open_and_load(&folder);
    let lineage = loaded.state.lineage;
    store.record(&[change(1)]).unwrap();
    store.record(&[change(2)]).unwrap();
    drop(store);
    write(folder.join(STATE_FILE), "");
    let loaded = load(&folder);
    assert_eq!(loaded.state, state_after(&lineage, 2));
    assert!(!loaded.notes.iter().any(|note| matches!(note, Note::Incomplete { .. })), "{:?}", loaded.notes);
}

#[test]
fn where_nothing_can_be_used_a_new_history_begins_loudly_and_nothing_is_deleted() {
    let (_above, folder, lineage) = full_folder();
    for name in [STATE_FILE, PREVIOUS_FILE, JOURNAL_FILE, OLDER_JOURNAL_FILE] {
        write(folder.join(name), "damaged\n");
    }
    let (mut store, loaded) = open_and_load(&folder);
    assert_ne!(loaded.state.lineage, lineage);
    assert!(loaded.state.records.is_empty() && loaded.unpublished);
    assert!(loaded.notes.iter().any(|note| matches!(note, Note::Incomplete { entries: 0 })));
    let lineage = loaded.state.lineage;
    for serial in 1..=4 {
        store.record(&[change(serial)]).unwrap();
        store.publish(&state_after(&lineage, serial)).unwrap();
    }
    drop(store);
    let loaded = load(&folder);
    assert_eq!((loaded.state, loaded.notes.len()), (state_after(&lineage, 4), 0));
    for name in ["state.json.broken-1", "state.json.previous.broken-1"] {
        assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap(), "damaged\n", "{name}");
    }
}

#[test]
fn a_missing_snapshot_is_told_and_made_again() {
    let (_above, folder, lineage) = full_folder();
    std::fs::remove_file(folder.join(STATE_FILE)).unwrap();
    let loaded = load(&folder);
    assert_eq!((loaded.state, loaded.unpublished), (state_after(&lineage, 9), true));
    assert_eq!(loaded.notes, [Note::MissingSnapshot]);
}

#[test]
fn the_lines_of_another_history_are_left_out() {
    let (_above, folder, lineage) = full_folder();
    let (_other_above, other, _) = full_folder();
    let text =
        [JOURNAL_FILE, OLDER_JOURNAL_FILE].map(|name| std::fs::read(other.join(name)).unwrap()).concat();
    write(folder.join(JOURNAL_FILE), text);
    let loaded = load(&folder);
    assert_eq!((loaded.state, loaded.unpublished), (state_after(&lineage, 6), false));
    assert_eq!(loaded.notes, [Note::OtherHistory { lines: 6 }]);
}

#[test]
fn a_snapshot_that_was_edited_without_its_checksum_counts_and_is_told() {
    let (_above, folder, _) = full_folder();
    let path = folder.join(STATE_FILE);
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("checksum");
    value["serial"] = 20.into();
    write(&path, value.to_string());
    let loaded = load(&folder);
    assert_eq!((loaded.state.serial, &loaded.notes[..]), (20, &[Note::NoChecksum { file: path }][..]));
}
