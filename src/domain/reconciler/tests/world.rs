//! A small world to run the engine in: a folder, providers that really forget, and a clock that jumps from one
//! moment to the next. Nothing sleeps and nothing is random.

mod looks;
mod manifests;
mod uploads;

pub(super) use manifests::{NAMED, NUMBERED, manifest, path, provider};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::asset::{ContentHash, EntryKey, ProviderName, RelPath, Scope};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::manifest::Manifest;
use crate::domain::observation::{Coverage, Observation, RootHealth, RootIdentity, ScanReport, ScanRequest};
use crate::domain::plan::Plan;
use crate::domain::reconciler::{Effect, Input, Mode, Reconciler};
use crate::domain::records::Records;
use crate::domain::state::{Record, State};
use crate::domain::time::{Now, Timestamp};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
const LATENCY: Duration = Duration::from_millis(200);

/// How a provider answers.
#[derive(Clone, Debug)]
pub(super) enum Mood {
    Well,
    Failing(Failure),
    /// Fails or not, one answer after the other, and is well after the last one.
    Answering(VecDeque<Option<Failure>>),
    /// Stores what it gets, and its replies are lost.
    LosingReplies,
}

#[derive(Debug)]
struct Stored {
    hash: ContentHash,
    size: u64,
    dies_at: Timestamp,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fault that a scene can switch on")]
pub(super) struct World {
    pub engine: Reconciler,
    pub now: Now,
    pub folder: BTreeMap<RelPath, Vec<u8>>,
    pub root: Option<RootIdentity>,
    pub busy: Vec<RelPath>,
    pub mood: BTreeMap<ProviderName, Mood>,
    pub kept: BTreeMap<ContentHash, Vec<u8>>,
    pub state_writable: bool,
    pub events: Vec<Event>,
    pub published: State,
    /// The last snapshot, without what the journal has beyond it.
    pub shown: State,
    /// Requests by provider.
    pub requests: BTreeMap<ProviderName, usize>,
    /// What went over the wire, in order.
    pub sent: Vec<EntryKey>,
    /// When that was, on the steady clock.
    pub sent_at: Vec<Timestamp>,
    pub dead_urls_seen: usize,
    /// Whether other bytes than recorded are no surprise in this scene.
    pub unsure_of_bytes: bool,
    /// Which life the provider's replies tell, where they tell any.
    pub told_life: Option<Duration>,
    pub scope: Scope,
    pub approvals_used: usize,
    /// URLs that readers were shown, or not shown any more, without a line in the journal.
    pub unjournalled: usize,
    /// Whether the folder is there and can't be listed.
    pub unreadable: bool,
    /// Folders below it that can't be.
    pub shut: Vec<RelPath>,
    /// Whether no upload finds what a look found.
    pub unreadable_bytes: bool,
    /// Whether scans are never answered.
    pub deaf: bool,
    /// How long a request takes.
    pub latency: Duration,
    /// How long writing a snapshot takes.
    pub save_takes: Duration,
    /// How long a line in the journal takes.
    pub record_takes: Duration,
    /// Whether looking up credentials of `numbered` fails.
    pub credentials_missing: bool,
    /// Whether the next look-up of credentials finds others than before.
    pub credentials_are_new: bool,
    /// Whether looking up credentials is never answered.
    pub credentials_hang: bool,
    pub turns: usize,
    /// How long media really live, where that is another time than documented.
    pub lives: BTreeMap<ProviderName, Duration>,
    /// Whether an upload under an existing ID leaves the media's end where it was.
    pub overwriting_keeps_clock: bool,
    /// Whether lists name nothing.
    pub lists_are_empty: bool,
    /// Whether nothing that is there is found, by list or by name.
    pub holds_nothing: bool,
    /// Uploads alone fail.
    pub uploads_fail: bool,
    /// Looks alone fail.
    pub looks_fail: Option<Failure>,
    /// When looks began, and how many questions they took.
    pub looks: Vec<(Timestamp, ProviderName, usize)>,
    /// Looks that were told to end before their time.
    pub broken_off: usize,
    stored: BTreeMap<String, Stored>,
    replies: Vec<(Timestamp, Input)>,
    uploads: u64,
    wake_at: Timestamp,
    pub most_in_flight: usize,
}

impl World {
    pub(super) fn new(manifest: Manifest) -> Self {
        Self::with_mode(manifest, Mode::Daemon)
    }

    pub(super) fn with_mode(manifest: Manifest, mode: Mode) -> Self {
        let now = Now::at("2026-11-21T16:00:00Z".parse().unwrap());
        let state = State { lineage: "test".into(), serial: 0, root: None, records: Records::default() };
        let mut world = Self {
            engine: Reconciler::new(mode, Arc::new(manifest), state.clone(), 7, now),
            now,
            folder: BTreeMap::new(),
            root: Some(RootIdentity { device: 1, inode: 2 }),
            busy: Vec::new(),
            mood: BTreeMap::new(),
            kept: BTreeMap::new(),
            state_writable: true,
            events: Vec::new(),
            published: state.clone(),
            shown: state,
            requests: BTreeMap::new(),
            sent: Vec::new(),
            sent_at: Vec::new(),
            dead_urls_seen: 0,
            unsure_of_bytes: false,
            told_life: None,
            scope: Scope::new("acct").unwrap(),
            approvals_used: 0,
            unjournalled: 0,
            unreadable: false,
            shut: Vec::new(),
            unreadable_bytes: false,
            deaf: false,
            latency: LATENCY,
            save_takes: Duration::from_millis(3),
            record_takes: Duration::from_millis(1),
            credentials_missing: false,
            credentials_are_new: false,
            credentials_hang: false,
            turns: 0,
            lives: BTreeMap::new(),
            overwriting_keeps_clock: false,
            lists_are_empty: false,
            holds_nothing: false,
            uploads_fail: false,
            looks_fail: None,
            looks: Vec::new(),
            broken_off: 0,
            stored: BTreeMap::new(),
            replies: Vec::new(),
            uploads: 0,
            wake_at: now.steady,
            most_in_flight: 0,
        };
        world.connect();
        world
    }

    pub(super) fn connect(&mut self) {
        for name in ["named", "numbered"] {
            let result = Ok(self.scope.clone());
            self.reply(Duration::ZERO, Input::Account { provider: provider(name), result, is_new: false });
        }
    }

    /// Takes back that a provider's credentials were found.
    pub(super) fn disconnect(&mut self, name: &str) {
        self.replies.retain(|(_, input)| {
            !matches!(input, Input::Account { provider, result: Ok(_), .. } if provider.as_str() == name)
        });
    }

    /// Takes the outcome of an upload out of the post.
    pub(super) fn take_outcome(&mut self) -> Input {
        let found = self.replies.iter().position(|(_, input)| matches!(input, Input::Uploaded(_)));
        self.replies.remove(found.expect("an upload is under way")).1
    }

    /// As after a crash: only what was published (or recorded) is known.
    pub(super) fn restart(&mut self, manifest: Manifest) {
        self.replies.clear();
        self.engine = Reconciler::new(Mode::Daemon, Arc::new(manifest), self.published.clone(), 8, self.now);
        self.wake_at = self.now.steady;
        self.connect();
    }

    /// As when another process starts here, in another mode.
    pub(super) fn begin(&mut self, mode: Mode, manifest: Arc<Manifest>) {
        self.replies.clear();
        self.engine = Reconciler::new(mode, manifest, self.published.clone(), 9, self.now);
        self.wake_at = self.now.steady;
        self.connect();
    }

    /// What a plan made here and now says of every entry; `arrange` puts the files of the look into another order.
    pub(super) fn plan(
        &self,
        manifest: Arc<Manifest>,
        arrange: impl FnOnce(&mut Vec<(RelPath, Observation)>),
    ) -> Plan {
        let mut engine = Reconciler::new(Mode::Plan, manifest, self.published.clone(), 0, self.now);
        let account =
            |name| Input::Account { provider: provider(name), result: Ok(self.scope.clone()), is_new: false };
        drop(engine.step(self.now, ["named", "numbered"].map(account).into()));
        let mut report = self.scan(&ScanRequest::Everything);
        arrange(&mut report.files);
        drop(engine.step(self.now, vec![Input::Scanned(report)]));
        engine.plan(self.now, true)
    }

    /// When each published URL is due.
    pub(super) fn renewals(&self) -> BTreeMap<EntryKey, Timestamp> {
        let keys = self.published.records.keys();
        let due = |key: &EntryKey| Some((key.clone(), self.engine.schedule(key, self.now)?.renew_at));
        keys.filter_map(due).collect()
    }

    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) {
        self.folder.insert(path(name), bytes.to_vec());
        self.touch(name);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.folder.remove(&path(name));
        self.touch(name);
    }

    fn touch(&mut self, name: &str) {
        let paths = vec![(path(name), crate::domain::observation::Hint::Complete)];
        self.reply(Duration::ZERO, Input::Touched { paths, everything: false });
    }

    pub(super) fn give(&mut self, input: Input) {
        self.reply(Duration::ZERO, input);
    }

    fn reply(&mut self, after: Duration, input: Input) {
        self.replies.push((self.now.steady + after, input));
    }

    pub(super) fn fail(&mut self, name: &str, class: FailureClass) {
        let failure = Failure::without_answer(class, format!("{class} for a test"));
        self.mood.insert(provider(name), Mood::Failing(failure));
    }

    pub(super) fn mend(&mut self, name: &str) {
        self.mood.insert(provider(name), Mood::Well);
    }

    /// Lets time pass, turn by turn.
    pub(super) fn run(&mut self, length: Duration) {
        let end = self.now.steady + length;
        for _ in 0..2_000_000 {
            let next_reply = self.replies.iter().map(|(at, _)| *at).min().unwrap_or(Timestamp::MAX);
            let next = self.wake_at.min(next_reply).max(self.now.steady);
            if next > end {
                self.advance(end);
                return;
            }
            self.advance(next);
            self.turn();
        }
        panic!("the engine does not come to rest");
    }

    fn advance(&mut self, steady: Timestamp) {
        let passed = steady.saturating_since(self.now.steady);
        self.now = Now { wall: self.now.wall + passed, steady };
    }

    fn turn(&mut self) {
        self.turns += 1;
        let (due, later) =
            std::mem::take(&mut self.replies).into_iter().partition(|(at, _)| *at <= self.now.steady);
        self.replies = later;
        let due: Vec<(Timestamp, Input)> = due;
        let step = self.engine.step(self.now, due.into_iter().map(|(_, input)| input).collect());
        assert!(
            step.wake_at >= self.now.steady || !step.effects.is_empty(),
            "a turn that wants to be at once again"
        );
        // A suspended machine freezes timers, so none of them is long.
        assert!(step.wake_at <= self.now.steady + MINUTE / 2, "it would sleep for longer than a tick");
        self.wake_at = step.wake_at.max(self.now.steady + Duration::from_millis(1));
        self.events.extend(step.events);
        for effect in step.effects {
            self.perform(effect);
        }
        self.look_for_dead_urls();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Scan(_) if self.deaf => {}
            Effect::Scan(request) => {
                let report = self.scan(&request);
                self.reply(Duration::from_millis(5), Input::Scanned(report));
            }
            Effect::Reconnect(_) if self.credentials_hang => {}
            Effect::Reconnect(name) => {
                let is_new = std::mem::take(&mut self.credentials_are_new);
                let missing = self.credentials_missing && name.as_str() == "numbered";
                let result = if missing { Err("no such file".to_owned()) } else { Ok(self.scope.clone()) };
                self.reply(Duration::ZERO, Input::Account { provider: name, result, is_new });
            }
            Effect::Upload(order) => self.upload(*order),
            Effect::Verify(inspection) => self.inspect(*inspection),
            Effect::EndLook(name) => self.break_off(&name),
            Effect::Record(changes) => {
                let result = self.write_state();
                if result.is_ok() {
                    self.published.serial = changes.last().map_or(self.published.serial, |last| last.serial);
                    let changes = changes.into_iter().map(|change| (change.key, change.record));
                    self.published.records = self.published.records.with(changes);
                }
                self.reply(self.record_takes, Input::Recorded(result));
            }
            Effect::Publish(state) => {
                let result = self.write_state();
                if result.is_ok() {
                    self.unjournalled += urls_that_differ(&self.published, &state);
                    self.shown = (*state).clone();
                    self.published = *state;
                }
                let took = self.save_takes;
                self.reply(took, Input::Published { result, took });
            }
            Effect::ConsumeApproval => self.approvals_used += 1,
        }
    }

    fn write_state(&self) -> Result<(), String> {
        if self.state_writable { Ok(()) } else { Err("no space left on device".to_owned()) }
    }

    fn scan(&self, request: &ScanRequest) -> ScanReport {
        let coverage = match request {
            ScanRequest::Everything => Coverage::Everything,
            ScanRequest::Paths(paths) => {
                Coverage::Paths(paths.iter().map(|(path, _)| path.clone()).collect())
            }
        };
        let root = match self.root {
            _ if self.unreadable => RootHealth::Unreadable { reason: "input/output error".to_owned() },
            None => RootHealth::Missing,
            Some(identity) => RootHealth::Sound { identity, empty: self.folder.is_empty() },
        };
        let covered = |path: &RelPath| match &coverage {
            Coverage::Everything => true,
            Coverage::Paths(paths) => paths.iter().any(|folder| path.is_within(folder)),
        };
        let look = |(path, bytes): (&RelPath, &Vec<u8>)| {
            let observation = if self.busy.contains(path) {
                Observation::Settling { look_again_at: self.now.steady + Duration::from_secs(2) }
            } else {
                Observation::Present { hash: ContentHash::of(bytes), size: bytes.len() as u64 }
            };
            (path.clone(), observation)
        };
        let files = match self.root {
            _ if self.unreadable => Vec::new(),
            None => Vec::new(),
            Some(_) => {
                let is_open = |path: &RelPath| !self.shut.iter().any(|folder| path.is_within(folder));
                let listed = self.folder.iter().filter(|(path, _)| covered(path) && is_open(path));
                listed.map(look).collect()
            }
        };
        ScanReport { coverage, root, files, unreadable_folders: self.shut.clone() }
    }

    /// The promise: what readers see is alive, with the bytes whose hash they see.
    fn look_for_dead_urls(&mut self) {
        for (key, record) in &self.published.records {
            let Some(handle) = record.live() else { continue };
            let url = handle.url.as_deref().unwrap_or_default();
            match self.stored.get(url) {
                // Between an overwriting upload and its reply nobody can know which bytes are there.
                Some(_) if self.is_being_overwritten(url) => {}
                Some(stored) if stored.dies_at > self.now.steady => {
                    let known = self.unsure_of_bytes || stored.hash == handle.hash;
                    assert!(known, "{key}: other bytes than recorded");
                }
                _ => self.dead_urls_seen += 1,
            }
        }
    }

    pub(super) fn record(&self, name: &str, provider_name: &str) -> Option<&Record> {
        let key = EntryKey { path: path(name), provider: provider(provider_name) };
        self.published.records.get(&key).map(|record| &**record)
    }

    pub(super) fn url(&self, name: &str, provider_name: &str) -> Option<String> {
        self.record(name, provider_name)?.live()?.url.as_deref().map(str::to_owned)
    }

    /// Whether the published URL has the bytes whose hash is recorded for it.
    pub(super) fn serves_what_is_recorded(&self, name: &str, provider_name: &str) -> bool {
        let handle = self.record(name, provider_name).and_then(Record::live).expect("it is published");
        let stored = self.stored.get(handle.url.as_deref().unwrap_or_default());
        stored.is_some_and(|stored| stored.hash == handle.hash)
    }

    pub(super) fn requests_to(&self, name: &str) -> usize {
        self.requests.get(&provider(name)).copied().unwrap_or(0)
    }

    /// No URL was dead while readers had it, and none was taken back from them.
    #[track_caller]
    pub(super) fn assert_nobody_was_let_down(&self) {
        let lapsed = self.count(|event| matches!(event, Event::Lapsed { .. }));
        assert_eq!((self.dead_urls_seen, lapsed), (0, 0), "dead, taken back");
    }

    pub(super) fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| matches(event)).count()
    }
}

/// How many entries have another URL in one state than in the other.
fn urls_that_differ(one: &State, other: &State) -> usize {
    let url = |state: &State, key: &EntryKey| {
        state.records.get(key).and_then(|record| record.live()).and_then(|handle| handle.url.clone())
    };
    let keys: BTreeSet<&EntryKey> = one.records.keys().chain(other.records.keys()).collect();
    keys.into_iter().filter(|key| url(one, key) != url(other, key)).count()
}
