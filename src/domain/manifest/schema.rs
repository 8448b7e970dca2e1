//! The table of keys as a JSON Schema, for editors, and as Markdown, for the manual.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::hook::TARGETS_MAX;
use super::keys::{Absent, Form, Key, PROVIDER, REFERENCES, SECTIONS, Section, provider_keys};
use super::shape::Shape;
use crate::domain::kind::Kind;
use crate::domain::time::format_duration;

/// The JSON Schema (draft 7) of manifest and config: which keys there are, and what their values look like. What
/// only the text as a whole can show is left to [`parse`](super::parse()).
#[must_use]
pub fn schema(kinds: &[&'static Kind]) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for section in SECTIONS {
        match section.form {
            Form::Top => {
                properties.extend(section.keys.iter().map(|key| (key.name.to_owned(), key_schema(key))));
                required.extend(required_keys(section.keys));
            }
            _ => {
                properties.insert(section.name.to_owned(), section_schema(section, kinds));
            }
        }
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "mediakeep manifest and config",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "definitions": { "reference": reference_schema(), "hook": hook_schema() },
    })
}

fn section_schema(section: &Section, kinds: &[&'static Kind]) -> Json {
    let about = section.about;
    match section.form {
        Form::Top | Form::Table => described(table_schema(section.keys), about),
        Form::Array => {
            let mut table = table_schema(section.keys);
            if section.keys.iter().any(|key| key.name == "files") {
                table["oneOf"] = json!([{ "required": ["file"] }, { "required": ["files"] }]);
                table["dependencies"] = json!({ "exclude": ["files"] });
            }
            json!({ "description": about, "type": "array", "items": table })
        }
        Form::NamedTables => json!({
            "description": about,
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_-]+$" },
            "additionalProperties": { "oneOf": kinds.iter().map(|kind| kind_schema(kind)).collect::<Vec<_>>() },
        }),
    }
}

fn kind_schema(kind: &'static Kind) -> Json {
    let mut table = table_schema(&provider_keys(kind));
    table["title"] = json!(kind.title);
    table["properties"]["kind"] = json!({ "const": kind.name });
    let sets = kind.credentials.iter().map(|set| json!({ "required": set }));
    table["oneOf"] = sets.collect();
    table
}

fn table_schema(keys: &[Key]) -> Json {
    let properties: Map<_, _> = keys.iter().map(|key| (key.name.to_owned(), key_schema(key))).collect();
    let required = required_keys(keys);
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn required_keys(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().filter(|key| key.absent == Absent::Refused).map(|key| key.name).collect()
}

fn key_schema(key: &Key) -> Json {
    let mut schema = described(shape_schema(key.shape), key.about);
    if let Absent::Value(text) = key.absent
        && let Some(value) = json_of_toml(text)
    {
        schema["default"] = value;
    }
    schema
}

fn described(mut schema: Json, about: &str) -> Json {
    schema["description"] = json!(about);
    schema
}

fn json_of_toml(text: &str) -> Option<Json> {
    let table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

fn shape_schema(shape: Shape) -> Json {
    let text = || json!({ "type": "string", "minLength": 1 });
    match shape {
        Shape::Version => json!({ "const": 1 }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count { from, to } => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Shape::Length { .. } => json!({ "type": "string", "pattern": "[0-9]\\s*[A-Za-zµ]" }),
        Shape::Rate => json!({ "type": "string", "pattern": "^0*[1-9][0-9]*/[smh]$" }),
        Shape::Folder | Shape::Text => text(),
        Shape::Texts { single: false } => json!({ "type": "array", "items": text() }),
        Shape::Texts { single: true } => {
            json!({ "anyOf": [text(), { "type": "array", "items": text(), "minItems": 1, "uniqueItems": true }] })
        }
        Shape::Choice(options) => json!({ "enum": options }),
        Shape::Address => json!({ "type": "string", "pattern": "^https?://[^?#]+$" }),
        Shape::Listen => json!({ "type": "string", "pattern": "^(unix:.|.+:[0-9]+$)" }),
        Shape::Hooks => json!({
            "anyOf": [
                { "$ref": "#/definitions/hook" },
                { "type": "array", "items": { "$ref": "#/definitions/hook" }, "minItems": 1, "maxItems": TARGETS_MAX },
            ],
        }),
        Shape::Setting { secret: true } => json!({ "allOf": [{ "$ref": "#/definitions/reference" }] }),
        Shape::Setting { secret: false } => {
            json!({ "anyOf": [text(), { "$ref": "#/definitions/reference" }] })
        }
    }
}

fn reference_schema() -> Json {
    let ways = REFERENCES.map(|way| {
        let value = match way {
            "env" => json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }),
            "credential" => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$" }),
            _ => json!({ "type": "string", "minLength": 1 }),
        };
        json!({ "type": "object", "properties": { way: value }, "required": [way], "additionalProperties": false })
    });
    json!({ "description": "where a value is to be found", "oneOf": ways })
}

fn hook_schema() -> Json {
    let text = json!({ "type": "string", "minLength": 1 });
    let command = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
    let webhook = json!({ "anyOf": [text, { "$ref": "#/definitions/reference" }] });
    let ways = [("command", command), ("webhook", webhook)].map(|(way, value)| {
        json!({ "type": "object", "properties": { way: value }, "required": [way], "additionalProperties": false })
    });
    json!({ "description": "a program with its arguments, or an address that takes a POST", "oneOf": ways })
}

/// Every key with its value, its default and its meaning, as Markdown tables.
#[must_use]
pub fn reference(kinds: &[&'static Kind]) -> String {
    let mut out = String::new();
    for section in SECTIONS {
        let header = match section.form {
            Form::Top => "Top of the file".to_owned(),
            _ => format!("`{}`", section.header()),
        };
        heading(&mut out, &header, section.about);
        rows(&mut out, section.keys);
        if section.name == PROVIDER.name {
            for kind in kinds {
                own_keys(&mut out, kind);
            }
        }
    }
    out.trim_end().to_owned() + "\n"
}

fn heading(out: &mut String, title: &str, about: &str) {
    let _ = write!(out, "### {title}\n\n{}\n\n", sentence(about));
    out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
}

fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect::<String>() + "."
}

fn rows(out: &mut String, keys: &[Key]) {
    for key in keys {
        let default = match key.absent {
            Absent::Refused => "required".to_owned(),
            Absent::Value(value) => format!("`{value}`"),
            Absent::Words(words) => words.to_owned(),
        };
        let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, words(key.shape), key.about);
    }
    out.push('\n');
}

fn own_keys(out: &mut String, kind: &'static Kind) {
    let ways: Vec<_> = kind.credentials.iter().map(|set| format!("`{}`", set.join("` and `"))).collect();
    let about = format!("the keys of a {} account, which has either {}", kind.title, ways.join(" or "));
    heading(out, &format!("`kind = \"{}\"`", kind.name), &about);
    let own = |key: &Key| matches!(key.shape, Shape::Setting { .. });
    rows(out, &provider_keys(kind).into_iter().filter(own).collect::<Vec<_>>());
}

/// A shape in words.
fn words(shape: Shape) -> String {
    match shape {
        Shape::Version => "`1`".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Count { from, to } => format!("{from} to {to}"),
        Shape::Length { at_least } if at_least.as_secs() > 0 => {
            format!("length of time, at least {}", format_duration(at_least))
        }
        Shape::Length { .. } => "length of time".to_owned(),
        Shape::Rate => "rate such as `\"10/s\"`".to_owned(),
        Shape::Folder => "folder".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Texts { single: true } => "text or list of texts".to_owned(),
        Shape::Texts { single: false } => "list of texts".to_owned(),
        Shape::Choice(options) => {
            options.iter().map(|option| format!("`\"{option}\"`")).collect::<Vec<_>>().join(", ")
        }
        Shape::Address => "URL".to_owned(),
        Shape::Listen => "address with port, or `unix:` path".to_owned(),
        Shape::Hooks => "command, webhook, or list of them".to_owned(),
        Shape::Setting { secret: true } => "reference".to_owned(),
        Shape::Setting { secret: false } => "text or reference".to_owned(),
    }
}
