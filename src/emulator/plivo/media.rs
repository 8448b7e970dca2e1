//! Media: upload, look up one, and the bytes at the media host.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::clock::with_fraction;
use super::super::exchange::{Incoming, Surroundings, with_body};
use super::super::record::Content;
use super::super::shelf::end_of_life;
use super::super::switches::{ObjectOrder, PlivoSwitches, Refusal, UrlField};
use super::form::{File, Form};
use super::{MEDIA_HOST_PATH, Plivo, replies, types};
use crate::domain::time::Timestamp;

/// A place on the shelf: an account's media in the order of their uploads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) account: Arc<str>,
    pub(super) number: u64,
}

/// A stored media.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) id: String,
    pub(super) file_name: String,
    pub(super) content: Content,
    pub(super) stored_at: Timestamp,
    /// The same moment as replies write it.
    pub(super) upload_time: String,
}

/// The URL of a media's bytes.
pub(super) fn url(account: &str, id: &str, prefix: &str) -> String {
    format!("{prefix}/Account/{account}/Media/{id}")
}

/// What media URLs begin with.
pub(super) fn url_prefix(switches: &PlivoSwitches, around: &Surroundings<'_>) -> String {
    switches.media_url_prefix.clone().unwrap_or_else(|| format!("{}{MEDIA_HOST_PATH}", around.origin))
}

/// A media as replies show it.
pub(super) fn object(
    account: &str,
    media: &Media,
    switches: &PlivoSwitches,
    around: &Surroundings<'_>,
) -> Map<String, Value> {
    let url_field = match switches.url_field {
        UrlField::MediaUrl => "media_url",
        UrlField::Url => "url",
    };
    Map::from_iter([
        ("content_type".to_owned(), json!(media.content.mime)),
        ("file_name".to_owned(), json!(media.file_name)),
        ("media_id".to_owned(), json!(media.id)),
        ("size".to_owned(), json!(media.content.bytes.len())),
        ("upload_time".to_owned(), json!(media.upload_time)),
        (url_field.to_owned(), json!(url(account, &media.id, &url_prefix(switches, around)))),
    ])
}

/// Why a file is refused: a status and a text.
type FileRefusal = (StatusCode, &'static str);

fn refuse_file(file: &File, switches: &PlivoSwitches) -> Option<FileRefusal> {
    if u64::try_from(file.content.bytes.len()).unwrap_or(u64::MAX) > switches.max_bytes {
        return Some((StatusCode::PAYLOAD_TOO_LARGE, "file size exceeds the limit"));
    }
    if !types::accepted(&file.content.mime, switches.types) {
        return Some((StatusCode::BAD_REQUEST, "file type is not supported"));
    }
    None
}

impl Plivo {
    pub(super) fn upload(
        &mut self,
        account: &str,
        form: Option<Form>,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        let Some(Form::Files(files)) = form else {
            return replies::bad_request("the body is not multipart/form-data");
        };
        if files.is_empty() {
            return replies::bad_request("no file was sent");
        }
        if files.len() > switches.max_files {
            return replies::bad_request(&format!(
                "at most {} files can be uploaded at once",
                switches.max_files
            ));
        }
        if switches.refusal == Refusal::WholeRequest
            && let Some((status, text)) = files.iter().find_map(|file| refuse_file(file, switches))
        {
            return replies::error(status, text);
        }
        let take = |file| self.take(account, file, switches, around);
        let mut objects: Vec<Value> = files.into_iter().map(take).collect();
        if switches.object_order == ObjectOrder::Shuffled {
            objects.reverse();
        }
        // The switches hold a success only.
        let status = StatusCode::from_u16(switches.upload_status).unwrap_or(StatusCode::OK);
        replies::ok(status, json!({"objects": objects}))
    }

    /// Stores a file, or says within a success why not. The field names of a failure are those of plivo-go; its
    /// values are our guess.
    fn take(
        &mut self,
        account: &str,
        file: File,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Value {
        if let Some((status, text)) = refuse_file(&file, switches) {
            let status = status.as_u16();
            return json!({"file_name": file.name, "status": "failed", "status_code": status,
                          "error_message": text, "error_code": status});
        }
        let media = self.new_media(file, around.now);
        let mut object = object(account, &media, switches, around);
        object.insert("status".to_owned(), json!("success"));
        object.insert("status_code".to_owned(), json!(201));
        let sweep = switches.sweep_every.unwrap_or(switches.retention);
        let expires_at = end_of_life(around.now, switches.retention, switches.removal, sweep.0);
        let key = Key { account: account.into(), number: self.uploads };
        self.keys.insert(media.id.clone(), key.clone());
        self.media.put(key, media, expires_at);
        Value::Object(object)
    }

    fn new_media(&mut self, file: File, now: Timestamp) -> Media {
        self.uploads += 1;
        // Samples show both 6 and 9 digits in one reply.
        let digits = if self.uploads.is_multiple_of(2) { 9 } else { 6 };
        Media {
            id: Uuid::new_v4().to_string(),
            file_name: file.name,
            content: file.content,
            stored_at: now,
            upload_time: with_fraction(now, digits, self.uploads * 1_009, "Z"),
        }
    }

    pub(super) fn get(
        &self,
        account: &str,
        id: &str,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        match self.find(account, id) {
            Some(media) => {
                replies::ok(StatusCode::OK, Value::Object(object(account, media, switches, around)))
            }
            None => replies::not_found(switches.not_found_body),
        }
    }

    /// An account's media by its ID.
    pub(super) fn find(&self, account: &str, id: &str) -> Option<&Media> {
        let key = self.keys.get(id).filter(|key| *key.account == *account)?;
        self.media.get(key).map(|item| &item.value)
    }

    /// What a message with this URL would send.
    pub(in super::super) fn sent(&self, url: &str, origin: &str) -> Option<Content> {
        let path = url.strip_prefix(origin)?.strip_prefix(MEDIA_HOST_PATH)?;
        let (account, id) = self.hosted(path)?;
        self.find(account, id).map(|media| media.content.clone())
    }

    /// The account and the ID that a path at the media host names: an account's media, or one that a message used.
    fn hosted<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let segments: Vec<&str> = path.strip_prefix("/Account/")?.split('/').collect();
        match segments[..] {
            [account, "Media", id] => Some((account, id)),
            [account, "Message", message, "Media", id] if self.messages.used(account, message, id) => {
                Some((account, id))
            }
            _ => None,
        }
    }

    /// Answers at the media host. `path` is what follows it; `user` is who asks, if that is known.
    pub(super) fn serve_bytes(
        &self,
        path: &str,
        user: Option<&str>,
        incoming: &Incoming<'_>,
        switches: &PlivoSwitches,
    ) -> Response {
        if !matches!(incoming.method(), "GET" | "HEAD") {
            return replies::method_not_allowed("GET");
        }
        let Some((account, id)) = self.hosted(path) else {
            return replies::not_found(switches.not_found_body);
        };
        if switches.media_host_auth && user != Some(account) {
            return replies::unauthorized(switches.unauthorized_body);
        }
        match self.find(account, id) {
            Some(media) => with_body(StatusCode::OK, &media.content.mime, media.content.bytes.clone()),
            None => replies::not_found(switches.not_found_body),
        }
    }
}
