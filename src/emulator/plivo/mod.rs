//! Plivo v1: account media and what of messages touches them, under `/v1`, and the host that media URLs point at,
//! under `/media-host`.

mod form;
mod list;
mod media;
mod message;
mod replies;
mod types;

use std::collections::HashMap;

use axum::http::request::Parts;
use axum::response::Response;

pub(super) use self::form::Form;
use self::media::{Key, Media};
use self::message::Messages;
pub(super) use self::replies::too_large;
use super::exchange::{Credentials, Incoming, Reply, Surroundings, come_back};
use super::options::ProviderKind;
use super::rate::RateMeter;
use super::record::{Graveyard, MediaRecord};
use super::shelf::{Item, Shelf};
use super::switches::PlivoSwitches;
use crate::domain::time::Timestamp;

/// Where the media host is: a host of its own there, a folder here.
pub(super) const MEDIA_HOST_PATH: &str = "/media-host";

/// Everything that this provider knows.
#[derive(Debug)]
pub(super) struct Plivo {
    media: Shelf<Key, Media>,
    /// Where each media ID is on the shelf.
    keys: HashMap<String, Key>,
    messages: Messages,
    meter: RateMeter,
    graves: Graveyard,
    /// How many media there ever were: orders them, and makes up the digits of their times.
    uploads: u64,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Collection,
    One(&'a str),
    Messages,
    UsedCollection(&'a str),
    UsedOne(&'a str, &'a str),
}

impl<'a> Route<'a> {
    /// Reads the account and what is asked of it; a closing slash may be left out unless it is required.
    fn of(path: &'a str, slash_required: bool) -> Option<(&'a str, Self)> {
        let rest = path.strip_prefix("/v1/Account/")?;
        let (rest, closed) = rest.strip_suffix('/').map_or((rest, false), |rest| (rest, true));
        if slash_required && !closed {
            return None;
        }
        let segments: Vec<&str> = rest.split('/').collect();
        let (account, segments) = segments.split_first()?;
        let route = Self::of_segments(segments)?;
        (!account.is_empty()).then_some((*account, route))
    }

    fn of_segments(segments: &[&'a str]) -> Option<Self> {
        match *segments {
            ["Media"] => Some(Self::Collection),
            ["Media", id] if !id.is_empty() => Some(Self::One(id)),
            ["Message"] => Some(Self::Messages),
            ["Message", message, "Media"] => Some(Self::UsedCollection(message)),
            ["Message", message, "Media", id] if !id.is_empty() => Some(Self::UsedOne(message, id)),
            _ => None,
        }
    }
}

impl Plivo {
    pub(super) fn new() -> Self {
        Self {
            media: Shelf::new(),
            keys: HashMap::new(),
            messages: Messages::default(),
            meter: RateMeter::default(),
            graves: Graveyard::default(),
            uploads: 0,
        }
    }

    /// Whether a path is this provider's.
    pub(super) fn owns(path: &str) -> bool {
        path == "/v1" || path.starts_with("/v1/") || path.starts_with("/media-host/")
    }

    /// Whether a request carries files.
    pub(super) fn takes_form(head: &Parts) -> bool {
        let route = Route::of(head.uri.path(), false);
        head.method == axum::http::Method::POST && matches!(route, Some((_, Route::Collection)))
    }

    /// What can be said before the body is read: the reply to a request without valid credentials.
    pub(super) fn refuse(
        head: &Parts,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Option<Response> {
        let open = head.uri.path().starts_with(MEDIA_HOST_PATH) && !switches.media_host_auth;
        if open || user_of(head, switches, around).is_some() {
            return None;
        }
        Some(replies::unauthorized(switches.unauthorized_body))
    }

    /// Answers a request that [`refuse`](Self::refuse) had nothing against.
    pub(super) fn answer(
        &mut self,
        incoming: &Incoming<'_>,
        form: Option<Form>,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Reply {
        let user = user_of(incoming.head, switches, around);
        if let Some(path) = incoming.path().strip_prefix(MEDIA_HOST_PATH) {
            return self.serve_bytes(path, user.as_deref(), incoming, switches).into();
        }
        let Some((account, route)) = Route::of(incoming.path(), switches.slash_required) else {
            return replies::not_found(switches.not_found_body).into();
        };
        if user.as_deref() != Some(account) {
            return replies::wrong_account(switches).into();
        }
        if let Some(refusal) = self.refuse_rate(account, switches, around.now) {
            return refusal.into();
        }
        match (incoming.method(), route) {
            ("POST", Route::Collection) => self.upload(account, form, switches, around).into(),
            ("GET" | "HEAD", Route::Collection) => self.list(account, incoming, switches, around).into(),
            ("GET" | "HEAD", Route::One(id)) => self.get(account, id, switches, around).into(),
            ("POST", Route::Messages) => self.send_message(account, incoming, switches, around).into(),
            ("GET" | "HEAD", Route::UsedCollection(message)) => {
                self.list_used(account, message, switches, around).into()
            }
            ("GET" | "HEAD", Route::UsedOne(message, id)) => {
                self.get_used(account, message, id, switches, around).into()
            }
            (_, Route::Collection) => replies::method_not_allowed("GET, POST").into(),
            (_, Route::Messages) => replies::method_not_allowed("POST").into(),
            _ => replies::method_not_allowed("GET").into(),
        }
    }

    fn refuse_rate(&mut self, account: &str, switches: &PlivoSwitches, now: Timestamp) -> Option<Response> {
        let wait = self.meter.count(account, switches.rate_limit?, now).err()?;
        let mut response = replies::too_many_requests();
        come_back(&mut response, switches.rate_header, now, wait);
        Some(response)
    }

    /// Drops what has ended.
    pub(super) fn sweep(&mut self, now: Timestamp, origin: &str) {
        for (key, item) in self.media.sweep(now) {
            self.bury(&key, &item, origin);
        }
    }

    /// Takes a media away before its time; whether it was there.
    pub(super) fn lose(&mut self, account: &str, id: &str, origin: &str) -> bool {
        let Some(key) = self.keys.get(id).filter(|key| *key.account == *account).cloned() else {
            return false;
        };
        let lost = self.media.remove(&key);
        lost.map(|item| self.bury(&key, &item, origin)).is_some()
    }

    fn bury(&mut self, key: &Key, item: &Item<Media>, origin: &str) {
        self.keys.remove(&item.value.id);
        self.graves.bury(record(key, item, origin));
    }

    /// Everything that is stored, after the last of what was.
    pub(super) fn records(&self, origin: &str) -> Vec<MediaRecord> {
        let alive = self.media.iter().map(|(key, item)| record(key, item, origin));
        self.graves.iter().cloned().chain(alive).collect()
    }
}

/// The account that valid credentials belong to: 20 characters, a main account's or a subaccount's.
fn user_of(head: &Parts, switches: &PlivoSwitches, around: &Surroundings<'_>) -> Option<String> {
    let Credentials::Basic { user, password } = Credentials::of(head) else { return None };
    let shaped = user.len() == 20
        && (user.starts_with("MA") || user.starts_with("SA"))
        && user.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let exists = switches.auth_ids.as_ref().is_none_or(|ids| ids.contains(&user));
    (shaped && exists && password == around.password).then_some(user)
}

fn record(key: &Key, item: &Item<Media>, origin: &str) -> MediaRecord {
    let media = &item.value;
    MediaRecord {
        provider: ProviderKind::Plivo,
        account: key.account.to_string(),
        id: media.id.clone(),
        file_name: Some(media.file_name.clone()),
        url: media::url(&key.account, &media.id, &format!("{origin}{MEDIA_HOST_PATH}")),
        size: media.content.bytes.len(),
        content_type: media.content.mime.clone(),
        blake3: media.content.hash,
        stored_at: media.stored_at,
        expires_at: item.expires_at,
        alive: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_slash_is_optional_unless_required() {
        for (path, expected) in [
            ("/v1/Account/MA1/Media/", Some(("MA1", Route::Collection))),
            ("/v1/Account/MA1/Media/x/", Some(("MA1", Route::One("x")))),
            ("/v1/Account/MA1/Message/", Some(("MA1", Route::Messages))),
            ("/v1/Account/MA1/Message/u/Media/", Some(("MA1", Route::UsedCollection("u")))),
            ("/v1/Account/MA1/Message/u/Media/x/", Some(("MA1", Route::UsedOne("u", "x")))),
            ("/v1/Account/MA1/Media//", None),
            ("/v1/Account//Media/", None),
            ("/v1/Account/MA1/Media/x/y/", None),
            ("/v1/Account/", None),
            ("/v2/Account/MA1/Media/", None),
        ] {
            assert_eq!(Route::of(path, true), expected, "{path}");
            if expected.is_some() {
                let open = path.trim_end_matches('/');
                assert_eq!((Route::of(open, false), Route::of(open, true)), (expected, None), "{open}");
            }
        }
    }
}
