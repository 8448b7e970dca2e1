//! The one table from what came back (or did not) to a [`Failure`], for every provider. It never fails to answer.
//!
//! | status | upload | list | find | delete | token |
//! |---|---|---|---|---|---|
//! | documented success | success | success | success | success | success |
//! | 400, 406, 413, 414, 415, 422 | content refused | unexpected | unexpected | unexpected | unexpected, or credentials refused where the body says so |
//! | 401, 403 | credentials refused | = | = | = | = |
//! | 404 | address unknown | address unknown | absent | absent | address unknown |
//! | 405 | address unknown | = | = | = | = |
//! | 408, 425 | unavailable | = | = | = | = |
//! | 429 | throttled | = | = | = | = |
//! | 5xx | unavailable | = | = | = | = |
//! | anything else: 1xx, other 2xx, 3xx, other 4xx | unexpected | = | = | = | = |
//!
//! 414 and 422 are documented by nobody, and trying the same request again changes nothing. 405 is what a wrong
//! base URL gets from a server that knows the path for something else. 408 and 425 say that the request was not
//! worked on.

use std::borrow::Cow;
use std::error::Error as StdError;

use reqwest::StatusCode;
use serde_json::Value;

use super::answer_text;
use super::http::{Answer, BodyEnd, SendError, root_cause};
use super::pause;
use super::scrub::{DETAIL_CHARS, Scrubber, capped};
use crate::domain::asset::Scope;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::time::format_duration;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Upload,
    List,
    Find,
    Delete,
    Token,
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// A documented success.
    Success,
    /// The media asked for is not there.
    Absent,
    /// Anything else.
    Failed(FailureClass),
}

/// What a status means, where these statuses are the documented successes.
pub(crate) fn verdict(documented: &[u16], operation: Operation, status: u16) -> Verdict {
    use FailureClass::{
        AddressUnknown, ContentRefused, CredentialsRefused, Throttled, Unavailable, Unexpected,
    };
    if documented.contains(&status) {
        return Verdict::Success;
    }
    let class = match (status, operation) {
        (400 | 406 | 413 | 414 | 415 | 422, Operation::Upload) => ContentRefused,
        (401 | 403, _) => CredentialsRefused,
        (404, Operation::Find | Operation::Delete) => return Verdict::Absent,
        (404 | 405, _) => AddressUnknown,
        (408 | 425 | 500..=599, _) => Unavailable,
        (429, _) => Throttled,
        _ => Unexpected,
    };
    Verdict::Failed(class)
}

/// Puts one account's failures into words.
#[derive(Debug)]
pub(crate) struct Classifier {
    title: &'static str,
    scope: Scope,
    scrubber: Scrubber,
}

impl Classifier {
    pub(crate) fn new(title: &'static str, scope: Scope, scrubber: Scrubber) -> Self {
        Self { title, scope, scrubber }
    }

    /// From now on this token is a secret too.
    pub(crate) fn learn_token(&self, token: &str) {
        self.scrubber.learn_token(token);
    }

    /// The failure that an answer with this status is.
    pub(crate) fn refused(&self, class: FailureClass, operation: Operation, answer: &Answer) -> Failure {
        let class = if operation == Operation::Token && refuses_the_client(answer) {
            FailureClass::CredentialsRefused
        } else {
            class
        };
        let words = answer_text::words(&answer.body).unwrap_or_default();
        let hint = self.hint(class, operation, answer.status);
        self.of_answer(class, answer, &self.sentence(operation, answer.status, &words, &hint))
    }

    /// An answer that has a good status and is not what it should be.
    pub(crate) fn unexpected(&self, answer: &Answer, what: &str) -> Failure {
        self.misfit(FailureClass::Unexpected, answer, what)
    }

    /// An answer that has a good status, and does not say what became of the request.
    pub(crate) fn misfit(&self, class: FailureClass, answer: &Answer, what: &str) -> Failure {
        let detail = format!("{} answered {}, {what}", self.title, answer.status);
        self.of_answer(class, answer, &detail)
    }

    /// The bytes of a reply that must be whole to mean anything.
    pub(crate) fn whole_body<'a>(&self, answer: &'a Answer) -> Result<&'a [u8], Failure> {
        match answer.end {
            BodyEnd::Complete => Ok(&answer.body),
            BodyEnd::Cut => {
                Err(self.misfit(FailureClass::Ambiguous, answer, "but its reply broke off half way"))
            }
            BodyEnd::TooLong | BodyEnd::Unread => {
                Err(self.unexpected(answer, "with a reply longer than any that makes sense"))
            }
        }
    }

    /// A reply as JSON, or why it is none.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        let body = self.whole_body(answer)?;
        // What the parser says can repeat what it read, so it is not passed on.
        serde_json::from_slice(body).map_err(|_| {
            let what = match answer_text::words(body) {
                Some(words) if body.trim_ascii_start().starts_with(b"<") => format!("with {words}"),
                _ => "with a reply that is not what the documentation promises".to_owned(),
            };
            self.unexpected(answer, &what)
        })
    }

    /// There is no answer.
    pub(crate) fn unanswered(&self, error: &SendError) -> Failure {
        let title = self.title;
        let (class, detail) = match error {
            SendError::NotSent(why) => (FailureClass::Unreachable, why.clone()),
            SendError::Silence(waited) => {
                let waited = format_duration(*waited);
                (FailureClass::Ambiguous, format!("{title} did not answer within {waited}"))
            }
            SendError::Transport(error) if error.is_connect() => {
                (FailureClass::Unreachable, format!("cannot reach {title}: {}", connect_problem(error)))
            }
            SendError::Transport(error) => {
                let cause = root_cause(error);
                (FailureClass::Ambiguous, format!("lost {title} before it answered: {cause}"))
            }
        };
        self.unsent(class, &detail)
    }

    /// A failure without an answer, in words of our own.
    pub(crate) fn unsent(&self, class: FailureClass, detail: &str) -> Failure {
        Failure::without_answer(class, self.scrubber.safe(detail, DETAIL_CHARS))
    }

    fn of_answer(&self, class: FailureClass, answer: &Answer, detail: &str) -> Failure {
        Failure {
            class,
            status: Some(answer.status),
            detail: self.scrubber.safe(detail, DETAIL_CHARS),
            retry_after: if answer.status >= 400 { pause::retry_after(&answer.headers) } else { None },
            server_date: pause::server_date(&answer.headers),
        }
    }

    /// The provider's words are cut before the hint is.
    fn sentence(&self, operation: Operation, status: u16, words: &str, hint: &str) -> String {
        let to_what = if operation == Operation::Token { " to a request for a token" } else { "" };
        let head = format!("{} answered {status}{to_what}", self.title);
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        let room = DETAIL_CHARS.saturating_sub(head.chars().count() + hint.chars().count() + 2);
        // Cleaned before it is cut, so that the cut does not leave a part of a secret.
        let words = capped(&self.scrubber.safe(words, usize::MAX), room);
        if words.is_empty() {
            let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            return match reason {
                Some(reason) => format!("{head} ({}){hint}", reason.to_lowercase()),
                None => format!("{head}{hint}"),
            };
        }
        format!("{head}: {words}{hint}")
    }

    fn hint(&self, class: FailureClass, operation: Operation, status: u16) -> Cow<'static, str> {
        match (class, status) {
            (FailureClass::CredentialsRefused, 403) => {
                format!("these credentials are not for account {}", capped(self.scope.as_str(), 40)).into()
            }
            (FailureClass::CredentialsRefused, _) => "check the credentials".into(),
            (FailureClass::AddressUnknown, _) if operation == Operation::Token => "check token_url".into(),
            (FailureClass::AddressUnknown, _) => "check the account and base_url".into(),
            (FailureClass::Unexpected, 300..=399) => "redirects are never followed, check base_url".into(),
            (FailureClass::Unexpected, 200..=299) => "not a documented success".into(),
            _ => "".into(),
        }
    }
}

/// Whether a token endpoint says that it is the client that it refuses. OAuth2 (RFC 6749, 5.2) lets it say so with
/// status 400 as well.
fn refuses_the_client(answer: &Answer) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    matches!(body["error"].as_str(), Some("invalid_client" | "invalid_grant" | "unauthorized_client"))
}

/// Why there is no connection, with what can be done about it.
fn connect_problem(error: &reqwest::Error) -> String {
    if let Some(tls) = tls_error(error) {
        return tls_problem(tls);
    }
    let cause = root_cause(error);
    if error.is_dns() {
        return format!("its name can't be resolved: {cause}");
    }
    if error.is_timeout() {
        return "no connection within the time limit".to_owned();
    }
    cause
}

fn tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An I/O error hides the error it wraps from its own `source`.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

fn tls_problem(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let problem = match error {
        rustls::Error::InvalidCertificate(problem) => problem,
        rustls::Error::InvalidMessage(_) => {
            return format!("it does not speak TLS there ({error}); check base_url, and what sits between");
        }
        rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion) => {
            return "it speaks neither TLS 1.2 nor a later version".to_owned();
        }
        _ => return format!("TLS failed: {error}"),
    };
    let words = match problem {
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "its certificate has expired, or the clock of this machine is ahead"
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or the clock of this machine is behind"
        }
        Certificate::UnknownIssuer => {
            "its certificate is from no known authority; name a private one in SSL_CERT_FILE, else check the system's \
             CA certificates, and what sits between"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            return format!("its certificate is for another name: {problem}");
        }
        _ => return format!("its certificate can't be used: {problem}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    fn classifier(secrets: &[&str]) -> Classifier {
        Classifier::new("Bandwidth", Scope::new("5500012").unwrap(), Scrubber::new(secrets))
    }

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status, headers, body, announced_length: None, end: BodyEnd::Complete }
    }

    #[test]
    fn every_status_has_one_meaning_per_operation() {
        use FailureClass as Class;
        use Operation::{Delete, Find, List, Token, Upload};
        let all = [Upload, List, Find, Delete, Token];
        let failed = Verdict::Failed;
        // What is not named here is unexpected.
        let named: &[(&[u16], &[Operation], Verdict)] = &[
            (&[204], &all, Verdict::Success),
            (&[400, 406, 413, 414, 415, 422], &[Upload], failed(Class::ContentRefused)),
            (&[401, 403], &all, failed(Class::CredentialsRefused)),
            (&[404], &[Find, Delete], Verdict::Absent),
            (&[404], &[Upload, List, Token], failed(Class::AddressUnknown)),
            (&[405], &all, failed(Class::AddressUnknown)),
            (&[408, 425], &all, failed(Class::Unavailable)),
            (&[429], &all, failed(Class::Throttled)),
        ];
        for status in 0..=1000 {
            for operation in all {
                let row = named.iter().find(|(statuses, operations, _)| {
                    statuses.contains(&status) && operations.contains(&operation)
                });
                let expected = match row {
                    Some((_, _, verdict)) => *verdict,
                    None if (500..600).contains(&status) => failed(Class::Unavailable),
                    None => failed(Class::Unexpected),
                };
                assert_eq!(verdict(&[204], operation, status), expected, "{operation:?} {status}");
            }
        }
    }

    #[test]
    fn a_refusal_names_status_words_and_remedy() {
        let table: &[(u16, Operation, &str, &str)] = &[
            (
                401,
                Operation::Upload,
                r#"{"type": "unauthorized", "description": "Authentication Failed"}"#,
                "Bandwidth answered 401: unauthorized: Authentication Failed; check the credentials",
            ),
            (
                403,
                Operation::Upload,
                r#"{"type": "forbidden", "description": "Access Denied"}"#,
                "Bandwidth answered 403: forbidden: Access Denied; these credentials are not for account 5500012",
            ),
            (
                404,
                Operation::Upload,
                "{}",
                "Bandwidth answered 404 (not found); check the account and base_url",
            ),
            (
                404,
                Operation::Token,
                "",
                "Bandwidth answered 404 to a request for a token (not found); check token_url",
            ),
            (
                301,
                Operation::Upload,
                "",
                "Bandwidth answered 301 (moved permanently); redirects are never followed, check base_url",
            ),
            (
                200,
                Operation::Upload,
                "<html>",
                "Bandwidth answered 200: a page for browsers, from something in between; not a documented success",
            ),
            (599, Operation::Upload, "", "Bandwidth answered 599"),
        ];
        for (status, operation, body, detail) in table {
            let Verdict::Failed(class) = verdict(&[204], *operation, *status) else { panic!("{status}") };
            let failure = classifier(&[]).refused(class, *operation, &answer(*status, &[], body));
            assert_eq!(failure.detail, *detail);
            assert_eq!((failure.status, failure.class), (Some(*status), class));
        }
    }

    #[test]
    fn a_token_refusal_with_status_400_is_about_the_credentials() {
        for (body, class) in [
            (r#"{"error": "invalid_client"}"#, FailureClass::CredentialsRefused),
            (r#"{"error": "unsupported_grant_type"}"#, FailureClass::Unexpected),
            ("", FailureClass::Unexpected),
        ] {
            let refused = answer(400, &[], body);
            let failure = classifier(&[]).refused(FailureClass::Unexpected, Operation::Token, &refused);
            assert_eq!(failure.class, class, "{body}");
        }
    }

    #[test]
    fn long_words_are_cut_and_the_remedy_stays() {
        let words = format!(r#"{{"error": "{}"}}"#, "x".repeat(5000));
        let failure = classifier(&[]).refused(
            FailureClass::CredentialsRefused,
            Operation::Upload,
            &answer(401, &[], &words),
        );
        assert_eq!(failure.detail.chars().count(), DETAIL_CHARS);
        assert!(failure.detail.ends_with("…; check the credentials"), "{}", failure.detail);
    }

    #[test]
    fn no_secret_survives_wherever_the_words_are_cut() {
        let secret = "correct-horse-battery-staple";
        let classifier = classifier(&[secret]);
        for padding in 0..220 {
            let body = format!("{}{secret}", "x".repeat(padding));
            let failure =
                classifier.refused(FailureClass::ContentRefused, Operation::Upload, &answer(400, &[], &body));
            assert!(!failure.detail.contains("corr"), "{}", failure.detail);
        }
    }

    #[test]
    fn a_certificate_that_is_not_valid_points_to_the_clock_or_the_authorities() {
        use rustls::CertificateError as Certificate;
        let table = [
            (rustls::Error::InvalidCertificate(Certificate::Expired), "the clock of this machine is ahead"),
            (
                rustls::Error::InvalidCertificate(Certificate::NotValidYet),
                "the clock of this machine is behind",
            ),
            (rustls::Error::InvalidCertificate(Certificate::UnknownIssuer), "check the system's CA"),
            (rustls::Error::InvalidCertificate(Certificate::NotValidForName), "for another name"),
            (rustls::Error::InvalidCertificate(Certificate::BadEncoding), "can't be used"),
            (rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion), "TLS 1.2"),
            (rustls::Error::HandshakeNotComplete, "TLS failed: "),
        ];
        for (error, words) in table {
            // As the TLS connector hands it on: inside an I/O error, inside another one.
            let inner = std::io::Error::new(std::io::ErrorKind::InvalidData, error.clone());
            let outer = std::io::Error::other(inner);
            assert_eq!(tls_error(&outer), Some(&error));
            assert!(tls_problem(&error).contains(words), "{}", tls_problem(&error));
        }
        assert_eq!(tls_error(&std::io::Error::other("refused")), None);
    }

    #[test]
    fn waits_and_dates_are_passed_on() {
        let headers = [("retry-after", "7"), ("date", "Sat, 21 Nov 2026 16:00:00 GMT")];
        let throttled = answer(429, &headers, "");
        let failure = classifier(&[]).refused(FailureClass::Throttled, Operation::Upload, &throttled);
        assert_eq!(failure.retry_after, Some(std::time::Duration::from_secs(7)));
        assert_eq!(failure.server_date.unwrap().to_string(), "2026-11-21T16:00:00Z");
        let redirect =
            classifier(&[]).refused(FailureClass::Unexpected, Operation::Upload, &answer(301, &headers, ""));
        assert_eq!(redirect.retry_after, None);
    }

    #[test]
    fn a_reply_must_be_whole() {
        let mut cut = answer(200, &[], "[]");
        cut.end = BodyEnd::Cut;
        assert_eq!(classifier(&[]).json::<Vec<u8>>(&cut).unwrap_err().class, FailureClass::Ambiguous);
        cut.end = BodyEnd::TooLong;
        assert_eq!(classifier(&[]).json::<Vec<u8>>(&cut).unwrap_err().class, FailureClass::Unexpected);
        let page = classifier(&[]).json::<Vec<u8>>(&answer(200, &[], "<html>")).unwrap_err();
        assert!(
            page.class == FailureClass::Unexpected && page.detail.contains("page for browsers"),
            "{page}"
        );
        assert!(classifier(&[]).json::<Vec<u8>>(&answer(200, &[], "[]")).is_ok());
    }
}
