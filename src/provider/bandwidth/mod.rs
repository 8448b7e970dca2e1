//! Bandwidth: its Messaging v2 media.
//!
//! We name a media, and its URL follows from the name. The same folder holds what others sent to the account, so
//! nothing in it is ever taken for ours because it is there.

mod address;
mod kind;
mod login;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

pub use kind::KIND;

use super::classify::{Classifier, Operation, Verdict, verdict};
use super::credentials::{CredentialError, Resolved};
use super::http::{Answer, HttpClient, Keep, Site, basic_authorization};
use super::pause;
use super::scrub::Scrubber;
use super::{Cursor, Found, Page, Provider, Receipt, Upload};
use crate::domain::asset::{MediaId, Scope};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::kind::Kind;
use crate::domain::manifest::ProviderConfig;

use login::{Login, Ticket, TokenSource};

const CONTINUATION_TOKEN: HeaderName = HeaderName::from_static("continuation-token");

/// An account at Bandwidth.
pub struct Bandwidth {
    http: HttpClient,
    scope: Scope,
    site: Site,
    folder: String,
    login: Login,
    classifier: Arc<Classifier>,
}

/// The documented success of an operation; nothing else counts as one.
const fn documented(operation: Operation) -> &'static [u16] {
    match operation {
        Operation::Upload | Operation::Delete => &[204],
        Operation::List | Operation::Find | Operation::Token => &[200],
    }
}

impl Bandwidth {
    /// Connects an account. Sends nothing.
    ///
    /// # Errors
    /// A setting that is missing or that no request can carry.
    pub fn connect(
        settings: &Resolved,
        config: &ProviderConfig,
        http: &HttpClient,
    ) -> Result<Self, CredentialError> {
        let account = settings.get("account_id")?;
        let scope = Scope::new(account).map_err(|invalid| settings.unusable("account_id", invalid.0))?;
        if account == "." || account == ".." {
            return Err(settings.unusable("account_id", "is not an account's number"));
        }
        let oauth2 = settings.has("client_id");
        let (user_key, secret_key) =
            if oauth2 { ("client_id", "client_secret") } else { ("username", "password") };
        let (user, secret) = (settings.get(user_key)?, settings.get(secret_key)?);
        if user.contains(':') {
            return Err(settings.unusable(user_key, "holds a ':', which no such name can (RFC 7617)"));
        }
        let pair = format!("{user}:{secret}");
        let scrubber = Scrubber::new(&[secret, &pair]);
        let classifier = Arc::new(Classifier::new(KIND.title, scope.clone(), scrubber));
        let authorization = basic_authorization(&pair);
        let login = if oauth2 {
            let url = config.token_url.clone().unwrap_or_else(default_token_url);
            let source = TokenSource::new(http.clone(), url, authorization, Arc::clone(&classifier));
            Login::OAuth2(Box::new(source))
        } else {
            Login::Basic(authorization)
        };
        Ok(Self {
            http: http.clone(),
            site: Site::new(&config.base_url),
            folder: address::folder(scope.as_str()),
            scope,
            login,
            classifier,
        })
    }

    async fn put(&self, upload: Upload) -> Result<Receipt, Failure> {
        let deadline = Instant::now() + upload.time_limit;
        let unsent = |class, detail: &str| self.classifier.unsent(class, detail);
        let Some(id) = upload.id else {
            return Err(unsent(FailureClass::Unexpected, "an upload to Bandwidth needs an ID"));
        };
        let refused = |detail: &str| unsent(FailureClass::ContentRefused, detail);
        super::check_size(KIND.title, &KIND.capabilities, &upload.body).map_err(|why| refused(&why))?;
        let path = self.path_of(&id).map_err(|why| refused(&why))?;
        let content_type = HeaderValue::from_str(upload.content_type.as_str())
            .expect("a media type is made of characters that a header takes");
        let cache_control = upload.cache_control.as_deref().map(HeaderValue::from_str).transpose();
        let cache_control =
            cache_control.map_err(|_| refused("its cache_control holds characters that no header takes"))?;

        let prepare = |request: &mut Request| {
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, content_type.clone());
            if let Some(value) = &cache_control {
                headers.insert(CACHE_CONTROL, value.clone());
            }
            *request.body_mut() = Some(upload.body.clone().into());
        };
        let answer = self.exchange(Method::PUT, &path, Keep::Reply, deadline, prepare).await?;
        self.read_receipt(id, &path, &answer)
    }

    async fn page(&self, cursor: Option<Cursor>) -> Result<Page, Failure> {
        let token = match &cursor {
            None => None,
            Some(Cursor(token)) => Some(HeaderValue::from_str(token).map_err(|_| {
                self.classifier.unsent(FailureClass::Unexpected, "this place in the list is not Bandwidth's")
            })?),
        };
        let path = self.folder.trim_end_matches('/');
        let prepare = |request: &mut Request| {
            if let Some(token) = &token {
                request.headers_mut().insert(CONTINUATION_TOKEN, token.clone());
            }
        };
        let answer = self.exchange(Method::GET, path, Keep::List, self.short_deadline(), prepare).await?;
        self.read_page(&answer)
    }

    /// There is no documented way to ask without a download, so the answer's head is read and the rest is not.
    async fn look_up(&self, id: &MediaId) -> Result<Option<Found>, Failure> {
        let Ok(path) = self.path_of(id) else { return Ok(None) };
        let prepare = |request: &mut Request| {
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        };
        let answer = self.exchange(Method::GET, &path, Keep::Head, self.short_deadline(), prepare).await?;
        self.read_found(id, &path, &answer)
    }

    async fn remove(&self, id: &MediaId) -> Result<(), Failure> {
        let path = self.path_of(id).map_err(|why| self.classifier.unsent(FailureClass::Unexpected, &why))?;
        let deadline = self.short_deadline();
        let answer = self.exchange(Method::DELETE, &path, Keep::Reply, deadline, |_| ()).await?;
        self.read_deleted(&answer)
    }

    /// Sends a request, and once more with a new token where the old one is refused.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        keep: Keep,
        deadline: Instant,
        prepare: impl Fn(&mut Request) + Send + Sync,
    ) -> Result<Answer, Failure> {
        let attempt = async |ticket: &Ticket| {
            let unanswered = |error| self.classifier.unanswered(&error);
            let mut request =
                self.site.request(method.clone(), path, &ticket.authorization).map_err(unanswered)?;
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
            prepare(&mut request);
            self.http.send(request, keep, deadline).await.map_err(unanswered)
        };
        let ticket = self.login.ticket(deadline).await?;
        let answer = attempt(&ticket).await?;
        if answer.status == 401
            && let Some(another) = self.login.another(&ticket, deadline).await?
        {
            return attempt(&another).await;
        }
        Ok(answer)
    }

    fn short_deadline(&self) -> Instant {
        Instant::now() + self.http.limits().request
    }
}

/// What answers mean. Nothing is sent here.
impl Bandwidth {
    pub(crate) fn read_receipt(&self, id: MediaId, path: &str, answer: &Answer) -> Result<Receipt, Failure> {
        match verdict(documented(Operation::Upload), Operation::Upload, answer.status) {
            Verdict::Success | Verdict::Absent => Ok(Receipt {
                id,
                url: self.url_of(path),
                expires_at: None,
                server_date: pause::server_date(&answer.headers),
            }),
            Verdict::Failed(class) => Err(self.classifier.refused(class, Operation::Upload, answer)),
        }
    }

    pub(crate) fn read_page(&self, answer: &Answer) -> Result<Page, Failure> {
        self.succeeded(Operation::List, answer)?;
        let items: Vec<Item> = self.classifier.json(answer)?;
        // A name that can't be an ID of ours is not one.
        let found = |item: Item| {
            let id = MediaId::new(&item.media_name?).ok()?;
            let url = self.path_of(&id).ok().map(|path| self.url_of(&path));
            Some(Found { id, size: item.content_length, url })
        };
        let next = answer.headers.get(CONTINUATION_TOKEN).and_then(|token| token.to_str().ok());
        let next = next.filter(|token| !token.is_empty()).map(|token| Cursor(token.to_owned()));
        Ok(Page { media: items.into_iter().filter_map(found).collect(), next })
    }

    pub(crate) fn read_found(
        &self,
        id: &MediaId,
        path: &str,
        answer: &Answer,
    ) -> Result<Option<Found>, Failure> {
        let found = self.succeeded(Operation::Find, answer)?;
        Ok(found.then(|| Found {
            id: id.clone(),
            size: answer.announced_length,
            url: Some(self.url_of(path)),
        }))
    }

    pub(crate) fn read_deleted(&self, answer: &Answer) -> Result<(), Failure> {
        self.succeeded(Operation::Delete, answer).map(|_there| ())
    }

    /// What an answer to a request for a token comes to; `None` without OAuth2.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn try_token(&self, answer: &Answer) -> Option<Result<(), Failure>> {
        match &self.login {
            Login::Basic(_) => None,
            Login::OAuth2(source) => Some(source.try_token(answer)),
        }
    }

    /// Whether what was asked for is there; a failure where the answer does not say so.
    fn succeeded(&self, operation: Operation, answer: &Answer) -> Result<bool, Failure> {
        match verdict(documented(operation), operation, answer.status) {
            Verdict::Success => Ok(true),
            Verdict::Absent => Ok(false),
            Verdict::Failed(class) => Err(self.classifier.refused(class, operation, answer)),
        }
    }

    pub(crate) fn path_of(&self, id: &MediaId) -> Result<String, String> {
        let path = address::media(&self.folder, id).map_err(|why| format!("the ID {id:?} has {why}"))?;
        let (bytes, bytes_max) = (self.site.base().len() + path.len(), KIND.capabilities.max_url_bytes);
        if bytes > bytes_max {
            return Err(format!(
                "its URL would have {bytes} bytes, and Bandwidth's have at most {bytes_max}"
            ));
        }
        Ok(path)
    }

    fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.site.base())
    }
}

fn default_token_url() -> Url {
    KIND.token_url.and_then(|text| text.parse().ok()).expect("the constant is a URL")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    media_name: Option<String>,
    #[serde(default)]
    content_length: Option<u64>,
}

impl Provider for Bandwidth {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn upload(&self, upload: Upload) -> BoxFuture<'_, Result<Receipt, Failure>> {
        Box::pin(self.put(upload))
    }

    fn list(&self, cursor: Option<Cursor>) -> BoxFuture<'_, Result<Page, Failure>> {
        Box::pin(self.page(cursor))
    }

    fn find(&self, id: &MediaId) -> BoxFuture<'_, Result<Option<Found>, Failure>> {
        let id = id.clone();
        Box::pin(async move { self.look_up(&id).await })
    }

    fn delete(&self, id: &MediaId) -> BoxFuture<'_, Result<(), Failure>> {
        let id = id.clone();
        Box::pin(async move { self.remove(&id).await })
    }
}
