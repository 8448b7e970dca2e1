//! Reads a request's body: whole, up to a limit, and never waits for ever.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::StreamExt as _;

/// The largest body that is read at all: ten files of 2 MB (the most that Plivo documents) and then some.
pub(super) const BODY_MAX: u64 = 32 * 1024 * 1024;

/// How long the next piece of a body may take to arrive, in real time.
const PIECE_WAIT: Duration = Duration::from_secs(60);

/// Room that is made for a body by its announced length before any of it has arrived.
const ROOM_MAX: u64 = 4 * 1024 * 1024;

/// How a body was read.
#[derive(Debug)]
pub(super) enum Read {
    Whole(Bytes),
    /// It is larger than [`BODY_MAX`]; the rest is not read.
    TooLarge,
    /// As much was read as was asked for.
    Enough,
    /// The client went away, or fell silent.
    Broken,
}

/// Reads a body, or only until so many bytes have come.
pub(super) async fn read(head: &Parts, body: Body, enough: Option<u64>) -> Read {
    let announced = announced(head).unwrap_or(0);
    if announced > BODY_MAX && enough.is_none() {
        return Read::TooLarge;
    }
    if enough == Some(0) {
        return Read::Enough;
    }
    // Of its own, not a piece of the connection's buffer: what is stored must not keep that alive.
    let mut bytes = Vec::with_capacity(usize::try_from(announced.min(ROOM_MAX)).unwrap_or(0));
    let mut pieces = body.into_data_stream();
    loop {
        match tokio::time::timeout(PIECE_WAIT, pieces.next()).await {
            Ok(Some(Ok(piece))) => bytes.extend_from_slice(&piece),
            Ok(None) => return Read::Whole(bytes.into()),
            Ok(Some(Err(_))) | Err(_) => return Read::Broken,
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if enough.is_some_and(|enough| length >= enough) {
            return Read::Enough;
        }
        if length > BODY_MAX {
            return Read::TooLarge;
        }
    }
}

/// The length that a request announces for its body.
pub(super) fn announced(head: &Parts) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
