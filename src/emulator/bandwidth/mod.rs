//! Bandwidth Messaging v2: media under `/api/v2`, tokens under `/api/v1/oauth2/token`.
//!
//! A media ID is everything after `media/`, so paths are taken apart by hand: no router may decode them first.

mod auth;
mod list;
mod media;
mod replies;
mod types;

use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;

use self::auth::Tokens;
pub(super) use self::media::Seed;
use self::media::{Key, Media};
pub(super) use self::replies::{no_such_path, too_large};
use super::exchange::{Incoming, Reply, Surroundings, come_back};
use super::options::ProviderKind;
use super::rate::RateMeter;
use super::record::{Content, Graveyard, MediaRecord};
use super::shelf::{Item, Shelf};
use super::switches::{BandwidthSwitches, Head, Oversize};
use crate::domain::time::Timestamp;

/// Where the token endpoint is.
pub(super) const TOKEN_PATH: &str = "/api/v1/oauth2/token";
/// Where the messaging API is.
pub(super) const BASE_PATH: &str = "/api/v2";

/// Everything that this provider knows.
#[derive(Debug)]
pub(super) struct Bandwidth {
    media: Shelf<Key, Media>,
    /// What messages still take instead of a media that was overwritten or deleted.
    cache: Shelf<Key, Content>,
    tokens: Tokens,
    meter: RateMeter,
    graves: Graveyard,
}

/// What a path asks for.
enum Route<'a> {
    Token,
    List { account: &'a str },
    Media { account: &'a str, id: &'a str },
    Unknown,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Self {
        if path == TOKEN_PATH {
            return Self::Token;
        }
        let parts = path
            .strip_prefix(BASE_PATH)
            .and_then(|rest| rest.strip_prefix("/users/"))
            .and_then(|rest| rest.split_once('/'));
        match parts {
            Some((account, "media")) if !account.is_empty() => Self::List { account },
            Some((account, rest)) if !account.is_empty() => match rest.strip_prefix("media/") {
                Some(id) if !id.is_empty() => Self::Media { account, id },
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }
}

impl Bandwidth {
    pub(super) fn new() -> Self {
        Self {
            media: Shelf::new(),
            cache: Shelf::new(),
            tokens: Tokens::default(),
            meter: RateMeter::default(),
            graves: Graveyard::default(),
        }
    }

    /// Whether a path is this provider's.
    pub(super) fn owns(path: &str) -> bool {
        path == TOKEN_PATH || path == BASE_PATH || path.starts_with("/api/v2/")
    }

    /// What can be said before the body is read: the reply to a request without valid credentials.
    pub(super) fn refuse(
        &self,
        head: &Parts,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> Option<Response> {
        if head.uri.path() == TOKEN_PATH || self.tokens.admit(head, switches, around) {
            return None;
        }
        Some(replies::unauthorized(switches.unauthorized_body))
    }

    /// How much of a body is read before the connection is reset: one byte too much.
    pub(super) fn body_reset_after(head: &Parts, switches: &BandwidthSwitches) -> Option<u64> {
        let resets = switches.oversize == Oversize::Reset && head.method == Method::PUT;
        resets.then(|| switches.max_bytes.saturating_add(1))
    }

    /// Answers a request that [`refuse`](Self::refuse) had nothing against.
    pub(super) fn answer(
        &mut self,
        incoming: &Incoming<'_>,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> Reply {
        let route = Route::of(incoming.path());
        let account = match route {
            Route::Token => return self.tokens.issue(incoming, switches, around).into(),
            Route::Unknown => return no_such_path(incoming.path(), around.now).into(),
            Route::List { account } | Route::Media { account, .. } => account,
        };
        if let Some(refusal) = self.refuse_account(account, switches, around.now) {
            return refusal.into();
        }
        match (incoming.method(), route) {
            ("GET", Route::List { account }) => self.list(account, incoming, switches, around).into(),
            ("GET", Route::Media { account, id }) => self.get(account, id, switches, around).into(),
            ("PUT", Route::Media { account, id }) => self.put(account, id, incoming, switches, around),
            ("DELETE", Route::Media { account, id }) => self.delete(account, id, switches, around).into(),
            // The server leaves the body out by itself.
            ("HEAD", Route::List { account }) if switches.head == Head::Mirror => {
                self.list(account, incoming, switches, around).into()
            }
            ("HEAD", Route::Media { account, id }) if switches.head == Head::Mirror => {
                self.get(account, id, switches, around).into()
            }
            (_, Route::List { .. }) => replies::no_such_method("GET", incoming.path(), around.now).into(),
            (_, _) => replies::no_such_method("GET, PUT, DELETE", incoming.path(), around.now).into(),
        }
    }

    fn refuse_account(
        &mut self,
        account: &str,
        switches: &BandwidthSwitches,
        now: Timestamp,
    ) -> Option<Response> {
        let exists = |accounts: &Vec<String>| accounts.iter().any(|own| own == account);
        if !switches.accounts.as_ref().is_none_or(exists) {
            return Some(replies::forbidden());
        }
        let wait = self.meter.count(account, switches.rate_limit?, now).err()?;
        let mut response = replies::too_many_requests();
        come_back(&mut response, switches.rate_header, now, wait);
        Some(response)
    }

    /// Drops what has ended.
    pub(super) fn sweep(&mut self, now: Timestamp, origin: &str) {
        self.cache.sweep(now);
        for (key, item) in self.media.sweep(now) {
            self.graves.bury(record(&key, &item, origin));
        }
    }

    /// Everything that is stored, after the last of what was.
    pub(super) fn records(&self, origin: &str) -> Vec<MediaRecord> {
        let alive = self.media.iter().map(|(key, item)| record(key, item, origin));
        self.graves.iter().cloned().chain(alive).collect()
    }
}

fn record(key: &Key, item: &Item<Media>, origin: &str) -> MediaRecord {
    let media = &item.value;
    MediaRecord {
        provider: ProviderKind::Bandwidth,
        account: key.account.to_string(),
        id: key.id.clone(),
        file_name: None,
        url: key.url(origin),
        size: media.content.bytes.len(),
        content_type: media.content.mime.clone(),
        blake3: media.content.hash,
        stored_at: media.stored_at,
        expires_at: item.expires_at,
        alive: true,
    }
}
