//! `mediakeep run` and `mediakeep sync`: the daemon, for ever or for one pass.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::args::{Global, LogFormat};
use super::chain;
use super::exit::Exit;
use super::fallback::{Origin, open_or_remember};
use super::listing::{Entry, Listing, NO_ENTRIES};
use super::reload::{reloader, rememberer};
use super::reporter::{Counts, LogReporter, PassReporter};
use super::table::count;
use super::voice::{fail, fail_with_help, print_json, tell, warn};
use super::workspace::{Workspace, unresolved};
use crate::daemon::board::Board;
use crate::daemon::{Daemon, Observer, Parts, ServiceManager};
use crate::domain::asset::ProviderName;
use crate::domain::manifest::Manifest;
use crate::domain::reconciler::{Mode, Summary};
use crate::domain::time::Timestamp;
use crate::hooks::Hooks;
use crate::local::clock::SystemClock;
use crate::local::signals;
use crate::local::state_store::{self, FolderStore, OpenError, STATE_FILE};
use crate::provider::credentials::ProcessEnvironment;
use crate::serve::Server;

pub(super) fn run(global: &Global) -> Exit {
    let origin = match open_or_remember(global) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let state_dir = origin.workspace.manifest.sync.state_dir.clone();
    let manager = ServiceManager::from_environment();
    match start(global, origin, Mode::Daemon, Box::new(LogReporter), manager) {
        // What it knows ends with it.
        Ok(summary) if summary.unwritable => {
            say_why(Exit::Unexpected, &summary, &state_dir);
            Exit::Unexpected
        }
        // Stopped as it was asked to: whatever stands open is in the state and in the log.
        Ok(_) => Exit::Done,
        Err(exit) => exit,
    }
}

pub(super) fn sync(global: &Global, json: bool) -> Exit {
    let workspace = match Workspace::open(global) {
        Ok(workspace) => workspace,
        Err(told) => return told.into(),
    };
    let visible = std::io::stderr().is_terminal() && !global.quiet && global.log_format == LogFormat::Text;
    let (reporter, counts) = PassReporter::new(visible, global.verbose > 0);
    let state_dir = workspace.manifest.sync.state_dir.clone();
    let mode = Mode::Once { tries: TRIES, patience: PATIENCE };
    let manifest = workspace.manifest.clone();
    // A pass is over when its process ends: there is nothing to tell a service manager.
    let manager = ServiceManager::none();
    let origin = Origin { workspace, last: None, broken: None };
    let summary = match start(global, origin, mode, Box::new(reporter), manager) {
        Ok(summary) => summary,
        // What would go wrong all the same once the other one is gone goes first.
        Err(Exit::Locked) => {
            let problems = unresolved(&manifest);
            for problem in &problems {
                fail(problem);
            }
            return if problems.is_empty() { Exit::Locked } else { Exit::Manifest };
        }
        Err(exit) => return exit,
    };
    let counts = counts.lock().map(|counts| *counts).unwrap_or_default();
    let Counts { uploaded, renewed, failed } = counts;
    let failed = count(failed, "failed attempt", "failed attempts");
    let (alive, entries) = (summary.alive, count(summary.entries, "entry", "entries"));
    let state_file = state_dir.join(STATE_FILE);
    tell(&format!(
        "{uploaded} uploaded, {renewed} renewed, {failed}; {alive} of {entries} alive; state in {}",
        state_file.display()
    ));
    let exit = Exit::of(&summary);
    if summary.entries == 0 && exit == Exit::Done {
        tell(NO_ENTRIES);
    }
    say_why(exit, &summary, &state_dir);
    if summary.halted.is_some() {
        say_what_ends(&manifest, &state_dir);
    }
    let printed = if json { list(&state_dir) } else { Exit::Done };
    if exit == Exit::Done { printed } else { exit }
}

/// The last word of a pass that did not end well: what is wrong with it as a whole, and what to do.
fn say_why(exit: Exit, summary: &Summary, state_dir: &Path) {
    let names = |names: Vec<&ProviderName>| {
        names.into_iter().map(ProviderName::as_str).collect::<Vec<_>>().join(" and ")
    };
    match exit {
        Exit::Manifest => {
            let providers = names(summary.unusable.iter().map(|(name, _)| name).collect());
            fail(&format!(
                "credentials of {providers} could not be found, so nothing was sent there (see above)"
            ));
        }
        Exit::Unexpected if summary.unwritable => {
            fail(&format!("the state folder {} cannot be written (see above)", state_dir.display()));
        }
        Exit::Unexpected => fail("the watched folder cannot be looked at (see above)"),
        Exit::Refused => fail_with_help(
            &format!("the credentials were refused at {}", names(summary.refused.iter().collect())),
            "mend what the provider's table refers to, and run it again; nothing more was sent there",
        ),
        Exit::Halted => {
            let halt = summary.halted.as_ref().map(ToString::to_string).unwrap_or_default();
            fail_with_help(
                &format!("halted by the guard: {halt}; nothing is retired, and what can be renewed still is"),
                "bring the files or the manifest back; or see and release what is held back with `mediakeep approve`",
            );
        }
        Exit::NotAlive => {
            if !summary.down.is_empty() {
                let providers = names(summary.down.iter().collect());
                fail(&format!(
                    "gave up on {providers} for this pass (see above); run it again once it answers"
                ));
            }
            fail_with_help(
                &format!(
                    "of {}, {} without a live URL of the present content",
                    count(summary.entries, "entry", "entries"),
                    count(summary.failing, "is", "are")
                ),
                "`mediakeep status` says which and why",
            );
        }
        Exit::Done | Exit::Usage | Exit::Locked | Exit::Due => {}
    }
}

/// What is recorded at a provider that the manifest has no table for: no pass can renew it, whatever it is held back
/// for.
fn say_what_ends(manifest: &Manifest, state_dir: &Path) {
    let Ok(Some(loaded)) = state_store::read_only(state_dir) else { return };
    let mut ends: BTreeMap<&ProviderName, (usize, Timestamp)> = BTreeMap::new();
    for (key, record) in &loaded.state.records {
        let Some(handle) = record.live().filter(|_| record.retired_at.is_none()) else { continue };
        if !manifest.providers.contains_key(&key.provider) {
            let (entries, first) = ends.entry(&key.provider).or_insert((0, handle.expires_at));
            *entries += 1;
            *first = handle.expires_at.min(*first);
        }
    }
    for (provider, (entries, first)) in ends {
        warn(&format!(
            "the manifest has no [provider.{provider}] any more, so {} there cannot be renewed; URLs end from {first} \
             on, unless the table comes back",
            count(entries, "entry", "entries")
        ));
    }
}

fn list(state_dir: &Path) -> Exit {
    match state_store::read_only(state_dir) {
        Ok(loaded) => {
            let records = loaded.map(|loaded| loaded.state.records).unwrap_or_default();
            let entries = records.iter().map(|(key, record)| Entry::new(key, Some(record))).collect();
            print_json(&Listing { format: 1, entries })
        }
        Err(error) => {
            fail(&chain(&error));
            Exit::Unexpected
        }
    }
}

/// Puts everything together and runs until the end.
pub(super) fn start(
    global: &Global,
    origin: Origin,
    mode: Mode,
    observer: Box<dyn Observer>,
    manager: ServiceManager,
) -> Result<Summary, Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| {
        fail(&format!("cannot start the runtime: {error}"));
        Exit::Unexpected
    })?;
    let Origin { workspace, last: last_good, broken } = origin;
    let summary = runtime.block_on(async move {
        // First of all: a reload that nobody listens for ends the process.
        let signals = signals::listen().map_err(|error| {
            fail(&format!("cannot listen for signals: {error}"));
            Exit::Unexpected
        })?;
        let state_dir = workspace.manifest.sync.state_dir.clone();
        let store = FolderStore::open(&state_dir).map_err(|error| not_opened(&error, &state_dir))?;
        if mode == Mode::Daemon {
            let root = &workspace.manifest.sync.root;
            tracing::info!(?root, state = ?state_dir, pid = std::process::id(), "started");
        }
        let (clock, board) = (Arc::new(SystemClock::new()), Arc::<Board>::default());
        // Nobody looks on at a single pass. After the lock: a second instance must not take the address.
        let wanted = workspace.manifest.serve.clone().filter(|_| mode == Mode::Daemon);
        let server = Server::start(wanted, board.clone(), clock.clone());
        let hooks = (mode == Mode::Daemon).then(|| {
            let state_file = state_dir.join(STATE_FILE);
            Hooks::start(
                &workspace.manifest,
                state_file,
                Arc::new(ProcessEnvironment),
                clock.clone(),
                board.clone(),
            )
        });
        let observer = server.counting(observer);
        let (of_server, of_hooks) = (server.follower(), hooks.as_ref().map(Hooks::follower));
        let follow = move |manifest: &Manifest| {
            of_server.follow(manifest.serve.clone());
            if let Some(hooks) = &of_hooks {
                hooks.follow(manifest);
            }
        };
        let parts = Parts {
            mode,
            last_good,
            store: Box::new(store),
            clock,
            lookups: Arc::new(ProcessEnvironment),
            reload: reloader(global, &workspace, broken.is_none(), follow),
            broken,
            remember: rememberer(&state_dir, &workspace.texts),
            manifest_files: workspace.manifest_files(),
            manifest: workspace.manifest,
            signals,
            observer: match &hooks {
                Some(hooks) => hooks.hearing(observer),
                None => observer,
            },
            board,
            manager,
        };
        let daemon = Daemon::new(parts).map_err(|error| {
            fail(&chain(&error));
            Exit::Unexpected
        })?;
        let summary = daemon.run().await;
        if let Some(hooks) = hooks {
            hooks.stop().await;
        }
        server.stop().await;
        Ok(summary)
    });
    // A scan may hang on a dead network mount: leaving never waits for it.
    runtime.shutdown_background();
    summary
}

/// Says why there is no state folder to work in.
fn not_opened(error: &OpenError, state_dir: &Path) -> Exit {
    let text = chain(error);
    match (error, state_dir.parent().filter(|parent| !parent.exists())) {
        (OpenError::Io { .. }, Some(parent)) => {
            let parent = parent.display();
            fail_with_help(
                &format!("{text}: the folder {parent} is missing"),
                &format!("make it first (mkdir -p {parent}), or mend `state_dir` in [sync]"),
            );
            Exit::Unexpected
        }
        (OpenError::Io { .. }, None) => {
            fail(&text);
            Exit::Unexpected
        }
        (OpenError::Locked { .. }, _) => {
            fail(&text);
            Exit::Locked
        }
    }
}

const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(30);
