//! The error replies, in the two shapes that the documentation shows: the API's own and the servlet's.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::super::clock::with_fraction;
use super::super::exchange::{allowing, challenge, empty, json};
use super::super::switches::{BandwidthNotFound, BandwidthUnauthorized};
use crate::domain::time::Timestamp;

/// An error of the API: `{type, description}`.
pub(super) fn error(status: StatusCode, kind: &str, description: &str) -> Response {
    json(status, &json!({"type": kind, "description": description}))
}

/// 400 with the documented type.
pub(super) fn bad_request(description: &str) -> Response {
    error(StatusCode::BAD_REQUEST, "request-validation", description)
}

/// 401 with the documented body, or none.
pub(super) fn unauthorized(body: BandwidthUnauthorized) -> Response {
    let response = match body {
        BandwidthUnauthorized::Json => {
            error(StatusCode::UNAUTHORIZED, "unauthorized", "Authentication Failed")
        }
        BandwidthUnauthorized::Empty => empty(StatusCode::UNAUTHORIZED),
    };
    challenge(response, "messaging")
}

/// 403 with the documented body.
pub(super) fn forbidden() -> Response {
    error(StatusCode::FORBIDDEN, "forbidden", "Access Denied")
}

/// 404 for a media. Its `type` is our guess: only the shape is documented.
pub(super) fn no_such_media(body: BandwidthNotFound, path: &str, now: Timestamp) -> Response {
    match body {
        BandwidthNotFound::Api => {
            error(StatusCode::NOT_FOUND, "resource-not-found", "The requested media does not exist")
        }
        BandwidthNotFound::Servlet => no_such_path(path, now),
        BandwidthNotFound::Empty => empty(StatusCode::NOT_FOUND),
    }
}

/// 404 for an unknown path.
pub(in super::super) fn no_such_path(path: &str, now: Timestamp) -> Response {
    servlet(StatusCode::NOT_FOUND, path, now)
}

/// 405.
pub(super) fn no_such_method(methods: &str, path: &str, now: Timestamp) -> Response {
    allowing(servlet(StatusCode::METHOD_NOT_ALLOWED, path, now), methods)
}

/// 415 with the documented type.
pub(super) fn unsupported_type(sent: &str) -> Response {
    let description = format!("Content type '{sent}' not supported");
    error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-content-type", &description)
}

/// 413; neither the status nor its body is documented.
pub(in super::super) fn too_large() -> Response {
    error(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large", "The media is too large")
}

/// 411; not documented.
pub(super) fn length_required() -> Response {
    error(StatusCode::LENGTH_REQUIRED, "length-required", "Content-Length is required")
}

/// 429; the documented sample is about another queue, so its `type` here is our guess.
pub(super) fn too_many_requests() -> Response {
    error(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Your request rate is too high")
}

fn servlet(status: StatusCode, path: &str, now: Timestamp) -> Response {
    let reason = status.canonical_reason().unwrap_or_default();
    let body = json!({
        "timestamp": with_fraction(now, 3, 0, "+0000"),
        "status": status.as_u16(),
        "error": reason,
        "message": reason,
        "path": path,
    });
    json(status, &body)
}
