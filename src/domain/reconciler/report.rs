//! What there is to say about everything at once: the plan, and how a pass ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::entry::{Entry, Standing};
use super::{Mode, Reconciler};
use crate::domain::asset::{EntryKey, ProviderName};
use crate::domain::failure::FailureClass;
use crate::domain::guard::Halt;
use crate::domain::lease::{LeaseTerms, Schedule};
use crate::domain::manifest::Files;
use crate::domain::observation::Observation;
use crate::domain::obstacles::{HeldBack, Obstacles};
use crate::domain::plan::{Action, Block, Plan, PlanItem, Verdict, Wanted};
use crate::domain::state::Record;
use crate::domain::time::{Now, Timestamp, format_duration};

/// How things stand, for an exit code and a last line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Entries that should be alive.
    pub entries: usize,
    /// Those of them whose wanted content has a live URL.
    pub alive: usize,
    /// Those of them that have no live URL, or whose new content could not be published.
    pub failing: usize,
    /// Entries of `alive` whose file is missing or unusable.
    pub kept_alive: usize,
    /// URLs that are published and kept alive, those of older content that is to be replaced among them.
    pub live: usize,
    /// When the first of these would end, if nothing renewed it.
    pub first_end: Option<Timestamp>,
    /// Why the guard holds back retirements, if it does.
    pub halted: Option<Halt>,
    /// Providers that refuse our credentials.
    pub refused: Vec<ProviderName>,
    /// Providers that failed again and again, so that a pass sends nothing more there.
    pub down: Vec<ProviderName>,
    /// Providers whose credentials were not found, and which.
    pub unusable: Vec<(ProviderName, String)>,
    /// Whether the state folder can't be written.
    pub unwritable: bool,
    /// Why the watched folder can't be looked at, if so.
    pub folder_unusable: Option<String>,
}

/// Whether a provider's entries can be renewed in time at the rate that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The provider.
    pub provider: ProviderName,
    /// Its entries.
    pub entries: usize,
    /// How long one round of renewals takes, with the looks at what is there that fall into it.
    pub round: Duration,
    /// How long it may take.
    pub margin: Duration,
}

impl Capacity {
    /// Whether it cannot.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.round > self.margin
    }
}

/// Everything that those who look on are shown. Cheap to make: records are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Every entry, in order.
    pub entries: Vec<Listed>,
    /// Every account that the manifest names or that entries need.
    pub accounts: BTreeMap<ProviderName, AccountOverview>,
    /// What stands in the way of many entries at once.
    pub obstacles: Obstacles,
    /// Whether the state folder can be written.
    pub state_writable: bool,
}

/// An entry in an overview.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Which one.
    pub key: EntryKey,
    /// What is recorded about it.
    pub record: Option<Arc<Record>>,
}

/// An account in an overview.
#[derive(Clone, Debug)]
pub struct AccountOverview {
    /// How its media live and are renewed.
    pub terms: LeaseTerms,
    /// Whether its credentials were found.
    pub connected: bool,
    /// Uploads that are under way there.
    pub in_flight: usize,
    /// Uploads that wait there.
    pub waiting: usize,
}

impl Overview {
    /// The moments of an entry's published handle.
    #[must_use]
    pub fn schedule(&self, entry: &Listed, now: Now) -> Option<Schedule> {
        let handle = entry.record.as_ref()?.live()?;
        Some(self.accounts.get(&entry.key.provider)?.terms.schedule(&entry.key, handle, now))
    }
}

impl Reconciler {
    /// How everything stands, for those who look on.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let listed =
            |(key, entry): (&EntryKey, &Entry)| Listed { key: key.clone(), record: entry.record.clone() };
        let account = |(name, account): (&ProviderName, &Account)| {
            let overview = AccountOverview {
                terms: account.terms,
                connected: account.scope.is_some(),
                in_flight: account.in_flight,
                waiting: account.waiting(),
            };
            (name.clone(), overview)
        };
        Overview {
            entries: self.entries.iter().map(listed).collect(),
            accounts: self.accounts.iter().map(account).collect(),
            obstacles: self.obstacles(),
            state_writable: !self.recording.is_broken(),
        }
    }

    /// How much each account has to carry.
    #[must_use]
    pub fn capacity(&self) -> Vec<Capacity> {
        let capacity = |(name, account): (&ProviderName, &Account)| {
            let entries = self.entries.keys().filter(|key| key.provider == *name).count();
            let (rate, margin) = (account.config.rate, account.terms.margin);
            let requests = entries.saturating_add(account.requests_of_looks(entries, margin));
            let requests = u32::try_from(requests).unwrap_or(u32::MAX);
            let round = rate.per.saturating_mul(requests) / rate.requests.max(1);
            Capacity { provider: name.clone(), entries, round, margin }
        };
        self.accounts.iter().map(capacity).collect()
    }

    /// The rules with a glob that no file matches at present, by their places in the manifest; none before everything
    /// was looked at. A file that another rule takes away from a glob matches it all the same.
    #[must_use]
    pub fn rules_without_files(&self) -> Vec<usize> {
        if !self.files.walked || self.files.unusable.is_some() {
            return Vec::new();
        }
        let rules = self.manifest.rules.iter().enumerate();
        let globs = rules.filter(|(_, rule)| matches!(rule.files, Files::Glob { .. }));
        let mut unmatched: BTreeSet<usize> = globs.map(|(position, _)| position).collect();
        for (path, file) in &self.files.known {
            if unmatched.is_empty() {
                break;
            }
            if !matches!(file.observation, None | Some(Observation::Missing)) {
                for rule in self.manifest.rules_matching(path) {
                    unmatched.remove(&rule);
                }
            }
        }
        unmatched.into_iter().collect()
    }

    /// The moments of an entry's published handle.
    #[must_use]
    pub fn schedule(&self, key: &EntryKey, now: Now) -> Option<Schedule> {
        let handle = self.entries.get(key)?.record.as_ref()?.live()?;
        Some(self.accounts.get(&key.provider)?.terms.schedule(key, handle, now))
    }

    /// How things stand.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let halt = match self.mode {
            Mode::Plan => self.retirement.halt_by_now(),
            _ => self.retirement.halt(),
        };
        let mut summary = Summary {
            halted: halt.cloned().or_else(|| self.retirement.folder_in_doubt()),
            unwritable: self.recording.is_broken(),
            folder_unusable: self.files.unusable.clone(),
            ..Summary::default()
        };
        for (name, account) in &self.accounts {
            match account.breaker.open_for() {
                Some(FailureClass::CredentialsRefused) => summary.refused.push(name.clone()),
                Some(_) => summary.down.push(name.clone()),
                None => {}
            }
            summary.unusable.extend(account.unusable.clone().map(|detail| (name.clone(), detail)));
        }
        for entry in self.entries.values().filter(|entry| !entry.is_retired()) {
            if let Some(handle) = entry.record.as_deref().and_then(Record::live) {
                summary.live += 1;
                let first_end = summary.first_end.get_or_insert(handle.expires_at);
                *first_end = handle.expires_at.min(*first_end);
            }
            if entry.rule.is_none() {
                continue;
            }
            summary.entries += 1;
            match entry.standing {
                Standing::Failing => summary.failing += 1,
                Standing::Alive => summary.alive += 1,
                Standing::KeptAlive => {
                    summary.alive += 1;
                    summary.kept_alive += 1;
                }
            }
        }
        summary
    }

    /// What stands in the way of many entries at once.
    #[must_use]
    pub fn obstacles(&self) -> Obstacles {
        let problem = |(name, account): (&ProviderName, &Account)| Some((name.clone(), account.problem()?));
        Obstacles {
            folder: self.files.unusable.clone(),
            guard: self
                .held_back()
                .map(|(halt, held_back)| HeldBack { reason: halt.to_string(), entries: held_back.len() }),
            accounts: self.accounts.iter().filter_map(problem).collect(),
        }
    }

    /// The record of each entry, in order.
    pub fn records(&self) -> impl Iterator<Item = (&EntryKey, Option<&Record>)> {
        self.entries.iter().map(|(key, entry)| (key, entry.record.as_deref()))
    }

    /// What would be done about each entry, in order. Those that need nothing are only counted, unless `all` are
    /// asked for.
    #[must_use]
    pub fn plan(&mut self, now: Now, all: bool) -> Plan {
        debug_assert_eq!(self.mode, Mode::Plan, "a running engine acts instead");
        let needs_nothing = |key: &EntryKey, entry: &Entry| {
            entry.standing == Standing::Alive
                && entry.place.is_none()
                && !entry.is_retired()
                && !self.retirement.leaving.contains(key)
        };
        let entries = self.entries.len();
        let shown = self.entries.iter().filter(|(key, entry)| all || !needs_nothing(key, entry));
        let keys: Vec<EntryKey> = shown.map(|(key, _)| key.clone()).collect();
        let items: Vec<PlanItem> = keys.iter().filter_map(|key| self.plan_item(key, now)).collect();
        Plan { kept: entries - keys.len(), items }
    }

    fn plan_item(&mut self, key: &EntryKey, now: Now) -> Option<PlanItem> {
        let mut entry = self.detach(key)?;
        let seen = self.files.observation(&key.path).cloned();
        let wanted = self.want(key, &mut entry, seen.as_ref());
        let item = self.plan_entry(key.clone(), &entry, wanted, now);
        self.attach(key, entry);
        item
    }

    fn plan_entry(
        &self,
        key: EntryKey,
        entry: &Entry,
        wanted: Result<Wanted, Block>,
        now: Now,
    ) -> Option<PlanItem> {
        let live = entry.record.as_ref().and_then(|record| record.live());
        let deadline = live.map(|handle| handle.expires_at);
        let keep = |action, why: String| (action, why, 0, 0);
        let (action, why, bytes, requests) = if entry.is_retired() {
            keep(Action::Retired, "expires by itself".to_owned())
        } else if self.retirement.leaving.contains(&key) {
            let (action, why) = self.plan_leaving(&key, entry);
            keep(action, why)
        } else {
            let verdict = self.judge(&key, entry, wanted, now)?;
            self.plan_verdict(&key, entry, &verdict, now)
        };
        Some(PlanItem { key, action, why, bytes, requests, deadline })
    }

    /// What is to become of an entry that nothing wants any more: a pass lets go of it only once its file has been
    /// gone for a while, and past the guard.
    fn plan_leaving(&self, key: &EntryKey, entry: &Entry) -> (Action, String) {
        let why = match entry.rule {
            None => "no longer in the manifest",
            Some(_) => "its file is gone",
        };
        if self.retirement.is_overdue(key) {
            return match self.retirement.halt_by_now() {
                Some(halt) => {
                    (Action::Blocked, format!("held back by the guard: {halt}; see `mediakeep approve`"))
                }
                None => (Action::Retire, why.to_owned()),
            };
        }
        match self.retirement.halt() {
            Some(halt) => (
                Action::KeepAlive,
                format!(
                    "{why}, for less than a minute; then the guard would hold it back: {halt}; see `mediakeep approve`"
                ),
            ),
            None => (Action::Retire, format!("{why}; let go once it has been gone for a minute")),
        }
    }

    fn plan_verdict(
        &self,
        key: &EntryKey,
        entry: &Entry,
        verdict: &Verdict,
        now: Now,
    ) -> (Action, String, u64, u32) {
        if let Some((reason, wanted)) = self.choose(key, entry, verdict, now.steady) {
            let action = if reason.is_renewal() { Action::Renew } else { Action::Upload };
            let why = match &verdict.block {
                Some(block) => {
                    format!("{}; source unusable, kept alive: {}", reason.as_str(), block.explain())
                }
                None => reason.as_str().to_owned(),
            };
            return (action, why, wanted.size, 1);
        }
        let alive = verdict.schedule.is_some();
        let missing = matches!(self.files.observation(&key.path), Some(Observation::Missing));
        match &verdict.block {
            Some(block @ (Block::Settling | Block::IdInUse(_))) => (Action::Wait, block.explain(), 0, 0),
            Some(block) if alive && missing => {
                (Action::KeepAlive, format!("source missing, kept alive: {}", block.explain()), 0, 0)
            }
            Some(block) if alive => {
                (Action::Blocked, format!("{}; older content is kept alive", block.explain()), 0, 0)
            }
            Some(block) => (Action::Blocked, block.explain(), 0, 0),
            None => {
                let due = verdict.renewal.as_ref().map(|(at, ..)| at.saturating_since(now.steady));
                let why =
                    due.map_or_else(String::new, |left| format!("renewal in {}", format_duration(left)));
                (Action::Keep, why, 0, 0)
            }
        }
    }
}
