//! What is said to the person at the terminal, on standard error; and data, on standard output.
//!
//! Where log lines are JSON, or entries of the journal, everything that is said is one.

use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use super::args::{Global, LogFormat};
use super::diagnostics::{self, ProblemRecord};
use super::exit::Exit;
use crate::domain::manifest::{Problem, Severity};
use crate::telemetry::{self, Format, Verbosity};

/// How this process speaks.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    /// Whether all that is said is a log line.
    logs: bool,
    quiet: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Speaks as the command line asks for, from now on.
pub(super) fn begin(global: &Global) {
    let verbosity = match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, 1) => Verbosity::Verbose,
        (false, _) => Verbosity::Everything,
    };
    let format = match global.log_format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::for_people(),
    };
    let format = telemetry::start(format, verbosity, std::io::stderr);
    // Set once, before anything is said.
    let _ = MANNER.set(Manner { logs: format != Format::Text, quiet: global.quiet });
}

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Says something that is good to know; nothing where only trouble is asked for.
pub(super) fn tell(text: &str) {
    match manner() {
        Manner { logs: true, .. } => tracing::info!("{text}"),
        Manner { quiet: true, .. } => {}
        _ => line(text),
    }
}

/// Says what somebody should look at.
pub(super) fn warn(text: &str) {
    if manner().logs {
        return tracing::warn!("{text}");
    }
    line(&format!("warning: {text}"));
}

/// Says what went wrong.
pub(super) fn fail(text: &str) {
    if manner().logs {
        return tracing::error!("{text}");
    }
    line(&format!("error: {text}"));
}

/// Says what went wrong, and what to do about it.
pub(super) fn fail_with_help(text: &str, help: &str) {
    if manner().logs {
        return tracing::error!(help, "{text}");
    }
    line(&format!("error: {text}\n  help: {help}"));
}

/// Says what is wrong with a manifest.
pub(super) fn problems(problems: &[Problem]) {
    let Manner { logs, quiet } = manner();
    if logs {
        for ProblemRecord { file, line, column, severity, message, help, .. } in
            diagnostics::records(problems)
        {
            match severity {
                Severity::Error => tracing::error!(file, line, column, help, "{message}"),
                Severity::Note => tracing::info!(file, line, column, help, "{message}"),
            }
        }
        return;
    }
    let errors: Vec<Problem> =
        problems.iter().filter(|problem| !quiet || problem.severity == Severity::Error).cloned().collect();
    if !errors.is_empty() {
        line(&diagnostics::render(&errors, std::io::stderr().is_terminal()));
    }
}

/// Asks the person at the terminal; `None` where nobody sits there.
pub(super) fn ask(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    line(question);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

fn line(text: &str) {
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Prints data. A reader that went away (`mediakeep plan | head`) is no failure; a full disk is one.
pub(super) fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            fail(&format!("cannot write to standard output: {error}"));
            Exit::Unexpected
        }
        _ => Exit::Done,
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> Exit {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => {
            fail(&format!("cannot write JSON: {error}"));
            Exit::Unexpected
        }
    }
}
