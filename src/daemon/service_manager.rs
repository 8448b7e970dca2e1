//! Tells the service manager (systemd, by `NOTIFY_SOCKET`) how the loop is: started, alive, reloading, stopping, and
//! a line for people. Does nothing where no service manager asks for it.
//!
//! It is called by the loop's own turns alone and must never send from a thread or task of its own: a loop that hangs
//! must not look alive. A message that cannot be sent is no failure of ours.
//!
//! `NOTIFY_SOCKET` and `WATCHDOG_USEC` stay in the environment, since taking them out is not safe in a process with
//! threads. Whoever starts a child must take them out of the child's, as hooks do.

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use super::ScanProgress;
use crate::domain::reconciler::{Reconciler, Summary};

/// What the loop tells the service manager with.
pub struct ServiceManager(Option<Line>);

/// How a message goes out.
type Send = Box<dyn Fn(&[NotifyState<'_>]) + std::marker::Send>;

/// A service manager that listens, and what it was told.
struct Line {
    send: Send,
    /// How long it waits for a sign of life before it ends the process.
    watchdog: Option<Duration>,
    stage: Stage,
    alive_at: Option<Instant>,
    extended_at: Option<Instant>,
    reload: Reload,
    /// The file that cannot be used, so that an older one is in force.
    broken: Option<String>,
    /// The line for people that was sent last.
    text: String,
    /// Whether that line may say something else by now, and when it is worth looking.
    stale: bool,
    not_before: Option<Instant>,
    looked_at: Option<Instant>,
}

/// How far the process is in its life.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Starting,
    Started,
    Stopping,
}

/// Whether the manifest is being read again because somebody asked for it.
#[derive(Clone, Copy, PartialEq)]
enum Reload {
    No,
    UnderWay {
        since: Instant,
    },
    /// It was read. That is said with the turn that takes it in.
    Answered,
}

/// How the loop is at the end of a turn.
struct Turn {
    /// Whether the folder has been looked at, be it in vain.
    looked: bool,
    scan: ScanProgress,
    /// Whether something happened that the line for people may tell of.
    news: bool,
}

/// Sends what the loop says from a thread of its own: where nobody reads any more, sending waits, and the loop must not. It
/// only passes on, so that a loop that says nothing is still one that hangs. What finds too much waiting is dropped;
/// whatever counts is sent again.
fn messenger(send: fn(&[NotifyState<'_>]) -> std::io::Result<()>) -> Send {
    let (sender, messages) = mpsc::sync_channel::<String>(MESSAGES_MAX);
    let pass_on = move || {
        for message in messages {
            // Whoever listens may be gone for a moment.
            drop(send(&[NotifyState::Custom(&message)]));
        }
    };
    // Without a thread nobody is told, and systemd will say so.
    drop(std::thread::Builder::new().name("service-manager".into()).spawn(pass_on));
    Box::new(move |message| {
        let lines: Vec<String> = message.iter().map(ToString::to_string).collect();
        // Full, or without a thread.
        drop(sender.try_send(lines.join("\n")));
    })
}

/// How many messages may wait for a service manager that does not read.
const MESSAGES_MAX: usize = 16;

impl ServiceManager {
    /// Nobody listens.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The service manager that started this process, if one did and asks to be told.
    #[must_use]
    pub fn from_environment() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none_or(|path| path.is_empty()) {
            return Self::none();
        }
        let watchdog = sd_notify::watchdog_enabled().filter(|watchdog| !watchdog.is_zero());
        Self(Some(Line::new(messenger(sd_notify::notify), watchdog)))
    }

    /// Which file cannot be used (the manifest or the config), so that older ones are in force; `None` if both can.
    pub(super) fn manifest_is_broken(&mut self, broken: Option<String>) {
        let Some(line) = &mut self.0 else { return };
        line.stale |= line.broken != broken;
        line.broken = broken;
    }

    /// Manifest and config are being read again because somebody asked for it.
    pub(super) fn reloading(&mut self) {
        let Some(line) = &mut self.0 else { return };
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            line.reloading(&now, Instant::now());
        }
    }

    /// They have been read, whoever asked for it, and what they say counts from this turn on.
    pub(super) fn reloaded(&mut self) {
        let Some(line) = &mut self.0 else { return };
        line.reloaded();
    }

    /// The loop was asked to stop.
    pub(super) fn stopping(&mut self) {
        let Some(line) = &mut self.0 else { return };
        line.stopping();
    }

    /// The loop has taken a turn.
    pub(super) fn turn(&mut self, engine: &Reconciler, scan: ScanProgress, news: bool) {
        let Some(line) = &mut self.0 else { return };
        let looked =
            line.stage == Stage::Started || engine.has_walked() || engine.obstacles().folder.is_some();
        line.turn(Instant::now(), &Turn { looked, scan, news }, || engine.summary());
    }

    /// When the loop must take its next turn at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.as_ref()?.due()
    }
}

/// The line for people.
fn status_text(summary: &Summary, broken: Option<&str>) -> String {
    let Summary { live, entries, failing, kept_alive, .. } = *summary;
    let mut text = format!("{live} URLs alive; {entries} entries");
    for (count, what) in [(failing, "not up to date"), (kept_alive, "without a usable file")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    if let Some(end) = summary.first_end {
        let _ = write!(text, "; the first URL would end {end}");
    }
    let troubles = troubles(summary, broken);
    if !troubles.is_empty() {
        let _ = write!(text, "; attention: {}", troubles.join("; "));
    }
    in_one_line(&text)
}

fn troubles(summary: &Summary, broken: Option<&str>) -> Vec<String> {
    let Summary { halted, refused, down, unusable, unwritable, folder_unusable, .. } = summary;
    let mut troubles = Vec::new();
    troubles
        .extend(broken.map(|file| format!("{file} cannot be used, the last one that worked is in force")));
    if *unwritable {
        troubles.push("the state folder cannot be written".to_owned());
    }
    troubles.extend(folder_unusable.iter().map(|why| format!("the folder cannot be used: {why}")));
    troubles.extend(halted.iter().map(|halt| format!("halted by the guard: {halt}")));
    troubles.extend(refused.iter().map(|name| format!("{name} refuses the credentials")));
    troubles.extend(down.iter().map(|name| format!("{name} does not answer as it should")));
    troubles.extend(unusable.iter().map(|(name, _)| format!("{name} has no usable credentials")));
    troubles
}

/// A message is made of lines, and names may hold anything.
fn in_one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).take(TEXT_CHARS_MAX).collect()
}

impl Line {
    fn new(send: Send, watchdog: Option<Duration>) -> Self {
        Self {
            send,
            watchdog,
            stage: Stage::Starting,
            alive_at: None,
            extended_at: None,
            reload: Reload::No,
            broken: None,
            text: String::new(),
            stale: true,
            not_before: None,
            looked_at: None,
        }
    }

    fn reloading(&mut self, monotonic: &NotifyState<'_>, now: Instant) {
        // Before the start is over there is nothing to reload; what changed is seen all the same.
        if self.stage == Stage::Started {
            self.reload = Reload::UnderWay { since: now };
            (self.send)(&[NotifyState::Reloading, monotonic.clone()]);
        }
    }

    fn reloaded(&mut self) {
        if self.reload != Reload::No {
            self.reload = Reload::Answered;
        }
    }

    fn stopping(&mut self) {
        if std::mem::replace(&mut self.stage, Stage::Stopping) != Stage::Stopping {
            (self.send)(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        }
    }

    fn turn(&mut self, now: Instant, turn: &Turn, summary: impl FnOnce() -> Summary) {
        if self.stage == Stage::Stopping {
            return;
        }
        let mut message = Vec::new();
        let has_started = turn.looked && self.stage == Stage::Starting;
        let has_reloaded = match self.reload {
            Reload::No => false,
            // A disk that does not answer must not look like a reload for ever: what was read before is in force.
            Reload::UnderWay { since } => now >= since + RELOAD_PATIENCE,
            Reload::Answered => true,
        };
        if has_started || has_reloaded {
            (self.stage, self.reload) = (Stage::Started, Reload::No);
            (self.stale, self.not_before) = (true, None);
            message.push(NotifyState::Ready);
        }
        let starting = self.stage == Stage::Starting;
        if starting && is_due(self.extended_at, EXTEND_EVERY, now) {
            self.extended_at = Some(now);
            message.push(NotifyState::ExtendTimeoutUsec(EXTEND_BY_US));
        }
        if self.watchdog.is_some_and(|watchdog| is_due(self.alive_at, watchdog / 6, now)) {
            self.alive_at = Some(now);
            message.push(NotifyState::Watchdog);
        }
        // Every so often it is looked at whether anything was said: nothing depends on having heard of a change.
        self.stale |= turn.news || starting || is_due(self.looked_at, LOOK_AGAIN, now);
        let text = self.new_text(now, turn.scan, summary);
        message.extend(text.iter().map(|text| NotifyState::Status(text)));
        if !message.is_empty() {
            (self.send)(&message);
        }
    }

    /// The line for people, where it is time to look and it is another one than before.
    fn new_text(
        &mut self,
        now: Instant,
        scan: ScanProgress,
        summary: impl FnOnce() -> Summary,
    ) -> Option<String> {
        if !self.stale || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        let text = match self.stage {
            Stage::Started | Stage::Stopping => status_text(&summary(), self.broken.as_deref()),
            Stage::Starting => format!("looking at the folder: {} files, {} read", scan.seen, scan.hashed),
        };
        let pause = now.elapsed().saturating_mul(PAUSE_PER_LOOK).max(PAUSE_MIN);
        (self.stale, self.looked_at, self.not_before) = (false, Some(now), Some(now + pause));
        let news = text != self.text;
        self.text.clone_from(&text);
        news.then_some(text)
    }

    fn due(&self) -> Option<Instant> {
        let starting = self.stage == Stage::Starting;
        let alive = self.watchdog.and_then(|watchdog| Some(self.alive_at? + watchdog / 3));
        let extended = self.extended_at.filter(|_| starting).map(|at| at + EXTEND_EVERY);
        let reloaded = match self.reload {
            Reload::UnderWay { since } => Some(since + RELOAD_PATIENCE),
            Reload::No | Reload::Answered => None,
        };
        let text = self.not_before.filter(|_| self.stale || starting);
        [alive, extended, reloaded, text]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| self.stage != Stage::Stopping)
    }
}

fn is_due(last: Option<Instant>, every: Duration, now: Instant) -> bool {
    last.is_none_or(|last| now >= last + every)
}

/// The service manager gives a start that long from each time it is asked for more.
const EXTEND_BY_US: u32 = 60_000_000;
const EXTEND_EVERY: Duration = Duration::from_secs(15);
/// How long a reload may look like one.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);
/// Making the line for people takes no more than a hundredth of the time.
const PAUSE_PER_LOOK: u32 = 100;
const PAUSE_MIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_secs(60);
const TEXT_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests;
