//! What holds for every text.

use proptest::prelude::*;

use super::super::fixtures::{read, read_both, read_sources};
use super::super::{Files, Manifest};
use crate::cli::diagnostics::{records, render};
use crate::domain::asset::RelPath;

/// A valid rule, as TOML.
fn rule(number: usize) -> impl Strategy<Value = String> {
    let files = prop_oneof![
        "[a-z]{1,5}(/[a-zäö ]{1,5}){0,2}\\.(png|mp3|jpg)"
            .prop_map(move |name| format!("file = \"{number}{name}\"")),
        "([a-z]{1,5}/)?(\\*\\*/)?\\*\\.(png|mp3)"
            .prop_map(|glob| format!("files = \"{glob}\"\nexclude = ['drafts/**']")),
    ];
    let to = prop_oneof![Just("\"b\""), Just("\"p\""), Just("[\"p\", \"b\"]"), Just("[\"b\"]")];
    let id = prop_oneof![Just(""), Just("id = \"{dir}/{name}-{hash16}\"\n"), Just("id = \"{path}\"\n")];
    let rest =
        prop_oneof![Just(""), Just("content_type = \"image/png\"\n"), Just("cache_control = \"no-cache\"\n")];
    (files, to, id, rest).prop_map(|(files, to, id, rest)| {
        let id = if to == "\"p\"" { "" } else { id };
        format!("[[media]]\n{files}\nto = {to}\n{id}{rest}")
    })
}

/// A valid manifest, with the number of its rules.
fn valid() -> impl Strategy<Value = (String, usize)> {
    let sync = prop_oneof![
        Just(String::new()),
        (0..100u32, 1..100u32, any::<bool>()).prop_map(|(settle, rescan, keep)| {
            format!("[sync]\nroot = \"sub\"\nsettle = \"{settle}s\"\nrescan = \"{rescan}m\"\nkeep_copies = {keep}\n")
        }),
    ];
    let limits = (10..170_000u64, 1..=64u32, 1..=1_000_000u32, prop_oneof![Just('s'), Just('m'), Just('h')]);
    let provider = limits.prop_map(|(retention, concurrency, requests, unit)| {
        format!(
            "[provider.b]\nkind = \"bandwidth\"\naccount_id = \"1\"\nclient_id = {{ file = \"id\" }}\nclient_secret.env = \"S\"\nretention = \"{retention}s\"\nconcurrency = {concurrency}\nrate = \"{requests}/{unit}\"\n[provider.p]\nkind = \"plivo\"\nauth_id = 'M'\nauth_token = {{ env = \"T\" }}\n"
        )
    });
    let rules = (0..6usize).prop_flat_map(|count| (0..count).map(rule).collect::<Vec<_>>());
    let export = prop_oneof![Just(""), Just("[[export]]\npath = \"urls.json\"\nformat = \"json\"\n")];
    (sync, provider, rules, export).prop_map(|(sync, provider, rules, export)| {
        let count = rules.len();
        (format!("version = 1\n{sync}{provider}{}{export}", rules.concat()), count)
    })
}

/// What a fast look-up says must be what one gets by looking at every rule.
fn by_looking_at_every_rule(manifest: &Manifest, path: &RelPath) -> Vec<(String, usize)> {
    let matches = |rule: usize| match &manifest.rules[rule].files {
        Files::Literal(file) => file == path,
        Files::Glob { include, exclude } => {
            !path.as_str().starts_with('.')
                && !path.as_str().contains("/.")
                && include.is_match(path.as_str())
                && !exclude.is_match(path.as_str())
        }
    };
    let mut winners = std::collections::BTreeMap::new();
    for literal in [false, true] {
        for (number, rule) in manifest.rules.iter().enumerate() {
            if matches!(rule.files, Files::Literal(_)) == literal && matches(number) {
                winners.extend(rule.to.iter().map(|provider| (provider.to_string(), number)));
            }
        }
    }
    winners.into_iter().collect()
}

#[test]
fn depth_is_bounded() {
    let deep = 100_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}1{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[a{}]", ".a".repeat(deep)),
        format!("a = {{ a{} = 1 }}", ".a".repeat(deep)),
        format!("[[media]]\nid = \"{}\"\nfiles = \"{}\"", "{a".repeat(deep), "{".repeat(1000)),
    ] {
        assert!(read(&text).manifest.is_none());
    }
}

proptest! {
    #[test]
    fn every_valid_manifest_is_accepted((text, rules) in valid()) {
        let parsed = read(&text);
        prop_assert_eq!(parsed.errors(), 0, "{}\n{:?}", text, parsed.problems);
        prop_assert_eq!(parsed.manifest.unwrap().rules.len(), rules);
    }

    #[test]
    fn selection_is_what_the_rules_say((text, _) in valid(), name in "[0-5]?[a-z]{1,3}(/\\.?[a-z]{1,3}){0,2}\\.(png|mp3)") {
        let manifest = read(&text).manifest.unwrap();
        let mut paths: Vec<RelPath> = manifest.literal_files().cloned().collect();
        paths.push(RelPath::new(&name).unwrap());
        for path in paths {
            let selected: Vec<_> =
                manifest.selected(&path).into_iter().map(|(provider, rule)| (provider.to_string(), rule)).collect();
            prop_assert_eq!(&selected, &by_looking_at_every_rule(&manifest, &path), "{}", path);
            let largest = selected.iter().map(|(name, _)| manifest.providers[name.as_str()].kind.capabilities.max_bytes).max();
            prop_assert_eq!(manifest.max_bytes(&path), largest);
            let matching = manifest.rules_matching(&path);
            prop_assert!(selected.iter().all(|(_, rule)| matching.contains(rule)));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}|([\\[\\]{}=\",'.#\n a-z0-9]{0,80})") {
        let parsed = read(&text);
        let _ = (render(&parsed.problems, true), records(&parsed.problems));
        prop_assert_eq!(parsed.manifest.is_none(), parsed.errors() > 0);
        let _ = read_both(&format!("version = 1\n{text}"), &text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let parsed = read_sources(&bytes, Some(&bytes), None);
        let _ = render(&parsed.problems, false);
    }

    /// A valid manifest with some bytes missing, doubled or replaced.
    #[test]
    fn no_damage_makes_it_panic((text, _) in valid(), at in any::<prop::sample::Index>(), length in 0..8usize, put in "[\\[\\]{}=\",'#\n a]{0,3}") {
        let characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len());
        let end = (start + length).min(characters.len());
        let damaged: String = characters[..start].iter().copied().chain(put.chars()).chain(characters[end..].iter().copied()).collect();
        let parsed = read(&damaged);
        prop_assert_eq!(parsed.manifest.is_none(), parsed.errors() > 0);
        for label in parsed.problems.iter().flat_map(|problem| &problem.labels) {
            prop_assert!(label.span.end <= damaged.len() && label.line >= 1 && label.column >= 1);
            if let Some(excerpt) = &label.excerpt {
                prop_assert!(excerpt.text.get(excerpt.marked.clone()).is_some());
                prop_assert_eq!(excerpt.text[..excerpt.marked.start].chars().count() + 1, label.column);
            }
        }
        let _ = render(&parsed.problems, true);
    }
}
