//! Manifests and configs: whatever the text, there is a checked manifest or a reason that can be shown.

use std::path::Path;

use super::split_at_line;
use crate::cli::diagnostics::{records, render};
use crate::domain::asset::{ContentHash, EntryKey, RelPath};
use crate::domain::kind::Naming;
use crate::domain::manifest::{Files, Manifest, Parsed, Source, Sources, parse};
use crate::domain::observation::Observation;
use crate::domain::plan::want;
use crate::provider::KINDS;

/// Between a manifest and its config, where there is one.
const CONFIG: &str = "#%config";

/// A manifest; after a line `#%config` its config.
///
/// # Panics
/// Where a promise is broken.
pub fn manifest(data: &[u8]) {
    let (manifest, config) = match split_at_line(data, CONFIG) {
        Some((manifest, config)) => (manifest, Some(config)),
        None => (data, None),
    };
    let source = |name, path, text| Source { name, path: Path::new(path), text };
    let config = config.map(|text| source("mediakeep.toml", "/etc/mediakeep/mediakeep.toml", text));
    let manifest = source("media.toml", "/srv/media/media.toml", manifest);
    let parsed = parse(&Sources { manifest, config, state_directory: None }, KINDS);
    assert_eq!(parsed.manifest.is_none(), parsed.errors() > 0, "an error and no manifest, or neither");
    assert_showable(&parsed);
    if let Some(manifest) = &parsed.manifest {
        assert_confined(manifest);
    }
}

/// Everything that is wrong can be shown, for people and for programs, and steers no terminal.
fn assert_showable(parsed: &Parsed) {
    for label in parsed.problems.iter().flat_map(|problem| &problem.labels) {
        assert!(label.line >= 1 && label.column >= 1, "{label:?}");
        if let Some(excerpt) = &label.excerpt {
            assert!(excerpt.text.get(excerpt.marked.clone()).is_some(), "{excerpt:?}");
        }
    }
    let text = render(&parsed.problems, false);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let _colourful = render(&parsed.problems, true);
    let json = serde_json::to_string(&records(&parsed.problems)).expect("texts and numbers are JSON");
    assert!(!json.contains('\n'), "{json}");
}

/// What an accepted manifest names lies below root, and every ID it leads to is a usable one.
fn assert_confined(manifest: &Manifest) {
    let inside = |path: &RelPath| {
        path.as_str().split('/').all(|segment| !["", ".", ".."].contains(&segment))
            && !path.as_str().contains('\0')
    };
    assert!(manifest.sync.root.is_absolute() && manifest.sync.state_dir.is_absolute());
    assert!(manifest.exports.iter().all(|export| inside(&export.path)), "{:?}", manifest.exports);
    for config in manifest.providers.values() {
        let loopback = config.base_url.scheme() == "http";
        assert!(loopback || config.base_url.scheme() == "https", "{}", config.base_url);
        assert!(config.base_url.username().is_empty() && config.base_url.password().is_none());
    }
    let named = manifest.rules.iter().filter_map(|rule| match &rule.files {
        Files::Literal(path) => Some(path.clone()),
        Files::Glob { .. } => None,
    });
    let others = ["a.png", "brand/x y.mp3", "l\u{f6}we-\u{72ee}.jpg", ".hidden/a.png", "a\nb/c.png"];
    let others = others.into_iter().filter_map(|path| RelPath::new(path).ok());
    for path in named.chain(others) {
        assert!(inside(&path), "{path:?}");
        let seen = Observation::Present { hash: ContentHash::of(b"x"), size: 1 };
        for (provider, rule) in manifest.selected(&path) {
            let kind = manifest.providers[&provider].kind;
            let key = EntryKey { path: path.clone(), provider };
            let Ok(wanted) = want(manifest, rule, &key, kind, Some(&seen)) else { continue };
            assert_eq!(wanted.id.is_some(), kind.capabilities.naming == Naming::Client, "{path:?}");
        }
    }
}
