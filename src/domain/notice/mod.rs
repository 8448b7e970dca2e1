//! What people and programs are told by hooks: published URLs that changed, dangers, failures that last, and their ends.
//!
//! Pure: events and published states go in, notices come out ([`Notices`]); a [`Queue`] batches them for one hook and
//! says when it is to run. Nothing here runs anything, reads a clock or knows what a hook is made of.

mod changes;
mod episodes;
mod queue;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use episodes::{Notices, Owed, Told};
pub use queue::{Batch, Queue, Setback};

use super::asset::{ContentHash, EntryKey, ProviderName};
use super::state::Record;
use super::time::Timestamp;

/// What a notice is about; each has hooks of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A published URL, or the bytes under it, changed.
    Change,
    /// A published URL is in danger or dead, or nothing can be done about what is coming.
    Risk,
    /// Something fails, and not only for a moment.
    Failure,
    /// A risk or a failure that was told is over.
    Recover,
}

impl Topic {
    /// Every topic, in the order in which people should meet them.
    pub const ALL: [Self; 4] = [Self::Change, Self::Risk, Self::Failure, Self::Recover];

    /// The topic as payloads write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Risk => "risk",
            Self::Failure => "failure",
            Self::Recover => "recover",
        }
    }

    /// The key of its hooks in the config.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Change => "on_change",
            Self::Risk => "on_risk",
            Self::Failure => "on_failure",
            Self::Recover => "on_recover",
        }
    }
}

/// How a run of a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunResult {
    /// It was told.
    Ok,
    /// It was not, or said that it failed.
    Failed,
    /// It did not end in time, or did not answer.
    Timeout,
}

impl RunResult {
    /// Every result, in the order in which people should meet them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Failed, Self::Timeout];

    /// The result as metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
    }
}

/// Whom a notice is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A file at a provider.
    Entry(EntryKey),
    /// An account.
    Account(ProviderName),
    /// Everything at once; a word for programs, such as `guard`.
    System(&'static str),
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who wants to hear it.
    pub topic: Topic,
    /// Whom it is about.
    pub subject: Subject,
    /// What there is to say.
    pub news: News,
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Of [`Topic::Change`].
    Change(Change),
    /// Of all others.
    Matter(Matter),
}

/// What readers of the state file find of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it is.
    pub url: Box<str>,
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// Until when it lives.
    pub expires_at: Timestamp,
}

impl Published {
    fn of(record: &Record) -> Option<Self> {
        let handle = record.live()?;
        Some(Self { url: handle.url.clone()?, hash: handle.hash, expires_at: handle.expires_at })
    }

    /// Whether it is the same URL with the same bytes: a longer life is no change.
    fn is_like(&self, other: &Self) -> bool {
        self.url == other.url && self.hash == other.hash
    }
}

/// A change of what readers find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What they found when they were last told.
    pub was: Option<Published>,
    /// What they find now.
    pub is: Option<Published>,
    /// Whether the entry is gone for good, rather than for now.
    pub ended: bool,
}

impl Change {
    /// Why, in a word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match (&self.was, &self.is) {
            (_, None) if self.ended => "ended",
            (_, None) => "withdrawn",
            (None, Some(_)) => "new",
            (Some(was), Some(is)) if was.hash == is.hash => "renewed",
            (Some(_), Some(_)) => "content",
        }
    }

    /// Whether it leaves readers with what they had.
    fn is_none(&self) -> bool {
        match (&self.was, &self.is) {
            (None, None) => true,
            (Some(was), Some(is)) => was.is_like(is),
            _ => false,
        }
    }
}

/// A risk, a failure, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matter {
    /// For an end: of what.
    pub over: Option<Topic>,
    /// A word for programs.
    pub class: Cow<'static, str>,
    /// A line for people; holds no secret.
    pub detail: Box<str>,
    /// What readers find of the entry, if it is about one with a live URL.
    pub published: Option<Published>,
}
