//! What hooks told to be wrong and not yet to be over, as a file in the state folder, so that a restart does not forget
//! that their ends are owed. Where none is, there is no file. Whoever runs the hooks writes it: under the lock, but for the
//! last time, after the end of the state.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic_file::{self, Durability};
use super::own_file;
use crate::domain::notice::Owed;

/// Brings the file up to date.
///
/// # Errors
/// What the system said.
pub fn write(state_folder: &Path, owed: &Owed) -> io::Result<()> {
    let path = path_in(state_folder);
    if owed.is_empty() {
        return atomic_file::remove(&path, Durability::Durable);
    }
    atomic_file::replace_json(&path, &ToldFile { format: FORMAT, owed: owed.clone() }, Durability::Durable)
}

/// What is written there; nothing where there is no file, or none that can be understood.
#[must_use]
pub fn read(state_folder: &Path) -> Owed {
    let text = own_file::read(&path_in(state_folder), BYTES_MAX).ok().flatten().unwrap_or_default();
    let file = serde_json::from_slice::<ToldFile>(&text).ok();
    file.filter(|file| file.format == FORMAT).map(|file| file.owed).unwrap_or_default()
}

fn path_in(state_folder: &Path) -> PathBuf {
    state_folder.join("told.json")
}

const FORMAT: u64 = 1;

/// A line or two for each account, of which nobody has thousands.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct ToldFile {
    format: u64,
    #[serde(flatten)]
    owed: Owed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::asset::ProviderName;
    use crate::domain::notice::Told;

    #[test]
    fn what_was_written_comes_back_and_goes_when_nothing_is_owed() {
        let folder = tempfile::tempdir().unwrap();
        let told = |class: &str| Told { class: class.into(), detail: "why".into() };
        let owed = Owed {
            accounts: [(ProviderName::new("plivo").unwrap(), told("unavailable"))].into(),
            system: [("config".into(), told("config-unusable"))].into(),
        };
        assert_eq!(read(folder.path()), Owed::default());
        write(folder.path(), &owed).unwrap();
        assert_eq!(read(folder.path()), owed);
        for _ in 0..2 {
            write(folder.path(), &Owed::default()).unwrap();
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]
    fn what_cannot_be_understood_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let of_format = |format: u64| {
            format!(
                r#"{{"format": {format}, "accounts": {{"plivo": {{"class": "x", "detail": "y"}}}}, "system": {{}}}}"#
            )
        };
        let owed_after = |text: &str| {
            std::fs::write(path_in(folder.path()), text).unwrap();
            read(folder.path()).accounts.len()
        };
        assert_eq!(owed_after(&of_format(FORMAT)), 1);
        for text in ["", "{}", &of_format(FORMAT + 1), &of_format(FORMAT)[1..]] {
            assert_eq!(owed_after(text), 0, "{text}");
        }
    }
}
