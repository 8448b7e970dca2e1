//! Events as log lines, on standard error or in the journal. The one place that words them; it decides nothing.
//!
//! Names of files are always logged as quoted values, so that a name with a line break in it cannot forge a line.

mod journal;
mod panics;
mod queue;

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use queue::{Due, Queue, Size};
use tracing::dispatcher::{self, Dispatch};
use tracing::{debug, error, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::domain::event::Event;
use crate::domain::time::format_duration;
use crate::local::clock::{Clock, SystemClock};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
    /// Entries of systemd's journal, with priorities and fields.
    Journal,
}

impl Format {
    /// What suits people: the journal where standard error leads there, else text.
    #[must_use]
    pub fn for_people() -> Self {
        if journal::has_standard_error() { Self::Journal } else { Self::Text }
    }
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Only what went wrong.
    Quiet,
    /// What happens.
    Normal,
    /// Why it happens.
    Verbose,
    /// Everything.
    Everything,
}

/// Who waits for whoever reads what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Whoever says it: nothing is lost. The journal is never waited for all the same.
    Waiting,
    /// A thread of its own: a pipe that nobody empties or a journal that hangs holds nobody up, and what it does not
    /// take is lost and counted.
    Queued,
}

/// Something that was said, on its way to the one thread that writes.
#[derive(Debug)]
enum Said {
    /// To the journal.
    Entry(journal::Entry),
    /// To standard error.
    Text(Vec<u8>),
}

impl Size for Said {
    fn bytes(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.bytes(),
            Self::Text(text) => text.len(),
        }
    }
}

static QUEUE: OnceLock<Arc<Queue<Said>>> = OnceLock::new();

/// Sends log lines to standard error, or to the journal, from now on. Does nothing where that has been done before.
/// Says which format it is: text where no journal listens.
pub fn start(format: Format, verbosity: Verbosity, delivery: Delivery) -> Format {
    match format {
        Format::Journal => {
            start_journal(verbosity).map_or_else(|_| start(Format::Text, verbosity, delivery), |()| format)
        }
        Format::Text | Format::Json => {
            let direct = lines(format, verbosity, io::stderr);
            let queue = match delivery {
                Delivery::Queued => {
                    queue(direct.clone(), Arc::new(SystemClock::new()), "whoever reads standard error").ok()
                }
                Delivery::Waiting => None,
            };
            let from_here =
                queue.map_or(direct, |queue| lines(format, verbosity, move || ToQueue(queue.clone())));
            drop(from_here.try_init());
            format
        }
    }
}

fn start_journal(verbosity: Verbosity) -> io::Result<()> {
    let direct = tracing_subscriber::registry().with(filter(verbosity)).with(journal::connect()?);
    let clock = Arc::new(SystemClock::new());
    let queue = queue(direct.into(), clock.clone(), "the journal")?;
    let entries = journal::Entries { queue, clock };
    drop(tracing_subscriber::registry().with(filter(verbosity)).with(entries).try_init());
    Ok(())
}

/// Log lines as text or JSON.
fn lines<W>(format: Format, verbosity: Verbosity, writer: W) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter(verbosity)).with_writer(writer);
    let builder = builder.with_target(false);
    match format {
        Format::Json => builder.json().flatten_event(true).finish().into(),
        Format::Text | Format::Journal => builder.with_ansi(io::stderr().is_terminal()).finish().into(),
    }
}

/// A queue whose thread writes as `direct` does.
fn queue(direct: Dispatch, clock: Arc<dyn Clock>, reader: &'static str) -> io::Result<Arc<Queue<Said>>> {
    let queue = Arc::new(Queue::start(writer(direct, clock, reader))?);
    let queue = QUEUE.get_or_init(|| queue).clone();
    panics::tell_by_queue();
    Ok(queue)
}

/// Writes as `direct` does, and says what `reader` did not take.
fn writer(direct: Dispatch, clock: Arc<dyn Clock>, reader: &'static str) -> impl FnMut(Due<Said>) {
    move |due| {
        dispatcher::with_default(&direct, || match due {
            Due::Line(Said::Entry(entry)) => entry.send(clock.now()),
            Due::Line(Said::Text(text)) => drop(io::stderr().write_all(&text)),
            Due::Lost(lost) => warn!(lost, "{lost} log lines were lost, because {reader} did not take them"),
        });
    }
}

/// Puts whole lines into a queue.
struct ToQueue(Arc<Queue<Said>>);

impl Write for ToQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(Said::Text(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is no log line to standard error: after all that was logged before, and the same way.
pub fn say(text: Vec<u8>) {
    match QUEUE.get() {
        Some(queue) => queue.push(Said::Text(text)),
        // There is nobody left to be told.
        None => drop(io::stderr().write_all(&text)),
    }
}

/// When it is dropped, what was said before is written: for the end of a process. It waits for a second at most.
#[derive(Debug)]
#[must_use]
pub struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        if let Some(queue) = QUEUE.get() {
            // Where it is not, nobody reads, and nobody can be told.
            let _ = queue.flush(FLUSH_MAX);
        }
    }
}

const FLUSH_MAX: Duration = Duration::from_secs(1);

/// HTTP and TLS libraries may log header values at their lowest levels: they are never let through.
fn filter(verbosity: Verbosity) -> EnvFilter {
    EnvFilter::new(match verbosity {
        Verbosity::Quiet => "warn,hyper=off,reqwest=off,rustls=off,h2=off",
        Verbosity::Normal => "warn,mediakeep=info,hyper=off,reqwest=off,rustls=off,h2=off",
        Verbosity::Verbose => "warn,mediakeep=debug,hyper=off,reqwest=off,rustls=off,h2=off",
        Verbosity::Everything => "info,mediakeep=trace,hyper=warn,reqwest=warn,rustls=warn,h2=warn",
    })
}

/// Writes an event to the log.
pub fn log(event: &Event) {
    match event {
        Event::Uploaded { .. }
        | Event::Renewed { .. }
        | Event::Retired { .. }
        | Event::Unretired { .. }
        | Event::Recovered { .. }
        | Event::Lapsed { .. }
        | Event::Vanished { .. }
        | Event::ForeignContent { .. }
        | Event::AtRisk { .. } => log_life(event),
        Event::Failed { .. } | Event::SourceLost { .. } | Event::Blocked { .. } => log_trouble(event),
        Event::AccountStopped { .. }
        | Event::AccountRecovered { .. }
        | Event::AccountGone { .. }
        | Event::AccountPaused { .. }
        | Event::AccountUnusable { .. }
        | Event::AccountUsable { .. }
        | Event::ClockDiffers { .. }
        | Event::Overcommitted { .. } => log_account(event),
        Event::Verified { .. }
        | Event::LossDoubted { .. }
        | Event::VerificationFailed { .. }
        | Event::RetentionLearnt { .. }
        | Event::OverwritingKeepsClock { .. } => log_verification(event),
        _ => log_surroundings(event),
    }
}

fn log_life(event: &Event) {
    match event {
        Event::Uploaded { key, reason, url, bytes, expires_at } => {
            info!(file = ?key.path, provider = %key.provider, reason = reason.as_str(), url = ?url, bytes, %expires_at, "uploaded");
        }
        Event::Renewed { key, url, expires_at, from_kept_copy } => {
            info!(file = ?key.path, provider = %key.provider, url = ?url, %expires_at, from_kept_copy, "renewed");
        }
        Event::Retired { key, expires_at } => {
            let expires_at = expires_at.map(|at| at.to_string());
            info!(file = ?key.path, provider = %key.provider, expires_at, "retired: not renewed any more");
        }
        Event::Unretired { key } => info!(file = ?key.path, provider = %key.provider, "wanted again"),
        Event::Recovered { key } => info!(file = ?key.path, provider = %key.provider, "mended"),
        Event::Lapsed { key } => {
            error!(file = ?key.path, provider = %key.provider, "the published URL has died");
        }
        Event::Vanished { key, age } => {
            let age = format_duration(*age);
            error!(file = ?key.path, provider = %key.provider, age, "the provider does not hold it any more; it is uploaded again");
        }
        Event::ForeignContent { key, sent, found } => {
            warn!(file = ?key.path, provider = %key.provider, sent, found, "somebody else has written under its ID: another size than was sent; give each writer IDs of its own");
        }
        Event::AtRisk { key, left } => {
            let left = format_duration(*left);
            error!(file = ?key.path, provider = %key.provider, left, "at risk: the published URL ends soon");
        }
        _ => {}
    }
}

fn log_trouble(event: &Event) {
    match event {
        Event::Failed { key, class, detail, attempts, wait } => {
            let wait = format_duration(*wait);
            warn!(file = ?key.path, provider = %key.provider, %class, attempts, next_try_in = wait, detail = ?detail, "upload failed");
        }
        Event::SourceLost { key, detail, attempts, wait } => {
            let wait = format_duration(*wait);
            warn!(file = ?key.path, provider = %key.provider, attempts, next_try_in = wait, detail = ?detail, "cannot upload: the bytes are nowhere");
        }
        Event::Blocked { key, kind, detail, kept_alive } => {
            warn!(file = ?key.path, provider = %key.provider, kind, kept_alive, detail = ?detail, "blocked");
        }
        _ => {}
    }
}

fn log_account(event: &Event) {
    match event {
        Event::AccountStopped { provider, class, detail } => {
            error!(%provider, %class, detail = ?detail, "the account gets no requests but probes until it answers");
        }
        Event::AccountRecovered { provider } => info!(%provider, "the account answers again"),
        Event::AccountGone { provider } => {
            info!(%provider, "the account that something was wrong with is not used any more");
        }
        Event::AccountPaused { provider, wait } => {
            warn!(%provider, wait = format_duration(*wait), "the provider asks us to wait");
        }
        Event::AccountUnusable { provider, detail, connected: false } => {
            error!(%provider, detail = ?detail, "the account cannot be used");
        }
        Event::AccountUnusable { provider, detail, connected: true } => {
            error!(%provider, detail = ?detail, "the credentials are gone; those that were read before stay in use");
        }
        Event::AccountUsable { provider } => info!(%provider, "the credentials are found again"),
        Event::ClockDiffers { provider, difference, is_ahead } => {
            let (difference, side) =
                (format_duration(*difference), if *is_ahead { "ahead of" } else { "behind" });
            warn!(%provider, difference, "the wall clock is {side} the provider's; expires_at is as wrong as the clock is: set it");
        }
        Event::Overcommitted { provider, entries, round, margin } => {
            let (round, margin) = (format_duration(*round), format_duration(*margin));
            warn!(%provider, entries, round, margin, "the allowed rate is too low to renew every entry in time");
        }
        _ => {}
    }
}

fn log_verification(event: &Event) {
    match event {
        Event::Verified { provider, present, gone } => {
            debug!(%provider, present, gone, "verified what the provider holds");
        }
        Event::LossDoubted { provider, gone, sought } => {
            error!(%provider, gone, sought, "most media were not found at the provider; they are uploaded again, and their URLs stay published until another look agrees; see whether it is the right account");
        }
        Event::VerificationFailed { provider, class, detail } => {
            info!(%provider, %class, detail = ?detail, "cannot verify what the provider holds; uploads go on");
        }
        Event::RetentionLearnt { provider, assumed, retention } => {
            let (assumed, retention) = (format_duration(*assumed), format_duration(*retention));
            error!(%provider, assumed, "media die sooner than assumed; counting on {retention} until a restart; to keep that, set retention = \"{retention}\" in [provider.{provider}]");
        }
        Event::OverwritingKeepsClock { provider, fixed: 0, .. } => {
            warn!(%provider, "an upload under an existing ID does not prolong a media's life; each renewal has a new ID and URL from now on");
        }
        Event::OverwritingKeepsClock { provider, fixed, example } => {
            let example = example.as_ref().map(ToString::to_string);
            error!(%provider, fixed, example, "an upload under an existing ID does not prolong a media's life; each renewal has a new ID and URL from now on, except where the manifest fixes the ID: those media die and are brought back; put {{hash8}} into their id");
        }
        _ => {}
    }
}

fn log_surroundings(event: &Event) {
    match event {
        Event::GuardHalted { halt, held_back, examples } => {
            let examples: Vec<String> = examples.iter().map(ToString::to_string).collect();
            error!(held_back, examples = ?examples, "halted by the guard: {halt}; nothing is retired, and what can be renewed still is; to let them go: mediakeep approve");
        }
        Event::GuardReleased => info!("the guard holds nothing back any more"),
        Event::FolderUnusable { detail } => {
            error!(detail = ?detail, "the folder cannot be used; what is published is kept alive from kept copies");
        }
        Event::FolderBack => info!("the folder can be used again"),
        Event::SubfolderUnreadable { path } => {
            warn!(folder = ?path, "cannot be listed; what is in it is kept alive");
        }
        Event::ClockJumped { seconds } => warn!(seconds, "the clock jumped; everything is looked at again"),
        Event::ManifestUnusable { unusable, at_start } => {
            let meanwhile = if *at_start {
                "starting from the last one that worked"
            } else {
                "the one before stays in force"
            };
            error!(file = ?unusable.file, line = unusable.line, why = ?unusable.why, "the {} cannot be used; {meanwhile}", unusable.source);
        }
        Event::ManifestUsable => info!("manifest and config can be used again"),
        Event::StateUnwritable { detail } => {
            error!(detail = ?detail, "the state folder cannot be written; renewals go on, new content waits");
        }
        Event::StateWritable => info!("the state folder can be written again"),
        _ => {}
    }
}
