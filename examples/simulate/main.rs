//! Proves the promise by trying: years of everything that can go wrong, in seconds each.
//!
//! ```sh
//! cargo run --release --example simulate -- --seed 1 --seeds 20 --entries 500 --days 365
//! cargo run --release --example simulate -- --script failing.json --trace
//! ```
//!
//! A seed that breaks a promise prints itself and the shortest script that still does; the exit code is 1 then.

mod sim;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use clap::{Parser, ValueEnum as _};

use sim::control::Control;
use sim::generate;
use sim::judge::Totals;
use sim::script::{ENTRIES_MIN, Script};
use sim::shrink::shrink;
use sim::world::{Options, Report, moment, play};

#[derive(Debug, Parser)]
#[command(about = "Runs the engine through years of everything that can go wrong")]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Entries in each run.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(i64::from(ENTRIES_MIN)..))]
    entries: u32,
    /// Days in each run.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(2..))]
    days: u32,
    /// Plays this script instead, as a failing seed prints it.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "entries", "days"])]
    script: Option<PathBuf>,
    /// Tells everything that happens.
    #[arg(long)]
    trace: bool,
    /// Gives the surroundings a defect, to see that it is found.
    #[arg(long, value_enum, default_value_t = Control::None)]
    control: Control,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let scripts = match &args.script {
        Some(path) => match read(path) {
            Ok(script) => vec![script],
            Err(why) => {
                anstream::eprintln!("cannot play {}: {why}", path.display());
                return ExitCode::from(2);
            }
        },
        None => (0..args.seeds)
            .map(|number| generate::script(args.seed.wrapping_add(number), args.entries, args.days))
            .collect(),
    };
    let options = Options { control: args.control, trace: args.trace, ..Options::default() };
    let reports = play_all(&scripts, options);
    sum_up(&reports);
    let broken = reports.iter().any(|(_, report)| !report.violations.is_empty());
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn read(path: &std::path::Path) -> Result<Script, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Script::from_text(&text)
}

/// Each run is for itself, so as many go on at once as there are processors. Each is told as soon as it is over, in
/// the order of the seeds.
fn play_all(scripts: &[Script], options: Options) -> Vec<(Script, Report)> {
    let next = AtomicUsize::new(0);
    let (sender, finished) = mpsc::channel();
    let work = |sender: mpsc::Sender<(usize, Report)>| {
        while let Some((number, script)) =
            scripts.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
        {
            if sender.send((number, play(script, options))).is_err() {
                return;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut waiting: BTreeMap<usize, Report> = BTreeMap::new();
    let mut reports = Vec::new();
    std::thread::scope(|scope| {
        for sender in std::iter::repeat_n(sender, threads) {
            scope.spawn(|| work(sender));
        }
        for (number, report) in finished {
            waiting.insert(number, report);
            while let Some(report) = waiting.remove(&reports.len()) {
                let script = scripts[reports.len()].clone();
                tell(&script, &report, options);
                reports.push((script, report));
            }
        }
    });
    reports
}

fn tell(script: &Script, report: &Report, options: Options) {
    for line in &report.lines {
        anstream::println!("{line}");
    }
    let Script { seed, entries, days, .. } = script;
    let Totals { uploads, requests, crashes, edits, .. } = report.totals;
    let trace = report.trace;
    let fine = if report.violations.is_empty() { "fine" } else { "BROKEN" };
    anstream::println!(
        "seed {seed}: {fine}, {uploads} uploads, {requests} requests, {crashes} crashes, {edits} edits, \
         trace {trace:016x}"
    );
    let Some(first) = report.violations.first() else { return };
    for violation in &report.violations {
        anstream::println!("  {} {:?}: {}", moment(violation.at_ms), violation.rule, violation.detail);
    }
    let control = match options.control.to_possible_value() {
        Some(defect) if options.control != Control::None => format!(" --control {}", defect.get_name()),
        _ => String::new(),
    };
    // A script of somebody's own is not the one of its seed.
    if generate::script(*seed, *entries, *days) == *script {
        anstream::println!(
            "again: cargo run --release --example simulate -- --seed {seed} --entries {entries} --days {days}{control}"
        );
    }
    let (script, violation) = shrink(script, first, options);
    anstream::println!(
        "shrunk, {:?} at {}: save this as a file and play it with --script FILE --trace{control}\n{}",
        violation.rule,
        moment(violation.at_ms),
        script.to_text()
    );
}

fn sum_up(reports: &[(Script, Report)]) {
    let mut sum = Totals::default();
    let (mut days, mut points, mut violations) = (0, 0, 0);
    for (script, report) in reports {
        days += u64::from(script.days);
        points += report.points;
        violations += report.violations.len();
        add(&mut sum, &report.totals);
    }
    let Totals { uploads, requests, publications, crashes, lapses, edits, retirements, .. } = sum;
    anstream::println!(
        "seeds={} days={days} uploads={uploads} dead_url_seconds={} wrong_bytes={} violations={violations} \
         requests={requests} publications={publications} crashes={crashes} crash_points={points} edits={edits} \
         retirements={retirements} lapses_told={lapses} swept_early_url_seconds={} overwritten_url_seconds={}",
        reports.len(),
        (sum.dead_ms + 999) / 1000,
        sum.wrong_bytes,
        sum.swept_ms / 1000,
        sum.overwritten_ms / 1000,
    );
}

fn add(sum: &mut Totals, other: &Totals) {
    sum.uploads += other.uploads;
    sum.requests += other.requests;
    sum.publications += other.publications;
    sum.crashes += other.crashes;
    sum.lapses += other.lapses;
    sum.edits += other.edits;
    sum.retirements += other.retirements;
    sum.dead_ms += other.dead_ms;
    sum.wrong_bytes += other.wrong_bytes;
    sum.swept_ms += other.swept_ms;
    sum.overwritten_ms += other.overwritten_ms;
}
