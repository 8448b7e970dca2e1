//! What an accepted manifest means.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::fixtures::{manifest, read, read_both, read_sources};
use super::super::{ExportFormat, Files, Manifest, Rate, Setting};
use super::with_accounts;

#[test]
fn what_is_not_stated_has_a_default() {
    let manifest = manifest("version = 1");
    let sync = &manifest.sync;
    assert_eq!(sync.root, Path::new("/srv/media"));
    assert_eq!(sync.state_dir, Path::new("/srv/media/.mediakeep"));
    assert_eq!((sync.settle, sync.rescan), (Duration::from_secs(2), Duration::from_secs(900)));
    assert!(sync.keep_copies && manifest.providers.is_empty() && manifest.rules.is_empty());
    assert_eq!(manifest.reserved.iter().map(ToString::to_string).collect::<Vec<_>>(), ["media.toml"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_problem() {
    let manifest = manifest("\u{feff}version = 1\r\n[sync]\r\nsettle = \"5s\"\r\n");
    assert_eq!(manifest.sync.settle, Duration::from_secs(5));
}

#[test]
fn providers_have_settings_addresses_and_limits() {
    let tables = "retention = \"2h\"\nmargin = \"30m\"\nconcurrency = 64\nrate = \"300/m\"\nverify = \"0s\"\nbase_url = \"http://localhost:8480/v1/\"\n";
    let manifest = manifest(&with_accounts(tables));
    let bandwidth = &manifest.providers["bandwidth"];
    assert_eq!(bandwidth.kind.name, "bandwidth");
    assert_eq!(bandwidth.settings["account_id"], Setting::Literal("5500012".to_owned()));
    assert_eq!(bandwidth.settings["client_id"], Setting::Env("BANDWIDTH_ID".to_owned()));
    assert_eq!(bandwidth.settings["client_secret"], Setting::Credential("bandwidth-secret".to_owned()));
    assert_eq!(bandwidth.base_url.as_str(), "https://messaging.bandwidth.com/api/v2");
    assert_eq!(
        bandwidth.token_url.as_ref().map(url::Url::as_str),
        Some("https://api.bandwidth.com/api/v1/oauth2/token")
    );
    assert_eq!((bandwidth.retention, bandwidth.margin, bandwidth.concurrency), (None, None, 4));
    assert_eq!(bandwidth.rate, Rate { requests: 10, per: Duration::from_secs(1) });
    assert_eq!(bandwidth.verify, Duration::from_secs(3600));
    let plivo = &manifest.providers["plivo"];
    assert_eq!(plivo.verify, Duration::ZERO);
    assert_eq!(plivo.base_url.as_str(), "http://localhost:8480/v1");
    assert_eq!(plivo.token_url, None);
    assert_eq!(plivo.retention, Some(Duration::from_secs(7200)));
    assert_eq!((plivo.margin, plivo.concurrency), (Some(Duration::from_secs(1800)), 64));
    assert_eq!(plivo.rate, Rate { requests: 300, per: Duration::from_secs(60) });
}

#[test]
fn rules_and_exports_keep_their_order() {
    let manifest = manifest(&with_accounts(
        r#"
[[media]]
file = "brand/logo.png"
to = "bandwidth"
id = "logo-{hash8}.png"
content_type = "image/png"
cache_control = "max-age=3600"
[[media]]
files = "greetings/**/*.mp3"
exclude = ["greetings/drafts/**"]
to = ["plivo", "bandwidth"]
[[export]]
path = "urls.json"
format = "json"
[[export]]
path = "a/urls.env"
format = "env"
"#,
    ));
    let [logo, greetings] = &manifest.rules[..] else { panic!("{:?}", manifest.rules) };
    assert!(matches!(&logo.files, Files::Literal(path) if path.as_str() == "brand/logo.png"));
    assert_eq!(logo.id.as_ref().unwrap().to_string(), "logo-{hash8}.png");
    assert_eq!(logo.content_type.as_ref().unwrap().as_str(), "image/png");
    assert_eq!(logo.cache_control.as_deref(), Some("max-age=3600"));
    assert!(matches!(&greetings.files, Files::Glob { exclude, .. } if exclude.len() == 1));
    assert_eq!(greetings.to.iter().map(ToString::to_string).collect::<Vec<_>>(), ["plivo", "bandwidth"]);
    let exports: Vec<_> = manifest.exports.iter().map(|e| (e.path.to_string(), e.format)).collect();
    assert_eq!(
        exports,
        [("urls.json".to_owned(), ExportFormat::Json), ("a/urls.env".to_owned(), ExportFormat::Env)]
    );
}

#[test]
fn every_way_to_write_a_table_means_the_same() {
    let usual = with_accounts(
        "[[media]]\nfile = \"a.png\"\nto = \"plivo\"\n[[media]]\nfile = \"b.png\"\nto = \"plivo\"\n",
    );
    let inline = r#"
"version" = 0x1
media = [{ file = 'a.png', to = "plivo" }, { "file" = """b.png""", to = ["plivo"] }]
provider.bandwidth = { kind = "bandwidth", account_id = "5500012", client_id = { env = "BANDWIDTH_ID" }, client_secret.credential = "bandwidth-secret" }
[provider.plivo]
kind = "plivo"
auth_id.env = "PLIVO_AUTH_ID"
[provider.plivo.auth_token]
env = "PLIVO_AUTH_TOKEN"
"#;
    let shape = |mut manifest: Manifest| {
        manifest.rules.iter_mut().for_each(|rule| rule.line = 0);
        format!("{:?} {:?}", manifest.providers, manifest.rules)
    };
    assert_eq!(shape(manifest(inline)), shape(manifest(&usual)));
}

#[test]
fn paths_belong_to_the_file_that_states_them() {
    let sync = "[sync]\nroot = \"pictures\"\nstate_dir = \"../state\"\n";
    let alone = manifest(&format!("version = 1\n{sync}"));
    assert_eq!(alone.sync.root, Path::new("/srv/media/pictures"));
    assert_eq!(alone.sync.state_dir, Path::new("/srv/state"));
    assert!(alone.reserved.is_empty());

    let config = with_accounts(
        "[provider.x]\nkind = \"plivo\"\nauth_id = { file = \"id\" }\nauth_token = { file = \"/run/token\" }\n",
    );
    let beside = read_both("version = 1\n", &format!("{config}{sync}")).manifest.unwrap();
    assert_eq!(beside.sync.root, Path::new("/etc/mediakeep/pictures"));
    assert_eq!(beside.sync.state_dir, Path::new("/etc/state"));
    let settings = &beside.providers["x"].settings;
    assert_eq!(settings["auth_id"], Setting::File(PathBuf::from("/etc/mediakeep/id")));
    assert_eq!(settings["auth_token"], Setting::File(PathBuf::from("/run/token")));
    // Without a stated root, it is the manifest's folder, wherever the config is.
    assert_eq!(read_both("version = 1\n", &config).manifest.unwrap().sync.root, Path::new("/srv/media"));
}

#[test]
fn the_state_folder_comes_from_systemd_unless_it_is_stated() {
    let state_dir = |text: &str, handed_over: &str| {
        let parsed = read_sources(text.as_bytes(), None, Some(OsStr::new(handed_over)));
        parsed.manifest.unwrap().sync.state_dir
    };
    let plain = "version = 1";
    assert_eq!(state_dir(plain, "/var/lib/mediakeep"), Path::new("/var/lib/mediakeep"));
    assert_eq!(state_dir(plain, "/var/lib/mediakeep:/var/lib/other"), Path::new("/var/lib/mediakeep"));
    assert_eq!(state_dir(plain, ""), Path::new("/srv/media/.mediakeep"));
    let bytes: &OsStr = OsStrExt::from_bytes(b"/var/lib/\xff");
    let parsed = read_sources(plain.as_bytes(), None, Some(bytes));
    assert_eq!(parsed.manifest.unwrap().sync.state_dir, Path::new(bytes));
    assert_eq!(state_dir("version = 1\n[sync]\nstate_dir = \"s\"", "/var/lib/x"), Path::new("/srv/media/s"));
}

#[test]
fn the_state_folder_does_not_hold_the_watched_one() {
    for folder in [".", "..", "/", "/srv"] {
        let parsed = read(&format!("version = 1\n[sync]\nstate_dir = \"{folder}\""));
        assert_eq!(parsed.errors(), 1, "{folder}");
    }
    let outside = read("version = 1\n[sync]\nstate_dir = \"/var/lib/mediakeep\"");
    assert!(outside.problems.is_empty());
    let inside = read("version = 1");
    assert_eq!(
        inside.problems[0].message,
        "`git clean -fdx` would delete the state folder /srv/media/.mediakeep"
    );
}
