//! What must hold at every moment. The judge sees what readers of the state file see and what the providers really
//! hold, and nothing of what the engine believes. Times between two events are summed up, not sampled.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use mediakeep::domain::asset::EntryKey;
use mediakeep::domain::records::Records;
use mediakeep::domain::state::{Record, State};

use super::provider::Provider;

/// Something that must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// True time, since the start.
    pub(crate) at_ms: i64,
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// A URL that is published leads somewhere.
    UrlAlive,
    /// To exactly the bytes whose hash is published.
    BytesAsRecorded,
    /// What is not to be renewed any more lives as long as it says.
    AliveUntilExpiry,
    /// A published URL is not taken back while the clock goes right.
    NoLapse,
    /// An entry has at most one upload under way, an account no more than it may.
    OneUploadAtOnce,
    /// Requests stay within what is due, and a little for failures.
    FewRequests,
    /// An account that asked us to wait gets nothing meanwhile.
    PauseHonoured,
    /// What is on the disk is one whole version, and holds all that was acknowledged.
    StateWhole,
    /// Nothing is let go without an edit.
    NoRetirementWithoutEdit,
    /// The engine does not spin.
    ComesToRest,
    /// When all is quiet, everything is published.
    Converges,
}

/// How a published URL stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fine,
    Dead,
    /// Its provider lost the media before its time.
    Swept,
    WrongBytes,
    /// A name that we chose to keep holds newer bytes than readers know of: an answer is under way, or was lost.
    Overwritten,
}

/// Sums over a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) uploads: u64,
    pub(crate) requests: u64,
    pub(crate) publications: u64,
    pub(crate) crashes: u64,
    pub(crate) lapses: u64,
    pub(crate) edits: u64,
    pub(crate) retirements: u64,
    pub(crate) dead_ms: i64,
    pub(crate) wrong_bytes: u64,
    pub(crate) swept_ms: i64,
    pub(crate) overwritten_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Current,
    Previous,
}

#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) totals: Totals,
    pub(crate) violations: Vec<Violation>,
    /// What readers see.
    visible: BTreeMap<EntryKey, Arc<Record>>,
    /// Who shows a URL. Only ever asked for one, so order is no matter.
    by_url: HashMap<Box<str>, Vec<(EntryKey, Place)>>,
    /// Since when an entry's URL has not stood as it should.
    amiss: BTreeMap<EntryKey, (Standing, i64)>,
    /// When an entry was seen retired last: what somebody had removed was not renewed meanwhile.
    retired: BTreeMap<EntryKey, i64>,
    in_flight: BTreeSet<EntryKey>,
    /// Until when an account is to be left alone.
    paused: BTreeMap<u8, i64>,
}

/// After this time nothing is left that was uploaded before.
const LONGEST_LIFE_MS: i64 = 48 * 3_600_000;
/// More of them say nothing new.
const VIOLATIONS_MAX: usize = 8;

impl Judge {
    pub(crate) fn object(&mut self, at_ms: i64, rule: Rule, detail: impl Into<String>) {
        let is_news = !self.violations.iter().any(|violation| violation.rule == rule);
        if is_news || self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { at_ms, rule, detail: detail.into() });
        }
    }

    /// Whether there is no point in going on: the world would not come to its end.
    pub(crate) fn has_given_up(&self) -> bool {
        self.violations.iter().any(|violation| violation.rule == Rule::ComesToRest)
    }

    /// Readers see another state from now on. `trusted` says whether the wall clock has been right for long.
    pub(crate) fn show(&mut self, state: &State, providers: &[Provider], now_ms: i64, trusted: bool) {
        self.totals.publications += 1;
        let changed = differences(&self.visible, &state.records);
        for (key, new) in changed {
            self.replace(&key, new, providers, now_ms, trusted);
        }
    }

    fn replace(
        &mut self,
        key: &EntryKey,
        new: Option<Arc<Record>>,
        providers: &[Provider],
        now_ms: i64,
        trusted: bool,
    ) {
        let old = self.visible.remove(key);
        for (url, place) in old.iter().flat_map(|record| urls(record)) {
            if let Some(shown) = self.by_url.get_mut(url) {
                shown.retain(|(other, at)| (other, *at) != (key, place));
                if shown.is_empty() {
                    self.by_url.remove(url);
                }
            }
        }
        if old.iter().chain(&new).any(|record| record.retired_at.is_some()) {
            self.retired.insert(key.clone(), now_ms);
        }
        let lapsed = |record: &Arc<Record>| record.current.is_some() && record.live().is_none();
        let was_live = old.as_ref().is_some_and(|record| record.live().is_some());
        if was_live && new.as_ref().is_some_and(lapsed) {
            self.totals.lapses += 1;
            let url = old.as_ref().and_then(|record| record.live()?.url.as_deref());
            // What its provider lost is rightly taken back.
            let lost = url
                .is_some_and(|url| providers.iter().any(|provider| provider.has_swept_lately(url, now_ms)));
            if trusted && !lost && !self.was_retired(key, now_ms) {
                self.object(now_ms, Rule::NoLapse, format!("{key} was told to have lapsed"));
            }
        }
        if let Some(new) = new {
            for (url, place) in urls(&new) {
                self.by_url.entry(url.into()).or_default().push((key.clone(), place));
            }
            self.visible.insert(key.clone(), new);
        }
        self.look_at(key, providers, now_ms);
    }

    /// A URL leads to something else, or to nothing, from now on.
    pub(crate) fn url_changed(&mut self, url: &str, providers: &[Provider], now_ms: i64, now_wall_ms: i64) {
        let shown = self.by_url.get(url).cloned().unwrap_or_default();
        for (key, place) in shown {
            match place {
                Place::Current => self.look_at(&key, providers, now_ms),
                Place::Previous => {}
            }
            self.look_at_expiry(&key, url, place, providers, now_ms, now_wall_ms);
        }
    }

    /// Compares what an entry shows with what is there.
    fn look_at(&mut self, key: &EntryKey, providers: &[Provider], now_ms: i64) {
        let standing =
            self.visible.get(key).map_or(Standing::Fine, |record| standing(key, record, providers));
        let before = self.amiss.get(key).map_or(Standing::Fine, |(before, _)| *before);
        if before == standing {
            return;
        }
        self.settle(key, now_ms);
        if standing != Standing::Fine {
            self.amiss.insert(key.clone(), (standing, now_ms));
        }
        match standing {
            Standing::Dead if self.was_retired(key, now_ms) => {}
            Standing::Dead => self.object(now_ms, Rule::UrlAlive, format!("{key} is dead")),
            Standing::WrongBytes => {
                self.totals.wrong_bytes += 1;
                self.object(now_ms, Rule::BytesAsRecorded, format!("{key} has other bytes"));
            }
            _ => {}
        }
    }

    /// Whether an entry was retired not long ago: back within an outage, it has not the margin that others have.
    fn was_retired(&self, key: &EntryKey, now_ms: i64) -> bool {
        self.retired.get(key).is_some_and(|at_ms| now_ms - at_ms < LONGEST_LIFE_MS)
    }

    fn settle(&mut self, key: &EntryKey, now_ms: i64) {
        let Some((standing, since_ms)) = self.amiss.remove(key) else { return };
        let length_ms = now_ms - since_ms;
        let promised = !self.was_retired(key, since_ms);
        match standing {
            Standing::Dead => self.totals.dead_ms += if promised { length_ms } else { 0 },
            Standing::Swept => self.totals.swept_ms += length_ms,
            Standing::Overwritten => self.totals.overwritten_ms += length_ms,
            Standing::Fine | Standing::WrongBytes => {}
        }
    }

    /// What is not renewed any more may die, but not before the time that readers were told.
    fn look_at_expiry(
        &mut self,
        key: &EntryKey,
        url: &str,
        place: Place,
        providers: &[Provider],
        now_ms: i64,
        now_wall_ms: i64,
    ) {
        let Some(record) = self.visible.get(key) else { return };
        let Some(provider) = providers.iter().find(|provider| provider.name == key.provider) else { return };
        if provider.find(url).is_some() || provider.has_swept(url) {
            return;
        }
        let told = match place {
            Place::Current if record.retired_at.is_none() => None,
            Place::Current => record.live().map(|handle| handle.expires_at),
            Place::Previous => record
                .previous
                .iter()
                .find(|previous| &*previous.url == url)
                .map(|previous| previous.expires_at),
        };
        if told.is_some_and(|told| told.unix_ms() > now_wall_ms) {
            let detail = format!("{key} has a URL that died before its expires_at");
            self.object(now_ms, Rule::AliveUntilExpiry, detail);
        }
    }

    pub(crate) fn upload_begins(&mut self, key: &EntryKey, now_ms: i64) {
        self.totals.requests += 1;
        if !self.in_flight.insert(key.clone()) {
            self.object(now_ms, Rule::OneUploadAtOnce, format!("{key} has two uploads under way"));
        }
    }

    pub(crate) fn upload_ends(&mut self, key: &EntryKey) {
        self.in_flight.remove(key);
    }

    pub(crate) fn in_flight_at(&self, provider: &Provider) -> usize {
        self.in_flight.iter().filter(|key| key.provider == provider.name).count()
    }

    /// A process knows nothing of the uploads of the one before it, nor of what it was asked.
    pub(crate) fn process_ends(&mut self) {
        self.in_flight.clear();
        self.paused.clear();
    }

    pub(crate) fn pause(&mut self, provider: u8, until_ms: i64) {
        let present = self.paused.entry(provider).or_insert(until_ms);
        *present = (*present).max(until_ms);
    }

    pub(crate) fn is_paused(&self, provider: u8, now_ms: i64) -> bool {
        self.paused.get(&provider).is_some_and(|until_ms| *until_ms > now_ms)
    }

    pub(crate) fn visible(&self) -> &BTreeMap<EntryKey, Arc<Record>> {
        &self.visible
    }

    /// The end of the run: whatever is amiss is summed up.
    pub(crate) fn close(&mut self, now_ms: i64) {
        for key in self.amiss.keys().cloned().collect::<Vec<_>>() {
            self.settle(&key, now_ms);
        }
    }
}

/// The entries whose records are not the same ones, with the new ones. The engine can find that out, too; it is not asked,
/// because what it overlooked would be overlooked here.
fn differences(old: &BTreeMap<EntryKey, Arc<Record>>, new: &Records) -> Vec<(EntryKey, Option<Arc<Record>>)> {
    same_entries(old, new).unwrap_or_else(|| {
        let new: BTreeMap<_, _> = new.iter().collect();
        let all: BTreeSet<_> = old.keys().chain(new.keys().copied()).collect();
        let changed = all.into_iter().filter_map(|key| match (old.get(key), new.get(key).copied()) {
            (Some(record), Some(same)) if Arc::ptr_eq(record, same) => None,
            (_, record) => Some((key.clone(), record.cloned())),
        });
        changed.collect()
    })
}

/// The same where both have the same entries, as they mostly do.
fn same_entries(
    old: &BTreeMap<EntryKey, Arc<Record>>,
    new: &Records,
) -> Option<Vec<(EntryKey, Option<Arc<Record>>)>> {
    if old.len() != new.len() {
        return None;
    }
    let mut changed = Vec::new();
    for ((key, record), (other, same)) in old.iter().zip(new) {
        if !key.is_identical(other) && key != other {
            return None;
        }
        if !Arc::ptr_eq(record, same) {
            changed.push((key.clone(), Some(Arc::clone(same))));
        }
    }
    Some(changed)
}

fn urls(record: &Record) -> impl Iterator<Item = (&str, Place)> {
    let current = record.live().and_then(|handle| handle.url.as_deref());
    let previous = record.previous.iter().map(|previous| (&*previous.url, Place::Previous));
    current.map(|url| (url, Place::Current)).into_iter().chain(previous)
}

fn standing(key: &EntryKey, record: &Record, providers: &[Provider]) -> Standing {
    let Some(handle) = record.live() else { return Standing::Fine };
    let url = handle.url.as_deref().unwrap_or_default();
    let Some(provider) = providers.iter().find(|provider| provider.name == key.provider) else {
        return Standing::Dead;
    };
    match provider.find(url) {
        Some(media) if media.hash == handle.hash => Standing::Fine,
        // Its name says nothing of its content, so new content goes where the old one was.
        Some(_) if !handle.id.as_str().contains('-') => Standing::Overwritten,
        Some(_) => Standing::WrongBytes,
        None if provider.has_swept(url) => Standing::Swept,
        None if record.retired_at.is_some() => Standing::Fine,
        None => Standing::Dead,
    }
}
