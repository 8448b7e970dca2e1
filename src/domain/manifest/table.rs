//! Reads one table by the list of its keys, and collects everything that is wrong with it.

use std::borrow::Cow;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Absent, Form, Key, Section, home_of};
use super::problem::{Draft, Place, Problems, SourceName, Span, quoted};
use super::shape::{Found, Value, what};
use super::{Rate, hook, serve, suggest};

/// Where a table stands.
#[derive(Clone, Debug)]
pub(super) struct Owner<'o> {
    /// In which source.
    pub(super) source: SourceName,
    /// Its header as people write it, such as `[sync]`.
    pub(super) header: &'o str,
    /// Its own name, for the names in suggestions.
    pub(super) name: &'o str,
    /// Its header, or its key.
    pub(super) span: Span,
}

/// The fields of a table that could be read.
#[derive(Debug)]
pub(super) struct Fields<'t> {
    source: SourceName,
    good: Vec<Field<'t>>,
    /// Keys that are there, though their value is refused or their name is mistyped.
    broken: Vec<&'static str>,
}

#[derive(Debug)]
struct Field<'t> {
    name: &'static str,
    key: Span,
    span: Span,
    value: Value<'t>,
}

/// A value and the place where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<'t> Fields<'t> {
    /// Reads the table of a section, by the section's own name and keys.
    pub(super) fn of(
        section: &Section,
        (table, span): &(&'t DeTable<'t>, Span),
        source: SourceName,
        problems: &mut Problems,
    ) -> Self {
        let owner = Owner { source, header: &section.header(), name: section.name, span: span.clone() };
        Self::read(table, section.keys, &owner, problems)
    }

    /// Reads the table. Unknown keys, refused values and missing keys become problems.
    pub(super) fn read(
        table: &'t DeTable<'t>,
        keys: &[Key],
        owner: &Owner<'_>,
        problems: &mut Problems,
    ) -> Self {
        let mut fields = Self { source: owner.source, good: Vec::new(), broken: Vec::new() };
        for (key, value) in table {
            match keys.iter().find(|known| known.name == key.get_ref()) {
                Some(known) => fields.field(*known, key.span(), value, owner, problems),
                None => fields.unknown(key, keys, owner, problems),
            }
        }
        for key in keys.iter().filter(|key| key.absent == Absent::Refused && !fields.has(key.name)) {
            problems.add(missing_key(key, owner));
        }
        fields
    }

    fn unknown(
        &mut self,
        key: &Spanned<Cow<'_, str>>,
        keys: &[Key],
        owner: &Owner<'_>,
        problems: &mut Problems,
    ) {
        let near = suggest::nearest(key.get_ref(), keys.iter().map(|key| key.name));
        self.broken.extend(near);
        problems.add(unknown_key(key, near, keys, owner));
    }

    fn field(
        &mut self,
        key: Key,
        key_span: Span,
        value: &'t Spanned<DeValue<'t>>,
        owner: &Owner<'_>,
        problems: &mut Problems,
    ) {
        match key.shape.read(value, key.name, owner.name) {
            Ok(read) => {
                self.good.push(Field { name: key.name, key: key_span, span: value.span(), value: read });
            }
            Err(complaint) => {
                self.broken.push(key.name);
                problems.add(complaint.into_draft(key.name, owner.source, &value.span()));
            }
        }
    }

    /// Whether the key is there, with a usable value or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || self.broken.contains(&name)
    }

    /// Whether the key is there with a value that was refused.
    pub(super) fn is_broken(&self, name: &str) -> bool {
        self.broken.contains(&name)
    }

    fn get(&self, name: &str) -> Option<&Field<'t>> {
        self.good.iter().find(|field| field.name == name)
    }

    fn find<T>(&self, name: &str, take: impl FnOnce(&Value<'t>) -> Option<T>) -> Option<At<T>> {
        let field = self.get(name)?;
        Some(At { value: take(&field.value)?, place: Place::new(self.source, &field.span) })
    }

    /// Where the key itself stands.
    pub(super) fn key_place(&self, name: &str) -> Option<Place> {
        self.get(name).map(|field| Place::new(self.source, &field.key))
    }

    /// Where its value stands.
    pub(super) fn value_place(&self, name: &str) -> Option<Place> {
        self.get(name).map(|field| Place::new(self.source, &field.span))
    }

    pub(super) fn text(&self, name: &str) -> Option<At<&'t str>> {
        self.find(name, |value| if let Value::Text(text) = value { Some(*text) } else { None })
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.find(name, |value| if let Value::Flag(flag) = value { Some(*flag) } else { None })
            .map(|at| at.value)
    }

    pub(super) fn count(&self, name: &str) -> Option<u32> {
        self.find(name, |value| if let Value::Count(count) = value { Some(*count) } else { None })
            .map(|at| at.value)
    }

    pub(super) fn length(&self, name: &str) -> Option<At<Duration>> {
        self.find(name, |value| if let Value::Length(length) = value { Some(*length) } else { None })
    }

    pub(super) fn rate(&self, name: &str) -> Option<Rate> {
        self.find(name, |value| if let Value::Rate(rate) = value { Some(*rate) } else { None })
            .map(|at| at.value)
    }

    pub(super) fn address(&self, name: &str) -> Option<url::Url> {
        self.find(name, |value| if let Value::Address(url) = value { Some(url.clone()) } else { None })
            .map(|at| at.value)
    }

    pub(super) fn listen(&self, name: &str) -> Option<At<serve::Place<'t>>> {
        self.find(name, |value| if let Value::Listen(place) = value { Some(*place) } else { None })
    }

    /// Commands and webhooks, each with its own place; none where the key is absent.
    pub(super) fn hooks(&self, name: &str) -> &[(hook::Stated<'t>, Span)] {
        match self.get(name) {
            Some(Field { value: Value::Hooks(targets), .. }) => targets,
            _ => &[],
        }
    }

    pub(super) fn setting(&self, name: &str) -> Option<At<Found<'t>>> {
        self.find(name, |value| if let Value::Setting(found) = value { Some(*found) } else { None })
    }

    /// A list of texts, each with its own place; empty where the key is absent.
    pub(super) fn texts(&self, name: &str) -> Vec<At<&'t str>> {
        let Some(Field { value: Value::Texts(texts), .. }) = self.get(name) else {
            return Vec::new();
        };
        let at = |(text, span): &(&'t str, Span)| At { value: *text, place: Place::new(self.source, span) };
        texts.iter().map(at).collect()
    }
}

/// The tables of a value that should be a table, or a list of them.
pub(super) fn tables<'t>(
    value: &'t Spanned<DeValue<'t>>,
    form: Form,
    name: &str,
    source: SourceName,
    problems: &mut Problems,
) -> Vec<(&'t DeTable<'t>, Span)> {
    let header = match form {
        Form::Array => format!("[[{name}]]"),
        _ => format!("[{name}]"),
    };
    let mut refuse = |value: &Spanned<DeValue<'_>>| {
        let place = Place::new(source, &value.span());
        let draft = Draft::error(format!("`{name}` must be a table")).at(&place, what(value.get_ref()));
        problems.add(draft.help(format!("its header is {header}")));
    };
    match (form, value.get_ref()) {
        (Form::Array, DeValue::Array(items)) => {
            let mut found = Vec::with_capacity(items.len());
            for item in items {
                match item.get_ref() {
                    DeValue::Table(table) => found.push((table, item.span())),
                    _ => refuse(item),
                }
            }
            found
        }
        (Form::Table | Form::NamedTables, DeValue::Table(table)) => vec![(table, value.span())],
        _ => {
            refuse(value);
            Vec::new()
        }
    }
}

fn unknown_key(key: &Spanned<Cow<'_, str>>, near: Option<&str>, keys: &[Key], owner: &Owner<'_>) -> Draft {
    let name: &str = key.get_ref();
    let place = Place::new(owner.source, &key.span());
    let draft = Draft::error(format!("unknown key {} in {}", quoted(name), owner.header));
    if let Some(near) = near {
        return draft.at(&place, "not a key of this table").help("did you mean this one?").replacement(near);
    }
    let draft = draft.at(&place, "not a key of this table");
    if let Some(section) = home_of(name) {
        return draft.help(format!("`{name}` belongs in {}", section.header()));
    }
    let known: Vec<_> = keys.iter().map(|key| key.name).collect();
    draft.help(format!("its keys are {}", known.join(", ")))
}

fn missing_key(key: &Key, owner: &Owner<'_>) -> Draft {
    let place = Place::new(owner.source, &owner.span);
    let draft = Draft::error(format!("{} lacks its `{}`", owner.header, key.name)).at(&place, "");
    draft.help(format!("`{}` says {}", key.name, key.about))
}
