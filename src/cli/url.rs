//! `mediakeep url FILE`: one URL on standard output, or nothing at all.

use super::args::{Global, Url};
use super::exit::Exit;
use super::fallback::open_to_read;
use super::voice::{fail, print};
use super::workspace::Workspace;
use crate::domain::asset::{EntryKey, ProviderName, RelPath};
use crate::domain::state::State;
use crate::local::clock::{Clock as _, SystemClock};

pub(super) fn run(global: &Global, options: &Url) -> Result<Exit, Exit> {
    let workspace = open_to_read(global)?;
    let path = RelPath::new(options.file.strip_prefix("./").unwrap_or(&options.file)).map_err(|error| {
        fail(&format!("{:?} is no file below root: {error}", options.file));
        Exit::Usage
    })?;
    // Where no manifest can be read, what is recorded answers by itself.
    if let Some(name) = &options.provider
        && !workspace.manifest.providers.is_empty()
        && !workspace.manifest.providers.keys().any(|known| known.as_str() == name)
    {
        let known: Vec<&str> = workspace.manifest.providers.keys().map(ProviderName::as_str).collect();
        fail(&format!("the manifest has no provider {name:?}; it has {}", known.join(", ")));
        return Err(Exit::Usage);
    }
    let state = workspace.recorded_or_explain()?;
    let wanted = |key: &&EntryKey| {
        key.path == path && options.provider.as_ref().is_none_or(|name| key.provider.as_str() == name)
    };
    let keys: Vec<&EntryKey> = state.records.keys().filter(wanted).collect();
    match keys.as_slice() {
        [] => {
            fail(&nothing_published(&workspace, &path, options.provider.as_deref()));
            Err(Exit::NotAlive)
        }
        [key] => print_url(&state, key),
        several => {
            let names: Vec<&str> = several.iter().map(|key| key.provider.as_str()).collect();
            fail(&format!(
                "{path} is at several providers; choose one with --provider: {}",
                names.join(", ")
            ));
            Err(Exit::Usage)
        }
    }
}

/// Says which of two very different things it is: a file that nobody asked for, or one that is not there yet.
fn nothing_published(workspace: &Workspace, path: &RelPath, provider: Option<&str>) -> String {
    let is_wanted = |name: &ProviderName| provider.is_none_or(|wanted| wanted == name.as_str());
    let wanted = workspace.manifest.selected(path).iter().any(|(name, _)| is_wanted(name));
    let manifest = &workspace.texts.manifest.name;
    let there = provider.map_or_else(String::new, |name| format!(" at {name}"));
    let more = match (wanted, manifest.is_empty()) {
        (true, _) => "; `mediakeep plan` says what is known about it".to_owned(),
        // The state speaks for itself, without a manifest.
        (false, true) => String::new(),
        (false, false) => {
            format!(", and no rule of {manifest} is for it{there}: add one, or correct the path")
        }
    };
    format!("nothing is published for {path}{there}{more}")
}

fn print_url(state: &State, key: &EntryKey) -> Result<Exit, Exit> {
    let now = SystemClock::new().now();
    let handle = state.records.get(key).and_then(|record| record.live());
    match handle.filter(|handle| handle.expires_at > now.wall).and_then(|handle| handle.url.as_deref()) {
        Some(url) => Ok(print(&format!("{url}\n"))),
        None => {
            fail(&format!("{key} has no live URL; `mediakeep status` says why"));
            Err(Exit::NotAlive)
        }
    }
}
