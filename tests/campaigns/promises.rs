//! What a state folder promises to readers, and whether a provider keeps it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mediakeep::local::state_store::{self, Note};
use serde_json::Value;

use crate::stage::Stage;

/// The URLs that a state folder shows, by entry (`file@provider`), with the hash of what is behind them.
pub(crate) type Shown = BTreeMap<String, (String, String)>;

/// What `state.json` shows, as a program in any language would read it.
///
/// # Errors
/// What is wrong with the file: it is no whole JSON object, or there is none.
pub(crate) fn shown(state_file: &Path) -> Result<Shown, String> {
    let text = fs::read(state_file).map_err(|error| format!("state.json cannot be read: {error}"))?;
    let state: Value =
        serde_json::from_slice(&text).map_err(|error| format!("state.json is torn: {error}"))?;
    let files = state["media"].as_object().ok_or("state.json has no media")?;
    let entries = files.iter().flat_map(|(file, providers)| {
        let providers = providers.as_object().into_iter().flatten();
        providers.map(move |(provider, entry)| (format!("{file}@{provider}"), entry))
    });
    let live = entries.filter_map(|(entry, record)| {
        Some((entry, (record["url"].as_str()?.to_owned(), record["blake3"].as_str()?.to_owned())))
    });
    Ok(live.collect())
}

/// What a start would know: the snapshot, and what the journals add to it.
///
/// # Errors
/// What was damaged. A crash damages nothing; the torn end of a journal is not damage.
pub(crate) fn recovered(folder: &Path) -> Result<Shown, String> {
    let loaded =
        state_store::read_only(folder).map_err(|error| format!("the state is refused: {error:?}"))?;
    let Some(loaded) = loaded else { return Err("the state is gone".to_owned()) };
    // A change that the disk refused is missing from the journal for good, which a start tells; nobody was shown it.
    let damage: Vec<_> = loaded.notes.iter().filter(|note| !matches!(note, Note::Gap { .. })).collect();
    if !damage.is_empty() {
        return Err(format!("the state is damaged: {damage:?}"));
    }
    let live = loaded.state.records.iter().filter_map(|(key, record)| {
        let handle = record.live()?;
        let url = handle.url.as_deref().unwrap_or_default().to_owned();
        Some((format!("{}@{}", key.path, key.provider), (url, handle.hash.to_string())))
    });
    Ok(live.collect())
}

/// Holds a state folder to its promises at this moment: what it shows and what it would recover is whole, every entry
/// of `before` still has a URL, and behind each URL are the bytes whose hash it shows.
pub(crate) fn kept(stage: &Stage, before: &Shown) -> Result<Shown, String> {
    let folder = stage.beside("state");
    let (shown, recovered) = (shown(&folder.join("state.json"))?, recovered(&folder)?);
    // Not by sending them: a provider may keep longer what was sent.
    let stored: BTreeMap<_, _> =
        stage.control().media().into_iter().map(|media| (media.url.clone(), media)).collect();
    for (what, urls) in [("shown", &shown), ("recovered", &recovered)] {
        if let Some(lost) = before.keys().find(|entry| !urls.contains_key(*entry)) {
            return Err(format!("{lost} has no URL any more ({what})"));
        }
        for (entry, (url, hash)) in urls {
            match stored.get(url).filter(|media| media.alive) {
                None => return Err(format!("{entry}: {url} is dead ({what})")),
                Some(media) if media.blake3.to_string() != *hash => {
                    return Err(format!("{entry}: {url} has other bytes than {what}"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(recovered)
}
