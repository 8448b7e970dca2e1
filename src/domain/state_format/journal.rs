//! A line of the journal: one change, whole in itself, with a seal that tells a torn or damaged line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{EntryIn, EntryOut, Shared, Text};
use super::seal::{Form, Seal};
use crate::domain::asset::{EntryKey, Invalid, RelPath};
use crate::domain::state::Change;

/// The end of a line. What it seals is the JSON object before it, without its closing brace.
const SEAL: Form = Form { before: b",\"check\":\"", after: b"\"}" };

/// A line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which history the change belongs to.
    pub lineage: Arc<str>,
    /// The change.
    pub change: Change,
}

/// Why a line can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is torn or damaged.
    #[error("torn or damaged")]
    BrokenSeal,
    /// It is as it was written, and makes no sense to this version.
    #[error("not a line of a journal that this version knows: {0}")]
    Unknown(String),
}

/// Appends a change to `text` as a line, with its newline.
///
/// # Panics
/// Never: texts and numbers can always be written into memory.
pub fn encode_line(text: &mut Vec<u8>, lineage: &str, change: &Change) {
    let start = text.len();
    let line = LineOut {
        lineage,
        serial: change.serial,
        path: change.key.path.as_str(),
        provider: change.key.provider.as_str(),
        entry: change.record.as_deref().map(EntryOut::from),
    };
    serde_json::to_writer(&mut *text, &line).expect("texts and numbers can be written into memory");
    text.pop();
    SEAL.append(text, start);
    text.push(b'\n');
}

/// Reads a line, without its newline.
///
/// # Errors
/// See [`LineError`].
pub fn decode_line(line: &[u8], shared: &mut Shared) -> Result<Line, LineError> {
    if SEAL.check(line) != Seal::Holds {
        return Err(LineError::BrokenSeal);
    }
    let line: LineIn<'_> =
        serde_json::from_slice(line).map_err(|error| LineError::Unknown(error.to_string()))?;
    line.read(shared).map_err(|error| LineError::Unknown(error.to_string()))
}

#[derive(Serialize)]
struct LineOut<'a> {
    lineage: &'a str,
    serial: u64,
    path: &'a str,
    provider: &'a str,
    entry: Option<EntryOut<'a>>,
}

#[derive(Deserialize)]
struct LineIn<'a> {
    #[serde(borrow)]
    lineage: Text<'a>,
    serial: u64,
    path: Text<'a>,
    provider: Text<'a>,
    entry: Option<EntryIn<'a>>,
}

impl LineIn<'_> {
    fn read(self, shared: &mut Shared) -> Result<Line, Invalid> {
        let path = RelPath::new(&self.path.0)?;
        let provider = shared.provider(&self.provider.0)?;
        let record = self.entry.map(|entry| entry.into_record(shared)).transpose()?.map(Arc::new);
        let change = Change { serial: self.serial, key: EntryKey { path, provider }, record };
        Ok(Line { lineage: shared.text(&self.lineage.0), change })
    }
}
