//! The one HTTP client: what leaves this machine leaves through here.
//!
//! It follows no redirect, reads no proxy from the environment, repeats nothing, undoes no compression, and has a
//! limit on every wait and on every byte it reads. It never decides what an answer means.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Response};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::tally::{Answered, Tally};

/// The limits of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection: name, TCP and TLS together.
    pub connect: Duration,
    /// Without a byte from the other side. The answer's first byte may take as much longer as the request's
    /// body takes at [`SLOWEST_UPLOAD`].
    pub silence: Duration,
    /// A whole request that carries no media, and any request for a token.
    pub request: Duration,
    /// How long an unused connection is kept. Shorter than the 5 s after which common servers hang up, because
    /// a request into a connection that is being closed has an unknown outcome.
    pub pool_idle: Duration,
    /// The longest reply that is read, in bytes.
    pub reply_bytes: usize,
    /// The longest page of a list that is read, in bytes.
    pub list_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            request: Duration::from_secs(60),
            pool_idle: Duration::from_secs(4),
            reply_bytes: 64 * 1024,
            list_bytes: 1024 * 1024,
        }
    }
}

/// The slowest line that uploads are made for, in bytes a second.
pub const SLOWEST_UPLOAD: u32 = 32_000;

/// The client. Cloning it is cheap, and clones share their connections.
///
/// Nothing is set up before it is needed: a command that sends nothing reads no certificates, and neither does
/// one that only talks to loopback.
#[derive(Clone, Debug)]
pub struct HttpClient {
    shared: Arc<Shared>,
    tally: Option<Arc<Tally>>,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    plain: OnceCell<reqwest::Client>,
    secure: OnceCell<reqwest::Client>,
}

/// Why there is no answer at all.
#[derive(Debug)]
pub(crate) enum SendError {
    /// Nothing was sent, for this reason.
    NotSent(String),
    /// Connecting, sending or reading the answer's head failed.
    Transport(reqwest::Error),
    /// No answer came within this time. The request may have gone out.
    Silence(Duration),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as far as it was read.
    pub(crate) body: Bytes,
    /// The length of the body as announced.
    pub(crate) announced_length: Option<u64>,
    pub(crate) end: BodyEnd,
}

/// How the reading of a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// All of it was read.
    Complete,
    /// The connection broke or fell silent.
    Cut,
    /// It was longer than what is read.
    TooLong,
    /// It was not asked for.
    Unread,
}

/// How much of an answer's body is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of a short reply.
    Reply,
    /// All of a page of a list.
    List,
    /// Nothing, where the answer is a success: it is the media itself.
    Head,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// A client with the usual limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// A client with other limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared { limits, plain: OnceCell::new(), secure: OnceCell::new() }),
            tally: None,
        }
    }

    /// The same client, whose requests are counted there.
    #[must_use]
    pub fn counted(&self, tally: Arc<Tally>) -> Self {
        Self { shared: Arc::clone(&self.shared), tally: Some(tally) }
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Sends a request once and reads the answer, all of it until `deadline`.
    pub(crate) async fn send(
        &self,
        request: Request,
        keep: Keep,
        deadline: Instant,
    ) -> Result<Answer, SendError> {
        let client = self.client_for(request.url()).await?;
        let started = Instant::now();
        if started >= deadline {
            return Err(SendError::NotSent("there was no time left to send the request".to_owned()));
        }
        let body_bytes = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
        let head_by = deadline.min(started + self.limits().silence + time_to_send(body_bytes));
        let answered = timeout_at(head_by, client.execute(request)).await;
        if let Some(tally) = &self.tally {
            let status = answered.as_ref().ok().and_then(|answer| Some(answer.as_ref().ok()?.status()));
            tally.count(status.map_or(Answered::NotAtAll, |status| Answered::with(status.as_u16())));
        }
        match answered {
            Err(_elapsed) => Err(SendError::Silence(head_by - started)),
            Ok(Err(error)) => Err(SendError::Transport(error.without_url())),
            Ok(Ok(response)) => Ok(self.read(response, keep, deadline).await),
        }
    }

    async fn read(&self, mut response: Response, keep: Keep, deadline: Instant) -> Answer {
        let success = response.status().is_success();
        let mut answer = Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: Bytes::new(),
            announced_length: response.content_length(),
            end: BodyEnd::Unread,
        };
        let cap = match keep {
            Keep::Head if success => return answer,
            Keep::List if success => self.limits().list_bytes,
            _ => self.limits().reply_bytes,
        };
        (answer.body, answer.end) = self.read_body(&mut response, cap, deadline).await;
        answer
    }

    async fn read_body(&self, response: &mut Response, cap: usize, deadline: Instant) -> (Bytes, BodyEnd) {
        // Most replies are one chunk, which needs no copy.
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        let end = loop {
            let chunk_by = deadline.min(Instant::now() + self.limits().silence);
            let chunk = match timeout_at(chunk_by, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break BodyEnd::Complete,
                Ok(Err(_)) | Err(_) => break BodyEnd::Cut,
            };
            let room = cap - first.len().max(joined.len());
            if chunk.len() > room {
                break BodyEnd::TooLong;
            }
            if first.is_empty() {
                first = chunk;
                continue;
            }
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&chunk);
        };
        (if joined.is_empty() { first } else { joined.freeze() }, end)
    }

    async fn client_for(&self, url: &Url) -> Result<&reqwest::Client, SendError> {
        let limits = self.shared.limits;
        if url.scheme() == "https" {
            // Reading the system's certificates takes the disk, so it stays off the runtime's threads. A failure
            // is not remembered: certificates can be installed under a running daemon.
            let build = || async move {
                let built = tokio::task::spawn_blocking(move || build(limits, true)).await;
                match built {
                    Ok(Ok(client)) => Ok(client),
                    Ok(Err(error)) => Err(SendError::NotSent(no_tls(&error))),
                    Err(_) => Err(SendError::NotSent("setting up TLS was interrupted".to_owned())),
                }
            };
            return self.shared.secure.get_or_try_init(build).await;
        }
        if !is_loopback(url) {
            let host = url.host_str().unwrap_or_default();
            return Err(SendError::NotSent(format!(
                "http to {host} would show the credentials to the network; use https"
            )));
        }
        let build = || async move {
            build(limits, false)
                .map_err(|error| SendError::NotSent(format!("cannot set up HTTP: {}", root_cause(&error))))
        };
        self.shared.plain.get_or_try_init(build).await
    }
}

/// A client for fetching URLs on this machine as their readers do: no redirects, no proxy, no TLS.
pub(crate) fn reader() -> Result<reqwest::Client, reqwest::Error> {
    build(Limits::default(), false)
}

fn build(limits: Limits, secure: bool) -> Result<reqwest::Client, reqwest::Error> {
    // An error means that one is installed already, which serves as well.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("mediakeep/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        // With HTTP/2 every upload of an account shares one connection, and one dead connection fails them all.
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(limits.connect)
        // reqwest's own read timeout also runs while a body is being sent, so that it would cut slow uploads.
        .pool_idle_timeout(limits.pool_idle);
    if secure { builder.https_only(true).build() } else { builder.tls_certs_only([]).build() }
}

fn no_tls(error: &reqwest::Error) -> String {
    format!(
        "cannot set up TLS: {}; install the system's CA certificates, or name a bundle in SSL_CERT_FILE",
        root_cause(error)
    )
}

/// The header that proves who we are by `user:secret` (RFC 7617), marked so that nothing prints it.
pub(crate) fn basic_authorization(pair: &str) -> HeaderValue {
    let mut header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
        .expect("base64 is made of characters that a header takes");
    header.set_sensitive(true);
    header
}

/// The innermost error of a chain, in words.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn time_to_send(bytes: usize) -> Duration {
    Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX) / u64::from(SLOWEST_UPLOAD))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// An address that one account's credentials may be sent to, and no other.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    base: String,
}

impl Site {
    pub(crate) fn new(base: &Url) -> Self {
        Self { base: base.as_str().trim_end_matches('/').to_owned() }
    }

    /// The address itself, without a trailing `/`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// A request to a path of this site, which begins with `/` and is percent-encoded already.
    ///
    /// The URL parser resolves `..`, cuts at `#` and rewrites what it does not like. An address that it would
    /// change is refused, so that nothing climbs out of the site or of a folder in it.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        authorization: &HeaderValue,
    ) -> Result<Request, SendError> {
        let text = format!("{}{path}", self.base);
        match Url::parse(&text) {
            Ok(url) if url.as_str() == text && (path.is_empty() || path.starts_with('/')) => {
                let mut request = Request::new(method, url);
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
                Ok(request)
            }
            _ => Err(SendError::NotSent("the address would not arrive as it was meant".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(base: &str) -> Site {
        Site::new(&Url::parse(base).unwrap())
    }

    #[test]
    fn an_address_that_the_parser_would_change_is_refused() {
        let site = site("https://api.example/v2");
        let authorization = HeaderValue::from_static("Basic eA==");
        for path in
            ["/media/../x", "/media/%2e%2e/x", "/media/./x", "/a b", "/a\\b", "/a\tb", "/ä", "@evil/x"]
        {
            assert!(site.request(Method::GET, path, &authorization).is_err(), "{path}");
        }
        for path in ["", "/media/x.png", "/media/a%23b/c", "/media//x", "/media?limit=20&offset=0"] {
            let request = site.request(Method::GET, path, &authorization).unwrap();
            assert_eq!(request.url().as_str(), format!("https://api.example/v2{path}"));
        }
    }

    #[test]
    fn a_site_without_a_path_has_no_double_slash() {
        assert_eq!(site("https://api.example").base(), "https://api.example");
        assert_eq!(site("https://api.example/v2/").base(), "https://api.example/v2");
    }

    #[tokio::test]
    async fn http_leaves_for_loopback_only() {
        let client = HttpClient::new();
        for base in ["http://192.0.2.1:9", "http://example.invalid", "http://localhost.evil.example"] {
            let request = Request::new(Method::GET, Url::parse(base).unwrap());
            let deadline = Instant::now() + Duration::from_secs(5);
            let error = client.send(request, Keep::Reply, deadline).await.unwrap_err();
            assert!(matches!(&error, SendError::NotSent(why) if why.contains("https")), "{error:?}");
        }
        for base in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://a.localhost:1"] {
            assert!(is_loopback(&Url::parse(base).unwrap()), "{base}");
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_without_time_to_send_it() {
        let request = Request::new(Method::GET, Url::parse("http://127.0.0.1:1").unwrap());
        let error = HttpClient::new().send(request, Keep::Reply, Instant::now()).await.unwrap_err();
        assert!(matches!(error, SendError::NotSent(_)), "{error:?}");
    }
}
