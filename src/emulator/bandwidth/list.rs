//! The list of an account's media, page by page.

use std::ops::Bound;

use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};

use super::super::exchange::{Incoming, Surroundings, decode, json, set};
use super::super::switches::BandwidthSwitches;
use super::media::Key;
use super::{Bandwidth, replies};

/// The header that carries the token both ways.
const CONTINUATION: HeaderName = HeaderName::from_static("continuation-token");

impl Bandwidth {
    pub(super) fn list(
        &self,
        account: &str,
        incoming: &Incoming<'_>,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        let Some(account) = decode(account) else {
            return replies::bad_request("The path is not valid");
        };
        let start = match incoming.head.headers.get(CONTINUATION) {
            None => Bound::Included(Key { account: account.as_str().into(), id: String::new() }),
            Some(token) => match token.to_str().ok().and_then(|token| last_of(token, &account)) {
                Some(id) => Bound::Excluded(Key { account: account.as_str().into(), id }),
                None => return replies::bad_request("The Continuation-Token is not valid"),
            },
        };
        let mut items = self.media.from(start).take_while(|(key, _)| *key.account == *account).peekable();
        let mut page: Vec<Value> = Vec::new();
        let mut last = None;
        while page.len() < switches.page_size {
            let Some((key, item)) = items.next() else { break };
            page.push(json!({
                "content": key.url(around.origin),
                "contentLength": item.value.content.bytes.len(),
                "mediaName": key.id,
            }));
            last = Some(key);
        }
        let mut response = json(StatusCode::OK, &Value::Array(page));
        if let (Some(last), true) = (last, items.peek().is_some()) {
            set(&mut response, CONTINUATION, &token_after(last));
        }
        response
    }
}

/// A token that means "after this one". It holds the characters `+`, `/` and `=`, which a client must not encode.
fn token_after(last: &Key) -> String {
    format!("M+/{}==", STANDARD_NO_PAD.encode(format!("{}\0{}", last.account, last.id)))
}

/// The ID that a token of this account goes on after.
fn last_of(token: &str, account: &str) -> Option<String> {
    let encoded = token.strip_prefix("M+/")?.strip_suffix("==")?;
    let decoded = String::from_utf8(STANDARD_NO_PAD.decode(encoded).ok()?).ok()?;
    let (owner, id) = decoded.split_once('\0')?;
    (owner == account).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_account_only() {
        let token = token_after(&Key { account: "1".into(), id: "a/b.png".to_owned() });
        assert!(token.contains('+') && token.contains('/') && token.contains('='));
        assert_eq!(last_of(&token, "1").as_deref(), Some("a/b.png"));
        for (token, account) in
            [(token.as_str(), "2"), ("", "1"), ("string", "1"), ("M+/!==", "1"), ("M+/AAA==", "1")]
        {
            assert_eq!(last_of(token, account), None, "{token}");
        }
    }
}
