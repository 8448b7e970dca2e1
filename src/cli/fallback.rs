//! What `run` starts from, and what `status` and `url` go by: the present manifest and config, or the last ones that
//! worked.
//!
//! Whoever may edit the media folder must not be able to move an account's credentials. So where a config is given,
//! what is remembered of a config counts only if it was out of their reach.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Global;
use super::exit::Exit;
use super::voice::warn;
use super::workspace::{Text, Texts, Workspace};
use crate::domain::manifest::{Manifest, Unusable};
use crate::local::last_good::{self, LastGood};
use crate::local::state_store;

/// What `run` starts from.
pub(super) struct Origin {
    pub workspace: Workspace,
    /// The last manifest that worked, where it is another one: what the present one drops is let go past the guard.
    pub last: Option<Arc<Manifest>>,
    /// Why the present manifest and config cannot be used, where the last ones that worked stand for them.
    pub broken: Option<Unusable>,
}

/// The present manifest, or the last one that worked.
pub(super) fn open_or_remember(global: &Global) -> Result<Origin, Exit> {
    match Workspace::open(global) {
        Ok(workspace) => {
            let last = last_in_force(global, &workspace);
            Ok(Origin { workspace, last, broken: None })
        }
        Err(unusable) => {
            let Some(texts) = places(global).iter().find_map(|folder| remembered_in(folder, global)) else {
                return Err(unusable.into());
            };
            let mut workspace = Workspace::parse(texts)?;
            if global.config.is_none() {
                // Whoever may write into the state folder beside a manifest may have made up a config.
                let manifest = Arc::make_mut(&mut workspace.manifest);
                (manifest.hooks, manifest.serve) = (None, None);
            }
            Ok(Origin { workspace, last: None, broken: Some(unusable) })
        }
    }
}

/// For those who only read what is recorded: the present manifest, or the last one that worked, or where nobody may
/// read that, whatever says where the state is. What is published does not end with a mistake in a manifest.
pub(super) fn open_to_read(global: &Global) -> Result<Workspace, Exit> {
    let unusable = match Workspace::quietly(global) {
        Ok(workspace) => return Ok(workspace),
        Err(unusable) => unusable,
    };
    let places = places(global);
    let broken = format!("{} cannot be used (`mediakeep check` says why)", unusable.name());
    let last = places.iter().find_map(|folder| Workspace::of(remembered_in(folder, global)?).ok());
    if let Some(workspace) = last {
        warn(&format!("{broken}; this is by the last one that worked"));
        return Ok(workspace);
    }
    // The first place alone, and none if the config that decides cannot be read: the others are a guess, and what lies
    // there may be anybody's.
    let decided = global.config.as_deref().is_none_or(|config| Text::quietly(config).is_ok());
    let recorded = |folder: &&PathBuf| decided && matches!(state_store::read_only(folder), Ok(Some(_)));
    let alone = places.first().filter(recorded).and_then(|folder| Texts::about_state_only(folder));
    if let Some(workspace) = alone.and_then(|texts| Workspace::of(texts).ok()) {
        warn(&format!("{broken}; this is what the state file says by itself"));
        return Ok(workspace);
    }
    Ok(Workspace::open(global)?)
}

fn last_in_force(global: &Global, present: &Workspace) -> Option<Arc<Manifest>> {
    let sync = &present.manifest.sync;
    let last = last_good::load(&sync.state_dir).filter(|last| *last != present.texts.to_remember())?;
    let mut texts = Texts::remembered(last);
    if global.config.is_some() && sync.state_dir.starts_with(&sync.root) {
        texts.config.clone_from(&present.texts.config);
    }
    let manifest = texts.parse().manifest.filter(|last| last.sync.root == sync.root)?;
    Some(Arc::new(manifest))
}

/// What is remembered in a folder, if anything is.
fn remembered_in(folder: &Path, global: &Global) -> Option<Texts> {
    let last: LastGood = last_good::load(folder)?;
    let mut texts = Texts::remembered(last);
    if let Some(config) = &global.config
        && folder_of(&global.manifest).is_none_or(|media| is_below(folder, &media))
    {
        texts.config = Some(Text::quietly(config).ok()?);
    }
    Some(texts)
}

/// Where the state folder may be, when the manifest cannot say: where it says in the midst of what is wrong with it,
/// where systemd says, and where it is by default.
fn places(global: &Global) -> Vec<PathBuf> {
    // Only the config may say where the state is, if there is one.
    let holder = global.config.as_deref().unwrap_or(&global.manifest);
    let named = Text::quietly(holder).ok().and_then(|text| {
        let stated = state_dir_in(&String::from_utf8_lossy(&text.content))?;
        Some(folder_of(holder)?.join(stated))
    });
    let given = std::env::var_os("STATE_DIRECTORY").and_then(|list| std::env::split_paths(&list).next());
    let beside = [Some(&*global.manifest), global.config.as_deref()];
    let beside = beside.into_iter().flatten().filter_map(|file| Some(folder_of(file)?.join(".mediakeep")));
    named.into_iter().chain(given).chain(beside).collect()
}

fn folder_of(file: &Path) -> Option<PathBuf> {
    Some(std::path::absolute(file).ok()?.parent()?.to_owned())
}

fn is_below(folder: &Path, above: &Path) -> bool {
    match (folder.canonicalize(), above.canonicalize()) {
        (Ok(folder), Ok(above)) => folder.starts_with(above),
        _ => true,
    }
}

/// The value of `state_dir` in a text that need not be TOML any more. Whatever it leads to has to prove itself.
fn state_dir_in(text: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let (_, value) = line.split_once('=').filter(|(key, _)| key.trim() == "state_dir")?;
        let table: toml::Table = toml::from_str(&format!("value = {}", value.trim())).ok()?;
        table.get("value")?.as_str().map(str::to_owned)
    });
    // After a merge there may be two: the last one is as good as the first.
    values.next_back()
}

#[cfg(test)]
mod tests {
    use super::state_dir_in;

    #[test]
    fn the_state_folder_is_found_in_a_broken_manifest() {
        for (text, found) in [
            ("[sync]\nstate_dir = \"../state\" # beside\n<<<<<<< HEAD\n", Some("../state")),
            ("  state_dir='C:\\odd \"name\"'\n[[media", Some("C:\\odd \"name\"")),
            ("state_dir = \"one\"\n=======\nstate_dir = \"two\"\n>>>>>>> theirs", Some("two")),
            (
                "# state_dir = \"commented\"\nstate_dir_old = \"x\"\nstate_dir = 3\nstate_dir = \"unfinished",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(state_dir_in(text).as_deref(), found, "{text}");
        }
    }
}
