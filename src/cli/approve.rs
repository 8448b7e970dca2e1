//! `mediakeep approve`: lets go of exactly the entries that it shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::args::{Approve, Global};
use super::chain;
use super::exit::Exit;
use super::table::{ago, count, shown};
use super::voice::{ask, fail, print, tell};
use super::workspace::Workspace;
use crate::domain::approval::{Approval, digest};
use crate::domain::asset::EntryKey;
use crate::domain::time::Timestamp;
use crate::local::approval;
use crate::local::clock::{Clock as _, SystemClock};

pub(super) fn run(global: &Global, options: &Approve) -> Result<Exit, Exit> {
    let workspace = Workspace::open(global)?;
    drop(workspace.recorded_or_explain()?);
    let (engine, _) = workspace.looked_at()?;
    let state_dir = &workspace.manifest.sync.state_dir;
    let given = approval::read(state_dir).ok().flatten();
    let now = SystemClock::new().now().wall;
    let Some((halt, held_back)) = engine.held_back() else {
        tell("the guard holds nothing back");
        if let Some(given) = given {
            let given = waiting(&given, now);
            tell(&format!("{given}; the next run or sync withdraws it, if nothing needs it then"));
        }
        return Ok(Exit::Done);
    };
    tell(&format!("the guard holds back {}: {halt}", count(held_back.len(), "entry", "entries")));
    let printed = list(held_back);
    if let Some(given) = given {
        let is_same = given.digest() == digest(held_back);
        let given = waiting(&given, now);
        if is_same {
            tell(&format!("{given}, for exactly these; {WHEN}"));
            return Ok(printed);
        }
        tell(&format!("{given}, for others than these; this one would take its place"));
    }
    tell("once approved, they are not renewed any more, and their URLs end by themselves");
    if !options.yes && !is_agreed() {
        fail("nothing was approved; answer yes at a terminal, or use --yes");
        return Ok(Exit::Halted);
    }
    let approved = Approval::new(held_back.iter().cloned(), SystemClock::new().now().wall);
    if let Err(error) = approval::write(state_dir, &approved) {
        fail(&format!("cannot write the approval: {}", chain(&error)));
        return Err(Exit::Unexpected);
    }
    tell(&format!("approved; {WHEN}"));
    Ok(printed)
}

fn list(held_back: &BTreeSet<EntryKey>) -> Exit {
    let mut list = String::new();
    for key in held_back {
        let _ = writeln!(list, "{}\t{}", shown(key.path.as_str()), key.provider);
    }
    print(&list)
}

/// An approval that was given and not used so far, in words.
pub(super) fn waiting(approval: &Approval, now: Timestamp) -> String {
    let entries = count(approval.entries.len(), "entry", "entries");
    format!("an approval of {entries} waits, given {}", ago(approval.approved_at, now))
}

fn is_agreed() -> bool {
    ask("let them go? [yes/no]").is_some_and(|answer| matches!(&*answer.to_lowercase(), "yes" | "y"))
}

/// Who acts on an approval, and when.
pub(super) const WHEN: &str = "a running daemon acts on it once the files have been gone for a minute, otherwise the next run or sync does";
