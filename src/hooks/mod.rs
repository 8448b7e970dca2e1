//! TELLS people and programs when it matters: runs the commands and webhooks of `[hook]`.
//!
//! What is told, and when, is decided in [`crate::domain::notice`]. A task of its own runs the hooks, so that none of
//! them ever delays an upload, a publication or the loop. One run of a hook at a time; every run ends.

mod command;
mod debts;
mod payload;
mod run;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::{debug, error, warn};

pub(crate) use payload::sample;
pub(crate) use run::{Runner, label, unresolved};

use debts::Debts;
use run::HookError;

use crate::daemon::board::Board;
use crate::daemon::{Observer, Readers, ScanProgress};
use crate::domain::asset::ProviderName;
use crate::domain::event::Event;
use crate::domain::manifest::{Hook, HookOptions, Manifest};
use crate::domain::notice::{Notice, Notices, Owed, Queue, RunResult, Setback, Topic};
use crate::domain::state::State;
use crate::domain::time::{Timestamp, format_duration};
use crate::local::clock::Clock;
use crate::local::state_store::read_only;
use crate::provider::credentials::Lookups;

/// The hooks of a daemon. They follow what the config says.
pub struct Hooks {
    follower: Follower,
    task: JoinHandle<()>,
}

/// What reaches the task.
enum Heard {
    Event(Event),
    /// Readers find this now.
    Published(Arc<State>),
    /// These hooks count from now on.
    Follow(Option<HookOptions>, Runner),
    Stop,
}

impl Hooks {
    /// Starts the task. `state_file` is told to programs; what lies beside it says what they were told before. What
    /// becomes of runs is counted on `board`.
    #[must_use]
    pub fn start(
        manifest: &Manifest,
        state_file: PathBuf,
        lookups: Arc<dyn Lookups>,
        clock: Arc<dyn Clock>,
        board: Arc<Board>,
    ) -> Self {
        let (inbox, heard) = unbounded_channel();
        let runner = Runner::new(Arc::clone(&lookups), &state_file, manifest);
        let follower = Follower { inbox, wanted: Arc::default(), state_file: state_file.into(), lookups };
        let accounts = manifest.providers.keys().cloned().collect();
        let debts = Debts::open(&follower.state_file);
        let task = tokio::spawn(Desk::new(heard, runner, debts, accounts, clock, board).work());
        follower.follow(manifest);
        Self { follower, task }
    }

    /// Hears what an observer is told.
    #[must_use]
    pub fn hearing(&self, observer: Box<dyn Observer>) -> Box<dyn Observer> {
        Box::new(Hearing { observer, follower: self.follower.clone() })
    }

    /// What others can tell it to follow another manifest with.
    #[must_use]
    pub fn follower(&self) -> Follower {
        self.follower.clone()
    }

    /// Tells what was not told yet, and ends. What takes longer than 5 s is killed.
    pub async fn stop(self) {
        self.follower.send(Heard::Stop);
        drop(self.task.await);
    }
}

/// Tells the hooks what to follow.
#[derive(Clone)]
pub struct Follower {
    inbox: UnboundedSender<Heard>,
    /// Whether there are any hooks: what happens is handed over only then.
    wanted: Arc<AtomicBool>,
    state_file: Arc<Path>,
    lookups: Arc<dyn Lookups>,
}

impl Follower {
    /// From now on the hooks of this manifest's config count. May wait for the disk with the state.
    pub fn follow(&self, manifest: &Manifest) {
        let options = manifest.hooks.clone().filter(|options| !options.hooks.is_empty());
        let begins = !self.wanted.swap(options.is_some(), Ordering::Relaxed) && options.is_some();
        let runner = Runner::new(Arc::clone(&self.lookups), &self.state_file, manifest);
        self.send(Heard::Follow(options, runner));
        // Or else nothing could be told before the next publication but one.
        let recorded =
            self.state_file.parent().filter(|_| begins).and_then(|folder| read_only(folder).ok()?);
        if let Some(loaded) = recorded {
            self.send(Heard::Published(Arc::new(loaded.state)));
        }
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    fn send(&self, heard: Heard) {
        // An error means that the task has ended.
        drop(self.inbox.send(heard));
    }
}

/// Hands over what an observer is told.
struct Hearing {
    observer: Box<dyn Observer>,
    follower: Follower,
}

impl Observer for Hearing {
    fn readers(&self) -> Option<Readers> {
        let follower = self.follower.clone();
        Some(Arc::new(move |state: &State| {
            if follower.is_wanted() {
                follower.send(Heard::Published(Arc::new(state.clone())));
            }
        }))
    }

    fn event(&mut self, event: &Event) {
        if Notices::concerns(event) && self.follower.is_wanted() {
            self.follower.send(Heard::Event(event.clone()));
        }
        self.observer.event(event);
    }

    fn warning(&mut self, text: &str) {
        self.observer.warning(text);
    }

    fn progress(&mut self, backlog: usize, scan: ScanProgress) {
        self.observer.progress(backlog, scan);
    }
}

/// A hook with what it is still to be told.
struct Line {
    hook: Hook,
    queue: Queue,
    running: Option<Id>,
}

impl Line {
    /// Whether there are ends that it has not told yet.
    fn is_telling_ends(&self) -> bool {
        self.hook.topic == Topic::Recover && !self.queue.is_idle()
    }
}

/// The task.
struct Desk {
    heard: UnboundedReceiver<Heard>,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    runner: Runner,
    timeout: Duration,
    host: String,
    lines: Vec<Line>,
    /// `None` until it is known what readers find.
    notices: Option<Notices>,
    /// What outlives the process.
    debts: Debts,
    /// Whether a hook that tells of ends could not, and will not any more.
    ends_lost: bool,
    /// The accounts of the start, until what was told before it is known to the notices.
    recalling: Option<BTreeSet<ProviderName>>,
    runs: JoinSet<Result<(), HookError>>,
    /// What those that are under way are about, and how many news they tell: the line of one may be gone when it ends.
    under_way: HashMap<Id, (Topic, usize)>,
    stop_by: Option<Instant>,
}

impl Desk {
    fn new(
        heard: UnboundedReceiver<Heard>,
        runner: Runner,
        debts: Debts,
        accounts: BTreeSet<ProviderName>,
        clock: Arc<dyn Clock>,
        board: Arc<Board>,
    ) -> Self {
        Self {
            heard,
            clock,
            board,
            runner,
            timeout: Duration::ZERO,
            host: host(),
            lines: Vec::new(),
            notices: None,
            debts,
            ends_lost: false,
            recalling: Some(accounts),
            runs: JoinSet::new(),
            under_way: HashMap::new(),
            stop_by: None,
        }
    }

    async fn work(mut self) {
        loop {
            self.wake();
            self.start_runs();
            self.keep_debts();
            let is_idle = self.runs.is_empty() && self.debts.is_idle();
            let wait = match self.stop_by {
                Some(by) if is_idle || by <= Instant::now() => break,
                Some(by) => by.saturating_duration_since(Instant::now()),
                None => self.wait(),
            };
            tokio::select! {
                heard = self.heard.recv(), if self.stop_by.is_none() => self.take(heard.unwrap_or(Heard::Stop)),
                Some(ran) = self.runs.join_next_with_id() => self.ran(ran),
                () = self.debts.written() => {}
                () = tokio::time::sleep(wait) => {}
            }
            while let Ok(heard) = self.heard.try_recv() {
                self.take(heard);
            }
        }
        if !self.runs.is_empty() {
            warn!(hooks = self.runs.len(), "killed hooks that were still running at the end");
        }
        self.runs.shutdown().await;
    }

    /// How long nothing is to be done, if nothing is heard.
    fn wait(&self) -> Duration {
        let due = self.lines.iter().filter_map(|line| line.queue.due_at());
        let next = due.chain(self.notices.as_ref().and_then(Notices::wake_at)).min();
        let wait = next.map_or(TICK, |at| at.saturating_since(self.clock.now().steady));
        // A clock that runs on through a suspend needs a look now and then.
        wait.clamp(Duration::from_millis(10), TICK)
    }

    fn take(&mut self, heard: Heard) {
        let steady = self.clock.now().steady;
        match (heard, &mut self.notices) {
            (Heard::Event(event), Some(notices)) => {
                let told = notices.event(&event, steady);
                self.tell(&told, steady);
            }
            (Heard::Event(_), None) => {}
            (Heard::Published(state), Some(notices)) => {
                let told = notices.published(state, steady);
                self.tell(&told, steady);
            }
            (Heard::Published(state), none) => {
                let notices = none.insert(Notices::new(state, steady));
                if let Some(accounts) = self.recalling.take() {
                    let owed = self.debts.kept().clone();
                    let told = notices.recall(owed, |name| accounts.contains(name), steady);
                    self.tell(&told, steady);
                }
            }
            (Heard::Follow(options, runner), _) => self.follow(options, runner),
            (Heard::Stop, _) => {
                self.stop_by.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
            }
        }
    }

    /// Those that stay keep what they are still to be told, and those that are mended take it over.
    fn follow(&mut self, options: Option<HookOptions>, runner: Runner) {
        self.runner = runner;
        let Some(options) = options else {
            let gone = std::mem::take(&mut self.lines);
            self.drop_lines(&gone);
            // What happens without hooks is not heard of, so that nothing of it is known later.
            (self.notices, self.recalling) = (None, None);
            return;
        };
        self.timeout = options.timeout;
        self.look_for_targets(&options);
        let before = std::mem::take(&mut self.lines);
        let (stay, mut others): (Vec<Line>, Vec<Line>) =
            before.into_iter().partition(|line| options.hooks.contains(&line.hook));
        self.lines = stay;
        for hook in options.hooks {
            if self.lines.iter().any(|line| line.hook == hook) {
                continue;
            }
            let mended = others.iter().position(|line| line.hook.topic == hook.topic);
            let line = mended.map(|index| others.remove(index));
            let (queue, running) =
                line.map_or_else(|| (Queue::new(hook.topic), None), |line| (line.queue, line.running));
            self.lines.push(Line { hook, queue, running });
        }
        self.drop_lines(&others);
    }

    /// Counts what hooks that are gone will not be told any more; what they are being told counts when that ends.
    fn drop_lines(&self, gone: &[Line]) {
        for line in gone.iter().filter(|line| line.queue.waiting() > 0) {
            let (topic, lost) = (line.hook.topic, line.queue.waiting());
            self.board.hooks.lost(topic, lost);
            warn!(
                hook = topic.key(),
                target = label(&line.hook.target),
                lost,
                "the config has this hook no more; its news are lost"
            );
        }
    }

    /// Keeps whose end is owed. What is over is owed until that was told: a process may end before.
    fn keep_debts(&mut self) {
        match (&self.notices, &self.recalling) {
            (Some(notices), _) => {
                let mut owed = notices.owed();
                if self.ends_lost || self.lines.iter().any(Line::is_telling_ends) {
                    owed.keep(self.debts.kept());
                }
                self.debts.keep(owed);
            }
            (None, None) => self.debts.keep(Owed::default()),
            (None, Some(_)) => {}
        }
    }

    /// A program or an address that is not there is told now, and not only when there is something to tell.
    fn look_for_targets(&self, options: &HookOptions) {
        let (runner, options) = (self.runner.clone(), options.clone());
        tokio::task::spawn_blocking(move || {
            for problem in runner.unresolved(&options) {
                error!("{problem}; until that is mended this hook tells nobody");
            }
        });
    }

    fn wake(&mut self) {
        let steady = self.clock.now().steady;
        if let Some(notices) = &mut self.notices {
            let told = notices.wake(steady);
            self.tell(&told, steady);
        }
    }

    fn tell(&mut self, notices: &[Notice], steady: Timestamp) {
        for notice in notices {
            for line in &mut self.lines {
                line.queue.hear(notice, steady);
            }
        }
    }

    fn start_runs(&mut self) {
        let now = self.clock.now();
        let stopping = self.stop_by.is_some();
        for line in &mut self.lines {
            if !stopping && line.queue.due_at().is_none_or(|due| due > now.steady) {
                continue;
            }
            let Some(batch) = line.queue.begin() else { continue };
            let news = batch.news.len();
            let payload = payload::payload(line.hook.topic, &batch, now.wall, &self.host, false);
            let (runner, target, limit) = (self.runner.clone(), line.hook.target.clone(), self.timeout);
            debug!(hook = line.hook.topic.key(), target = label(&target), news = payload.count, "hook runs");
            let run = self.runs.spawn(async move { runner.run(&target, &payload, limit).await });
            line.running = Some(run.id());
            self.under_way.insert(run.id(), (line.hook.topic, news));
        }
    }

    fn ran(&mut self, ran: Result<(Id, Result<(), HookError>), JoinError>) {
        let (id, result) = ran.unwrap_or_else(|error| (error.id(), Err(HookError::Defect)));
        let (steady, tally) = (self.clock.now().steady, &self.board.hooks);
        let is_of = |line: &Line| line.running == Some(id);
        let index = self.lines.iter().position(is_of);
        if let Some((topic, news)) = self.under_way.remove(&id) {
            tally.ran(topic, result.as_ref().err().map_or(RunResult::Ok, HookError::result));
            if let (None, Err(why)) = (index, &result) {
                tally.lost(topic, news);
                let (hook, why) = (topic.key(), why.to_string());
                warn!(hook, lost = news, ?why, "hook failed; the config has it no more; its news are lost");
            }
        }
        let Some(index) = index else { return };
        let line = &mut self.lines[index];
        line.running = None;
        let (hook, target) = (line.hook.topic.key(), label(&line.hook.target));
        let Err(why) = result else { return line.queue.succeeded() };
        match line.queue.failed(steady) {
            Setback::Again(wait) if self.stop_by.is_none() => {
                warn!(hook, target, next_try_in = format_duration(wait), why = ?why.to_string(), "hook failed");
            }
            Setback::Again(_) => {
                error!(hook, target, why = ?why.to_string(), "hook failed; its news are lost with the end");
                self.ends_lost |= line.hook.topic == Topic::Recover;
                self.lines.swap_remove(index);
            }
            Setback::GivenUp(lost) => {
                tally.lost(line.hook.topic, lost);
                error!(hook, target, lost, why = ?why.to_string(), "hook failed again and again; its news are lost");
            }
        }
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How long hooks may take after a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing is looked at, at most.
const TICK: Duration = Duration::from_secs(30);
