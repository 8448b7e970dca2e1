//! One turn: inputs in, effects and events out. Owns all that is known; touches nothing.
//!
//! Every input is a reason to look again, and every decision is made anew from what is wanted, seen and recorded.
//! The work of a turn grows with what changed: entries that nothing happened to sleep in an agenda until their
//! next moment comes.

mod account;
mod entries;
mod entry;
mod files;
mod ids;
mod recording;
mod report;
mod retirement;
mod review;
mod uploading;
mod verifying;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use account::Account;
use entries::Entries;
use entry::Entry;
use files::Files;
pub(in crate::domain) use files::is_of_folder;
use ids::{Places, Waiting};
use nohash_hasher::IntMap;
pub use recording::LastWords;
use recording::Recording;
pub use report::{AccountOverview, Capacity, Listed, Overview, Summary};
use retirement::Retirement;

use super::asset::{EntryKey, ProviderName, RelPath, Scope};
use super::event::Event;
use super::manifest::Manifest;
use super::observation::{Hint, ScanReport, ScanRequest};
use super::state::{Change, State};
use super::time::{Now, Timestamp};
use super::verification::{Inspected, Inspection};
pub use uploading::{Confirmation, Order, Outcome, Source, UploadError};

/// How a reconciler works through what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For ever: watches, renews and never gives up on an entry.
    Daemon,
    /// One pass.
    Once {
        /// How often each upload is tried at most.
        tries: u32,
        /// How long it waits for files to settle and for providers that ask to wait.
        patience: Duration,
    },
    /// Only says what it would do: asks for scans, and for nothing else.
    Plan,
}

/// Something that may have changed the picture.
#[derive(Debug)]
pub enum Input {
    /// What is wanted from now on.
    Manifest(Arc<Manifest>),
    /// Whether a provider's credentials could be found, and whose they are.
    Account {
        /// The provider.
        provider: ProviderName,
        /// The account, or which reference leads nowhere.
        result: Result<Scope, String>,
        /// Whether these are other credentials than those that were in use before.
        is_new: bool,
    },
    /// Paths that are worth a look.
    Touched {
        /// These.
        paths: Vec<(RelPath, Hint)>,
        /// Everything, because the watcher may have lost something.
        everything: bool,
    },
    /// What a scan found.
    Scanned(ScanReport),
    /// The scan that is under way makes no progress.
    ScanHung,
    /// How an upload ended.
    Uploaded(Box<Outcome>),
    /// What a look at what a provider holds came to.
    Verified(Box<Inspected>),
    /// Whether the journal took the last changes.
    Recorded(Result<(), String>),
    /// Whether the last snapshot is in place.
    Published {
        /// What went wrong, if anything did.
        result: Result<(), String>,
        /// How long it took.
        took: Duration,
    },
    /// Somebody approved the retirement of a certain set of entries.
    Approved {
        /// The digest of the set.
        digest: String,
    },
    /// Readers lack something that is recorded.
    PublishAgain,
    /// Start nothing new.
    Stop,
}

/// Something to be done.
#[derive(Debug)]
pub enum Effect {
    /// Look at files.
    Scan(ScanRequest),
    /// Read a provider's credentials again.
    Reconnect(ProviderName),
    /// Upload something.
    Upload(Box<Order>),
    /// Look at whether a provider holds what it should.
    Verify(Box<Inspection>),
    /// Ask nothing more in the look that is under way at a provider. What it has found is told all the same.
    EndLook(ProviderName),
    /// Make changes durable.
    Record(Vec<Change>),
    /// Show the state to readers.
    Publish(Box<State>),
    /// The approval has been used.
    ConsumeApproval,
}

/// What a turn came to.
#[derive(Debug)]
#[must_use]
pub struct Step {
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
    /// What people should know, in the order in which it happened.
    pub events: Vec<Event>,
    /// When the next turn must be at the latest, on the steady clock.
    pub wake_at: Timestamp,
}

/// The engine (see the module's description).
#[derive(Debug)]
pub struct Reconciler {
    mode: Mode,
    seed: u64,
    manifest: Arc<Manifest>,
    accounts: BTreeMap<ProviderName, Account>,
    entries: Entries,
    /// Who may use an ID at a provider, by a digest of both. Only ever asked for one, so order is no matter.
    claims: IntMap<u64, EntryKey>,
    /// Who is published under an ID that other content can come to lie under.
    places: Places,
    files: Files,
    /// When entries are to be looked at again, on the steady clock.
    agenda: BTreeSet<(Timestamp, EntryKey)>,
    /// Entries to look at in this turn.
    dirty: BTreeSet<EntryKey>,
    /// Whether all of them are to be looked at.
    all_dirty: bool,
    /// Entries that wait for what becomes of another one with their ID.
    waiting: Waiting,
    /// Whether an entry of an account without a table was forgotten: it may have been the last one.
    orphaned: bool,
    retirement: Retirement,
    recording: Recording,
    /// Wall clock less steady clock, in milliseconds, when the agenda was made.
    clock_offset_ms: i64,
    started: Timestamp,
    stopping: bool,
    /// How often an entry was looked at anew.
    #[cfg(test)]
    reviews: usize,
}

/// What a turn collects.
#[derive(Debug)]
struct Turn {
    now: Now,
    effects: Vec<Effect>,
    events: Vec<Event>,
    /// Events of earlier turns that readers can see the outcome of now.
    released: Vec<Event>,
}

impl Reconciler {
    /// An engine that knows what was recorded. `seed` makes its random waits repeatable.
    #[must_use]
    pub fn new(mode: Mode, manifest: Arc<Manifest>, state: State, seed: u64, now: Now) -> Self {
        let mut this = Self {
            mode,
            seed,
            accounts: BTreeMap::new(),
            entries: Entries::default(),
            claims: IntMap::default(),
            places: Places::default(),
            files: Files::new(now.steady),
            agenda: BTreeSet::new(),
            dirty: BTreeSet::new(),
            all_dirty: false,
            waiting: Waiting::default(),
            orphaned: false,
            retirement: Retirement::new(state.root),
            recording: Recording::new(state.lineage, state.serial, state.records.shared_keys().clone()),
            clock_offset_ms: offset_ms(now),
            started: now.steady,
            stopping: false,
            manifest,
            #[cfg(test)]
            reviews: 0,
        };
        this.files.remember(&state.records, now);
        this.entries = state
            .records
            .iter()
            .map(|(key, record)| (key.clone(), Entry::recorded(record.clone())))
            .collect();
        // Nothing is wrong with an account that nobody has asked for anything yet.
        drop(this.apply_manifest(now));
        this
    }

    /// One turn.
    pub fn step(&mut self, now: Now, inputs: Vec<Input>) -> Step {
        let mut turn = Turn { now, effects: Vec::new(), events: Vec::new(), released: Vec::new() };
        self.notice_clock(&mut turn);
        for input in inputs {
            self.take(input, &mut turn);
        }
        self.wake_due(now);
        self.review_dirty(&mut turn);
        self.retire(&mut turn);
        self.review_dirty(&mut turn);
        if self.orphaned {
            turn.events.append(&mut self.drop_unneeded_accounts());
        }
        if self.mode != Mode::Plan {
            self.look_up_credentials(&mut turn);
            self.start_uploads(&mut turn);
            self.verify(&mut turn);
            self.save(&mut turn);
        }
        self.ask_for_scan(&mut turn);
        let mut events = turn.released;
        events.append(&mut turn.events);
        Step { effects: turn.effects, events, wake_at: self.wake_at(now) }
    }

    fn review_dirty(&mut self, turn: &mut Turn) {
        if std::mem::take(&mut self.all_dirty) {
            self.dirty.clear();
            for (key, slot, seen) in self.entries_and_files() {
                self.review_at(&key, slot, seen.as_ref(), turn);
            }
        }
        while let Some(key) = self.dirty.pop_first() {
            let seen = self.files.observation(&key.path).cloned();
            self.review(&key, seen.as_ref(), turn);
        }
    }

    fn take(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Manifest(manifest) => {
                self.manifest = manifest;
                turn.events.append(&mut self.apply_manifest(turn.now));
                self.files.rescan_by(turn.now.steady);
            }
            Input::Account { provider, result, is_new } => self.connect(&provider, result, is_new, turn),
            Input::Touched { paths, everything } => self.files.touched(paths, everything, turn.now.steady),
            Input::Scanned(report) => {
                self.take_report(report, turn);
                if matches!(self.mode, Mode::Once { .. }) && self.files.answered {
                    self.files.walk_no_more();
                }
            }
            Input::ScanHung => {
                self.files.scan = files::Scan::Hung;
                self.folder_unusable("looking at it takes too long".to_owned(), turn);
            }
            Input::Uploaded(outcome) => self.take_outcome(&outcome, turn),
            Input::Verified(inspected) => self.take_inspected(&inspected, turn),
            Input::Recorded(result) => self.recording.on_recorded(result, turn),
            Input::Published { result, took } => self.take_published(result, took, turn),
            Input::Approved { digest } => self.retirement.approved = Some(digest),
            Input::PublishAgain => self.recording.publish_by(turn.now.steady),
            Input::Stop => self.stopping = true,
        }
    }

    /// A clock that was set, or a machine that slept, moves every deadline: look at everything again.
    fn notice_clock(&mut self, turn: &mut Turn) {
        let moved_ms = offset_ms(turn.now) - self.clock_offset_ms;
        if moved_ms.abs() < CLOCK_SLACK_MS {
            return;
        }
        self.clock_offset_ms += moved_ms;
        self.all_dirty = true;
        if moved_ms < 0 {
            self.promise_no_more_than_is_left(turn.now);
        }
        if moved_ms.abs() >= CLOCK_JUMP_MS {
            turn.events.push(Event::ClockJumped { seconds: moved_ms / 1000 });
        }
    }

    fn wake_due(&mut self, now: Now) {
        while let Some((at, _)) = self.agenda.first()
            && *at <= now.steady
        {
            let Some((_, key)) = self.agenda.pop_first() else { break };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.wake = None;
            }
            self.dirty.insert(key);
        }
    }

    fn wake_at(&self, now: Now) -> Timestamp {
        let tick =
            self.accounts.values().map(|account| account.terms.tick()).min().unwrap_or(TICK_WITHOUT_ACCOUNT);
        let tick = if self.retirement.is_halted() { tick.min(APPROVAL_POLL) } else { tick };
        // What does not start any more is no reason to wake up, however long it has been due.
        let going_on = !self.stopping;
        let moments = [
            self.agenda.first().map(|(at, _)| *at),
            self.recording.next_save(),
            self.files.next_look().filter(|_| going_on),
            self.accounts.values().filter_map(Account::next_chance).min().filter(|_| going_on),
            self.accounts.values().filter_map(|account| account.look_up_at).min().filter(|_| going_on),
            self.next_verification(now.steady).filter(|_| going_on),
        ];
        let soonest = moments.into_iter().flatten().min().unwrap_or(Timestamp::MAX);
        soonest.min(now.steady + tick)
    }

    /// How many uploads wait or are under way.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.accounts.values().map(|account| account.in_flight + account.waiting()).sum()
    }

    /// Whether the whole folder has been looked at.
    #[must_use]
    pub fn has_walked(&self) -> bool {
        self.files.walked
    }

    /// Whether entries are held back by the guard.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.retirement.is_halted()
    }

    /// Hashes of all content that a renewal may need: copies of anything else can go.
    #[must_use]
    pub fn needed_copies(&self) -> BTreeSet<super::asset::ContentHash> {
        let recorded = self.entries.values().filter_map(|entry| entry.record.as_ref()?.current.as_ref());
        let sending = self.entries.iter().filter(|(_, entry)| entry.in_flight);
        let sent = sending.filter_map(|(key, entry)| {
            self.want_unclaimed(key, entry, self.files.observation(&key.path)).ok()
        });
        recorded.map(|handle| handle.hash).chain(sent.map(|wanted| wanted.hash)).collect()
    }
}

fn offset_ms(now: Now) -> i64 {
    now.wall.unix_ms() - now.steady.unix_ms()
}

/// Clocks are slewed all the time; below this the agenda stays as it is.
const CLOCK_SLACK_MS: i64 = 1_000;
/// From here people are told.
const CLOCK_JUMP_MS: i64 = 5_000;
const TICK_WITHOUT_ACCOUNT: Duration = Duration::from_secs(30);
/// How often an approval is looked for while something waits for one.
const APPROVAL_POLL: Duration = Duration::from_secs(2);
