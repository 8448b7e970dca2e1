//! The program is killed before each system call that it makes, one run for each call, and started again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::promises::{Shown, kept, shown};
use crate::scale::{is_long, tell};
use crate::stage::{LIFE, Stage, file, files, put, skip};
use crate::strace::{CALLS, Ending, can_inject, counts, traced};

/// What a case may cost: every wanted upload, and once more whatever was under way.
const UPLOADS_WANTED: usize = 4;

/// A folder whose state is published, to be changed and then hit by a fault, again and again.
pub(crate) struct Bench {
    pub(crate) stage: Stage,
    pub(crate) before: Shown,
    pub(crate) cases: usize,
}

impl Bench {
    pub(crate) fn new() -> Self {
        // So long that nothing dies by itself.
        let stage = Stage::with_life(LIFE * 360);
        let rules = file("logo.png") + &files("photos/*.jpg", "bandwidth") + &files("photos/*.jpg", "plivo");
        let accounts = stage.accounts().replace("300ms", "10ms");
        stage.put("media.toml", &(accounts + &rules));
        stage.put("logo.png", "logo");
        stage.put("photos/1.jpg", "first");
        stage.put("photos/2.jpg", "second");
        let mut bench = Self { stage, before: Shown::new(), cases: 0 };
        let first = bench.sync();
        assert_eq!(first.code, Some(0), "{}", first.said);
        bench.before = kept(&bench.stage, &bench.before).unwrap();
        copy(&bench.stage.beside("state"), &bench.stage.beside("base"));
        bench
    }

    /// The state as it was in the beginning, and a folder with news that no case had before: one file that changed
    /// and one that is new, for two providers.
    pub(crate) fn set_up(&mut self) {
        self.cases += 1;
        let state = self.stage.beside("state");
        for entry in fs::read_dir(&state).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        copy(&self.stage.beside("base"), &state);
        self.stage.put("photos/1.jpg", &format!("changed for case {}", self.cases));
        self.stage.put("photos/3.jpg", &format!("made for case {}", self.cases));
        self.stage.control().clear_requests();
    }

    fn sync(&self) -> Ending {
        self.stage.command(&["sync"]).output().unwrap().into()
    }

    /// One pass under `strace`.
    pub(crate) fn sync_with(&self, wishes: &[String]) -> Ending {
        let trace = self.stage.beside("trace");
        let mut command = traced(&[env!("CARGO_BIN_EXE_mediakeep"), "sync"], wishes, &trace);
        self.stage.furnish(&mut command);
        command.output().unwrap().into()
    }

    /// After a fault: readers have what they had, and an undisturbed pass brings the rest, at a price that is bounded.
    pub(crate) fn judge(&self) -> Result<(), String> {
        let known = kept(&self.stage, &self.before)?;
        let after = self.sync();
        if after.code != Some(0) {
            return Err(format!("the next pass ends with {:?}: {}", after.code, after.said));
        }
        let all = kept(&self.stage, &known)?;
        if all.len() != 8 {
            return Err(format!("{} of 8 entries have a URL", all.len()));
        }
        for (name, content) in [("photos/1.jpg", "changed"), ("photos/3.jpg", "made")] {
            for provider in ["bandwidth", "plivo"] {
                let wanted = format!("{content} for case {}", self.cases);
                let published = self.stage.content(name, provider);
                if published.as_deref() != Some(&wanted) {
                    return Err(format!("{name} at {provider} is {published:?}"));
                }
            }
        }
        match self.stage.uploads() {
            uploads if uploads <= 2 * UPLOADS_WANTED => Ok(()),
            uploads => Err(format!("{uploads} uploads where {UPLOADS_WANTED} were wanted")),
        }
    }

    /// How often the busiest thread of an undisturbed pass makes each call.
    pub(crate) fn calls(&mut self) -> BTreeMap<&'static str, usize> {
        self.set_up();
        let ending = self.sync_with(&[format!("trace={}", CALLS.join(","))]);
        assert_eq!(ending.code, Some(0), "{}", ending.said);
        self.judge().unwrap();
        counts(&self.stage.beside("trace"))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut cp = Command::new("cp");
    assert!(cp.arg("-a").arg(from.join(".")).arg(to).status().unwrap().success());
}

fn kill_at(call: &str, number: usize) -> [String; 2] {
    [format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}")]
}

#[test]
fn a_kill_before_any_system_call_tears_no_state_and_loses_no_url() {
    if !can_inject() {
        return skip("no system call can be interfered with here (Debian package: strace)");
    }
    let mut bench = Bench::new();
    let mut kills = 0;
    let (mut uploads, mut repeated) = (0, 0);
    for (call, count) in bench.calls() {
        let (mut number, mut survived) = (0, 0);
        // Until a run makes no such call any more, twice: how often threads wake each other differs.
        while survived < 2 {
            number += 1;
            assert!(number < count + 100, "{call} has no end");
            bench.set_up();
            let ending = bench.sync_with(&kill_at(call, number));
            let verdict = bench.judge();
            assert_eq!(verdict, Ok(()), "killed at {call} {number}: {}", ending.said);
            kills += usize::from(ending.killed);
            survived += usize::from(!ending.killed);
            uploads += bench.stage.uploads();
            repeated += bench.stage.uploads().saturating_sub(UPLOADS_WANTED);
        }
        assert!(number > 2, "{call} is never made");
    }
    tell(&format!("{kills} kills at system calls of `sync`, {uploads} uploads, {repeated} of them repeated"));
}

/// The control: a program that writes its state in place, under the same kills and the same eye.
#[test]
fn a_writer_in_place_is_found_torn_by_the_same_kills() {
    if !can_inject() {
        return skip("no system call can be interfered with here (Debian package: strace)");
    }
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state.json");
    let script = r#"exec 3>"$0"; printf '{"media": {' >&3; printf '}}' >&3"#;
    let mut torn = 0;
    for (call, number) in [("openat", 1), ("write", 1), ("write", 2), ("write", 3)] {
        put(&state, "{\"media\": {}}");
        let program = ["sh", "-c", script, state.to_str().unwrap()];
        let wishes = kill_at(call, number);
        let ending = traced(&program, &wishes, &place.path().join("trace")).output().unwrap();
        drop(ending);
        torn += usize::from(shown(&state).is_err());
    }
    assert_eq!(torn, 2, "before the first and before the second write");
}

/// The daemon, which does the same and more, for as long as it takes to publish.
#[test]
fn a_kill_of_the_daemon_before_any_system_call_tears_no_state_and_loses_no_url() {
    if !can_inject() {
        return skip("no system call can be interfered with here (Debian package: strace)");
    }
    let mut bench = Bench::new();
    let calls = bench.calls();
    let mut kills = 0;
    for call in
        ["fsync", "fdatasync", "rename", "renameat", "linkat", "unlink", "ftruncate", "write", "openat"]
    {
        let most = calls.get(call).map_or(0, |count| count + 3).min(if is_long() { 60 } else { 6 });
        for number in 1..=most {
            bench.set_up();
            let trace = bench.stage.beside("trace");
            let mut command =
                traced(&[env!("CARGO_BIN_EXE_mediakeep"), "run"], &kill_at(call, number), &trace);
            bench.stage.furnish(&mut command);
            let mut daemon = bench.stage.start(command);
            let wanted = format!("made for case {}", bench.cases);
            bench.stage.until("it is killed or has published", || {
                let done = |provider: &str| {
                    bench.stage.content("photos/3.jpg", provider).as_deref() == Some(&wanted)
                };
                !daemon.is_running() || (done("bandwidth") && done("plivo"))
            });
            kills += usize::from(!daemon.is_running());
            // The daemon itself: it has not made so many calls, and is killed all the same.
            end(daemon.pid());
            let verdict = bench.judge();
            assert_eq!(verdict, Ok(()), "killed at {call} {number}: {}", daemon.said());
        }
    }
    assert!(kills > 20, "{kills}");
    tell(&format!("{kills} kills at system calls of `run`"));
}

/// Kills what runs under this `strace`.
fn end(strace: u32) {
    let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap_or_default();
    for child in children.split_whitespace() {
        let kill = format!("kill -KILL {child}");
        drop(Command::new("sh").args(["-c", &kill]).output());
        crate::stage::until(
            "it has ended",
            || !Path::new(&format!("/proc/{child}/fd")).exists(),
            String::new,
        );
    }
}

/// What a pass writes, shows, removes and makes durable: a line for each call, with the thread before it.
fn trace_of_a_pass(bench: &Bench) -> String {
    let calls = "trace=write,fsync,fdatasync,rename,renameat,unlink,unlinkat".to_owned();
    let ending = bench.sync_with(&[calls, "decode-fds=path".to_owned()]);
    assert_eq!(ending.code, Some(0), "{}", ending.said);
    fs::read_to_string(bench.stage.beside("trace")).unwrap()
}

/// The calls without their threads.
fn calls_of(trace: &str) -> Vec<&str> {
    trace.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start())).collect()
}

/// A path as a call names it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// Whether it is that call, on an open file of that path.
fn on(call: &str, name: &str, path: &Path) -> bool {
    call.starts_with(&format!("{name}(")) && call.contains(&format!("<{}>", path.display()))
}

/// A kill loses nothing that was written, so it cannot tell whether it was made durable: the order of calls does.
#[test]
fn what_is_shown_was_made_durable_before_and_the_journal_before_it_counts() {
    if !can_inject() {
        return skip("no system call can be watched here (Debian package: strace)");
    }
    let mut bench = Bench::new();
    bench.set_up();
    let trace = trace_of_a_pass(&bench);
    let calls = calls_of(&trace);
    let folder = bench.stage.beside("state");
    let (journal, shown) = (folder.join("journal"), quoted(&folder.join("state.json")));
    let mut snapshots = 0;
    for (place, call) in calls.iter().enumerate() {
        let (before, after) = (&calls[..place], &calls[place + 1..]);
        if call.starts_with("rename") && call.contains(&format!(", {shown}")) {
            snapshots += 1;
            let staged = call.split('"').nth(1).unwrap();
            assert!(before.iter().any(|call| on(call, "fsync", Path::new(staged))), "{call}:\n{trace}");
            assert!(after.iter().any(|call| on(call, "fsync", &folder)), "{call}:\n{trace}");
        }
        if on(call, "write", &journal) {
            let next = after.iter().find(|call| on(call, "fdatasync", &journal) || call.contains(&shown));
            assert!(next.is_some_and(|call| call.starts_with("fdatasync")), "{call}:\n{trace}");
        }
    }
    assert!(snapshots > 0 && calls.iter().any(|call| on(call, "write", &journal)), "{trace}");
}

/// A manifest that a power cut takes away again may be the only good one, and an approval that it brings back would
/// count twice.
#[test]
fn what_is_remembered_and_what_is_consumed_is_made_durable() {
    if !can_inject() {
        return skip("no system call can be watched here (Debian package: strace)");
    }
    let mut bench = Bench::new();
    bench.set_up();
    let manifest = fs::read_to_string(bench.stage.media("media.toml")).unwrap();
    bench.stage.put("media.toml", &format!("{manifest}# another text, to be remembered\n"));
    let folder = bench.stage.beside("state");
    let approval = folder.join("approval.json");
    put(&approval, APPROVAL_OF_NOTHING);
    let trace = trace_of_a_pass(&bench);
    let calls = calls_of(&trace);

    let good = folder.join("last-good/last-good.json");
    let is_shown = |call: &&str| call.starts_with("rename") && call.contains(&format!(", {}", quoted(&good)));
    let shown = calls.iter().position(is_shown).unwrap_or_else(|| panic!("it is not remembered:\n{trace}"));
    let staged = Path::new(calls[shown].split('"').nth(1).unwrap());
    assert!(calls[..shown].iter().any(|call| on(call, "fsync", staged)), "its content:\n{trace}");
    let its_folder = good.parent().unwrap();
    assert!(calls[shown..].iter().any(|call| on(call, "fsync", its_folder)), "its name:\n{trace}");

    let is_removed = |line: &&str| line.contains(" unlink") && line.contains(&quoted(&approval));
    let mut lines = trace.lines().skip_while(|line| !is_removed(line));
    let removed = lines.next().unwrap_or_else(|| panic!("it is not consumed:\n{trace}"));
    // The very next thing that its thread does: later on the folder is made durable for other reasons.
    let thread = removed.split_inclusive(' ').next().unwrap();
    let of_thread: Vec<&str> = lines.filter(|line| line.starts_with(thread)).collect();
    // Another thread's call may cut the line of a call in two.
    let of_thread = of_thread.join("\n");
    let next = calls_of(&of_thread).into_iter().find(|call| !call.starts_with("<..."));
    assert!(next.is_some_and(|call| on(call, "fsync", &folder)), "its end:\n{trace}");
}

/// An approval that nothing needs, so that the next pass consumes it.
const APPROVAL_OF_NOTHING: &str = r#"{
  "format": 1,
  "digest": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
  "entries": [],
  "approved_at": "2026-11-21T16:00:00Z"
}
"#;
