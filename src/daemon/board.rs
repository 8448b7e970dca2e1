//! What the loop shows to those who look on: how everything stood when it last changed, and that the loop goes on.
//!
//! Whoever looks on never reaches into the loop. A view is made by the loop and never changes; where nobody looks on,
//! none is made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::heartbeat::Heartbeat;
use super::reading::Reading;
use crate::domain::asset::ProviderName;
use crate::domain::notice::{RunResult, Topic};
use crate::domain::reconciler::Overview;
use crate::domain::time::Now;
use crate::local::watcher;
use crate::provider::tally::Tally;

/// How everything stood at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Entries, accounts, and what stands in their way.
    pub overview: Overview,
    /// When this was seen.
    pub at: Now,
    /// When the last walk through the whole folder ended, if one did.
    pub walked_at: Option<Now>,
    /// Time between two walks.
    pub rescan: Duration,
    /// What became of the last reading of manifest and config.
    pub reading: Reading,
    /// Whether changes of files are noticed by themselves.
    pub watching: watcher::Mode,
}

/// Where the loop shows how things stand.
#[derive(Debug)]
pub struct Board {
    /// Whether the loop goes on.
    pub heartbeat: Heartbeat,
    watched: AtomicBool,
    view: watch::Sender<Option<Arc<View>>>,
    tallies: Mutex<BTreeMap<ProviderName, Arc<Tally>>>,
    /// How the hooks do.
    pub hooks: HookTally,
}

/// Counts what became of hooks, by their topic.
#[derive(Debug, Default)]
pub struct HookTally(Mutex<HookCounts>);

/// What became of hooks since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookCounts {
    /// Their runs, by how they ended.
    pub runs: BTreeMap<(Topic, RunResult), u64>,
    /// News that were given up, because the runs that should have told them failed too often or their hook is gone.
    pub lost: BTreeMap<Topic, u64>,
}

impl HookTally {
    /// A run is over.
    pub fn ran(&self, topic: Topic, result: RunResult) {
        *self.lock().runs.entry((topic, result)).or_default() += 1;
    }

    /// So many news will not be told any more.
    pub fn lost(&self, topic: Topic, news: usize) {
        *self.lock().lost.entry(topic).or_default() += news as u64;
    }

    /// What has become of them so far.
    #[must_use]
    pub fn counts(&self) -> HookCounts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HookCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Board {
    fn default() -> Self {
        Self {
            heartbeat: Heartbeat::default(),
            watched: AtomicBool::new(false),
            view: watch::Sender::new(None),
            tallies: Mutex::default(),
            hooks: HookTally::default(),
        }
    }
}

impl Board {
    /// Says whether anybody looks on from now on. The loop sees it at its next turn.
    pub fn watch(&self, on: bool) {
        self.watched.store(on, Ordering::Relaxed);
        if !on {
            self.view.send_replace(None);
        }
    }

    /// How things stood when they last changed; `None` before the first turn.
    #[must_use]
    pub fn view(&self) -> Option<Arc<View>> {
        self.view.borrow().clone()
    }

    /// The requests to each account so far.
    #[must_use]
    pub fn tallies(&self) -> Vec<(ProviderName, Arc<Tally>)> {
        self.lock().iter().map(|(name, tally)| (name.clone(), Arc::clone(tally))).collect()
    }

    /// Where the requests to an account are counted.
    pub(super) fn tally(&self, name: &ProviderName) -> Arc<Tally> {
        Arc::clone(self.lock().entry(name.clone()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProviderName, Arc<Tally>>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's side of the board: what it shows costs it no more than a fiftieth of its time.
pub(super) struct Showing {
    board: Arc<Board>,
    /// Whether something has changed since the last view.
    stale: bool,
    not_before: Instant,
}

impl Showing {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self { board, stale: true, not_before: Instant::now() }
    }

    /// The loop took a turn; `news`: in which something changed.
    pub(super) fn turned(&mut self, news: bool) {
        self.board.heartbeat.beat();
        self.stale |= news;
    }

    /// Something is to be shown that no turn has to do with.
    pub(super) const fn changed(&mut self) {
        self.stale = true;
    }

    /// When the next view is to be made, if one is.
    pub(super) fn due(&self) -> Option<Instant> {
        let wanted = self.stale && self.board.watched.load(Ordering::Relaxed);
        wanted.then_some(self.not_before)
    }

    /// Shows what `make` makes, if it is time.
    pub(super) fn show_if_due(&mut self, make: impl FnOnce() -> View) {
        let begin = Instant::now();
        if self.due().is_some_and(|at| at <= begin) {
            self.board.view.send_replace(Some(Arc::new(make())));
            self.stale = false;
            self.not_before = begin + (begin.elapsed() * PAUSE_PER_VIEW).max(PAUSE_MIN);
        }
    }
}

const PAUSE_PER_VIEW: u32 = 50;
const PAUSE_MIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn view() -> View {
        View {
            overview: Overview::default(),
            at: Now::at(Timestamp::from_unix_ms(0)),
            walked_at: None,
            rescan: Duration::from_secs(900),
            reading: Reading::default(),
            watching: watcher::Mode::Starting,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_is_made_only_for_those_who_look_on_only_of_news_and_now_and_then() {
        let board = Arc::new(Board::default());
        let mut showing = Showing::new(Arc::clone(&board));
        let mut made = 0;
        let mut turn = |showing: &mut Showing, news| {
            showing.turned(news);
            showing.show_if_due(|| {
                made += 1;
                view()
            });
            made
        };
        assert_eq!(turn(&mut showing, true), 0, "nobody looks on");
        assert_eq!(showing.due(), None);
        board.watch(true);
        assert_eq!(turn(&mut showing, false), 1, "what changed before counts");
        assert!(board.view().is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(turn(&mut showing, false), 1, "nothing changed");
        assert_eq!(turn(&mut showing, true), 2);
        assert_eq!(turn(&mut showing, true), 2, "too soon");
        let due = showing.due().expect("it is made up for");
        tokio::time::sleep_until(due).await;
        assert_eq!(turn(&mut showing, false), 3);
        board.watch(false);
        assert!(board.view().is_none());
        assert_eq!(turn(&mut showing, true), 3);
    }
}
