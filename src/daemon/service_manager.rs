//! Tells the service manager (systemd, by `NOTIFY_SOCKET`) how the loop is: started, alive, reloading, stopping, and
//! a line for people. Does nothing where no service manager asks for it.
//!
//! It is called by the loop's own turns alone and must never send from a thread or task of its own: a loop that hangs
//! must not look alive. A message that cannot be sent is no failure of ours.
//!
//! `NOTIFY_SOCKET` and `WATCHDOG_USEC` stay in the environment, since taking them out is not safe in a process with
//! threads. No process of ours has children; whoever starts one must take them out of the child's.

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use super::{Reloaded, ScanProgress};
use crate::domain::reconciler::{Reconciler, Summary};
use crate::domain::state::Record;
use crate::domain::time::Timestamp;

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
    manifest_broken: bool,
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

/// What the line for people is made from. Finding it out costs work for each entry.
#[derive(Default)]
struct Standing {
    summary: Summary,
    /// How many URLs are published and kept alive, those of older content that is to be replaced among them.
    live: usize,
    /// When the first of these would end.
    first_end: Option<Timestamp>,
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

    /// Whether the manifest that lies there cannot be used, so that an older one is in force.
    pub fn manifest_is_broken(&mut self, broken: bool) {
        let Some(line) = &mut self.0 else { return };
        line.stale |= line.manifest_broken != broken;
        line.manifest_broken = broken;
    }

    /// Manifest and config are being read again because somebody asked for it.
    pub(super) fn reloading(&mut self) {
        let Some(line) = &mut self.0 else { return };
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            line.reloading(&now, Instant::now());
        }
    }

    /// They have been read, whoever asked for it, and what they say counts from this turn on.
    pub(super) fn reloaded(&mut self, came_to: &Reloaded) {
        self.manifest_is_broken(matches!(came_to, Reloaded::Broken));
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
        line.turn(Instant::now(), &Turn { looked, scan, news }, || Standing::of(engine));
    }

    /// When the loop must take its next turn at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.as_ref()?.due()
    }
}

impl Standing {
    fn of(engine: &Reconciler) -> Self {
        let kept = engine.records().filter_map(|(_, record)| record.filter(|it| it.retired_at.is_none()));
        let mut this = Self { summary: engine.summary(), ..Self::default() };
        for handle in kept.filter_map(Record::live) {
            this.live += 1;
            this.first_end = Some(this.first_end.map_or(handle.expires_at, |end| end.min(handle.expires_at)));
        }
        this
    }

    fn text(&self, manifest_broken: bool) -> String {
        let Summary { entries, failing, kept_alive, .. } = self.summary;
        let mut text = format!("{} URLs alive; {entries} entries", self.live);
        for (count, what) in [(failing, "not up to date"), (kept_alive, "without a usable file")] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        if let Some(end) = self.first_end {
            let _ = write!(text, "; the first URL would end {end}");
        }
        let troubles = self.troubles(manifest_broken);
        if !troubles.is_empty() {
            let _ = write!(text, "; attention: {}", troubles.join("; "));
        }
        in_one_line(&text)
    }

    fn troubles(&self, manifest_broken: bool) -> Vec<String> {
        let Summary { halted, refused, down, unusable, unwritable, folder_unusable, .. } = &self.summary;
        let mut troubles = Vec::new();
        if manifest_broken {
            troubles.push("the manifest cannot be used, the last one that worked is in force".to_owned());
        }
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
            manifest_broken: false,
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

    fn turn(&mut self, now: Instant, turn: &Turn, standing: impl FnOnce() -> Standing) {
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
        let text = self.new_text(now, turn.scan, standing);
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
        standing: impl FnOnce() -> Standing,
    ) -> Option<String> {
        if !self.stale || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        let text = match self.stage {
            Stage::Started | Stage::Stopping => standing().text(self.manifest_broken),
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
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::asset::ProviderName;
    use crate::domain::guard::Halt;

    /// A service manager that remembers what it was told.
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Heard {
        fn on(watchdog: Option<Duration>) -> (Self, Line) {
            let heard = Arc::<Mutex<Vec<String>>>::default();
            let told = heard.clone();
            let send = move |message: &[NotifyState<'_>]| {
                let words: Vec<String> = message.iter().map(ToString::to_string).collect();
                told.lock().unwrap().push(words.join(" "));
            };
            (Self(heard), Line::new(Box::new(send), watchdog))
        }

        fn since(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn turn(looked: bool, news: bool) -> Turn {
        Turn { looked, news, scan: ScanProgress { active: !looked, seen: 7, hashed: 3 } }
    }

    fn standing(alive: usize) -> Standing {
        Standing { summary: Summary { entries: 9, ..Summary::default() }, live: alive, first_end: None }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_after_the_first_look_and_asks_for_time_until_then() {
        let (heard, mut line) = Heard::on(None);
        let begin = Instant::now();
        for second in 0..100 {
            line.turn(begin + seconds(second), &turn(false, false), || panic!("nothing is known yet"));
            let due = line.due().expect("a start is never without a next turn");
            assert!(due <= begin + seconds(second) + EXTEND_EVERY);
        }
        let said = heard.since();
        let extended = said.iter().filter(|text| text.contains("EXTEND_TIMEOUT_USEC=60000000")).count();
        assert_eq!(extended, 7, "{said:?}");
        assert!(said[0].ends_with("STATUS=looking at the folder: 7 files, 3 read"), "{said:?}");
        assert!(!said.iter().any(|text| text.contains("READY")), "{said:?}");
        line.turn(begin + seconds(100), &turn(true, true), || standing(4));
        assert_eq!(heard.since(), ["READY=1 STATUS=4 URLs alive; 9 entries"]);
        line.turn(begin + seconds(102), &turn(true, true), || standing(4));
        assert_eq!(heard.since(), [""; 0], "nothing is said twice");
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_by_turns_alone_and_the_next_one_is_due_in_a_third_of_its_time() {
        let (heard, mut line) = Heard::on(Some(seconds(60)));
        let begin = Instant::now();
        line.turn(begin, &turn(true, false), || standing(9));
        assert_eq!(heard.since(), ["READY=1 WATCHDOG=1 STATUS=9 URLs alive; 9 entries"]);
        assert_eq!(line.due(), Some(begin + seconds(20)));
        // A burst of turns is one sign of life.
        for _ in 0..1000 {
            line.turn(begin + seconds(9), &turn(true, false), || standing(9));
        }
        assert_eq!(heard.since(), [""; 0]);
        line.turn(begin + seconds(20), &turn(true, false), || standing(9));
        assert_eq!(heard.since(), ["WATCHDOG=1"]);
        tokio::time::sleep(seconds(3600)).await;
        assert_eq!(heard.since(), [""; 0], "without a turn there is no sign of life");
    }

    #[tokio::test(start_paused = true)]
    async fn counting_entries_happens_at_news_only_and_not_at_every_turn() {
        let (heard, mut line) = Heard::on(None);
        let begin = Instant::now();
        let mut counted = 0;
        for millis in 0..60_000 {
            let now = begin + Duration::from_millis(millis);
            line.turn(now, &turn(true, millis > 30_000), || {
                counted += 1;
                standing(usize::try_from(millis / 20_000).unwrap())
            });
        }
        assert!(counted <= 31, "{counted} times in 60 000 turns");
        let said = heard.since();
        assert_eq!(
            said[1..],
            ["STATUS=1 URLs alive; 9 entries", "STATUS=2 URLs alive; 9 entries"],
            "{said:?}"
        );
        assert!(line.due().is_some(), "what is held back is due");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_nobody_told_of_is_noticed_within_a_minute() {
        let (heard, mut line) = Heard::on(None);
        let begin = Instant::now();
        line.turn(begin, &turn(true, false), || standing(9));
        line.turn(begin + seconds(59), &turn(true, false), || standing(8));
        assert_eq!(heard.since().len(), 1);
        line.turn(begin + seconds(60), &turn(true, false), || standing(8));
        assert_eq!(heard.since(), ["STATUS=8 URLs alive; 9 entries"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_is_framed_and_never_lasts_for_ever() {
        let (heard, mut line) = Heard::on(None);
        let begin = Instant::now();
        let monotonic = NotifyState::MonotonicUsec(17);
        line.reloading(&monotonic, begin);
        assert_eq!(heard.since(), [""; 0], "a start is no reload");
        line.turn(begin, &turn(true, false), || standing(9));
        heard.since();
        for wait in [seconds(1), RELOAD_PATIENCE] {
            line.reloading(&monotonic, begin);
            assert_eq!(heard.since(), ["RELOADING=1 MONOTONIC_USEC=17"]);
            assert!(line.due() <= Some(begin + RELOAD_PATIENCE));
            if wait < RELOAD_PATIENCE {
                line.reloaded();
            }
            line.turn(begin + wait, &turn(true, false), || standing(9));
            assert_eq!(heard.since(), ["READY=1"], "after {wait:?}");
        }
        line.stopping();
        line.stopping();
        line.reloading(&monotonic, begin);
        line.turn(begin + seconds(99), &turn(true, true), || standing(9));
        assert_eq!(heard.since(), ["STOPPING=1 STATUS=stopping"]);
    }

    #[test]
    fn a_service_manager_that_does_not_read_holds_nobody_up() {
        fn never(_: &[NotifyState<'_>]) -> std::io::Result<()> {
            std::thread::park_timeout(Duration::from_secs(3600));
            Err(std::io::ErrorKind::TimedOut.into())
        }
        let send = messenger(never);
        for _ in 0..100 * MESSAGES_MAX {
            send(&[NotifyState::Watchdog]);
        }
    }

    #[test]
    fn the_line_names_every_trouble_and_stays_one_line() {
        let name = |name: &str| ProviderName::new(name).unwrap();
        let summary = Summary {
            entries: 9,
            alive: 8,
            failing: 1,
            kept_alive: 2,
            halted: Some(Halt::RuleEmptied("a\nb".to_owned())),
            refused: vec![name("one")],
            down: vec![name("two")],
            unusable: vec![(name("three"), "the file x does not exist".to_owned())],
            unwritable: true,
            folder_unusable: Some("it is\nnot there".to_owned()),
        };
        let end = "2026-11-23T15:59:00Z".parse().unwrap();
        let text = Standing { summary, live: 10, first_end: Some(end) }.text(true);
        assert_eq!(
            text,
            "10 URLs alive; 9 entries, 1 not up to date, 2 without a usable file; the first URL would end 2026-11-23T15:59:00Z; \
             attention: the manifest cannot be used, the last one that worked is in force; the state folder cannot be \
             written; the folder cannot be used: it is not there; halted by the guard: the rule for \"a\\nb\" lost all \
             its files; one refuses the credentials; two does not answer as it should; three has no usable credentials"
        );
        let summary = Summary { folder_unusable: Some("é".repeat(9999)), ..Summary::default() };
        let long = Standing { summary, ..Standing::default() }.text(false);
        assert_eq!(long.chars().count(), TEXT_CHARS_MAX);
    }
}
