//! Whether providers still hold what they confirmed: when that is looked at, and what follows from it.
//!
//! What is gone is taken back from readers and uploaded again at once; where it is most of everything, it is taken back
//! only when a second look agrees. What somebody else wrote is told and not fought. A failed look is no cause for alarm: uploads tell how a provider is.

use std::time::Duration;

use super::account::Account;
use super::entries::Slot;
use super::entry::Entry;
use super::recording::Visible;
use super::{Effect, Event, Mode, Reconciler, Turn};
use crate::domain::asset::{EntryKey, MediaId, ProviderName};
use crate::domain::experience::{Assumptions, Experience, Life};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::guard::is_mass_loss;
use crate::domain::kind::{Naming, Replacing};
use crate::domain::plan::{Wanted, is_same_id};
use crate::domain::renewal_id;
use crate::domain::state::{Handle, Record};
use crate::domain::time::{Now, Timestamp};
use crate::domain::verification::{Expected, Inspected, Inspection, Sight, requests_of_a_look};

/// What is known about an account from looking at what it holds.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each read where it matters")]
pub(super) struct Verifying {
    /// When it is looked at next, on the steady clock.
    due_at: Option<Timestamp>,
    under_way: bool,
    /// Whether the look before asked for this one early.
    hurried: bool,
    /// When the last look began that was not cut short.
    last: Option<Timestamp>,
    experience: Experience,
    /// How long media live there, where they were seen to die sooner than they should.
    pub learnt_retention: Option<Duration>,
    /// Whether an upload under an existing ID does not prolong a life, so that each renewal needs a new one.
    pub renews_under_new_ids: bool,
    told_failing: bool,
}

impl Verifying {
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Another interval counts from now on.
    pub(super) fn forget_plan(&mut self) {
        self.due_at = None;
    }
}

impl Account {
    /// The time between two looks; `None` where there are none.
    fn verify_every(&self) -> Option<Duration> {
        let can = self.config.kind.capabilities.can_list || self.config.kind.capabilities.can_find;
        (can && !self.config.verify.is_zero() && self.scope.is_some()).then_some(self.config.verify)
    }

    /// How many requests are spent on looking in so long a time, if there are so many media.
    pub(super) fn requests_of_looks(&self, media: usize, length: Duration) -> usize {
        if self.config.verify.is_zero() {
            return 0;
        }
        let looks = length.as_millis().div_ceil(self.config.verify.as_millis().max(1));
        let each = requests_of_a_look(media, &self.config.kind.capabilities);
        each.saturating_mul(usize::try_from(looks).unwrap_or(usize::MAX))
    }

    /// When the next look is, where that is a matter of time.
    fn next_look(&self, steady: Timestamp) -> Option<Timestamp> {
        self.verify_every()?;
        self.verifying.due_at.filter(|at| !self.verifying.under_way && *at > steady)
    }

    /// Whether a look is due now. Plans the first one: in the last quarter of an interval after the start, so that
    /// restarts are no reason for more looks, and at another moment for each account and process.
    fn is_look_due(&mut self, phase: impl FnOnce() -> f64, steady: Timestamp) -> bool {
        let Some(every) = self.verify_every() else { return false };
        let first = || steady + (every / 4).mul_f64(3.0 + phase());
        let due_at = *self.verifying.due_at.get_or_insert_with(first);
        let free = self.paused_until.is_none_or(|until| until <= steady) && self.breaker.open_for().is_none();
        due_at <= steady && free && !self.verifying.under_way
    }
}

impl Reconciler {
    /// Accounts that renew under new IDs say so in what they recorded.
    pub(super) fn remember_new_ids(&mut self) {
        for (key, entry) in self.entries.iter() {
            let handle = entry.record.as_ref().and_then(|record| record.current.as_ref());
            if handle.is_some_and(|handle| renewal_id::original(&handle.id).is_some())
                && let Some(account) = self.accounts.get_mut(&key.provider)
            {
                account.verifying.renews_under_new_ids = true;
            }
        }
    }

    pub(super) fn next_verification(&self, steady: Timestamp) -> Option<Timestamp> {
        self.accounts.values().filter_map(|account| account.next_look(steady)).min()
    }

    /// Looks at what accounts hold, where that is due. A single pass has no time for it.
    pub(super) fn verify(&mut self, turn: &mut Turn) {
        if self.mode != Mode::Daemon || self.stopping {
            return;
        }
        let steady = turn.now.steady;
        let mut due = Vec::new();
        for (name, account) in &mut self.accounts {
            if account.is_look_due(|| phase(self.seed, name), steady) {
                due.push(name.clone());
            }
        }
        for name in due {
            self.inspect(name, turn);
        }
    }

    fn inspect(&mut self, provider: ProviderName, turn: &mut Turn) {
        let expected = self.expected(&provider, turn.now);
        let Some(account) = self.accounts.get_mut(&provider) else { return };
        account.verifying.due_at = Some(turn.now.steady + account.config.verify);
        let Some(scope) = account.scope.clone().filter(|_| !expected.is_empty()) else {
            account.verifying.hurried = false;
            return;
        };
        account.verifying.under_way = true;
        let inspection = Inspection { provider, scope, ordered: turn.now, expected: expected.into() };
        turn.effects.push(Effect::Verify(Box::new(inspection)));
    }

    /// What an account should hold. What was uploaded a moment ago may not show in a list yet.
    fn expected(&self, provider: &ProviderName, now: Now) -> Vec<Expected> {
        let Some(account) = self.accounts.get(provider) else { return Vec::new() };
        let grace = GRACE_MAX.min(account.terms.urgent_window());
        let of_account = |(key, entry): (&EntryKey, &Entry)| {
            let handle = entry.record.as_ref().filter(|record| record.retired_at.is_none())?.live()?;
            let settled = age(entry, handle, now) >= grace;
            let ours = key.provider == *provider && account.scope.as_ref() == Some(&handle.scope);
            (ours && settled).then(|| Expected {
                key: key.clone(),
                id: handle.id.clone(),
                size: handle.size,
                uploaded_at: handle.uploaded_at,
            })
        };
        let mut expected: Vec<Expected> = self.entries.iter().filter_map(of_account).collect();
        expected.sort_by_key(|media| media.uploaded_at);
        expected
    }

    /// What a look came to. What was uploaded again since it began is not judged by it.
    pub(super) fn take_inspected(&mut self, inspected: &Inspected, turn: &mut Turn) {
        let Inspected { inspection, sights, failure, broken_off } = inspected;
        let Some(account) = self.accounts.get_mut(&inspection.provider) else { return };
        account.verifying.under_way = false;
        if account.scope.as_ref() != Some(&inspection.scope) {
            return;
        }
        // Looks keep their beat, but one that took long, or was broken off, is not followed by another at once.
        let rested = turn.now.steady + account.config.verify * 9 / 10;
        account.verifying.due_at = account.verifying.due_at.max(Some(rested));
        if !broken_off {
            self.note_failed_look(&inspection.provider, failure.as_ref(), turn);
        }
        let (mut gone, mut present, mut resized) = (Vec::new(), Vec::new(), 0);
        for (media, sight) in inspection.expected.iter().zip(sights) {
            let Some(slot) = self.entries.find(&media.key) else { continue };
            let Some(life) = self.life_of(slot, media, inspection.ordered, turn.now) else { continue };
            match sight {
                Sight::Unknown => {}
                Sight::Present => {
                    self.tell_foreign(slot, media, None, turn);
                    self.is_there_after_all(slot, &media.key);
                    present.push(life);
                }
                Sight::Resized(found) => {
                    self.tell_foreign(slot, media, Some(*found), turn);
                    self.is_there_after_all(slot, &media.key);
                    resized += 1;
                }
                Sight::Gone => gone.push((&media.key, life)),
            }
        }
        turn.events.push(Event::Verified {
            provider: inspection.provider.clone(),
            present: present.len(),
            gone: gone.len(),
        });
        let sought = gone.len() + present.len() + resized;
        let gone = self.take_losses(&inspection.provider, &gone, sought, turn);
        self.learn(inspection, failure.is_none() && !broken_off, &gone, &present, turn);
    }

    /// What is gone is withdrawn and uploaded again. Where that would be most of what an account holds, it is uploaded
    /// again all the same, but nothing is withdrawn before a second look, soon, agrees. Returns the lives that ended
    /// since the look before.
    fn take_losses(
        &mut self,
        provider: &ProviderName,
        gone: &[(&EntryKey, Life)],
        sought: usize,
        turn: &mut Turn,
    ) -> Vec<Life> {
        let is_missed = |key: &EntryKey| self.entries.get(key).is_some_and(|entry| entry.missed);
        let (again, first): (Vec<_>, Vec<_>) = gone.iter().copied().partition(|(key, _)| is_missed(key));
        let doubted = is_mass_loss(gone.len(), sought);
        for (key, life) in &again {
            self.vanish(key, *life, turn);
        }
        for (key, life) in &first {
            match self.entries.get_mut(key).filter(|_| doubted) {
                Some(entry) => {
                    entry.missed = true;
                    self.dirty.insert((*key).clone());
                }
                None => self.vanish(key, *life, turn),
            }
        }
        let told = doubted && !first.is_empty();
        if let Some(account) = self.accounts.get_mut(provider) {
            // Never two early looks in a row.
            let hurries = told && !account.verifying.hurried;
            account.verifying.hurried = hurries;
            if hurries {
                account.verifying.due_at = Some(turn.now.steady + account.config.verify / 10);
            }
        }
        if told {
            turn.events.push(Event::LossDoubted { provider: provider.clone(), gone: first.len(), sought });
        }
        first.into_iter().map(|(_, life)| life).collect()
    }

    fn is_there_after_all(&mut self, slot: Slot, key: &EntryKey) {
        if let Some(entry) = self.entries.at_mut(slot)
            && std::mem::take(&mut entry.missed)
        {
            self.dirty.insert(key.clone());
        }
    }

    /// A failed look says nothing about uploads: whoever may not list may upload all the same. Only a wish to wait
    /// counts for the account, where all its requests have one limit.
    fn note_failed_look(&mut self, provider: &ProviderName, failure: Option<&Failure>, turn: &mut Turn) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        if let Some(failure) = failure.filter(|failure| failure.class == FailureClass::Throttled) {
            // Looks can wait as long as is wished, within reason.
            let wish = failure.retry_after.unwrap_or_default().min(WISH_MAX);
            account.verifying.due_at = account.verifying.due_at.max(Some(turn.now.steady + wish));
            if account.config.kind.capabilities.one_limit {
                self.account_failed(provider, failure, turn);
            }
        }
        let Some(account) = self.accounts.get_mut(provider) else { return };
        let told = std::mem::replace(&mut account.verifying.told_failing, failure.is_some());
        if let Some(failure) = failure.filter(|_| !told) {
            turn.events.push(Event::VerificationFailed {
                provider: provider.clone(),
                class: failure.class,
                detail: failure.detail.clone(),
            });
        }
    }

    /// How old a media is that a look was for; `None` where something else is published by now, or is about to be.
    fn life_of(&self, slot: Slot, media: &Expected, ordered: Now, now: Now) -> Option<Life> {
        let entry = self.entries.at(slot).filter(|entry| !entry.in_flight && !entry.is_retired())?;
        let handle = entry.record.as_ref()?.live()?;
        let same = handle.id == media.id && handle.uploaded_at == media.uploaded_at;
        if !same || handle.steady_expires_at <= now.steady {
            return None;
        }
        let age = age(entry, handle, ordered);
        let named_by_us =
            self.accounts.get(&media.key.provider)?.config.kind.capabilities.naming == Naming::Client;
        let since_first = match entry.first_uploaded_at {
            Some(first) => Some(ordered.steady.saturating_since(first)),
            None => (!named_by_us).then_some(age),
        };
        Some(Life { age, since_first })
    }

    fn vanish(&mut self, key: &EntryKey, life: Life, turn: &mut Turn) {
        let Some(mut entry) = self.detach(key) else { return };
        (entry.first_uploaded_at, entry.missed) = (None, false);
        self.edit(key, &mut entry, Visible::AtOnce, turn.now, |record| {
            if let Some(handle) = &mut record.current {
                handle.url = None;
            }
        });
        self.attach(key, entry);
        self.dirty.insert(key.clone());
        turn.events.push(Event::Vanished { key: key.clone(), age: life.age });
    }

    /// Something else than we sent is there. Told once, until it is ours again; the next renewal comes as planned.
    fn tell_foreign(&mut self, slot: Slot, media: &Expected, found: Option<u64>, turn: &mut Turn) {
        let Some(entry) = self.entries.at_mut(slot) else { return };
        // An upload of ours that was never confirmed may have arrived.
        if found.is_some() && entry.attempts() > 0 {
            return;
        }
        let told = std::mem::replace(&mut entry.told.foreign, found.is_some());
        if let Some(found) = found.filter(|_| !told) {
            turn.events.push(Event::ForeignContent { key: media.key.clone(), sent: media.size, found });
        }
    }

    fn learn(
        &mut self,
        inspection: &Inspection,
        whole: bool,
        gone: &[Life],
        present: &[Life],
        turn: &mut Turn,
    ) {
        let provider = &inspection.provider;
        let Some(account) = self.accounts.get_mut(provider) else { return };
        let began = inspection.ordered.steady;
        let every = account.config.verify;
        let since_last = account.verifying.last.map_or(every, |last| began.saturating_since(last));
        if whole {
            account.verifying.last = Some(began);
        }
        let now = Assumptions { at: began, life: account.terms.life, since_last };
        let lessons = account.verifying.experience.learn(gone, present, now);
        if let Some(retention) = lessons.retention {
            self.shorten_retention(provider, retention, turn);
        }
        if lessons.overwriting_keeps_clock {
            self.renew_under_new_ids(provider, turn);
        }
    }

    /// Media die sooner than they should: from now on, and until a restart, that is counted on.
    fn shorten_retention(&mut self, provider: &ProviderName, retention: Duration, turn: &mut Turn) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        let assumed = account.retention();
        if !account.learn_retention(retention) {
            return;
        }
        let (retention, at_least) = (account.retention(), account.terms.urgent_window());
        self.learn_patience();
        // What was just seen alive is not taken back from readers, but renewed at once.
        self.shorten_leases(turn.now, at_least);
        self.all_dirty = true;
        turn.events.push(Event::RetentionLearnt { provider: provider.clone(), assumed, retention });
    }

    /// Overwriting does not prolong a life: from now on each renewal has an ID of its own, where that is ours to choose.
    fn renew_under_new_ids(&mut self, provider: &ProviderName, turn: &mut Turn) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        let capabilities = &account.config.kind.capabilities;
        let overwrites =
            capabilities.naming == Naming::Client && capabilities.replacing == Replacing::Overwrites;
        if !overwrites || std::mem::replace(&mut account.verifying.renews_under_new_ids, true) {
            return;
        }
        let recorded = self.entries.iter().filter(|(key, entry)| {
            key.provider == *provider && entry.record.as_ref().is_some_and(|record| record.current.is_some())
        });
        let keys: Vec<EntryKey> = recorded.map(|(key, _)| key.clone()).collect();
        let mut fixed = Vec::new();
        for key in keys {
            let Some(mut entry) = self.detach(&key) else { continue };
            if self.may_vary_id(&entry) {
                self.count_from_first_upload(&key, &mut entry, turn.now);
            } else {
                fixed.push(key.clone());
            }
            self.attach(&key, entry);
        }
        self.all_dirty = true;
        turn.events.push(Event::OverwritingKeepsClock {
            provider: provider.clone(),
            fixed: fixed.len(),
            example: fixed.into_iter().next(),
        });
    }

    /// What was overwritten ends sooner than was thought. Where its first upload is not known it is due at once.
    fn count_from_first_upload(&mut self, key: &EntryKey, entry: &mut Entry, now: Now) {
        let Some(account) = self.accounts.get(&key.provider) else { return };
        let Some(handle) = entry.record.as_ref().and_then(|record| record.live()) else { return };
        let terms = account.terms;
        let end = match entry.first_uploaded_at {
            Some(first) => (first + terms.life).max(now.steady + terms.urgent_window()),
            None => now.steady + terms.margin,
        };
        let excess = handle.steady_expires_at.saturating_since(end);
        if excess.is_zero() {
            return;
        }
        self.edit(key, entry, Visible::AtOnce, now, |record| {
            if let Some(handle) = &mut record.current {
                handle.steady_expires_at = end;
                handle.expires_at = (handle.expires_at - excess).floor_to_second();
            }
        });
    }

    /// What is sent in place of this: the same under an ID that was never used, where an ID can be used only once.
    pub(super) fn under_unused_id(
        &self,
        key: &EntryKey,
        entry: &Entry,
        wanted: Wanted,
        wall: Timestamp,
    ) -> Wanted {
        let unused = wanted.id.as_ref().and_then(|id| self.unused_id(key, entry, id, wall));
        Wanted { id: unused.or(wanted.id), ..wanted }
    }

    fn unused_id(&self, key: &EntryKey, entry: &Entry, id: &MediaId, wall: Timestamp) -> Option<MediaId> {
        let account = self.accounts.get(&key.provider)?;
        if !account.verifying.renews_under_new_ids || !self.may_vary_id(entry) {
            return None;
        }
        let records = [entry.record.as_deref(), self.record_of_holder(entry)];
        let record = records.into_iter().flatten().find(|record| has_used(record, id))?;
        let original = renewal_id::original(id).unwrap_or_else(|| id.clone());
        let url = record.current.as_ref().and_then(|handle| handle.url.as_ref()).map_or(0, |url| url.len());
        let renewed = renewal_id::renewed(&original, wall)?;
        let longer = renewed.as_str().len() - original.as_str().len();
        (url + longer <= account.config.kind.capabilities.max_url_bytes).then_some(renewed)
    }

    /// Whether the entry that an ID is shared with has been published under it, so that the ID's clock runs already.
    pub(super) fn is_used_by_holder(&self, entry: &Entry, id: &MediaId) -> bool {
        self.record_of_holder(entry).is_some_and(|record| has_used(record, id))
    }

    /// Nothing where that is the entry itself, which is detached.
    fn record_of_holder(&self, entry: &Entry) -> Option<&Record> {
        let holder = self.claims.get(&entry.claim?)?;
        self.entries.get(holder)?.record.as_deref()
    }

    /// Whether the manifest lets the ID change: an ID without a hash in it is a promise that the URL never does.
    fn may_vary_id(&self, entry: &Entry) -> bool {
        match entry.rule.and_then(|rule| self.manifest.rules.get(rule as usize)) {
            Some(rule) => {
                rule.id.as_ref().is_none_or(crate::domain::manifest::IdTemplate::depends_on_content)
            }
            None => {
                let handle = entry.record.as_ref().and_then(|record| record.current.as_ref());
                handle.is_some_and(|handle| renewal_id::original(&handle.id).is_some())
            }
        }
    }
}

/// Whether a record has a handle under an ID or under that of a renewal of the same.
fn has_used(record: &Record, id: &MediaId) -> bool {
    let older = record.previous.iter().map(|older| &older.id);
    let known = record.current.iter().map(|handle| &handle.id).chain(older);
    known.into_iter().any(|known| is_same_id(Some(known), Some(id)))
}

/// How long ago a handle was uploaded; by the clock that nobody can set, where that saw it.
fn age(entry: &Entry, handle: &Handle, now: Now) -> Duration {
    match entry.uploaded_at {
        Some(sent) => now.steady.saturating_since(sent),
        None => now.wall.saturating_since(handle.uploaded_at),
    }
}

/// When the first upload under a handle's ID was, if it was sent at this moment; `None` where that is not known.
pub(super) fn first_upload(entry: &Entry, handle: &Handle, sent: Timestamp) -> Option<Timestamp> {
    let Some(record) = &entry.record else { return Some(sent) };
    if record.live().is_some_and(|old| old.id == handle.id && old.scope == handle.scope) {
        return entry.first_uploaded_at;
    }
    let before = record.previous.iter().any(|old| old.id == handle.id && old.scope == handle.scope);
    (!before).then_some(sent)
}

/// Where in its interval an account is looked at, between 0 and 1.
fn phase(seed: u64, provider: &ProviderName) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(provider.as_str().as_bytes());
    let share = u32::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"));
    f64::from(share) / f64::from(u32::MAX)
}

/// The longest that looks wait because a provider wishes it.
const WISH_MAX: Duration = Duration::from_secs(86_400);
/// So long a list may take to show what was uploaded; less where media do not live long.
const GRACE_MAX: Duration = Duration::from_secs(600);
