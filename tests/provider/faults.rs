//! Every way in which a line or a server can fail, against every kind of request: what it comes to is right, it ends in
//! time, it is sent once, and nothing goes anywhere else.

use std::sync::Arc;
use std::time::Duration;

use mediakeep::domain::asset::MediaId;
use mediakeep::domain::failure::{Failure, FailureClass};
use mediakeep::provider::Provider;
use mediakeep::provider::http::{HttpClient, Limits};

use crate::fakes::{TOKEN, bandwidth, bandwidth_oauth, plivo};
use crate::server::{Act, Seen, Server};
use crate::wire::upload;

use FailureClass::{Ambiguous, Unexpected, Unreachable};

/// A request that a provider makes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Put,
    /// With a token, which comes from the same server and is given without fault.
    PutWithToken,
    /// For a token; the upload after it is never sent.
    Token,
    List,
    Find,
    Delete,
    PlivoPost,
    PlivoList,
    PlivoFind,
}

const REQUESTS: [Request; 9] = [
    Request::Put,
    Request::PutWithToken,
    Request::Token,
    Request::List,
    Request::Find,
    Request::Delete,
    Request::PlivoPost,
    Request::PlivoList,
    Request::PlivoFind,
];

impl Request {
    async fn send(self, url: &str, http: &HttpClient) -> Result<(), Failure> {
        let provider: Arc<dyn Provider> = match self {
            Self::PutWithToken | Self::Token => bandwidth_oauth(url, http, "PASSWORD"),
            Self::PlivoPost | Self::PlivoList | Self::PlivoFind => plivo(url, http, "PASSWORD"),
            _ => bandwidth(url, http, "PASSWORD"),
        };
        let id = MediaId::new("logo.png").unwrap();
        let mut media = upload(Some("logo.png"), "logo.png", "image/png");
        media.time_limit = http.limits().request;
        match self {
            Self::Put | Self::PutWithToken | Self::Token | Self::PlivoPost => {
                provider.upload(media).await.map(drop)
            }
            Self::List | Self::PlivoList => provider.list(None).await.map(drop),
            Self::Find | Self::PlivoFind => provider.find(&id).await.map(drop),
            Self::Delete => provider.delete(&id).await,
        }
    }

    fn is_disturbed(self, seen: &Seen) -> bool {
        (self == Self::Token) == seen.target.ends_with("/token")
    }

    /// A token is no upload: whatever became of the request for it, nothing was stored.
    fn class(self, class: FailureClass) -> FailureClass {
        if self == Self::Token && class == Ambiguous { Unreachable } else { class }
    }

    /// Whether the reply's body says what became of it. The others are told by the status alone, so that a broken
    /// body changes nothing.
    fn reads_its_reply(self) -> bool {
        !matches!(self, Self::Put | Self::PutWithToken | Self::Find | Self::Delete)
    }

    /// The status that means success, if the rest is right.
    fn success(self) -> u16 {
        match self {
            Self::Put | Self::PutWithToken | Self::Delete => 204,
            _ => 200,
        }
    }
}

/// Answers one request as told, and gives tokens to those who need one for another request.
async fn serve(request: Request, act: Act) -> Server {
    Server::start(move |seen| {
        if request.is_disturbed(seen) {
            return act.clone();
        }
        Act::reply(200, format!(r#"{{"access_token": "{TOKEN}", "expires_in": 3600}}"#))
    })
    .await
}

/// Sends it, with an end to it: the longest limit is a minute, and no machine is slow enough to need five.
async fn outcome(request: Request, server: &Server, http: &HttpClient) -> Result<(), Failure> {
    let url = server.url();
    let sent = request.send(&url, http);
    let ended = tokio::time::timeout(Duration::from_secs(300), sent).await;
    ended.unwrap_or_else(|_| panic!("{request:?} hangs"))
}

async fn assert_fails_as(request: Request, act: Act, expected: FailureClass, http: &HttpClient) {
    let server = serve(request, act.clone()).await;
    let failure = outcome(request, &server, http).await.expect_err("is no success");
    assert_eq!(failure.class, request.class(expected), "{request:?} {act:?}: {failure}");
    let disturbed = server.seen().iter().filter(|seen| request.is_disturbed(seen)).count();
    assert_eq!(disturbed, 1, "{request:?} {act:?} is sent once");
    if request == Request::Token {
        assert_eq!(server.seen().len(), 1, "no media without a token");
    }
}

/// Gives up soon. What is silent for so long is taken for dead, and that is what it is here.
fn impatient() -> HttpClient {
    HttpClient::with_limits(Limits {
        silence: Duration::from_millis(150),
        request: Duration::from_millis(600),
        ..Limits::default()
    })
}

fn raw(text: impl Into<Vec<u8>>) -> Act {
    Act::Raw(text.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_whole_head_the_outcome_is_open_whatever_was_asked() {
    let filler = format!("X-Filler: {}\r\n", "a".repeat(1000)).repeat(8 * 1024);
    let acts = [
        Act::HangUp,
        Act::Reset,
        raw("H"),
        raw("HTTP/1.1 20"),
        raw("HTTP/1.1 204 No Content\r\nX-Half: "),
        raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        raw("+OK ready\r\n"),
        raw("HTTP/1.1 999999 X\r\n\r\n"),
        raw("HTTP/1.1 -204 X\r\n\r\n"),
        raw("HTTP/9.9 204 X\r\n\r\n"),
        raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        raw("\0".repeat(4096)),
        raw("\u{fffd}".repeat(4096)),
        raw("HTTP/1.1 204 X\r\nNo colon here\r\n\r\n"),
        raw("HTTP/1.1 204 X\r\nA\0b: c\r\n\r\n"),
        raw("HTTP/1.1 200 X\r\nContent-Length: -5\r\n\r\n"),
        raw("HTTP/1.1 200 X\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
        raw("HTTP/1.1 200 X\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        raw(format!("HTTP/1.1 204 X\r\n{filler}\r\n")),
        raw(format!("HTTP/1.1 204 X\r\nX-Long: {}\r\n\r\n", "a".repeat(8 * 1024 * 1024))),
        Act::Endless(b"HTTP/1.1 204 X\r\n".to_vec(), b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100)),
        raw(*b"HTTP/1.1 100 Continue\r\n\r\n"),
    ];
    for request in REQUESTS {
        for act in &acts {
            assert_fails_as(request, act.clone(), Ambiguous, &HttpClient::new()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_left_whatever_was_asked() {
    let acts = [
        Act::Stall(Vec::new()),
        Act::Stall(b"HTTP/1.1 204 X\r\nX-Half: ".to_vec()),
        Act::Stall(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Act::Drip(b"HTTP/1.1 204 X\r\nX-Slow: ".to_vec()),
    ];
    for request in REQUESTS {
        for act in &acts {
            assert_fails_as(request, act.clone(), Ambiguous, &impatient()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_body_confirms_nothing_where_the_body_counts() {
    let head = "HTTP/1.1 200 X\r\nContent-Length: 900\r\n\r\n{\"objects\": [";
    let chunked = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
    let acts = [
        (raw(head), HttpClient::new()),
        (raw(format!("{chunked}5\r\n[{{}}")), HttpClient::new()),
        (raw(format!("{chunked}zz\r\n[]\r\n0\r\n\r\n")), HttpClient::new()),
        (raw(format!("{chunked}fffffffffffffffff\r\n[]")), HttpClient::new()),
        (raw(format!("{chunked}2\r\n[]\r\n")), HttpClient::new()),
        (Act::Stall(head.into()), impatient()),
        (Act::Drip(head.into()), impatient()),
        (Act::Drip(format!("{chunked}ffff\r\n").into()), impatient()),
    ];
    for request in REQUESTS.into_iter().filter(|request| request.reads_its_reply()) {
        for (act, http) in &acts {
            assert_fails_as(request, act.clone(), Ambiguous, http).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_end_or_meaning_is_no_success_where_the_body_counts() {
    let chunked = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    let json = |text: &str| Act::reply(200, text);
    let acts = [
        Act::Endless(chunked, chunk),
        Act::Endless(b"HTTP/1.1 200 X\r\n\r\n".to_vec(), vec![b'[', b'\n', b' ']),
        Act::reply(200, vec![b'['; 2_000_000]),
        json(""),
        json("{"),
        json("null"),
        json("\u{feff}[]"),
        json("[1, 2]"),
        json("{\"objects\": 5, \"access_token\": 5}"),
        json("{\"objects\": {\"media_id\": []}}"),
        json("{\"objects\": [{\"size\": -1}], \"access_token\": \"a b\", \"size\": -1}"),
        json("<html><title>Log in to the hotel</title></html>"),
        Act::reply(200, vec![0xff, 0xfe, 0x5b, 0x00, 0x5d, 0x00]),
        Act::reply(200, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).with_header("Content-Encoding", "gzip"),
    ];
    for request in REQUESTS.into_iter().filter(|request| request.reads_its_reply()) {
        for act in &acts {
            assert_fails_as(request, act.clone(), Unexpected, &HttpClient::new()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_is_followed_whatever_was_asked_and_nothing_reaches_its_target() {
    let elsewhere = Server::start(|_| Act::reply(204, "")).await;
    for status in [300, 301, 302, 303, 304, 305, 306, 307, 308, 399] {
        for target in [format!("{}/api/v2/x", elsewhere.url()), "/loop".to_owned(), "\\\\evil\\x".to_owned()]
        {
            for request in REQUESTS {
                let act = Act::reply(status, "").with_header("Location", target.clone());
                assert_fails_as(request, act, Unexpected, &HttpClient::new()).await;
            }
        }
    }
    assert_eq!(elsewhere.bytes_seen(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_a_confirmation_takes_nothing_back() {
    let tails: [&[u8]; 3] = [b"", b"garbage after the end", b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"];
    for request in REQUESTS.into_iter().filter(|request| !request.reads_its_reply()) {
        for tail in tails {
            let head = format!("HTTP/1.1 {} X\r\n\r\n", request.success());
            let server = serve(request, raw([head.as_bytes(), tail].concat())).await;
            outcome(request, &server, &HttpClient::new()).await.unwrap();
        }
    }
}
