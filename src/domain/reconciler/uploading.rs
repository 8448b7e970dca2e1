//! Uploads: what goes out next, and what becomes of it.

use std::time::Duration;

use super::account::Account;
use super::entry::{Entry, Gates};
use super::files::Scan;
use super::ids::Rival;
use super::recording::Visible;
use super::verifying::first_upload;
use super::{Effect, Event, Mode, Reconciler, Turn};
use crate::domain::asset::{EntryKey, MediaId, Scope};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::observation::{Hint, Observation};
use crate::domain::plan::{Reason, Wanted, is_same_id};
use crate::domain::retry::{Gate, backoff, refused_content_rest};
use crate::domain::state::{Handle, Previous, Record, Trouble};
use crate::domain::time::{Now, Timestamp};

/// An upload to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// The entry.
    pub key: EntryKey,
    /// Why.
    pub reason: Reason,
    /// What is to be stored, and how.
    pub wanted: Wanted,
    /// Where its bytes may be, best first. Bytes with another hash are never sent.
    pub sources: Vec<Source>,
    /// How long the request may take.
    pub time_limit: Duration,
}

/// Where bytes may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file in the folder.
    File,
    /// The copy that was kept when they were published.
    KeptCopy,
}

/// How an upload ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was to be done.
    pub order: Order,
    /// When the request was sent (or given up), by both clocks.
    pub sent: Now,
    /// Where the bytes came from, if they were found.
    pub source: Option<Source>,
    /// Whether the provider confirmed it.
    pub result: Result<Confirmation, UploadError>,
}

/// What a provider confirmed.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// The ID that it is stored under.
    pub id: MediaId,
    /// Where it is.
    pub url: String,
    /// The account that it was stored in.
    pub scope: Scope,
    /// When it ends, where the provider says so.
    pub expires_at: Option<Timestamp>,
    /// The provider's own idea of the time.
    pub server_date: Option<Timestamp>,
}

/// Why an upload was not confirmed.
#[derive(Clone, Debug)]
pub enum UploadError {
    /// The provider did not confirm it.
    Provider(Failure),
    /// No source has these bytes; says what each of them had.
    NoSource(String),
    /// It was given up because we are stopping.
    Cancelled,
}

impl Reconciler {
    /// Starts as many uploads as each account allows, most pressing first.
    pub(super) fn start_uploads(&mut self, turn: &mut Turn) {
        let names: Vec<_> = self.accounts.keys().cloned().collect();
        for name in names {
            if !self.stopping {
                self.read_again_before_probe(&name, turn);
            }
            while let Some(account) = self.accounts.get_mut(&name) {
                if self.stopping || account.free_slots(turn.now.steady) == 0 {
                    break;
                }
                let Some(key) = account.next() else { break };
                self.start(&key, turn);
            }
        }
    }

    fn start(&mut self, key: &EntryKey, turn: &mut Turn) {
        let Some(mut entry) = self.detach(key) else { return };
        entry.place = None;
        let seen = self.files.observation(&key.path).cloned();
        let wanted = self.want(key, &mut entry, seen.as_ref());
        let verdict = self.judge(key, &entry, wanted, turn.now);
        let chosen = verdict.as_ref().and_then(|verdict| self.choose(key, &entry, verdict, turn.now.steady));
        let Some((reason, wanted)) = chosen.map(|(reason, wanted)| (reason, wanted.clone())) else {
            self.attach(key, entry);
            return self.review(key, seen.as_ref(), turn);
        };
        if self.share_handle(key, &mut entry, reason, &wanted, turn) {
            return self.attach(key, entry);
        }
        if reason.is_renewal()
            && let Some(standing) = self.rival(key, &entry, &wanted)
        {
            if standing == Rival::Entitled {
                self.withdraw(key, &mut entry, turn);
            }
            self.wake(key, &mut entry, turn.now.steady + TAKEN_RETRY);
            return self.attach(key, entry);
        }
        let sources = self.sources(key, reason, &wanted);
        let wanted = self.under_unused_id(key, &entry, wanted, turn.now.wall);
        if let Some(account) = self.accounts.get_mut(&key.provider) {
            account.in_flight += 1;
            entry.in_flight = true;
            let time_limit = account.terms.time_limit(wanted.size);
            let order = Order { key: key.clone(), reason, wanted, sources, time_limit };
            turn.effects.push(Effect::Upload(Box::new(order)));
        }
        self.attach(key, entry);
    }

    /// A kept copy is local and cannot change; for new content there is none yet.
    fn sources(&self, key: &EntryKey, reason: Reason, wanted: &Wanted) -> Vec<Source> {
        let in_folder = self.is_in_folder(key, wanted);
        match (reason.is_renewal() && self.manifest.sync.keep_copies, in_folder) {
            (true, _) | (false, false) => vec![Source::KeptCopy, Source::File],
            // Before the first look it is only presumed to be there, and a kept copy would publish a wrong guess.
            (false, true) if !self.files.walked => vec![Source::File],
            (false, true) => vec![Source::File, Source::KeptCopy],
        }
    }

    /// Two entries with one ID and the same bytes share a handle: what one has uploaded serves the other.
    /// True where nothing is to be sent now.
    fn share_handle(
        &mut self,
        key: &EntryKey,
        entry: &mut Entry,
        reason: Reason,
        wanted: &Wanted,
        turn: &mut Turn,
    ) -> bool {
        let Some(claim) = entry.claim else { return false };
        let holder = self.claims.get(&claim).filter(|holder| *holder != key);
        let Some(holding) = holder.and_then(|holder| self.entries.get(holder)) else { return false };
        if holding.in_flight {
            self.waiting.join(claim, key);
            self.wake(key, entry, turn.now.steady + TAKEN_RETRY);
            return true;
        }
        let Some(handle) = holding.record.as_ref().and_then(|record| record.live()).cloned() else {
            return false;
        };
        let uploads = (holding.uploaded_at, holding.first_uploaded_at);
        let own = entry.record.as_ref().and_then(|record| record.live());
        let fresher = own.is_none_or(|own| own.hash != handle.hash || own.expires_at < handle.expires_at);
        let same = handle.hash == wanted.hash
            && is_same_id(Some(&handle.id), wanted.id.as_ref())
            && handle.content_type == wanted.content_type
            && handle.cache_control == wanted.cache_control;
        let Some(account) = self.accounts.get(&key.provider) else { return false };
        let not_due = account.terms.schedule(key, &handle, turn.now).renew_at > turn.now.steady;
        if !(fresher && same && not_due && account.scope.as_ref() == Some(&handle.scope)) {
            return false;
        }
        (entry.uploaded_at, entry.first_uploaded_at) = uploads;
        self.adopt(key, entry, reason, handle, false, turn);
        self.wake(key, entry, turn.now.steady);
        true
    }

    pub(super) fn take_outcome(&mut self, outcome: &Outcome, turn: &mut Turn) {
        let key = &outcome.order.key;
        if let Some(account) = self.accounts.get_mut(&key.provider) {
            account.in_flight = account.in_flight.saturating_sub(1);
        }
        self.compare_clocks(outcome, turn);
        let Some(mut entry) = self.detach(key) else { return };
        let places_before = self.places_of(key, entry.record.as_deref());
        entry.in_flight = false;
        match &outcome.result {
            Ok(confirmation) => self.confirmed(&mut entry, outcome, confirmation, turn),
            Err(UploadError::Provider(failure)) => self.refused(&mut entry, &outcome.order, failure, turn),
            Err(UploadError::NoSource(detail)) => {
                self.without_source(&mut entry, &outcome.order, detail, turn);
            }
            Err(UploadError::Cancelled) => {}
        }
        self.wake_those_that_wait(&entry, &outcome.order, &places_before);
        self.attach(key, entry);
        self.dirty.insert(key.clone());
    }

    fn confirmed(
        &mut self,
        entry: &mut Entry,
        outcome: &Outcome,
        confirmation: &Confirmation,
        turn: &mut Turn,
    ) {
        let Order { key, reason, wanted, .. } = &outcome.order;
        self.account_succeeded(&key.provider, turn);
        let Some(account) = self.accounts.get(&key.provider) else { return };
        let by_terms = account.terms.end_of(outcome.sent.wall);
        let expires_at =
            confirmation.expires_at.map_or(by_terms, |told| told.min(by_terms)).floor_to_second();
        let life = expires_at.saturating_since(outcome.sent.wall);
        let handle = Handle {
            id: confirmation.id.clone(),
            url: Some(confirmation.url.as_str().into()),
            scope: confirmation.scope.clone(),
            hash: wanted.hash,
            size: wanted.size,
            content_type: wanted.content_type.clone(),
            cache_control: wanted.cache_control.clone(),
            uploaded_at: outcome.sent.wall.floor_to_second(),
            expires_at,
            steady_expires_at: outcome.sent.steady + life,
        };
        entry.gates = None;
        entry.in_doubt = false;
        entry.uploaded_at = Some(outcome.sent.steady);
        entry.first_uploaded_at = match self.is_used_by_holder(entry, &handle.id) {
            true => None,
            false => first_upload(entry, &handle, outcome.sent.steady),
        };
        let from_kept_copy = outcome.source == Some(Source::KeptCopy) && !self.is_in_folder(key, wanted);
        self.adopt(key, entry, *reason, handle, from_kept_copy, turn);
    }

    fn is_in_folder(&self, key: &EntryKey, wanted: &Wanted) -> bool {
        matches!(self.files.observation(&key.path), Some(Observation::Present { hash, .. }) if *hash == wanted.hash)
    }

    /// Publishes a handle for an entry, and keeps the one that it replaces as long as that lives.
    fn adopt(
        &mut self,
        key: &EntryKey,
        entry: &mut Entry,
        reason: Reason,
        handle: Handle,
        from_kept_copy: bool,
        turn: &mut Turn,
    ) {
        let Now { wall, steady } = turn.now;
        let old = entry.record.as_ref().and_then(|record| record.live()).cloned();
        let same_for_readers = old.as_ref().is_some_and(|old| {
            old.url == handle.url && old.hash == handle.hash && old.content_type == handle.content_type
        });
        self.withdraw_others(key, &handle, turn);
        let url = handle.url.clone().unwrap_or_default();
        turn.events.push(match reason {
            Reason::Due => {
                Event::Renewed { key: key.clone(), url, expires_at: handle.expires_at, from_kept_copy }
            }
            _ => Event::Uploaded {
                key: key.clone(),
                reason,
                url,
                bytes: handle.size,
                expires_at: handle.expires_at,
            },
        });
        let missed = std::mem::take(&mut entry.missed);
        let visible = if same_for_readers { Visible::Soon } else { Visible::AtOnce };
        self.edit(key, entry, visible, turn.now, |record| {
            record.trouble.take_if(|trouble| trouble.attempts > 0);
            // Of one that was not found there any more nothing is promised.
            if let Some(mut old) = old.filter(|old| old.url != handle.url && !missed) {
                // A clock that was set since then does not make it live longer.
                let left = old.steady_expires_at.saturating_since(steady);
                old.expires_at = old.expires_at.min((wall + left).floor_to_second());
                if old.expires_at > wall {
                    keep_previous(record, old);
                }
            }
            record.previous.retain(|previous| Some(&previous.url) != handle.url.as_ref());
            record.current = Some(handle);
        });
    }

    fn refused(&mut self, entry: &mut Entry, order: &Order, failure: &Failure, turn: &mut Turn) {
        let key = &order.key;
        self.account_failed(&key.provider, failure, turn);
        self.doubt(entry, order, failure.class);
        let wait = self.wait_after(entry, order, failure, turn.now.steady);
        let attempts = shut_gate(entry, order, wait, turn.now.steady);
        let detail = failure.detail.clone();
        self.set_trouble(entry, order, failure.class.as_str(), &detail, (attempts, wait), turn.now);
        turn.events.push(Event::Failed { key: key.clone(), class: failure.class, detail, attempts, wait });
    }

    fn wait_after(&self, entry: &Entry, order: &Order, failure: &Failure, steady: Timestamp) -> Duration {
        let Some(account) = self.accounts.get(&order.key.provider) else { return Duration::from_secs(1) };
        let live = entry.record.as_ref().and_then(|record| record.live());
        let left = live.map_or(Duration::ZERO, |handle| handle.steady_expires_at.saturating_since(steady));
        match (failure.class, order.reason.is_renewal()) {
            (FailureClass::ContentRefused, false) => refused_content_rest(&account.terms),
            (FailureClass::ContentRefused, true) => {
                refused_content_rest(&account.terms).min((left / 4).max(account.terms.urgent_window()))
            }
            // The pause of the whole account is enough.
            (FailureClass::Throttled, _) => Duration::ZERO,
            _ => {
                let attempts = entry.attempts() + 1;
                backoff(attempts, left, &account.terms, self.random(&order.key, attempts))
            }
        }
    }

    fn without_source(&mut self, entry: &mut Entry, order: &Order, detail: &str, turn: &mut Turn) {
        let key = &order.key;
        let steady = turn.now.steady;
        self.files.touched(vec![(key.path.clone(), Hint::Complete)], false, steady);
        let terms = self.accounts.get(&key.provider).map(|account| account.terms);
        let attempts = entry.attempts() + 1;
        let wait = terms.map_or(Duration::from_secs(1), |terms| {
            backoff(attempts, Duration::ZERO, &terms, self.random(key, attempts))
        });
        let attempts = shut_gate(entry, order, wait, steady);
        // New content that changed again since it was looked at is nothing to talk about, unless it goes on.
        if order.reason.is_renewal() || attempts > 1 {
            self.set_trouble(entry, order, "source-lost", detail, (attempts, wait), turn.now);
            turn.events.push(Event::SourceLost {
                key: key.clone(),
                detail: detail.to_owned(),
                attempts,
                wait,
            });
        }
    }

    fn set_trouble(
        &mut self,
        entry: &mut Entry,
        order: &Order,
        kind: &str,
        detail: &str,
        (attempts, wait): (u32, Duration),
        now: Now,
    ) {
        let wall = now.wall.floor_to_second();
        let (kind, detail) = (kind.into(), detail.into());
        self.edit(&order.key, entry, Visible::Eventually, now, |record| {
            let present = record.trouble.as_ref().filter(|trouble| trouble.attempts > 0);
            let since = present.map_or(wall, |present| present.since);
            record.trouble =
                Some(Box::new(Trouble { kind, detail, since, attempts, next_try: Some(wall + wait) }));
        });
    }

    /// Between 0 and 1, the same for the same entry, attempt and seed.
    fn random(&self, key: &EntryKey, attempt: u32) -> f64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&attempt.to_le_bytes());
        hasher.update(key.path.as_str().as_bytes()).update(b"\0").update(key.provider.as_str().as_bytes());
        let share =
            u32::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"));
        f64::from(share) / f64::from(u32::MAX)
    }

    /// Whether a single pass has nothing left to do but to save.
    pub(super) fn is_idle_pass(&self, steady: Timestamp) -> bool {
        let Mode::Once { .. } = self.mode else { return false };
        let looking = match self.files.scan {
            Scan::UnderWay => true,
            Scan::Hung => false,
            Scan::Idle => {
                let busy_files = self.files.has_looks() && self.may_wait_for_files(steady);
                !self.files.answered || busy_files || !self.dirty.is_empty()
            }
        };
        let sending = self.accounts.values().any(|account| account.in_flight > 0);
        let awaited = self.accounts.values().any(Account::is_awaited) && !self.stopping;
        if sending || awaited || (looking && !self.stopping) {
            return false;
        }
        self.stopping || !self.has_hope(steady)
    }

    /// Whether something is left to try, soon enough for a single pass.
    fn has_hope(&self, steady: Timestamp) -> bool {
        let Mode::Once { patience, .. } = self.mode else { return true };
        let last_chance = self.started + patience.saturating_mul(3);
        let hopeful = |account: &Account| account.has_work() && !self.gave_up_on(account);
        if self.accounts.values().any(hopeful) {
            return true;
        }
        self.entries.iter().any(|(key, entry)| {
            let Some(gates) = &entry.gates else { return false };
            let waits = |gate: Gate| {
                // One that has opened and led to nothing belongs to an upload that nothing wants any more.
                let waiting = gate.closed_until.is_some_and(|until| until > steady && until <= last_chance);
                waiting && !self.has_given_up(gate)
            };
            let hopeful = self.accounts.get(&key.provider).is_some_and(|account| !self.gave_up_on(account));
            entry.rule.is_some() && hopeful && (waits(gates.replacement) || waits(gates.renewal))
        })
    }

    /// Whether a single pass is over: nothing to do, everything saved or saving given up.
    #[must_use]
    pub fn is_finished(&self, now: Now) -> bool {
        let gave_up = matches!(self.mode, Mode::Once { tries, .. } if self.recording.failures() >= tries);
        self.is_idle_pass(now.steady) && (self.recording.is_done() || gave_up)
    }

    /// Whether nothing is under way any more after [`super::Input::Stop`].
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopping && self.accounts.values().all(|account| account.in_flight == 0)
    }
}

/// Notes a failed attempt; returns how many there have been in a row.
fn shut_gate(entry: &mut Entry, order: &Order, wait: Duration, steady: Timestamp) -> u32 {
    let replacement_gate = entry.replacement_gate(&order.wanted);
    let gates: &mut Gates = entry.gates.get_or_insert_default();
    if order.reason.is_renewal() {
        gates.renewal.shut(steady, wait);
        return gates.renewal.attempts;
    }
    gates.replacement = replacement_gate;
    gates.replacement_for = Some(order.wanted.clone());
    gates.replacement.shut(steady, wait);
    gates.replacement.attempts
}

fn keep_previous(record: &mut Record, old: Handle) {
    let Some(url) = old.url else { return };
    let Handle { id, scope, hash, expires_at, .. } = old;
    record.previous.insert(0, Previous { id, url, scope, hash, expires_at });
    while record.previous.len() > PREVIOUS_MAX {
        let ends = record.previous.iter().map(|previous| previous.expires_at);
        // Of those that end together the oldest goes.
        let soonest = ends.enumerate().min_by_key(|(index, end)| (*end, std::cmp::Reverse(*index)));
        let Some((index, _)) = soonest else { break };
        record.previous.remove(index);
    }
}

/// Handles of a file that is edited all day are told up to this many: beyond it, the one that ends soonest is told
/// no more, though it still lives. Nothing is lost by that but the knowledge of it.
const PREVIOUS_MAX: usize = 50;
/// How soon it is looked again whether an ID is free by now.
const TAKEN_RETRY: Duration = Duration::from_secs(30);
