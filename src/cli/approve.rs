//! `mediakeep approve`: lets go of exactly the entries that it shows.

use std::io::{BufRead as _, IsTerminal as _};

use super::args::{Approve, Global};
use super::exit::Exit;
use super::table::shown;
use super::workspace::Workspace;
use super::{chain, print, tell};
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
    tell(&format!("the guard holds back {} entries: {halt}", held_back.len()));
    for key in held_back {
        print(&format!("{}\t{}\n", shown(key.path.as_str()), key.provider));
    }
    tell("approved, they are not renewed any more, and their URLs end by themselves");
    if !options.yes && !asked() {
        tell("nothing was approved; say yes, or use --yes");
        return Ok(Exit::Halted);
    }
    let now = SystemClock::new().now();
    let approved = Approval::new(held_back.iter().cloned(), now.wall);
    match approval::write(&workspace.manifest.sync.state_dir, &approved) {
        Ok(()) => {
            tell(
                "approved; a running daemon acts on it within seconds, and otherwise the next run or sync does",
            );
            Ok(Exit::Done)
        }
        Err(error) => {
            tell(&format!("error: cannot write the approval: {}", chain(&error)));
            Err(Exit::Unexpected)
        }
    }
}

fn asked() -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    tell("let them go? [yes/no]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && matches!(answer.trim(), "yes" | "y")
}
