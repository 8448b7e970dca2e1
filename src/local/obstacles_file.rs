//! What stands in the way of many entries at once, as a file in the state folder for whoever asks how things are.
//! Where nothing does, there is none. Whoever holds the folder's lock writes it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic_file::{self, Durability};
use super::own_file;
use crate::domain::obstacles::Obstacles;
use crate::domain::time::Timestamp;

/// Brings the file up to date; what it says already keeps the moment since when it has been so.
///
/// # Errors
/// What the system said.
pub fn write(state_folder: &Path, obstacles: &Obstacles, now: Timestamp) -> io::Result<()> {
    let path = path_in(state_folder);
    if obstacles.is_empty() {
        return atomic_file::remove(&path, Durability::Volatile);
    }
    if read(state_folder).is_some_and(|(known, _)| known == *obstacles) {
        return Ok(());
    }
    let file = ObstaclesFile { format: FORMAT, since: now.floor_to_second(), obstacles: obstacles.clone() };
    atomic_file::replace_json(&path, &file, Durability::Volatile)
}

/// What is written there, and since when; `None` where there is nothing, or nothing that can be understood.
#[must_use]
pub fn read(state_folder: &Path) -> Option<(Obstacles, Timestamp)> {
    let text = own_file::read(&path_in(state_folder), BYTES_MAX).ok()??;
    let file: ObstaclesFile = serde_json::from_slice(&text).ok()?;
    (file.format == FORMAT).then_some((file.obstacles, file.since))
}

fn path_in(state_folder: &Path) -> PathBuf {
    state_folder.join("obstacles.json")
}

const FORMAT: u64 = 1;

/// A line for each account, of which nobody has thousands.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct ObstaclesFile {
    format: u64,
    since: Timestamp,
    #[serde(flatten)]
    obstacles: Obstacles,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::asset::ProviderName;
    use crate::domain::obstacles::{AccountProblem, CREDENTIALS_MISSING, HeldBack};
    use crate::domain::state_format::testing::at;

    fn obstacles() -> Obstacles {
        let problem = AccountProblem {
            kind: CREDENTIALS_MISSING.into(),
            detail: "TOKEN is not set".into(),
            connected: false,
        };
        Obstacles {
            folder: Some("it is not there".to_owned()),
            guard: Some(HeldBack { reason: "the folder is missing".to_owned(), entries: 15 }),
            accounts: [(ProviderName::new("plivo").unwrap(), problem)].into(),
        }
    }

    #[test]
    fn what_was_written_comes_back_and_goes_when_nothing_stands_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let (first, later) = (at("2026-11-21T16:00:00Z"), at("2026-11-21T17:00:00Z"));
        assert_eq!(read(folder.path()), None);
        write(folder.path(), &obstacles(), first).unwrap();
        write(folder.path(), &obstacles(), later).unwrap();
        assert_eq!(read(folder.path()), Some((obstacles(), first)), "it has been so since the first time");
        let fewer = Obstacles { folder: None, ..obstacles() };
        write(folder.path(), &fewer, later).unwrap();
        assert_eq!(read(folder.path()), Some((fewer, later)));
        for _ in 0..2 {
            write(folder.path(), &Obstacles::default(), later).unwrap();
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]
    fn what_cannot_be_understood_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", "{\"format\": 2, \"since\": \"2026-11-21T16:00:00Z\", \"accounts\": {}}"] {
            std::fs::write(path_in(folder.path()), text).unwrap();
            assert_eq!(read(folder.path()), None, "{text}");
        }
    }
}
