//! What a hook is told, as JSON: the same on a program's standard input and in a webhook's body.

use std::time::Duration;

use serde::Serialize;

use crate::domain::asset::{ContentHash, EntryKey, ProviderName, RelPath};
use crate::domain::notice::{Batch, Change, Matter, News, Published, Subject, Topic};
use crate::domain::time::Timestamp;

/// The payload of one run.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// What it tells of.
    pub topic: Topic,
    /// How many news are in it.
    pub count: usize,
    /// The JSON, one line.
    pub line: Vec<u8>,
}

/// The number of the format: fields are added without changing it.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize)]
struct Body<'a> {
    format: u32,
    event: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
    sent_at: Timestamp,
    host: &'a str,
    entries: Vec<Entry<'a>>,
    accounts: Vec<Account<'a>>,
    system: Vec<System<'a>>,
    /// How many news follow in the next run.
    more: usize,
}

/// An entry, with the state file's field names.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    file: &'a RelPath,
    provider: &'a ProviderName,
    url: Option<&'a str>,
    blake3: Option<ContentHash>,
    expires_at: Option<Timestamp>,
    #[serde(flatten)]
    told: Told<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Change { previous_url: Option<&'a str>, reason: &'static str },
    Matter(Words<'a>),
}

/// What is wrong, or was.
#[derive(Debug, Serialize)]
struct Words<'a> {
    class: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Account<'a> {
    provider: &'a ProviderName,
    #[serde(flatten)]
    words: Words<'a>,
}

#[derive(Debug, Serialize)]
struct System<'a> {
    subject: &'static str,
    #[serde(flatten)]
    words: Words<'a>,
}

impl<'a> Words<'a> {
    fn of(matter: &'a Matter) -> Self {
        Self { class: &matter.class, detail: &matter.detail, over: matter.over.map(Topic::as_str) }
    }
}

impl<'a> Entry<'a> {
    fn of(key: &'a EntryKey, news: &'a News) -> Self {
        let (published, told) = match news {
            News::Change(change) => {
                let previous_url = change.was.as_ref().map(|was| &*was.url);
                (change.is.as_ref(), Told::Change { previous_url, reason: change.reason() })
            }
            News::Matter(matter) => (matter.published.as_ref(), Told::Matter(Words::of(matter))),
        };
        Self {
            file: &key.path,
            provider: &key.provider,
            url: published.map(|published| &*published.url),
            blake3: published.map(|published| published.hash),
            expires_at: published.map(|published| published.expires_at),
            told,
        }
    }
}

/// The payload of a batch; `test`: nothing of it is true.
pub(crate) fn payload(topic: Topic, batch: &Batch, sent_at: Timestamp, host: &str, test: bool) -> Payload {
    let (event, sent_at) = (topic.as_str(), sent_at.floor_to_second());
    let (entries, accounts, system) = (Vec::new(), Vec::new(), Vec::new());
    let mut body =
        Body { format: FORMAT, event, test, sent_at, host, entries, accounts, system, more: batch.more };
    for (subject, news) in &batch.news {
        match (subject, news) {
            (Subject::Entry(key), news) => body.entries.push(Entry::of(key, news)),
            (Subject::Account(provider), News::Matter(matter)) => {
                body.accounts.push(Account { provider, words: Words::of(matter) });
            }
            (Subject::System(subject), News::Matter(matter)) => {
                body.system.push(System { subject, words: Words::of(matter) });
            }
            (Subject::Account(_) | Subject::System(_), News::Change(_)) => {}
        }
    }
    let mut line = serde_json::to_vec(&body).expect("texts and numbers are always JSON");
    line.push(b'\n');
    Payload { topic, count: batch.news.len(), line }
}

/// Something to try a hook with.
pub(crate) fn sample(topic: Topic, now: Timestamp, host: &str) -> Payload {
    let key = EntryKey {
        path: RelPath::new("example/test.png").expect("a plain path"),
        provider: ProviderName::new("example").expect("a plain name"),
    };
    let url = |name: &str| format!("https://media.example/{name}.png").into_boxed_str();
    // As in a state file: in whole seconds, and a while ahead.
    let expires_at = (now + Duration::from_secs(86_400)).floor_to_second();
    let published = |name: &str| Published { url: url(name), hash: ContentHash::of(b"test"), expires_at };
    let matter = |over, class: &'static str| {
        let detail = "a test: nothing has happened".into();
        News::Matter(Matter { over, class: class.into(), detail, published: Some(published("new")) })
    };
    let news = match topic {
        Topic::Change => {
            let (was, is) = (Some(published("old")), Some(published("new")));
            News::Change(Change { was, is, ended: false })
        }
        Topic::Risk => matter(None, "at-risk"),
        Topic::Failure => matter(None, "unavailable"),
        Topic::Recover => matter(Some(Topic::Failure), "unavailable"),
    };
    payload(topic, &Batch { news: vec![(Subject::Entry(key), news)], more: 0 }, now, host, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(payload: &Payload) -> Value {
        let text = str::from_utf8(&payload.line).unwrap();
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
        serde_json::from_str(text).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_500)
    }

    #[test]
    fn a_change_tells_the_url_before_and_after() {
        let payload = sample(Topic::Change, now(), "here");
        assert_eq!(
            parsed(&payload),
            json!({
                "format": 1, "event": "change", "test": true, "sent_at": "2023-11-14T22:13:20Z", "host": "here",
                "entries": [{
                    "file": "example/test.png", "provider": "example",
                    "url": "https://media.example/new.png", "previous_url": "https://media.example/old.png",
                    "blake3": ContentHash::of(b"test").to_string(), "expires_at": "2023-11-15T22:13:20Z",
                    "reason": "renewed",
                }],
                "accounts": [], "system": [], "more": 0,
            })
        );
        assert_eq!(payload.count, 1);
    }

    #[test]
    fn matters_are_told_by_whom_they_are_about() {
        let matter = |over, class: &'static str| {
            News::Matter(Matter { over, class: class.into(), detail: "a \"b\"\n".into(), published: None })
        };
        let plivo = ProviderName::new("plivo").unwrap();
        let news = vec![
            (Subject::Account(plivo), matter(Some(Topic::Failure), "throttled")),
            (Subject::System("guard"), matter(Some(Topic::Risk), "guard")),
        ];
        let body = parsed(&payload(Topic::Recover, &Batch { news, more: 7 }, now(), "here", false));
        assert_eq!(body["test"], Value::Null);
        assert_eq!(body["entries"], json!([]));
        assert_eq!(
            body["accounts"],
            json!([{"provider": "plivo", "class": "throttled", "detail": "a \"b\"\n", "over": "failure"}])
        );
        assert_eq!(
            body["system"],
            json!([{"subject": "guard", "class": "guard", "detail": "a \"b\"\n", "over": "risk"}])
        );
        assert_eq!(body["more"], 7);
    }
}
