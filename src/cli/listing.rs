//! Entries as JSON: the same shape for `plan`, `status` and `sync`, with the state file's field names.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::asset::{ContentHash, EntryKey, MediaId, MediaType, ProviderName, RelPath, Scope};
use crate::domain::plan::{Action, PlanItem};
use crate::domain::state::{Previous, Record};
use crate::domain::time::Timestamp;

/// What is said where there is nothing to list.
pub(super) const NO_ENTRIES: &str = "no entries: the manifest names no file and its globs match none";

/// What is printed.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    pub format: u32,
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub file: RelPath,
    pub provider: ProviderName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Planned>,
    #[serde(flatten)]
    pub recorded: Recorded,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_at: Option<Timestamp>,
}

/// What is to be done about it.
#[derive(Debug, Serialize)]
pub(super) struct Planned {
    pub action: Action,
    pub why: String,
    pub bytes: u64,
    pub requests: u32,
    pub deadline: Option<Timestamp>,
}

/// What is recorded about it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recorded {
    pub id: Option<MediaId>,
    pub url: Option<Box<str>>,
    pub scope: Option<Scope>,
    pub blake3: Option<ContentHash>,
    pub size: Option<u64>,
    pub content_type: Option<MediaType>,
    pub cache_control: Option<Arc<str>>,
    pub uploaded_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub previous: Vec<Older>,
    pub problem: Option<Trouble>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
}

/// A handle that was replaced and still lives.
#[derive(Debug, Serialize)]
pub(super) struct Older {
    pub id: MediaId,
    pub url: Box<str>,
    pub scope: Scope,
    pub blake3: ContentHash,
    pub expires_at: Timestamp,
}

/// Why it is not as it should be.
#[derive(Debug, Serialize)]
pub(super) struct Trouble {
    pub kind: Box<str>,
    pub detail: Box<str>,
    pub since: Timestamp,
    pub attempts: u32,
    pub next_try: Option<Timestamp>,
}

impl Entry {
    pub(super) fn new(key: &EntryKey, record: Option<&Record>) -> Self {
        Self {
            file: key.path.clone(),
            provider: key.provider.clone(),
            state: None,
            plan: None,
            recorded: record.map(Recorded::of).unwrap_or_default(),
            renew_at: None,
        }
    }
}

impl Recorded {
    fn of(record: &Record) -> Self {
        let handle = record.current.as_ref();
        Self {
            id: handle.map(|handle| handle.id.clone()),
            url: handle.and_then(|handle| handle.url.clone()),
            scope: handle.map(|handle| handle.scope.clone()),
            blake3: handle.map(|handle| handle.hash),
            size: handle.map(|handle| handle.size),
            content_type: handle.map(|handle| handle.content_type.clone()),
            cache_control: handle.and_then(|handle| handle.cache_control.clone()),
            uploaded_at: handle.map(|handle| handle.uploaded_at),
            expires_at: handle.map(|handle| handle.expires_at),
            previous: record.previous.iter().cloned().map(Older::from).collect(),
            problem: record.trouble.as_ref().map(|trouble| Trouble {
                kind: trouble.kind.clone(),
                detail: trouble.detail.clone(),
                since: trouble.since,
                attempts: trouble.attempts,
                next_try: trouble.next_try,
            }),
            missing_since: record.missing_since,
            retired_at: record.retired_at,
        }
    }
}

impl From<Previous> for Older {
    fn from(previous: Previous) -> Self {
        let Previous { id, url, scope, hash, expires_at } = previous;
        Self { id, url, scope, blake3: hash, expires_at }
    }
}

impl From<PlanItem> for Planned {
    fn from(item: PlanItem) -> Self {
        let PlanItem { action, why, bytes, requests, deadline, .. } = item;
        Self { action, why, bytes, requests, deadline }
    }
}
