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
mod init;
mod listing;
mod plan;
mod reporter;
mod service;
mod status;
mod table;
mod url;
mod workspace;

use std::io::Write as _;

use args::{Cli, Command};
use clap::Parser as _;
use exit::Exit;

use crate::telemetry::{Format, Verbosity};

/// Runs the command that was typed.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let failed = error.use_stderr();
            drop(error.print());
            return if failed { Exit::Usage } else { Exit::Done };
        }
    };
    let global = &cli.global;
    match cli.command {
        Command::Run => service::run(global),
        Command::Sync(options) => service::sync(global, options.json),
        Command::Plan(options) => or_exit(plan::run(global, &options)),
        Command::Check(options) => or_exit(check::run(global, &options)),
        Command::Status(options) => or_exit(status::run(global, options.json)),
        Command::Url(options) => or_exit(url::run(global, &options)),
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

/// Says something to the person at the terminal.
fn tell(text: &str) {
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Prints data. A reader that went away (`mediakeep plan | head`) is no failure.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Exit {
    match serde_json::to_string_pretty(value) {
        Ok(text) => {
            print(&format!("{text}\n"));
            Exit::Done
        }
        Err(error) => {
            tell(&format!("error: cannot write JSON: {error}"));
            Exit::Unexpected
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn log_format(global: &args::Global) -> Format {
    match global.log_format {
        args::LogFormat::Text => Format::Text,
        args::LogFormat::Json => Format::Json,
    }
}

fn verbosity(global: &args::Global, normal: Verbosity) -> Verbosity {
    match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => normal,
        (false, 1) => Verbosity::Verbose,
        (false, _) => Verbosity::Everything,
    }
}
