//! The replies that many requests share. The texts are our guess but for the 401's; only the shapes are documented.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::exchange::{allowing, challenge, json, with_body};
use super::super::switches::{PlivoNotFound, PlivoSwitches, PlivoUnauthorized};

/// The number of one API call.
pub(super) fn api_id() -> String {
    Uuid::new_v4().to_string()
}

/// An object with the call's number.
pub(super) fn ok(status: StatusCode, mut body: Value) -> Response {
    body["api_id"] = Value::String(api_id());
    json(status, &body)
}

/// An error: `{api_id, error}`.
pub(super) fn error(status: StatusCode, text: &str) -> Response {
    ok(status, json!({"error": text}))
}

pub(super) fn unauthorized(body: PlivoUnauthorized) -> Response {
    let text = "authentication credentials were not provided";
    let response = match body {
        PlivoUnauthorized::WithApiId => error(StatusCode::UNAUTHORIZED, text),
        PlivoUnauthorized::WithoutApiId => json(StatusCode::UNAUTHORIZED, &json!({"error": text})),
    };
    challenge(response, "Plivo")
}

pub(super) fn wrong_account(switches: &PlivoSwitches) -> Response {
    match switches.account_mismatch {
        403 => error(StatusCode::FORBIDDEN, "access to this account is not allowed"),
        404 => not_found(switches.not_found_body),
        _ => unauthorized(switches.unauthorized_body),
    }
}

pub(super) fn not_found(body: PlivoNotFound) -> Response {
    match body {
        PlivoNotFound::Error => error(StatusCode::NOT_FOUND, "not found"),
        PlivoNotFound::EmptyObject => json(StatusCode::NOT_FOUND, &json!({})),
        PlivoNotFound::Text => with_body(StatusCode::NOT_FOUND, "text/plain", "not found"),
    }
}

/// 413; not documented.
pub(in super::super) fn too_large() -> Response {
    error(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large")
}

pub(super) fn bad_request(text: &str) -> Response {
    error(StatusCode::BAD_REQUEST, text)
}

pub(super) fn method_not_allowed(methods: &str) -> Response {
    allowing(error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"), methods)
}

pub(super) fn too_many_requests() -> Response {
    error(StatusCode::TOO_MANY_REQUESTS, "too many requests")
}
