//! One media: upload, download, delete, and what a message would take.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::exchange::{Incoming, Reply, Surroundings, decode, empty, with_body};
use super::super::record::Content;
use super::super::shelf::end_of_life;
use super::super::switches::{BandwidthSwitches, DownloadType, Oversize};
use super::{BASE_PATH, Bandwidth, record, replies, types};
use crate::domain::asset::ContentHash;
use crate::domain::time::Timestamp;

/// What a media is stored under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) account: Arc<str>,
    /// Decoded.
    pub(super) id: String,
}

/// A stored media.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) content: Content,
    pub(super) cache_control: Option<HeaderValue>,
    pub(super) stored_at: Timestamp,
}

/// A media that came with an inbound message: its name follows no rule of uploads.
pub(in super::super) struct Seed {
    pub(in super::super) account: String,
    pub(in super::super) id: String,
    pub(in super::super) content_type: String,
    pub(in super::super) bytes: Bytes,
}

const ID_ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
const ACCOUNT_ENCODED: &AsciiSet = &ID_ENCODED.add(b'/');

impl Key {
    /// Its URL: the slashes of an ID are literal.
    pub(super) fn url(&self, origin: &str) -> String {
        let account = utf8_percent_encode(&self.account, ACCOUNT_ENCODED);
        let id = utf8_percent_encode(&self.id, ID_ENCODED);
        format!("{origin}{BASE_PATH}/users/{account}/media/{id}")
    }

    /// Reads the two parts of a path.
    fn read(account: &str, id: &str, strict: bool) -> Result<Self, &'static str> {
        if strict && id.to_ascii_lowercase().contains("%2f") {
            return Err("URL-encoded characters are not supported in the path");
        }
        let decoded = decode(account).zip(decode(id));
        let (account, id) = decoded.ok_or("The path is not valid")?;
        if account.contains('/') || id.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("The media ID is not valid");
        }
        Ok(Self { account: account.into(), id })
    }

    fn has_extension(&self) -> bool {
        let name = self.id.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').is_some_and(|(stem, extension)| !stem.is_empty() && !extension.is_empty())
    }
}

impl Bandwidth {
    pub(super) fn put(
        &mut self,
        account: &str,
        id: &str,
        incoming: &Incoming<'_>,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> Reply {
        let key = match Key::read(account, id, switches.strict_slash) {
            Ok(key) => key,
            Err(why) => return replies::bad_request(why).into(),
        };
        if let Some(refusal) = refuse_upload(&key, incoming, switches) {
            return refusal;
        }
        let content = Content {
            bytes: incoming.body.clone(),
            hash: incoming.hash,
            mime: incoming.header(CONTENT_TYPE).unwrap_or_default().to_owned(),
        };
        let cache_control = incoming.head.headers.get(CACHE_CONTROL).cloned();
        self.store(key, content, cache_control, switches, around.now);
        empty(StatusCode::NO_CONTENT).into()
    }

    fn store(
        &mut self,
        key: Key,
        content: Content,
        cache_control: Option<HeaderValue>,
        switches: &BandwidthSwitches,
        now: Timestamp,
    ) {
        let sweep = switches.sweep_every.map_or(switches.retention.0 / 2, |length| length.0);
        let mut stored_at = now;
        let mut expires_at = end_of_life(now, switches.retention, switches.removal, sweep);
        if let Some(before) = self.media.remove(&key) {
            if !switches.overwrite_restarts {
                (stored_at, expires_at) = (before.value.stored_at, before.expires_at);
            }
            if before.value.content.hash != content.hash {
                self.remember(&key, before.value.content, switches, now);
            }
        }
        self.media.put(key, Media { content, cache_control, stored_at }, expires_at);
    }

    /// Keeps what was under a name for as long as messages take it from a cache.
    fn remember(&mut self, key: &Key, content: Content, switches: &BandwidthSwitches, now: Timestamp) {
        // What the cache holds already stays until its time is over, whatever comes after it.
        if !switches.stale_cache.0.is_zero() && self.cache.get(key).is_none() {
            self.cache.put(key.clone(), content, now + switches.stale_cache.0);
        }
    }

    pub(super) fn get(
        &self,
        account: &str,
        id: &str,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        let key = match Key::read(account, id, switches.strict_slash) {
            Ok(key) => key,
            Err(why) => return replies::bad_request(why),
        };
        let Some(item) = self.media.get(&key) else {
            return replies::no_such_media(switches.not_found_body, &key.url(""), around.now);
        };
        let media = &item.value;
        let mime = match switches.download_type {
            DownloadType::Stored => &media.content.mime,
            DownloadType::OctetStream => "application/octet-stream",
        };
        let mut response = with_body(StatusCode::OK, mime, media.content.bytes.clone());
        if let Some(cache_control) = &media.cache_control {
            response.headers_mut().insert(CACHE_CONTROL, cache_control.clone());
        }
        response
    }

    /// Deleting what is not there is a success too.
    pub(super) fn delete(
        &mut self,
        account: &str,
        id: &str,
        switches: &BandwidthSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        match Key::read(account, id, switches.strict_slash) {
            Ok(key) => {
                if let Some(item) = self.media.remove(&key) {
                    self.graves.bury(record(&key, &item, around.origin));
                    self.remember(&key, item.value.content, switches, around.now);
                }
                empty(StatusCode::NO_CONTENT)
            }
            Err(why) => replies::bad_request(why),
        }
    }

    /// What a message with this URL would send: the content, and whether it is not what GET shows.
    pub(in super::super) fn sent(&self, url: &str, origin: &str) -> Option<(Content, bool)> {
        let path = url.strip_prefix(origin)?.strip_prefix(BASE_PATH)?.strip_prefix("/users/")?;
        let (account, rest) = path.split_once('/')?;
        let key = Key::read(account, rest.strip_prefix("media/")?, false).ok()?;
        let stored = self.media.get(&key).map(|item| &item.value.content);
        match (self.cache.get(&key), stored) {
            (Some(cached), stored) => {
                let stale = stored.is_none_or(|content| content.hash != cached.value.hash);
                Some((cached.value.clone(), stale))
            }
            (None, stored) => stored.map(|content| (content.clone(), false)),
        }
    }

    /// Puts a media there that no upload made.
    pub(in super::super) fn seed(&mut self, seed: Seed, switches: &BandwidthSwitches, now: Timestamp) {
        let hash = ContentHash::of(&seed.bytes);
        let content = Content { bytes: seed.bytes, hash, mime: seed.content_type };
        self.store(Key { account: seed.account.into(), id: seed.id }, content, None, switches, now);
    }

    /// Takes a media away before its time; whether it was there.
    pub(in super::super) fn lose(&mut self, account: &str, id: &str, origin: &str) -> bool {
        let key = Key { account: account.into(), id: id.to_owned() };
        let lost = self.media.remove(&key);
        lost.map(|item| self.graves.bury(record(&key, &item, origin))).is_some()
    }
}

fn refuse_upload(key: &Key, incoming: &Incoming<'_>, switches: &BandwidthSwitches) -> Option<Reply> {
    let content_type = incoming.header(CONTENT_TYPE).unwrap_or_default();
    if !types::accepted(content_type) {
        return Some(replies::unsupported_type(content_type).into());
    }
    if switches.length_required && !incoming.head.headers.contains_key(CONTENT_LENGTH) {
        return Some(replies::length_required().into());
    }
    if u64::try_from(incoming.body.len()).unwrap_or(u64::MAX) > switches.max_bytes {
        return Some(match switches.oversize {
            Oversize::ContentTooLarge => replies::too_large().into(),
            Oversize::BadRequest => replies::bad_request("The media is too large").into(),
            Oversize::Reset => Reply::Reset,
        });
    }
    if switches.body_required && incoming.body.is_empty() {
        return Some(replies::bad_request("Body parameter is required").into());
    }
    if switches.extension_required && !key.has_extension() {
        return Some(replies::bad_request("The media ID needs a file extension").into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_strictly_or_leniently() {
        let read = |id: &str, strict| Key::read("9900000", id, strict).map(|key| key.id).ok();
        assert_eq!(read("a/1/b.mp3", true).as_deref(), Some("a/1/b.mp3"));
        assert_eq!(read("a%2F1%2fb.mp3", true), None);
        assert_eq!(read("a%2F1%2fb.mp3", false).as_deref(), Some("a/1/b.mp3"));
        assert_eq!(read("a%252Fb.png", true).as_deref(), Some("a%2Fb.png"));
        for bad in ["..", "a/../b.png", "%2e%2e/x.png", "a//b.png", "/a.png", "a/", "%FF.png", "100%.png"] {
            assert_eq!(read(bad, false), None, "{bad}");
        }
        assert!(Key::read("99%2F00", "a.png", false).is_err());
    }

    #[test]
    fn an_extension_is_in_the_last_segment() {
        for (id, has) in [
            ("a.png", true),
            ("a.b/c", false),
            ("a/.png", false),
            ("a/b.", false),
            ("a/b.c.d", true),
            ("logo", false),
        ] {
            let key = Key { account: "1".into(), id: id.to_owned() };
            assert_eq!(key.has_extension(), has, "{id}");
        }
    }

    #[test]
    fn a_url_encodes_all_but_slashes_and_unreserved_characters() {
        let key = Key { account: "9900000".into(), id: "a b/löwe#1%~.png".to_owned() };
        assert_eq!(key.url("http://h"), "http://h/api/v2/users/9900000/media/a%20b/l%C3%B6we%231%25~.png");
    }
}
