//! `mediakeep completions` and `mediakeep man`: made from the definitions of the arguments.

use clap::CommandFactory as _;

use super::args::Cli;
use super::exit::Exit;
use super::{print, tell};

pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mediakeep", &mut script);
    print(&String::from_utf8_lossy(&script));
    Exit::Done
}

pub(super) fn man() -> Exit {
    let mut page = Vec::new();
    match clap_mangen::Man::new(Cli::command()).render(&mut page) {
        Ok(()) => {
            print(&String::from_utf8_lossy(&page));
            Exit::Done
        }
        Err(error) => {
            tell(&format!("error: cannot make the manual page: {error}"));
            Exit::Unexpected
        }
    }
}
