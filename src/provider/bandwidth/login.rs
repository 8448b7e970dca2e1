//! Proving to Bandwidth who we are: an API user, or OAuth2 client credentials.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::domain::failure::{Failure, FailureClass};
use crate::provider::classify::{Classifier, Operation, Verdict, verdict};
use crate::provider::http::{Answer, HttpClient, Keep};

/// How an account proves who it is.
pub(super) enum Login {
    /// A user name and a password in every request.
    Basic(HeaderValue),
    /// A token that is renewed.
    OAuth2(Box<TokenSource>),
}

/// The right to send one request.
pub(super) struct Ticket {
    pub(super) authorization: HeaderValue,
    /// Which token it is, unless it was issued for this very request: then a refusal is final.
    renewable: Option<u64>,
}

impl Login {
    pub(super) async fn ticket(&self, deadline: Instant) -> Result<Ticket, Failure> {
        match self {
            Self::Basic(header) => Ok(Ticket { authorization: header.clone(), renewable: None }),
            Self::OAuth2(source) => source.ticket(None, deadline).await,
        }
    }

    /// Another ticket, after the provider answered 401 to this one; `None` where that would change nothing.
    pub(super) async fn another(
        &self,
        refused: &Ticket,
        deadline: Instant,
    ) -> Result<Option<Ticket>, Failure> {
        match (self, refused.renewable) {
            (Self::OAuth2(source), Some(number)) => source.ticket(Some(number), deadline).await.map(Some),
            _ => Ok(None),
        }
    }
}

/// The life of a token whose reply does not say it; Bandwidth's own command line tool assumes the same.
const LIFE_UNLESS_TOLD: Duration = Duration::from_secs(3600);
/// How long before its end a token is renewed; the official clients do the same.
const RENEWED_BEFORE_END: Duration = Duration::from_secs(60);
/// A token that claims to live longer is renewed after this time all the same.
const LIFE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// OAuth2 client credentials (RFC 6749, 4.4), and the token they were last exchanged for.
pub(super) struct TokenSource {
    http: HttpClient,
    url: Url,
    authorization: HeaderValue,
    classifier: Arc<Classifier>,
    /// Held during a request for a token, so that many uploads at once ask for one token.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    issued: u64,
    /// What those who waited for the same request are told, too.
    failed: Option<(Instant, Failure)>,
}

struct Token {
    authorization: HeaderValue,
    number: u64,
    usable_until: Instant,
}

impl TokenSource {
    pub(super) fn new(
        http: HttpClient,
        url: Url,
        authorization: HeaderValue,
        classifier: Arc<Classifier>,
    ) -> Self {
        Self { http, url, authorization, classifier, state: Mutex::default() }
    }

    /// A ticket with any token but the refused one.
    async fn ticket(&self, refused: Option<u64>, deadline: Instant) -> Result<Ticket, Failure> {
        let asked = Instant::now();
        let Ok(mut state) = timeout_at(deadline, self.state.lock()).await else {
            return Err(self.classifier.unsent(FailureClass::Unreachable, "no token within the time limit"));
        };
        if let Some(token) = &state.token
            && Some(token.number) != refused
            && token.usable_until > Instant::now()
        {
            return Ok(Ticket { authorization: token.authorization.clone(), renewable: Some(token.number) });
        }
        if let Some((at, failure)) = &state.failed
            && *at > asked
        {
            return Err(failure.clone());
        }
        match self.request_token(state.issued + 1, deadline).await {
            Ok(token) => {
                let authorization = token.authorization.clone();
                *state = State { issued: token.number, token: Some(token), failed: None };
                Ok(Ticket { authorization, renewable: None })
            }
            Err(failure) => {
                state.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn request_token(&self, number: u64, deadline: Instant) -> Result<Token, Failure> {
        let mut request = Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some("grant_type=client_credentials".into());
        // The token's life is counted from before it was asked for.
        let asked = Instant::now();
        let deadline = deadline.min(asked + self.http.limits().request);
        let answer = self.http.send(request, Keep::Reply, deadline).await;
        let answer = answer.map_err(|error| nothing_was_stored(self.classifier.unanswered(&error)))?;
        self.read_token(number, asked, &answer)
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn try_token(&self, answer: &Answer) -> Result<(), Failure> {
        self.read_token(1, Instant::now(), answer).map(drop)
    }

    /// What an answer to a request for a token means. Nothing is sent here.
    fn read_token(&self, number: u64, asked: Instant, answer: &Answer) -> Result<Token, Failure> {
        if let Verdict::Failed(class) = verdict(&[200], Operation::Token, answer.status) {
            return Err(nothing_was_stored(self.classifier.refused(class, Operation::Token, answer)));
        }
        let reply: TokenReply = self.classifier.json(answer).map_err(nothing_was_stored)?;
        let authorization = reply.authorization().ok_or_else(|| {
            self.classifier.unexpected(answer, "but its reply holds no bearer token that could be used")
        })?;
        self.classifier.learn_token(&reply.access_token);
        Ok(Token { authorization, number, usable_until: asked + usable_for(reply.expires_in.as_ref()) })
    }
}

/// Whatever became of a request for a token: the media itself was not sent.
fn nothing_was_stored(mut failure: Failure) -> Failure {
    if failure.class == FailureClass::Ambiguous {
        failure.class = FailureClass::Unreachable;
    }
    failure
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(default)]
    token_type: Option<String>,
}

impl TokenReply {
    fn authorization(&self) -> Option<HeaderValue> {
        let bearer = self.token_type.as_ref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        let token = &self.access_token;
        if !bearer || token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// How long a token with this `expires_in` is used; a short one for half of its life.
fn usable_for(expires_in: Option<&Value>) -> Duration {
    let told = expires_in.and_then(|value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()));
    let told = told.filter(|seconds: &f64| !seconds.is_nan());
    let life = match told {
        None => LIFE_UNLESS_TOLD,
        Some(seconds) => Duration::try_from_secs_f64(seconds.min(LIFE_MAX.as_secs_f64())).unwrap_or_default(),
    };
    life.saturating_sub(RENEWED_BEFORE_END.min(life / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_never_used_past_its_end() {
        let table = [
            (None, 3540),
            (Some(json!(3600)), 3540),
            (Some(json!("3600")), 3540),
            (Some(json!(100)), 50),
            (Some(json!(2)), 1),
            (Some(json!(0)), 0),
            (Some(json!(-5)), 0),
            (Some(json!("NaN")), 3540),
            (Some(json!(null)), 3540),
            (Some(json!("soon")), 3540),
            (Some(json!(1e300)), LIFE_MAX.as_secs() - 60),
        ];
        for (expires_in, seconds) in table {
            assert_eq!(usable_for(expires_in.as_ref()).as_secs(), seconds, "{expires_in:?}");
        }
    }

    #[test]
    fn only_a_bearer_token_that_fits_a_header_is_used() {
        let reply = |token: &str, kind: Option<&str>| TokenReply {
            access_token: token.to_owned(),
            expires_in: None,
            token_type: kind.map(str::to_owned),
        };
        for (token, kind) in [("tok", None), ("a.b-c_d~e+f/g==", Some("Bearer")), ("tok", Some("bearer"))] {
            let header = reply(token, kind).authorization().unwrap();
            assert_eq!(header.to_str().unwrap(), format!("Bearer {token}"));
            assert!(header.is_sensitive());
        }
        for (token, kind) in
            [("", None), ("a b", None), ("a\r\nx: y", None), ("ä", None), ("tok", Some("mac"))]
        {
            assert!(reply(token, kind).authorization().is_none(), "{token:?} {kind:?}");
        }
    }
}
