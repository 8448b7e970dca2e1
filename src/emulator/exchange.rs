//! A request that was read, and the reply to it: what the providers' handlers see. They know no sockets.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, EXPECT, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::switches::RateHeader;
use crate::domain::asset::ContentHash;
use crate::domain::time::Timestamp;

/// A request with its body.
pub(super) struct Incoming<'a> {
    pub(super) head: &'a Parts,
    pub(super) body: Bytes,
    pub(super) hash: ContentHash,
}

impl Incoming<'_> {
    /// The path as it was sent: nothing decoded.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }

    pub(super) fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// A header's value, if it is there and is text.
    pub(super) fn header(&self, name: impl axum::http::header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// What a handler needs besides the request.
pub(super) struct Surroundings<'a> {
    pub(super) now: Timestamp,
    /// `http://` and the emulator's address.
    pub(super) origin: &'a str,
    pub(super) password: &'a str,
}

/// What comes back.
pub(super) enum Reply {
    Answer(Response),
    /// No answer: the connection is reset in the middle of the request's body.
    Reset,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Answer(response)
    }
}

/// Whether the client waits for a word before it sends the body.
pub(super) fn expects_continue(head: &Parts) -> bool {
    head.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A reply without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A reply with a body of some type.
pub(super) fn with_body(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, content_type);
    response
}

/// A JSON reply.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    with_body(status, "application/json", body.to_string())
}

/// Sets a header; a value that no header can hold is left out.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A 401 says which credentials are asked for.
pub(super) fn challenge(mut response: Response, realm: &str) -> Response {
    set(&mut response, axum::http::header::WWW_AUTHENTICATE, &format!("Basic realm=\"{realm}\""));
    response
}

/// A 405 says which methods there are.
pub(super) fn allowing(mut response: Response, methods: &str) -> Response {
    set(&mut response, axum::http::header::ALLOW, methods);
    response
}

/// Says when to come back.
pub(super) fn come_back(response: &mut Response, how: RateHeader, now: Timestamp, wait: std::time::Duration) {
    let reset = now + wait;
    let seconds = |ms: i64| (ms + 999).div_euclid(1000).to_string();
    let reset_name = HeaderName::from_static("x-ratelimit-reset");
    match how {
        RateHeader::None => {}
        RateHeader::RetryAfter => set(response, RETRY_AFTER, &seconds(reset.unix_ms() - now.unix_ms())),
        RateHeader::ResetSeconds => set(response, reset_name, &seconds(reset.unix_ms())),
        RateHeader::ResetMilliseconds => set(response, reset_name, &reset.unix_ms().to_string()),
    }
}

/// Who a request says it comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    Basic { user: String, password: String },
    Bearer(String),
    Nothing,
}

impl Credentials {
    pub(super) fn of(head: &Parts) -> Self {
        let value = head.headers.get(axum::http::header::AUTHORIZATION);
        value.and_then(|value| Self::parse(value.to_str().ok()?)).unwrap_or(Self::Nothing)
    }

    fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        // A password may hold colons; a user's name may not.
        let (user, password) = decoded.split_once(':')?;
        Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
    }
}

/// Decodes a part of a path; `None` where it is not percent-encoded UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
        if byte == b'%' && !(hex(rest.next()) && hex(rest.next())) {
            return None;
        }
    }
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_the_header() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let user =
            |user: &str, password: &str| Credentials::Basic { user: user.into(), password: password.into() };
        for (header, expected) in [
            (basic("bwuser:bw:pass"), Some(user("bwuser", "bw:pass"))),
            (basic(":"), Some(user("", ""))),
            (basic("no colon"), None),
            ("basic  YTpi".to_owned(), Some(user("a", "b"))),
            ("Basic YTpi!".to_owned(), None),
            ("Basic".to_owned(), None),
            ("Bearer tok".to_owned(), Some(Credentials::Bearer("tok".to_owned()))),
            ("Digest a=b".to_owned(), None),
        ] {
            assert_eq!(Credentials::parse(&header), expected, "{header}");
        }
    }

    #[test]
    fn only_well_formed_encodings_are_decoded() {
        assert_eq!(decode("l%C3%B6we%20%2f+.png").unwrap(), "löwe /+.png");
        for bad in ["100%", "%zz", "%f", "%FF", "%C3", "a%2"] {
            assert!(decode(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_reply_says_when_to_come_back_in_each_unit() {
        let now = Timestamp::from_unix_ms(10_400);
        for (how, name, value) in [
            (RateHeader::RetryAfter, "retry-after", Some("3")),
            (RateHeader::ResetSeconds, "x-ratelimit-reset", Some("13")),
            (RateHeader::ResetMilliseconds, "x-ratelimit-reset", Some("12900")),
            (RateHeader::None, "retry-after", None),
        ] {
            let mut response = empty(StatusCode::TOO_MANY_REQUESTS);
            come_back(&mut response, how, now, std::time::Duration::from_millis(2_500));
            let found = response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(found, value, "{how:?}");
        }
    }
}
