//! What a value looks like, and how it is read from TOML.
//!
//! A complaint never repeats a value: the value may be a secret that stands in the wrong place.

use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::keys::REFERENCES;
use super::location::resolve;
use super::problem::{Draft, Place, SourceName, Span};
use super::{Rate, Setting, address, hook, serve};
use crate::domain::time::{format_duration, parse_duration};

/// What a key's value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// The number 1.
    Version,
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Count { from: u32, to: u32 },
    /// A length of time.
    Length { at_least: Duration },
    /// Requests in a time.
    Rate,
    /// A path of this machine.
    Folder,
    /// Any text that is not empty.
    Text,
    /// A list of texts, or a single one where that is allowed.
    Texts { single: bool },
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A URL of an API.
    Address,
    /// Where to listen.
    Listen,
    /// Commands and webhooks.
    Hooks,
    /// A value of a provider's table: literal, or the place where it is to be found.
    Setting { secret: bool },
}

/// A value that was read.
#[derive(Debug)]
pub(super) enum Value<'t> {
    /// [`Shape::Version`]
    Version,
    /// [`Shape::Flag`]
    Flag(bool),
    /// [`Shape::Count`]
    Count(u32),
    /// [`Shape::Length`]
    Length(Duration),
    /// [`Shape::Rate`]
    Rate(Rate),
    /// [`Shape::Folder`], [`Shape::Text`], [`Shape::Choice`]
    Text(&'t str),
    /// [`Shape::Texts`]
    Texts(Vec<(&'t str, Span)>),
    /// [`Shape::Address`]
    Address(Url),
    /// [`Shape::Listen`]
    Listen(serve::Place<'t>),
    /// [`Shape::Hooks`]
    Hooks(Vec<(hook::Stated<'t>, Span)>),
    /// [`Shape::Setting`]
    Setting(Found<'t>),
}

/// Where a setting's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'t> {
    Literal(&'t str),
    Env(&'t str),
    Credential(&'t str),
    File(&'t str),
}

impl Found<'_> {
    /// The same by itself; a relative path starts at `folder`.
    pub(super) fn resolve(self, folder: &Path) -> Setting {
        match self {
            Self::Literal(text) => Setting::Literal(text.to_owned()),
            Self::Env(name) => Setting::Env(name.to_owned()),
            Self::Credential(name) => Setting::Credential(name.to_owned()),
            Self::File(path) => Setting::File(resolve(folder, Path::new(path))),
        }
    }
}

/// Why a value is refused; the caller adds which key it is.
#[derive(Debug)]
pub(super) struct Complaint {
    /// Fits after "`key` ".
    message: String,
    /// What stands there.
    label: String,
    help: Option<String>,
    replacement: Option<String>,
    /// Where, if it is only a part of the value.
    part: Option<Span>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), label: String::new(), help: None, replacement: None, part: None }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
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

    /// Where it is, unless that was said more exactly before.
    pub(super) fn part(mut self, span: Span) -> Self {
        self.part.get_or_insert(span);
        self
    }

    /// The same of a key within the value.
    pub(super) fn inside(mut self, key: &str) -> Self {
        self.message = format!("has a `{key}` that {}", self.message);
        self
    }

    pub(super) fn into_draft(self, key: &str, source: SourceName, value: &Span) -> Draft {
        let place = Place::new(source, self.part.as_ref().unwrap_or(value));
        let mut draft = Draft::error(format!("`{key}` {}", self.message)).at(&place, self.label);
        draft = self.help.into_iter().fold(draft, Draft::help);
        self.replacement.into_iter().fold(draft, Draft::replacement)
    }
}

impl Shape {
    /// Reads a value; `owner` is the table it stands in, for the names in a suggestion.
    pub(super) fn read<'t>(
        self,
        value: &'t Spanned<DeValue<'t>>,
        key: &str,
        owner: &str,
    ) -> Result<Value<'t>, Complaint> {
        let value_in = value.get_ref();
        match self {
            Self::Version => version(value_in),
            Self::Flag => flag(value_in),
            Self::Count { from, to } => count(value_in, from, to),
            Self::Length { at_least } => length(value_in, at_least),
            Self::Rate => rate(value_in),
            Self::Folder => folder(value_in).map(Value::Text),
            Self::Text => text(value_in).map(Value::Text),
            Self::Texts { single } => texts(value, single),
            Self::Choice(options) => choice(value_in, options),
            Self::Address => address::read(text(value_in)?).map(Value::Address),
            Self::Listen => serve::place(text(value_in)?).map(Value::Listen),
            Self::Hooks => hook::targets(value).map(Value::Hooks),
            Self::Setting { secret: true } => match value_in {
                DeValue::Table(table) => reference(table).map(Value::Setting),
                _ => Err(literal_secret(value_in, key, owner)),
            },
            Self::Setting { secret: false } => setting(value_in).map(Value::Setting),
        }
    }
}

/// What stands there instead, for a label.
pub(super) const fn what(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The number of the format that this version reads.
const VERSION: u32 = 1;

fn version<'t>(value: &DeValue<'_>) -> Result<Value<'t>, Complaint> {
    match whole(value) {
        Some(VERSION) => Ok(Value::Version),
        Some(newer) if newer > VERSION => Err(Complaint::new("is newer than this mediakeep knows")
            .label("a later version of the format")
            .help(format!(
                "mediakeep {} reads version {VERSION}; update mediakeep",
                env!("CARGO_PKG_VERSION")
            ))),
        _ => Err(Complaint::new(format!("must be {VERSION}"))
            .label(what(value))
            .replacement(VERSION.to_string())),
    }
}

fn whole(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer()?;
    u32::from_str_radix(number.as_str(), number.radix()).ok()
}

fn flag<'t>(value: &DeValue<'_>) -> Result<Value<'t>, Complaint> {
    value
        .as_bool()
        .map(Value::Flag)
        .ok_or_else(|| Complaint::new("must be `true` or `false`, without quotes").label(what(value)))
}

fn count<'t>(value: &DeValue<'_>, from: u32, to: u32) -> Result<Value<'t>, Complaint> {
    match whole(value) {
        Some(number) if (from..=to).contains(&number) => Ok(Value::Count(number)),
        _ => Err(Complaint::new(format!("must be a whole number from {from} to {to}")).label(what(value))),
    }
}

fn length<'t>(value: &DeValue<'_>, at_least: Duration) -> Result<Value<'t>, Complaint> {
    let Some(text) = value.as_str() else {
        let complaint = Complaint::new("must be a length of time").label(what(value));
        return Err(match whole(value) {
            Some(number) => {
                complaint.help("write it with its unit, in quotes").replacement(format!("\"{number}s\""))
            }
            None => complaint.help("write it as \"90s\", \"15m\", \"48h\" or \"2 days\""),
        });
    };
    let length =
        parse_duration(text, at_least.is_zero()).map_err(|reason| match reason.split_once("; ") {
            Some((problem, remedy)) => Complaint::new(format!("can't be used: {problem}")).help(remedy),
            None => Complaint::new(format!("can't be used: {reason}")),
        })?;
    if length < at_least {
        return Err(Complaint::new(format!("must be at least {}", format_duration(at_least))));
    }
    Ok(Value::Length(length))
}

/// The highest rate: more than any provider or network bears, and few enough to count with.
const REQUESTS_MAX: u32 = 1_000_000;

fn rate<'t>(value: &DeValue<'_>) -> Result<Value<'t>, Complaint> {
    let refused = || {
        Complaint::new("must be a number of requests in a time").label(what(value)).help(format!(
            "write it as \"10/s\", \"300/m\" or \"5000/h\", with a whole number from 1 to {REQUESTS_MAX}"
        ))
    };
    let (number, unit) = value.as_str().and_then(|text| text.split_once('/')).ok_or_else(refused)?;
    let per = Duration::from_secs(match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(refused()),
    });
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse() {
        Ok(requests) if digits && (1..=REQUESTS_MAX).contains(&requests) => {
            Ok(Value::Rate(Rate { requests, per }))
        }
        _ => Err(refused()),
    }
}

pub(super) fn text<'t>(value: &'t DeValue<'_>) -> Result<&'t str, Complaint> {
    let text = value.as_str().ok_or_else(|| Complaint::new("must be a string").label(what(value)))?;
    if text.is_empty() {
        return Err(Complaint::new("must not be empty").label("empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(Complaint::new("must not hold control characters").label("holds one"));
    }
    Ok(text)
}

/// A path of this machine. A shell would put something else in the place of `~` and `$NAME`; we do not.
fn folder<'t>(value: &'t DeValue<'_>) -> Result<&'t str, Complaint> {
    plain_path(text(value)?, "must be a plain path")
}

/// The path, unless it looks as if a shell should complete it; then `complaint` fits after the key.
pub(super) fn plain_path<'t>(path: &'t str, complaint: &str) -> Result<&'t str, Complaint> {
    if path.starts_with(['~', '$']) {
        let help = "`~` and `$NAME` are not expanded: write the path in full";
        return Err(Complaint::new(complaint).help(help));
    }
    Ok(path)
}

fn texts<'t>(value: &'t Spanned<DeValue<'t>>, single: bool) -> Result<Value<'t>, Complaint> {
    match value.get_ref() {
        DeValue::Array(items) => {
            let item = |item: &'t Spanned<DeValue<'t>>| match text(item.get_ref()) {
                Ok(text) => Ok((text, item.span())),
                Err(complaint) => Err(Complaint {
                    message: format!("holds what it can't: each {}", complaint.message),
                    ..complaint
                }
                .part(item.span())),
            };
            items.iter().map(item).collect::<Result<_, _>>().map(Value::Texts)
        }
        other if single => {
            let wanted = |complaint: Complaint| match other.as_str() {
                Some(_) => complaint,
                None => {
                    Complaint { message: "must be a string or a list of strings".to_owned(), ..complaint }
                }
            };
            text(other).map(|text| Value::Texts(vec![(text, value.span())])).map_err(wanted)
        }
        other => Err(Complaint::new("must be a list of strings").label(what(other))),
    }
}

fn choice<'t>(value: &'t DeValue<'_>, options: &[&str]) -> Result<Value<'t>, Complaint> {
    match text(value)? {
        text if options.contains(&text) => Ok(Value::Text(text)),
        text => {
            let list = options.iter().map(|option| format!("\"{option}\"")).collect::<Vec<_>>().join(", ");
            let complaint = Complaint::new(format!("must be one of {list}"));
            Err(match super::suggest::nearest(text, options.iter().copied()) {
                Some(near) => complaint.replacement(format!("\"{near}\"")),
                None => complaint,
            })
        }
    }
}

pub(super) fn setting<'t>(value: &'t DeValue<'_>) -> Result<Found<'t>, Complaint> {
    match value {
        DeValue::Table(table) => reference(table),
        DeValue::String(_) => text(value).map(Found::Literal),
        other => Err(Complaint::new("must be a string, or a reference such as { env = \"NAME\" }")
            .label(what(other))
            .help("put the value in quotes")),
    }
}

fn reference<'t>(table: &'t DeTable<'_>) -> Result<Found<'t>, Complaint> {
    let example = "write { env = \"NAME\" }, { credential = \"NAME\" } or { file = \"PATH\" }";
    let wrong = |message| Complaint::new(message).label("not such a reference").help(example);
    let mut keys = table.iter();
    let (Some((key, value)), None) = (keys.next(), keys.next()) else {
        return Err(wrong("must say in exactly one way where its value is to be found"));
    };
    let Some(key) = REFERENCES.into_iter().find(|known| known == key.get_ref()) else {
        return Err(wrong("must say by `env`, `credential` or `file` where its value is to be found"));
    };
    let named = |complaint: Complaint| {
        Complaint { message: format!("has a reference whose `{key}` {}", complaint.message), ..complaint }
            .part(value.span())
    };
    let text = text(value.get_ref()).map_err(named)?;
    match key {
        "env" if is_identifier(text) => Ok(Found::Env(text)),
        "env" => Err(named(
            Complaint::new("is not the name of an environment variable")
                .help("a name has letters, digits and `_`; the value itself never stands here"),
        )),
        "credential" if is_file_name(text) => Ok(Found::Credential(text)),
        "credential" => Err(named(
            Complaint::new("is not the name of a credential")
                .help("a name has letters, digits, `.`, `_` and `-`; the value itself never stands here"),
        )),
        _ => folder(value.get_ref()).map(Found::File).map_err(named),
    }
}

fn is_identifier(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether systemd takes it as a credential's name, and every shell as one word.
fn is_file_name(text: &str) -> bool {
    !text.starts_with('.')
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn literal_secret(value: &DeValue<'_>, key: &str, owner: &str) -> Complaint {
    let variable: String = format!("{owner}_{key}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let variable = if is_identifier(&variable) { variable } else { format!("_{variable}") };
    let label = if value.is_str() { "the secret itself" } else { what(value) };
    Complaint::new("is a secret, and a secret never stands in a manifest or config")
        .label(label)
        .help(
            "say where it is to be found, by `env`, `credential` (of systemd) or `file`; one that was ever \
             committed must also be changed at the provider",
        )
        .replacement(format!("{{ env = \"{variable}\" }}"))
}
