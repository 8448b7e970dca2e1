//! Plivo: its v1 account media.
//!
//! Plivo names a media, and every upload has a new name and a new URL. One request carries one file: success is
//! per file, and nothing in a reply but its position would tell two of them apart.

mod kind;
mod reply;

use futures_util::future::BoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

pub use kind::KIND;

use super::classify::{Classifier, Operation, Verdict, verdict};
use super::credentials::{CredentialError, Resolved};
use super::http::{Answer, HttpClient, Keep, Site, basic_authorization};
use super::multipart;
use super::scrub::Scrubber;
use super::{Cursor, Found, Page, Provider, Receipt, Upload};
use crate::domain::asset::{MediaId, Scope};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::kind::Kind;
use crate::domain::manifest::ProviderConfig;

use reply::{Addresses, Media, Objects};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The most that the list gives at once, as documented.
const PAGE_SIZE: u64 = 20;

/// An account at Plivo.
pub struct Plivo {
    http: HttpClient,
    scope: Scope,
    site: Site,
    /// The path of its media, with a trailing `/`.
    folder: String,
    authorization: HeaderValue,
    addresses: Addresses,
    classifier: Classifier,
}

/// The documented successes of an operation. An upload documents 200, and the page on replies 201 and 202 besides;
/// whichever it is, the file's own status in the reply must confirm it.
const fn documented(operation: Operation) -> &'static [u16] {
    match operation {
        Operation::Upload => &[200, 201, 202],
        Operation::List | Operation::Find => &[200],
        Operation::Delete | Operation::Token => &[],
    }
}

impl Plivo {
    /// Connects an account. Sends nothing.
    ///
    /// # Errors
    /// A setting that is missing or that no request can carry.
    pub fn connect(
        settings: &Resolved,
        config: &ProviderConfig,
        http: &HttpClient,
    ) -> Result<Self, CredentialError> {
        let (auth_id, auth_token) = (settings.get("auth_id")?, settings.get("auth_token")?);
        let scope = Scope::new(auth_id).map_err(|invalid| settings.unusable("auth_id", invalid.0))?;
        if auth_id.contains(':') || auth_id == "." || auth_id == ".." {
            return Err(settings.unusable("auth_id", "is not an auth ID (MA… or SA…)"));
        }
        let pair = format!("{auth_id}:{auth_token}");
        let encoded_id = utf8_percent_encode(auth_id, ENCODED).to_string();
        Ok(Self {
            http: http.clone(),
            site: Site::new(&config.base_url),
            folder: format!("/v1/Account/{encoded_id}/Media/"),
            authorization: basic_authorization(&pair),
            addresses: Addresses { base: config.base_url.clone(), auth_id: encoded_id },
            classifier: Classifier::new(KIND.title, scope.clone(), Scrubber::new(&[auth_token, &pair])),
            scope,
        })
    }

    async fn post(&self, upload: Upload) -> Result<Receipt, Failure> {
        let deadline = Instant::now() + upload.time_limit;
        super::check_size(KIND.title, &KIND.capabilities, &upload.body)
            .map_err(|why| self.classifier.unsent(FailureClass::ContentRefused, &why))?;
        let form = multipart::one_file("file", &upload.file_name, &upload.content_type, &upload.body);
        let content_type = HeaderValue::from_str(&form.content_type)
            .expect("the type of a form is made of characters that a header takes");

        let mut request = self
            .site
            .request(Method::POST, &self.folder, &self.authorization)
            .map_err(|error| self.classifier.unanswered(&error))?;
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        *request.body_mut() = Some(form.body.into());
        let answer = self.http.send(request, Keep::Reply, deadline).await;
        let answer = answer.map_err(|error| self.classifier.unanswered(&error))?;
        self.read_receipt(upload.body.len(), &answer)
    }

    async fn page(&self, cursor: Option<Cursor>) -> Result<Page, Failure> {
        let offset = match &cursor {
            None => 0,
            Some(Cursor(text)) => text.parse::<u64>().map_err(|_| {
                self.classifier.unsent(FailureClass::Unexpected, "this place in the list is not Plivo's")
            })?,
        };
        let path = format!("{}?limit={PAGE_SIZE}&offset={offset}", self.folder);
        let answer = self.get(&path, Keep::List).await?;
        self.read_page(offset, &answer)
    }

    async fn look_up(&self, id: &MediaId) -> Result<Option<Found>, Failure> {
        let path = format!("{}{}/", self.folder, utf8_percent_encode(id.as_str(), ENCODED));
        let answer = self.get(&path, Keep::Reply).await?;
        self.read_found(id, &answer)
    }

    async fn get(&self, path: &str, keep: Keep) -> Result<Answer, Failure> {
        let unanswered = |error| self.classifier.unanswered(&error);
        let mut request = self.site.request(Method::GET, path, &self.authorization).map_err(unanswered)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let deadline = Instant::now() + self.http.limits().request;
        self.http.send(request, keep, deadline).await.map_err(unanswered)
    }
}

/// What answers mean. Nothing is sent here.
impl Plivo {
    pub(crate) fn read_receipt(&self, bytes_sent: usize, answer: &Answer) -> Result<Receipt, Failure> {
        self.succeeded(Operation::Upload, answer)?;
        let reply: Objects = self.classifier.json(answer)?;
        reply
            .receipt(bytes_sent, &self.addresses, &answer.headers)
            .map_err(|refusal| self.classifier.misfit(refusal.class, answer, &refusal.why))
    }

    /// The page that begins at `offset`.
    pub(crate) fn read_page(&self, offset: u64, answer: &Answer) -> Result<Page, Failure> {
        self.succeeded(Operation::List, answer)?;
        let reply: Objects = self.classifier.json(answer)?;

        let seen = offset.saturating_add(u64::try_from(reply.objects.len()).unwrap_or(u64::MAX));
        let total = reply.meta.as_ref().and_then(|meta| meta.total_count);
        let more = match total {
            Some(total) => seen < total,
            None => seen - offset >= PAGE_SIZE,
        };
        // A page without anything on it ends the list, whatever the total says.
        let next = (more && seen > offset).then(|| Cursor(seen.to_string()));
        Ok(Page {
            media: reply.objects.iter().filter_map(|media| media.found(&self.addresses)).collect(),
            next,
        })
    }

    pub(crate) fn read_found(&self, id: &MediaId, answer: &Answer) -> Result<Option<Found>, Failure> {
        if !self.succeeded(Operation::Find, answer)? {
            return Ok(None);
        }
        let media: Media = self.classifier.json(answer)?;
        match media.found(&self.addresses) {
            Some(found) if found.id == *id => Ok(Some(found)),
            _ => Err(self.classifier.unexpected(answer, "with another media than the one asked for")),
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
}

impl Provider for Plivo {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn upload(&self, upload: Upload) -> BoxFuture<'_, Result<Receipt, Failure>> {
        Box::pin(self.post(upload))
    }

    fn list(&self, cursor: Option<Cursor>) -> BoxFuture<'_, Result<Page, Failure>> {
        Box::pin(self.page(cursor))
    }

    fn find(&self, id: &MediaId) -> BoxFuture<'_, Result<Option<Found>, Failure>> {
        let id = id.clone();
        Box::pin(async move { self.look_up(&id).await })
    }
}
