//! The live URLs in other shapes, for programs that would rather not read the state file.
//!
//! An export holds no times, so that it changes only when a URL does. Left out are entries without a live URL, and
//! retired ones: the manifest does not ask for them any more, though they may live for a while.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::asset::{EntryKey, ProviderName, RelPath};
use super::manifest::ExportFormat;
use super::state::State;

/// Two entries whose variables would have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} would stand for both {one} and {other}; rename one of the files, or export as json or toml")]
pub struct NameClash {
    /// The variable's name.
    pub name: String,
    /// The first entry.
    pub one: EntryKey,
    /// The other one.
    pub other: EntryKey,
    /// The export without the entries that clash: these two, and any others like them.
    pub without: String,
}

/// An export's whole text: the same URLs always give the same text.
///
/// # Errors
/// In the env format two entries may want the same name. Neither gets it then, and the others are not held up.
pub fn render(format: ExportFormat, state: &State) -> Result<String, NameClash> {
    match format {
        ExportFormat::Json => Ok(json(&by_file(live(state)))),
        ExportFormat::Toml => Ok(toml(&by_file(live(state)))),
        ExportFormat::Env => env(live(state)),
    }
}

/// Whether a text is what [`render`] may have made, of whatever state: then it may be replaced. An export that came
/// with a git clone is known by this alone, so this must not take the text of others for ours.
#[must_use]
pub fn is_ours(format: ExportFormat, text: &str) -> bool {
    match format {
        ExportFormat::Json => {
            read_back(serde_json::from_str(text).ok(), json).is_some_and(|ours| ours == text)
        }
        ExportFormat::Toml => read_back(::toml::from_str(text).ok(), toml).is_some_and(|ours| ours == text),
        ExportFormat::Env => text.strip_prefix(HEADER).is_some_and(|lines| lines.lines().all(is_variable)),
    }
}

/// The first line of what has comments.
const HEADER: &str = "# Written by mediakeep; changes made here are lost.\n";

fn live(state: &State) -> impl Iterator<Item = (&EntryKey, &str)> {
    state.records.iter().filter_map(|(key, record)| {
        let url = record.current.as_ref()?.url.as_deref()?;
        record.retired_at.is_none().then_some((key, url))
    })
}

type ByFile<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

fn by_file<'a>(live: impl Iterator<Item = (&'a EntryKey, &'a str)>) -> ByFile<'a> {
    let mut files = ByFile::new();
    for (key, url) in live {
        files.entry(key.path.as_str()).or_default().insert(key.provider.as_str(), url);
    }
    files
}

fn json(files: &ByFile<'_>) -> String {
    let mut text = serde_json::to_string_pretty(files).expect("texts can be written into memory");
    text.push('\n');
    text
}

fn toml(files: &ByFile<'_>) -> String {
    let tables = ::toml::to_string(files).expect("tables of texts can be written into memory");
    if tables.is_empty() { HEADER.to_owned() } else { format!("{HEADER}\n{tables}") }
}

fn env<'a>(live: impl Iterator<Item = (&'a EntryKey, &'a str)>) -> Result<String, NameClash> {
    let mut variables: BTreeMap<String, Vec<(&EntryKey, &str)>> = BTreeMap::new();
    for (key, url) in live {
        variables.entry(variable_name(key)).or_default().push((key, url));
    }
    let mut text = HEADER.to_owned();
    let mut clash = None;
    for (name, entries) in variables {
        if let [(one, _), (other, _), ..] = entries[..] {
            clash.get_or_insert_with(|| (name, one.clone(), other.clone()));
            continue;
        }
        for (_, url) in entries {
            // A quote can't stand between quotes: the text ends, an escaped quote follows, and the text goes on.
            let quoted = url.replace('\'', r"'\''");
            writeln!(text, "{name}='{quoted}'").expect("texts can be written into memory");
        }
    }
    match clash {
        Some((name, one, other)) => Err(NameClash { name, one, other, without: text }),
        None => Ok(text),
    }
}

fn variable_name(key: &EntryKey) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let mut name = PREFIX.to_owned();
    name.extend(key.provider.as_str().chars().map(plain));
    name.push('_');
    name.extend(key.path.as_str().chars().map(plain));
    name
}

const PREFIX: &str = "MEDIAKEEP_";

fn is_variable(line: &str) -> bool {
    let name_is_ours = |name: &str| {
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        name.starts_with(PREFIX) && name.chars().all(plain)
    };
    line.split_once('=').is_some_and(|(name, value)| {
        let unquoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
        name_is_ours(name) && unquoted.is_some_and(is_quoted_url)
    })
}

type Owned = BTreeMap<RelPath, BTreeMap<ProviderName, String>>;

/// Renders again what was read, where it is files, providers and URLs.
fn read_back(files: Option<Owned>, render: impl FnOnce(&ByFile<'_>) -> String) -> Option<String> {
    let files = files?;
    let sound = files.values().all(|urls| !urls.is_empty() && urls.values().all(|url| is_url(url)));
    let borrowed = files.iter().map(|(path, urls)| {
        (path.as_str(), urls.iter().map(|(provider, url)| (provider.as_str(), url.as_str())).collect())
    });
    sound.then(|| render(&borrowed.collect()))
}

fn is_quoted_url(quoted: &str) -> bool {
    let url = quoted.replace(r"'\''", "%27");
    !url.contains('\'') && is_url(&url)
}

fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::state::{Handle, Record};
    use crate::domain::state_format::testing::{any_state, at, handle, key, sample, state};

    const FORMATS: [ExportFormat; 3] = [ExportFormat::Json, ExportFormat::Toml, ExportFormat::Env];

    fn with_url(url: &str) -> Arc<Record> {
        Arc::new(Record {
            current: Some(Handle { url: Some(url.into()), ..handle("x") }),
            ..Record::default()
        })
    }

    fn some_urls() -> State {
        let retired = Record {
            retired_at: Some(at("2026-11-21T16:00:00Z")),
            ..(*with_url("https://m.example/r")).clone()
        };
        let mut state = sample();
        state.records = state.records.with([
            (key("gone.png", "plivo"), Some(Arc::new(retired))),
            (key("löwe \"1\".png", "my-own_2"), Some(with_url("https://m.example/it's"))),
        ]);
        state
    }

    #[test]
    fn json_is_file_provider_url() {
        insta::assert_snapshot!(render(ExportFormat::Json, &some_urls()).unwrap(), @r#"
        {
          "brand/logo.png": {
            "bandwidth": "https://media.example/brand/logo.png",
            "plivo": "https://media.example/0b8f6c1e"
          },
          "löwe \"1\".png": {
            "my-own_2": "https://m.example/it's"
          }
        }
        "#);
        assert_eq!(render(ExportFormat::Json, &state(0, [])).unwrap(), "{}\n");
    }

    #[test]
    fn toml_is_file_provider_url() {
        insta::assert_snapshot!(render(ExportFormat::Toml, &some_urls()).unwrap(), @r#"
        # Written by mediakeep; changes made here are lost.

        ["brand/logo.png"]
        bandwidth = "https://media.example/brand/logo.png"
        plivo = "https://media.example/0b8f6c1e"

        ['löwe "1".png']
        my-own_2 = "https://m.example/it's"
        "#);
        assert_eq!(render(ExportFormat::Toml, &state(0, [])).unwrap(), HEADER);
    }

    #[test]
    fn env_is_a_quoted_variable_for_each_url() {
        insta::assert_snapshot!(render(ExportFormat::Env, &some_urls()).unwrap(), @r#"
        # Written by mediakeep; changes made here are lost.
        MEDIAKEEP_BANDWIDTH_BRAND_LOGO_PNG='https://media.example/brand/logo.png'
        MEDIAKEEP_MY_OWN_2_L_WE__1__PNG='https://m.example/it'\''s'
        MEDIAKEEP_PLIVO_BRAND_LOGO_PNG='https://media.example/0b8f6c1e'
        "#);
        assert_eq!(render(ExportFormat::Env, &state(0, [])).unwrap(), HEADER);
    }

    #[test]
    fn a_shell_reads_the_urls_back() {
        let url = "https://m.example/it's $HOME `id` \\ \"q\"";
        let text = render(ExportFormat::Env, &state(1, [(key("a.png", "p"), with_url(url))])).unwrap();
        let shell = std::process::Command::new("sh")
            .args(["-c", &format!("{text}printf %s \"$MEDIAKEEP_P_A_PNG\"")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), url);
    }

    #[test]
    fn a_clash_of_names_tells_both_entries_and_leaves_out_no_other() {
        let urls = || with_url("https://m.example/x");
        for (one, other) in [
            (key("a-b.png", "plivo"), key("a_b.png", "plivo")),
            (key("A.png", "plivo"), key("a.png", "plivo")),
            (key("b/c", "a"), key("c", "a_b")),
        ] {
            let fine = key("fine", "p");
            let state = state(1, [(one.clone(), urls()), (other.clone(), urls()), (fine, urls())]);
            let clash = render(ExportFormat::Env, &state).unwrap_err();
            assert_eq!((&clash.one, &clash.other), (&one, &other));
            assert_eq!(clash.without, format!("{HEADER}MEDIAKEEP_P_FINE='https://m.example/x'\n"));
            assert!(
                clash.to_string().contains(&one.to_string())
                    && clash.to_string().contains(&other.to_string())
            );
            assert!(render(ExportFormat::Json, &state).is_ok() && render(ExportFormat::Toml, &state).is_ok());
        }
        // Without a live URL it has no name either.
        let lapsed =
            Arc::new(Record { current: Some(Handle { url: None, ..handle("x") }), ..Record::default() });
        let state = state(1, [(key("a-b", "p"), urls()), (key("a_b", "p"), lapsed)]);
        assert!(render(ExportFormat::Env, &state).is_ok());
    }

    #[test]
    fn our_own_text_is_known_whatever_it_says() {
        for format in FORMATS {
            for state in [some_urls(), state(0, [])] {
                let text = render(format, &state).unwrap();
                assert!(is_ours(format, &text), "{text}");
            }
        }
    }

    #[test]
    fn the_text_of_others_is_never_taken_for_ours() {
        let texts = [
            "",
            "[]\n",
            "{\n  \"en\": {\n    \"hello\": \"hi\"\n  }\n}\n",
            "{\n  \"a.png\": {}\n}\n",
            "{\"a.png\":{\"plivo\":\"https://m.example/a\"}}\n",
            "{\n  \"a.png\": {\n    \"plivo\": \"https://m.example/a\"\n  },\n  \"more\": 1\n}\n",
            "{\n  \"../a.png\": {\n    \"plivo\": \"https://m.example/a\"\n  }\n}\n",
            "[\"a.png\"]\nplivo = \"https://m.example/a\"\n",
            "# Written by mediakeep; changes made here are lost.\n# and by me\n\n[\"a.png\"]\nplivo = \"https://m.example/a\"\n",
            "# Written by mediakeep; changes made here are lost.\nPATH='/bin'\n",
            "# Written by mediakeep; changes made here are lost.\nMEDIAKEEP_A='https://m.example/a'; rm -r x\n",
            "MEDIAKEEP_P_A='https://m.example/a'\n",
            "PASSWORD='https://m.example/a'\n",
        ];
        for format in FORMATS {
            for text in texts {
                assert!(!is_ours(format, text), "{format:?}: {text}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

        #[test]
        fn what_is_exported_reads_back(state in any_state()) {
            let expected: Vec<_> = live(&state).map(|(key, url)| (key.clone(), url.to_owned())).collect();
            let texts = [ExportFormat::Json, ExportFormat::Toml].map(|format| render(format, &state).unwrap());
            let read: [Owned; 2] = [serde_json::from_str(&texts[0]).unwrap(), ::toml::from_str(&texts[1]).unwrap()];
            for files in read {
                let found: Vec<_> = files
                    .into_iter()
                    .flat_map(|(path, urls)| {
                        urls.into_iter().map(move |(provider, url)| (EntryKey { path: path.clone(), provider }, url))
                    })
                    .collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
