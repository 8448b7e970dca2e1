//! The table of keys, the example, the schema and the code say the same.

use super::super::fixtures::{manifest, read, read_both};
use super::super::keys::{Absent, CONFIG_ONLY, Form, SECTIONS, provider_keys, section};
use super::super::{Severity, reference, schema};
use crate::provider::KINDS;

const EXAMPLE: &str = include_str!("../../../../media.toml.example");
const CONFIG: &str = include_str!("../../../../systemd/mediakeep.toml");
const SCHEMA: &str = include_str!("../../../../media.schema.json");

/// The example with everything optional in it: a `#` right before a key or a header comments it out.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn messages(text: &str) -> Vec<String> {
    let problems = read(text).problems.into_iter();
    problems.filter(|problem| !problem.message.contains("git clean")).map(|problem| problem.message).collect()
}

#[test]
fn the_example_is_a_manifest_without_problems() {
    assert_eq!(messages(EXAMPLE), Vec::<String>::new());
    assert_eq!(messages(&uncommented()), ["Bandwidth has deprecated `username` with `password`"]);
}

#[test]
fn each_line_of_the_example_that_is_commented_out_can_be_alone() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let mut in_optional_table = false;
    for (index, line) in lines.iter().enumerate() {
        in_optional_table = line.starts_with("#[") || in_optional_table && line.starts_with('#');
        let key = line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        // An address has its partner, and a table that is commented out is more than its lines.
        let Some(key) = key.filter(|key| !in_optional_table && !key.contains("_url")) else { continue };
        let mut changed = lines.clone();
        changed[index] = key;
        assert_eq!(messages(&changed.join("\n")), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    let uncommented = uncommented();
    let shown = |key: &str, value: Option<&str>| {
        uncommented.lines().any(|line| {
            match (line.strip_prefix(key).and_then(|rest| rest.strip_prefix(" = ")), value) {
                (Some(rest), Some(value)) => rest == value || rest.starts_with(&format!("{value} ")),
                (Some(_), None) => true,
                (None, _) => false,
            }
        })
    };
    // Some stand in no manifest, but in the example of a config.
    let is_config_only = |name: &str| CONFIG_ONLY.iter().any(|(table, _)| *table == name);
    for section in SECTIONS.into_iter().filter(|section| !is_config_only(section.name)) {
        for key in section.keys {
            let default = if let Absent::Value(value) = key.absent { Some(value) } else { None };
            assert!(shown(key.name, default), "{} {default:?}", key.name);
        }
    }
    for key in KINDS.iter().flat_map(|kind| provider_keys(kind)) {
        assert!(shown(key.name, None), "{}", key.name);
    }
}

#[test]
fn the_example_config_shows_what_only_a_config_may_hold() {
    for (name, _) in CONFIG_ONLY {
        let header = format!("# [{name}]");
        let table =
            CONFIG.lines().skip_while(|line| *line != header).map(|line| line.trim_start_matches("# "));
        let is_setting = |line: &&str| line.starts_with('[') || line.contains(" = ");
        let table: Vec<_> = table.take_while(|line| !line.is_empty()).filter(is_setting).collect();
        for key in section(name).unwrap().keys {
            assert!(table.iter().any(|line| line.starts_with(&format!("{} = ", key.name))), "{}", key.name);
        }
        let config = format!("version = 1\n[sync]\nstate_dir = \"/var/lib/x\"\n{}", table.join("\n"));
        let parsed = read_both("version = 1", &config);
        assert!(parsed.problems.is_empty(), "{config} {:?}", parsed.problems);
        let manifest = parsed.manifest.unwrap();
        assert!(manifest.serve.is_some() || manifest.hooks.is_some_and(|hooks| hooks.hooks.len() >= 4));
    }
}

#[test]
fn stated_defaults_change_nothing() {
    let defaults = |form: Form, name: &str| {
        let section = SECTIONS.iter().find(|section| section.form == form && section.name == name).unwrap();
        let line = |key: &super::super::keys::Key| match key.absent {
            Absent::Value(value) => format!("{} = {value}\n", key.name),
            _ => String::new(),
        };
        section.keys.iter().map(line).collect::<String>()
    };
    let text = |sync: &str, provider: &str, media: &str| {
        let account =
            "kind = \"bandwidth\"\naccount_id = \"1\"\nclient_id = \"c\"\nclient_secret = { env = \"S\" }";
        format!(
            "version = 1\n[sync]\n{sync}[provider.b]\n{account}\n{provider}[[media]]\nfiles = \"a/*\"\nto = \"b\"\n{media}"
        )
    };
    let media = defaults(Form::Array, "media");
    let stated =
        manifest(&text(&defaults(Form::Table, "sync"), &defaults(Form::NamedTables, "provider"), &media));
    let plain = manifest(&text("", "", ""));
    assert_eq!(stated.sync, plain.sync);
    assert_eq!(format!("{:?}", stated.providers), format!("{:?}", plain.providers));
    assert!(media.contains("{dir}/{stem}-{hash8}.{ext}"));
}

#[test]
fn the_schema_file_is_the_one_that_the_table_gives() {
    let generated = serde_json::to_string_pretty(&schema(KINDS)).unwrap() + "\n";
    assert!(
        generated == SCHEMA,
        "media.schema.json must be what `mediakeep check --schema` prints:\n{generated}"
    );
}

#[test]
fn the_reference_has_every_key_once_in_each_table() {
    let text = reference(KINDS);
    for key in SECTIONS.iter().flat_map(|section| section.keys) {
        assert!(text.contains(&format!("| `{}` |", key.name)), "{}", key.name);
    }
    for key in KINDS.iter().flat_map(|kind| kind.settings) {
        assert!(text.contains(&format!("| `{}` |", key.name)), "{}", key.name);
    }
    assert!(text.lines().all(|line| !line.starts_with("| `") || line.matches(" | ").count() == 3), "{text}");
}

#[test]
fn the_short_form_of_the_manual_has_only_the_problems_it_should() {
    let text = r#"
version = 1

[sync]
root = "."
state_dir = ".mediakeep"
settle = "2s"
rescan = "15m"
keep_copies = true

[provider.bandwidth]
kind = "bandwidth"
account_id = "5500012"
username = { env = "BANDWIDTH_USERNAME" }
password = { credential = "bandwidth-password" }

[provider.plivo]
kind = "plivo"
auth_id = { env = "PLIVO_AUTH_ID" }
auth_token = { env = "PLIVO_AUTH_TOKEN" }

[[media]]
file = "brand/logo.png"
to = "bandwidth"
id = "brand/logo.png"

[[media]]
files = "greetings/**/*.mp3"
exclude = ["greetings/drafts/**"]
to = ["bandwidth", "plivo"]
content_type = "audio/mpeg"
cache_control = "max-age=3600"

[[export]]
path = "media.urls.json"
format = "json"
"#;
    let problems = read(text).problems;
    assert!(problems.iter().all(|problem| problem.severity == Severity::Note));
    let first_words: Vec<_> =
        problems.iter().map(|p| p.message.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(first_words, ["`git clean -fdx`", "Bandwidth has deprecated", "an `id` without"]);
}
