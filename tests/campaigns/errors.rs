//! The disk says no: to one system call at a time, or to all of them from one on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::scale::{is_long, tell};
use crate::stage::{Mount, skip};
use crate::strace::{CALLS, can_inject};
use crate::syscalls::Bench;

const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EROFS"];

#[test]
fn an_error_of_any_system_call_tears_no_state_and_loses_no_url() {
    if !can_inject() {
        return skip("no system call can be interfered with here (Debian package: strace)");
    }
    let mut bench = Bench::new();
    let calls = bench.calls();
    let (mut injected, mut endings) = (0, [0, 0]);
    let state = bench.stage.beside("state");
    // Threads wake each other by writing, so of those calls only the ones to these files may fail.
    let only_these = ["journal", "lock", "state.json", "state.json.previous"].map(|name| state.join(name));
    for call in CALLS.iter().copied() {
        let mut number = 1;
        while number <= calls.get(call).copied().unwrap_or(1) {
            for (row, error) in ERRORS.iter().enumerate() {
                for on in ["", "+"] {
                    // The short form takes turns.
                    if !is_long() && (number + row + on.len()) % 6 != 0 {
                        continue;
                    }
                    bench.set_up();
                    let mut wishes = vec![
                        format!("trace={call}"),
                        format!("inject={call}:error={error}:when={number}{on}"),
                    ];
                    if call == "write" {
                        wishes.extend(only_these.iter().map(|path| format!("trace-path={}", path.display())));
                    }
                    let ending = bench.sync_with(&wishes);
                    let what = format!("{error} at {call} {number}{on}: {}", ending.said);
                    assert!(!ending.killed && ending.code.is_some(), "{what}");
                    assert!(!ending.said.contains("panicked"), "{what}");
                    assert_eq!(bench.judge(), Ok(()), "{what}");
                    injected += 1;
                    endings[usize::from(ending.code != Some(0))] += 1;
                }
            }
            number += 1;
        }
    }
    let [well, badly] = endings;
    assert!(badly > 0, "no error was ever felt");
    tell(&format!(
        "{injected} errors at system calls: {well} passes ended well all the same, {badly} said that they did not"
    ));
}

#[test]
fn a_disk_that_is_full_at_any_page_tears_no_state_and_loses_no_url() {
    let mut bench = Bench::new();
    let state = bench.stage.beside("state");
    let Some(mount) = Mount::over(&state, 1 << 20) else { return skip("nothing may be mounted here") };
    let pages = if is_long() { 24 } else { 12 };
    let mut refused = 0;
    for free in 0..pages {
        bench.set_up();
        let ballast = state.join("ballast");
        fill_up(&ballast, free);
        let ending = bench.sync_with(&["trace=none".to_owned()]);
        let what = format!("{free} pages free: {}", ending.said);
        assert!(!ending.killed && !ending.said.contains("panicked"), "{what}");
        refused += usize::from(ending.code != Some(0));
        fs::remove_file(&ballast).unwrap();
        assert_eq!(bench.judge(), Ok(()), "{what}");
    }
    assert!(refused > 0, "the disk was never full");
    drop(mount);
    tell(&format!("{pages} full disks, {refused} passes could not record what they had to"));
}

/// Leaves so many pages.
fn fill_up(ballast: &Path, free: u64) {
    let space = rustix::fs::statvfs(ballast.parent().unwrap()).unwrap();
    let pages = space.f_bavail.saturating_sub(free);
    let bytes = usize::try_from(pages * space.f_frsize).unwrap();
    File::create(ballast).unwrap().write_all(&vec![0; bytes]).unwrap();
}

#[test]
fn a_disk_that_became_read_only_tears_no_state_and_loses_no_url() {
    let mut bench = Bench::new();
    let state = bench.stage.beside("state");
    let Some(mount) = Mount::over(&state, 1 << 20) else { return skip("nothing may be mounted here") };
    let remount = |options: &str| {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{options}")]).arg(&state);
        assert!(command.status().unwrap().success());
    };
    bench.set_up();
    remount("ro");
    let ending = bench.sync_with(&["trace=none".to_owned()]);
    assert!(ending.code != Some(0) && !ending.said.contains("panicked"), "{}", ending.said);
    assert_eq!(bench.stage.uploads(), 0, "nothing goes out that could not be recorded");
    remount("rw");
    assert_eq!(bench.judge(), Ok(()));
    drop(mount);
}
