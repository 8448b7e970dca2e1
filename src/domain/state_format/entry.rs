//! One entry's record as JSON, the same in the state file and in the journal.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::asset::{ContentHash, Invalid, MediaId, MediaType, ProviderName, Scope};
use crate::domain::state::{Handle, Previous, Record, Trouble};
use crate::domain::time::Timestamp;

/// A text that is borrowed from the input wherever it holds no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Texts that most entries have in common, each kept once.
#[derive(Debug, Default)]
pub struct Shared {
    providers: BTreeSet<ProviderName>,
    scopes: BTreeSet<Scope>,
    types: BTreeSet<MediaType>,
    texts: BTreeSet<Arc<str>>,
}

impl Shared {
    pub(super) fn provider(&mut self, text: &str) -> Result<ProviderName, Invalid> {
        share(&mut self.providers, text, ProviderName::new)
    }

    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        let Ok(shared) = share(&mut self.texts, text, |text| Ok::<_, std::convert::Infallible>(text.into()));
        shared
    }
}

fn share<T: Ord + Clone + Borrow<str>, E>(
    known: &mut BTreeSet<T>,
    text: &str,
    make: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, E> {
    if let Some(value) = known.get(text) {
        return Ok(value.clone());
    }
    let value = make(text)?;
    known.insert(value.clone());
    Ok(value)
}

/// A record as it is written. The order of the fields is part of the contract.
#[derive(Serialize)]
pub(super) struct EntryOut<'a> {
    id: Option<&'a MediaId>,
    url: Option<&'a str>,
    scope: Option<&'a Scope>,
    blake3: Option<ContentHash>,
    size: Option<u64>,
    content_type: Option<&'a MediaType>,
    cache_control: Option<&'a str>,
    uploaded_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    previous: Vec<PreviousOut<'a>>,
    problem: Option<ProblemOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct PreviousOut<'a> {
    id: &'a MediaId,
    url: &'a str,
    scope: &'a Scope,
    blake3: ContentHash,
    expires_at: Timestamp,
}

#[derive(Serialize)]
struct ProblemOut<'a> {
    kind: &'a str,
    detail: &'a str,
    since: Timestamp,
    attempts: u32,
    next_try: Option<Timestamp>,
}

impl<'a> From<&'a Record> for EntryOut<'a> {
    fn from(record: &'a Record) -> Self {
        let handle = record.current.as_ref();
        Self {
            id: handle.map(|handle| &handle.id),
            url: handle.and_then(|handle| handle.url.as_deref()),
            scope: handle.map(|handle| &handle.scope),
            blake3: handle.map(|handle| handle.hash),
            size: handle.map(|handle| handle.size),
            content_type: handle.map(|handle| &handle.content_type),
            cache_control: handle.and_then(|handle| handle.cache_control.as_deref()),
            uploaded_at: handle.map(|handle| handle.uploaded_at.floor_to_second()),
            expires_at: handle.map(|handle| handle.expires_at.floor_to_second()),
            previous: record.previous.iter().map(PreviousOut::from).collect(),
            problem: record.trouble.as_deref().map(ProblemOut::from),
            missing_since: record.missing_since.map(Timestamp::floor_to_second),
            retired_at: record.retired_at.map(Timestamp::floor_to_second),
        }
    }
}

impl<'a> From<&'a Previous> for PreviousOut<'a> {
    fn from(previous: &'a Previous) -> Self {
        Self {
            id: &previous.id,
            url: &previous.url,
            scope: &previous.scope,
            blake3: previous.hash,
            expires_at: previous.expires_at.floor_to_second(),
        }
    }
}

impl<'a> From<&'a Trouble> for ProblemOut<'a> {
    fn from(trouble: &'a Trouble) -> Self {
        Self {
            kind: &trouble.kind,
            detail: &trouble.detail,
            since: trouble.since.floor_to_second(),
            attempts: trouble.attempts,
            next_try: trouble.next_try.map(Timestamp::floor_to_second),
        }
    }
}

/// A record as it is read: fields that this version does not know are ignored.
#[derive(Deserialize)]
pub(super) struct EntryIn<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    url: Option<Text<'a>>,
    scope: Option<Text<'a>>,
    blake3: Option<ContentHash>,
    size: Option<u64>,
    content_type: Option<Text<'a>>,
    cache_control: Option<Text<'a>>,
    uploaded_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    #[serde(default)]
    previous: Vec<PreviousIn<'a>>,
    problem: Option<ProblemIn<'a>>,
    missing_since: Option<Timestamp>,
    retired_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct PreviousIn<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    url: Text<'a>,
    scope: Text<'a>,
    blake3: ContentHash,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct ProblemIn<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    detail: Text<'a>,
    since: Timestamp,
    attempts: u32,
    next_try: Option<Timestamp>,
}

impl EntryIn<'_> {
    /// The record that this is.
    pub(super) fn into_record(self, shared: &mut Shared) -> Result<Record, Invalid> {
        let previous =
            self.previous.iter().map(|previous| previous.read(shared)).collect::<Result<_, _>>()?;
        Ok(Record {
            current: self.handle(shared)?,
            previous,
            trouble: self.problem.as_ref().map(|problem| Box::new(problem.read())),
            missing_since: self.missing_since,
            retired_at: self.retired_at,
        })
    }

    fn handle(&self, shared: &mut Shared) -> Result<Option<Handle>, Invalid> {
        let Some(id) = &self.id else {
            let partly = self.url.is_some() || self.blake3.is_some() || self.expires_at.is_some();
            return if partly {
                Err(Invalid("an entry has a url, a hash or an end, and no id"))
            } else {
                Ok(None)
            };
        };
        let (Some(scope), Some(hash), Some(size), Some(content_type), Some(uploaded_at), Some(expires_at)) =
            (&self.scope, self.blake3, self.size, &self.content_type, self.uploaded_at, self.expires_at)
        else {
            return Err(Invalid("an entry has an id and lacks scope, hash, size, type or a time"));
        };
        Ok(Some(Handle {
            id: MediaId::new(&id.0)?,
            url: self.url.as_ref().map(|url| url.0.as_ref().into()),
            scope: share(&mut shared.scopes, &scope.0, Scope::new)?,
            hash,
            size,
            content_type: share(&mut shared.types, &content_type.0, MediaType::new)?,
            cache_control: self.cache_control.as_ref().map(|text| shared.text(&text.0)),
            uploaded_at,
            expires_at,
            steady_expires_at: expires_at,
        }))
    }
}

impl PreviousIn<'_> {
    fn read(&self, shared: &mut Shared) -> Result<Previous, Invalid> {
        Ok(Previous {
            id: MediaId::new(&self.id.0)?,
            url: self.url.0.as_ref().into(),
            scope: share(&mut shared.scopes, &self.scope.0, Scope::new)?,
            hash: self.blake3,
            expires_at: self.expires_at,
        })
    }
}

impl ProblemIn<'_> {
    fn read(&self) -> Trouble {
        Trouble {
            kind: self.kind.0.as_ref().into(),
            detail: self.detail.0.as_ref().into(),
            since: self.since,
            attempts: self.attempts,
            next_try: self.next_try,
        }
    }
}
