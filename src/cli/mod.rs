//! The commands: one file each. They print, and decide nothing.
//!
//! Standard output is data; everything else goes to standard error.

pub mod args;
pub mod diagnostics;
pub mod exit;

mod approve;
mod check;
mod demo;
mod documents;
mod emulate;
mod fallback;
mod init;
mod listing;
mod notify;
mod plan;
mod reload;
mod reporter;
mod service;
mod status;
mod table;
mod url;
mod voice;
mod workspace;

use crate::daemon::parts::chain;
use args::Command;
use exit::Exit;

/// Runs the command that was typed.
pub fn main() -> Exit {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(error) => {
            let failed = error.use_stderr();
            drop(error.print());
            return if failed { Exit::Usage } else { Exit::Done };
        }
    };
    let global = &cli.global;
    let _last_words = voice::begin(&cli);
    match cli.command {
        Command::Run => service::run(global),
        Command::Sync(options) => service::sync(global, options.json),
        Command::Plan(options) => or_exit(plan::run(global, &options)),
        Command::Check(options) => or_exit(check::run(global, &options)),
        Command::Status(options) => or_exit(status::run(global, options.json)),
        Command::Url(options) => or_exit(url::run(global, &options)),
        Command::Notify(options) => or_exit(notify::run(global, &options)),
        Command::Approve(options) => or_exit(approve::run(global, &options)),
        Command::Init(options) => or_exit(init::run(global, &options)),
        Command::Emulate(options) => emulate::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Completions(options) => documents::completions(options.shell),
        Command::Man => documents::man(),
    }
}

fn or_exit(result: Result<Exit, Exit>) -> Exit {
    result.unwrap_or_else(|exit| exit)
}
