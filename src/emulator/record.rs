//! What is stored, as the control API shows it.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;

use super::options::ProviderKind;
use crate::domain::asset::ContentHash;
use crate::domain::time::Timestamp;

/// The content of a media, and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) hash: ContentHash,
    pub(super) mime: String,
}

/// A media that a provider holds, or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaRecord {
    /// Where it is.
    pub provider: ProviderKind,
    /// Whose it is.
    pub account: String,
    /// Its ID, decoded.
    pub id: String,
    /// Its name as the client sent it, where that is not the ID.
    pub file_name: Option<String>,
    /// Its URL.
    pub url: String,
    /// Its size in bytes.
    pub size: usize,
    /// Its type.
    pub content_type: String,
    /// The hash of its bytes.
    pub blake3: ContentHash,
    /// When its present life began.
    pub stored_at: Timestamp,
    /// When that life ends, or would have ended.
    pub expires_at: Timestamp,
    /// Whether it is still there.
    pub alive: bool,
}

/// The last media that are gone, without their bytes.
#[derive(Debug, Default)]
pub(super) struct Graveyard(VecDeque<MediaRecord>);

const GRAVES_MAX: usize = 10_000;

impl Graveyard {
    pub(super) fn bury(&mut self, mut record: MediaRecord) {
        record.alive = false;
        if self.0.len() >= GRAVES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &MediaRecord> {
        self.0.iter()
    }
}
