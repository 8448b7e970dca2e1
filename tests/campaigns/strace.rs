//! Faults at single system calls, by `strace --inject`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The calls that change a state folder, and those that could fail before.
pub(crate) const CALLS: &[&str] = &[
    "openat",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "linkat",
    "unlink",
    "ftruncate",
    "mkdir",
    "fchmod",
];

/// Whether faults can be injected here; some sandboxes forbid tracing.
pub(crate) fn can_inject() -> bool {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-qq", "-e", "trace=execve", "true"]);
    probe.output().is_ok_and(|output| output.status.success())
}

/// A program under `strace`, which follows all its threads and does this to it; what it traces goes to `log`.
pub(crate) fn traced(program: &[&str], wishes: &[String], log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(log);
    for wish in wishes {
        command.args(["-e", wish]);
    }
    command.args(program);
    command
}

/// How often the busiest thread of a program makes each call. `strace` counts each thread by itself.
pub(crate) fn counts(trace: &Path) -> BTreeMap<&'static str, usize> {
    let text = fs::read_to_string(trace).unwrap();
    let mut by_thread: BTreeMap<(&str, &'static str), usize> = BTreeMap::new();
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let name = call.trim_start().split('(').next().unwrap_or_default();
        if let Some(name) = CALLS.iter().find(|known| **known == name) {
            *by_thread.entry((thread, name)).or_default() += 1;
        }
    }
    let mut counts = BTreeMap::new();
    for ((_, name), count) in by_thread {
        let most: &mut usize = counts.entry(name).or_default();
        *most = count.max(*most);
    }
    counts
}

/// How a traced program ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) killed: bool,
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl From<Output> for Ending {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            killed: output.status.signal() == Some(9),
            code: output.status.code(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
