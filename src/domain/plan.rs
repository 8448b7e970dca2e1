//! The one place that decides what an entry needs: desired, observed and recorded in, a verdict out.
//!
//! | file on disk | recorded | verdict |
//! |---|---|---|
//! | readable | nothing | upload it: new |
//! | readable | the same content, ID, type | renew it when due; upload it now if it has lapsed |
//! | readable | other content, ID or type | upload it now, and renew the recorded content until that succeeds |
//! | anything else | nothing | blocked |
//! | anything else | some content | blocked, and the recorded content is renewed when due, from its kept copy |
//! | any | a handle of another account | upload it now; the old URL stays until that succeeds |

use std::sync::{Arc, LazyLock};

use serde::Serialize;

use super::asset::{ContentHash, EntryKey, MediaId, MediaType, RelPath, Scope};
use super::kind::{Kind, Naming};
use super::lease::{LeaseTerms, Schedule};
use super::manifest::{IdTemplate, Manifest};
use super::observation::{Observation, Refusal};
use super::renewal_id;
use super::state::{Handle, Record};
use super::time::{Now, Timestamp};

/// What should exist for an entry, now that its file's content is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its ID, where the client names media.
    pub id: Option<MediaId>,
    /// The hash of its content.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
    /// Its type, by the provider's own name.
    pub content_type: MediaType,
    /// The Cache-Control to store, where the provider stores one.
    pub cache_control: Option<Arc<str>>,
}

impl Wanted {
    /// Whether the same should exist, though perhaps under the ID of another renewal.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let bare = |wanted: &Self| Self { id: None, ..wanted.clone() };
        is_same_id(self.id.as_ref(), other.id.as_ref()) && bare(self) == bare(other)
    }

    fn of(handle: &Handle, kind: &Kind) -> Self {
        Self {
            id: (kind.capabilities.naming == Naming::Client).then(|| handle.id.clone()),
            hash: handle.hash,
            size: handle.size,
            content_type: handle.content_type.clone(),
            cache_control: handle.cache_control.clone(),
        }
    }
}

/// Why something is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It has never been uploaded.
    New,
    /// Its content is another one than what was uploaded.
    Changed,
    /// Its ID is another one than what was uploaded.
    IdChanged,
    /// Its type or Cache-Control is another one than what was uploaded.
    TypeChanged,
    /// The handle belongs to another account.
    AccountChanged,
    /// Its handle has died.
    Lapsed,
    /// Its handle ends soon enough to be renewed.
    Due,
}

impl Reason {
    /// The reason as logs and plans write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::IdChanged => "id changed",
            Self::TypeChanged => "type changed",
            Self::AccountChanged => "account changed",
            Self::Lapsed => "lapsed",
            Self::Due => "due",
        }
    }

    /// Whether the upload keeps what is published alive, rather than publishing something else.
    #[must_use]
    pub const fn is_renewal(self) -> bool {
        matches!(self, Self::Due | Self::Lapsed)
    }
}

/// Why the present file can't become an entry's content now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Nobody has looked at it yet.
    NotLookedYet,
    /// It changed a moment ago, or is changing.
    Settling,
    /// It is not there.
    Missing,
    /// It can't be read.
    Unreadable(String),
    /// It is not a media.
    Refused(Refusal),
    /// Larger than this provider takes.
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The provider's limit in bytes.
        max: u64,
    },
    /// Of a type that this provider refuses, or of no known type; says which and what to do.
    Type(String),
    /// Its ID would not be one; says why.
    Id(String),
    /// Its ID belongs to another entry with other content.
    IdTaken(RelPath),
    /// Its ID is that of another entry, which is about to move to another one.
    IdInUse(RelPath),
    /// No rule of the manifest names it any more; it is renewed until the guard lets it go.
    Leaving,
}

impl Block {
    /// A word for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotLookedYet => "not-looked-yet",
            Self::Settling => "still-changing",
            Self::Missing => "missing",
            Self::Unreadable(_) => "unreadable",
            Self::Refused(Refusal::TooLarge { .. }) | Self::TooLarge { .. } => "too-large",
            Self::Refused(Refusal::Empty) => "empty",
            Self::Refused(Refusal::LfsPointer) => "lfs-pointer",
            Self::Refused(Refusal::Directory | Refusal::Special) => "not-a-file",
            Self::Refused(Refusal::EscapingLink) => "escaping-link",
            Self::Type(_) => "type-refused",
            Self::Id(_) => "id-refused",
            Self::IdTaken(_) | Self::IdInUse(_) => "id-taken",
            Self::Leaving => "leaving",
        }
    }

    /// The reason in words, with the remedy.
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::NotLookedYet => "not looked at yet".to_owned(),
            Self::Settling => {
                "changed a moment ago, or is being written; it is read once it has been quiet for a while"
                    .to_owned()
            }
            Self::Missing => "no such file".to_owned(),
            Self::Unreadable(reason) => format!("cannot be read: {reason}"),
            Self::Refused(refusal) => refusal.explain(),
            Self::TooLarge { size, max } => {
                format!("{size} bytes, but its provider takes at most {max}; make the file smaller")
            }
            Self::Type(reason) | Self::Id(reason) => reason.clone(),
            Self::IdTaken(path) => {
                format!("its ID belongs to {path}, which has other content; give one of them another id")
            }
            Self::IdInUse(path) => {
                format!("its ID is still in use by {path}, which moves to another one first")
            }
            Self::Leaving => "no longer in the manifest or the folder, and held back by the guard".to_owned(),
        }
    }

    /// Whether it passes by itself within moments and is no trouble yet.
    #[must_use]
    pub const fn is_momentary(&self) -> bool {
        matches!(self, Self::NotLookedYet | Self::Settling | Self::IdInUse(_) | Self::Leaving)
    }
}

/// The facts about an entry's account that a verdict needs.
#[derive(Clone, Copy, Debug)]
pub struct AccountFacts<'a> {
    /// What kind of provider it is.
    pub kind: &'static Kind,
    /// The lengths of time that its retention gives.
    pub terms: &'a LeaseTerms,
    /// Which account it is; `None` while that is not known, and then it counts as unchanged.
    pub scope: Option<&'a Scope>,
}

/// What an entry needs. Each part stands for itself: blocked new content never stops a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Content to upload at once, in place of what is recorded.
    pub replacement: Option<(Reason, Wanted)>,
    /// Why the present file is not (or not yet) such a content.
    pub block: Option<Block>,
    /// The recorded content to upload again from the given moment of the steady clock on.
    pub renewal: Option<(Timestamp, Reason, Wanted)>,
    /// The moments of the recorded handle, if it is alive.
    pub schedule: Option<Schedule>,
}

/// Decides for one entry.
#[must_use]
pub fn judge(
    key: &EntryKey,
    wanted: Result<Wanted, Block>,
    record: Option<&Record>,
    account: AccountFacts<'_>,
    now: Now,
) -> Verdict {
    let Some(handle) = record.and_then(|record| record.current.as_ref()) else {
        let (replacement, block) = match wanted {
            Ok(wanted) => (Some((Reason::New, wanted)), None),
            Err(block) => (None, Some(block)),
        };
        return Verdict { replacement, block, renewal: None, schedule: None };
    };
    let schedule = handle.url.is_some().then(|| account.terms.schedule(key, handle, now));
    let recorded = Wanted::of(handle, account.kind);
    let moved = account.scope.is_some_and(|scope| *scope != handle.scope);
    let renewal = match schedule {
        _ if moved => None,
        Some(schedule) => Some((schedule.renew_at, Reason::Due, recorded.clone())),
        None => Some((now.steady, Reason::Lapsed, recorded.clone())),
    };
    let (replacement, block) = match wanted {
        Ok(wanted) => (difference(&recorded, &wanted, moved).map(|reason| (reason, wanted)), None),
        Err(block) => (moved.then_some((Reason::AccountChanged, recorded)), Some(block)),
    };
    Verdict { replacement, block, renewal, schedule }
}

fn difference(recorded: &Wanted, wanted: &Wanted, moved: bool) -> Option<Reason> {
    if moved {
        Some(Reason::AccountChanged)
    } else if recorded.hash != wanted.hash {
        Some(Reason::Changed)
    } else if !is_same_id(recorded.id.as_ref(), wanted.id.as_ref()) {
        Some(Reason::IdChanged)
    } else if recorded.content_type != wanted.content_type || recorded.cache_control != wanted.cache_control {
        Some(Reason::TypeChanged)
    } else {
        None
    }
}

/// Whether two IDs are the same, or those of renewals of the same.
#[must_use]
pub fn is_same_id(one: Option<&MediaId>, other: Option<&MediaId>) -> bool {
    let original = |id: Option<&MediaId>| id.map(|id| renewal_id::original(id).unwrap_or_else(|| id.clone()));
    one == other || original(one) == original(other)
}

/// What should exist for a file at a provider by a rule of the manifest, as far as the disk shows.
pub fn want(
    manifest: &Manifest,
    rule: usize,
    key: &EntryKey,
    kind: &Kind,
    observation: Option<&Observation>,
) -> Result<Wanted, Block> {
    let (hash, size) = match observation {
        Some(Observation::Present { hash, size }) => (*hash, *size),
        Some(Observation::Settling { .. }) => return Err(Block::Settling),
        Some(Observation::Missing) => return Err(Block::Missing),
        Some(Observation::Unreadable { reason }) => return Err(Block::Unreadable(reason.clone())),
        // Whoever looks at the file knows only that it is too large for all that want it.
        Some(Observation::Refused(Refusal::TooLarge { size })) => {
            return Err(Block::TooLarge { size: *size, max: kind.capabilities.max_bytes });
        }
        Some(Observation::Refused(refusal)) => return Err(Block::Refused(refusal.clone())),
        None => return Err(Block::NotLookedYet),
    };
    let max = kind.capabilities.max_bytes;
    if size > max {
        return Err(Block::TooLarge { size, max });
    }
    let content_type = manifest.content_type_of(&key.path, rule, kind).map_err(Block::Type)?;
    let rule = &manifest.rules[rule];
    let id = match kind.capabilities.naming {
        Naming::Client => {
            let template = rule.id.as_ref().unwrap_or(&DEFAULT_ID);
            Some(template.render(&key.path, &hash, &content_type).map_err(Block::Id)?)
        }
        Naming::Server | Naming::Alias => None,
    };
    let cache_control = rule.cache_control.clone().filter(|_| kind.capabilities.stores_cache_control);
    Ok(Wanted { id, hash, size, content_type, cache_control })
}

static DEFAULT_ID: LazyLock<IdTemplate> = LazyLock::new(IdTemplate::default_for_client_named);

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// A line for each entry that something is to be said about.
    pub items: Vec<PlanItem>,
    /// How many others need nothing.
    pub kept: usize,
}

/// One line of a plan for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanItem {
    /// The entry.
    pub key: EntryKey,
    /// What is to be done.
    pub action: Action,
    /// Why, in words.
    pub why: String,
    /// Bytes to send.
    pub bytes: u64,
    /// Requests to make.
    pub requests: u32,
    /// Until when it should be done, by the wall clock: when the published URL ends, if there is one.
    pub deadline: Option<Timestamp>,
}

/// What is to be done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Upload content that is not published yet.
    Upload,
    /// Upload published content again.
    Renew,
    /// Nothing now.
    Keep,
    /// Nothing now, and the recorded content is kept alive without its file.
    KeepAlive,
    /// Wait until the file is quiet.
    Wait,
    /// Nothing can be done until somebody mends it.
    Blocked,
    /// Stop renewing it.
    Retire,
    /// It is not renewed any more and will expire by itself.
    Retired,
}

impl Action {
    /// The action as plans and tables write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Renew => "renew",
            Self::Keep => "keep",
            Self::KeepAlive => "keep alive",
            Self::Wait => "wait",
            Self::Blocked => "blocked",
            Self::Retire => "retire",
            Self::Retired => "retired",
        }
    }

    /// Whether `sync` would do something about it.
    #[must_use]
    pub const fn is_due(self) -> bool {
        matches!(self, Self::Upload | Self::Renew | Self::Retire | Self::Wait)
    }
}
