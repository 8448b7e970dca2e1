//! `mediakeep run` and `mediakeep sync`: the daemon, for ever or for one pass.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::args::Global;
use super::exit::Exit;
use super::listing::{Entry, Listing};
use super::reporter::{LogReporter, PassReporter};
use super::workspace::{Texts, Workspace};
use super::{chain, log_format, print_json, tell, verbosity};
use crate::daemon::{Daemon, Observer, Parts, Reload, Reloaded};
use crate::domain::manifest::Manifest;
use crate::domain::reconciler::{Mode, Summary};
use crate::local::clock::SystemClock;
use crate::local::last_good;
use crate::local::signals;
use crate::local::state_store::{FolderStore, OpenError};
use crate::provider::credentials::ProcessEnvironment;
use crate::telemetry::{self, Verbosity};

pub(super) fn run(global: &Global) -> Exit {
    telemetry::start(log_format(global), verbosity(global, Verbosity::Normal), std::io::stderr);
    let (workspace, remembered) = match open_or_remember(global) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    for note in &workspace.notes {
        tracing::warn!("{}", note.message);
    }
    match start(global, workspace, remembered, Mode::Daemon, Box::new(LogReporter)) {
        // Stopped as it was asked to: whatever stands open is in the state and in the log.
        Ok(_) => Exit::Done,
        Err(exit) => exit,
    }
}

pub(super) fn sync(global: &Global, json: bool) -> Exit {
    telemetry::start(log_format(global), verbosity(global, Verbosity::Normal), std::io::stderr);
    let workspace = match Workspace::open(global) {
        Ok(workspace) => workspace,
        Err(exit) => return exit,
    };
    let visible = std::io::stderr().is_terminal() && !global.quiet;
    let (reporter, counts) = PassReporter::new(visible, global.verbose > 0);
    let state_dir = workspace.manifest.sync.state_dir.clone();
    let mode = Mode::Once { tries: TRIES, patience: PATIENCE };
    let summary = match start(global, workspace, None, mode, Box::new(reporter)) {
        Ok(summary) => summary,
        Err(exit) => return exit,
    };
    let counts = counts.lock().map(|counts| *counts).unwrap_or_default();
    if !global.quiet {
        tell(&format!(
            "{} uploaded, {} renewed, {} failed attempts; {} of {} entries alive; state in {}",
            counts.uploaded,
            counts.renewed,
            counts.failed,
            summary.alive,
            summary.entries,
            state_dir.join("state.json").display()
        ));
    }
    if json {
        list(&state_dir);
    }
    Exit::of(&summary)
}

fn list(state_dir: &std::path::Path) {
    if let Ok(Some(loaded)) = crate::local::state_store::read_only(state_dir) {
        let entries =
            loaded.state.records.iter().map(|(key, record)| Entry::new(key, Some(record))).collect();
        let _ = print_json(&Listing { format: 1, entries });
    }
}

/// Puts everything together and runs until the end.
pub(super) fn start(
    global: &Global,
    workspace: Workspace,
    remembered: Option<Arc<Manifest>>,
    mode: Mode,
    observer: Box<dyn Observer>,
) -> Result<Summary, Exit> {
    let state_dir = workspace.manifest.sync.state_dir.clone();
    let store = FolderStore::open(&state_dir).map_err(|error| {
        tell(&format!("error: {}", chain(&error)));
        match error {
            OpenError::Locked { .. } => Exit::Locked,
            OpenError::Io { .. } => Exit::Unexpected,
        }
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| {
        tell(&format!("error: cannot start the runtime: {error}"));
        Exit::Unexpected
    })?;
    let watched = workspace.manifest_files();
    let shared = Arc::new(Mutex::new(workspace.texts.clone()));
    let (reload, remember) = (reloader(global, shared.clone()), rememberer(state_dir, shared));
    let summary = runtime.block_on(async move {
        let signals = signals::listen().map_err(|error| {
            tell(&format!("error: cannot listen for signals: {error}"));
            Exit::Unexpected
        })?;
        let parts = Parts {
            mode,
            manifest: workspace.manifest,
            last_good: remembered,
            store: Box::new(store),
            clock: Arc::new(SystemClock::new()),
            lookups: Arc::new(ProcessEnvironment),
            reload,
            remember,
            manifest_files: watched,
            signals,
            observer,
        };
        let daemon = Daemon::new(parts).map_err(|error| {
            tell(&format!("error: {}", chain(&error)));
            Exit::Unexpected
        })?;
        Ok(daemon.run().await)
    });
    // A scan may hang on a dead network mount: leaving never waits for it.
    runtime.shutdown_background();
    summary
}

type Shared = Arc<Mutex<Texts>>;

fn reloader(global: &Global, good: Shared) -> Reload {
    let global = global.clone();
    let mut seen = good.lock().ok().map(|texts| texts.clone());
    Box::new(move || {
        let Ok(texts) = Texts::read(&global) else { return broken() };
        if seen.as_ref() == Some(&texts) {
            return Reloaded::Unchanged;
        }
        seen = Some(texts.clone());
        let Ok(workspace) = Workspace::parse(texts) else { return broken() };
        tracing::info!("manifest read again");
        if let Ok(mut texts) = good.lock() {
            *texts = workspace.texts;
        }
        Reloaded::Changed(workspace.manifest)
    })
}

fn broken() -> Reloaded {
    tracing::error!("the manifest cannot be used; the one before stays in force");
    Reloaded::Broken
}

fn rememberer(state_dir: PathBuf, shared: Shared) -> Box<dyn FnMut() + Send> {
    Box::new(move || {
        let Ok(texts) = shared.lock() else { return };
        if let Err(error) = last_good::save(&state_dir, &texts.to_remember()) {
            tracing::warn!("cannot remember the manifest that works: {error}");
        }
    })
}

/// The present manifest, or the last one that worked; and that one too where it differs, so that what the present
/// one drops is let go past the guard.
fn open_or_remember(global: &Global) -> Result<(Workspace, Option<Arc<Manifest>>), Exit> {
    match Workspace::open(global) {
        Ok(workspace) => {
            let sync = &workspace.manifest.sync;
            let last = last_good::load(&sync.state_dir).filter(|last| *last != workspace.texts.to_remember());
            let last = last.and_then(|last| Texts::remembered(last).parse().manifest);
            let last = last.filter(|last| last.sync.root == sync.root).map(Arc::new);
            Ok((workspace, last))
        }
        Err(exit) => {
            let last = places(global).iter().find_map(|folder| last_good::load(folder)).ok_or(exit)?;
            let workspace = Workspace::parse(Texts::remembered(last))?;
            tracing::error!("the manifest cannot be used; starting from the last one that worked");
            Ok((workspace, None))
        }
    }
}

/// Where the state folder may be, when the manifest cannot say.
fn places(global: &Global) -> Vec<PathBuf> {
    let beside = |path: &std::path::Path| {
        let absolute = std::path::absolute(path).ok()?;
        Some(absolute.parent()?.join(".mediakeep"))
    };
    let given = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    let beside_config = global.config.as_deref().and_then(beside);
    given.into_iter().chain(beside(&global.manifest)).chain(beside_config).collect()
}

const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(30);
