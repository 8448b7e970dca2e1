//! What is said to the person at the terminal, on standard error; and data, on standard output.
//!
//! Where log lines are JSON, everything that is said is one. Where they are entries of the journal, what is said is
//! text with a priority: the journal does not know any more where the last words of a process came from, unless they
//! came by its standard error.

use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use anstream::AutoStream;

use super::args::{Cli, Command, LogFormat};
use super::diagnostics::{self, ProblemRecord};
use super::exit::Exit;
use crate::domain::manifest::{Problem, Severity};
use crate::telemetry::{self, Delivery, Format, LastWords, Verbosity};

/// How this process speaks.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    json: bool,
    /// Whether standard error leads to the journal, which takes `<3>` at the beginning of a line for its priority.
    journal: bool,
    quiet: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Speaks as the command line asks for, from now on, and until what this returns is dropped.
pub(super) fn begin(cli: &Cli) -> LastWords {
    let global = &cli.global;
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
    // A daemon must not wait for those who read its log; a pass is for those who do.
    let delivery = match cli.command {
        Command::Run => Delivery::Queued,
        _ => Delivery::Waiting,
    };
    let format = telemetry::start(format, verbosity, delivery);
    // Set once, before anything is said.
    let _ = MANNER.set(Manner {
        json: format == Format::Json,
        journal: format == Format::Journal,
        quiet: global.quiet,
    });
    LastWords
}

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Says something that is good to know; nothing where only trouble is asked for.
pub(super) fn tell(text: &str) {
    match manner() {
        Manner { json: true, .. } => tracing::info!("{text}"),
        Manner { quiet: true, .. } => {}
        _ => line(Priority::Information, text),
    }
}

/// Says what may be meant as it is, and what to do if it is not.
pub(super) fn note(text: &str, help: &str) {
    match manner() {
        Manner { json: true, .. } => tracing::info!(help, "{text}"),
        Manner { quiet: true, .. } => {}
        _ => line(Priority::Information, &format!("note: {text}\n  help: {help}")),
    }
}

/// Says what somebody should look at.
pub(super) fn warn(text: &str) {
    if manner().json {
        return tracing::warn!("{text}");
    }
    line(Priority::Warning, &format!("warning: {text}"));
}

/// Says what went wrong.
pub(super) fn fail(text: &str) {
    if manner().json {
        return tracing::error!("{text}");
    }
    line(Priority::Error, &format!("error: {text}"));
}

/// Says what went wrong, and what to do about it.
pub(super) fn fail_with_help(text: &str, help: &str) {
    if manner().json {
        return tracing::error!(help, "{text}");
    }
    line(Priority::Error, &format!("error: {text}\n  help: {help}"));
}

/// Says what is wrong with a manifest.
pub(super) fn problems(problems: &[Problem]) {
    let Manner { json, quiet, .. } = manner();
    if json {
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
        let fatal = errors.iter().any(|problem| problem.severity == Severity::Error);
        let priority = if fatal { Priority::Error } else { Priority::Information };
        line(priority, &diagnostics::render(&errors, std::io::stderr().is_terminal()));
    }
}

/// Asks the person at the terminal; `None` where nobody sits there.
pub(super) fn ask(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    line(Priority::Information, question);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

/// How much attention something deserves, as the journal counts.
#[derive(Clone, Copy, Debug)]
enum Priority {
    Error = 3,
    Warning = 4,
    Information = 6,
}

fn line(priority: Priority, text: &str) {
    let text = if manner().journal { with_priority(priority, text) } else { text.to_owned() };
    let mut bytes = AutoStream::new(Vec::new(), AutoStream::choice(&std::io::stderr()));
    if writeln!(bytes, "{text}").is_ok() {
        telemetry::say(bytes.into_inner());
    }
}

/// To the journal each line is an entry of its own.
fn with_priority(priority: Priority, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("<{}>{line}", priority as u8)).collect();
    lines.join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_the_journal_gets_has_a_priority() {
        assert_eq!(
            with_priority(Priority::Error, "error: one\n  help: two"),
            "<3>error: one\n<3>  help: two"
        );
        assert_eq!(with_priority(Priority::Information, "x"), "<6>x");
    }
}
