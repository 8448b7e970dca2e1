//! What providers answer. Nothing is sent: an answer is read as it is after the HTTP library took it apart.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::split_at_line;
use crate::domain::asset::{MediaId, ProviderName, Scope};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::kind::Kind;
use crate::domain::manifest::{ProviderConfig, Rate, Setting};
use crate::provider::bandwidth::{self, Bandwidth};
use crate::provider::credentials::resolve_all;
use crate::provider::http::{Answer, BodyEnd, HttpClient};
use crate::provider::plivo::{self, Plivo};
use crate::provider::{Cursor, Found, Page, Provider, Receipt, Upload, list_all, pause};

/// The secret of every account here; seeds repeat it, as a server may.
const SECRET: &str = "c4n4ry-s3cret";
const USER: &str = "5500012";
const LOOPBACK: &str = "http://127.0.0.1:8480";

static BANDWIDTH: LazyLock<Bandwidth> = LazyLock::new(|| connect_bandwidth(false));
static PLIVO: LazyLock<Plivo> = LazyLock::new(|| connect_plivo(plivo::KIND.base_url));
static PLIVO_ON_LOOPBACK: LazyLock<Plivo> = LazyLock::new(|| connect_plivo(LOOPBACK));

/// The longest detail of a failure, in characters, and the longest wait that is passed on.
const DETAIL_CHARS: usize = 200;
const PAUSE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Between two pages of a list.
const NEXT_PAGE: &str = "===";

/// An answer: a line with the status (and `cut` or `long`, for a body that ended so), lines with headers, an empty
/// line, the body. It is read as the answer to each kind of request.
///
/// # Panics
/// Where a promise is broken.
pub fn provider_replies(data: &[u8]) {
    let answer = answer(data);
    // A token that it gives out is a secret from then on, so that this one is made anew each time.
    let (bandwidth, oauth2) = (&*BANDWIDTH, connect_bandwidth(true));
    let id = MediaId::new("brand/logo.png").expect("is an ID");
    let path = bandwidth.path_of(&id).expect("is a usable ID");
    let receipt = bandwidth.read_receipt(id.clone(), &path, &answer);
    checked(&answer, receipt, |receipt| {
        assert_eq!(answer.status, 204, "no other success is documented");
        assert!(receipt.url.starts_with(&format!("{}/users/", bandwidth::KIND.base_url)), "{receipt:?}");
    });
    checked(&answer, bandwidth.read_found(&id, &path, &answer), |_| {});
    checked(&answer, bandwidth.read_deleted(&answer), |()| {});
    checked(&answer, oauth2.try_token(&answer).expect("has tokens"), |()| assert_eq!(answer.status, 200));
    for (base, plivo) in [(plivo::KIND.base_url, &*PLIVO), (LOOPBACK, &*PLIVO_ON_LOOPBACK)] {
        checked(&answer, plivo.read_receipt(5, &answer), |receipt| assert_plivos(&receipt, base, &answer));
        let id = MediaId::new("801c2056-33ab-499c-80ef-58b574a462a2").expect("is an ID");
        checked(&answer, plivo.read_found(&id, &answer), |found| {
            assert!(found.is_none_or(|found| found.id == id), "another media than the one asked for");
        });
    }
}

/// Three lines: `Retry-After`, `X-RateLimit-Reset`, `Date`.
///
/// # Panics
/// Where a promise is broken.
pub fn retry_after(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, line) in
        ["retry-after", "x-ratelimit-reset", "date"].into_iter().zip(data.split(|b| *b == b'\n'))
    {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let wait = pause::retry_after(&headers);
    assert!(wait.is_none_or(|wait| wait <= PAUSE_MAX), "{wait:?}");
    assert_eq!(wait, pause::retry_after(&headers), "there is no clock in it");
    if let Some(date) = pause::server_date(&headers) {
        assert!(date + wait.unwrap_or_default() >= date);
    }
}

/// The pages of a list, with a line `===` between them; the last one is repeated for ever.
///
/// # Panics
/// Where a promise is broken.
pub fn list_pages(data: &[u8]) {
    let mut pages = Vec::new();
    let mut rest = data;
    while let Some((page, more)) = split_at_line(rest, NEXT_PAGE).filter(|_| pages.len() < 30) {
        pages.push(answer(page));
        rest = more;
    }
    pages.push(answer(rest));
    let accounts = [
        (Account::Bandwidth(&BANDWIDTH), format!("{}/users/", bandwidth::KIND.base_url)),
        (Account::Plivo(&PLIVO_ON_LOOPBACK), format!("{LOOPBACK}/")),
    ];
    for (account, prefix) in accounts {
        let scope = Scope::new(USER).expect("is an account");
        let list = List { account, scope, pages: &pages, asked: AtomicUsize::new(0) };
        let listed = list_all(&list, 20).now_or_never().expect("there is nothing to wait for");
        let asked = list.asked.load(Ordering::Relaxed);
        assert!((1..=20).contains(&asked), "{asked} pages");
        match listed {
            Ok(media) => media.iter().for_each(|found| assert_listed(found, &prefix)),
            Err(failure) => assert_decent(&failure),
        }
    }
}

fn assert_listed(found: &Found, prefix: &str) {
    if let Some(url) = &found.url {
        let plivos = Url::parse(url).is_ok_and(|url| is_plivos(&url));
        assert!(url.starts_with(prefix) || plivos, "{url}");
        assert_harmless(url);
    }
}

enum Account {
    Bandwidth(&'static Bandwidth),
    Plivo(&'static Plivo),
}

/// An account that answers every request for a page from memory.
struct List<'p> {
    account: Account,
    scope: Scope,
    pages: &'p [Answer],
    asked: AtomicUsize,
}

impl Provider for List<'_> {
    fn kind(&self) -> &'static Kind {
        match &self.account {
            Account::Bandwidth(_) => &bandwidth::KIND,
            Account::Plivo(_) => &plivo::KIND,
        }
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn upload(&self, _: Upload) -> BoxFuture<'_, Result<Receipt, Failure>> {
        Box::pin(ready(Err(Failure::without_answer(FailureClass::Unexpected, "lists only"))))
    }

    fn list(&self, cursor: Option<Cursor>) -> BoxFuture<'_, Result<Page, Failure>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = &self.pages[number.min(self.pages.len() - 1)];
        let page = match &self.account {
            Account::Bandwidth(account) => {
                let sendable = cursor.is_none_or(|cursor| HeaderValue::from_str(&cursor.0).is_ok());
                assert!(sendable, "a place in the list that cannot be asked for");
                account.read_page(answer)
            }
            Account::Plivo(account) => {
                let offset =
                    cursor.map_or(0, |cursor| cursor.0.parse().expect("a place in the list is a number"));
                account.read_page(offset, answer)
            }
        };
        Box::pin(ready(page))
    }
}

/// A receipt of Plivo's: confirmed, on its own ground, and harmless in a shell.
fn assert_plivos(receipt: &Receipt, base: &str, answer: &Answer) {
    assert!([200, 201, 202].contains(&answer.status) && answer.end == BodyEnd::Complete, "{answer:?}");
    let url = Url::parse(&receipt.url).expect("a published URL is one");
    let own = Url::parse(base).expect("is a URL").origin() == url.origin();
    assert!(own || is_plivos(&url), "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    assert_harmless(&receipt.url);
    assert!(!receipt.id.as_str().contains(['/', '?', '#', '%', ' ']), "{receipt:?}");
}

fn is_plivos(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" && (host == "plivo.com" || host.ends_with(".plivo.com"))
}

pub(super) fn assert_harmless(url: &str) {
    assert!(url.len() <= 2048, "{} bytes", url.len());
    assert!(
        url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['\'', '"', '`', '\\', '<']),
        "{url}"
    );
}

fn checked<T>(answer: &Answer, outcome: Result<T, Failure>, succeeded: impl FnOnce(T)) {
    match outcome {
        Ok(value) => succeeded(value),
        Err(failure) => {
            assert_eq!(failure.status, Some(answer.status));
            assert_decent(&failure);
        }
    }
}

/// A failure can be shown to anybody: short, one line, without a secret.
pub(super) fn assert_decent(failure: &Failure) {
    let detail = &failure.detail;
    assert!(detail.chars().count() <= DETAIL_CHARS && !detail.chars().any(char::is_control), "{detail:?}");
    let pair = STANDARD_NO_PAD.encode(format!("{USER}:{SECRET}"));
    for secret in [SECRET, &*STANDARD_NO_PAD.encode(SECRET), &*pair] {
        assert!(!detail.contains(secret), "{detail:?}");
    }
    assert!(failure.retry_after.is_none_or(|wait| wait <= PAUSE_MAX), "{failure:?}");
    assert!(
        failure.retry_after.is_none() || failure.status.is_some_and(|status| status >= 400),
        "{failure:?}"
    );
}

fn answer(data: &[u8]) -> Answer {
    let empty_line = data.windows(2).position(|window| window == b"\n\n");
    let (head, body) = empty_line.map_or((data, &b""[..]), |at| (&data[..at], &data[at + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut words = first.split_ascii_whitespace();
    let status = words.next().and_then(|word| word.parse().ok()).unwrap_or(200);
    let end = match words.next() {
        Some("cut") => BodyEnd::Cut,
        Some("long") => BodyEnd::TooLong,
        _ => BodyEnd::Complete,
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let announced_length = u64::try_from(body.len()).ok();
    Answer { status, headers, body: Bytes::copy_from_slice(body), announced_length, end }
}

fn connect_bandwidth(oauth2: bool) -> Bandwidth {
    let (user, secret) = if oauth2 { ("client_id", "client_secret") } else { ("username", "password") };
    let settings = [("account_id", USER), (user, USER), (secret, "")];
    let config = config(&bandwidth::KIND, bandwidth::KIND.base_url, &settings);
    let resolved = resolve_all(&name(), &config, &environment()).expect("is complete");
    Bandwidth::connect(&resolved, &config, &HttpClient::new()).expect("is usable")
}

fn connect_plivo(base_url: &str) -> Plivo {
    let config = config(&plivo::KIND, base_url, &[("auth_id", USER), ("auth_token", "")]);
    let resolved = resolve_all(&name(), &config, &environment()).expect("is complete");
    Plivo::connect(&resolved, &config, &HttpClient::new()).expect("is usable")
}

fn name() -> ProviderName {
    ProviderName::new("main").expect("is a name")
}

fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([("SECRET".to_owned(), SECRET.to_owned())])
}

/// A provider's table; an empty value is the secret.
fn config(kind: &'static Kind, base_url: &str, settings: &[(&'static str, &str)]) -> ProviderConfig {
    let setting = |value: &str| match value {
        "" => Setting::Env("SECRET".to_owned()),
        _ => Setting::Literal(value.to_owned()),
    };
    ProviderConfig {
        verify: Duration::ZERO,
        kind,
        settings: settings.iter().map(|(key, value)| (*key, setting(value))).collect(),
        base_url: base_url.parse().expect("is a URL"),
        token_url: None,
        retention: None,
        margin: None,
        concurrency: 1,
        rate: Rate { requests: 1, per: Duration::from_secs(1) },
    }
}
