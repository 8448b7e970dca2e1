//! From a provider's table to a provider: which settings it takes, and what it looks like when it is refused.

use mediakeep::domain::asset::{MediaType, ProviderName};
use mediakeep::domain::manifest::{ProviderConfig, Setting};
use mediakeep::provider::credentials::{CredentialError, CredentialProblem};
use mediakeep::provider::http::HttpClient;
use mediakeep::provider::{KINDS, connect, scope_of};

use crate::fakes::{config, environment, kind};

fn refusal(table: &ProviderConfig) -> CredentialError {
    let name = ProviderName::new("main").unwrap();
    let Err(error) = connect(&name, table, &environment(), &HttpClient::new()) else {
        panic!("{:?} was accepted", table.settings);
    };
    error
}

#[test]
fn the_account_is_known_without_any_secret() {
    let mut table =
        config("bandwidth", "https://api.example", &[("account_id", "5500012"), ("password", "UNSET")]);
    assert_eq!(scope_of(&table, &environment()).unwrap().as_str(), "5500012");
    table.settings.insert("account_id", Setting::Env("PASSWORD".to_owned()));
    assert!(scope_of(&table, &environment()).is_some());
    table.settings.insert("account_id", Setting::Env("UNSET".to_owned()));
    assert_eq!(scope_of(&table, &environment()), None);
    table.settings.remove("account_id");
    assert_eq!(scope_of(&table, &environment()), None);
}

#[test]
fn a_connected_provider_says_what_and_whose_it_is() {
    let tables = [
        config(
            "bandwidth",
            "https://api.example",
            &[("account_id", "1"), ("username", "u"), ("password", "PASSWORD")],
        ),
        config(
            "bandwidth",
            "https://api.example",
            &[("account_id", "1"), ("client_id", "c"), ("client_secret", "PASSWORD")],
        ),
        config("plivo", "https://api.example", &[("auth_id", "1"), ("auth_token", "PASSWORD")]),
    ];
    for table in tables {
        let name = ProviderName::new("main").unwrap();
        let provider = connect(&name, &table, &environment(), &HttpClient::new()).ok().unwrap();
        assert_eq!(provider.kind(), table.kind);
        assert_eq!(Some(provider.scope()), scope_of(&table, &environment()).as_ref());
    }
}

#[test]
fn every_refusal_names_its_key() {
    let bandwidth = |settings| config("bandwidth", "https://api.example", settings);
    let table = [
        (bandwidth(&[("username", "u"), ("password", "PASSWORD")]), "account_id"),
        (bandwidth(&[("account_id", "1"), ("username", "u")]), "password"),
        (bandwidth(&[("account_id", "1"), ("client_id", "c")]), "client_secret"),
        (bandwidth(&[("account_id", "1")]), "username"),
        (bandwidth(&[("account_id", "1"), ("username", "a:b"), ("password", "PASSWORD")]), "username"),
        (bandwidth(&[("account_id", ".."), ("username", "u"), ("password", "PASSWORD")]), "account_id"),
        (bandwidth(&[("account_id", "a\u{7}"), ("username", "u"), ("password", "PASSWORD")]), "account_id"),
        (config("plivo", "https://api.example", &[("auth_id", "1")]), "auth_token"),
        (
            config("plivo", "https://api.example", &[("auth_id", "a:b"), ("auth_token", "PASSWORD")]),
            "auth_id",
        ),
    ];
    for (table, key) in table {
        let error = refusal(&table);
        assert_eq!((error.provider.as_str(), error.key), ("main", key), "{error}");
    }
}

#[test]
fn a_secret_in_the_manifest_itself_is_refused() {
    let mut table = config("plivo", "https://api.example", &[("auth_id", "1")]);
    table.settings.insert("auth_token", Setting::Literal("c4n4ry".to_owned()));
    let error = refusal(&table);
    assert_eq!(error.problem, CredentialProblem::Literal);
    assert!(
        error.to_string().contains("{ env = \"NAME\" }") && !error.to_string().contains("c4n4ry"),
        "{error}"
    );
}

#[test]
fn a_provider_keeps_its_secret_and_a_new_connection_has_the_new_one() {
    let table = config("plivo", "https://api.example", &[("auth_id", "1"), ("auth_token", "PASSWORD")]);
    let mut lookups = environment();
    let name = ProviderName::new("main").unwrap();
    assert!(connect(&name, &table, &lookups, &HttpClient::new()).is_ok());
    lookups.remove("PASSWORD");
    assert!(connect(&name, &table, &lookups, &HttpClient::new()).is_err());
}

#[test]
fn the_usual_files_have_a_type_that_each_provider_takes() {
    let table: &[(&str, Option<&str>, Option<&str>)] = &[
        ("a.jpg", Some("image/jpeg"), Some("image/jpeg")),
        ("a.png", Some("image/png"), Some("image/png")),
        ("a.gif", Some("image/gif"), Some("image/gif")),
        ("a.mp3", Some("audio/mpeg"), Some("audio/mp3")),
        ("a.wav", Some("audio/wav"), Some("audio/wav")),
        ("a.ogg", Some("audio/ogg"), Some("audio/ogg")),
        ("a.mp4", Some("video/mp4"), Some("video/mp4")),
        ("a.pdf", Some("application/pdf"), Some("application/pdf")),
        ("a.txt", Some("text/plain"), Some("text/plain")),
        ("a.csv", Some("text/csv"), Some("text/csv")),
        ("a.vcf", Some("text/vcard"), Some("text/vcard")),
        ("a.m4a", Some("audio/mp4"), None),
        ("a.avi", Some("video/avi"), None),
        ("a.ico", Some("image/x-icon"), None),
        ("a.zip", Some("application/zip"), None),
        ("a.svg", Some("image/svg+xml"), None),
        ("a.webp", Some("image/webp"), None),
        ("a.heic", Some("image/heic"), None),
        ("a.xlsx", None, Some("application/vnd.ms-excel")),
        ("a.xls", None, Some("application/vnd.ms-excel")),
        ("a.3gp", None, Some("video/3gpp")),
        ("a.aac", None, None),
        ("a.exe", None, None),
    ];
    for (file, bandwidths, plivos) in table {
        let guessed = mime_guess::from_path(file)
            .first_raw()
            .unwrap_or("application/octet-stream")
            .to_ascii_lowercase();
        let media_type = MediaType::new(&guessed).unwrap();
        for (name, expected) in [("bandwidth", bandwidths), ("plivo", plivos)] {
            let accepted = kind(name).capabilities.types.accepted_name(&media_type);
            let accepted = accepted.as_ref().map(MediaType::as_str);
            assert_eq!(accepted, *expected, "{file} ({guessed}) at {name}");
        }
    }
    assert_eq!(KINDS.len(), 2);
}
