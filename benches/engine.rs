//! What decisions cost at 1 000, 10 000 and 100 000 entries: a plan for all of them, and a turn in which one file
//! changed. The second must not grow with the first.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use mediakeep::domain::asset::{ContentHash, ProviderName, RelPath, Scope};
use mediakeep::domain::manifest::{self, Manifest, Source, Sources};
use mediakeep::domain::observation::{Coverage, Hint, Observation, RootHealth, RootIdentity, ScanReport};
use mediakeep::domain::reconciler::{Confirmation, Effect, Input, Mode, Outcome, Reconciler};
use mediakeep::domain::records::Records;
use mediakeep::domain::state::State;
use mediakeep::domain::time::{Now, Timestamp};
use mediakeep::provider::KINDS;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const MANIFEST: &str = r#"
version = 1
[provider.bandwidth]
kind = "bandwidth"
account_id = "5500012"
client_id = { env = "ID" }
client_secret = { env = "SECRET" }
concurrency = 64
[[media]]
files = "**/*.png"
to = "bandwidth"
"#;

fn main() {
    divan::main();
}

/// Everything is looked at and decided anew, as `mediakeep plan` does when nothing is due.
#[divan::bench(args = SIZES)]
fn plan(bencher: Bencher<'_, '_>, entries: usize) {
    let (_, state, now) = settled(entries);
    bencher.with_inputs(|| state.clone()).bench_local_values(|state| {
        let mut engine = Reconciler::new(Mode::Plan, Arc::new(read_manifest()), state, 0, now);
        let _ = engine.step(now, vec![Input::Scanned(report(entries))]);
        let plan = engine.plan(now, false);
        plan.items.len() + plan.kept
    });
}

/// A turn in which nothing happened: what a tick of an idle daemon costs.
#[divan::bench(args = SIZES)]
fn idle_turn(bencher: Bencher<'_, '_>, entries: usize) {
    let (mut engine, _, now) = settled(entries);
    bencher.bench_local(|| engine.step(now, Vec::new()).effects.len());
}

/// What a publication costs the loop: everything that is recorded, made ready to be written elsewhere, and dropped again.
#[divan::bench(args = SIZES)]
fn snapshot(bencher: Bencher<'_, '_>, entries: usize) {
    let (mut engine, _, _) = settled(entries);
    bencher.bench_local(|| engine.state().records.len());
}

/// What those who look on are shown, made and dropped again: the most that a change costs the loop on their behalf, and
/// no more often than a fiftieth of its time allows.
#[divan::bench(args = SIZES)]
fn overview(bencher: Bencher<'_, '_>, entries: usize) {
    let (engine, _, _) = settled(entries);
    bencher.bench_local(|| engine.overview().entries.len());
}

/// A turn in which the watcher named one file and the look at it showed other content.
#[divan::bench(args = SIZES)]
fn one_file_changed(bencher: Bencher<'_, '_>, entries: usize) {
    let (mut engine, _, now) = settled(entries);
    let path = name(entries / 2);
    let mut edition = 0_u32;
    bencher.bench_local(|| {
        edition += 1;
        let touched = Input::Touched { paths: vec![(path.clone(), Hint::Complete)], everything: false };
        let first = engine.step(now, vec![touched]).effects.len();
        let seen = vec![(path.clone(), present(&edition.to_le_bytes()))];
        let report = ScanReport { coverage: Coverage::Paths(vec![path.clone()]), ..report_of(seen) };
        let second = engine.step(now, vec![Input::Scanned(report)]);
        let inputs = answers(second.effects, now);
        first + engine.step(now, inputs).effects.len()
    });
}

/// An engine whose entries are all uploaded and recorded.
fn settled(entries: usize) -> (Reconciler, State, Now) {
    let now = Now::at(Timestamp::from_unix_ms(1_800_000_000_000));
    let state = State { lineage: "bench".into(), serial: 0, root: None, records: Records::default() };
    let mut engine = Reconciler::new(Mode::Daemon, Arc::new(read_manifest()), state, 0, now);
    let provider = ProviderName::new("bandwidth").expect("a good name");
    let mut inputs = vec![
        Input::Account {
            provider,
            result: Ok(Scope::new("5500012").expect("a good account")),
            is_new: false,
        },
        Input::Scanned(report(entries)),
    ];
    while !inputs.is_empty() {
        let step = engine.step(now, std::mem::take(&mut inputs));
        inputs = answers(step.effects, now);
    }
    let state = engine.state();
    assert_eq!(state.records.len(), entries);
    (engine, state, now)
}

/// What the world answers to effects.
fn answers(effects: Vec<Effect>, now: Now) -> Vec<Input> {
    let answer = |effect| match effect {
        Effect::Upload(order) => {
            let id = order.wanted.id.clone().expect("the client names media here");
            let url = format!("https://messaging.bandwidth.com/api/v2/users/5500012/media/{id}");
            let scope = Scope::new("5500012").expect("a good account");
            let result = Ok(Confirmation { id, url, scope, expires_at: None, server_date: None });
            Some(Input::Uploaded(Box::new(Outcome { order: *order, sent: now, source: None, result })))
        }
        Effect::Record(_) => Some(Input::Recorded(Ok(()))),
        Effect::Publish(_) => Some(Input::Published { result: Ok(()), took: Duration::from_millis(1) }),
        _ => None,
    };
    effects.into_iter().filter_map(answer).collect()
}

fn read_manifest() -> Manifest {
    let source = Source { name: "media.toml", path: Path::new("/srv/media.toml"), text: MANIFEST.as_bytes() };
    let sources = Sources { manifest: source, config: None, state_directory: None };
    manifest::parse(&sources, KINDS).manifest.expect("the manifest is good")
}

fn name(number: usize) -> RelPath {
    RelPath::new(&format!("d{:04}/f{number:06}.png", number / 100)).expect("a good path")
}

fn present(content: &[u8]) -> Observation {
    Observation::Present { hash: ContentHash::of(content), size: content.len() as u64 }
}

fn report(entries: usize) -> ScanReport {
    report_of((0..entries).map(|number| (name(number), present(&number.to_le_bytes()))).collect())
}

fn report_of(files: Vec<(RelPath, Observation)>) -> ScanReport {
    let root = RootHealth::Sound { identity: RootIdentity { device: 1, inode: 1 }, empty: false };
    ScanReport { coverage: Coverage::Everything, root, files, unreadable_folders: Vec::new() }
}
