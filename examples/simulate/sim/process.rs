//! The process: the real engine, what it asks for, and how it begins and ends. As the daemon does, only that a disk, a
//! folder and two providers are simulated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mediakeep::domain::asset::{ContentHash, EntryKey};
use mediakeep::domain::event::Event;
use mediakeep::domain::failure::{Failure, FailureClass};
use mediakeep::domain::observation::{Coverage, ScanRequest};
use mediakeep::domain::reconciler::{Effect, Input, LastWords, Mode, Outcome, Reconciler, UploadError};
use mediakeep::domain::state::{Change, State};
use mediakeep::domain::time::Timestamp;
use mediakeep::local::state_store::Note;

use super::control::Control;
use super::disk::Stop;
use super::judge::Rule;
use super::manifests::{BANNER, PROVIDERS, RESCAN, WITHOUT_BANNER};
use super::requests::{self, Limiter};
use super::script::Crash;
use super::store::{STATE, Store};
use super::world::{Post, World};

pub(super) struct Process {
    pub(super) number: u32,
    pub(super) engine: Reconciler,
    pub(super) store: Store,
    /// When it began, by true time, and what its steady clock said then.
    pub(super) started_ms: i64,
    pub(super) origin: Timestamp,
    pub(super) wake_ms: i64,
    pub(super) inputs: Vec<Input>,
    /// What is being sent, until the engine knows what became of it.
    pub(super) sending: BTreeMap<EntryKey, ContentHash>,
    pub(super) limiters: [Limiter; 2],
    /// A look that does not come back.
    hung: Option<ScanRequest>,
    swept_at_ms: Option<i64>,
    /// How long it is to be down after it has stopped.
    down_s: Option<u32>,
    /// The newest serial that was asked for.
    asked: u64,
    turns: u64,
    turns_since: (i64, u64),
}

/// A look that takes longer is given up.
const LOOK_LIMIT_MS: i64 = 60_000;
const SWEEP_EVERY_MS: i64 = 3_600_000;
const STOP_PATIENCE_MS: i64 = 5_000;
/// Nobody needs as many turns in an hour.
const TURNS_PER_HOUR: u64 = 60_000;
/// A year of them is about this much, and then some.
const OVERSLEEP_EVERY: u64 = 3_000;
const OVERSLEEP_MS: i64 = 30 * 3_600_000;

/// What came of it is not known any more.
pub(super) fn lose_answer(input: &mut Input) {
    if let Input::Uploaded(outcome) = input
        && outcome.result.is_ok()
    {
        let failure = Failure::without_answer(FailureClass::Ambiguous, "the connection was gone");
        outcome.result = Err(UploadError::Provider(failure));
    }
}

impl World<'_> {
    /// A process begins: whatever the last one left on the disk is all that it knows.
    pub(super) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.processes += 1;
        self.bound.process_starts(self.is_clock_trusted());
        let opened = Store::open(&mut self.disk, self.scratch.path(), self.options.control);
        let (mut store, loaded, anything) = match opened {
            Ok(opened) => opened,
            Err(detail) => return self.judge.object(self.now_ms, Rule::StateWhole, detail),
        };
        for note in loaded.notes.iter().filter(|note| !matches!(note, Note::TornTail { .. })) {
            self.judge.object(self.now_ms, Rule::StateWhole, note.to_string());
        }
        let mut state = loaded.state;
        if !anything {
            state.lineage = "simulation".into();
            store.begin(&state.lineage);
        }
        let (acknowledged, asked) = self.durable;
        if state.serial < acknowledged || state.serial > asked {
            let detail = format!("{} was read; {acknowledged} to {asked} was written", state.serial);
            self.judge.object(self.now_ms, Rule::StateWhole, detail);
        }
        let origin = self.wall();
        let now = mediakeep::domain::time::Now::at(origin);
        let seed = self.rng.u64(..);
        let serial = state.serial;
        let engine = Reconciler::new(Mode::Daemon, self.manifest(), state, seed, now);
        let number = self.processes;
        self.note(format_args!("process {number} starts from {serial}"));
        self.process = Some(Process {
            number,
            engine,
            store,
            started_ms: self.now_ms,
            origin,
            wake_ms: self.now_ms,
            inputs: if loaded.unpublished { vec![Input::PublishAgain] } else { Vec::new() },
            sending: BTreeMap::new(),
            limiters: Default::default(),
            hung: None,
            swept_at_ms: None,
            down_s: None,
            asked: serial,
            turns: 0,
            turns_since: (self.now_ms, 0),
        });
        self.connect_all();
    }

    /// Credentials are read (again).
    pub(super) fn connect_all(&mut self) {
        for (name, _) in PROVIDERS {
            let account = requests::account(name);
            self.give(0, account);
        }
    }

    pub(super) fn turn_if_due(&mut self) {
        let asleep = self.is_asleep();
        let Some(process) = self.process.as_mut().filter(|_| !asleep) else { return };
        if process.inputs.is_empty() && process.wake_ms > self.now_ms {
            return;
        }
        let inputs = std::mem::take(&mut process.inputs);
        let looked = inputs
            .iter()
            .any(|input| matches!(input, Input::Scanned(report) if report.coverage == Coverage::Everything));
        for input in &inputs {
            self.hear(input);
        }
        let Some(mut process) = self.process.take() else { return };
        let now = self.clock(&process);
        let step = process.engine.step(now, inputs);
        let sleep = step.wake_at.saturating_since(now.steady).max(Duration::from_millis(1));
        process.wake_ms = self.now_ms + i64::try_from(sleep.as_millis()).unwrap_or(i64::MAX / 2);
        process.turns += 1;
        let is_tired =
            self.options.control == Control::Oversleep && process.turns.is_multiple_of(OVERSLEEP_EVERY);
        self.count_turns(&mut process);
        self.process = Some(process);
        for event in &step.events {
            self.hear_event(event);
        }
        let is_idle = step.effects.is_empty();
        for effect in step.effects {
            if self.perform(effect).is_err() {
                return self.die();
            }
        }
        if looked {
            self.sweep_copies();
        }
        if is_tired {
            self.fall_asleep(OVERSLEEP_MS);
        }
        self.come_past_a_point(is_idle);
        self.finish_if_stopped();
    }

    fn count_turns(&mut self, process: &mut Process) {
        let (since_ms, before) = process.turns_since;
        if process.turns - before > TURNS_PER_HOUR {
            self.judge.object(self.now_ms, Rule::ComesToRest, "too many turns within an hour");
        }
        if self.now_ms - since_ms > 3_600_000 {
            process.turns_since = (self.now_ms, process.turns);
        }
    }

    /// What the process learns now.
    fn hear(&mut self, input: &Input) {
        let Input::Uploaded(outcome) = input else { return };
        let Outcome { order, result, .. } = &**outcome;
        self.judge.upload_ends(&order.key);
        if let Some(process) = &mut self.process {
            process.sending.remove(&order.key);
        }
        let answer = match result {
            Ok(confirmation) => confirmation.url.as_str(),
            Err(UploadError::Provider(failure)) => failure.class.as_str(),
            Err(UploadError::NoSource(_)) => "no source",
            Err(UploadError::Cancelled) => "cancelled",
        };
        self.note(format_args!("outcome {} {answer}", order.key));
        if let Err(UploadError::Provider(failure)) = result {
            self.hear_wish(&order.key, failure);
        }
    }

    fn hear_event(&mut self, event: &Event) {
        let Event::Retired { key, .. } = event else { return };
        self.judge.totals.retirements += 1;
        self.note(format_args!("retired {key}"));
        let a_look_ago = self.now_ms - i64::try_from(RESCAN.as_millis()).unwrap_or(0) - 600_000;
        let lately = |at_ms: i64| at_ms >= self.now_ms - 600_000;
        let unlisted = key.path.as_str() == BANNER
            && (self.is_variant(WITHOUT_BANNER) || self.unlisted_until_ms.is_some_and(lately));
        if !unlisted && !self.folder.was_absent_since(&key.path, a_look_ago) {
            self.judge.object(self.now_ms, Rule::NoRetirementWithoutEdit, key.to_string());
        }
    }

    /// Does what the engine asks for. An effect that comes to the engine's list gets its arm here.
    fn perform(&mut self, effect: Effect) -> Result<(), Stop> {
        match effect {
            Effect::Scan(request) => self.look(request),
            Effect::Reconnect(provider) => self.give(1, requests::account(provider.as_str())),
            Effect::Upload(order) => {
                if self.options.control == Control::UploadTwice {
                    self.order(order.clone());
                }
                self.order(order);
            }
            Effect::Verify(inspection) => self.inspect(*inspection),
            Effect::Record(changes) => return self.record(changes),
            Effect::Publish(state) => return self.publish(*state),
            // Its answer is on its way.
            Effect::EndLook(_) | Effect::ConsumeApproval => {}
        }
        Ok(())
    }

    fn look(&mut self, request: ScanRequest) {
        let Some(process) = &mut self.process else { return };
        if self.folder.hangs() {
            process.hung = Some(request);
            return self.give(LOOK_LIMIT_MS, Input::ScanHung);
        }
        let Some(process) = &self.process else { return };
        let report = self.folder.look(&request, self.now_ms, self.clock(process).steady);
        let takes_ms = self.rng.i64(2..1500);
        self.give(takes_ms, Input::Scanned(report));
    }

    /// The folder is back: so are the looks at it.
    pub(super) fn answer_hung_looks(&mut self) {
        if self.folder.hangs() {
            return;
        }
        if let Some(request) = self.process.as_mut().and_then(|process| process.hung.take()) {
            self.look(request);
        }
    }

    /// Whether a look is still awaited when its time is over.
    pub(super) fn is_look_awaited(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.hung.is_some())
    }

    fn record(&mut self, changes: Vec<Change>) -> Result<(), Stop> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let newest = changes.iter().map(|change| change.serial).max().unwrap_or(0);
        process.asked = process.asked.max(newest);
        self.durable.1 = process.asked;
        let number = process.number;
        if self.options.control == Control::AcknowledgeEarly {
            self.durable.0 = self.durable.0.max(newest);
            self.post(2_000, Post::WriteLate(number, changes));
            self.give(1, Input::Recorded(Ok(())));
            return Ok(());
        }
        let result = process.store.record(&mut self.disk, &changes);
        if result == Err(Stop::Crash) {
            return Err(Stop::Crash);
        }
        if result.is_ok() {
            self.durable.0 = self.durable.0.max(newest);
        }
        self.note(format_args!("record {newest} {}", result.is_ok()));
        let takes_ms = self.rng.i64(1..20);
        self.give(takes_ms, Input::Recorded(result.map_err(|_| "input/output error".to_owned())));
        Ok(())
    }

    pub(super) fn write_late(&mut self, changes: &[Change]) {
        let Some(process) = &mut self.process else { return };
        if process.store.record(&mut self.disk, changes) == Err(Stop::Crash) {
            self.die();
        }
    }

    fn publish(&mut self, state: State) -> Result<(), Stop> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let serial = state.serial;
        process.asked = process.asked.max(serial);
        self.durable.1 = process.asked;
        let result = process.store.publish(&mut self.disk, Arc::new(state));
        if result == Err(Stop::Crash) {
            return Err(Stop::Crash);
        }
        if result.is_ok() {
            self.durable.0 = self.durable.0.max(serial);
        }
        self.note(format_args!("publish {serial} {}", result.is_ok()));
        self.show();
        let takes_ms = self.rng.u64(2..30);
        let result = result.map_err(|_| "no space left on device".to_owned());
        let took = Duration::from_millis(takes_ms);
        self.give(i64::try_from(takes_ms).unwrap_or(0), Input::Published { result, took });
        Ok(())
    }

    /// Readers see what is on the disk.
    fn show(&mut self) {
        match self.disk.snapshot(STATE) {
            Some(state) => {
                let trusted = self.is_clock_trusted();
                self.judge.show(&state, &self.providers, self.now_ms, trusted);
            }
            None if self.disk.has(STATE) => {
                self.judge.object(self.now_ms, Rule::StateWhole, "readers find a torn state.json");
            }
            None => {}
        }
    }

    fn sweep_copies(&mut self) {
        let Some(process) = &mut self.process else { return };
        if process.swept_at_ms.is_some_and(|at_ms| self.now_ms - at_ms < SWEEP_EVERY_MS) {
            return;
        }
        process.swept_at_ms = Some(self.now_ms);
        let mut needed = process.engine.needed_copies();
        needed.extend(process.sending.values());
        self.kept.retain(|hash, _| needed.contains(hash));
    }

    pub(super) fn come_past_a_point(&mut self, is_idle: bool) {
        if self.process.is_none() {
            return;
        }
        let passed = if is_idle { self.disk.tick() } else { self.disk.point() };
        if passed.is_err() {
            self.die();
        }
    }

    /// The process is no more.
    pub(super) fn die(&mut self) {
        let (crash, down_s) = self.armed.take().unwrap_or((Crash::Kill, 1));
        self.judge.totals.crashes += 1;
        let points = self.disk.points;
        self.note(format_args!("dies at point {points}: {crash:?}"));
        self.process = None;
        self.judge.process_ends();
        self.disk.crash(crash);
        if let Crash::PowerCut { choice } = crash {
            // A copy is not made durable on purpose: it is recognised by its hash, and the file is still there.
            let now_ms = self.now_ms;
            self.kept.retain(|hash, (_, at_ms)| {
                now_ms - *at_ms > COPIES_SAFE_AFTER_MS || u64::from(hash.0[0]) & 1 == choice & 1
            });
        }
        self.show();
        self.post(1 + i64::from(down_s) * 1000, Post::Start);
    }

    /// The process is asked to end.
    pub(super) fn stop(&mut self, down_s: u32) {
        let Some(process) = &mut self.process else { return };
        if process.down_s.replace(down_s).is_none() {
            process.inputs.push(Input::Stop);
            let number = process.number;
            self.post(STOP_PATIENCE_MS, Post::StopEnds(number));
        }
    }

    fn finish_if_stopped(&mut self) {
        if self
            .process
            .as_ref()
            .is_some_and(|process| process.down_s.is_some() && process.engine.has_stopped())
        {
            self.finish();
        }
    }

    /// The process ends as it should: it saves what there is to save.
    pub(super) fn finish(&mut self) {
        let Some(process) = &mut self.process else { return };
        let down_s = process.down_s.unwrap_or(1);
        let LastWords { changes, state, .. } = process.engine.last_words();
        if !changes.is_empty() && self.record(changes).is_err() {
            return self.die();
        }
        if let Some(state) = state
            && self.publish(state).is_err()
        {
            return self.die();
        }
        self.note(format_args!("ends"));
        self.process = None;
        self.judge.process_ends();
        self.disk.crash_at = None;
        self.post(1 + i64::from(down_s) * 1000, Post::Start);
    }
}

/// After this time a kernel has written back what it was given.
const COPIES_SAFE_AFTER_MS: i64 = 30_000;
