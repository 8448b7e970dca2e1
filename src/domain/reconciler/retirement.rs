//! Letting entries go: those that left the manifest, and those whose file left a glob, past the guard.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::entry::Entry;
use super::recording::Visible;
use super::{Effect, Event, Mode, Reconciler, Turn};
use crate::domain::approval::digest;
use crate::domain::asset::{ContentHash, EntryKey, ProviderName};
use crate::domain::guard::{self, Case, Folder, Halt};
use crate::domain::lease::on_steady_clock;
use crate::domain::manifest::Files;
use crate::domain::observation::{Observation, RootIdentity};
use crate::domain::state::Record;
use crate::domain::time::{Now, Timestamp};

#[derive(Debug)]
pub(super) struct Retirement {
    pub folder: Folder,
    known_root: Option<RootIdentity>,
    seen_root: Option<RootIdentity>,
    /// Entries that nothing wants any more and that are not retired yet.
    pub leaving: BTreeSet<EntryKey>,
    /// Whether something changed that the guard's answer depends on.
    pub reconsider: bool,
    /// The digest of a set that somebody approved.
    pub approved: Option<String>,
    halted: Option<Halt>,
    /// What people were last told of that.
    told: Option<Told>,
    /// Those of `leaving` that have been gone for long enough to leave at once, and why the guard holds these back if
    /// it does. For a plan only, where `leaving` has those, too, that may still come back in time.
    overdue: (BTreeSet<EntryKey>, Option<Halt>),
    /// Retired entries whose records have ended, oldest first: they count as long as the guard looks back. Not
    /// recorded, so that a restart forgets them; what still lives is in the records.
    ended: VecDeque<Ended>,
}

/// What people were told to be held back.
#[derive(Debug)]
struct Told {
    halt: Halt,
    held_back: usize,
    /// When, on the steady clock.
    at: Timestamp,
}

impl Told {
    /// Whether it is worth telling again: for another reason, where far more is held back by now, or more for a while.
    fn is_outdated(&self, halt: &Halt, held_back: usize, steady: Timestamp) -> bool {
        let many = |halt: &Halt| matches!(halt, Halt::TooMany { .. });
        let same_reason = self.halt == *halt || many(&self.halt) && many(halt);
        let (far_more, late) = (held_back >= 2 * self.held_back, steady >= self.at + TOLD_AGAIN_AFTER);
        !same_reason || held_back > self.held_back && (far_more || late)
    }
}

/// What is left of a retired entry whose URL has ended.
#[derive(Debug)]
struct Ended {
    /// When it was retired, on the steady clock.
    retired_at: Timestamp,
    provider: ProviderName,
    hash: ContentHash,
}

impl Retirement {
    pub(super) fn new(known_root: Option<RootIdentity>) -> Self {
        Self {
            folder: Folder::Usual,
            known_root,
            seen_root: None,
            leaving: BTreeSet::new(),
            reconsider: true,
            approved: None,
            halted: None,
            told: None,
            overdue: (BTreeSet::new(), None),
            ended: VecDeque::new(),
        }
    }

    /// Whether an entry whose file is there may have to leave, or to be taken back.
    pub(super) fn is_uneasy(&self) -> bool {
        !self.leaving.is_empty() || self.folder != Folder::Usual
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halted.is_some()
    }

    pub(super) fn halt(&self) -> Option<&Halt> {
        self.halted.as_ref()
    }

    /// Whether an entry of a plan would leave at once.
    pub(super) fn is_overdue(&self, key: &EntryKey) -> bool {
        self.overdue.0.contains(key)
    }

    /// Why the guard of a plan holds something back at this moment, if it does.
    pub(super) const fn halt_by_now(&self) -> Option<&Halt> {
        self.overdue.1.as_ref()
    }

    /// Why nothing would be retired in any case: the folder itself is gone, or everything in it.
    pub(super) const fn folder_in_doubt(&self) -> Option<Halt> {
        match self.folder {
            Folder::Missing => Some(Halt::FolderMissing),
            Folder::Empty => Some(Halt::FolderEmpty),
            Folder::Usual | Folder::OtherFileSystem => None,
        }
    }

    pub(super) fn root(&self) -> Option<RootIdentity> {
        self.known_root
    }

    pub(super) fn see_root(&mut self, identity: RootIdentity) {
        self.seen_root = Some(identity);
        self.known_root.get_or_insert(identity);
        let other = self.known_root.is_some_and(|known| known.device != identity.device);
        self.folder = if other { Folder::OtherFileSystem } else { Folder::Usual };
    }
}

impl Reconciler {
    /// Remembers a retired entry whose record is dropped now.
    pub(super) fn note_ended(&mut self, key: &EntryKey, record: &Record, now: Now) {
        let (Some(retired_at), Some(handle)) = (record.retired_at, &record.current) else { return };
        let retired_at = on_steady_clock(retired_at, now);
        let window_start = self.window_start(now);
        let ended = &mut self.retirement.ended;
        // More than there are entries are far more than the guard lets go, so that the oldest of them decide nothing.
        let most = self.entries.len();
        while ended.len() > most || ended.front().is_some_and(|oldest| oldest.retired_at <= window_start) {
            ended.pop_front();
        }
        ended.push_back(Ended { retired_at, provider: key.provider.clone(), hash: handle.hash });
    }

    /// From when on retirements count for the guard.
    fn window_start(&self, now: Now) -> Timestamp {
        let longest = self.accounts.values().map(|account| account.terms.margin).max().unwrap_or_default();
        now.steady - guard::window(longest)
    }

    /// From when on nothing wants a recorded entry any more; `None` while something does.
    pub(super) fn leaves_at(&self, key: &EntryKey, entry: &Entry) -> Option<Timestamp> {
        // What is only asked what it would do says it at once.
        let delay = if self.mode == Mode::Plan { Duration::ZERO } else { guard::REMOVAL_DELAY };
        self.leaves_after(delay, key, entry)
    }

    /// The same, where a removal counts after this time.
    fn leaves_after(&self, delay: Duration, key: &EntryKey, entry: &Entry) -> Option<Timestamp> {
        let record = entry.record.as_ref().filter(|record| record.retired_at.is_none())?;
        record.current.as_ref()?;
        if entry.rule.is_none() {
            return Some(Timestamp::MIN);
        }
        if self.is_literal(entry) {
            return None;
        }
        if matches!(self.retirement.folder, Folder::Missing | Folder::Empty) {
            return Some(Timestamp::MIN);
        }
        if self.files.unusable.is_some() {
            return None;
        }
        let file = self.files.known.get(&key.path)?;
        let missing = matches!(file.observation, Some(Observation::Missing));
        missing.then(|| file.since + delay)
    }

    /// What of a plan's leaving entries would leave at this moment, and whether the guard would hold that back.
    fn find_overdue(&mut self, now: Now) {
        let is_overdue = |key: &&EntryKey| {
            let entry = self.entries.get(key);
            let leaves = entry.and_then(|entry| self.leaves_after(guard::REMOVAL_DELAY, key, entry));
            leaves.is_some_and(|at| at <= now.steady)
        };
        let overdue: BTreeSet<EntryKey> =
            self.retirement.leaving.iter().filter(is_overdue).cloned().collect();
        // Nothing is to be held back then, and the case walks all entries.
        let halt = if overdue.is_empty() { None } else { guard::check(&self.case(&overdue, now)).err() };
        self.retirement.overdue = (overdue, halt);
    }

    pub(super) fn note_leaving(&mut self, key: &EntryKey, entry: &Entry, now: Now) {
        let leaves = self.leaves_at(key, entry);
        let changed = if leaves.is_some_and(|at| at <= now.steady) {
            self.retirement.leaving.insert(key.clone())
        } else {
            !self.retirement.leaving.is_empty() && self.retirement.leaving.remove(key)
        };
        self.retirement.reconsider |= changed;
    }

    /// Retires what leaves, unless the guard holds it back.
    pub(super) fn retire(&mut self, turn: &mut Turn) {
        // Before the first look at everything nobody knows what leaves: an approval waits for it.
        let in_doubt = matches!(self.retirement.folder, Folder::Missing | Folder::Empty);
        if !self.files.walked && !in_doubt {
            return;
        }
        let approved = self.retirement.approved.take();
        let unused = approved.is_some();
        if !self.retirement.reconsider && approved.is_none() {
            return self.tell_of_guard(turn);
        }
        self.retirement.reconsider = false;
        if self.mode == Mode::Plan {
            self.find_overdue(turn.now);
        }
        if self.retirement.leaving.is_empty() {
            // Another device with everything in its place is the same folder after a reboot.
            if self.retirement.folder == Folder::OtherFileSystem && !self.misses_something() {
                self.retirement.known_root = self.retirement.seen_root;
            }
            // What was approved is back: the approval must not wait there for another accident.
            if unused && !self.misses_something() {
                turn.effects.push(Effect::ConsumeApproval);
            }
            return self.release_guard(turn);
        }
        let is_approved = approved.is_some_and(|approved| approved == digest(&self.retirement.leaving));
        if let Err(halt) = guard::check(&self.case(&self.retirement.leaving, turn.now))
            && !is_approved
        {
            return self.hold_back(halt, turn);
        }
        if is_approved {
            turn.effects.push(Effect::ConsumeApproval);
        }
        self.release_guard(turn);
        self.let_go(turn);
    }

    /// Whether a recorded file of a glob is missing, for however short a time.
    fn misses_something(&self) -> bool {
        let missing = |path| matches!(self.files.observation(path), Some(Observation::Missing));
        self.files.unusable.is_some()
            || self.entries.iter().any(|(key, entry)| {
                entry.record.is_some() && !entry.is_retired() && !self.is_literal(entry) && missing(&key.path)
            })
    }

    fn release_guard(&mut self, turn: &mut Turn) {
        self.retirement.told = None;
        if self.retirement.halted.take().is_some() {
            turn.events.push(Event::GuardReleased);
        }
    }

    fn hold_back(&mut self, halt: Halt, turn: &mut Turn) {
        self.retirement.halted = Some(halt);
        self.tell_of_guard(turn);
    }

    /// Each turn looks, so that the last of many small steps is told as well.
    fn tell_of_guard(&mut self, turn: &mut Turn) {
        let Retirement { halted: Some(halt), told, leaving, .. } = &mut self.retirement else { return };
        let (held_back, at) = (leaving.len(), turn.now.steady);
        if told.as_ref().is_none_or(|told| told.is_outdated(halt, held_back, at)) {
            let examples = leaving.iter().take(EXAMPLES).cloned().collect();
            turn.events.push(Event::GuardHalted { halt: halt.clone(), held_back, examples });
            *told = Some(Told { halt: halt.clone(), held_back, at });
        }
    }

    fn let_go(&mut self, turn: &mut Turn) {
        if self.mode == Mode::Plan {
            return;
        }
        let wall = turn.now.wall.floor_to_second();
        for key in std::mem::take(&mut self.retirement.leaving) {
            let Some(mut entry) = self.detach(&key) else { continue };
            let expires_at = entry.record.as_ref().and_then(|record| Some(record.live()?.expires_at));
            self.edit(&key, &mut entry, Visible::Soon, turn.now, |record: &mut Record| {
                record.retired_at = Some(wall);
                record.trouble = None;
            });
            self.attach(&key, entry);
            turn.events.push(Event::Retired { key: key.clone(), expires_at });
            self.dirty.insert(key);
        }
    }

    fn case(&self, leaving: &BTreeSet<EntryKey>, now: Now) -> Case {
        let window_start = self.window_start(now);
        let still_there = self.still_there();
        let is_lost =
            |at: Timestamp, provider, hash| at > window_start && !still_there.contains(&(provider, hash));
        let retired = self.entries.iter().filter(|(key, entry)| {
            let Some(record) = &entry.record else { return false };
            let (Some(at), Some(handle)) = (record.retired_at, &record.current) else { return false };
            is_lost(on_steady_clock(at, now), &key.provider, handle.hash)
        });
        let ended = &self.retirement.ended;
        let ended =
            ended.iter().filter(|ended| is_lost(ended.retired_at, &ended.provider, ended.hash)).count();
        let lost = |key: &&EntryKey| {
            let record = self.entries.get(key).and_then(|entry| entry.record.as_ref());
            let hash = record.and_then(|record| record.current.as_ref()).map(|handle| handle.hash);
            hash.is_none_or(|hash| !still_there.contains(&(&key.provider, hash)))
        };
        let lost: Vec<&EntryKey> = leaving.iter().filter(lost).collect();
        Case {
            folder: self.retirement.folder,
            leaving: lost.len(),
            retired_lately: retired.count() + ended,
            entries: self.entries.len() + ended,
            emptied_rule: self.emptied_rule(&lost),
        }
    }

    /// Content that is in the folder, by provider: what leaves under one path and is there under another moved.
    fn still_there(&self) -> BTreeSet<(&ProviderName, ContentHash)> {
        let staying = self.entries.iter().filter(|(_, entry)| entry.rule.is_some());
        staying
            .filter_map(|(key, _)| match self.files.observation(&key.path)? {
                Observation::Present { hash, .. } => Some((&key.provider, *hash)),
                _ => None,
            })
            .collect()
    }

    /// A rule that lost all its files, if there is one.
    fn emptied_rule(&self, lost: &[&EntryKey]) -> Option<String> {
        let rules_of_lost = lost.iter().filter_map(|key| self.entries.get(key)?.rule);
        let emptied: BTreeSet<u32> = rules_of_lost.collect();
        if emptied.is_empty() {
            return None;
        }
        let populated: BTreeSet<u32> = self
            .entries
            .iter()
            .filter(|(key, _)| !matches!(self.files.observation(&key.path), Some(Observation::Missing)))
            .filter_map(|(_, entry)| entry.rule)
            .collect();
        let rule = emptied.difference(&populated).next()?;
        match &self.manifest.rules.get(*rule as usize)?.files {
            Files::Glob { include, .. } => Some(include.glob().to_string()),
            Files::Literal(_) => None,
        }
    }

    /// What the guard holds back, for those who have to approve it.
    #[must_use]
    pub fn held_back(&self) -> Option<(&Halt, &BTreeSet<EntryKey>)> {
        self.retirement.halt().map(|halt| (halt, &self.retirement.leaving))
    }
}

/// So long a number that grows little by little stays as it was told.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(600);
/// How many entries a message names.
const EXAMPLES: usize = 5;
