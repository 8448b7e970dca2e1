//! The timeline: what happens next in a world of one machine, its folder and disk, and two providers. Time jumps from
//! one event to the next, so that a year passes in seconds, and the same script always passes in the same way.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use mediakeep::domain::asset::ContentHash;
use mediakeep::domain::manifest::Manifest;
use mediakeep::domain::reconciler::{Input, Order};
use mediakeep::domain::state::Change;
use mediakeep::domain::time::{Now, Timestamp};

use super::bound::Bound;
use super::control::Control;
use super::disk::Disk;
use super::folder::{Bytes, Folder};
use super::judge::{Judge, Rule, Totals, Violation};
use super::manifests::{self, CONCURRENCY, PROVIDERS};
use super::process::Process;
use super::provider::Provider;
use super::script::{Crash, Edit, Script};

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) totals: Totals,
    pub(crate) violations: Vec<Violation>,
    /// A digest of everything that happened.
    pub(crate) trace: u64,
    /// How many points there were at which the process could have died, and those that matter if that was asked for.
    pub(crate) points: u64,
    pub(crate) busy_points: Vec<u64>,
    /// Everything that happened, if that was asked for.
    pub(crate) lines: Vec<String>,
}

/// What a run is to be like, besides its script.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub(crate) control: Control,
    /// Whether to keep a line for everything that happens.
    pub(crate) trace: bool,
    /// Whether to list the points at which a crash is worth a try.
    pub(crate) points: bool,
    /// The point at which the process dies, besides what the script says.
    pub(crate) crash: Option<(u64, Crash)>,
}

/// Plays a script.
pub(crate) fn play(script: &Script, options: Options) -> Report {
    let mut world = World::new(script, options);
    world.run();
    world.report()
}

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Post {
    Scene(usize),
    SceneEnds(usize),
    Start,
    /// The rest is for the process with this number, if it is still there.
    Input(u32, Box<Input>),
    Send(u32, Box<Order>),
    StopEnds(u32),
    WriteLate(u32, Vec<Change>),
    /// A file comes back.
    FileReturns(usize, Edit),
    /// A media reaches a provider.
    Arrives {
        provider: u8,
        url: Box<str>,
        bytes: Bytes,
    },
    Dies {
        provider: u8,
        url: Box<str>,
    },
}

pub(super) struct World<'s> {
    pub(super) script: &'s Script,
    pub(super) options: Options,
    /// True time since the start, which no clock in this world shows.
    pub(super) now_ms: i64,
    /// By how much the machine's wall clock is wrong, and by which scenes.
    pub(super) clock_errors: BTreeMap<usize, i64>,
    pub(super) clock_wrong_at_ms: Option<i64>,
    posts: BTreeMap<(i64, u64), Post>,
    posted: u64,
    pub(super) rng: Rng,
    pub(super) folder: Folder,
    pub(super) providers: Vec<Provider>,
    pub(super) disk: Disk,
    pub(super) full_disks: usize,
    /// Copies of published bytes, and since when they are on the disk.
    pub(super) kept: BTreeMap<ContentHash, (Bytes, i64)>,
    pub(super) judge: Judge,
    pub(super) bound: Bound,
    pub(super) process: Option<Process>,
    pub(super) processes: u32,
    /// How the process dies when it comes to the disk's next deadly point.
    pub(super) armed: Option<(Crash, u32)>,
    asleep_until_ms: i64,
    pub(super) variants: BTreeMap<usize, u8>,
    manifests: Vec<Arc<Manifest>>,
    /// When a manifest that left a file out was in force last.
    pub(super) unlisted_until_ms: Option<i64>,
    /// The newest serial that was acknowledged as durable, and that was asked for.
    pub(super) durable: (u64, u64),
    pub(super) scratch: tempfile::TempDir,
    trace: Trace,
}

struct Trace {
    hasher: DefaultHasher,
    text: String,
    lines: Option<Vec<String>>,
}

/// When it all begins: 2026-11-21T16:00:00Z.
const START_MS: i64 = 1_795_276_800_000;
/// After a wrong clock was set right, nothing that it put into the state is left after this time.
const CLOCK_FORGOTTEN_MS: i64 = 5 * 86_400_000;

impl<'s> World<'s> {
    fn new(script: &'s Script, options: Options) -> Self {
        let mut disk = Disk::new(options.control);
        disk.crash_at = options.crash.map(|(at, _)| at);
        disk.busy_points = options.points.then(Vec::new);
        let provider = |(name, retention_ms)| Provider::new(name, retention_ms, CONCURRENCY);
        let mut world = Self {
            script,
            options,
            now_ms: 0,
            clock_errors: BTreeMap::new(),
            clock_wrong_at_ms: None,
            posts: BTreeMap::new(),
            posted: 0,
            rng: Rng::with_seed(script.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            folder: Folder::new(manifests::paths(script), options.control),
            providers: PROVIDERS.into_iter().map(provider).collect(),
            disk,
            full_disks: 0,
            kept: BTreeMap::new(),
            judge: Judge::default(),
            bound: Bound::new(script),
            process: None,
            processes: 0,
            armed: options.crash.map(|(_, crash)| (crash, 1)),
            asleep_until_ms: 0,
            variants: BTreeMap::new(),
            manifests: (0..5).map(|variant| manifests::manifest(script, variant)).collect(),
            unlisted_until_ms: None,
            durable: (0, 0),
            scratch: tempfile::tempdir().expect("a folder for scratch files can be made"),
            trace: Trace {
                hasher: DefaultHasher::new(),
                text: String::new(),
                lines: options.trace.then(Vec::new),
            },
        };
        for (number, scene) in script.scenes.iter().enumerate() {
            world.post(i64::try_from(scene.at_s).unwrap_or(i64::MAX / 2_000) * 1000, Post::Scene(number));
        }
        world.post(0, Post::Start);
        world
    }

    fn run(&mut self) {
        let end_ms = self.script.length_ms();
        loop {
            let wake_ms = self.process.as_ref().map_or(i64::MAX, |process| process.wake_ms);
            let wake_ms = wake_ms.max(self.asleep_until_ms).max(self.now_ms);
            let next = self.posts.first_key_value().map_or(i64::MAX, |((at_ms, _), _)| *at_ms);
            let at_ms = next.min(wake_ms);
            if at_ms > end_ms || self.judge.has_given_up() {
                break;
            }
            self.now_ms = self.now_ms.max(at_ms);
            if next <= wake_ms {
                self.take_posts();
            }
            self.turn_if_due();
        }
        self.now_ms = end_ms;
        self.check_end();
        self.judge.close(end_ms);
    }

    /// Everything that happens at this moment, and a turn of the process if any of it is for it.
    fn take_posts(&mut self) {
        while let Some(first) = self.posts.first_entry()
            && first.key().0 <= self.now_ms
        {
            let post = first.remove();
            if self.is_asleep() {
                self.put_off(post);
            } else {
                self.take_post(post);
            }
        }
    }

    fn take_post(&mut self, post: Post) {
        match post {
            Post::Scene(number) => self.begin(number),
            Post::SceneEnds(number) => self.end(number),
            Post::Start => self.start(),
            Post::Input(_, input) if matches!(*input, Input::ScanHung) && !self.is_look_awaited() => {}
            Post::Input(process, input) => {
                if let Some(process) = self.process.as_mut().filter(|present| present.number == process) {
                    process.inputs.push(*input);
                }
            }
            Post::Send(process, order) if self.is_running(process) => self.send(*order),
            Post::StopEnds(process) if self.is_running(process) => self.finish(),
            Post::WriteLate(process, changes) if self.is_running(process) => self.write_late(&changes),
            Post::Send(..) | Post::StopEnds(..) | Post::WriteLate(..) => {}
            Post::FileReturns(file, edit) => self.bring_back(file, edit),
            Post::Arrives { provider, url, bytes } => self.arrive(provider, url, &bytes),
            Post::Dies { provider, url } => {
                if self.providers[usize::from(provider)].expire(&url, self.now_ms) {
                    self.tell_url_changed(&url);
                }
            }
        }
    }

    /// What a sleeping machine learns when it wakes up; the world does not wait. Most connections are gone then.
    fn put_off(&mut self, mut post: Post) {
        if let Post::Input(_, input) = &mut post
            && self.rng.bool()
        {
            super::process::lose_answer(input);
        }
        match post {
            Post::Input(..) | Post::Send(..) | Post::StopEnds(..) | Post::WriteLate(..) | Post::Start => {
                self.post_at(self.asleep_until_ms, post);
            }
            other => self.take_post(other),
        }
    }

    pub(super) fn is_running(&self, process: u32) -> bool {
        self.process.as_ref().is_some_and(|present| present.number == process)
    }

    pub(super) fn post(&mut self, after_ms: i64, post: Post) {
        self.post_at(self.now_ms + after_ms, post);
    }

    fn post_at(&mut self, at_ms: i64, post: Post) {
        self.posted += 1;
        self.posts.insert((at_ms, self.posted), post);
    }

    /// Something for the process that runs, if one does.
    pub(super) fn give(&mut self, after_ms: i64, input: Input) {
        if let Some(process) = &self.process {
            let number = process.number;
            self.post(after_ms, Post::Input(number, Box::new(input)));
        }
    }

    pub(super) fn wall(&self) -> Timestamp {
        let wrong_ms: i64 = self.clock_errors.values().sum();
        Timestamp::from_unix_ms(START_MS + self.now_ms + wrong_ms)
    }

    /// Whether the wall clock is right, and has been for so long that nothing in the state is from another time.
    pub(super) fn is_clock_trusted(&self) -> bool {
        let forgotten = |wrong: i64| wrong + CLOCK_FORGOTTEN_MS < self.now_ms;
        self.clock_errors.is_empty() && self.clock_wrong_at_ms.is_none_or(forgotten)
    }

    fn variant(&self) -> u8 {
        self.variants.values().next_back().copied().unwrap_or(0)
    }

    pub(super) fn is_variant(&self, variant: u8) -> bool {
        self.variant() == variant
    }

    pub(super) fn manifest(&self) -> Arc<Manifest> {
        self.manifests[usize::from(self.variant()).min(self.manifests.len() - 1)].clone()
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.now_ms < self.asleep_until_ms
    }

    pub(super) fn fall_asleep(&mut self, length_ms: i64) {
        self.asleep_until_ms = self.asleep_until_ms.max(self.now_ms + length_ms);
    }

    fn arrive(&mut self, provider: u8, url: Box<str>, bytes: &Bytes) {
        let number = usize::from(provider);
        let dies_at_ms = self.providers[number].store(&url, bytes, self.now_ms, &mut self.rng);
        self.judge.totals.uploads += 1;
        self.tell_url_changed(&url);
        self.post_at(dies_at_ms, Post::Dies { provider, url });
        self.come_past_a_point(false);
    }

    pub(super) fn tell_url_changed(&mut self, url: &str) {
        let wall_ms = if self.is_clock_trusted() { self.wall().unix_ms() } else { i64::MAX };
        self.judge.url_changed(url, &self.providers, self.now_ms, wall_ms);
    }

    pub(super) fn note(&mut self, text: fmt::Arguments<'_>) {
        self.trace.note(self.now_ms, text);
    }

    fn report(self) -> Report {
        Report {
            totals: self.judge.totals,
            violations: self.judge.violations,
            trace: self.trace.hasher.finish(),
            points: self.disk.points,
            busy_points: self.disk.busy_points.unwrap_or_default(),
            lines: self.trace.lines.unwrap_or_default(),
        }
    }

    /// When all has been quiet for a day, everything is as it should be.
    fn check_end(&mut self) {
        let Some(process) = &self.process else { return };
        let manifest = self.manifest();
        let mut wrong = Vec::new();
        for number in 0..self.folder.len() {
            let path = self.folder.path(number);
            let Some((bytes, hash)) = self.folder.content(&path) else { continue };
            let spoilt = super::folder::is_spoilt(bytes);
            for (provider, _) in manifest.selected(&path) {
                let key = mediakeep::domain::asset::EntryKey { path: path.clone(), provider };
                let record = self.judge.visible().get(&key);
                let live =
                    record.filter(|record| record.retired_at.is_none()).and_then(|record| record.live());
                let is_right = match live {
                    Some(handle) => handle.hash == hash || spoilt,
                    // Whoever had nothing to publish has published nothing.
                    None => spoilt,
                };
                if !is_right {
                    wrong.push(key.to_string());
                }
            }
        }
        if process.engine.is_halted() {
            wrong.push("the guard".to_owned());
        }
        if !wrong.is_empty() {
            let some = wrong.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            let detail = format!("{} of {} not as wanted: {some}", wrong.len(), self.folder.len());
            self.judge.object(self.now_ms, Rule::Converges, detail);
        }
        if let Some(detail) = self.bound.at_the_end() {
            self.judge.object(self.now_ms, Rule::FewRequests, detail);
        }
    }

    pub(super) fn clock(&self, process: &Process) -> Now {
        let passed = Duration::from_millis(u64::try_from(self.now_ms - process.started_ms).unwrap_or(0));
        Now { wall: self.wall(), steady: process.origin + passed }
    }
}

impl Trace {
    fn note(&mut self, now_ms: i64, text: fmt::Arguments<'_>) {
        self.text.clear();
        // Writing into memory does not fail.
        let _ = self.text.write_fmt(text);
        (now_ms, &self.text).hash(&mut self.hasher);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {}", moment(now_ms), self.text));
        }
    }
}

/// A moment for people: days and time since the start.
pub(crate) fn moment(now_ms: i64) -> String {
    let (seconds, rest) = (now_ms / 1000, now_ms % 1000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    format!("day {days} {:02}:{:02}:{:02}.{rest:03}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}
