//! Why the manifest and the config that lie there cannot be used, in a line: for those who are told without being shown
//! the text. Must never hold more of a file than a problem's message: names, and values that may be shown, shortened.

use std::fmt;

use super::problem::{Problem, Severity, SourceName, escaped};

/// Why they cannot be used, as far as a line can tell. `mediakeep check` tells the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Which of the two it is.
    pub source: SourceName,
    /// Its name as it was typed; empty where that is not known.
    pub file: Box<str>,
    /// The line that is to blame, from 1, where one is.
    pub line: Option<usize>,
    /// What is wrong, in a line.
    pub why: Box<str>,
}

impl Unusable {
    /// A source that is wrong as a whole, such as one that cannot be read.
    #[must_use]
    pub fn new(source: SourceName, file: &str, why: &str) -> Self {
        Self { source, file: in_a_line(file), line: None, why: in_a_line(why) }
    }

    /// By the first error of the config, or else of the manifest: what the config gets wrong, such as an account, can make
    /// the manifest look wrong, and never the other way round. `manifest` is the name of the manifest, which is to blame
    /// where no line is.
    #[must_use]
    pub fn of(problems: &[Problem], manifest: &str) -> Self {
        let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
        let is_of_config =
            |error: &&Problem| error.labels.first().is_some_and(|label| label.source == SourceName::Config);
        let error = errors().find(is_of_config).or_else(|| errors().next());
        let why = error.map_or("it holds an error", |error| &*error.message);
        match error.and_then(|error| error.labels.first()) {
            Some(label) => Self { line: Some(label.line), ..Self::new(label.source, &label.file, why) },
            None => Self::new(SourceName::Manifest, manifest, why),
        }
    }

    /// Which file it is, for people.
    #[must_use]
    pub fn name(&self) -> String {
        let gap = if self.file.is_empty() { "" } else { " " };
        format!("the {}{gap}{}", self.source, self.file)
    }

    /// What is wrong and where in the file, for people.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}: {}", self.why),
            None => self.why.to_string(),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be used: {}", self.name(), self.reason())
    }
}

/// The first line, cut to a length that one can read, nothing invisible.
fn in_a_line(text: &str) -> Box<str> {
    const CHARACTERS_MAX: usize = 300;
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(CHARACTERS_MAX).flat_map(escaped).collect();
    if line.chars().nth(CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Label;
    use super::*;

    fn problem(severity: Severity, message: &str, place: Option<(SourceName, &str, usize)>) -> Problem {
        let label = |(source, file, line)| Label {
            source,
            file: Arc::from(file),
            span: 0..1,
            line,
            column: 1,
            excerpt: None,
            text: String::new(),
        };
        let labels = place.map(label).into_iter().collect();
        Problem { severity, message: message.into(), labels, help: None, replacement: None }
    }

    #[test]
    fn the_first_error_names_the_file_that_it_is_in() {
        let config = Some((SourceName::Config, "/etc/mediakeep.toml", 7));
        let manifest = Some((SourceName::Manifest, "media.toml", 3));
        for (problems, told) in [
            (
                vec![
                    problem(Severity::Error, "unknown key `x`", config),
                    problem(Severity::Error, "b", None),
                ],
                "the config /etc/mediakeep.toml cannot be used: line 7: unknown key `x`",
            ),
            (
                vec![problem(Severity::Note, "a", config), problem(Severity::Error, "b", manifest)],
                "the manifest media.toml cannot be used: line 3: b",
            ),
            (
                vec![
                    problem(Severity::Error, "no such provider", manifest),
                    problem(Severity::Error, "b", config),
                ],
                "the config /etc/mediakeep.toml cannot be used: line 7: b",
            ),
            (vec![problem(Severity::Error, "b", None)], "the manifest typed.toml cannot be used: b"),
        ] {
            assert_eq!(Unusable::of(&problems, "typed.toml").to_string(), told);
        }
        assert_eq!(
            Unusable::new(SourceName::Config, "", "a defect").to_string(),
            "the config cannot be used: a defect"
        );
    }

    #[test]
    fn it_stays_one_line_whatever_it_is_made_from() {
        let long = format!("one\u{1b}[2J{}\ntwo", "x".repeat(1000));
        let told = Unusable::new(SourceName::Manifest, "a\u{202e}b", &long).to_string();
        assert!(told.starts_with("the manifest a\\u{202e}b cannot be used: one\\u{1b}[2Jxxx"), "{told}");
        assert!(told.ends_with('…') && !told.contains("two") && told.chars().count() < 400, "{told}");
    }
}
