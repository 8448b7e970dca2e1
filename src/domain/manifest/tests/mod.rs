//! What manifests are accepted, refused and understood as.

mod agreement;
mod errors;
mod properties;
mod secrets;
mod selection;
mod values;

use super::fixtures::ACCOUNTS;
use super::{Parsed, Severity};

/// A manifest with two accounts and these tables.
fn with_accounts(tables: &str) -> String {
    format!("{ACCOUNTS}{tables}")
}

/// `line:column message` of every problem of this severity, lines counted from the end of the accounts.
fn problems(parsed: &Parsed, severity: Severity) -> Vec<String> {
    let accounts = ACCOUNTS.lines().count();
    let of_severity = parsed.problems.iter().filter(|problem| problem.severity == severity);
    let line = |problem: &super::Problem| match problem.labels.first() {
        Some(label) if label.line > accounts => {
            format!("+{}:{} {}", label.line - accounts, label.column, problem.message)
        }
        Some(label) => format!("{}:{} {}", label.line, label.column, problem.message),
        None => problem.message.clone(),
    };
    of_severity.map(line).collect()
}

/// The errors of a manifest with two accounts and these tables.
fn errors(tables: &str) -> Vec<String> {
    problems(&super::fixtures::read(&with_accounts(tables)), Severity::Error)
}

/// The notes of a manifest with two accounts and these tables, but for the one about the state folder.
fn notes(tables: &str) -> Vec<String> {
    let mut notes = problems(&super::fixtures::read(&with_accounts(tables)), Severity::Note);
    notes.retain(|note| !note.contains("git clean"));
    notes
}
