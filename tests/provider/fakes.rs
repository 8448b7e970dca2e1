//! The two providers as far as the conformance suite needs them, and a way to disturb them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use mediakeep::domain::asset::ProviderName;
use mediakeep::domain::kind::Kind;
use mediakeep::domain::manifest::{ProviderConfig, Rate, Setting};
use mediakeep::provider::conformance::{Disturbance, Fetched, Subject};
use mediakeep::provider::http::HttpClient;
use mediakeep::provider::{KINDS, Provider, Receipt, connect};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::server::{Act, Seen, Server};

pub(crate) const ACCOUNT: &str = "9900000";
pub(crate) const AUTH_ID: &str = "MAZTQ4NJRHOWY3ODK2MT";
pub(crate) const PASSWORD: &str = "c4n4ry:p\"ass/w+ord";
pub(crate) const TOKEN: &str = "c4n4ry.t0ken";

pub(crate) fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

/// A provider's table.
pub(crate) fn config(kind_name: &str, base_url: &str, settings: &[(&'static str, &str)]) -> ProviderConfig {
    let base: url::Url = base_url.parse().unwrap();
    let settings = settings.iter().map(|(key, value)| {
        let reference = Setting::Env((*value).to_owned());
        let literal = Setting::Literal((*value).to_owned());
        (*key, if ["password", "client_secret", "auth_token"].contains(key) { reference } else { literal })
    });
    ProviderConfig {
        kind: kind(kind_name),
        settings: settings.collect(),
        token_url: Some(base.join("/api/v1/oauth2/token").unwrap()),
        base_url: base,
        retention: None,
        margin: None,
        concurrency: 4,
        rate: Rate { requests: 10, per: std::time::Duration::from_secs(1) },
        verify: std::time::Duration::ZERO,
    }
}

pub(crate) fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("PASSWORD".to_owned(), PASSWORD.to_owned()),
        ("WRONG".to_owned(), "wrong-password".to_owned()),
    ])
}

pub(crate) fn connected(config: &ProviderConfig, http: &HttpClient) -> Arc<dyn Provider> {
    let name = ProviderName::new(config.kind.name).unwrap();
    connect(&name, config, &environment(), http).unwrap()
}

pub(crate) fn bandwidth(server: &str, http: &HttpClient, password: &str) -> Arc<dyn Provider> {
    let settings = [("account_id", ACCOUNT), ("username", "bwuser"), ("password", password)];
    connected(&config("bandwidth", &format!("{server}/api/v2"), &settings), http)
}

pub(crate) fn bandwidth_oauth(server: &str, http: &HttpClient, secret: &str) -> Arc<dyn Provider> {
    let settings = [("account_id", ACCOUNT), ("client_id", "cid"), ("client_secret", secret)];
    connected(&config("bandwidth", &format!("{server}/api/v2"), &settings), http)
}

pub(crate) fn plivo(server: &str, http: &HttpClient, token: &str) -> Arc<dyn Provider> {
    connected(&config("plivo", server, &[("auth_id", AUTH_ID), ("auth_token", token)]), http)
}

/// What a server holds: by decoded name, in the order of arrival.
#[derive(Default)]
struct Shelf {
    media: Vec<(String, Vec<u8>)>,
    made: usize,
}

/// A fake provider that can be disturbed, and a second server that nobody should ever talk to.
pub(crate) struct Fake {
    server: Server,
    elsewhere: Server,
    make: fn(&str, &HttpClient, &str) -> Arc<dyn Provider>,
    http: HttpClient,
    shelf: Arc<Mutex<Shelf>>,
    disturbance: Arc<Mutex<Option<Disturbance>>>,
    media_requests: Arc<AtomicUsize>,
}

impl Fake {
    pub(crate) async fn bandwidth() -> Self {
        Self::start(bandwidth, on_bandwidth).await
    }

    pub(crate) async fn bandwidth_oauth() -> Self {
        Self::start(bandwidth_oauth, on_bandwidth).await
    }

    pub(crate) async fn plivo() -> Self {
        Self::start(plivo, on_plivo).await
    }

    async fn start(
        make: fn(&str, &HttpClient, &str) -> Arc<dyn Provider>,
        answer: fn(&Seen, &mut Shelf) -> Act,
    ) -> Self {
        let elsewhere = Server::start(|_| Act::reply(204, "")).await;
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let disturbance: Arc<Mutex<Option<Disturbance>>> = Arc::default();
        let media_requests = Arc::new(AtomicUsize::new(0));
        let (on_shelf, disturbed, count) = (shelf.clone(), disturbance.clone(), media_requests.clone());
        let away = elsewhere.url();
        let server = Server::start(move |seen| {
            if seen.target.ends_with("/oauth2/token") {
                return on_token(seen);
            }
            count.fetch_add(1, Ordering::Relaxed);
            match *disturbed.lock().unwrap() {
                Some(disturbance) => disturbed_act(disturbance, &away),
                None => answer(seen, &mut on_shelf.lock().unwrap()),
            }
        })
        .await;
        Self { server, elsewhere, make, http: HttpClient::new(), shelf, disturbance, media_requests }
    }
}

impl Subject for Fake {
    fn provider(&self) -> Arc<dyn Provider> {
        (self.make)(&self.server.url(), &self.http, "PASSWORD")
    }

    fn with_wrong_credentials(&self) -> Option<Arc<dyn Provider>> {
        Some((self.make)(&self.server.url(), &self.http, "WRONG"))
    }

    fn fetch<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Fetched> {
        let held = self.shelf.lock().unwrap();
        // By the URL, not by the ID: the URL is what users have.
        let path = receipt.url.strip_prefix(&self.server.url()).unwrap_or_default();
        let (_, name) = path.split_once("/media/").or_else(|| path.split_once("/Media/")).unwrap();
        let name = percent_decode_str(name).decode_utf8().unwrap().into_owned();
        let bytes = held.media.iter().rfind(|(stored, _)| *stored == name).map(|(_, bytes)| bytes.clone());
        let fetched = bytes.map_or(Fetched::Nothing, |bytes| Fetched::Bytes(Bytes::from(bytes)));
        Box::pin(std::future::ready(fetched))
    }

    fn disturb(&self, disturbance: Disturbance) -> bool {
        *self.disturbance.lock().unwrap() = Some(disturbance);
        true
    }

    fn calm(&self) {
        *self.disturbance.lock().unwrap() = None;
    }

    fn requests(&self) -> Option<usize> {
        Some(self.media_requests.load(Ordering::Relaxed))
    }

    fn bytes_led_astray(&self) -> Option<usize> {
        Some(self.elsewhere.bytes_seen())
    }
}

fn disturbed_act(disturbance: Disturbance, elsewhere: &str) -> Act {
    match disturbance {
        Disturbance::Reply { status, headers, body } => {
            headers.iter().fold(Act::reply(status, body), |act, (name, value)| act.with_header(name, *value))
        }
        Disturbance::Redirect { status } => {
            Act::reply(status, "").with_header("Location", format!("{elsewhere}/api/v2/users/x/media/x"))
        }
        Disturbance::HalfReply { status } => {
            Act::Raw(format!("HTTP/1.1 {status} X\r\nContent-Length: 500\r\n\r\n{{\"type\": ").into_bytes())
        }
        Disturbance::HangUp => Act::HangUp,
        Disturbance::Silence => Act::Stall(Vec::new()),
    }
}

fn basic(pair: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn on_token(seen: &Seen) -> Act {
    if seen.header("authorization") != Some(&basic(&format!("cid:{PASSWORD}"))) {
        return Act::reply(401, r#"{"error": "invalid_client"}"#);
    }
    assert_eq!(seen.body, b"grant_type=client_credentials");
    Act::reply(200, json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}).to_string())
}

fn on_bandwidth(seen: &Seen, shelf: &mut Shelf) -> Act {
    let known = [basic(&format!("bwuser:{PASSWORD}")), format!("Bearer {TOKEN}")];
    if !known.iter().any(|known| seen.header("authorization") == Some(known)) {
        return Act::reply(401, r#"{"type": "unauthorized", "description": "Authentication Failed"}"#);
    }
    let folder = format!("/api/v2/users/{ACCOUNT}/media");
    let Some(rest) = seen.target.strip_prefix(&folder) else { return Act::reply(403, "") };
    let name = percent_decode_str(rest.trim_start_matches('/')).decode_utf8().unwrap().into_owned();
    match seen.method.as_str() {
        "PUT" => {
            shelf.media.retain(|(stored, _)| *stored != name);
            shelf.media.push((name, seen.body.clone()));
            Act::reply(204, "")
        }
        "DELETE" => {
            shelf.media.retain(|(stored, _)| *stored != name);
            Act::reply(204, "")
        }
        _ if name.is_empty() => bandwidth_list(seen, shelf),
        _ => match shelf.media.iter().find(|(stored, _)| *stored == name) {
            Some((_, bytes)) => Act::reply(200, bytes.clone()).with_header("Content-Type", "image/png"),
            None => Act::reply(404, r#"{"type": "not-found", "description": "no such media"}"#),
        },
    }
}

/// Small pages, so that there are several.
fn bandwidth_list(seen: &Seen, shelf: &Shelf) -> Act {
    let from = seen.header("continuation-token").map_or(0, |token| {
        token.strip_prefix("tok+en/").and_then(|rest| rest.strip_suffix("==")).unwrap().parse().unwrap()
    });
    let page = shelf.media.iter().skip(from).take(10);
    let items: Vec<_> = page
        .map(|(name, bytes)| json!({"content": format!("https://evil.example/{name}"), "contentLength": bytes.len(), "mediaName": name}))
        .collect();
    let reply = Act::reply(200, json!(items).to_string());
    if from + 10 < shelf.media.len() {
        reply.with_header("Continuation-Token", format!("tok+en/{}==", from + 10))
    } else {
        reply
    }
}

fn on_plivo(seen: &Seen, shelf: &mut Shelf) -> Act {
    if seen.header("authorization") != Some(&basic(&format!("{AUTH_ID}:{PASSWORD}"))) {
        return Act::reply(401, r#"{"error": "authentication credentials were not provided"}"#);
    }
    let folder = format!("/v1/Account/{AUTH_ID}/Media/");
    let host = seen.header("host").unwrap();
    let Some(rest) = seen.target.strip_prefix(&folder) else { return Act::reply(404, "{}") };
    let object = |id: &str, size: usize| {
        json!({"media_id": id, "size": size, "file_name": "x", "status": "success", "status_code": 201,
            "upload_time": "2021-02-18T11:21:55.972100055Z", "media_url": format!("http://{host}/Media/{id}")})
    };
    match (seen.method.as_str(), rest) {
        ("POST", "") => {
            let content = multipart_content(seen);
            shelf.made += 1;
            let id = format!("00000000-0000-4000-8000-{:012}", shelf.made);
            shelf.media.push((id.clone(), content.to_vec()));
            Act::reply(200, json!({"api_id": "x", "objects": [object(&id, content.len())]}).to_string())
        }
        ("GET", query) if query.starts_with('?') => {
            let offset: usize = query.strip_prefix("?limit=20&offset=").unwrap().parse().unwrap();
            let page = shelf.media.iter().skip(offset).take(20);
            let objects: Vec<_> = page.map(|(id, bytes)| object(id, bytes.len())).collect();
            let meta = json!({"limit": 20, "offset": offset, "total_count": shelf.media.len(),
                "next": "https://evil.example/next", "previous": null});
            Act::reply(200, json!({"api_id": "x", "meta": meta, "objects": objects}).to_string())
        }
        ("GET", id) => match shelf.media.iter().find(|(stored, _)| *stored == id.trim_end_matches('/')) {
            Some((id, bytes)) => Act::reply(200, object(id, bytes.len()).to_string()),
            None => Act::reply(404, "{}"),
        },
        _ => Act::reply(405, ""),
    }
}

/// The content of the one part of a form.
pub(crate) fn multipart_content(seen: &Seen) -> &[u8] {
    let boundary =
        seen.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let start = seen.body.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let end = seen.body.len() - format!("\r\n--{boundary}--\r\n").len();
    &seen.body[start..end]
}
