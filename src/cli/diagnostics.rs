//! Prints what is wrong with a manifest: for people as compilers do it, for programs as JSON. Decides nothing, and
//! has no other text than what the problems carry, which is masked already.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Patch, Renderer, Snippet};

use crate::domain::manifest::{Label, Problem, Severity};

/// So many problems are printed one by one: who has more than that has one, many times.
const PRINTED_MAX: usize = 100;

/// The problems as text, each followed by an empty line, with a count at the end; with colours for a terminal.
#[must_use]
pub fn render(problems: &[Problem], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for problem in problems.iter().take(PRINTED_MAX) {
        out.push_str(&renderer.render(&report(problem)));
        out.push_str("\n\n");
    }
    if let Some(summary) = summary(problems) {
        out.push_str(&summary);
        out.push('\n');
    }
    out
}

/// How many problems there are, in a line; `None` if there are none.
#[must_use]
pub fn summary(problems: &[Problem]) -> Option<String> {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let counted = |number: usize, name: &str| match number {
        0 => None,
        1 => Some(format!("1 {name}")),
        _ => Some(format!("{number} {name}s")),
    };
    let parts = [counted(count(Severity::Error), "error"), counted(count(Severity::Note), "note")];
    let mut summary = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if problems.len() > PRINTED_MAX {
        let _ = write!(summary, "; the first {PRINTED_MAX} are shown");
    }
    (!summary.is_empty()).then_some(summary)
}

fn report(problem: &Problem) -> Vec<Group<'_>> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Note => Level::NOTE,
    };
    let places = problem.labels.iter().enumerate().map(|(position, label)| place(label, position == 0));
    let main = level.primary_title(&problem.message).elements(places);
    match (&problem.help, suggestion(problem)) {
        (help, Some(patch)) => {
            let title = Level::HELP.secondary_title(help.as_deref().unwrap_or("write"));
            vec![main, title.element(patch)]
        }
        (Some(help), None) => vec![main.element(Level::HELP.message(help))],
        (None, None) => vec![main],
    }
}

fn place(label: &Label, primary: bool) -> Element<'_> {
    let Some(excerpt) = &label.excerpt else {
        return Origin::path(&*label.file).line(label.line).char_column(label.column).into();
    };
    let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let text = (!label.text.is_empty()).then_some(&label.text);
    let annotation = kind.span(excerpt.marked.clone()).label(text);
    Snippet::source(&excerpt.text).path(&*label.file).line_start(label.line).annotation(annotation).into()
}

fn suggestion(problem: &Problem) -> Option<Snippet<'_, Patch<'_>>> {
    let replacement = problem.replacement.as_deref()?;
    let label = problem.labels.first()?;
    let excerpt = label.excerpt.as_ref()?;
    let patch = Patch::new(excerpt.marked.clone(), replacement);
    Some(Snippet::source(&excerpt.text).path(&*label.file).line_start(label.line).patch(patch))
}

/// A problem for programs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProblemRecord<'p> {
    /// The file, where a line of it is to blame.
    pub file: Option<&'p str>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The character of the line, from 1.
    pub column: Option<usize>,
    /// `error` or `note`.
    pub severity: Severity,
    /// What is wrong.
    pub message: &'p str,
    /// What to do about it.
    pub help: Option<&'p str>,
    /// What could stand there instead.
    pub replacement: Option<&'p str>,
}

/// The problems for `--json`.
#[must_use]
pub fn records(problems: &[Problem]) -> Vec<ProblemRecord<'_>> {
    problems.iter().map(record).collect()
}

fn record(problem: &Problem) -> ProblemRecord<'_> {
    let place: Option<&Label> = problem.labels.first();
    ProblemRecord {
        file: place.map(|label| &*label.file),
        line: place.map(|label| label.line),
        column: place.map(|label| label.column),
        severity: problem.severity,
        message: &problem.message,
        help: problem.help.as_deref(),
        replacement: problem.replacement.as_deref(),
    }
}

#[cfg(test)]
mod tests;
