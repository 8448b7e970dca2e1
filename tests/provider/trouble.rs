//! Broken lines, endless and silent servers, and what surrounds this process.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use mediakeep::domain::asset::MediaId;
use mediakeep::domain::failure::{Failure, FailureClass};
use mediakeep::provider::http::{HttpClient, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fakes::{bandwidth, plivo};
use crate::server::{Act, Server};
use crate::wire::upload;

fn impatient() -> HttpClient {
    HttpClient::with_limits(Limits { silence: Duration::from_millis(150), ..Limits::default() })
}

async fn put(url: &str, http: &HttpClient) -> Failure {
    let request = upload(Some("logo.png"), "logo.png", "image/png");
    bandwidth(url, http, "PASSWORD").upload(request).await.unwrap_err()
}

async fn post(url: &str, http: &HttpClient) -> Failure {
    let request = upload(None, "logo.png", "image/png");
    plivo(url, http, "PASSWORD").upload(request).await.unwrap_err()
}

#[tokio::test]
async fn no_connection_means_that_nothing_was_sent() {
    for url in ["http://127.0.0.1:1", "http://no..such.localhost:1"] {
        let failure = put(url, &HttpClient::new()).await;
        assert_eq!((failure.class, failure.status), (FailureClass::Unreachable, None), "{failure}");
        assert!(failure.detail.starts_with("cannot reach Bandwidth: "), "{failure}");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_fails_or_stalls_means_that_nothing_was_sent() {
    let limits = Limits { connect: Duration::from_millis(300), ..Limits::default() };
    let http = HttpClient::with_limits(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            if number == 0 {
                stream.write_all(b"HTTP/1.1 400 no TLS here\r\n\r\n").await.unwrap();
            }
            held.push(stream);
        }
    });
    for _ in 0..2 {
        let failure = put(&format!("https://{address}"), &http).await;
        assert_eq!((failure.class, failure.status), (FailureClass::Unreachable, None), "{failure}");
    }
}

#[tokio::test]
async fn a_line_that_breaks_after_the_request_leaves_the_outcome_open() {
    let table = [
        Act::HangUp,
        Act::Reset,
        Act::Raw(b"HTTP/1.1 20".to_vec()),
        Act::Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
        Act::Raw(vec![0; 4096]),
        Act::Endless(
            b"HTTP/1.1 204 X\r\n".to_vec(),
            b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100),
        ),
        Act::Stall(Vec::new()),
        Act::Stall(b"HTTP/1.1 204 X\r\nX-Half: ".to_vec()),
    ];
    for act in table {
        let told = act.clone();
        let server = Server::start(move |_| told.clone()).await;
        let failure = put(&server.url(), &impatient()).await;
        assert_eq!((failure.class, failure.status), (FailureClass::Ambiguous, None), "{act:?}: {failure}");
        assert_eq!(server.seen().len(), 1, "{act:?} is not repeated");
    }
}

#[tokio::test]
async fn a_refusal_that_cuts_the_upload_short_is_a_refusal_or_open_and_never_unsent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The head and some of the body, then an answer, and the connection is dropped with bytes unread.
            let mut some = vec![0; 20_000];
            let _count = stream.read(&mut some).await;
            let _written =
                stream.write_all(b"HTTP/1.1 413 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
    });
    for _ in 0..20 {
        let mut request = upload(Some("large.png"), "large.png", "image/png");
        request.body = Bytes::from(vec![7; 3_500_000]);
        let failure = bandwidth(&url, &HttpClient::new(), "PASSWORD").upload(request).await.unwrap_err();
        let right = match failure.status {
            Some(413) => failure.class == FailureClass::ContentRefused,
            Some(_) => false,
            None => failure.class == FailureClass::Ambiguous,
        };
        assert!(right, "{failure:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_its_status_still_counts() {
    let head = |status: &str| format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();

    let (first, again) = (head("500 X"), chunk.clone());
    let server = Server::start(move |_| Act::Endless(first.clone(), again.clone())).await;
    assert_eq!(put(&server.url(), &HttpClient::new()).await.class, FailureClass::Unavailable);
    assert_eq!(post(&server.url(), &HttpClient::new()).await.class, FailureClass::Unavailable);

    let (first, again) = (head("200 X"), chunk);
    let server = Server::start(move |_| Act::Endless(first.clone(), again.clone())).await;
    assert_eq!(post(&server.url(), &HttpClient::new()).await.class, FailureClass::Unexpected);
    for provider in [
        bandwidth(&server.url(), &HttpClient::new(), "PASSWORD"),
        plivo(&server.url(), &HttpClient::new(), "PASSWORD"),
    ] {
        let failure = provider.list(None).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unexpected, "{failure}");
    }
    // The media itself is not read, however long it is.
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    assert!(provider.find(&MediaId::new("x.png").unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn looking_a_media_up_does_not_wait_for_its_bytes() {
    let head = b"HTTP/1.1 200 X\r\nContent-Length: 3000000\r\n\r\n".to_vec();
    let server = Server::start(move |_| Act::Stall(head.clone())).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let id = MediaId::new("x.png").unwrap();
    let found = tokio::time::timeout(Duration::from_secs(15), provider.find(&id)).await;
    assert_eq!(found.unwrap().unwrap().unwrap().size, Some(3_000_000));
}

#[tokio::test]
async fn a_confirmation_that_breaks_off_confirms_nothing() {
    let half = b"HTTP/1.1 200 X\r\nContent-Length: 900\r\n\r\n{\"objects\": [".to_vec();
    for act in [Act::Raw(half.clone()), Act::Stall(half)] {
        let server = Server::start(move |_| act.clone()).await;
        let failure = post(&server.url(), &impatient()).await;
        assert_eq!((failure.class, failure.status), (FailureClass::Ambiguous, Some(200)), "{failure}");
    }
}

#[tokio::test]
async fn a_server_that_drips_is_left_at_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut some = vec![0; 20_000];
        let _count = stream.read(&mut some).await;
        for byte in b"HTTP/1.1 204 X\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut request = upload(Some("logo.png"), "logo.png", "image/png");
    request.time_limit = Duration::from_millis(300);
    let failure = bandwidth(&url, &HttpClient::new(), "PASSWORD").upload(request).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Ambiguous, "{failure}");
}

#[tokio::test]
async fn a_large_upload_may_take_longer_than_the_silence_that_is_borne() {
    // 3.2 MB may take 100 s, so that a server that reads slowly is not given up after 150 ms.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut some, mut read) = (vec![0; 400_000], 0);
        while read < 3_200_000 {
            tokio::time::sleep(Duration::from_millis(40)).await;
            read += stream.read(&mut some).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 204 X\r\n\r\n").await.unwrap();
    });
    let mut request = upload(Some("large.png"), "large.png", "image/png");
    request.body = Bytes::from(vec![7; 3_200_000]);
    bandwidth(&url, &impatient(), "PASSWORD").upload(request).await.unwrap();
}

#[tokio::test]
async fn an_upload_can_be_dropped_and_the_next_one_is_whole() {
    let server = Server::start(|seen| {
        if seen.target.ends_with("dropped.png") { Act::Stall(Vec::new()) } else { Act::reply(204, "") }
    })
    .await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let dropped = provider.upload(upload(Some("dropped.png"), "x", "image/png"));
    assert!(tokio::time::timeout(Duration::from_millis(50), dropped).await.is_err());
    provider.upload(upload(Some("next.png"), "x", "image/png")).await.unwrap();
}

/// Runs `work` in a process of its own with another environment, and returns what it printed. That process runs the
/// test that calls this, by its name, and comes here again: there it works, and gets `None`.
pub(crate) fn in_child(test: &str, environment: &[(&str, &str)], work: impl AsyncFnOnce()) -> Option<String> {
    if std::env::var_os(CHILD).is_some() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    Some(printed)
}

const CHILD: &str = "MEDIAKEEP_TEST_CHILD";

#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let environment: Vec<(&str, &str)> = variables.iter().map(|name| (*name, url.as_str())).collect();
    let name = "trouble::a_proxy_in_the_environment_is_not_used";
    if in_child(name, &environment, upload_directly).is_none() {
        return;
    }
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

async fn upload_directly() {
    let server = Server::start(|_| Act::reply(204, "")).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    provider.upload(upload(Some("logo.png"), "logo.png", "image/png")).await.unwrap();
    assert!(server.only().target.starts_with("/api/v2/"));
}

#[test]
fn a_system_without_certificates_is_told_what_it_lacks() {
    let nowhere = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    in_child("trouble::a_system_without_certificates_is_told_what_it_lacks", &nowhere, lack_certificates);
}

async fn lack_certificates() {
    let failure = put("https://127.0.0.1:1", &HttpClient::new()).await;
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert!(
        failure.detail.contains("CA certificates") && failure.detail.contains("SSL_CERT_FILE"),
        "{failure}"
    );
    // Loopback without TLS needs none.
    let server = Server::start(|_| Act::reply(204, "")).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    provider.upload(upload(Some("logo.png"), "logo.png", "image/png")).await.unwrap();
}
