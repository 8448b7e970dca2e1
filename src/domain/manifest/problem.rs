//! What is wrong with a manifest, told so that a person can act on it.
//!
//! A problem carries the lines that it shows, and in those every value that could be a secret is masked already:
//! whoever prints a problem can't print a secret. Nothing here ever holds the unmasked text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::mask::Masks;

/// A range of bytes of a source.
pub type Span = Range<usize>;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The manifest can't be used.
    Error,
    /// It can be used, and somebody should know this.
    Note,
}

/// Which of the two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceName {
    /// The manifest.
    Manifest,
    /// The config.
    Config,
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Config => "config",
        })
    }
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the manifest from being used.
    pub severity: Severity,
    /// What it is, in a line.
    pub message: String,
    /// Where it is: first the place itself, then places that explain it. Empty where no line of text is to blame.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// What could stand in the first label's place instead.
    pub replacement: Option<String>,
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Which source.
    pub source: SourceName,
    /// The source's name for people.
    pub file: Arc<str>,
    /// Which bytes of it.
    pub span: Span,
    /// The line where the place begins, from 1.
    pub line: usize,
    /// The character of that line where it begins, from 1.
    pub column: usize,
    /// The line itself, masked; `None` where no line may be shown.
    pub excerpt: Option<Excerpt>,
    /// What is there, in a few words; may be empty.
    pub text: String,
}

/// A line of a source, or the beginning of it, without comments and with masked values. Columns up to the place are
/// those of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The text; at most one line, without its end.
    pub text: String,
    /// Which bytes of `text` are the place.
    pub marked: Span,
}

/// A problem whose places are not looked up yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    severity: Severity,
    message: String,
    labels: Vec<(Place, String)>,
    help: Option<String>,
    replacement: Option<String>,
}

/// A place in a source, by bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) source: SourceName,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Place {
    pub(super) const fn new(source: SourceName, span: &Span) -> Self {
        Self { source, start: span.start, end: span.end }
    }
}

impl Draft {
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    pub(super) fn note(message: impl Into<String>) -> Self {
        Self::new(Severity::Note, message.into())
    }

    const fn new(severity: Severity, message: String) -> Self {
        Self { severity, message, labels: Vec::new(), help: None, replacement: None }
    }

    pub(super) fn at(mut self, place: &Place, text: impl Into<String>) -> Self {
        self.labels.push((place.clone(), text.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn replacement(mut self, replacement: impl Into<String>) -> Self {
        self.replacement = Some(replacement.into());
        self
    }
}

/// Collects problems and gives them their lines at the end.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Draft>);

impl Problems {
    pub(super) fn add(&mut self, draft: Draft) {
        self.0.push(draft);
    }

    pub(super) fn any_error(&self) -> bool {
        self.0.iter().any(|draft| draft.severity == Severity::Error)
    }

    /// The problems in the order of the text: first all errors, then all notes.
    pub(super) fn finish(mut self, mut lines: impl FnMut(&Place) -> Located) -> Vec<Problem> {
        let order = |draft: &Draft| (draft.severity, draft.labels.first().map(|(place, _)| place.clone()));
        self.0.sort_by_cached_key(order);
        let mut label = |(place, text): (Place, String)| {
            let Located { file, line, column, excerpt } = lines(&place);
            Label { source: place.source, file, span: place.start..place.end, line, column, excerpt, text }
        };
        let finished = self.0.into_iter().map(|draft| Problem {
            severity: draft.severity,
            message: draft.message,
            labels: draft.labels.into_iter().map(&mut label).collect(),
            help: draft.help,
            replacement: draft.replacement,
        });
        finished.collect()
    }
}

/// A place as people read it.
pub(super) struct Located {
    pub(super) file: Arc<str>,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) excerpt: Option<Excerpt>,
}

/// A source's lines.
pub(super) struct Lines<'t> {
    file: Arc<str>,
    text: &'t str,
    starts: Vec<usize>,
    /// How many characters lie before every [`STEP`]th byte: a line can be as long as the file.
    counts: Vec<usize>,
    /// What may be shown; `None` where nothing may.
    masks: Option<Masks>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(file: &str, text: &'t str, masks: Option<Masks>) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(position, _)| position + 1)).collect();
        let mut counts = vec![0];
        for bytes in text.as_bytes().chunks(STEP) {
            counts.push(counts[counts.len() - 1] + characters(bytes));
        }
        Self { file: file.into(), text, starts, counts, masks }
    }

    /// How many characters begin before this byte.
    fn characters_before(&self, position: usize) -> usize {
        let step = position / STEP;
        let rest = &self.text.as_bytes()[step * STEP..position];
        self.counts[step] + characters(rest)
    }

    pub(super) fn locate(&self, place: &Place) -> Located {
        let start = char_boundary(self.text, place.start);
        let index = self.starts.partition_point(|line| *line <= start) - 1;
        let line = self.line(index);
        let end = place.end.clamp(start, line.end.max(start));
        Located {
            file: self.file.clone(),
            line: index + 1,
            column: self.characters_before(start) - self.characters_before(line.start) + 1,
            excerpt: self.masks.as_ref().and_then(|masks| masks.excerpt(self.text, line, start..end)),
        }
    }

    fn line(&self, index: usize) -> Span {
        let start = self.starts[index];
        let end = self.starts.get(index + 1).map_or(self.text.len(), |next| next - 1);
        start..start + self.text[start..end].trim_end_matches('\r').len()
    }
}

/// Tells lines of places that are asked for in the order of the text: each byte is looked at once.
#[derive(Debug)]
pub(super) struct LineCounter<'t> {
    text: &'t [u8],
    position: usize,
    line: usize,
}

impl<'t> LineCounter<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), position: 0, line: 1 }
    }

    /// The line that a byte is in, from 1.
    pub(super) fn line_of(&mut self, position: usize) -> usize {
        if position < self.position {
            *self = Self { position: 0, line: 1, text: self.text };
        }
        let passed = self.text.get(self.position..position).unwrap_or_default();
        self.line += passed.split(|byte| *byte == b'\n').count() - 1;
        self.position = position;
        self.line
    }
}

/// Bytes between two counts of characters.
const STEP: usize = 1024;

/// How many characters begin in some bytes of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count()
}

/// The last boundary between characters that is not after `position`.
pub(super) fn char_boundary(text: &str, position: usize) -> usize {
    (0..=position.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A text from the manifest within a message: in backticks, cut to a length that one can read, nothing invisible.
pub(super) fn quoted(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let mut shown: String = text.chars().take(CHARACTERS_MAX).flat_map(escaped).collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A character that could act on a terminal, or hide, as its escape.
pub(super) fn escaped(character: char) -> impl Iterator<Item = char> {
    let mut plain = (!invisible(character)).then_some(character).into_iter();
    let mut escape = invisible(character).then(|| character.escape_unicode()).into_iter().flatten();
    std::iter::from_fn(move || plain.next().or_else(|| escape.next()))
}

/// Whether a character shows as nothing, or changes the direction of what follows.
pub(super) fn invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
