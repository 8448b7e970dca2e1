//! What is known about one account: whether it can be used, and what waits to be sent there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::entry::Lane;
use super::uploading::{Outcome, UploadError};
use super::verifying::Verifying;
use super::{Effect, Event, Mode, Reconciler, Turn};
use crate::domain::asset::{EntryKey, ProviderName, Scope};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::lease::LeaseTerms;
use crate::domain::manifest::ProviderConfig;
use crate::domain::obstacles::{AccountProblem, CREDENTIALS_MISSING};
use crate::domain::plan::AccountFacts;
use crate::domain::retry::{Allowance, Breaker, BreakerChange, backoff, honoured_wait, usual_longest_wait};
use crate::domain::time::Timestamp;

#[derive(Debug)]
pub(super) struct Account {
    pub config: ProviderConfig,
    pub terms: LeaseTerms,
    /// Whose account it is; `None` until its credentials are found.
    pub scope: Option<Scope>,
    /// Which credential reference leads nowhere.
    pub unusable: Option<String>,
    /// When such a reference is looked up again, on the steady clock.
    pub look_up_at: Option<Timestamp>,
    pub breaker: Breaker,
    /// Whether a refused credential was read again for the next probe.
    reading: Reading,
    /// Until when the provider asked us to wait, on the steady clock.
    pub paused_until: Option<Timestamp>,
    throttled_in_a_row: u32,
    pub in_flight: usize,
    lanes: [BTreeSet<(Timestamp, EntryKey)>; 4],
    /// Renewals and new content take turns.
    fresh_is_next: bool,
    pub told_overcommitted: bool,
    pub verifying: Verifying,
    /// Whether people were told that its clock and ours differ.
    told_clock: bool,
}

/// How far reading a refused credential again has come: each probe goes out with what is there by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    NotAsked,
    /// Only to see whether there are others by now: no probe is due.
    Peeking,
    UnderWay,
    Done,
}

impl Account {
    pub(super) fn new(config: ProviderConfig) -> Self {
        Self {
            terms: terms_of(&config, None),
            config,
            scope: None,
            unusable: None,
            look_up_at: None,
            breaker: Breaker::default(),
            reading: Reading::NotAsked,
            paused_until: None,
            throttled_in_a_row: 0,
            in_flight: 0,
            lanes: Default::default(),
            fresh_is_next: false,
            told_overcommitted: false,
            told_clock: false,
            verifying: Verifying::default(),
        }
    }

    /// Follows its table. Whether what was wrong with it is over by that.
    fn reconfigure(&mut self, config: &ProviderConfig) -> bool {
        self.terms = terms_of(config, self.verifying.learnt_retention);
        if config.verify != self.config.verify {
            self.verifying.forget_plan();
        }
        if !std::ptr::eq(config.kind, self.config.kind) {
            // Another kind of provider under the same name is another provider, which nothing is known of.
            let was_wrong = self.problem().is_some();
            *self = Self {
                lanes: std::mem::take(&mut self.lanes),
                in_flight: self.in_flight,
                ..Self::new(config.clone())
            };
            return was_wrong;
        }
        self.config = config.clone();
        self.told_overcommitted = false;
        false
    }

    /// Why it takes nothing, or not what was last found for it.
    pub(super) fn problem(&self) -> Option<AccountProblem> {
        let (kind, detail) = match (&self.unusable, self.breaker.open_for()) {
            (Some(detail), _) => (CREDENTIALS_MISSING, &**detail),
            (None, Some(class)) => (class.as_str(), stopped_by(class)),
            (None, None) => return None,
        };
        Some(AccountProblem { kind: kind.into(), detail: detail.into(), connected: self.scope.is_some() })
    }

    /// How long media are thought to live there.
    pub(super) fn retention(&self) -> Duration {
        retention_of(&self.config, self.verifying.learnt_retention)
    }

    /// Counts on media to live only so long, within reason. Whether that is news.
    pub(super) fn learn_retention(&mut self, retention: Duration) -> bool {
        let configured = retention_of(&self.config, None);
        let least = (configured / 8).max(RETENTION_MIN.min(configured));
        let (retention, present) = (retention.max(least), self.retention());
        if retention >= present {
            return false;
        }
        self.verifying.learnt_retention = Some(retention);
        self.terms = terms_of(&self.config, Some(retention));
        self.told_overcommitted = false;
        true
    }

    pub(super) fn facts(&self) -> AccountFacts<'_> {
        AccountFacts { kind: self.config.kind, terms: &self.terms, scope: self.scope.as_ref() }
    }

    pub(super) fn enqueue(&mut self, lane: Lane, at: Timestamp, key: EntryKey) {
        self.lanes[lane as usize].insert((at, key));
    }

    pub(super) fn dequeue(&mut self, lane: Lane, at: Timestamp, key: &EntryKey) {
        self.lanes[lane as usize].remove(&(at, key.clone()));
    }

    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(BTreeSet::len).sum()
    }

    pub(super) fn has_work(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.is_empty())
    }

    /// How many more uploads may start now.
    pub(super) fn free_slots(&self, steady: Timestamp) -> usize {
        let reading = self.reading == Reading::UnderWay;
        if self.scope.is_none() || reading || self.paused_until.is_some_and(|until| until > steady) {
            return 0;
        }
        let most = match self.breaker.allowance(steady) {
            Allowance::All => self.config.concurrency,
            Allowance::Probe => 1,
            Allowance::Nothing => 0,
        };
        most.saturating_sub(self.in_flight)
    }

    /// What goes out next.
    pub(super) fn next(&mut self) -> Option<EntryKey> {
        let mut order = [Lane::Urgent, Lane::Lapsed, Lane::Renewal, Lane::Fresh];
        if self.fresh_is_next {
            order.swap(2, 3);
        }
        let (lane, (_, key)) =
            order.into_iter().find_map(|lane| Some((lane, self.lanes[lane as usize].pop_first()?)))?;
        match lane {
            Lane::Renewal => self.fresh_is_next = true,
            Lane::Fresh => self.fresh_is_next = false,
            Lane::Urgent | Lane::Lapsed => {}
        }
        Some(key)
    }

    /// While refused credentials are to be left alone for long, it is seen in between whether there are others.
    fn peek_later(&mut self, steady: Timestamp) {
        let at = steady + usual_longest_wait(&self.terms);
        let refused = self.breaker.open_for() == Some(FailureClass::CredentialsRefused);
        if refused && self.breaker.open_until().is_some_and(|until| until > at) {
            self.look_up_at = Some(self.look_up_at.map_or(at, |present| present.min(at)));
        }
    }

    /// When work that waits here may go on, where that is a matter of time.
    pub(super) fn next_chance(&self) -> Option<Timestamp> {
        let not_a_matter_of_time =
            self.scope.is_none() || self.in_flight > 0 || self.reading == Reading::UnderWay;
        if !self.has_work() || not_a_matter_of_time {
            return None;
        }
        self.paused_until.into_iter().chain(self.breaker.open_until()).max()
    }

    /// Whether it is not known yet if it can be used: its credentials are still being looked up.
    pub(super) fn is_awaited(&self) -> bool {
        self.scope.is_none() && self.unusable.is_none()
    }

    /// Whether a single pass has waited long enough for this account.
    pub(super) fn is_hopeless(&self, patience: Duration, started: Timestamp) -> bool {
        let refused = self.breaker.open_for().is_some_and(FailureClass::opens_breaker_at_once);
        let too_long = self.next_chance().is_some_and(|at| at > started + patience.saturating_mul(3));
        self.unusable.is_some() && self.scope.is_none()
            || refused
            || self.breaker.failed_probes() > 0
            || too_long
    }
}

const fn stopped_by(class: FailureClass) -> &'static str {
    match class {
        FailureClass::CredentialsRefused => {
            "the provider refuses the credentials; mend what the provider's table refers to"
        }
        FailureClass::AddressUnknown => {
            "the provider does not know the account or the address; mend account and base_url in its table"
        }
        _ => "its last requests failed, so it gets only a probe now and then",
    }
}

fn terms_of(config: &ProviderConfig, learnt: Option<Duration>) -> LeaseTerms {
    LeaseTerms::new(retention_of(config, learnt), config.margin)
}

fn retention_of(config: &ProviderConfig, learnt: Option<Duration>) -> Duration {
    let configured = config.retention.unwrap_or(config.kind.capabilities.retention);
    learnt.map_or(configured, |learnt| learnt.min(configured))
}

impl Reconciler {
    /// Makes the accounts follow the manifest. One whose table vanished stays while entries still need it. Returns those
    /// that are gone while something is wrong with them: no answer will ever say that it is over.
    pub(super) fn apply_accounts(&mut self) -> Vec<Event> {
        let mut gone = Vec::new();
        for (name, config) in &self.manifest.providers {
            match self.accounts.get_mut(name) {
                Some(account) => gone.extend(account.reconfigure(config).then(|| name.clone())),
                None => drop(self.accounts.insert(name.clone(), Account::new(config.clone()))),
            }
        }
        let mut events: Vec<Event> =
            gone.into_iter().map(|provider| Event::AccountGone { provider }).collect();
        events.append(&mut self.drop_unneeded_accounts());
        events
    }

    /// Drops the accounts that have neither a table nor an entry; returns the same as [`Self::apply_accounts`].
    pub(super) fn drop_unneeded_accounts(&mut self) -> Vec<Event> {
        let mut gone = Vec::new();
        let is_needed = |name: &ProviderName| self.entries.keys().any(|key| key.provider == *name);
        self.accounts.retain(|name, account| {
            let is_used = self.manifest.providers.contains_key(name) || is_needed(name);
            gone.extend((!is_used && account.problem().is_some()).then(|| name.clone()));
            is_used
        });
        self.orphaned = false;
        self.learn_patience();
        gone.into_iter().map(|provider| Event::AccountGone { provider }).collect()
    }

    pub(super) fn connect(
        &mut self,
        provider: &ProviderName,
        result: Result<Scope, String>,
        is_new: bool,
        turn: &mut Turn,
    ) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        let asked = account.reading;
        account.reading = match asked {
            Reading::UnderWay | Reading::Done => Reading::Done,
            Reading::Peeking | Reading::NotAsked => Reading::NotAsked,
        };
        match result {
            Ok(scope) => {
                if account.unusable.take().is_some() {
                    turn.events.push(Event::AccountUsable { provider: provider.clone() });
                }
                account.look_up_at = None;
                match asked {
                    Reading::UnderWay if !is_new => account.breaker.probe_by(turn.now.steady),
                    Reading::Peeking if !is_new => account.peek_later(turn.now.steady),
                    // They are others, or somebody had them read again because of something that was mended. The next
                    // probe goes out with these.
                    _ => {
                        account.breaker.start_over(turn.now.steady, &account.terms);
                        account.reading = Reading::Done;
                    }
                }
                if account.scope.as_ref() != Some(&scope) {
                    account.scope = Some(scope);
                    if !self.all_dirty {
                        let of_account = self.entries.keys().filter(|key| key.provider == *provider);
                        self.dirty.extend(of_account.cloned());
                    }
                }
            }
            Err(detail) => {
                // What was found before stays in use: a secret that is being replaced is gone for a moment.
                let connected = account.scope.is_some();
                account.look_up_at = Some(turn.now.steady + LOOK_UP_EVERY.min(account.terms.margin / 20));
                if account.unusable.as_ref() != Some(&detail) {
                    account.unusable = Some(detail.clone());
                    turn.events.push(Event::AccountUnusable {
                        provider: provider.clone(),
                        detail,
                        connected,
                    });
                }
            }
        }
    }

    /// A credential that was not there may be by now: a mount that was late, a file that was replaced.
    pub(super) fn look_up_credentials(&mut self, turn: &mut Turn) {
        if self.mode != Mode::Daemon || self.stopping {
            return;
        }
        for (provider, account) in &mut self.accounts {
            if account.look_up_at.take_if(|at| *at <= turn.now.steady).is_some() {
                if account.breaker.open_for().is_some() && account.reading == Reading::NotAsked {
                    account.reading = Reading::Peeking;
                }
                turn.effects.push(Effect::Reconnect(provider.clone()));
            }
        }
    }

    /// Tells people when the wall clock and a provider's differ so much that one of them must be wrong. Deadlines do
    /// not follow: they are ours, and one wrong answer must not move them.
    pub(super) fn compare_clocks(&mut self, outcome: &Outcome, turn: &mut Turn) {
        let date = match &outcome.result {
            Ok(confirmation) => confirmation.server_date,
            Err(UploadError::Provider(failure)) => failure.server_date,
            Err(UploadError::NoSource(_) | UploadError::Cancelled) => None,
        };
        let provider = &outcome.order.key.provider;
        let (Some(date), Some(account)) = (date, self.accounts.get_mut(provider)) else { return };
        // It was written at some moment between these two.
        let (sent, taken) = (outcome.sent.wall, turn.now.wall);
        let ahead = sent.min(taken).saturating_since(date);
        let behind = date.saturating_since(sent.max(taken));
        let is_off = ahead.max(behind) >= CLOCK_DIFFERENCE;
        if is_off && !account.told_clock {
            turn.events.push(Event::ClockDiffers {
                provider: provider.clone(),
                difference: ahead.max(behind),
                is_ahead: ahead > behind,
            });
        }
        account.told_clock = is_off;
    }

    pub(super) fn account_succeeded(&mut self, provider: &ProviderName, turn: &mut Turn) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        account.throttled_in_a_row = 0;
        if account.breaker.on_success() == BreakerChange::Closed {
            turn.events.push(Event::AccountRecovered { provider: provider.clone() });
        }
    }

    pub(super) fn account_failed(&mut self, provider: &ProviderName, failure: &Failure, turn: &mut Turn) {
        let steady = turn.now.steady;
        let wish = failure.retry_after;
        // Walks all entries, which is why it happens for a wish only, at most once per pause, and for a probe that fails.
        let matters = wish.is_some() || failure.class.opens_breaker_at_once();
        let shortest_left = matters.then(|| self.shortest_time_left(provider, steady)).flatten();
        let Some(account) = self.accounts.get_mut(provider) else { return };
        let throttled = failure.class == FailureClass::Throttled;
        account.throttled_in_a_row = if throttled { account.throttled_in_a_row + 1 } else { 0 };
        // A wish is a floor: a provider that asks for a second again and again is not asked each second.
        let patience =
            throttled.then(|| backoff(account.throttled_in_a_row, Duration::ZERO, &account.terms, 1.0));
        let wait = match wish {
            Some(wish) => {
                let wish = wish.max(patience.unwrap_or_default());
                Some(honoured_wait(wish, shortest_left, &account.terms))
            }
            None => patience,
        };
        // What is left of a look can wait.
        let mut alone = false;
        if let Some(wait) = wait {
            let until = steady + wait;
            if account.paused_until.is_none_or(|present| present < until) {
                account.paused_until = Some(until);
                alone = true;
                turn.events.push(Event::AccountPaused { provider: provider.clone(), wait });
            }
        }
        account.reading = Reading::NotAsked;
        match account.breaker.on_failure(failure.class, steady, &account.terms, shortest_left) {
            BreakerChange::Opened => {
                alone = true;
                if matches!(self.mode, Mode::Once { .. }) {
                    account.breaker.probe_by(steady + PASS_PROBES_AFTER);
                }
                turn.events.push(Event::AccountStopped {
                    provider: provider.clone(),
                    class: failure.class,
                    detail: failure.detail.clone(),
                });
            }
            BreakerChange::Closed => turn.events.push(Event::AccountRecovered { provider: provider.clone() }),
            BreakerChange::Unchanged => {}
        }
        account.peek_later(steady);
        if alone && account.verifying.is_under_way() {
            turn.effects.push(Effect::EndLook(provider.clone()));
        }
    }

    fn shortest_time_left(&self, provider: &ProviderName, steady: Timestamp) -> Option<Duration> {
        let renewed = |entry: &super::Entry| !entry.is_retired();
        let records = self.entries.iter().filter(|(key, entry)| key.provider == *provider && renewed(entry));
        let handles = records.filter_map(|(_, entry)| entry.record.as_ref()?.live());
        handles.map(|handle| handle.steady_expires_at.saturating_since(steady)).min()
    }

    /// A refused credential may have been replaced: it is read again before each probe, which waits for that.
    pub(super) fn read_again_before_probe(&mut self, provider: &ProviderName, turn: &mut Turn) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        if account.breaker.open_for() != Some(FailureClass::CredentialsRefused) {
            account.reading = Reading::NotAsked;
        } else if matches!(account.reading, Reading::NotAsked | Reading::Peeking)
            && account.has_work()
            && account.free_slots(turn.now.steady) > 0
        {
            // What was asked for to see whether there are others serves as well.
            let peeking = std::mem::replace(&mut account.reading, Reading::UnderWay) == Reading::Peeking;
            if peeking {
                return;
            }
            turn.effects.push(Effect::Reconnect(provider.clone()));
        }
    }

    /// Whether a single pass should not wait for this account any longer.
    pub(super) fn gave_up_on(&self, account: &Account) -> bool {
        match self.mode {
            Mode::Once { patience, .. } => account.is_hopeless(patience, self.started),
            Mode::Daemon | Mode::Plan => false,
        }
    }
}

/// Clocks that are kept in step by the network differ by less than a second, those that nobody keeps by minutes.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);
/// How often a credential that was not found is looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(60);
/// How soon a single pass probes a provider that failed again and again. Somebody waits for its end, and what is
/// not mended by then is for the next pass: a probe that fails is its last request there.
const PASS_PROBES_AFTER: Duration = Duration::from_secs(10);
/// Whatever media did, so long a life is counted on: below it, there is no time to renew.
const RETENTION_MIN: Duration = Duration::from_secs(10);
