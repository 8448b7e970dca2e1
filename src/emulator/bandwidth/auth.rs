//! Who may ask: Basic credentials, or a token that the token endpoint gave out.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use super::super::exchange::{Credentials, Incoming, Surroundings, challenge, json};
use super::super::switches::BandwidthSwitches;
use super::replies;
use crate::domain::time::Timestamp;

/// The tokens that were given out and have not expired.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    expires_at: BTreeMap<String, Timestamp>,
}

/// A client that asks for a token again and again must not fill the memory.
const TOKENS_MAX: usize = 10_000;

impl Tokens {
    /// Whether these credentials are good.
    pub(super) fn admit(
        &self,
        head: &Parts,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> bool {
        match Credentials::of(head) {
            Credentials::Basic { user, password } => {
                switches.basic && !user.is_empty() && password == around.password
            }
            Credentials::Bearer(token) => self.expires_at.get(&token).is_some_and(|end| *end > around.now),
            Credentials::Nothing => false,
        }
    }

    /// Gives out a token for client credentials. Errors have the shape of OAuth2 (RFC 6749, 5.2).
    pub(super) fn issue(
        &mut self,
        incoming: &Incoming<'_>,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        if incoming.method() != "POST" {
            return replies::no_such_method("POST", incoming.path(), around.now);
        }
        let known = matches!(Credentials::of(incoming.head),
            Credentials::Basic { user, password } if !user.is_empty() && password == around.password);
        if !known {
            let refusal = json(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
            return challenge(refusal, "oauth2");
        }
        let mut form = url::form_urlencoded::parse(&incoming.body);
        let Some((_, grant)) = form.find(|(name, _)| name == "grant_type") else {
            return json(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request"}));
        };
        if grant != "client_credentials" {
            return json(StatusCode::BAD_REQUEST, &json!({"error": "unsupported_grant_type"}));
        }
        let token = self.new_token(switches.token_expires_in, around.now);
        let body =
            json!({"access_token": token, "expires_in": switches.token_expires_in, "token_type": "Bearer"});
        json(StatusCode::OK, &body)
    }

    fn new_token(&mut self, expires_in: u64, now: Timestamp) -> String {
        if self.expires_at.len() >= TOKENS_MAX {
            self.expires_at.retain(|_, end| *end > now);
        }
        if self.expires_at.len() >= TOKENS_MAX {
            self.expires_at.clear();
        }
        let token = Uuid::new_v4().simple().to_string();
        self.expires_at.insert(token.clone(), now + std::time::Duration::from_secs(expires_in));
        token
    }
}
