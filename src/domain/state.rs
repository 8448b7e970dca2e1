//! What providers have confirmed: handles, and what is known about each entry. The only facts that survive a restart.

use std::sync::Arc;

use super::asset::{ContentHash, EntryKey, MediaId, MediaType, Scope};
use super::records::Records;
use super::time::Timestamp;

/// A media that a provider confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Its name at the provider.
    pub id: MediaId,
    /// Where it is; `None` once it has lapsed.
    pub url: Option<Box<str>>,
    /// The account that it belongs to.
    pub scope: Scope,
    /// The hash of exactly the bytes that were sent.
    pub hash: ContentHash,
    /// How many bytes were sent.
    pub size: u64,
    /// The type that was sent.
    pub content_type: MediaType,
    /// The Cache-Control that was sent, if any.
    pub cache_control: Option<Arc<str>>,
    /// When the request was sent, by our wall clock, in whole seconds.
    pub uploaded_at: Timestamp,
    /// Until when it surely lives, by our wall clock, in whole seconds.
    pub expires_at: Timestamp,
    /// The same on the steady clock of this process (see [`super::time::Now`]); not part of the state file.
    pub steady_expires_at: Timestamp,
}

/// An older handle that may still be in use somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its name at the provider.
    pub id: MediaId,
    /// Where it is.
    pub url: Box<str>,
    /// The account that it belongs to.
    pub scope: Scope,
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// Until when it surely lives.
    pub expires_at: Timestamp,
}

/// Why an entry is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A word for programs: a failure class, or `blocked` and its like.
    pub kind: Box<str>,
    /// A line for people; holds no secret.
    pub detail: Box<str>,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, if ever by itself.
    pub next_try: Option<Timestamp>,
}

/// Everything that is known about one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The handle that readers are given; its `url` is `None` when it has lapsed.
    pub current: Option<Handle>,
    /// Older handles that are still alive, newest first.
    pub previous: Vec<Previous>,
    /// Why it is not as it should be.
    pub trouble: Option<Box<Trouble>>,
    /// Since when its file has been missing, while that has not been acted on.
    pub missing_since: Option<Timestamp>,
    /// Since when it is not renewed any more.
    pub retired_at: Option<Timestamp>,
}

impl Record {
    /// The handle that readers are given, if it is alive.
    #[must_use]
    pub fn live(&self) -> Option<&Handle> {
        self.current.as_ref().filter(|handle| handle.url.is_some())
    }

    /// Whether nothing is left to say: such a record is dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// All records, with their place in the history of this state folder. By default nothing, in a history without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Which history this is: a name made when the state folder was.
    pub lineage: Arc<str>,
    /// The number of the last change in it.
    pub serial: u64,
    /// Which folder root was when we last saw it sound.
    pub root: Option<super::observation::RootIdentity>,
    /// The records.
    pub records: Records,
}

/// One change as the journal keeps it: what is now known about an entry. Replaying a line twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number; one more than the one before.
    pub serial: u64,
    /// The entry.
    pub key: EntryKey,
    /// What is known now; `None` where nothing is.
    pub record: Option<Arc<Record>>,
}
