//! `mediakeep approve`: lets go of exactly the entries that it shows.

use std::fmt::Write as _;

use super::args::{Approve, Global};
use super::chain;
use super::exit::Exit;
use super::table::{count, shown};
use super::voice::{ask, fail, print, tell};
use super::workspace::Workspace;
use crate::domain::approval::Approval;
use crate::local::approval;
use crate::local::clock::{Clock as _, SystemClock};

pub(super) fn run(global: &Global, options: &Approve) -> Result<Exit, Exit> {
    let workspace = Workspace::open(global)?;
    drop(workspace.recorded_or_explain()?);
    let (engine, _) = workspace.looked_at()?;
    let Some((halt, held_back)) = engine.held_back() else {
        tell("the guard holds nothing back");
        return Ok(Exit::Done);
    };
    tell(&format!("the guard holds back {}: {halt}", count(held_back.len(), "entry", "entries")));
    let mut list = String::new();
    for key in held_back {
        let _ = writeln!(list, "{}\t{}", shown(key.path.as_str()), key.provider);
    }
    let printed = print(&list);
    tell("once approved, they are not renewed any more, and their URLs end by themselves");
    if !options.yes && !is_agreed() {
        fail("nothing was approved; answer yes at a terminal, or use --yes");
        return Ok(Exit::Halted);
    }
    let now = SystemClock::new().now();
    let approved = Approval::new(held_back.iter().cloned(), now.wall);
    match approval::write(&workspace.manifest.sync.state_dir, &approved) {
        Ok(()) => {
            tell(
                "approved; a running daemon acts on it once the files have been gone for a minute, otherwise the next run or sync does",
            );
            Ok(printed)
        }
        Err(error) => {
            fail(&format!("cannot write the approval: {}", chain(&error)));
            Err(Exit::Unexpected)
        }
    }
}

fn is_agreed() -> bool {
    ask("let them go? [yes/no]").is_some_and(|answer| matches!(&*answer.to_lowercase(), "yes" | "y"))
}
