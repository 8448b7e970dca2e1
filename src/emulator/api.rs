//! The control API under `/_emulator/`; what it takes and gives is described in the parent module.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::control::Control;
use super::exchange::json as answer;
use super::faults::Fault;
use super::length::Length;
use super::options::ProviderKind;
use super::world::Shared;

/// The routes, to be put under `/_emulator`.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(index))
        .route("/clock", get(read_clock).post(advance_clock))
        .route("/faults", get(list_faults).post(add_faults).delete(clear_faults))
        .route("/requests", get(list_requests).delete(clear_requests))
        .route("/media", get(list_media).post(seed_media).delete(lose_media))
        .route("/switches", get(read_switches).post(change_switches))
        .route("/send", post(send))
        .route("/reset", post(reset))
        .fallback(async || {
            let what = "there is no such part of the control API; GET /_emulator/ lists them";
            Mistake::new(StatusCode::NOT_FOUND, what)
        })
        .method_not_allowed_fallback(async || {
            Mistake::new(StatusCode::METHOD_NOT_ALLOWED, "this method does nothing here")
        })
}

/// What there is, for whoever looks around.
pub(super) async fn index() -> Response {
    let requests = PARTS.map(|(request, what)| json!({"request": request, "what": what}));
    ok(&json!({"control": requests}))
}

const PARTS: [(&str, &str); 14] = [
    ("GET /_emulator/clock", "the time, and how far it is ahead"),
    ("POST /_emulator/clock", r#"moves the clock forward: {"advance": "24h"}"#),
    ("GET /_emulator/switches", "every switch with its value"),
    ("POST /_emulator/switches", r#"changes some: {"bandwidth": {"strict_slash": false}}"#),
    ("GET /_emulator/faults", "the faults that are still to be played"),
    (
        "POST /_emulator/faults",
        r#"adds one, or a list: {"method": "PUT", "count": 3, "action": {"empty": 503}}"#,
    ),
    ("DELETE /_emulator/faults", "empties the script"),
    ("GET /_emulator/requests", "the last requests"),
    ("DELETE /_emulator/requests", "forgets them"),
    ("GET /_emulator/media", "what is stored, and the last that was"),
    (
        "POST /_emulator/media",
        r#"an inbound media at Bandwidth: {"account": "…", "id": "…", "content_type": "…", "text": "…"}"#,
    ),
    ("DELETE /_emulator/media", r#"loses a media: {"provider": "…", "account": "…", "id": "…"}"#),
    ("POST /_emulator/send", r#"what a message would send: {"media": ["URL"]}"#),
    ("POST /_emulator/reset", "everything as at the start, the clock included"),
];

type Handle = State<Arc<Shared>>;

fn control(State(shared): Handle) -> Control {
    Control::new(shared)
}

fn ok(body: &Value) -> Response {
    answer(StatusCode::OK, body)
}

/// Why a request to the control API cannot be met.
#[derive(Debug)]
struct Mistake {
    status: StatusCode,
    what: String,
}

impl Mistake {
    fn new(status: StatusCode, what: impl fmt::Display) -> Self {
        Self { status, what: what.to_string() }
    }

    fn bad_request(what: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what)
    }
}

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        answer(self.status, &json!({"error": self.what}))
    }
}

/// Reads JSON whatever Content-Type it came with, so that `curl -d` will do.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Mistake> {
    serde_json::from_slice(body)
        .map_err(|why| Mistake::bad_request(format_args!("cannot read the request: {why}")))
}

fn clock_of(control: &Control) -> Response {
    let clock = control.clock();
    ok(&json!({"now": clock.now(), "ahead": Length(clock.ahead())}))
}

async fn read_clock(state: Handle) -> Response {
    clock_of(&control(state))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance: Length,
}

async fn advance_clock(state: Handle, body: Bytes) -> Result<Response, Mistake> {
    let Advance { advance } = parse(&body)?;
    let control = control(state);
    control.clock().advance(advance.0);
    Ok(clock_of(&control))
}

fn faults_of(control: &Control) -> Response {
    ok(&json!({"faults": control.faults()}))
}

async fn list_faults(state: Handle) -> Response {
    faults_of(&control(state))
}

async fn add_faults(state: Handle, body: Bytes) -> Result<Response, Mistake> {
    let faults = match parse(&body)? {
        Value::Array(_) => parse::<Vec<Fault>>(&body)?,
        _ => vec![parse::<Fault>(&body)?],
    };
    let control = control(state);
    control.script(faults).map_err(Mistake::bad_request)?;
    Ok(faults_of(&control))
}

async fn clear_faults(state: Handle) -> Response {
    let control = control(state);
    control.clear_faults();
    faults_of(&control)
}

async fn list_requests(state: Handle) -> Response {
    let control = control(state);
    ok(&json!({"total": control.requests_total(), "requests": control.requests()}))
}

async fn clear_requests(state: Handle) -> Response {
    let control = control(state);
    control.clear_requests();
    ok(&json!({"total": control.requests_total(), "requests": []}))
}

fn media_of(control: &Control) -> Response {
    ok(&json!({"media": control.media()}))
}

async fn list_media(state: Handle) -> Response {
    media_of(&control(state))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inbound {
    account: String,
    id: String,
    content_type: String,
    text: String,
}

async fn seed_media(state: Handle, body: Bytes) -> Result<Response, Mistake> {
    let Inbound { account, id, content_type, text } = parse(&body)?;
    let control = control(state);
    control.seed_inbound(&account, &id, &content_type, text.into());
    Ok(media_of(&control))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lost {
    provider: ProviderKind,
    account: String,
    id: String,
}

async fn lose_media(state: Handle, body: Bytes) -> Result<Response, Mistake> {
    let Lost { provider, account, id } = parse(&body)?;
    let control = control(state);
    if !control.lose(provider, &account, &id) {
        return Err(Mistake::new(StatusCode::NOT_FOUND, "there is no such media"));
    }
    Ok(media_of(&control))
}

async fn read_switches(state: Handle) -> Response {
    ok(&json!(control(state).switches()))
}

async fn change_switches(state: Handle, body: Bytes) -> Result<Response, Mistake> {
    let changed = control(state).change_switches(parse(&body)?).map_err(Mistake::bad_request)?;
    Ok(ok(&json!(changed)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    media: Vec<String>,
}

async fn send(state: Handle, body: Bytes) -> Result<Response, Mistake> {
    let Message { media } = parse(&body)?;
    let control = control(state);
    let sent: Vec<Value> = media.iter().map(|url| json!({"url": url, "sent": control.send(url)})).collect();
    Ok(ok(&json!({"media": sent})))
}

async fn reset(state: Handle) -> Response {
    let control = control(state);
    control.reset();
    clock_of(&control)
}
