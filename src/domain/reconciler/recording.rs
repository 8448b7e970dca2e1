//! What has to be recorded and shown to readers, and when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Effect, Event, Reconciler, Turn};
use crate::domain::asset::EntryKey;
use crate::domain::records::{Keys, Records};
use crate::domain::retry::Gate;
use crate::domain::state::{Change, State};
use crate::domain::time::Timestamp;

/// How soon readers of the state file must see a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visible {
    /// A URL, hash or type changed or ended: what readers hold is wrong.
    AtOnce,
    /// The same URL lives longer, or is not renewed any more: worth the journal, not yet a snapshot.
    Soon,
    /// Worth no more than the next snapshot: it can be found out again.
    Eventually,
    /// Readers can tell it from a date that they have: it goes along with other news, or as late as a renewal may.
    InPassing,
}

#[derive(Debug)]
pub(super) struct Recording {
    lineage: Arc<str>,
    serial: u64,
    /// The entries of the last snapshot, which the next one shares where they are the same ones.
    listed: Keys,
    /// Entries whose record the journal does not have yet.
    unsaved: BTreeSet<EntryKey>,
    /// How many batches the journal is taking.
    journalling: u32,
    publish_at: Option<Timestamp>,
    publishing: bool,
    /// When the next snapshot may start: saving takes no more than a fiftieth of the time, if readers can wait.
    not_before: Timestamp,
    /// How long readers of the state can wait, whatever the disk does.
    patience: Duration,
    /// Shut while the state folder can't be written.
    broken: Option<Gate>,
    /// What people are told when the next snapshot is in place.
    held_back: Vec<Event>,
    /// What people are told when the snapshot that is being written is in place.
    in_publication: Vec<Event>,
}

/// What is left when the engine ends.
#[derive(Debug)]
pub struct LastWords {
    /// What the journal does not have yet; to be recorded first.
    pub changes: Vec<Change>,
    /// The last snapshot, where one is needed.
    pub state: Option<State>,
    /// What people have not been told yet.
    pub events: Vec<Event>,
}

impl Recording {
    pub(super) fn new(lineage: Arc<str>, serial: u64, listed: Keys) -> Self {
        Self {
            lineage,
            serial,
            listed,
            unsaved: BTreeSet::new(),
            journalling: 0,
            publish_at: None,
            publishing: false,
            not_before: Timestamp::MIN,
            patience: Duration::MAX,
            broken: None,
            held_back: Vec::new(),
            in_publication: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, key: &EntryKey, visible: Visible, delay: Duration, steady: Timestamp) {
        if matches!(visible, Visible::AtOnce | Visible::Soon) {
            self.unsaved.insert(key.clone());
        }
        let at = match visible {
            Visible::AtOnce => steady,
            Visible::Soon | Visible::InPassing => steady + delay,
            Visible::Eventually => steady + delay.min(NEWS_DELAY_MAX),
        };
        self.publish_by(at);
    }

    /// Asks for a snapshot, at that moment at the latest.
    pub(super) fn publish_by(&mut self, at: Timestamp) {
        self.publish_at = Some(self.publish_at.map_or(at, |present| present.min(at)));
    }

    /// How often saving has failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.broken.map_or(0, |gate| gate.attempts)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether everything is recorded and shown.
    pub(super) fn is_done(&self) -> bool {
        self.unsaved.is_empty() && self.journalling == 0 && !self.publishing && self.publish_at.is_none()
    }

    pub(super) fn next_save(&self) -> Option<Timestamp> {
        if self.publishing {
            return None;
        }
        let gate = self.broken.and_then(|gate| gate.closed_until);
        self.publish_at.map(|at| at.max(self.not_before).max(gate.unwrap_or(Timestamp::MIN)))
    }

    fn shut(&mut self, detail: String, turn: &mut Turn) {
        let steady = turn.now.steady;
        let mut gate = self.broken.unwrap_or_default();
        let wait = Duration::from_secs(1 << gate.attempts.min(5));
        gate.shut(steady, wait.min(self.patience.max(RETRY_MIN)));
        if self.broken.replace(gate).is_none() {
            turn.events.push(Event::StateUnwritable { detail });
            turn.released.append(&mut self.in_publication);
            turn.released.append(&mut self.held_back);
        }
        self.publish_by(steady);
    }

    /// After a failure the journal has a gap, so that only a whole snapshot mends it.
    pub(super) fn on_recorded(&mut self, result: Result<(), String>, turn: &mut Turn) {
        self.journalling = self.journalling.saturating_sub(1);
        if let Err(detail) = result {
            self.shut(detail, turn);
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

impl Reconciler {
    /// However slow or broken a disk is, readers see a new URL well before the old one ends.
    pub(super) fn learn_patience(&mut self) {
        let delays = self.accounts.values().map(|account| account.terms.publication_delay());
        self.recording.patience = delays.min().unwrap_or(Duration::MAX);
    }

    pub(super) fn take_published(&mut self, result: Result<(), String>, took: Duration, turn: &mut Turn) {
        let recording = &mut self.recording;
        let pause = took.saturating_mul(PAUSE_PER_SAVE).min(recording.patience).max(PAUSE_MIN);
        recording.publishing = false;
        recording.not_before = turn.now.steady + pause;
        match result {
            Err(detail) => recording.shut(detail, turn),
            Ok(()) => {
                if recording.broken.take().is_some() {
                    turn.events.push(Event::StateWritable);
                    self.all_dirty = true;
                }
                turn.released.append(&mut self.recording.in_publication);
            }
        }
    }

    /// Hands what is new to the journal, and a snapshot to readers when it is time.
    pub(super) fn save(&mut self, turn: &mut Turn) {
        let steady = turn.now.steady;
        self.hold_back_events(turn);
        let in_order = self.recording.broken.is_none();
        let hurry = in_order && self.is_idle_pass(steady) && self.recording.publish_at.is_some();
        let due = self.recording.next_save().is_some_and(|at| at <= steady);
        let publishes = (due || hurry) && !self.recording.publishing;
        // What a snapshot shows goes to the journal before it, even where the journal is still busy: or else it would
        // be nowhere if that snapshot were damaged.
        if in_order && !self.recording.unsaved.is_empty() && (self.recording.journalling == 0 || publishes) {
            self.recording.journalling += 1;
            turn.effects.push(Effect::Record(self.changes()));
        }
        if publishes {
            self.recording.publish_at = None;
            self.recording.publishing = true;
            self.recording.in_publication.append(&mut self.recording.held_back);
            // While the journal takes nothing, the snapshot alone holds what is new.
            self.recording.unsaved.clear();
            turn.effects.push(Effect::Publish(Box::new(self.snapshot())));
        }
    }

    /// What the journal does not have yet.
    fn changes(&mut self) -> Vec<Change> {
        let keys = std::mem::take(&mut self.recording.unsaved);
        keys.into_iter().map(|key| self.change(key)).collect()
    }

    fn change(&mut self, key: EntryKey) -> Change {
        let record = self.entries.get(&key).and_then(|entry| entry.record.clone());
        Change { serial: self.recording.next_serial(), key, record }
    }

    fn snapshot(&mut self) -> State {
        self.recording.next_serial();
        self.state()
    }

    /// What is to be saved and told before the end.
    #[must_use]
    pub fn last_words(&mut self) -> LastWords {
        let needed = !self.recording.is_done() || self.recording.is_broken();
        let changes = if self.recording.is_broken() { Vec::new() } else { self.changes() };
        let mut events = std::mem::take(&mut self.recording.in_publication);
        events.append(&mut self.recording.held_back);
        LastWords { changes, state: needed.then(|| self.snapshot()), events }
    }

    /// Everything that is known, as readers get it. Cheap: records are shared, not copied, and so are their keys with the
    /// state before, which is remembered for that.
    #[must_use]
    pub fn state(&mut self) -> State {
        let recorded = self.entries.iter().filter_map(|(key, entry)| Some((key, entry.record.as_ref()?)));
        State {
            records: Records::sharing(&mut self.recording.listed, recorded),
            lineage: self.recording.lineage.clone(),
            serial: self.recording.serial,
            root: self.retirement.root(),
        }
    }

    fn hold_back_events(&mut self, turn: &mut Turn) {
        if self.recording.broken.is_some() {
            return;
        }
        let (held, now): (Vec<_>, Vec<_>) =
            std::mem::take(&mut turn.events).into_iter().partition(Event::waits_for_publication);
        self.recording.held_back.extend(held);
        turn.events = now;
    }
}

const NEWS_DELAY_MAX: Duration = Duration::from_secs(10);
const PAUSE_PER_SAVE: u32 = 50;
const PAUSE_MIN: Duration = Duration::from_millis(500);
const RETRY_MIN: Duration = Duration::from_secs(1);
