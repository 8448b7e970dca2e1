//! Messages, as far as they touch media: an MMS prolongs the life of the media that it uses.

use std::collections::{BTreeMap, VecDeque};

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::exchange::{Incoming, Surroundings};
use super::super::switches::PlivoSwitches;
use super::media::{Media, url_prefix};
use super::{Plivo, replies};

/// The messages that used media: the last ones.
#[derive(Debug, Default)]
pub(super) struct Messages {
    by_id: BTreeMap<String, Message>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Message {
    account: String,
    media: Vec<String>,
}

const MESSAGES_MAX: usize = 10_000;

/// The most media in one message (documented).
const ATTACHMENTS_MAX: usize = 10;

impl Messages {
    fn add(&mut self, message: Message) -> String {
        if self.order.len() >= MESSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let id = Uuid::new_v4().to_string();
        self.order.push_back(id.clone());
        self.by_id.insert(id.clone(), message);
        id
    }

    fn media(&self, account: &str, message: &str) -> Option<&[String]> {
        let message = self.by_id.get(message).filter(|message| message.account == account)?;
        Some(&message.media)
    }

    /// Whether this message used this media.
    pub(super) fn used(&self, account: &str, message: &str, id: &str) -> bool {
        self.media(account, message).is_some_and(|media| media.iter().any(|own| own == id))
    }
}

/// What a request to send says, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Order {
    is_mms: bool,
    media_ids: Vec<String>,
}

impl Order {
    /// Reads JSON, or a form where `media_ids` may be repeated.
    fn read(incoming: &Incoming<'_>) -> Option<Self> {
        let content_type = incoming.header(CONTENT_TYPE).unwrap_or_default();
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return Some(Self::from_form(&incoming.body));
        }
        Self::from_json(&serde_json::from_slice(&incoming.body).ok()?)
    }

    fn from_form(body: &[u8]) -> Self {
        let mut order = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            match &*name {
                "type" => order.is_mms = value == "mms",
                "media_ids" => order.media_ids.push(value.into_owned()),
                _ => {}
            }
        }
        order
    }

    fn from_json(body: &Value) -> Option<Self> {
        let is_mms = body.as_object()?.get("type").and_then(Value::as_str) == Some("mms");
        let text = |id: &Value| id.as_str().map(str::to_owned);
        let media_ids = match &body["media_ids"] {
            Value::Null => Vec::new(),
            Value::Array(ids) => ids.iter().map(text).collect::<Option<_>>()?,
            id => vec![text(id)?],
        };
        Some(Self { is_mms, media_ids })
    }
}

impl Plivo {
    /// Takes a message. An MMS that names an unknown or expired media is refused and uses none.
    pub(super) fn send_message(
        &mut self,
        account: &str,
        incoming: &Incoming<'_>,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        let Some(mut order) = Order::read(incoming) else {
            return replies::bad_request("the body is not a message");
        };
        if !order.is_mms {
            order.media_ids.clear();
        }
        if order.media_ids.len() > ATTACHMENTS_MAX {
            return replies::bad_request("a message has at most 10 media");
        }
        if let Some(unknown) = order.media_ids.iter().find(|id| self.find(account, id).is_none()) {
            return replies::bad_request(&format!("media_id {unknown} not found"));
        }
        for id in &order.media_ids {
            self.mark_used(id, switches, around);
        }
        let message = self.messages.add(Message { account: account.to_owned(), media: order.media_ids });
        let body = json!({"message": "message(s) queued", "message_uuid": [message]});
        replies::ok(StatusCode::ACCEPTED, body)
    }

    fn mark_used(&mut self, id: &str, switches: &PlivoSwitches, around: &Surroundings<'_>) {
        let Some(key) = self.keys.get(id).cloned() else { return };
        if let Some(item) = self.media.remove(&key) {
            let expires_at = item.expires_at.max(around.now + switches.used_retention.0);
            self.media.put(key, item.value, expires_at);
        }
    }

    pub(super) fn list_used(
        &self,
        account: &str,
        message: &str,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        let Some(ids) = self.messages.media(account, message) else {
            return replies::not_found(switches.not_found_body);
        };
        let media = ids.iter().filter_map(|id| self.find(account, id));
        let show = |media| Value::Object(used_object(account, message, media, switches, around));
        let objects: Vec<Value> = media.map(show).collect();
        replies::ok(StatusCode::OK, json!({"message_uuid": message, "objects": objects}))
    }

    pub(super) fn get_used(
        &self,
        account: &str,
        message: &str,
        id: &str,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        let used = self.messages.used(account, message, id);
        match self.find(account, id).filter(|_| used) {
            Some(media) => {
                let object = used_object(account, message, media, switches, around);
                replies::ok(StatusCode::OK, Value::Object(object))
            }
            None => replies::not_found(switches.not_found_body),
        }
    }
}

/// A media as part of a message.
fn used_object(
    account: &str,
    message: &str,
    media: &Media,
    switches: &PlivoSwitches,
    around: &Surroundings<'_>,
) -> Map<String, Value> {
    let prefix = url_prefix(switches, around);
    let url = format!("{prefix}/Account/{account}/Message/{message}/Media/{}", media.id);
    Map::from_iter([
        ("content_type".to_owned(), json!(media.content.mime)),
        ("media_id".to_owned(), json!(media.id)),
        ("media_url".to_owned(), json!(url)),
        ("message_uuid".to_owned(), json!(message)),
        ("size".to_owned(), json!(media.content.bytes.len())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_ids_are_one_or_many() {
        let order =
            |is_mms, ids: &[&str]| Order { is_mms, media_ids: ids.iter().map(ToString::to_string).collect() };
        for (body, expected) in [
            (json!({"type": "mms", "media_ids": ["a", "b"]}), Some(order(true, &["a", "b"]))),
            (json!({"type": "mms", "media_ids": "a"}), Some(order(true, &["a"]))),
            (json!({"type": "sms"}), Some(order(false, &[]))),
            (json!({"media_ids": [1]}), None),
            (json!([]), None),
        ] {
            assert_eq!(Order::from_json(&body), expected, "{body}");
        }
        assert_eq!(Order::from_form(b"type=mms&media_ids=a&media_ids=b"), order(true, &["a", "b"]));
    }
}
