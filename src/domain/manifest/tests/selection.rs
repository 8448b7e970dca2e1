//! Which files are entries, and by which rule.

use super::super::fixtures::{BANDWIDTH, KINDS, PLIVO, manifest};
use super::super::{Manifest, NeverEntry, TEMPORARY_PREFIX};
use super::with_accounts;
use crate::domain::asset::RelPath;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// `provider#rule` of everything that is selected.
fn selected(manifest: &Manifest, file: &str) -> Vec<String> {
    manifest.selected(&path(file)).into_iter().map(|(provider, rule)| format!("{provider}#{rule}")).collect()
}

fn example() -> Manifest {
    manifest(&with_accounts(
        r#"
[[media]]
files = "**/*.png"
to = ["plivo", "bandwidth"]
[[media]]
files = "brand/**"
exclude = ["brand/drafts/**", "**/*.psd"]
to = "bandwidth"
[[media]]
file = "brand/logo.png"
to = "plivo"
[[media]]
files = ".well-known/*"
to = "plivo"
[[media]]
file = "brand/drafts/kept.png"
to = "bandwidth"
[[export]]
path = "brand/urls.json"
format = "json"
"#,
    ))
}

#[test]
fn a_named_file_beats_a_pattern_and_a_later_pattern_an_earlier_one() {
    let manifest = example();
    for (file, expected) in [
        ("a.png", vec!["bandwidth#0", "plivo#0"]),
        ("brand/a.png", vec!["bandwidth#1", "plivo#0"]),
        ("brand/a.mp3", vec!["bandwidth#1"]),
        ("brand/a.psd", vec![]),
        ("brand/logo.png", vec!["bandwidth#1", "plivo#2"]),
        ("brand/drafts/a.png", vec!["bandwidth#0", "plivo#0"]),
        ("brand/drafts/kept.png", vec!["bandwidth#4", "plivo#0"]),
        ("other/a.mp3", vec![]),
        (".hidden/a.png", vec![]),
        (".well-known/a.png", vec!["plivo#3"]),
        (".well-known/.a", vec![]),
    ] {
        assert_eq!(selected(&manifest, file), expected, "{file}");
    }
}

#[test]
fn patterns_skip_what_is_never_media() {
    let manifest = manifest(&with_accounts(
        "[[media]]\nfiles = \"**\"\nto = \"plivo\"\n[[media]]\nfiles = \".*\"\nto = \"plivo\"\n[[media]]\nfiles = \".*/**\"\nto = \"plivo\"\n[[export]]\npath = \"x/urls.json\"\nformat = \"json\"\n",
    ));
    for (file, reason) in [
        ("media.toml", NeverEntry::Reserved),
        ("x/urls.json", NeverEntry::Reserved),
        (".git/config", NeverEntry::Git),
        ("sub/.GIT/config", NeverEntry::Git),
        (".git", NeverEntry::Git),
        (".mediakeep/state.json", NeverEntry::StateFolder),
        (".mediakeep-tmp-a", NeverEntry::Temporary),
    ] {
        assert_eq!(manifest.never_entry(&path(file)), Some(reason), "{file}");
        assert!(manifest.selected(&path(file)).is_empty(), "{file}");
        assert!(manifest.rules_matching(&path(file)).is_empty(), "{file}");
        assert_eq!(manifest.max_bytes(&path(file)), None, "{file}");
    }
    for file in ["media.toml.bak", ".gitignore", ".mediakeeper/x", "git/config", "x/media.toml"] {
        assert_eq!(selected(&manifest, file).len(), 1, "{file}");
    }
    assert_eq!(TEMPORARY_PREFIX, crate::local::atomic_file::TEMPORARY_PREFIX);
}

#[test]
fn the_largest_provider_says_how_much_is_read() {
    let manifest = example();
    assert_eq!(manifest.max_bytes(&path("a.png")), Some(3_500_000));
    assert_eq!(manifest.max_bytes(&path(".well-known/a")), Some(2_000_000));
    assert_eq!(manifest.max_bytes(&path("a.mp3")), None);
}

#[test]
fn named_files_and_matching_rules_are_listed() {
    let manifest = example();
    let named: Vec<_> = manifest.literal_files().map(ToString::to_string).collect();
    assert_eq!(named, ["brand/drafts/kept.png", "brand/logo.png"]);
    assert_eq!(manifest.rules_matching(&path("brand/logo.png")), [0, 1, 2]);
    assert_eq!(manifest.rules_matching(&path("brand/drafts/kept.png")), [0, 4]);
    assert!(manifest.rules_matching(&path("nothing.txt")).is_empty());
}

#[test]
fn types_are_those_of_the_rule_or_the_extension_by_the_providers_name() {
    let manifest = manifest(&with_accounts(
        "[[media]]\nfiles = \"**\"\nto = [\"bandwidth\", \"plivo\"]\n[[media]]\nfiles = \"*.dat\"\nto = \"bandwidth\"\ncontent_type = \"audio/mp3\"\n",
    ));
    let of = |file: &str, rule, kind| {
        manifest.content_type_of(&path(file), rule, kind).map(|name| name.to_string())
    };
    assert_eq!(of("a.mp3", 0, &BANDWIDTH).as_deref(), Ok("audio/mpeg"));
    assert_eq!(of("a.mp3", 0, &PLIVO).as_deref(), Ok("audio/mp3"));
    assert_eq!(of("a.JPG", 0, KINDS[0]).as_deref(), Ok("image/jpeg"));
    assert_eq!(of("a.dat", 1, &BANDWIDTH).as_deref(), Ok("audio/mpeg"));
    assert_eq!(of("a.wav", 0, &PLIVO).unwrap_err(), "Plivo takes no audio/wav; near it: audio/mp3");
    assert_eq!(
        of("a.xyzzy", 0, &PLIVO).unwrap_err(),
        "no media type is known for .xyzzy; set content_type in its rule"
    );
    assert_eq!(
        of("bare", 0, &PLIVO).unwrap_err(),
        "without an extension its type is unknown; set content_type in its rule"
    );
    assert_eq!(
        of("a.mp4", 0, &PLIVO).unwrap_err(),
        "Plivo takes no video/mp4; it takes no type of that family"
    );
}
