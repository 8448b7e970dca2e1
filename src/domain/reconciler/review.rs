//! One entry, looked at anew: what has ended, what it needs, and when to look again.

use std::sync::Arc;
use std::time::Duration;

use super::entries::Slot;
use super::entry::{Entry, Lane, Standing};
use super::files::is_of_folder;
use super::recording::Visible;
use super::{Event, Mode, Reconciler, Turn};
use crate::domain::asset::EntryKey;
use crate::domain::lease::{Schedule, on_steady_clock};
use crate::domain::observation::{Observation, Refusal};
use crate::domain::plan::{self, Block, Reason, Verdict, Wanted};
use crate::domain::retry::Gate;
use crate::domain::state::{Record, Trouble};
use crate::domain::time::{Now, Timestamp};

impl Reconciler {
    /// Looks at an entry anew; `seen` is what is known of its file.
    pub(super) fn review(&mut self, key: &EntryKey, seen: Option<&Observation>, turn: &mut Turn) {
        if let Some(slot) = self.entries.find(key) {
            self.review_at(key, slot, seen, turn);
        }
    }

    /// The same for whoever knows where the entry is.
    pub(super) fn review_at(
        &mut self,
        key: &EntryKey,
        slot: Slot,
        seen: Option<&Observation>,
        turn: &mut Turn,
    ) {
        #[cfg(test)]
        {
            self.reviews += 1;
        }
        let Some(mut entry) = self.entries.at_mut(slot).map(std::mem::take) else { return };
        self.unplace(key, &mut entry);
        self.let_the_dead_go(key, &mut entry, turn);
        self.note_absence(key, &mut entry, seen, turn);
        if entry.rule.is_none() && entry.record.is_none() && !entry.in_flight {
            return self.forget(key, &entry);
        }
        if entry.in_flight {
            self.watch_over_upload(key, &mut entry, turn);
        } else {
            self.decide(key, &mut entry, seen, turn);
        }
        if let Some(vacant) = self.entries.at_mut(slot) {
            *vacant = entry;
        }
    }

    fn decide(&mut self, key: &EntryKey, entry: &mut Entry, seen: Option<&Observation>, turn: &mut Turn) {
        let end = first_end(entry, turn.now);
        if entry.is_retired() {
            // Whoever is given its ID need not wait for its end.
            if let Some(claim) = entry.claim.take() {
                self.waiting.leave(claim, key);
                self.release(claim, key);
            }
            return self.wake(key, entry, end.unwrap_or(turn.now.steady));
        }
        let wanted = self.want(key, entry, seen);
        match self.judge(key, entry, wanted, turn.now) {
            Some(verdict) => {
                entry.standing = standing(entry, &verdict);
                self.note_trouble(key, entry, &verdict, turn);
                self.place(key, entry, &verdict, turn);
            }
            // The provider's table is gone and nothing is known about it: its handles can only run out.
            None => end.map_or((), |end| self.wake(key, entry, end)),
        }
    }

    /// An upload can take longer than the published URL has left: its risk and its end are told all the same.
    fn watch_over_upload(&mut self, key: &EntryKey, entry: &mut Entry, turn: &mut Turn) {
        let Some(account) = self.accounts.get(&key.provider) else { return };
        let live = entry.record.as_ref().and_then(|record| record.live());
        let Some(schedule) = live.map(|handle| account.terms.schedule(key, handle, turn.now)) else { return };
        tell_risk(key, entry, Some(schedule), turn);
        let moments = [schedule.urgent_at, schedule.lapse_at];
        if let Some(next) = moments.into_iter().filter(|at| *at > turn.now.steady).min() {
            self.wake(key, entry, next);
        }
    }

    /// The verdict about an entry; `None` where its provider is not known.
    pub(super) fn judge(
        &self,
        key: &EntryKey,
        entry: &Entry,
        wanted: Result<Wanted, Block>,
        now: Now,
    ) -> Option<Verdict> {
        let account = self.accounts.get(&key.provider)?;
        let mut verdict = plan::judge(key, wanted, entry.record.as_deref(), account.facts(), now);
        if (entry.in_doubt || entry.missed) && !self.has_rival(key, entry) {
            match &mut verdict.renewal {
                Some((due_at, ..)) if entry.missed => *due_at = now.steady.min(*due_at),
                _ => super::ids::restore(&mut verdict, now.steady),
            }
        }
        Some(verdict)
    }

    /// What should exist for an entry. Claims its ID.
    pub(super) fn want(
        &mut self,
        key: &EntryKey,
        entry: &mut Entry,
        seen: Option<&Observation>,
    ) -> Result<Wanted, Block> {
        let wanted = self.want_unclaimed(key, entry, seen);
        let claim = self.claim_for(key, entry, wanted.as_ref().ok());
        if let Some(old) = std::mem::replace(&mut entry.claim, claim) {
            self.waiting.leave(old, key);
            if entry.claim != Some(old) {
                self.release(old, key);
            }
        }
        let wanted = wanted?;
        let Some(claim) = claim else { return Ok(wanted) };
        if let Some(block) = self.occupied(key, entry, claim, &wanted) {
            self.release(claim, key);
            self.waiting.join(claim, key);
            return Err(block);
        }
        let holder = self.claims.entry(claim).or_insert_with(|| key.clone()).clone();
        if holder == *key || self.shares_content(&holder, &wanted) {
            return Ok(wanted);
        }
        if !self.yields(&holder, key, entry, claim) {
            return Err(Block::IdTaken(holder.path));
        }
        self.claims.insert(claim, key.clone());
        Ok(wanted)
    }

    pub(super) fn want_unclaimed(
        &self,
        key: &EntryKey,
        entry: &Entry,
        seen: Option<&Observation>,
    ) -> Result<Wanted, Block> {
        let rule = entry.rule.ok_or(Block::Leaving)?;
        let account = self.accounts.get(&key.provider).ok_or(Block::Leaving)?;
        plan::want(&self.manifest, rule as usize, key, account.config.kind, seen)
    }

    pub(super) fn release(&mut self, claim: u64, key: &EntryKey) {
        if self.claims.get(&claim) == Some(key) {
            self.claims.remove(&claim);
        }
    }

    /// Whether another entry's content is the same, so that one ID serves both.
    pub(super) fn shares_content(&self, holder: &EntryKey, wanted: &Wanted) -> bool {
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
    fn let_the_dead_go(&mut self, key: &EntryKey, entry: &mut Entry, turn: &mut Turn) {
        let now = turn.now;
        let Some(record) = &entry.record else { return };
        let ended = record.previous.iter().any(|previous| previous.expires_at <= now.wall);
        let published = record.live().is_some();
        let alive = record.live().is_some_and(|handle| handle.steady_expires_at > now.steady);
        let retired = record.retired_at.is_some();
        if ended {
            self.edit(key, entry, Visible::InPassing, turn.now, |record| {
                record.previous.retain(|previous| previous.expires_at > now.wall);
            });
        }
        if retired && !alive {
            entry.record.iter().for_each(|record| self.note_ended(key, record, now));
            self.edit(key, entry, Visible::AtOnce, turn.now, |record| *record = Record::default());
        } else if published && !alive {
            self.edit(key, entry, Visible::AtOnce, turn.now, |record| {
                if let Some(handle) = &mut record.current {
                    handle.url = None;
                }
            });
            turn.events.push(Event::Lapsed { key: key.clone() });
        }
    }

    /// Keeps in the record since when a file has been missing, so that the delay outlives a restart; takes a
    /// retirement back when its file returns; and drops what is left of an entry that nothing wants.
    fn note_absence(
        &mut self,
        key: &EntryKey,
        entry: &mut Entry,
        seen: Option<&Observation>,
        turn: &mut Turn,
    ) {
        let missing = seen == Some(&Observation::Missing);
        let recorded = entry.record.as_ref().is_some_and(|record| record.current.is_some());
        // A glob passes over empty files; one that was published before it became empty is kept alive.
        let nothing = missing || (!recorded && seen == Some(&Observation::Refused(Refusal::Empty)));
        let literal = nothing && self.is_literal(entry);
        let wanted = entry.rule.is_some() && (!nothing || literal);
        if !wanted && !recorded {
            if entry.record.is_some() {
                self.edit(key, entry, Visible::AtOnce, turn.now, |record| *record = Record::default());
            }
            if !entry.in_flight {
                entry.rule = None;
            }
            return;
        }
        let Some(record) = &entry.record else { return };
        let (absent, retired) = (missing && !literal && recorded, record.retired_at.is_some());
        if absent != record.missing_since.is_some() {
            let wall = turn.now.wall.floor_to_second();
            self.edit(key, entry, Visible::Eventually, turn.now, |record| {
                record.missing_since = absent.then_some(wall);
            });
        }
        if wanted && retired {
            self.edit(key, entry, Visible::Soon, turn.now, |record| record.retired_at = None);
            turn.events.push(Event::Unretired { key: key.clone() });
        }
        if missing || entry.rule.is_none() || self.retirement.is_uneasy() {
            self.note_leaving(key, entry, turn.now);
        }
    }

    fn forget(&mut self, key: &EntryKey, entry: &Entry) {
        self.entries.remove(key);
        if let Some(claim) = entry.claim {
            self.waiting.leave(claim, key);
            self.release(claim, key);
        }
        self.retirement.leaving.remove(key);
        self.orphaned |= !self.manifest.providers.contains_key(&key.provider);
        if self.entries_of(&key.path).is_empty() {
            self.files.known.remove(&key.path);
        }
    }

    fn note_trouble(&mut self, key: &EntryKey, entry: &mut Entry, verdict: &Verdict, turn: &mut Turn) {
        let block = match &verdict.block {
            Some(Block::Settling) if self.is_changing_for_long(key, turn.now.steady) => Some(Block::Settling),
            Some(block) if block.is_momentary() => return,
            other => other.clone(),
        };
        let present = entry.record.as_ref().and_then(|record| record.trouble.as_deref());
        let Some(block) = block else {
            // A failure that was recorded before a restart is not over while its upload is still to be made; one of
            // an upload that nothing wants any more is.
            let is_over = |trouble: &&Trouble| {
                !is_failing(entry, verdict) && (trouble.attempts == 0 || !is_pending(verdict, turn.now))
            };
            if let Some(present) = present.filter(is_over) {
                if !is_of_folder(&present.detail) {
                    turn.events.push(Event::Recovered { key: key.clone() });
                }
                self.edit(key, entry, Visible::Eventually, turn.now, |record| record.trouble = None);
            }
            return;
        };
        // A renewal that fails is worse news than the state of its file, and the two would take turns.
        if entry.renewal_gate().attempts > 0 && present.is_some_and(|trouble| trouble.attempts > 0) {
            return;
        }
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
        self.edit(key, entry, Visible::Eventually, turn.now, |record| {
            record.trouble = Some(Box::new(trouble));
        });
        // What is wrong with a whole folder is told for the folder, not for a hundred thousand files.
        if !is_of_folder(&detail) {
            turn.events.push(Event::Blocked { key: key.clone(), kind, detail, kept_alive });
        }
    }

    fn is_changing_for_long(&self, key: &EntryKey, steady: Timestamp) -> bool {
        let since = self.files.known.get(&key.path).map_or(steady, |state| state.since);
        since + STILL_CHANGING <= steady || !self.may_wait_for_files(steady)
    }

    /// Puts an entry where it belongs: into a lane if something can be sent now, and into the agenda for its
    /// next moment.
    fn place(&mut self, key: &EntryKey, entry: &mut Entry, verdict: &Verdict, turn: &mut Turn) {
        let steady = turn.now.steady;
        tell_risk(key, entry, verdict.schedule, turn);
        let moments = self.moments(key, entry, verdict, turn.now);
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
            entry.place = Some((lane, at));
        }
        let next = moments.into_iter().flatten().filter(|at| *at > steady).min();
        if let Some(next) = next.filter(|next| *next <= self.horizon()) {
            self.wake(key, entry, next);
        }
    }

    /// Moments after it are not worth remembering: a single pass is over by then.
    fn horizon(&self) -> Timestamp {
        match self.mode {
            Mode::Daemon => Timestamp::MAX,
            Mode::Once { patience, .. } => self.started + patience.saturating_mul(4),
            Mode::Plan => Timestamp::MIN,
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
    /// and deadlines say. Bytes that have to be restored, or are perhaps not there, do not wait for it.
    fn renewal_allowed_at(&self, key: &EntryKey, entry: &Entry) -> Option<Timestamp> {
        entry.record.as_ref()?.live().filter(|_| !entry.in_doubt && !entry.missed)?;
        Some(entry.uploaded_at? + self.accounts.get(&key.provider)?.terms.renewal_gap())
    }

    /// When the picture changes by the mere passing of time.
    fn moments(&self, key: &EntryKey, entry: &Entry, verdict: &Verdict, now: Now) -> [Option<Timestamp>; 7] {
        let steady = now.steady;
        let settling = matches!(verdict.block, Some(Block::Settling));
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
            first_end(entry, now),
            settling
                .then(|| self.files.known.get(&key.path))
                .flatten()
                .map(|file| file.since + STILL_CHANGING),
            // Whatever makes an entry leave also blocks it.
            verdict.block.as_ref().and_then(|_| self.leaves_at(key, entry)),
            // The other entry may let go of the ID.
            matches!(verdict.block, Some(Block::IdTaken(_) | Block::IdInUse(_)))
                .then(|| steady + ID_TAKEN_RETRY),
        ]
    }

    fn unplace(&mut self, key: &EntryKey, entry: &mut Entry) {
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
    pub(super) fn wake(&mut self, key: &EntryKey, entry: &mut Entry, at: Timestamp) {
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
        entry: &mut Entry,
        visible: Visible,
        now: Now,
        change: impl FnOnce(&mut Record),
    ) {
        let before = self.places_of(key, entry.record.as_deref());
        let record = Arc::make_mut(entry.record.get_or_insert_default());
        change(record);
        if record.is_empty() {
            entry.record = None;
        }
        self.places.follow(key, &before, &self.places_of(key, entry.record.as_deref()));
        let delay = self
            .accounts
            .get(&key.provider)
            .map_or(Duration::ZERO, |account| account.terms.publication_delay());
        self.recording.note(key, visible, delay, now.steady);
    }
}

/// Whether what is to be sent, now or when it is due, failed when it was tried last.
fn is_failing(entry: &Entry, verdict: &Verdict) -> bool {
    let replacement = verdict.replacement.as_ref();
    entry.renewal_gate().attempts > 0
        || replacement.is_some_and(|(_, wanted)| entry.replacement_gate(wanted).attempts > 0)
}

/// Whether something is to be sent.
fn is_pending(verdict: &Verdict, now: Now) -> bool {
    let due = verdict.renewal.as_ref().is_some_and(|(due_at, ..)| *due_at <= now.steady);
    verdict.replacement.is_some() || due
}

/// How an entry stands, for a summary of all of them.
fn standing(entry: &Entry, verdict: &Verdict) -> Standing {
    let live = entry.record.as_ref().is_some_and(|record| record.live().is_some());
    let gone = matches!(verdict.block, Some(Block::Missing | Block::Unreadable(_)));
    match (live && verdict.replacement.is_none(), &verdict.block) {
        (true, None) => Standing::Alive,
        (true, Some(_)) if gone => Standing::KeptAlive,
        _ => Standing::Failing,
    }
}

fn tell_risk(key: &EntryKey, entry: &mut Entry, schedule: Option<Schedule>, turn: &mut Turn) {
    let steady = turn.now.steady;
    let urgent = schedule.filter(|schedule| schedule.urgent_at <= steady);
    let told = std::mem::replace(&mut entry.told.at_risk, urgent.is_some());
    if let Some(schedule) = urgent
        && !told
    {
        let left = schedule.lapse_at.saturating_since(steady);
        turn.events.push(Event::AtRisk { key: key.clone(), left });
    }
}

/// When the first of an entry's handles ends, the older ones included: they leave the state file then.
fn first_end(entry: &Entry, now: Now) -> Option<Timestamp> {
    let record = entry.record.as_ref()?;
    let older = record.previous.iter().map(|previous| on_steady_clock(previous.expires_at, now));
    older.chain(record.live().map(|handle| handle.steady_expires_at)).min()
}

const ID_TAKEN_RETRY: Duration = Duration::from_secs(30);
/// A file that is busy for longer is reported.
const STILL_CHANGING: Duration = Duration::from_secs(30);
