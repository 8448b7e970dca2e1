//! TALKS TO A PROVIDER. Mechanism only: what is uploaded, when, how often, how many at once and what is to be done
//! about a failure is decided elsewhere.
//!
//! A new provider is a [`Kind`], an implementation of [`Provider`] that meets every claim of [`conformance`], and a
//! line each in `KINDS` and `CONNECTS` of `connect.rs`. `examples/custom_provider.rs` is a small one to begin with.
//! One that speaks HTTP sends through [`http`] and leaves it to `classify` to say what an answer means.

mod answer_text;
pub mod bandwidth;
pub(crate) mod classify;
pub mod conformance;
mod connect;
pub mod credentials;
pub mod http;
mod multipart;
pub(crate) mod pause;
pub mod plivo;
pub(crate) mod scrub;
pub mod tally;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::domain::asset::{MediaId, MediaType, Scope};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::kind::Kind;
use crate::domain::time::Timestamp;

pub use connect::{KINDS, connect, connect_with, list_all, scope_of};

use connect::check_size;

/// An account at a provider that media can be uploaded to.
///
/// Every operation is one logical request: no retries, no pauses, no limits on how many run at once. Its future
/// may be dropped at any moment. A [`Failure`] tells what is known about the outcome, by its class.
pub trait Provider: Send + Sync {
    /// What kind of provider it is, and so what it can do.
    fn kind(&self) -> &'static Kind;

    /// The account: what its handles belong to.
    fn scope(&self) -> &Scope;

    /// Stores one media. Success means that the provider confirmed exactly these bytes.
    fn upload(&self, upload: Upload) -> BoxFuture<'_, Result<Receipt, Failure>>;

    /// One page of what the account holds, the first one without a cursor. It may hold media that are not ours.
    fn list(&self, cursor: Option<Cursor>) -> BoxFuture<'_, Result<Page, Failure>> {
        drop(cursor);
        unsupported("list media")
    }

    /// Whether the provider holds a media; `None` where it says that it does not.
    fn find(&self, id: &MediaId) -> BoxFuture<'_, Result<Option<Found>, Failure>> {
        let _ = id;
        unsupported("look up one media")
    }

    /// Deletes a media. Deleting one that is not there is a success.
    fn delete(&self, id: &MediaId) -> BoxFuture<'_, Result<(), Failure>> {
        let _ = id;
        unsupported("delete media")
    }
}

fn unsupported<T: Send + 'static>(what: &str) -> BoxFuture<'static, Result<T, Failure>> {
    let failure =
        Failure::without_answer(FailureClass::Unexpected, format!("this provider has no way to {what}"));
    Box::pin(std::future::ready(Err(failure)))
}

/// What is to be stored.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The ID to store it under, where the client names media.
    pub id: Option<MediaId>,
    /// The file's base name, as it is on disk; the provider makes it harmless where it sends it.
    pub file_name: String,
    /// The type, by the provider's own name for it.
    pub content_type: MediaType,
    /// The Cache-Control to store, where the provider stores one.
    pub cache_control: Option<String>,
    /// The bytes.
    pub body: Bytes,
    /// How long the whole request may take.
    pub time_limit: Duration,
}

/// A confirmed upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The ID that it is stored under.
    pub id: MediaId,
    /// Where it is.
    pub url: String,
    /// When it ends, where the provider says so.
    pub expires_at: Option<Timestamp>,
    /// The provider's own idea of the time.
    pub server_date: Option<Timestamp>,
}

/// Where a list goes on; means something to the provider that made it only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The media on it.
    pub media: Vec<Found>,
    /// Where the list goes on; `None` on the last page.
    pub next: Option<Cursor>,
}

/// A media that a provider says it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its ID.
    pub id: MediaId,
    /// Its size in bytes, where the provider tells.
    pub size: Option<u64>,
    /// Where it is, where the provider tells.
    pub url: Option<String>,
}
