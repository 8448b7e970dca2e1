//! A running emulator with a clock that stands still, and short ways to talk to it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use mediakeep::domain::time::Timestamp;
use mediakeep::emulator::{Emulator, Options};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const ACCOUNT: &str = "9900000";
pub(crate) const AUTH_ID: &str = "MAZTQ4NJRHOWY3ODK2MT";
pub(crate) const PASSWORD: &str = "p:ss";
/// 2026-11-21T16:00:00Z: a Saturday, and a whole number of days after 1970 plus 16 hours.
pub(crate) const START_MS: i64 = 1_795_276_800_000;
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    pub(crate) http: reqwest::Client,
    /// The real time, in milliseconds.
    pub(crate) real_ms: Arc<AtomicI64>,
}

/// A millisecond less.
pub(crate) fn just_before(length: Duration) -> Duration {
    length.saturating_sub(Duration::from_millis(1))
}

pub(crate) fn options() -> (Options, Arc<AtomicI64>) {
    let real_ms = Arc::new(AtomicI64::new(START_MS));
    let time = Arc::clone(&real_ms);
    let mut options = Options::new(Arc::new(move || Timestamp::from_unix_ms(time.load(Ordering::SeqCst))));
    options.listen = "127.0.0.1:0".parse().unwrap();
    options.password = SecretString::from(PASSWORD);
    (options, real_ms)
}

pub(crate) fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let (options, real_ms) = options();
        Self { emulator: Emulator::start(options).await.unwrap(), http: client(), real_ms }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.emulator.clock().advance(by);
    }

    pub(crate) fn switch(&self, change: Value) {
        self.emulator.control().change_switches(change).unwrap();
    }

    pub(crate) fn fault(&self, fault: Value) {
        self.emulator.control().script(vec![serde_json::from_value(fault).unwrap()]).unwrap();
    }

    // Bandwidth

    pub(crate) fn media_url(&self, id: &str) -> String {
        format!("{}/users/{ACCOUNT}/media/{id}", self.emulator.base_url_bandwidth())
    }

    pub(crate) fn bandwidth(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.emulator.base_url_bandwidth());
        self.http.request(method, url).basic_auth("bwuser", Some(PASSWORD))
    }

    pub(crate) fn media(&self, method: Method, id: &str) -> RequestBuilder {
        self.bandwidth(method, &format!("/users/{ACCOUNT}/media/{id}"))
    }

    pub(crate) async fn put(&self, id: &str, body: &'static [u8]) -> Response {
        self.media(Method::PUT, id).header("content-type", "image/png").body(body).send().await.unwrap()
    }

    pub(crate) async fn get(&self, id: &str) -> Response {
        self.media(Method::GET, id).send().await.unwrap()
    }

    // Plivo

    pub(crate) fn plivo(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/v1/Account/{AUTH_ID}{path}", self.emulator.base_url_plivo());
        self.http.request(method, url).basic_auth(AUTH_ID, Some(PASSWORD))
    }

    pub(crate) async fn post_files(&self, files: Vec<Part>) -> Response {
        let form = files.into_iter().fold(Form::new(), |form, part| form.part("file", part));
        self.plivo(Method::POST, "/Media/").multipart(form).send().await.unwrap()
    }

    /// Uploads one file and returns its object.
    pub(crate) async fn post_file(&self, name: &'static str, body: &'static [u8]) -> Value {
        let response = self.post_files(vec![png(name, body)]).await;
        assert_eq!(response.status(), 200);
        json(response).await["objects"][0].clone()
    }

    // Both

    pub(crate) async fn control(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let url = format!("http://{}/_emulator/{path}", self.emulator.addr());
        let response = self.http.request(method, url).body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), json(response).await)
    }

    /// Sends bytes as they are and returns all that comes back until the end of the stream.
    pub(crate) async fn raw(&self, request: &[u8]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.emulator.addr()).await?;
        stream.write_all(request).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }
}

pub(crate) fn png(name: &'static str, body: &'static [u8]) -> Part {
    Part::bytes(body).file_name(name).mime_str("image/png").unwrap()
}

pub(crate) async fn json(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text:?}"))
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The value of an Authorization header.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
