//! Every status, of every operation, over the wire.

use mediakeep::domain::asset::MediaId;
use mediakeep::domain::failure::{Failure, FailureClass};
use mediakeep::provider::Provider;
use mediakeep::provider::http::HttpClient;

use crate::fakes::{bandwidth, plivo};
use crate::server::{Act, Server};
use crate::wire::upload;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Upload,
    List,
    Find,
    Delete,
}

/// `None` where it is taken for a success, if only a success of finding nothing.
async fn class_of(provider: &dyn Provider, operation: Operation) -> Option<FailureClass> {
    let id = MediaId::new("x.png").unwrap();
    let class = |failure: Failure| {
        assert!(failure.status.is_some() && failure.detail.chars().count() <= 200, "{failure:?}");
        failure.class
    };
    match operation {
        Operation::Upload => {
            provider.upload(upload(Some("x.png"), "x.png", "image/png")).await.err().map(class)
        }
        Operation::List => provider.list(None).await.err().map(class),
        Operation::Find => provider.find(&id).await.err().map(class),
        Operation::Delete => provider.delete(&id).await.err().map(class),
    }
}

fn expected(operation: Operation, status: u16) -> FailureClass {
    use FailureClass as Class;
    match status {
        400 | 406 | 413 | 414 | 415 | 422 if operation == Operation::Upload => Class::ContentRefused,
        401 | 403 => Class::CredentialsRefused,
        404 | 405 => Class::AddressUnknown,
        429 => Class::Throttled,
        408 | 425 | 500..=599 => Class::Unavailable,
        _ => Class::Unexpected,
    }
}

/// Asks for every status in the name of the path of the base URL.
async fn check(
    connect: impl Fn(&str) -> std::sync::Arc<dyn Provider>,
    operation: Operation,
    successes: &[u16],
) {
    let current = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(0));
    let status_now = std::sync::Arc::clone(&current);
    let server = Server::start(move |_| {
        Act::reply(status_now.load(std::sync::atomic::Ordering::Relaxed), r#"{"error": "words"}"#)
    })
    .await;
    let provider = connect(&server.url());
    for status in 200..=599 {
        current.store(status, std::sync::atomic::Ordering::Relaxed);
        let class = class_of(&*provider, operation).await;
        let success = successes.contains(&status);
        let wanted = (!success).then(|| expected(operation, status));
        assert_eq!(class, wanted, "{operation:?} {status}");
    }
    assert_eq!(server.seen().len(), 400, "one request for one operation");
}

#[tokio::test]
async fn bandwidth_has_one_success_per_operation() {
    let http = HttpClient::new();
    let connect = |url: &str| bandwidth(url, &http, "PASSWORD");
    check(connect, Operation::Upload, &[204]).await;
    check(connect, Operation::Find, &[200, 404]).await;
    check(connect, Operation::Delete, &[204, 404]).await;
    // The body is no list, so that 200 is none either.
    check(connect, Operation::List, &[]).await;
}

#[tokio::test]
async fn plivo_counts_no_status_as_success_without_a_reply_that_confirms_it() {
    let http = HttpClient::new();
    let connect = |url: &str| plivo(url, &http, "PASSWORD");
    check(connect, Operation::Upload, &[]).await;
    check(connect, Operation::List, &[]).await;
    check(connect, Operation::Find, &[404]).await;
}

#[tokio::test]
async fn plivo_confirms_by_200_201_and_202_only() {
    for status in 200..=299 {
        let server = Server::start(move |seen| {
            let url = format!("http://{}/m", seen.header("host").unwrap());
            let object = serde_json::json!({"media_id": "id", "status": "success", "status_code": 201, "media_url": url});
            Act::reply(status, serde_json::json!({"objects": [object]}).to_string())
        })
        .await;
        let provider = plivo(&server.url(), &HttpClient::new(), "PASSWORD");
        let outcome = provider.upload(upload(None, "x.png", "image/png")).await;
        assert_eq!(outcome.is_ok(), matches!(status, 200..=202), "{status}");
    }
}

#[tokio::test]
async fn an_interim_answer_alone_is_no_answer() {
    for status in 100..=199 {
        let answer = format!("HTTP/1.1 {status} X\r\n\r\n").into_bytes();
        let server = Server::start(move |_| Act::Raw(answer.clone())).await;
        let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
        let failure = provider.upload(upload(Some("x.png"), "x.png", "image/png")).await.unwrap_err();
        let lost = matches!(failure.class, FailureClass::Ambiguous | FailureClass::Unexpected);
        assert!(lost, "{status}: {failure:?}");
    }
    let both = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 X\r\n\r\n".to_vec();
    let server = Server::start(move |_| Act::Raw(both.clone())).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    provider.upload(upload(Some("x.png"), "x.png", "image/png")).await.unwrap();
}
