//! One entry, looked at anew: what has ended, what it needs, and when to look again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Lane};
use super::recording::Visible;
use super::{Event, Mode, Reconciler, Turn};
use crate::domain::asset::{EntryKey, MediaId};
use crate::domain::observation::Observation;
use crate::domain::plan::{self, Block, Reason, Verdict, Wanted};
use crate::domain::retry::Gate;
use crate::domain::state::{Record, Trouble};
use crate::domain::time::{Now, Timestamp};

impl Reconciler {
    pub(super) fn review(&mut self, key: &EntryKey, turn: &mut Turn) {
        self.unplace(key);
        self.let_the_dead_go(key, turn);
        self.note_absence(key, turn);
        let Some(entry) = self.entries.get(key) else { return };
        if entry.in_flight {
            return;
        }
        if entry.is_retired() {
            let end = entry.record.as_ref().and_then(|record| Some(record.live()?.steady_expires_at));
            return self.wake(key, end.unwrap_or(turn.now.steady));
        }
        let wanted = self.want(key);
        let Some(verdict) = self.judge(key, wanted, turn.now) else {
            // The provider's table is gone and nothing is known about it: its handles can only run out.
            let end =
                self.entries[key].record.as_ref().and_then(|record| Some(record.live()?.steady_expires_at));
            return end.map_or((), |end| self.wake(key, end));
        };
        self.note_trouble(key, &verdict, turn);
        self.place(key, &verdict, turn);
    }

    /// The verdict about an entry; `None` where its provider is not known.
    pub(super) fn judge(&self, key: &EntryKey, wanted: Result<Wanted, Block>, now: Now) -> Option<Verdict> {
        let account = self.accounts.get(&key.provider)?;
        let record = self.entries.get(key)?.record.as_deref();
        Some(plan::judge(key, wanted, record, account.facts(), now))
    }

    /// What should exist for an entry. Claims its ID.
    pub(super) fn want(&mut self, key: &EntryKey) -> Result<Wanted, Block> {
        let wanted = self.want_unclaimed(key);
        let id = wanted.as_ref().ok().and_then(|wanted| wanted.id.clone());
        self.claim(key, id.as_ref());
        let wanted = wanted?;
        match self.holder_of(key, &wanted) {
            Some(holder) if !self.shares_content(&holder, &wanted) => Err(Block::IdTaken(holder.path)),
            _ => Ok(wanted),
        }
    }

    pub(super) fn want_unclaimed(&self, key: &EntryKey) -> Result<Wanted, Block> {
        let rule = self.entries.get(key).and_then(|entry| entry.rule).ok_or(Block::Leaving)?;
        let account = self.accounts.get(&key.provider).ok_or(Block::Leaving)?;
        let observation = self.files.observation(&key.path);
        plan::want(&self.manifest, rule as usize, key, account.config.kind, observation)
    }

    fn claim(&mut self, key: &EntryKey, id: Option<&MediaId>) {
        let claim = id.map(|id| claim_of(key, id));
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.claim != claim
            && let Some(old) = std::mem::replace(&mut entry.claim, claim)
        {
            self.release(old, key);
        }
        if let Some(claim) = claim {
            self.claims.entry(claim).or_insert_with(|| key.clone());
        }
    }

    pub(super) fn release(&mut self, claim: u64, key: &EntryKey) {
        if self.claims.get(&claim) == Some(key) {
            self.claims.remove(&claim);
        }
    }

    /// The other entry that the ID of this one belongs to, if it does.
    pub(super) fn holder_of(&self, key: &EntryKey, wanted: &Wanted) -> Option<EntryKey> {
        let claim = claim_of(key, wanted.id.as_ref()?);
        self.claims.get(&claim).filter(|holder| *holder != key).cloned()
    }

    /// Whether another entry's content is the same, so that one ID serves both.
    fn shares_content(&self, holder: &EntryKey, wanted: &Wanted) -> bool {
        match self.files.observation(&holder.path) {
            Some(Observation::Present { hash, .. }) => *hash == wanted.hash,
            _ => {
                let record = self.entries.get(holder).and_then(|entry| entry.record.as_ref());
                record
                    .and_then(|record| record.current.as_ref())
                    .is_some_and(|handle| handle.hash == wanted.hash)
            }
        }
    }

    /// Drops older handles that have ended, tells when the published one has, and lets a retired entry go then.
    fn let_the_dead_go(&mut self, key: &EntryKey, turn: &mut Turn) {
        let now = turn.now;
        let Some(record) = self.entries.get(key).and_then(|entry| entry.record.clone()) else { return };
        if record.previous.iter().any(|previous| previous.expires_at <= now.wall) {
            self.edit(key, Visible::Eventually, turn, |record| {
                record.previous.retain(|previous| previous.expires_at > now.wall);
            });
        }
        let alive = record.live().is_some_and(|handle| handle.steady_expires_at > now.steady);
        if record.retired_at.is_some() && !alive {
            self.edit(key, Visible::AtOnce, turn, |record| *record = Record::default());
        } else if record.live().is_some() && !alive {
            self.edit(key, Visible::AtOnce, turn, |record| {
                if let Some(handle) = &mut record.current {
                    handle.url = None;
                }
            });
            turn.events.push(Event::Lapsed { key: key.clone() });
        }
    }

    /// Keeps in the record since when a file has been missing, so that the delay outlives a restart; takes a
    /// retirement back when its file returns; and forgets entries of which nothing is left.
    fn note_absence(&mut self, key: &EntryKey, turn: &mut Turn) {
        let Some(entry) = self.entries.get(key) else { return };
        let missing = matches!(self.files.observation(&key.path), Some(Observation::Missing));
        let wanted = entry.rule.is_some() && (!missing || self.is_literal(entry));
        let in_flight = entry.in_flight;
        let Some(record) = entry.record.clone().filter(|record| wanted || record.current.is_some()) else {
            if !wanted && !in_flight {
                if entry.record.is_some() {
                    self.edit(key, Visible::AtOnce, turn, |record| *record = Record::default());
                }
                self.forget(key);
            }
            return;
        };
        let wall = turn.now.wall.floor_to_second();
        let absent = missing && !self.is_literal(entry) && record.current.is_some();
        if absent != record.missing_since.is_some() {
            self.edit(key, Visible::Eventually, turn, |record| record.missing_since = absent.then_some(wall));
        }
        if wanted && record.retired_at.is_some() {
            self.edit(key, Visible::Soon, turn, |record| record.retired_at = None);
            turn.events.push(Event::Unretired { key: key.clone() });
        }
        self.note_leaving(key, turn.now);
    }

    pub(super) fn forget(&mut self, key: &EntryKey) {
        self.unplace(key);
        if let Some(entry) = self.entries.remove(key)
            && let Some(claim) = entry.claim
        {
            self.release(claim, key);
        }
        self.retirement.leaving.remove(key);
        if self.entries_of(&key.path).is_empty() {
            self.files.known.remove(&key.path);
        }
    }

    fn note_trouble(&mut self, key: &EntryKey, verdict: &Verdict, turn: &mut Turn) {
        let Some(entry) = self.entries.get(key) else { return };
        let block = match &verdict.block {
            Some(Block::Settling) if self.is_changing_for_long(key, turn.now.steady) => Some(Block::Settling),
            Some(block) if block.is_momentary() => return,
            other => other.clone(),
        };
        let present = entry.record.as_ref().and_then(|record| record.trouble.as_ref());
        let Some(block) = block else {
            if present.is_some() && entry.attempts() == 0 {
                self.edit(key, Visible::Eventually, turn, |record| record.trouble = None);
                turn.events.push(Event::Recovered { key: key.clone() });
            }
            return;
        };
        let (kind, detail) = (block.kind(), block.explain());
        if present.is_some_and(|trouble| *trouble.kind == *kind && *trouble.detail == *detail) {
            return;
        }
        let kept_alive = entry.record.as_ref().is_some_and(|record| record.live().is_some());
        let trouble = Trouble {
            kind: kind.into(),
            detail: detail.as_str().into(),
            since: turn.now.wall.floor_to_second(),
            attempts: 0,
            next_try: None,
        };
        self.edit(key, Visible::Eventually, turn, |record| record.trouble = Some(Box::new(trouble)));
        turn.events.push(Event::Blocked { key: key.clone(), kind, detail, kept_alive });
    }

    fn is_changing_for_long(&self, key: &EntryKey, steady: Timestamp) -> bool {
        let since = self.files.known.get(&key.path).map_or(steady, |state| state.since);
        since + STILL_CHANGING <= steady || !self.may_wait_for_files(steady)
    }

    /// Puts an entry where it belongs: into a lane if something can be sent now, and into the agenda for its
    /// next moment.
    fn place(&mut self, key: &EntryKey, verdict: &Verdict, turn: &mut Turn) {
        let steady = turn.now.steady;
        self.tell_risk(key, verdict, turn);
        let Some(entry) = self.entries.get(key) else { return };
        let moments = self.moments(key, entry, verdict, steady);
        if let Some((reason, _)) = self.choose(key, entry, verdict, steady) {
            let lane = match &verdict.schedule {
                Some(schedule) if schedule.urgent_at <= steady => Lane::Urgent,
                Some(_) if reason.is_renewal() => Lane::Renewal,
                None if entry.record.as_ref().is_some_and(|record| record.current.is_some()) => Lane::Lapsed,
                _ => Lane::Fresh,
            };
            let at = verdict.schedule.map_or(Timestamp::MIN, |schedule| schedule.lapse_at);
            if let Some(account) = self.accounts.get_mut(&key.provider) {
                account.enqueue(lane, at, key.clone());
            }
            if let Some(entry) = self.entries.get_mut(key) {
                entry.place = Some((lane, at));
            }
        }
        if let Some(next) = moments.into_iter().flatten().filter(|at| *at > steady).min() {
            self.wake(key, next);
        }
    }

    /// What could be sent now, if anything.
    pub(super) fn choose<'a>(
        &self,
        key: &EntryKey,
        entry: &Entry,
        verdict: &'a Verdict,
        steady: Timestamp,
    ) -> Option<(Reason, &'a Wanted)> {
        if let Some((reason, wanted)) = &verdict.replacement
            && !self.stopping
            && !self.recording.is_broken()
            && self.may_try(entry.replacement_gate(wanted), steady)
        {
            return Some((*reason, wanted));
        }
        let (due_at, reason, wanted) = verdict.renewal.as_ref()?;
        let rested = self.renewal_allowed_at(key, entry).is_none_or(|at| at <= steady);
        let may = self.may_try(entry.renewal_gate(), steady) && *due_at <= steady && rested;
        (may && !self.stopping).then_some((*reason, wanted))
    }

    fn may_try(&self, gate: Gate, steady: Timestamp) -> bool {
        gate.is_open(steady) && !self.has_given_up(gate)
    }

    /// A single pass tries each upload a few times only.
    pub(super) fn has_given_up(&self, gate: Gate) -> bool {
        matches!(self.mode, Mode::Once { tries, .. } if gate.attempts >= tries)
    }

    /// From when on a live handle may be renewed again: a guard against renewing in a loop, whatever the clocks
    /// and deadlines say.
    fn renewal_allowed_at(&self, key: &EntryKey, entry: &Entry) -> Option<Timestamp> {
        entry.record.as_ref()?.live()?;
        Some(entry.uploaded_at? + self.accounts.get(&key.provider)?.terms.renewal_gap())
    }

    /// When the picture changes by the mere passing of time.
    fn moments(
        &self,
        key: &EntryKey,
        entry: &Entry,
        verdict: &Verdict,
        steady: Timestamp,
    ) -> [Option<Timestamp>; 7] {
        let settling = matches!(verdict.block, Some(Block::Settling));
        let since = self.files.known.get(&key.path).map(|state| state.since);
        let renewal = verdict.renewal.as_ref().map(|(due_at, ..)| {
            let gate = entry.renewal_gate().closed_until.unwrap_or(Timestamp::MIN);
            let gap = self.renewal_allowed_at(key, entry).unwrap_or(Timestamp::MIN);
            (*due_at).max(gate).max(gap)
        });
        let replacement =
            verdict.replacement.as_ref().and_then(|(_, wanted)| entry.replacement_gate(wanted).closed_until);
        [
            renewal,
            replacement,
            verdict.schedule.map(|schedule| schedule.urgent_at),
            verdict.schedule.map(|schedule| schedule.lapse_at),
            since.filter(|_| settling).map(|since| since + STILL_CHANGING),
            self.leaves_at(key, entry),
            // The other entry may let go of the ID.
            matches!(verdict.block, Some(Block::IdTaken(_))).then(|| steady + ID_TAKEN_RETRY),
        ]
    }

    fn tell_risk(&mut self, key: &EntryKey, verdict: &Verdict, turn: &mut Turn) {
        let steady = turn.now.steady;
        let urgent = verdict.schedule.filter(|schedule| schedule.urgent_at <= steady);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let told = std::mem::replace(&mut entry.told_at_risk, urgent.is_some());
        if let Some(schedule) = urgent
            && !told
        {
            let left = schedule.lapse_at.saturating_since(steady);
            turn.events.push(Event::AtRisk { key: key.clone(), left });
        }
    }

    fn unplace(&mut self, key: &EntryKey) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(at) = entry.wake.take() {
            self.agenda.remove(&(at, key.clone()));
        }
        if let Some((lane, at)) = entry.place.take()
            && let Some(account) = self.accounts.get_mut(&key.provider)
        {
            account.dequeue(lane, at, key);
        }
    }

    /// Looks at an entry again at a moment of the steady clock, unless that is planned for earlier.
    pub(super) fn wake(&mut self, key: &EntryKey, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.wake.is_some_and(|present| present <= at) {
            return;
        }
        if let Some(previous) = entry.wake.replace(at) {
            self.agenda.remove(&(previous, key.clone()));
        }
        self.agenda.insert((at, key.clone()));
    }

    /// Changes a record, and remembers that it has to be recorded and shown.
    pub(super) fn edit(
        &mut self,
        key: &EntryKey,
        visible: Visible,
        turn: &mut Turn,
        change: impl FnOnce(&mut Record),
    ) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let record = Arc::make_mut(entry.record.get_or_insert_default());
        change(record);
        if record.is_empty() {
            entry.record = None;
        }
        let delay = self
            .accounts
            .get(&key.provider)
            .map_or(Duration::ZERO, |account| account.terms.publication_delay());
        self.recording.note(key, visible, delay, turn.now.steady);
    }
}

fn claim_of(key: &EntryKey, id: &MediaId) -> u64 {
    use unicode_normalization::UnicodeNormalization;
    let mut hasher = DefaultHasher::new();
    key.provider.hash(&mut hasher);
    if id.as_str().is_ascii() {
        id.as_str().bytes().for_each(|byte| byte.to_ascii_lowercase().hash(&mut hasher));
    } else {
        id.as_str().nfc().flat_map(char::to_lowercase).for_each(|c| c.hash(&mut hasher));
    }
    hasher.finish()
}

const ID_TAKEN_RETRY: Duration = Duration::from_secs(30);
/// A file that is busy for longer is reported.
const STILL_CHANGING: Duration = Duration::from_secs(30);
