//! Lines of a manifest as they may be shown: values that could be a secret are masked, comments are left out.
//!
//! What is shown is decided by a list of keys whose values are plain by nature. Whatever is not on it is masked:
//! a value under an unknown key may be a secret under a mistyped one. So it is shown only where the key is a slip of
//! one of the list, the value is what that key takes, and the table is none that holds secrets, or the value is a
//! number or a length of time. Of a reference, the name of an environment variable is plain where it is written as such
//! names are.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Form, Key, Section};
use super::problem::{Excerpt, Span, char_boundary};
use super::shape::Shape;
use super::suggest;

/// Which parts of a text are keys and values, and which of them may be shown.
///
/// Made from a text without syntax errors only: in a broken one, nothing tells a value from a key.
#[derive(Debug)]
pub(super) struct Masks(Vec<Atom>);

/// A key or a value that is no table and no array.
#[derive(Debug)]
struct Atom {
    span: Span,
    shown: bool,
    text: bool,
}

/// Bytes of a line that are shown before and after a place; a line can be as long as the file.
const BEFORE_BYTES_MAX: usize = 1000;
const AFTER_BYTES_MAX: usize = 160;

impl Masks {
    pub(super) fn of(root: &DeTable<'_>) -> Self {
        let mut masks = Self(Vec::new());
        for (key, value) in root {
            masks.key(key, true);
            match keys::section(key.get_ref()) {
                Some(section) if section.form == Form::NamedTables => masks.named_tables(value, section),
                Some(section) => masks.tables(value, section),
                None => masks.field(key.get_ref(), value, &keys::TOP),
            }
        }
        masks.0.sort_unstable_by_key(|atom| atom.span.start);
        masks
    }

    fn named_tables(&mut self, value: &Spanned<DeValue<'_>>, section: &Section) {
        let Some(tables) = value.get_ref().as_table() else {
            return self.hidden(value);
        };
        for (name, table) in tables {
            self.key(name, true);
            self.tables(table, section);
        }
    }

    fn tables(&mut self, value: &Spanned<DeValue<'_>>, section: &Section) {
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    self.key(key, true);
                    self.field(key.get_ref(), value, section);
                }
            }
            DeValue::Array(tables) if tables.iter().all(|table| table.get_ref().is_table()) => {
                for table in tables {
                    self.tables(table, section);
                }
            }
            _ => self.hidden(value),
        }
    }

    fn field(&mut self, name: &str, value: &Spanned<DeValue<'_>>, section: &Section) {
        let known = match section.keys.iter().find(|key| key.name == name) {
            Some(key) => key.shown.then_some(key),
            None => meant(name, value, section),
        };
        let takes_lists = known.is_some_and(|key| matches!(key.shape, Shape::Texts { .. }));
        match value.get_ref() {
            DeValue::Array(items) if takes_lists && items.iter().all(|item| is_scalar(item.get_ref())) => {
                items.iter().for_each(|item| self.value(item, true));
            }
            scalar if is_scalar(scalar) => self.value(value, known.is_some()),
            _ => self.hidden(value),
        }
    }

    /// Everything in it is masked, the keys too, except for those that make a reference.
    fn hidden(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    let name = &**key.get_ref();
                    self.key(key, keys::REFERENCES.contains(&name));
                    match value.get_ref().as_str() {
                        Some(text) if name == "env" && is_usual_variable_name(text) => {
                            self.value(value, true);
                        }
                        _ => self.hidden(value),
                    }
                }
            }
            DeValue::Array(items) => items.iter().for_each(|item| self.hidden(item)),
            _ => self.value(value, false),
        }
    }

    fn key(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, shown: bool) {
        self.0.push(Atom { span: key.span(), shown, text: false });
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, shown: bool) {
        self.0.push(Atom { span: value.span(), shown, text: value.get_ref().is_str() });
    }

    /// The line from its start on, so that columns in it are those of the text; `None` if nothing of it may be shown,
    /// or if the place is too far out.
    pub(super) fn excerpt(&self, text: &str, line: Span, marked: Span) -> Option<Excerpt> {
        let start = line.start;
        if marked.start - start > BEFORE_BYTES_MAX {
            return None;
        }
        let end = marked.end.min(marked.start + AFTER_BYTES_MAX) + AFTER_BYTES_MAX;
        let end = char_boundary(text, end).min(line.end);
        let mut writer = Writer { text, marked, shown: String::new(), start: None, end: None };
        let first = self.0.partition_point(|atom| atom.span.end <= start);
        let mut position = start;
        for atom in self.0[first..].iter().take_while(|atom| atom.span.start < end) {
            if writer.between(position..atom.span.start.max(position)).is_break() {
                return writer.finish();
            }
            let inside = atom.span.start.max(position)..atom.span.end.min(end);
            writer.atom(atom, inside);
            position = atom.span.end.min(end);
        }
        let _ = writer.between(position..end);
        writer.finish()
    }
}

/// The key whose value may be shown and that a mistyped one was surely meant to be.
fn meant<'s>(name: &str, value: &Spanned<DeValue<'_>>, section: &'s Section) -> Option<&'s Key> {
    let lower = name.to_lowercase();
    if SECRETIVE.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let near = suggest::nearest(name, section.keys.iter().map(|key| key.name))?;
    let key = section.keys.iter().find(|key| key.name == near && key.shown)?;
    let harmless = match key.shape {
        Shape::Version | Shape::Flag | Shape::Count { .. } | Shape::Length { .. } | Shape::Rate => true,
        Shape::Choice(_) | Shape::Text | Shape::Texts { .. } | Shape::Folder => {
            section.form != Form::NamedTables && suggest::is_slip(name, near)
        }
        Shape::Address | Shape::Listen | Shape::Hooks | Shape::Setting { .. } => false,
    };
    (harmless && key.shape.read(value, key.name, "").is_ok()).then_some(key)
}

/// What names of secrets are made of.
const SECRETIVE: [&str; 8] = ["pass", "pw", "secret", "tok", "key", "auth", "cred", "pin"];

/// Whether a text is written as names of environment variables are. People put secrets there, too, so that nothing
/// but capitals, digits and `_` counts, and no more of them than somebody would type.
fn is_usual_variable_name(text: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() <= 48
        && digits * 4 <= text.len()
        && text.bytes().all(usual)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

const fn is_scalar(value: &DeValue<'_>) -> bool {
    !matches!(value, DeValue::Table(_) | DeValue::Array(_))
}

/// Builds an excerpt and remembers where in it the marked place is.
struct Writer<'t> {
    text: &'t str,
    marked: Span,
    shown: String,
    start: Option<usize>,
    end: Option<usize>,
}

impl Writer<'_> {
    /// What lies between keys and values; a `#` there starts a comment, and with it the rest of the line is left out.
    fn between(&mut self, span: Span) -> std::ops::ControlFlow<()> {
        let text = &self.text[span.clone()];
        let comment = text.find('#');
        let length = comment.unwrap_or(text.len());
        self.verbatim(span.start..span.start + length);
        if comment.is_some() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }

    fn atom(&mut self, atom: &Atom, span: Span) {
        if atom.shown {
            return self.verbatim(span);
        }
        let from = self.shown.len();
        let width = self.text[span.clone()].chars().count();
        match (atom.text, span.end <= self.marked.start) {
            // Before the place, the mask is as wide as the value: the column says as much.
            (true, true) if width >= 2 => self.shown.extend(["\"", &"*".repeat(width - 2), "\""]),
            (_, true) => self.shown.push_str(&"*".repeat(width)),
            (true, false) => self.shown.push_str("\"***\""),
            (false, false) => self.shown.push_str("***"),
        }
        if self.start.is_none() && self.marked.start < span.end {
            self.start = Some(from);
        }
        if self.marked.end > span.start {
            self.end = Some(self.shown.len());
        }
    }

    fn verbatim(&mut self, span: Span) {
        let from = self.shown.len();
        self.shown.push_str(&self.text[span.clone()]);
        if self.start.is_none() && self.marked.start < span.end {
            self.start = Some(from + self.marked.start.saturating_sub(span.start));
        }
        if self.marked.end > span.start {
            self.end = Some(from + self.marked.end.min(span.end) - span.start);
        }
    }

    fn finish(self) -> Option<Excerpt> {
        let text = self.shown.trim_end();
        if text.is_empty() {
            return None;
        }
        let start = self.start.unwrap_or(text.len()).min(text.len());
        let end = self.end.unwrap_or(start).clamp(start, text.len());
        // Some terminals obey these as they obey an escape. The stand-in has as many bytes, so that places stay right.
        let text = text.replace(|c| ('\u{80}'..='\u{9f}').contains(&c), "\u{b7}");
        Some(Excerpt { text, marked: start..end })
    }
}
