//! What the store refuses to touch.

use super::*;

#[test]
fn a_state_that_is_not_ours_is_never_overwritten() {
    for (text, name) in [
        ("{\"format\": 2, \"writer\": \"mediakeep 9.0.0\", \"media\": {}}", "mediakeep 9.0.0"),
        ("{\"version\": 4, \"serial\": 3}", "not a mediakeep state file"),
    ] {
        for file in [STATE_FILE, PREVIOUS_FILE] {
            let (_above, folder, lineage) = full_folder();
            write(folder.join(STATE_FILE), "");
            write(folder.join(file), text);
            let mut store = FolderStore::open(&folder).unwrap();
            let error = store.load().unwrap_err();
            let StoreError::Format { path, source } = &error else { panic!("{error:?}") };
            assert_eq!(*path, folder.join(file));
            assert!(source.to_string().contains(name), "{source}");
            assert!(error.to_string().contains(file), "{error}");
            assert!(matches!(store.publish(&state_after(&lineage, 9)), Err(StoreError::NotLoaded)));
            assert!(matches!(store.record(&[change(10)]), Err(StoreError::NotLoaded)));
            assert!(matches!(read_only(&folder), Err(StoreError::Format { .. })));
            assert_eq!(std::fs::read_to_string(folder.join(file)).unwrap(), text);
        }
    }
}

#[test]
fn links_in_the_place_of_our_files_are_refused() {
    for name in [STATE_FILE, PREVIOUS_FILE, JOURNAL_FILE, OLDER_JOURNAL_FILE] {
        let (above, folder, _) = full_folder();
        let target = above.path().join("target");
        std::fs::copy(folder.join(name), &target).unwrap();
        std::fs::remove_file(folder.join(name)).unwrap();
        std::os::unix::fs::symlink(&target, folder.join(name)).unwrap();
        if name == PREVIOUS_FILE {
            std::fs::remove_file(folder.join(STATE_FILE)).unwrap();
        }
        let error = FolderStore::open(&folder).unwrap().load().unwrap_err();
        assert!(
            matches!(&error, StoreError::Io { path, source, .. }
            if path.ends_with(name) && source.to_string().contains("symbolic link")),
            "{name}: {error:?}"
        );
    }
    let (above, folder, _) = full_folder();
    let target = above.path().join("target");
    write(&target, "somebody's");
    std::fs::remove_file(folder.join("lock")).unwrap();
    std::os::unix::fs::symlink(&target, folder.join("lock")).unwrap();
    assert!(matches!(FolderStore::open(&folder), Err(OpenError::Io { .. })));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "somebody's");
}

#[test]
fn the_folder_above_is_never_made() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("not mounted").join("state");
    let Err(OpenError::Io { path, source, .. }) = FolderStore::open(&folder) else { panic!("opened") };
    assert_eq!((path, source.kind()), (folder, io::ErrorKind::NotFound));
    assert_eq!(std::fs::read_dir(above.path()).unwrap().count(), 0);
}

#[test]
fn a_second_store_in_this_process_is_refused_too() {
    let (_above, folder) = nowhere();
    let store = FolderStore::open(&folder).unwrap();
    let Err(error) = FolderStore::open(&folder) else { panic!("opened twice") };
    assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())));
    drop(store);
    assert!(FolderStore::open(&folder).is_ok());
}

#[test]
fn a_lock_whose_holder_does_not_say_who_it_is_holds_all_the_same() {
    let (_above, folder) = nowhere();
    let _store = FolderStore::open(&folder).unwrap();
    for text in ["", "not a number", "99999999999999999999"] {
        write(folder.join("lock"), text);
        assert!(matches!(FolderStore::open(&folder), Err(OpenError::Locked { pid: None, .. })), "{text:?}");
    }
}
