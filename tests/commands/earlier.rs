//! State folders as released versions have written them. What one of them published is known to every later version, and
//! is not uploaded again. They are never written anew: a format that changes must go on reading them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mediakeep::domain::asset::{ContentHash, EntryKey, RelPath};
use mediakeep::domain::manifest::{self, Manifest, Source, Sources};
use mediakeep::domain::observation::{Coverage, Observation, RootHealth, ScanReport};
use mediakeep::domain::plan::Action;
use mediakeep::domain::reconciler::{Input, Mode, Reconciler};
use mediakeep::domain::state::{Handle, Previous, State};
use mediakeep::domain::time::Now;
use mediakeep::local::state_store::{Note, read_only};
use mediakeep::provider::KINDS;
use serde_json::Value;

use crate::stage::{Stage, write};

/// What lay in the folder when the state was written; `gone.png` had been there, and `refused.jpg` has an ID that
/// Bandwidth does not take.
const FILES: [(&str, &str); 5] = [
    ("brand/logo.gif", "logo"),
    ("changed.png", "after"),
    ("kept.png", "kept"),
    ("new.png", "new"),
    ("refused.jpg", "refused"),
];

/// Every entry, and what there is to do about it within the hour.
const ENTRIES: [(&str, &str, Action); 10] = [
    ("brand/logo.gif", "bandwidth", Action::Keep),
    ("changed.png", "bandwidth", Action::Keep),
    ("changed.png", "plivo", Action::Keep),
    ("gone.png", "bandwidth", Action::Retire),
    ("gone.png", "plivo", Action::Retire),
    ("kept.png", "bandwidth", Action::Keep),
    ("kept.png", "plivo", Action::Keep),
    ("new.png", "bandwidth", Action::Keep),
    ("new.png", "plivo", Action::Keep),
    ("refused.jpg", "bandwidth", Action::Upload),
];

/// One folder for each version that wrote one.
fn folders() -> Vec<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/earlier");
    let mut folders: Vec<_> = std::fs::read_dir(above).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// The state in a folder; fails where anything is to be said about it but what is expected.
fn state_in(folder: &Path, expected: &[Note]) -> State {
    let loaded = read_only(folder).unwrap().expect("there is a state");
    assert_eq!(format!("{:?}", loaded.notes), format!("{expected:?}"), "{}", folder.display());
    loaded.state
}

fn manifest_in(folder: &Path) -> Manifest {
    let path = folder.join("media.toml");
    let text = std::fs::read(&path).unwrap();
    let manifest = Source { name: "media.toml", path: &path, text: &text };
    let parsed = manifest::parse(&Sources { manifest, config: None, state_directory: None }, KINDS);
    parsed.manifest.unwrap_or_else(|| panic!("{}: {:?}", path.display(), parsed.problems))
}

/// What a person was shown an hour after the last upload, with the files that lay there.
fn planned(folder: &Path, state: State) -> BTreeMap<(String, String), Action> {
    let sent = state.records.values().filter_map(|record| Some(record.current.as_ref()?.uploaded_at)).max();
    let now = Now::at(sent.unwrap() + Duration::from_secs(3600));
    let root = RootHealth::Sound { identity: state.root.unwrap(), empty: false };
    let files = FILES.map(|(name, content)| {
        let hash = ContentHash::of(content.as_bytes());
        (RelPath::new(name).unwrap(), Observation::Present { hash, size: content.len() as u64 })
    });
    let mut engine = Reconciler::new(Mode::Plan, Arc::new(manifest_in(folder)), state, 0, now);
    let report = ScanReport {
        coverage: Coverage::Everything,
        root,
        files: files.into(),
        unreadable_folders: Vec::new(),
    };
    let _ = engine.step(now, vec![Input::Scanned(report)]);
    let items = engine.plan(now, true).items.into_iter();
    items.map(|item| ((item.key.path.to_string(), item.key.provider.to_string()), item.action)).collect()
}

#[test]
fn what_an_earlier_version_published_is_not_uploaded_again() {
    let expected =
        BTreeMap::from(ENTRIES.map(|(file, provider, action)| ((file.into(), provider.into()), action)));
    for folder in folders() {
        assert_eq!(planned(&folder, state_in(&folder, &[])), expected, "{}", folder.display());
    }
}

/// The snapshot before with the changes since: all that was published, though not since when a file is missing.
#[test]
fn an_earlier_versions_journal_is_as_good_as_its_snapshot() {
    for folder in folders() {
        let copy = tempfile::tempdir().unwrap();
        let copy_of = |name| write(&copy.path().join(name), std::fs::read(folder.join(name)).unwrap());
        copy_of("state.json.previous");
        let before = state_in(copy.path(), &[Note::MissingSnapshot]);
        copy_of("journal.1");
        let replayed = state_in(copy.path(), &[Note::MissingSnapshot]);
        assert_ne!(handles(&before), handles(&replayed), "the journal has something to add");
        let whole = state_in(&folder, &[]);
        assert_eq!(replayed.lineage, whole.lineage);
        assert_eq!(handles(&replayed), handles(&whole), "{}", folder.display());
    }
}

/// What was published of each entry, and is alive still.
fn handles(state: &State) -> BTreeMap<&EntryKey, (&Option<Handle>, &[Previous])> {
    let records = state.records.iter();
    records.map(|(key, record)| (key, (&record.current, &record.previous[..]))).collect()
}

/// With the real program. Here it is long after the end of every URL, so only what does not depend on the time counts.
#[test]
fn status_shows_every_entry_of_an_earlier_version() {
    for folder in folders() {
        let stage = Stage::new();
        for name in ["state.json", "state.json.previous", "journal.1"] {
            stage.write(Path::new(".mediakeep").join(name), std::fs::read(folder.join(name)).unwrap());
        }
        stage.write("media.toml", std::fs::read(folder.join("media.toml")).unwrap());
        let shown: Value = serde_json::from_str(&stage.run(["status", "--json"]).stdout).unwrap();
        let shown = shown["entries"].as_array().unwrap().iter();
        let shown: Vec<_> = shown.map(|entry| (entry["file"].as_str(), entry["provider"].as_str())).collect();
        assert_eq!(shown, ENTRIES.map(|(file, provider, _)| (Some(file), Some(provider))));
    }
}
