//! What the small world can be told to keep alive, and where.

use std::collections::BTreeMap;
use std::time::Duration;

use super::HOUR;
use crate::domain::asset::{ProviderName, RelPath};
use crate::domain::kind::{Capabilities, Expiry, HandleKind, Kind, Naming, Renewal, Replacing, TypeRules};
use crate::domain::manifest::{Files, Manifest, ProviderConfig, Rate, Rule, SyncOptions};

const TYPES: TypeRules = TypeRules { accepted: &["image/png", "audio/mpeg"], aliases: &[] };

const fn capabilities(naming: Naming, hours: u64) -> Capabilities {
    Capabilities {
        naming,
        replacing: Replacing::Overwrites,
        expiry: Expiry::Fixed,
        renewal: Renewal::UploadAgain,
        handle: HandleKind::PublicUrl,
        retention: Duration::from_secs(hours * 3600),
        can_list: true,
        list_page: 7,
        can_find: true,
        one_limit: matches!(naming, Naming::Server),
        can_delete: false,
        stores_cache_control: true,
        max_bytes: 1000,
        max_url_bytes: 1000,
        types: TYPES,
    }
}

const fn kind(name: &'static str, naming: Naming, hours: u64) -> Kind {
    Kind {
        name,
        title: name,
        settings: &[],
        credentials: &[],
        scope_setting: "account",
        base_url: "https://provider.example",
        token_url: None,
        capabilities: capabilities(naming, hours),
    }
}

/// The client names media, which live for 48 hours.
pub(in super::super) static NAMED: Kind = kind("named", Naming::Client, 48);
/// The provider names media, which live for 6 hours.
pub(in super::super) static NUMBERED: Kind = kind("numbered", Naming::Server, 6);

pub(in super::super) fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

pub(in super::super) fn provider(text: &str) -> ProviderName {
    ProviderName::new(text).unwrap()
}

fn config(kind: &'static Kind) -> ProviderConfig {
    ProviderConfig {
        kind,
        settings: BTreeMap::new(),
        base_url: kind.base_url.parse().unwrap(),
        token_url: None,
        retention: None,
        margin: None,
        concurrency: 4,
        rate: Rate { requests: 10, per: Duration::from_secs(1) },
        verify: HOUR,
    }
}

/// A manifest with these rules: `*.png` is a glob, anything else a file; each goes to the providers named.
pub(in super::super) fn manifest(rules: &[(&str, &[&str])]) -> Manifest {
    let rule = |(pattern, to): &(&str, &[&str])| Rule {
        line: 1,
        files: if pattern.contains('*') {
            let include = globset::Glob::new(pattern).unwrap().compile_matcher();
            Files::Glob { include, exclude: globset::GlobSet::empty() }
        } else {
            Files::Literal(path(pattern))
        },
        to: to.iter().map(|name| provider(name)).collect(),
        id: None,
        content_type: None,
        cache_control: None,
    };
    let kinds = [("named", &NAMED), ("numbered", &NUMBERED)];
    let sync = SyncOptions {
        root: "/media".into(),
        state_dir: "/state".into(),
        settle: Duration::from_secs(2),
        rescan: Duration::from_secs(900),
        keep_copies: true,
    };
    let providers = kinds.into_iter().map(|(name, kind)| (provider(name), config(kind))).collect();
    Manifest::new(sync, providers, rules.iter().map(rule).collect(), Vec::new(), Vec::new())
}
