//! OAuth2: when a token is asked for, and what becomes of a refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mediakeep::domain::failure::FailureClass;
use mediakeep::provider::Provider;
use mediakeep::provider::http::{HttpClient, Limits};
use serde_json::json;

use crate::fakes::{ACCOUNT, bandwidth_oauth, config, connected};
use crate::server::{Act, Seen, Server};
use crate::wire::{PNG, upload};

fn is_token_request(seen: &Seen) -> bool {
    seen.target == "/api/v1/oauth2/token"
}

fn token_reply(token: &str, expires_in: u64) -> Act {
    Act::reply(
        200,
        json!({"access_token": token, "expires_in": expires_in, "token_type": "Bearer"}).to_string(),
    )
}

fn lines(server: &Server) -> Vec<String> {
    let short = |seen: &Seen| {
        let authorization = seen.header("authorization").unwrap().to_owned();
        format!("{} {}", seen.method, authorization)
    };
    server.seen().iter().map(short).collect()
}

const BASIC: &str = "POST Basic Y2lkOmM0bjRyeTpwImFzcy93K29yZA==";

async fn put(provider: &dyn Provider) -> Result<(), FailureClass> {
    let request = upload(Some("logo.png"), "logo.png", "image/png");
    provider.upload(request).await.map(|_| ()).map_err(|failure| failure.class)
}

#[tokio::test]
async fn the_token_is_asked_for_once_and_then_carried() {
    let server =
        Server::start(
            |seen| if is_token_request(seen) { token_reply("tok", 3600) } else { Act::reply(204, "") },
        )
        .await;
    let provider = bandwidth_oauth(&server.url(), &HttpClient::new(), "PASSWORD");
    put(&*provider).await.unwrap();
    put(&*provider).await.unwrap();

    assert_eq!(lines(&server), [BASIC, "PUT Bearer tok", "PUT Bearer tok"]);
    let seen = server.seen();
    assert_eq!(seen[0].body, b"grant_type=client_credentials");
    assert_eq!(seen[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen[0].header("content-length"), Some("29"));
    assert_eq!(seen[1].target, format!("/api/v2/users/{ACCOUNT}/media/logo.png"));
    assert_eq!(seen[1].body, PNG);
}

#[tokio::test]
async fn many_uploads_at_once_ask_for_one_token() {
    let server =
        Server::start(
            |seen| if is_token_request(seen) { token_reply("tok", 3600) } else { Act::reply(204, "") },
        )
        .await;
    let provider = bandwidth_oauth(&server.url(), &HttpClient::new(), "PASSWORD");
    for outcome in futures_util::future::join_all((0..30).map(|_| put(&*provider))).await {
        outcome.unwrap();
    }
    assert_eq!(server.seen().iter().filter(|seen| is_token_request(seen)).count(), 1);
}

#[tokio::test]
async fn many_uploads_at_once_share_the_refusal_of_a_token() {
    let server = Server::start(|_| Act::reply(503, "")).await;
    let provider = bandwidth_oauth(&server.url(), &HttpClient::new(), "PASSWORD");
    for outcome in futures_util::future::join_all((0..30).map(|_| put(&*provider))).await {
        assert_eq!(outcome, Err(FailureClass::Unavailable));
    }
    assert_eq!(server.seen().len(), 1);
    // A later one asks again.
    assert_eq!(put(&*provider).await, Err(FailureClass::Unavailable));
    assert_eq!(server.seen().len(), 2);
}

/// Accepts the token that it gave last, and gives another one each time.
async fn rotating(expires_in: u64) -> (Server, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let accepted = Arc::clone(&given);
    let server = Server::start(move |seen| {
        if is_token_request(seen) {
            let number = given.fetch_add(1, Ordering::Relaxed) + 1;
            return token_reply(&format!("tok{number}"), expires_in);
        }
        let right = format!("Bearer tok{}", given.load(Ordering::Relaxed));
        if seen.header("authorization") == Some(&right) { Act::reply(204, "") } else { Act::reply(401, "") }
    })
    .await;
    (server, accepted)
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_upload_goes_through() {
    let (server, accepted) = rotating(3600).await;
    let provider = bandwidth_oauth(&server.url(), &HttpClient::new(), "PASSWORD");
    put(&*provider).await.unwrap();
    accepted.fetch_add(1, Ordering::Relaxed); // the token was revoked
    put(&*provider).await.unwrap();
    let expected = [BASIC, "PUT Bearer tok1", "PUT Bearer tok1", BASIC, "PUT Bearer tok3"];
    assert_eq!(lines(&server), expected);
}

#[tokio::test]
async fn many_refused_at_once_renew_the_token_once() {
    let (server, accepted) = rotating(3600).await;
    let provider = bandwidth_oauth(&server.url(), &HttpClient::new(), "PASSWORD");
    put(&*provider).await.unwrap();
    accepted.fetch_add(1, Ordering::Relaxed);
    for outcome in futures_util::future::join_all((0..12).map(|_| put(&*provider))).await {
        outcome.unwrap();
    }
    assert_eq!(server.seen().iter().filter(|seen| is_token_request(seen)).count(), 2);
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_final() {
    let server =
        Server::start(
            |seen| if is_token_request(seen) { token_reply("tok", 3600) } else { Act::reply(401, "") },
        )
        .await;
    let provider = bandwidth_oauth(&server.url(), &HttpClient::new(), "PASSWORD");
    assert_eq!(put(&*provider).await, Err(FailureClass::CredentialsRefused));
    assert_eq!(lines(&server), [BASIC, "PUT Bearer tok"]);
    // The next one finds an old token, renews it, and gives up.
    assert_eq!(put(&*provider).await, Err(FailureClass::CredentialsRefused));
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn a_token_without_life_is_used_for_one_request() {
    let (server, _) = rotating(0).await;
    let provider = bandwidth_oauth(&server.url(), &HttpClient::new(), "PASSWORD");
    put(&*provider).await.unwrap();
    put(&*provider).await.unwrap();
    assert_eq!(lines(&server), [BASIC, "PUT Bearer tok1", BASIC, "PUT Bearer tok2"]);
}

#[tokio::test]
async fn what_goes_wrong_with_a_token_has_a_class_and_sends_no_media() {
    use FailureClass as Class;
    let page = "<html>log in</html>";
    let table = [
        (Act::reply(401, r#"{"error": "invalid_client"}"#), Class::CredentialsRefused),
        (Act::reply(400, r#"{"error": "invalid_client"}"#), Class::CredentialsRefused),
        (Act::reply(400, ""), Class::Unexpected),
        (Act::reply(403, page), Class::CredentialsRefused),
        (Act::reply(404, ""), Class::AddressUnknown),
        (Act::reply(429, ""), Class::Throttled),
        (Act::reply(500, page), Class::Unavailable),
        (Act::reply(302, "").with_header("Location", "http://127.0.0.1:1/"), Class::Unexpected),
        (Act::reply(200, page), Class::Unexpected),
        (Act::reply(200, "{}"), Class::Unexpected),
        (Act::reply(200, r#"{"access_token": ""}"#), Class::Unexpected),
        (Act::reply(200, r#"{"access_token": "a\r\nb"}"#), Class::Unexpected),
        (Act::reply(200, r#"{"access_token": "a", "token_type": "mac"}"#), Class::Unexpected),
        (Act::reply(204, ""), Class::Unexpected),
        (Act::HangUp, Class::Unreachable),
        (Act::Reset, Class::Unreachable),
        (Act::Stall(Vec::new()), Class::Unreachable),
    ];
    for (act, class) in table {
        let told = act.clone();
        let server = Server::start(move |_| told.clone()).await;
        let http =
            HttpClient::with_limits(Limits { silence: Duration::from_millis(200), ..Limits::default() });
        let provider = bandwidth_oauth(&server.url(), &http, "PASSWORD");
        assert_eq!(put(&*provider).await, Err(class), "{act:?}");
        assert!(server.seen().iter().all(is_token_request));
    }
}

#[tokio::test]
async fn the_client_secret_goes_to_the_token_url_and_the_token_to_the_base_url() {
    let tokens = Server::start(|_| token_reply("tok", 3600)).await;
    let media = Server::start(|_| Act::reply(204, "")).await;
    let settings = [("account_id", ACCOUNT), ("client_id", "cid"), ("client_secret", "PASSWORD")];
    let mut table = config("bandwidth", &format!("{}/api/v2", media.url()), &settings);
    table.token_url = Some(format!("{}/api/v1/oauth2/token", tokens.url()).parse().unwrap());
    let provider = connected(&table, &HttpClient::new());
    put(&*provider).await.unwrap();
    assert_eq!(lines(&tokens), [BASIC]);
    assert_eq!(lines(&media), ["PUT Bearer tok"]);
}
