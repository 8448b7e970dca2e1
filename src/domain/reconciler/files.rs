//! What the disk shows, and what is to be looked at next.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::entries::Slot;
use super::entry::Entry;
use super::recording::Visible;
use super::{Capacity, Effect, Event, Mode, Reconciler, Turn};
use crate::domain::asset::{EntryKey, ProviderName, RelPath};
use crate::domain::guard::Folder;
use crate::domain::lease::on_steady_clock;
use crate::domain::manifest;
use crate::domain::observation::{Coverage, Hint, Observation, RootHealth, ScanReport, ScanRequest};
use crate::domain::records::Records;
use crate::domain::state::Record;
use crate::domain::time::{Now, Timestamp};

#[derive(Debug)]
pub(super) struct Files {
    pub known: BTreeMap<RelPath, FileState>,
    looks: BTreeMap<RelPath, (Timestamp, Hint)>,
    looks_by_time: BTreeSet<(Timestamp, RelPath)>,
    next_walk: Timestamp,
    /// Whether an answer is awaited.
    pub scan: Scan,
    /// Whether the whole folder has been looked at at least once.
    pub walked: bool,
    /// Whether a look at everything was answered at least once, be it by a failure.
    pub answered: bool,
    /// Why the folder can't be looked at, if so.
    pub unusable: Option<String>,
    generation: u32,
}

/// The look that was asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// It was answered.
    Idle,
    /// Its answer is awaited.
    UnderWay,
    /// It makes no progress.
    Hung,
}

#[derive(Debug)]
pub(super) struct FileState {
    /// What was seen last; `None` before the first look.
    pub observation: Option<Observation>,
    /// Since when the file is in this condition, on the steady clock.
    pub since: Timestamp,
    generation: u32,
}

impl FileState {
    /// Takes what a look showed; whether that is news.
    fn see(&mut self, observation: Observation, generation: u32, steady: Timestamp) -> bool {
        self.generation = generation;
        if self.observation.as_ref() == Some(&observation) {
            return false;
        }
        let condition = self.observation.as_ref().map(std::mem::discriminant);
        if condition != Some(std::mem::discriminant(&observation)) {
            self.since = steady;
        }
        self.observation = Some(observation);
        true
    }
}

impl Files {
    pub(super) fn new(steady: Timestamp) -> Self {
        Self {
            known: BTreeMap::new(),
            looks: BTreeMap::new(),
            looks_by_time: BTreeSet::new(),
            next_walk: steady,
            scan: Scan::Idle,
            walked: false,
            answered: false,
            unusable: None,
            generation: 0,
        }
    }

    /// Presumes that recorded files are as they were, or have been missing as long as they had been, until a look
    /// shows otherwise. Bytes are compared with their hash before they are sent, and until then new content comes
    /// from the file alone, so a wrong guess sends nothing; and most guesses are right, so that most entries need no
    /// second decision after the first look.
    ///
    /// Where the records of one file disagree, as after a crash between two receipts, nothing is presumed.
    pub(super) fn remember(&mut self, records: &Records, now: Now) {
        let state = |(key, record): (&EntryKey, &Arc<Record>)| {
            let since = record.missing_since.map(|since| on_steady_clock(since, now).min(now.steady));
            let observation = match (&record.current, &record.trouble, since) {
                (_, _, Some(_)) => Some(Observation::Missing),
                (Some(handle), None, None) => {
                    Some(Observation::Present { hash: handle.hash, size: handle.size })
                }
                _ => None,
            };
            let since = since.unwrap_or(now.steady);
            (key.path.clone(), FileState { observation, since, generation: 0 })
        };
        // Records of one path are neighbours.
        let mut states: Vec<(RelPath, FileState)> = Vec::with_capacity(records.len());
        for (path, state) in records.iter().map(state) {
            match states.last_mut().filter(|(last, _)| *last == path) {
                None => states.push((path, state)),
                Some((_, known)) if known.observation == state.observation => {
                    known.since = known.since.max(state.since);
                }
                Some((_, known)) => {
                    *known = FileState { observation: None, since: now.steady, generation: 0 }
                }
            }
        }
        self.known = states.into_iter().collect();
    }

    pub(super) fn observation(&self, path: &RelPath) -> Option<&Observation> {
        self.known.get(path)?.observation.as_ref()
    }

    /// A single pass walks once.
    pub(super) fn walk_no_more(&mut self) {
        self.next_walk = Timestamp::MAX;
    }

    pub(super) fn rescan_by(&mut self, at: Timestamp) {
        self.next_walk = self.next_walk.min(at);
    }

    pub(super) fn touched(&mut self, paths: Vec<(RelPath, Hint)>, everything: bool, steady: Timestamp) {
        if everything {
            self.rescan_by(steady);
        }
        for (path, hint) in paths {
            // A file that is known to be busy is looked at when it should be quiet, however often it is touched.
            let at = match self.looks.get(&path) {
                Some((at, _)) if hint == Hint::Touched => *at,
                _ => steady,
            };
            self.look_at(path, at, hint);
        }
    }

    fn look_at(&mut self, path: RelPath, at: Timestamp, hint: Hint) {
        if let Some((previous, _)) = self.looks.insert(path.clone(), (at, hint)) {
            self.looks_by_time.remove(&(previous, path.clone()));
        }
        self.looks_by_time.insert((at, path));
    }

    /// Notes which files are as they were, and returns the others. Both are in the order of paths, so one walk along them
    /// does it for a look at everything.
    fn news(
        &mut self,
        seen: Vec<(RelPath, Observation)>,
        coverage: &Coverage,
    ) -> Vec<(RelPath, Observation)> {
        if *coverage != Coverage::Everything {
            return seen;
        }
        let generation = self.generation;
        let mut known = self.known.iter_mut().peekable();
        let mut is_news = |(path, observation): &(RelPath, Observation)| {
            while known.next_if(|(known, _)| **known < *path).is_some() {}
            let state = known.peek_mut().filter(|(known, _)| **known == *path).map(|(_, state)| state);
            let unchanged = state.filter(|state| state.observation.as_ref() == Some(observation));
            let waits = matches!(observation, Observation::Settling { .. });
            match unchanged.filter(|_| !waits) {
                Some(state) => state.generation = generation,
                None => return true,
            }
            false
        };
        seen.into_iter().filter(&mut is_news).collect()
    }

    pub(super) fn next_look(&self) -> Option<Timestamp> {
        if self.scan != Scan::Idle {
            return None;
        }
        Some(self.looks_by_time.first().map_or(self.next_walk, |(at, _)| self.next_walk.min(*at)))
    }

    pub(super) fn has_looks(&self) -> bool {
        !self.looks.is_empty()
    }

    fn take_due_looks(&mut self, steady: Timestamp) -> Vec<(RelPath, Hint)> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.looks_by_time.first()
            && *at <= steady
        {
            let Some((_, path)) = self.looks_by_time.pop_first() else { break };
            let Some((_, hint)) = self.looks.remove(&path) else { continue };
            due.push((path, hint));
        }
        due
    }
}

impl Reconciler {
    /// Makes entries follow the manifest: those of known files, and those that it names itself.
    pub(super) fn apply_manifest(&mut self, now: Now) -> Vec<Event> {
        let events = self.apply_accounts();
        let mut incomplete: Vec<RelPath> = self.manifest.literal_files().cloned().collect();
        let mut selected = manifest::Selected::new();
        let mut open = 0;
        let mut path: Option<RelPath> = None;
        self.entries.for_each_mut(|key, entry| {
            if path.as_ref() != Some(&key.path) {
                incomplete.extend(path.replace(key.path.clone()).filter(|_| open > 0));
                selected = self.manifest.selected(&key.path);
                open = selected.len();
            }
            let rule = selected.iter().find(|(provider, _)| *provider == key.provider);
            open -= usize::from(rule.is_some());
            entry.rule = rule.and_then(|(_, rule)| u32::try_from(*rule).ok());
        });
        incomplete.extend(path.filter(|_| open > 0));
        for path in &incomplete {
            self.select(path, now.steady);
        }
        self.shorten_leases(now, Duration::ZERO);
        self.find_places();
        self.remember_new_ids();
        self.all_dirty = true;
        events
    }

    /// A retention that was shortened counts for what is recorded, too; but so long at least is left to renew it.
    pub(super) fn shorten_leases(&mut self, now: Now, at_least: Duration) {
        let soonest = (now.wall + at_least).floor_to_second();
        let too_long = |(key, entry): (&EntryKey, &Entry)| {
            let handle = entry.record.as_ref()?.live()?;
            let end = self.accounts.get(&key.provider)?.terms.end_of(handle.uploaded_at);
            let end = if at_least.is_zero() { end } else { end.max(soonest) };
            (handle.expires_at > end).then(|| (key.clone(), end))
        };
        let shortened: Vec<(EntryKey, Timestamp)> = self.entries.iter().filter_map(too_long).collect();
        for (key, end) in shortened {
            let Some(mut entry) = self.detach(&key) else { continue };
            self.edit(&key, &mut entry, Visible::AtOnce, now, |record| {
                if let Some(handle) = &mut record.current {
                    let excess = handle.expires_at.saturating_since(end);
                    handle.steady_expires_at = handle.steady_expires_at - excess;
                    handle.expires_at = end;
                }
            });
            self.attach(&key, entry);
        }
    }

    /// What was uploaded while the wall clock was ahead ends, by that clock once it is right, earlier than recorded.
    /// Readers must know, and so must the process after this one, which has the wall clock alone.
    pub(super) fn promise_no_more_than_is_left(&mut self, now: Now) {
        let too_late = |(key, entry): (&EntryKey, &Entry)| {
            let handle = entry.record.as_ref()?.live()?;
            let end = (now.wall + handle.steady_expires_at.saturating_since(now.steady)).floor_to_second();
            (handle.expires_at > end + CLOCK_NOISE).then(|| (key.clone(), end))
        };
        let late: Vec<(EntryKey, Timestamp)> = self.entries.iter().filter_map(too_late).collect();
        for (key, end) in late {
            let Some(mut entry) = self.detach(&key) else { continue };
            self.edit(&key, &mut entry, Visible::AtOnce, now, |record| {
                if let Some(handle) = &mut record.current {
                    handle.expires_at = end;
                }
            });
            self.attach(&key, entry);
        }
    }

    /// Makes a file the entries that the manifest wants it to be.
    fn select(&mut self, path: &RelPath, steady: Timestamp) {
        let selected = self.manifest.selected(path);
        if selected.is_empty() {
            return;
        }
        self.files.known.entry(path.clone()).or_insert(FileState {
            observation: None,
            since: steady,
            generation: 0,
        });
        for (provider, rule) in selected {
            let key = EntryKey { path: path.clone(), provider };
            self.entries.get_or_default(key).rule = u32::try_from(rule).ok();
        }
    }

    /// All entries, each with what is known of its file. Both are kept in the order of paths, so one walk along them
    /// does it, where a look-up for each costs several times as much.
    pub(super) fn entries_and_files(&self) -> Vec<(EntryKey, Slot, Option<Observation>)> {
        let mut files = self.files.known.iter().peekable();
        let mut with_file = |(key, slot): (&EntryKey, Slot)| {
            while files.next_if(|(path, _)| **path < key.path).is_some() {}
            let file = files.peek().filter(|(path, _)| **path == key.path);
            (key.clone(), slot, file.and_then(|(_, state)| state.observation.clone()))
        };
        self.entries.keys_and_slots().map(&mut with_file).collect()
    }

    /// The entries of a file.
    pub(super) fn entries_of(&self, path: &RelPath) -> Vec<EntryKey> {
        // '-' is the smallest name that a provider can have.
        let Ok(smallest) = ProviderName::new("-") else { return Vec::new() };
        let from = EntryKey { path: path.clone(), provider: smallest };
        self.entries.keys_from(from).take_while(|key| key.path == *path).cloned().collect()
    }

    pub(super) fn is_literal(&self, entry: &Entry) -> bool {
        entry.rule.is_some_and(|rule| {
            matches!(self.manifest.rules.get(rule as usize), Some(rule) if matches!(rule.files, manifest::Files::Literal(_)))
        })
    }

    pub(super) fn take_report(&mut self, report: ScanReport, turn: &mut Turn) {
        self.files.scan = Scan::Idle;
        let whole = report.coverage == Coverage::Everything;
        self.files.answered |= whole;
        match report.root {
            RootHealth::Missing => {
                self.retirement.folder = Folder::Missing;
                return self.folder_unusable("it is not there".to_owned(), turn);
            }
            RootHealth::Unreadable { reason } => {
                self.retirement.folder = Folder::Usual;
                return self.folder_unusable(reason, turn);
            }
            RootHealth::Sound { empty: true, .. } if self.has_records() => {
                self.retirement.folder = Folder::Empty;
                return self.folder_unusable("it is empty".to_owned(), turn);
            }
            RootHealth::Sound { identity, .. } => {
                self.retirement.see_root(identity);
                if self.files.unusable.take().is_some() {
                    turn.events.push(Event::FolderBack);
                    self.files.rescan_by(turn.now.steady);
                    // What was missing before the folder went has the rest of its minute left.
                    self.all_dirty = true;
                }
            }
        }
        self.files.walked |= whole;
        self.files.generation += 1;
        for path in &report.unreadable_folders {
            turn.events.push(Event::SubfolderUnreadable { path: path.clone() });
        }
        for (path, observation) in self.files.news(report.files, &report.coverage) {
            self.observe(&path, observation, turn);
        }
        for path in self.unseen(&report.coverage) {
            let hidden = report.unreadable_folders.iter().any(|folder| path.is_within(folder));
            let observation = match hidden {
                true => Observation::Unreadable { reason: FOLDER_UNLISTABLE.to_owned() },
                false => Observation::Missing,
            };
            self.observe(&path, observation, turn);
        }
        if whole {
            self.retirement.reconsider = true;
            self.warn_when_overcommitted(turn);
        }
    }

    fn has_records(&self) -> bool {
        self.entries
            .values()
            .any(|entry| entry.record.as_ref().is_some_and(|record| record.current.is_some()))
    }

    /// Known files that the scan covered and did not name.
    fn unseen(&self, coverage: &Coverage) -> Vec<RelPath> {
        let generation = self.files.generation;
        let stale = |state: &FileState| state.generation != generation;
        match coverage {
            Coverage::Everything => {
                let known = self.files.known.iter().filter(|(_, state)| stale(state));
                known.map(|(path, _)| path.clone()).collect()
            }
            Coverage::Paths(paths) => {
                let below = paths.iter().flat_map(|folder| {
                    let range =
                        self.files.known.range::<RelPath, _>((Bound::Included(folder), Bound::Unbounded));
                    range
                        .take_while(move |(path, _)| path.as_str().starts_with(folder.as_str()))
                        .filter(move |(path, state)| path.is_within(folder) && stale(state))
                });
                below.map(|(path, _)| path.clone()).collect::<BTreeSet<_>>().into_iter().collect()
            }
        }
    }

    fn observe(&mut self, path: &RelPath, observation: Observation, turn: &mut Turn) {
        let steady = turn.now.steady;
        if let Observation::Settling { look_again_at } = observation
            && self.may_wait_for_files(steady)
        {
            self.files.look_at(path.clone(), look_again_at.max(steady), Hint::Complete);
        }
        let generation = self.files.generation;
        let there = observation != Observation::Missing;
        let changed = match self.files.known.get_mut(path) {
            Some(state) => {
                let changed = state.see(observation, generation, steady);
                if changed && there {
                    // An entry of which nothing was recorded may have been forgotten while the file was away.
                    self.select(path, steady);
                }
                changed
            }
            None => {
                self.select(path, steady);
                let state = self.files.known.get_mut(path);
                state.is_some_and(|state| state.see(observation, generation, steady))
            }
        };
        if changed && !self.all_dirty {
            self.dirty.extend(self.entries_of(path));
        }
    }

    /// A single pass waits for busy files for a while only.
    pub(super) fn may_wait_for_files(&self, steady: Timestamp) -> bool {
        match self.mode {
            Mode::Daemon => true,
            Mode::Once { patience, .. } => steady < self.started + patience,
            Mode::Plan => false,
        }
    }

    /// The folder can't be looked at. That is no edit: what is published stays published.
    pub(super) fn folder_unusable(&mut self, detail: String, turn: &mut Turn) {
        self.files.rescan_by(turn.now.steady + RETRY_UNUSABLE);
        if self.files.unusable.as_ref() == Some(&detail) {
            return;
        }
        self.retirement.reconsider = true;
        for state in self.files.known.values_mut() {
            if !matches!(state.observation, Some(Observation::Missing)) {
                let reason = format!("{FOLDER_UNUSABLE}: {detail}");
                state.observation = Some(Observation::Unreadable { reason });
                state.since = turn.now.steady;
            }
        }
        self.files.unusable = Some(detail.clone());
        self.all_dirty = true;
        turn.events.push(Event::FolderUnusable { detail });
    }

    pub(super) fn ask_for_scan(&mut self, turn: &mut Turn) {
        if self.files.scan != Scan::Idle || self.stopping {
            return;
        }
        let steady = turn.now.steady;
        if self.files.next_walk <= steady {
            self.files.next_walk = steady + self.manifest.sync.rescan;
            self.files.looks.clear();
            self.files.looks_by_time.clear();
            self.files.scan = Scan::UnderWay;
            turn.effects.push(Effect::Scan(ScanRequest::Everything));
            return;
        }
        let due = self.files.take_due_looks(steady);
        if !due.is_empty() {
            self.files.scan = Scan::UnderWay;
            turn.effects.push(Effect::Scan(ScanRequest::Paths(due)));
        }
    }

    fn warn_when_overcommitted(&mut self, turn: &mut Turn) {
        for capacity in self.capacity().into_iter().filter(Capacity::is_exceeded) {
            let Capacity { provider, entries, round, margin } = capacity;
            let Some(account) = self.accounts.get_mut(&provider) else { continue };
            if !std::mem::replace(&mut account.told_overcommitted, true) {
                turn.events.push(Event::Overcommitted { provider, entries, round, margin });
            }
        }
    }
}

/// Whether a trouble is that of a folder, which is told once for all the files in it.
pub(in crate::domain) fn is_of_folder(detail: &str) -> bool {
    detail.contains(FOLDER_UNUSABLE) || detail.contains(FOLDER_UNLISTABLE)
}

/// Times are recorded in whole seconds, and clocks are slewed all the time.
const CLOCK_NOISE: Duration = Duration::from_secs(5);
const FOLDER_UNUSABLE: &str = "the folder cannot be used";
const FOLDER_UNLISTABLE: &str = "its folder cannot be listed";
/// How soon a folder that could not be looked at is tried again.
const RETRY_UNUSABLE: Duration = Duration::from_secs(10);
