//! The promise, tried: months in a world that goes wrong in every way (see `examples/simulate/`), a crash at every
//! single point, and for each check a defect that it must find.

#[path = "../examples/simulate/sim/mod.rs"]
mod sim;

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use mediakeep::domain::asset::{ContentHash, EntryKey, MediaId, MediaType, ProviderName, RelPath, Scope};
use mediakeep::domain::state::{Change, Handle, Record, State};
use mediakeep::domain::time::Timestamp;
use mediakeep::local::state_store::{FolderStore, StateStore};

use sim::control::Control;
use sim::disk::Disk;
use sim::generate;
use sim::judge::Rule;
use sim::script::{Crash, DAY_S, Edit, FolderTrouble, Scene, Script, Trouble, What};
use sim::shrink::shrink;
use sim::store::Store;
use sim::world::{Options, Report, play};

fn assert_fine(script: &Script, report: &Report, what: &str) {
    assert_eq!(report.violations, [], "{what}; the script is\n{}", script.to_text());
    assert_eq!((report.totals.dead_ms, report.totals.wrong_bytes), (0, 0), "{what}");
}

#[test]
fn no_published_url_is_dead_whatever_goes_wrong_for_a_month() {
    for seed in 100..106 {
        let script = generate::script(seed, 24, 30);
        let report = play(&script, Options::default());
        assert_fine(&script, &report, &format!("seed {seed}"));
        assert!(report.totals.crashes > 0 && report.totals.uploads > 500, "{:?}", report.totals);
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace_and_another_one_another() {
    let run = |seed| play(&generate::script(seed, 16, 12), Options { trace: true, ..Options::default() });
    let (first, second, other) = (run(7), run(7), run(8));
    assert!(first.lines.len() > 500, "{}", first.lines.len());
    assert_eq!(first, second);
    assert_ne!(first.trace, other.trace);
}

#[test]
fn a_script_survives_its_text() {
    let script = generate::script(42, 500, 365);
    assert!(script.scenes.len() > 500, "{}", script.scenes.len());
    assert_eq!(Script::from_text(&script.to_text()).unwrap(), script);
}

#[test]
fn a_script_by_hand_that_cannot_be_played_is_refused_with_a_reason() {
    let refused = |script: Script| Script::from_text(&script.to_text()).unwrap_err();
    let with = |what| Script { scenes: vec![Scene { at_s: 7, what }], ..quiet(8, 2) };
    assert!(
        refused(with(What::EarlySweep { provider: 2, percent: 1 })).contains("the scene at 7 s: there are")
    );
    let (trouble, minutes) = (Trouble::Refuses, 1);
    assert!(refused(with(What::Provider { provider: 2, trouble, minutes })).contains("providers 0 and 1"));
    assert!(refused(with(What::Clock { jump_s: i64::MIN, minutes })).contains("a clock jumps by"));
    let late = Script { scenes: vec![Scene { at_s: 2 * DAY_S, what: What::SyncFails }], ..quiet(8, 2) };
    assert!(refused(late).contains("the run is over at 172800 s"));
    for script in [quiet(7, 2), quiet(8, 0)] {
        assert!(refused(script).contains("at least 8 entries and one day"));
    }
    assert!(Script::from_text("{\"seed\": 1}").unwrap_err().contains("entries"));
}

fn quiet(entries: u32, days: u32) -> Script {
    Script { seed: 1, entries, days, server_named: true, scenes: Vec::new() }
}

fn scene(hours: u64, what: What) -> Scene {
    Scene { at_s: hours * 3600, what }
}

/// A day: edits, a renewal of everything, a state that is published again and again.
fn short_story() -> Script {
    let scenes = vec![
        scene(1, What::Edit { file: 0, edit: Edit::Write }),
        scene(2, What::Edit { file: 2, edit: Edit::RenameOver }),
        scene(3, What::SyncFails),
        scene(4, What::DiskFull { minutes: 20 }),
        scene(5, What::Edit { file: 1, edit: Edit::Recreate { gap_s: 20 } }),
    ];
    Script { scenes, ..quiet(8, 1) }
}

/// Every write, every sync and every rename, each media that a provider stored, and each turn of the engine: after each
/// of them the process is killed, or the power is cut, which leaves of the rest nothing, everything, or some of it.
#[test]
fn a_crash_after_any_operation_kills_no_url_and_loses_nothing() {
    let script = short_story();
    let undisturbed = play(&script, Options { trace: true, ..Options::default() });
    assert_fine(&script, &undisturbed, "undisturbed");
    let points = interesting_points(&script);
    assert!(points.len() > 300, "{}", points.len());
    for (index, point) in points.iter().enumerate() {
        let choice = 2 + u64::try_from(index).unwrap();
        let cuts = [0, 1, choice].map(|choice| Crash::PowerCut { choice });
        // Each kind of crash at each point takes a minute: the kinds take turns, all of them at close quarters.
        let crash = [Crash::Kill, cuts[0], cuts[2], cuts[1]][index % 4];
        let report = play(&script, Options { crash: Some((*point, crash)), ..Options::default() });
        assert_eq!(report.totals.crashes, 1, "{point}");
        assert_fine(&script, &report, &format!("{crash:?} at point {point}"));
    }
}

/// The points that are not mere ticks of an idle engine.
fn interesting_points(script: &Script) -> Vec<u64> {
    let report = play(script, Options { points: true, ..Options::default() });
    report.busy_points
}

/// Edits that nobody tells the engine of.
fn stealthy_story() -> Script {
    let edit = |number: u64| scene(5 + number * 5, What::Edit { file: 2, edit: Edit::Unnoticed });
    Script { scenes: (0..30).map(edit).collect(), ..quiet(20, 8) }
}

/// Something for the other controls to go wrong on: crashes, a folder that can't be read and one that is gone for days.
fn eventful_story() -> Script {
    let crash = |number: u64| {
        let crash =
            if number.is_multiple_of(2) { Crash::Kill } else { Crash::PowerCut { choice: number % 7 } };
        let points = u32::try_from(number * 7 % 40).expect("it is below 40");
        Scene { at_s: 3600 + number * 1900, what: What::Crash { crash, points, down_s: 1 } }
    };
    let mut scenes: Vec<Scene> = (0..200).map(crash).collect();
    let folder = |trouble, minutes| What::Folder { trouble, minutes };
    scenes.push(scene(24, folder(FolderTrouble::IsUnreadable, 300)));
    scenes.push(scene(5 * 24, folder(FolderTrouble::Vanishes, 3 * 24 * 60)));
    scenes.sort_by_key(|scene| scene.at_s);
    Script { scenes, ..quiet(30, 10) }
}

#[test]
fn every_check_finds_the_defect_that_it_is_there_for() {
    let (eventful, stealthy) = (eventful_story(), stealthy_story());
    for script in [&eventful, &stealthy] {
        assert_fine(script, &play(script, Options::default()), "without a defect");
    }
    for (control, rules) in [
        (Control::IgnoreSync, &[Rule::StateWhole][..]),
        (Control::WriteInPlace, &[Rule::StateWhole]),
        (Control::DropRecords, &[Rule::StateWhole]),
        (Control::AcknowledgeEarly, &[Rule::StateWhole]),
        (Control::Oversleep, &[Rule::UrlAlive, Rule::NoLapse]),
        (Control::SendAnyBytes, &[Rule::BytesAsRecorded]),
        (Control::UploadTwice, &[Rule::OneUploadAtOnce]),
        (Control::Stutter, &[Rule::ComesToRest]),
        (Control::TakeUnreadableForMissing, &[Rule::NoRetirementWithoutEdit]),
        (Control::LoseCopies, &[Rule::NoLapse]),
    ] {
        let script = if control == Control::SendAnyBytes { &stealthy } else { &eventful };
        let report = play(script, Options { control, ..Options::default() });
        let found: BTreeSet<Rule> = report.violations.iter().map(|violation| violation.rule).collect();
        assert!(rules.iter().all(|rule| found.contains(rule)), "{control:?}: {:?}", report.violations);
    }
}

#[test]
fn dead_seconds_are_counted_to_the_end_and_shown() {
    let options = Options { control: Control::Oversleep, ..Options::default() };
    let report = play(&quiet(20, 8), options);
    // The machine sleeps for thirty hours, and a media lives for forty-eight, of which some were over.
    assert!(report.totals.dead_ms > 3_600_000, "{:?}", report.totals);
}

#[test]
fn a_failing_script_is_cut_down_to_what_breaks_it() {
    let options = Options { control: Control::LoseCopies, ..Options::default() };
    let script = eventful_story();
    let report = play(&script, options);
    let first = report.violations.iter().find(|violation| violation.rule == Rule::NoLapse).unwrap();
    let (small, violation) = shrink(&script, first, options);
    assert_eq!(violation.rule, Rule::NoLapse);
    assert!(small.scenes.len() <= 2 && small.days < script.days, "{}", small.to_text());
    let again = Script::from_text(&small.to_text()).unwrap();
    assert!(play(&again, options).violations.contains(&violation), "it can be played again");
    assert_fine(&small, &play(&small, Options::default()), "without the defect");
}

/// Nothing goes wrong: then nothing is sent that is not due.
#[test]
fn an_undisturbed_month_costs_what_is_due_and_nothing_more() {
    let script = quiet(60, 30);
    let report = play(&script, Options::default());
    assert_fine(&script, &report, "quiet");
    let (files, doubled) = (u64::from(script.files()), u64::from(script.doubled()));
    // A life of 48 h is renewed after 19.2 to 24 h, one of 6 h after 2.4 to 3 h.
    let most = files * (1 + 30 * 24 * 10 / 191) + doubled * (1 + 30 * 24 * 10 / 23);
    let least = files * 30 + doubled * 240;
    assert!((least..=most).contains(&report.totals.requests), "{:?}", report.totals);
    assert_eq!(report.totals.requests, report.totals.uploads);
    assert_eq!((report.totals.lapses, report.totals.retirements), (0, 0));
}

/// Longer than any pause: an account that asks for a second at a time is asked less and less.
#[test]
fn what_a_provider_lost_is_found_within_an_interval() {
    // An hour from look to look, and a few minutes for what is under way.
    let until_found_s = 65 * 60;
    let play_for = |days| {
        let scenes = [2, 3].map(|day: u64| Scene {
            at_s: day * DAY_S - until_found_s,
            what: What::EarlySweep { provider: 0, percent: 40 },
        });
        let script = Script { server_named: false, scenes: scenes.to_vec(), ..quiet(24, days) };
        let report = play(&script, Options::default());
        assert_fine(&script, &report, "sweeps alone");
        report.totals.swept_ms
    };
    let counted_when_found = play_for(3);
    assert!(counted_when_found > 0);
    assert_eq!(play_for(6), counted_when_found, "something was dead for longer");
}

#[test]
fn a_provider_in_trouble_is_not_flooded() {
    for trouble in [
        Trouble::Refuses,
        Trouble::Fails,
        Trouble::Revokes,
        Trouble::Throttles { retry_after_s: Some(1) },
        Trouble::Throttles { retry_after_s: None },
    ] {
        let what = What::Provider { provider: 0, trouble, minutes: 1000 };
        let script = Script { scenes: vec![scene(30, what)], ..quiet(200, 4) };
        assert_fine(&script, &play(&script, Options::default()), &format!("{trouble:?}"));
    }
}

/// The simulation has its own copy of the order of steps in which the state is written: this holds it to the real one.
#[test]
fn the_simulated_store_leaves_the_files_that_the_real_one_leaves() {
    for seed in 0..6 {
        let mut rng = Rng::with_seed(seed);
        let (real_folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut disk = Disk::new(Control::None);
        let mut real = FolderStore::open(real_folder.path()).unwrap();
        let mut state = real.load().unwrap().state;
        let (mut simulated, _, _) = Store::open(&mut disk, scratch.path(), Control::None).unwrap();
        simulated.begin(&state.lineage);
        for step in 0..80 {
            match rng.u32(0..10) {
                0..5 => {
                    let changes: Vec<Change> =
                        (0..rng.u32(1..4)).map(|_| change(&mut state, &mut rng)).collect();
                    real.record(&changes).unwrap();
                    simulated.record(&mut disk, &changes).unwrap();
                }
                5..9 => {
                    state.serial += 1;
                    real.publish(&state).unwrap();
                    simulated.publish(&mut disk, Arc::new(state.clone())).unwrap();
                }
                _ => {
                    drop(real);
                    real = FolderStore::open(real_folder.path()).unwrap();
                    let loaded = real.load().unwrap();
                    let opened = Store::open(&mut disk, scratch.path(), Control::None).unwrap();
                    if opened.2 {
                        assert_eq!(
                            (&loaded.state, loaded.unpublished),
                            (&opened.1.state, opened.1.unpublished)
                        );
                        assert_eq!(loaded.state, state, "seed {seed}, step {step}");
                    }
                    simulated = opened.0;
                    simulated.begin(&loaded.state.lineage);
                    state = loaded.state;
                }
            }
            for (name, bytes) in disk.read_all() {
                let there = std::fs::read(real_folder.path().join(&name)).unwrap();
                assert!(there == bytes, "seed {seed}, step {step}: {name}");
            }
            let ours = |name: &str| name.starts_with("state.json") || name.starts_with("journal");
            let names = std::fs::read_dir(real_folder.path()).unwrap();
            let names: BTreeSet<String> = names
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| ours(name))
                .collect();
            assert_eq!(names, disk.read_all().into_iter().map(|(name, _)| name).collect());
        }
    }
}

fn change(state: &mut State, rng: &mut Rng) -> Change {
    state.serial += 1;
    let number = rng.u32(0..6);
    let path = RelPath::new(&format!("p{number}.png")).expect("a good value");
    let key = EntryKey { path, provider: ProviderName::new("bandwidth").expect("a good value") };
    let uploaded_at = Timestamp::from_unix_ms(
        1_800_000_000_000 + i64::try_from(state.serial).expect("a good value") * 1000,
    );
    let expires_at = uploaded_at + std::time::Duration::from_secs(2 * DAY_S);
    let handle = Handle {
        id: MediaId::new(&format!("p{number}-{}.png", state.serial)).expect("a good value"),
        url: Some(format!("https://media.example/{}", state.serial).into()),
        scope: Scope::new("5500012").expect("a good value"),
        hash: ContentHash::of(&state.serial.to_le_bytes()),
        size: 8,
        content_type: MediaType::new("image/png").expect("a good value"),
        cache_control: None,
        uploaded_at,
        expires_at,
        steady_expires_at: expires_at,
    };
    let record = Arc::new(Record { current: Some(handle), ..Record::default() });
    state.records = state.records.with([(key.clone(), Some(record.clone()))]);
    Change { serial: state.serial, key, record: Some(record) }
}
