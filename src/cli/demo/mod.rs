//! `mediakeep demo`: the whole thing in one process, with retention cut to seconds. The daemon, the requests, the
//! folder and its watcher are the real ones; only the providers are emulated.

mod observer;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::args::Demo;
use super::exit::Exit;
use super::voice::{self, fail, tell};
use crate::cli::emulate;
use crate::daemon::{Daemon, Parts, Reloaded, ServiceManager};
use crate::domain::reconciler::{Mode, Summary};
use crate::domain::time::{format_duration, parse_duration};
use crate::emulator::Emulator;
use crate::local::clock::SystemClock;
use crate::local::signals::{self, Signal};
use crate::local::state_store::FolderStore;
use observer::{Narrator, Reader};
use stage::Stage;

pub(super) fn run(options: &Demo) -> Exit {
    let length = match parse_duration(&options.duration, false) {
        Ok(length) if length >= SHORTEST => length,
        Ok(_) => {
            fail(&format!("--duration: at least {}, or there is nothing to see", format_duration(SHORTEST)));
            return Exit::Usage;
        }
        Err(why) => {
            fail(&format!("--duration: {why}"));
            return Exit::Usage;
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            fail(&format!("cannot start the runtime: {error}"));
            return Exit::Unexpected;
        }
    };
    let exit = runtime.block_on(play(length)).unwrap_or_else(|why| {
        fail(&why);
        Exit::Unexpected
    });
    runtime.shutdown_background();
    exit
}

async fn play(length: Duration) -> Result<Exit, String> {
    let mut options = emulate::options();
    options.listen.set_port(0);
    for retention in stage::RETENTION {
        options.shorten(retention.parse().map_err(|error| format!("{error}"))?);
    }
    let emulator =
        Emulator::start(options).await.map_err(|error| format!("cannot start the emulator: {error}"))?;
    let stage = Stage::set(&emulator)?;
    let begin = Instant::now();
    introduce(&stage);
    let (stop, signals) = mpsc::unbounded_channel();
    let daemon = Daemon::new(parts(&stage, begin, signals)?).map_err(|error| super::chain(&error))?;
    let daemon = tokio::spawn(daemon.run());
    let reader = tokio::spawn(Reader::new(&stage).watch(begin + length));
    tokio::select! {
        () = interrupted() => {
            reader.abort();
            tell("stopped");
        }
        () = async { perform(&stage, begin).await; tokio::time::sleep_until(begin + length).await } => {}
    }
    let seen = reader.await.unwrap_or_default();
    let _ = stop.send(Signal::Stop);
    let summary = daemon.await.map_err(|error| format!("the daemon ended badly: {error}"))?;
    conclude(&stage, &summary, &seen).await;
    emulator.stop().await;
    Ok(if seen.dead == 0 && summary.failing == 0 { Exit::Done } else { Exit::NotAlive })
}

fn parts(stage: &Stage, begin: Instant, signals: mpsc::UnboundedReceiver<Signal>) -> Result<Parts, String> {
    let store = FolderStore::open(&stage.state_dir()).map_err(|error| super::chain(&error))?;
    Ok(Parts {
        mode: Mode::Daemon,
        manifest: stage.manifest.clone(),
        last_good: None,
        broken: None,
        store: Box::new(store),
        clock: Arc::new(SystemClock::new()),
        lookups: Arc::new(Stage::secrets()),
        reload: Box::new(|| Reloaded::Unchanged),
        remember: Arc::new(|| Ok(())),
        manifest_files: vec![stage.manifest_path()],
        signals,
        observer: Box::new(Narrator::new(begin)),
        board: Arc::default(),
        manager: ServiceManager::none(),
    })
}

fn introduce(stage: &Stage) {
    print(&format!(
        "mediakeep demo: the real daemon against emulated providers on loopback.\n\
         Bandwidth keeps media for 24 s here (48 h in real life), Plivo for 16 s (6 h).\n\n\
         folder  {}\nstate   {}\n\n",
        stage.root().display(),
        stage.state_file().display()
    ));
}

/// The demo goes on when nobody reads what it says.
fn print(text: &str) {
    let _ = voice::print(text);
}

/// What a person would do meanwhile.
async fn perform(stage: &Stage, begin: Instant) {
    tokio::time::sleep_until(begin + EDIT_AT).await;
    print(&format!(
        "{:>6.1}s  -------   somebody saves a new brand/logo.png\n",
        begin.elapsed().as_secs_f64()
    ));
    if let Err(why) = stage.edit_logo() {
        fail(&why);
    }
}

async fn interrupted() {
    let Ok(mut signals) = signals::listen() else { return std::future::pending().await };
    while let Some(signal) = signals.recv().await {
        if signal == Signal::Stop {
            return;
        }
    }
}

async fn conclude(stage: &Stage, summary: &Summary, seen: &observer::Seen) {
    print("\n");
    for (what, url) in [("first", &seen.first_plivo), ("published", &seen.last_plivo)] {
        if let Some(url) = url {
            let status = observer::status_of(url).await;
            print(&format!("The {what} Plivo URL of brand/logo.png answers {status} now:\n  {url}\n"));
        }
    }
    print(&format!(
        "\n{} of {} entries alive. A reader fetched every published URL twice a second: {} fetches, {} dead.\n\n\
         The URLs are in the state file, for any program:\n  jq -r '.media[\"brand/logo.png\"].plivo.url' {}\n",
        summary.alive,
        summary.entries,
        seen.fetches,
        seen.dead,
        stage.state_file().display()
    ));
}

/// Long enough for an upload, an edit, a renewal at both providers and the end of an old URL.
const SHORTEST: Duration = Duration::from_secs(25);
const EDIT_AT: Duration = Duration::from_secs(4);
