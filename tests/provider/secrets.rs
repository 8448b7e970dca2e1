//! No secret in a failure, an error, a `Debug` text or a log line, however hard a server tries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mediakeep::domain::asset::{MediaId, ProviderName};
use mediakeep::domain::failure::Failure;
use mediakeep::provider::http::HttpClient;
use mediakeep::provider::{Provider, connect};

use crate::fakes::{ACCOUNT, PASSWORD, TOKEN, bandwidth, bandwidth_oauth, config, environment, plivo};
use crate::server::{Act, Seen, Server};
use crate::trouble::in_child;
use crate::wire::upload;

/// Parts of the secrets as they are and as base64, none of which may be seen anywhere.
fn canaries() -> Vec<String> {
    let mut forms = vec!["c4n4ry".to_owned(), PASSWORD.to_owned(), TOKEN.to_owned()];
    for user in ["bwuser", "cid", crate::fakes::AUTH_ID] {
        // What follows the user's name in base64 depends on the password alone.
        let pair = STANDARD.encode(format!("{user}:{PASSWORD}"));
        forms.push(pair[pair.len() - 20..].to_owned());
    }
    forms.push(STANDARD.encode(PASSWORD)[..12].to_owned());
    forms
}

fn assert_clean(text: &str) {
    for canary in canaries() {
        assert!(!text.contains(&canary), "{canary} is in {text}");
    }
}

/// Repeats what it was sent, in the words of a refusal.
fn echo(seen: &Seen, shape: usize, status: u16) -> Act {
    let authorization = seen.header("authorization").unwrap();
    let encoded = authorization.split_once(' ').unwrap().1;
    let decoded = STANDARD.decode(encoded).map(|bytes| String::from_utf8(bytes).unwrap());
    let plain = decoded.unwrap_or_else(|_| encoded.to_owned());
    let secret = plain.split_once(':').map_or(plain.as_str(), |(_, secret)| secret);
    let words = format!("{authorization} and {plain} and {secret} and {}", STANDARD.encode(secret));
    let json = serde_json::Value::from(words.clone());
    let body = match shape {
        0 => format!(r#"{{"type": {json}, "description": {json}}}"#),
        1 => format!(r#"{{"error": {json}}}"#),
        2 => words.clone(),
        3 => format!("<html>{words}</html>"),
        4 => format!(r#"{{"error": {json}"#),
        5 => format!(r#"{{"objects": [{{"status": {json}, "status_code": 400, "error_message": {json}}}]}}"#),
        _ => format!(r#"{{"access_token": {json}}}"#),
    };
    Act::reply(status, body).with_header("X-Echo", words)
}

async fn every_failure(provider: &dyn Provider) -> Vec<Failure> {
    let id = MediaId::new("x.png").unwrap();
    let mut failures = Vec::new();
    failures.extend(provider.upload(upload(Some("x.png"), "x.png", "image/png")).await.err());
    failures.extend(provider.list(None).await.err());
    failures.extend(provider.find(&id).await.err());
    failures.extend(provider.delete(&id).await.err());
    failures
}

async fn provoke_everything() -> usize {
    let mut count = 0;
    for status in [200, 204, 302, 400, 401, 403, 404, 429, 500] {
        for shape in 0..=6 {
            let echoing = Server::start(move |seen| echo(seen, shape, status)).await;
            // This one gives a token first, and then repeats it.
            let giving = Server::start(move |seen| {
                if seen.target.ends_with("/token") {
                    return Act::reply(200, format!(r#"{{"access_token": "{TOKEN}"}}"#));
                }
                echo(seen, shape, status)
            })
            .await;
            let http = HttpClient::new();
            let (echoing, giving) = (echoing.url(), giving.url());
            for provider in [
                bandwidth(&echoing, &http, "PASSWORD"),
                bandwidth_oauth(&echoing, &http, "PASSWORD"),
                bandwidth_oauth(&giving, &http, "PASSWORD"),
                plivo(&echoing, &http, "PASSWORD"),
            ] {
                for failure in every_failure(&*provider).await {
                    assert_clean(&format!("{failure} {failure:?}"));
                    count += 1;
                }
            }
        }
    }
    count
}

#[tokio::test]
async fn failures_hold_no_secret_even_where_a_server_repeats_it() {
    assert!(provoke_everything().await > 500);
}

#[test]
fn logs_hold_no_secret_at_the_most_talkative_level() {
    let name = "secrets::logs_hold_no_secret_at_the_most_talkative_level";
    let Some(log) = in_child(name, &[], log_everything) else { return };
    assert!(
        log.contains("this shows that lines are written") && log.contains("connecting to 127.0.0.1"),
        "{log}"
    );
    assert_clean(&log);
}

async fn log_everything() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stderr).init();
    tracing::trace!("this shows that lines are written");
    provoke_everything().await;
}

#[test]
fn credential_errors_name_the_reference_and_no_value() {
    let name = ProviderName::new("bw").unwrap();
    let tables: &[&[(&'static str, &str)]] = &[
        &[("account_id", ACCOUNT), ("username", "user:c4n4ry"), ("password", "PASSWORD")],
        &[("account_id", ACCOUNT), ("username", "c4n4ry"), ("password", "UNSET")],
        &[("account_id", ACCOUNT), ("username", "c4n4ry")],
        &[("account_id", ACCOUNT), ("client_id", "c4n4ry"), ("client_secret", "c4n4ry!")],
        &[("account_id", "c4n4ry\n\u{1}"), ("username", "x"), ("password", "PASSWORD")],
        &[("username", "c4n4ry"), ("password", "PASSWORD")],
    ];
    for settings in tables {
        let table = config("bandwidth", "https://api.example", settings);
        let Err(error) = connect(&name, &table, &environment(), &HttpClient::new()) else {
            panic!("{settings:?} was accepted");
        };
        let text = format!("{error} {error:?}");
        assert_clean(&text);
        assert!(text.starts_with("provider bw: "), "{text}");
    }
}
