//! Kinds of providers with the keys of the real ones, and a short way to a parsed manifest, for tests.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::{Manifest, Parsed, Source, Sources, parse};
use crate::domain::kind::{
    Capabilities, Expiry, HandleKind, Kind, Naming, Renewal, Replacing, SettingSpec, TypeRules,
};

const fn setting(name: &'static str, secret: bool, required: bool, about: &'static str) -> SettingSpec {
    SettingSpec { name, secret, required, about }
}

/// Names media itself, overwrites, and takes two kinds of credentials.
pub(crate) static BANDWIDTH: Kind = Kind {
    name: "bandwidth",
    title: "Bandwidth",
    settings: &[
        setting("account_id", false, true, "the account's number, part of every URL"),
        setting(
            "username",
            false,
            false,
            "an API user of the account (Bandwidth is withdrawing these in favour of OAuth2)",
        ),
        setting("password", true, false, "the API user's password"),
        setting("client_id", false, false, "the ID of OAuth2 client credentials"),
        setting("client_secret", true, false, "the secret of OAuth2 client credentials"),
    ],
    credentials: &[&["username", "password"], &["client_id", "client_secret"]],
    scope_setting: "account_id",
    base_url: "https://messaging.bandwidth.com/api/v2",
    token_url: Some("https://api.bandwidth.com/api/v1/oauth2/token"),
    capabilities: Capabilities {
        naming: Naming::Client,
        replacing: Replacing::Overwrites,
        expiry: Expiry::Fixed,
        renewal: Renewal::UploadAgain,
        handle: HandleKind::AuthenticatedUrl,
        retention: Duration::from_secs(48 * 3600),
        can_list: true,
        list_page: 1_000,
        can_find: true,
        one_limit: false,
        can_delete: true,
        stores_cache_control: true,
        max_bytes: 3_500_000,
        max_url_bytes: 999,
        types: TypeRules {
            accepted: &[
                "audio/mpeg",
                "audio/mp4",
                "audio/ogg",
                "audio/wav",
                "image/gif",
                "image/jpeg",
                "image/png",
                "text/plain",
            ],
            aliases: &[("audio/mp3", "audio/mpeg"), ("image/jpg", "image/jpeg")],
        },
    },
};

/// Leaves naming to the server.
pub(crate) static PLIVO: Kind = Kind {
    name: "plivo",
    title: "Plivo",
    settings: &[
        setting("auth_id", false, true, "the auth ID of the account (MA…) or subaccount (SA…)"),
        setting("auth_token", true, true, "the auth token"),
    ],
    credentials: &[&["auth_id", "auth_token"]],
    scope_setting: "auth_id",
    base_url: "https://api.plivo.com",
    token_url: None,
    capabilities: Capabilities {
        naming: Naming::Server,
        replacing: Replacing::NewHandle,
        expiry: Expiry::Fixed,
        renewal: Renewal::UploadAgain,
        handle: HandleKind::PublicUrl,
        retention: Duration::from_secs(6 * 3600),
        can_list: true,
        list_page: 1_000,
        can_find: true,
        one_limit: false,
        can_delete: false,
        stores_cache_control: false,
        max_bytes: 2_000_000,
        max_url_bytes: 999,
        types: TypeRules {
            accepted: &["audio/mp3", "image/gif", "image/jpeg", "image/png"],
            aliases: &[("audio/mpeg", "audio/mp3")],
        },
    },
};

/// The kinds that tests know.
pub(crate) static KINDS: [&Kind; 2] = [&BANDWIDTH, &PLIVO];

/// A version and two accounts: what most manifests begin with.
pub(crate) const ACCOUNTS: &str = r#"version = 1
[provider.bandwidth]
kind = "bandwidth"
account_id = "5500012"
client_id = { env = "BANDWIDTH_ID" }
client_secret = { credential = "bandwidth-secret" }
[provider.plivo]
kind = "plivo"
auth_id = { env = "PLIVO_AUTH_ID" }
auth_token = { env = "PLIVO_AUTH_TOKEN" }
"#;

/// Reads a manifest that lies at `/srv/media/media.toml`.
pub(crate) fn read(text: &str) -> Parsed {
    read_sources(text.as_bytes(), None, None)
}

/// Reads a manifest at `/srv/media/media.toml` with a config at `/etc/mediakeep/mediakeep.toml`.
pub(crate) fn read_both(manifest: &str, config: &str) -> Parsed {
    read_sources(manifest.as_bytes(), Some(config.as_bytes()), None)
}

/// Reads whatever there is.
pub(crate) fn read_sources(
    manifest: &[u8],
    config: Option<&[u8]>,
    state_directory: Option<&OsStr>,
) -> Parsed {
    let source = |name, path, text| Source { name, path: Path::new(path), text };
    let manifest = source("media.toml", "/srv/media/media.toml", manifest);
    let config = config.map(|text| source("mediakeep.toml", "/etc/mediakeep/mediakeep.toml", text));
    parse(&Sources { manifest, config, state_directory }, &KINDS)
}

/// The manifest of a text that has no errors.
#[track_caller]
pub(crate) fn manifest(text: &str) -> Manifest {
    let parsed = read(text);
    let messages: Vec<_> = parsed.problems.iter().map(|problem| &problem.message).collect();
    parsed.manifest.unwrap_or_else(|| panic!("{messages:#?}"))
}
