//! One request from its head to its reply: log, fault, body, answer. The only place here that waits.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::body::{self, Read, announced};
use super::clock::http_date;
use super::connection::{Cut, Line};
use super::exchange::{Incoming, Reply, empty, expects_continue, set, with_body};
use super::faults::{Action, MadeUp, ResetPoint};
use super::options::ProviderKind;
use super::plivo::{Form, Plivo};
use super::world::{Shared, Visit};
use super::{bandwidth, plivo};
use crate::domain::asset::ContentHash;

/// Answers a request, or cuts its connection.
pub(super) async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let visit = shared.enter(&head);
    if !visit.wait.is_zero() {
        tokio::time::sleep(visit.wait).await;
    }
    let Some(mut response) = reply(&shared, &visit, &head, body, &line).await else {
        line.cut(Cut::Reset);
        // Never sent: the connection is cut.
        return empty(StatusCode::OK);
    };
    if !response.headers().contains_key(DATE) {
        set(&mut response, DATE, &http_date(shared.clock.now()));
    }
    if let Some(entry) = shared.world().log.entry(visit.number) {
        entry.status = Some(response.status().as_u16());
    }
    response
}

/// The reply as the fault makes it; `None` where the connection is to be reset instead.
async fn reply(shared: &Shared, visit: &Visit, head: &Parts, body: Body, line: &Line) -> Option<Response> {
    let Some(action) = &visit.action else {
        return truth(shared, visit, head, body).await;
    };
    match action {
        Action::Reset(ResetPoint::Head) => None,
        Action::Reset(ResetPoint::RequestBody) => {
            body::read(head, body, Some(announced(head).unwrap_or(2) / 2)).await;
            None
        }
        Action::Reset(ResetPoint::ReplyBody) => {
            Some(halve(truth(shared, visit, head, body).await?, head, line, Cut::Reset).await)
        }
        Action::HalfBody => {
            Some(halve(truth(shared, visit, head, body).await?, head, line, Cut::Close).await)
        }
        Action::LostReply => {
            truth(shared, visit, head, body).await;
            None
        }
        Action::WrongType(name) => {
            let mut response = truth(shared, visit, head, body).await?;
            set(&mut response, CONTENT_TYPE, name);
            Some(response)
        }
        Action::Reply(_) | Action::Html | Action::Empty(_) | Action::Hang => {
            take_in(shared, visit, body::read(head, body, None).await);
            made_up(action).await
        }
    }
}

/// The answer that a provider would give; `None` where it resets the connection, or nobody is there to read it.
async fn truth(shared: &Shared, visit: &Visit, head: &Parts, body: Body) -> Option<Response> {
    let refusal = shared.refuse(visit.provider, head);
    if refusal.is_some() && expects_continue(head) {
        // The client waits for a word before it sends the body; this is it.
        return refusal;
    }
    let enough = if refusal.is_none() { shared.body_reset_after(visit.provider, head) } else { None };
    let read = body::read(head, body, enough).await;
    if matches!(read, Read::TooLarge) {
        return Some(too_large(visit.provider));
    }
    let (body, hash) = take_in(shared, visit, read)?;
    if refusal.is_some() {
        return refusal;
    }
    let is_form = visit.provider == Some(ProviderKind::Plivo) && Plivo::takes_form(head);
    let form = if is_form { Some(Form::read(head, body.clone()).await) } else { None };
    match shared.answer(visit.provider, &Incoming { head, body, hash }, form) {
        Reply::Answer(response) => Some(response),
        Reply::Reset => None,
    }
}

/// Notes a body in the log.
fn take_in(shared: &Shared, visit: &Visit, read: Read) -> Option<(Bytes, ContentHash)> {
    let Read::Whole(body) = read else { return None };
    let hash = ContentHash::of(&body);
    if let Some(entry) = shared.world().log.entry(visit.number) {
        entry.body_length = u64::try_from(body.len()).ok();
        entry.blake3 = Some(hash);
    }
    Some((body, hash))
}

/// The connection cannot go on: the rest of the body is still in it.
fn too_large(provider: Option<ProviderKind>) -> Response {
    let mut response = match provider {
        Some(ProviderKind::Plivo) => plivo::too_large(),
        _ => bandwidth::too_large(),
    };
    set(&mut response, CONNECTION, "close");
    response
}

const PORTAL: &str = "<!doctype html><title>Sign in</title><p>Please sign in to use this network.</p>\n";

async fn made_up(action: &Action) -> Option<Response> {
    match action {
        Action::Reply(made_up) => Some(from_script(made_up)),
        Action::Html => Some(with_body(StatusCode::OK, "text/html; charset=utf-8", PORTAL)),
        Action::Empty(status) => Some(empty(status_of(*status))),
        _ => std::future::pending().await,
    }
}

fn from_script(made_up: &MadeUp) -> Response {
    let mut response = Response::new(Body::from(made_up.body.clone()));
    *response.status_mut() = status_of(made_up.status);
    for (name, value) in &made_up.headers {
        // The script holds only what can be sent.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn status_of(status: u16) -> StatusCode {
    // The script holds only what can be sent.
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// `HTTP/1.1 ` and the status: where an answer without a body is cut.
const STATUS_LINE_BYTES: u64 = 12;

/// An answer that ends in its middle: half of its body is sent, then the connection is cut.
async fn halve(response: Response, head: &Parts, line: &Line, how: Cut) -> Response {
    let (mut parts, body) = response.into_parts();
    // Replies are made of bytes in memory, so this cannot fail; without a body the status line is cut.
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    if whole.is_empty() || head.method == Method::HEAD {
        line.cut_after(STATUS_LINE_BYTES, how);
        return Response::from_parts(parts, Body::empty());
    }
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len().div_ceil(2));
    let line = line.clone();
    let cut = async move {
        // Once around the loop, so that the first half is written before the connection ends.
        tokio::task::yield_now().await;
        line.cut(how);
        Err(io::Error::other("cut by a scripted fault"))
    };
    let pieces = stream::once(std::future::ready(Ok(half))).chain(stream::once(cut));
    Response::from_parts(parts, Body::from_stream(pieces))
}
