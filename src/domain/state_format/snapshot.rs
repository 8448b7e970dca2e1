//! The state file.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserializer, Serialize, Serializer};

use super::entry::{EntryIn, EntryOut, Shared, Text};
use super::seal::{Form, Seal};
use crate::domain::asset::{EntryKey, ProviderName, RelPath};
use crate::domain::observation::RootIdentity;
use crate::domain::records::Records;
use crate::domain::state::{Record, State};

/// The format that this version writes, and the only one that it reads.
pub const FORMAT: u64 = 1;

/// Who writes, as the state file says.
pub const WRITER: &str = concat!("mediakeep ", env!("CARGO_PKG_VERSION"));

/// The end of the file. It is a field like any other to other readers.
const SEAL: Form = Form { before: b",\n  \"checksum\": \"", after: b"\"\n}\n" };

/// What a pretty-printed object ends with, in whose place the seal is put.
const OBJECT_END: &[u8] = b"\n}";

/// A rough size of an entry's text, so that a large file is written into memory without growing it often.
const ENTRY_BYTES: usize = 640;

/// The state file's bytes: the same state always gives the same bytes.
///
/// # Panics
/// Never: texts and numbers can always be written into memory.
#[must_use]
pub fn encode(state: &State) -> Vec<u8> {
    let snapshot = SnapshotOut {
        format: FORMAT,
        writer: WRITER,
        lineage: &state.lineage,
        serial: state.serial,
        root: state.root,
        media: MediaOut(&state.records),
    };
    let mut text = Vec::with_capacity(1024 + state.records.len() * ENTRY_BYTES);
    serde_json::to_writer_pretty(&mut text, &snapshot).expect("texts and numbers can be written into memory");
    text.truncate(text.len() - OBJECT_END.len());
    SEAL.append(&mut text, 0);
    text
}

#[derive(Serialize)]
struct SnapshotOut<'a> {
    format: u64,
    writer: &'a str,
    lineage: &'a str,
    serial: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<RootIdentity>,
    media: MediaOut<'a>,
}

/// path -> provider -> record, out of a list that has both in its key.
struct MediaOut<'a>(&'a Records);

impl Serialize for MediaOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut rest = self.0.iter().peekable();
        while let Some((key, _)) = rest.peek() {
            let path = &key.path;
            map.serialize_entry(path, &ProvidersOut { path, rest: rest.clone() })?;
            while rest.next_if(|(key, _)| key.path == *path).is_some() {}
        }
        map.end()
    }
}

/// The leading records of `rest` that belong to `path`.
struct ProvidersOut<'a, I> {
    path: &'a RelPath,
    rest: I,
}

impl<'a, I: Iterator<Item = (&'a EntryKey, &'a Arc<Record>)> + Clone> Serialize for ProvidersOut<'a, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of_path = self.rest.clone().take_while(|(key, _)| key.path == *self.path);
        serializer.collect_map(of_path.map(|(key, record)| (&key.provider, EntryOut::from(&**record))))
    }
}

/// Why a text is not a state that we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Valid JSON, written by something else.
    #[error("not a mediakeep state file; move it away if it is not needed, or choose another state_dir")]
    NotOurs,
    /// A state in a format that this version does not know.
    #[error(
        "written by \"{writer}\" in format {format}, while {WRITER} reads format {FORMAT}; run the version that \
         wrote it or a later one"
    )]
    UnknownFormat {
        /// Who wrote it.
        writer: String,
        /// Its format.
        format: u64,
    },
    /// Cut short, not JSON, or with a value that makes no sense.
    #[error("damaged: {reason}")]
    Damaged {
        /// What is wrong, and where.
        reason: String,
    },
    /// Its checksum does not match its content.
    #[error(
        "damaged: its checksum does not match, so it was changed after it was written (after an edit by hand, \
         delete the \"checksum\" field)"
    )]
    BrokenSeal,
}

impl FormatError {
    /// Whether the text is one of ours that was damaged, so that an older one may serve in its place. The others
    /// are whole, and not ours to replace.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::BrokenSeal)
    }
}

impl From<serde_json::Error> for FormatError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged { reason: error.to_string() }
    }
}

/// A state that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The state. The steady clock's deadlines are those of the wall clock: nothing else is known yet.
    pub state: State,
    /// Whether the file carried a checksum; without one it was edited by hand, and is taken at its word.
    pub sealed: bool,
}

/// Reads a state file.
///
/// # Errors
/// See [`FormatError`].
pub fn decode(text: &[u8], shared: &mut Shared) -> Result<Decoded, FormatError> {
    let seal = SEAL.check(text);
    if seal == Seal::Broken {
        return Err(FormatError::BrokenSeal);
    }
    let text = std::str::from_utf8(text).map_err(|error| FormatError::Damaged {
        reason: format!("not UTF-8 from byte {} on", error.valid_up_to()),
    })?;
    // Whoever reformatted the file may have moved the format behind what has to be read by it.
    let mut top = read_top(text, None, shared)?;
    if seal == Seal::Absent && top.has_checksum {
        return Err(FormatError::BrokenSeal);
    }
    let format = top.format_of_ours()?;
    if top.skipped {
        top = read_top(text, Some(format), shared)?;
    }
    let state = top
        .into_state()
        .ok_or_else(|| FormatError::Damaged { reason: "lineage, serial or media is missing".to_owned() })?;
    Ok(Decoded { state, sealed: seal == Seal::Holds })
}

fn read_top(text: &str, format: Option<u64>, shared: &mut Shared) -> Result<Top, FormatError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let first = text.trim_start().as_bytes().first();
    if first.is_some_and(|byte| *byte != b'{') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return Err(FormatError::NotOurs);
    }
    let top = TopSeed { format, shared }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(top)
}

/// What the outermost object holds.
#[derive(Default)]
struct Top {
    format: Option<u64>,
    writer: Option<String>,
    lineage: Option<Arc<str>>,
    serial: Option<u64>,
    root: Option<RootIdentity>,
    records: Option<Records>,
    has_checksum: bool,
    /// Whether something was passed over because the format was not known yet, or not ours.
    skipped: bool,
}

impl Top {
    fn format_of_ours(&self) -> Result<u64, FormatError> {
        match (&self.writer, self.format) {
            (Some(writer), Some(format)) if writer.starts_with("mediakeep") => {
                if format == FORMAT {
                    Ok(format)
                } else {
                    Err(FormatError::UnknownFormat { writer: writer.clone(), format })
                }
            }
            _ => Err(FormatError::NotOurs),
        }
    }

    fn into_state(self) -> Option<State> {
        Some(State { lineage: self.lineage?, serial: self.serial?, root: self.root, records: self.records? })
    }
}

struct TopSeed<'s> {
    format: Option<u64>,
    shared: &'s mut Shared,
}

impl<'de> DeserializeSeed<'de> for TopSeed<'_> {
    type Value = Top;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Top, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopSeed<'_> {
    type Value = Top;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a mediakeep state")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
        let mut top = Top { format: self.format, ..Top::default() };
        while let Some(Text(name)) = map.next_key()? {
            let known = top.format == Some(FORMAT);
            match name.as_ref() {
                "format" => top.format = map.next_value::<serde_json::Value>()?.as_u64(),
                "writer" => top.writer = map.next_value::<serde_json::Value>()?.as_str().map(str::to_owned),
                "checksum" => {
                    map.next_value::<IgnoredAny>()?;
                    top.has_checksum = true;
                }
                "lineage" if known => {
                    let Text(lineage) = map.next_value()?;
                    top.lineage = Some(self.shared.text(&lineage));
                }
                "serial" if known => top.serial = Some(map.next_value()?),
                "root" if known => top.root = map.next_value()?,
                "media" if known => {
                    top.records = Some(map.next_value_seed(MediaSeed { shared: &mut *self.shared })?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    top.skipped |= !known;
                }
            }
        }
        Ok(top)
    }
}

struct MediaSeed<'s> {
    shared: &'s mut Shared,
}

impl<'de> DeserializeSeed<'de> for MediaSeed<'_> {
    type Value = Records;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Records, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MediaSeed<'_> {
    type Value = Records;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("entries by file and provider")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Records, A::Error> {
        let mut entries = Vec::new();
        while let Some(Text(path)) = map.next_key()? {
            let path = RelPath::new(&path).map_err(A::Error::custom)?;
            map.next_value_seed(ProvidersSeed { path, shared: &mut *self.shared, entries: &mut entries })?;
        }
        Ok(entries.into_iter().collect())
    }
}

struct ProvidersSeed<'s> {
    path: RelPath,
    shared: &'s mut Shared,
    entries: &'s mut Vec<(EntryKey, Arc<Record>)>,
}

impl<'de> DeserializeSeed<'de> for ProvidersSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ProvidersSeed<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a file's entries by provider")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(provider)) = map.next_key()? {
            let provider: ProviderName = self.shared.provider(&provider).map_err(A::Error::custom)?;
            let entry: EntryIn<'de> = map.next_value()?;
            let record = entry.into_record(self.shared).map_err(A::Error::custom)?;
            self.entries.push((EntryKey { path: self.path.clone(), provider }, Arc::new(record)));
        }
        Ok(())
    }
}
