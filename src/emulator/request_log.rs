//! What was asked: the last requests with their answers, without secrets, and how many there ever were.

use std::collections::VecDeque;

use axum::http::{HeaderMap, HeaderName, header};
use serde::Serialize;

use super::options::ProviderKind;
use crate::domain::asset::ContentHash;
use crate::domain::time::Timestamp;

/// A request and what became of it. It enters the log when its head has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// Its number, from 1.
    pub number: u64,
    /// When it arrived, by the virtual clock.
    pub at: Timestamp,
    /// Whose path it asked for, if anybody's.
    pub provider: Option<ProviderKind>,
    /// The method.
    pub method: String,
    /// The path as it was sent, with its query.
    pub path: String,
    /// The headers, names in lower case; a secret's value reads `(hidden)`.
    pub headers: Vec<(String, String)>,
    /// The size of the body in bytes, if it was read to its end.
    pub body_length: Option<u64>,
    /// The hash of that body.
    pub blake3: Option<ContentHash>,
    /// The fault that was played, if any.
    pub fault: Option<&'static str>,
    /// The status of the answer; absent while there is none, and where the connection was cut instead.
    pub status: Option<u16>,
}

/// The bounded log.
#[derive(Debug)]
pub(super) struct RequestLog {
    capacity: usize,
    total: u64,
    kept: VecDeque<RequestRecord>,
}

impl RequestLog {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, total: 0, kept: VecDeque::new() }
    }

    /// Enters a request and gives it its number.
    pub(super) fn enter(&mut self, mut record: RequestRecord) -> u64 {
        self.total += 1;
        record.number = self.total;
        if self.capacity > 0 {
            if self.kept.len() >= self.capacity {
                self.kept.pop_front();
            }
            self.kept.push_back(record);
        }
        self.total
    }

    /// The entry of that number, if it is still kept.
    pub(super) fn entry(&mut self, number: u64) -> Option<&mut RequestRecord> {
        let first = self.kept.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.kept.get_mut(index)
    }

    /// Forgets the requests; their numbers go on.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn kept(&self) -> Vec<RequestRecord> {
        self.kept.iter().cloned().collect()
    }
}

const SECRET: [HeaderName; 4] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE];
const VALUE_BYTES_MAX: usize = 512;

/// The headers as the log shows them.
pub(super) fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), shown_value(name, value.as_bytes()))).collect()
}

fn shown_value(name: &HeaderName, value: &[u8]) -> String {
    if SECRET.contains(name) {
        return "(hidden)".to_owned();
    }
    String::from_utf8_lossy(&value[..value.len().min(VALUE_BYTES_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> RequestRecord {
        RequestRecord {
            number: 0,
            at: Timestamp::default(),
            provider: None,
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body_length: None,
            blake3: None,
            fault: None,
            status: None,
        }
    }

    #[test]
    fn the_log_keeps_the_last_and_counts_all() {
        let mut log = RequestLog::new(2);
        let numbers: Vec<u64> = ["a", "b", "c"].into_iter().map(|path| log.enter(record(path))).collect();
        assert_eq!((numbers, log.total()), (vec![1, 2, 3], 3));
        let paths: Vec<String> = log.kept().into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, ["b", "c"]);
        assert!(log.entry(1).is_none());
        assert_eq!(log.entry(3).unwrap().path, "c");
        log.clear();
        assert_eq!((log.kept().len(), log.enter(record("d"))), (0, 4));
        assert_eq!(log.entry(4).unwrap().path, "d");
        assert!(log.entry(5).is_none());
    }

    #[test]
    fn secrets_are_hidden() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Basic c2VjcmV0".parse().unwrap());
        headers.insert(header::COOKIE, "session=secret".parse().unwrap());
        headers.insert(header::ACCEPT, "*/*".parse().unwrap());
        let text = format!("{:?}", shown(&headers));
        assert!(text.contains("*/*") && text.contains("authorization"), "{text}");
        assert!(!text.contains("secret") && !text.contains("c2VjcmV0"), "{text}");
    }
}
