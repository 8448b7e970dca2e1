//! Posts a payload to a hook's address. No redirect is followed, and little of the answer is read.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use tokio::time::Instant;
use url::Url;

use super::payload::Payload;
use super::run::HookError;
use crate::domain::time::format_duration;
use crate::provider::http::{HttpClient, Keep, Limits, SendError, root_cause};
use crate::provider::scrub::Scrubber;

/// A client for webhooks: the one for providers, but for how long an answer may take and how much of it is read.
pub(super) fn client() -> HttpClient {
    HttpClient::with_limits(Limits {
        reply_bytes: REPLY_BYTES_MAX,
        silence: SILENCE_MAX,
        ..Limits::default()
    })
}

/// Sends it once.
pub(super) async fn post(
    http: &HttpClient,
    url: Url,
    payload: &Payload,
    deadline: Instant,
) -> Result<(), HookError> {
    let scrubber = scrubber(&url);
    let mut request = Request::new(Method::POST, url);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(payload.line.clone().into());
    let answer = http.send(request, Keep::Reply, deadline).await.map_err(|error| {
        let why = match error {
            SendError::NotSent(why) => why,
            SendError::Transport(error) => root_cause(&error),
            SendError::Silence(waited) => {
                let waited = format_duration(waited);
                return HookError::Late(format!("the address said nothing for {waited}"));
            }
        };
        HookError::NoAnswer(scrubber.safe(&why, WORDS_MAX))
    })?;
    match answer.status {
        200..=299 => Ok(()),
        // Many a server repeats the address that it was asked for in what it answers, in one form or another.
        status => Err(HookError::Refused { status }),
    }
}

/// Many addresses are secrets: neither the whole of one nor a longer part of it is shown.
fn scrubber(url: &Url) -> Scrubber {
    let segments = url.path_segments().into_iter().flatten();
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let parts = segments.map(str::to_owned).chain(values).filter(|part| part.len() >= SECRET_CHARS_MIN);
    let mut secrets: Vec<String> = parts.collect();
    secrets.push(url.to_string());
    Scrubber::new(&secrets.iter().map(String::as_str).collect::<Vec<_>>())
}

const REPLY_BYTES_MAX: usize = 2048;
/// The time limit of a run counts; none is longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(600);
const WORDS_MAX: usize = 200;
/// Shorter parts of an address are no secrets, and would be found everywhere.
const SECRET_CHARS_MIN: usize = 6;
