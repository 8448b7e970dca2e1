//! What one hook is still to be told, and when it is to run. One run at a time; what comes meanwhile is batched.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Change, News, Notice, Subject, Topic};
use crate::domain::time::Timestamp;

/// Whom news are about and, where they are the end of something, of what: the end of a risk says nothing of a failure.
type Slot = (Subject, Option<Topic>);

/// The news for one hook, by whom they are about: of each, only the latest counts.
#[derive(Debug)]
pub struct Queue {
    topic: Topic,
    waiting: BTreeMap<Slot, Item>,
    running: Option<BTreeMap<Slot, Item>>,
    /// When the first and the last of those that wait came.
    came: Option<(Timestamp, Timestamp)>,
    /// Runs that failed in a row, and when the first of them did.
    failures: u32,
    failing_since: Option<Timestamp>,
    not_before: Timestamp,
}

#[derive(Clone, Debug)]
struct Item {
    news: News,
    /// Whether the hook may have heard it, though its run failed.
    tried: bool,
}

/// What a run is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The news, in order.
    pub news: Vec<(Subject, News)>,
    /// How many there are besides; they follow in the next run.
    pub more: usize,
}

/// What follows from a failed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// It is tried again after this time.
    Again(Duration),
    /// It has failed too often: so many news are lost.
    GivenUp(usize),
}

impl Queue {
    /// A queue for a hook of this topic.
    #[must_use]
    pub const fn new(topic: Topic) -> Self {
        Self {
            topic,
            waiting: BTreeMap::new(),
            running: None,
            came: None,
            failures: 0,
            failing_since: None,
            not_before: Timestamp::MIN,
        }
    }

    /// Takes in a notice: adds it if it is of the hook's topic, and drops what it makes untrue.
    pub fn hear(&mut self, notice: &Notice, steady: Timestamp) {
        if notice.topic == self.topic {
            return self.add(&notice.subject, &notice.news, steady);
        }
        // Two hooks may be slow in different ways: nobody is to hear of a failure after its end, or of an end after
        // a new beginning.
        let is_ended = over(&notice.news) == Some(self.topic);
        let untrue = [
            is_ended.then_some((notice.subject.clone(), None)),
            Some((notice.subject.clone(), Some(notice.topic))),
        ];
        for items in [Some(&mut self.waiting), self.running.as_mut()].into_iter().flatten() {
            untrue.iter().flatten().for_each(|slot| drop(items.remove(slot)));
        }
    }

    fn add(&mut self, subject: &Subject, news: &News, steady: Timestamp) {
        let slot = (subject.clone(), over(news));
        let item = match self.waiting.remove(&slot) {
            Some(older) => joined(older, news.clone()),
            None => Some(Item { news: news.clone(), tried: false }),
        };
        self.waiting.extend(item.map(|item| (slot, item)));
        let first = self.came.map_or(steady, |(first, _)| first);
        self.came = Some((first, steady));
    }

    /// When it is to run next, if there is anything to tell and it is not running.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        if self.running.is_some() || self.waiting.is_empty() {
            return None;
        }
        let quiet = self.came.map_or(Timestamp::MIN, |(first, last)| (last + QUIET).min(first + QUIET_MAX));
        Some(quiet.max(self.not_before))
    }

    /// How many news wait for a run to begin.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is nothing to tell and it is not running.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Begins a run, whether it is due or not; `None` where there is nothing to tell, or one goes on.
    pub fn begin(&mut self) -> Option<Batch> {
        if self.running.is_some() || self.waiting.is_empty() {
            return None;
        }
        let rest = self.waiting.keys().nth(NEWS_MAX).cloned();
        let rest = rest.map(|first| self.waiting.split_off(&first)).unwrap_or_default();
        let items = std::mem::replace(&mut self.waiting, rest);
        // The rest has waited long enough.
        self.came = None;
        let news = items.iter().map(|((subject, _), item)| (subject.clone(), item.news.clone())).collect();
        self.running = Some(items);
        Some(Batch { news, more: self.waiting.len() })
    }

    /// The run succeeded.
    pub fn succeeded(&mut self) {
        self.running = None;
        self.calm_down();
    }

    /// The run failed. What it was to tell is told again, together with what came meanwhile, unless that has failed
    /// too often.
    pub fn failed(&mut self, steady: Timestamp) -> Setback {
        let items = self.running.take().unwrap_or_default();
        let since = *self.failing_since.get_or_insert(steady);
        let wait = usize::try_from(self.failures).ok().and_then(|failures| WAITS.get(failures));
        let Some(wait) = wait.filter(|wait| (steady + **wait).saturating_since(since) <= TRIES_WITHIN) else {
            self.calm_down();
            return Setback::GivenUp(items.len());
        };
        self.failures += 1;
        self.not_before = steady + *wait;
        for (slot, older) in items {
            let older = Item { tried: true, ..older };
            let item = match self.waiting.remove(&slot) {
                Some(newer) => joined(older, newer.news),
                None => Some(older),
            };
            self.waiting.extend(item.map(|item| (slot, item)));
        }
        Setback::Again(*wait)
    }

    fn calm_down(&mut self) {
        (self.failures, self.failing_since, self.not_before) = (0, None, Timestamp::MIN);
    }
}

/// What it is the end of, if it is one.
fn over(news: &News) -> Option<Topic> {
    if let News::Matter(matter) = news { matter.over } else { None }
}

/// Both in one; `None` where the newer one takes back what nobody was told.
fn joined(older: Item, newer: News) -> Option<Item> {
    let tried = older.tried;
    let news = match (older.news, newer) {
        (News::Change(older), News::Change(newer)) => News::Change(Change { was: older.was, ..newer }),
        (_, newer) => newer,
    };
    let void = matches!(&news, News::Change(change) if change.is_none());
    (tried || !void).then_some(Item { news, tried })
}

/// A run waits until nothing has come for so long,
const QUIET: Duration = Duration::from_secs(1);
/// but no longer than this.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// How much one run tells.
const NEWS_MAX: usize = 1000;
/// How long after each failure in a row a run is repeated.
const WAITS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(300),
];
/// It is not repeated later than so long after the first failure.
const TRIES_WITHIN: Duration = Duration::from_secs(15 * 60);
