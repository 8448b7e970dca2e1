//! The approval of a guarded retirement, as a file in the state folder. Whoever approves writes it without the
//! folder's lock; whoever runs next reads it, and consumes it when it is used or when nothing needs it any more.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic_file::{self, Durability};
use super::own_file;
use crate::domain::approval::Approval;
use crate::domain::asset::{EntryKey, ProviderName, RelPath};
use crate::domain::time::Timestamp;

/// Writes an approval, in the place of any older one.
///
/// # Errors
/// What the system said.
pub fn write(state_folder: &Path, approval: &Approval) -> io::Result<()> {
    let entries =
        approval.entries.iter().map(|key| Entry { path: key.path.clone(), provider: key.provider.clone() });
    let file = ApprovalFile {
        format: FORMAT,
        digest: approval.digest(),
        entries: entries.collect(),
        approved_at: approval.approved_at,
    };
    atomic_file::replace_json(&path_in(state_folder), &file, Durability::Durable)
}

/// The approval that waits to be consumed, if any. One that is damaged or was edited approves nothing: its digest
/// does not match its entries.
///
/// # Errors
/// What the system said.
pub fn read(state_folder: &Path) -> io::Result<Option<Approval>> {
    let Some(text) = own_file::read(&path_in(state_folder), BYTES_MAX)? else { return Ok(None) };
    let Ok(file) = serde_json::from_slice::<ApprovalFile>(&text) else { return Ok(None) };
    let entries = file.entries.into_iter().map(|Entry { path, provider }| EntryKey { path, provider });
    let approval = Approval::new(entries, file.approved_at);
    Ok((file.format == FORMAT && approval.digest() == file.digest).then_some(approval))
}

/// Removes the approval, so that it counts once. It is no error where there is none.
///
/// # Errors
/// What the system said: the approval may then count again.
pub fn consume(state_folder: &Path) -> io::Result<()> {
    atomic_file::remove(&path_in(state_folder), Durability::Durable)
}

fn path_in(state_folder: &Path) -> PathBuf {
    state_folder.join("approval.json")
}

const FORMAT: u64 = 1;

/// Far more than the entries of any guard that a person can have looked at.
const BYTES_MAX: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct ApprovalFile {
    format: u64,
    digest: String,
    entries: Vec<Entry>,
    approved_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    path: RelPath,
    provider: ProviderName,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::state_format::testing::{at, key};

    fn approval() -> Approval {
        Approval::new([key("b.png", "plivo"), key("a.png", "bandwidth")], at("2026-11-21T16:00:00Z"))
    }

    #[expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]
    fn damage(folder: &Path, text: impl AsRef<[u8]>) {
        std::fs::write(path_in(folder), text).unwrap();
    }

    #[test]
    fn an_approval_comes_back_until_it_is_consumed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        write(folder.path(), &approval()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(approval()));
        consume(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        consume(folder.path()).unwrap();
    }

    #[test]
    fn the_file_names_the_entries_sorted() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &approval()).unwrap();
        let text = std::fs::read_to_string(path_in(folder.path())).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["format"], 1);
        assert_eq!(value["digest"], approval().digest());
        assert_eq!(value["approved_at"], "2026-11-21T16:00:00Z");
        assert_eq!(value["entries"][0]["path"], "a.png");
        assert_eq!(value["entries"][1]["provider"], "plivo");
    }

    #[test]
    fn a_damaged_or_edited_approval_approves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &approval()).unwrap();
        let text = std::fs::read_to_string(path_in(folder.path())).unwrap();
        for edited in [
            text.replace("a.png", "c.png"),
            text.replace("\"format\": 1", "\"format\": 2"),
            text.replace("plivo", "bandwidth"),
            text[..text.len() / 2].to_owned(),
            String::new(),
        ] {
            damage(folder.path(), &edited);
            assert_eq!(read(folder.path()).unwrap(), None, "{edited}");
        }
    }
}
