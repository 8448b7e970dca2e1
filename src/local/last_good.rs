//! The last manifest and config that were good, kept in the state folder: what a daemon starts from when the present
//! ones are broken or gone. They hold no secrets, and need not be read by others all the same.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic_file::{self, Durability};
use super::own_file;
use crate::domain::asset::ContentHash;

/// A manifest and its config, as they were when both were good together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGood {
    /// The manifest.
    pub manifest: Source,
    /// The config, where there is one.
    pub config: Option<Source>,
}

/// A text and the file that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file, as it was named; paths in the text are relative to its folder.
    pub path: PathBuf,
    /// The text.
    pub text: String,
}

/// Keeps them, in one file, so that no crash mixes an old manifest with a new config. Says whether it had to write.
///
/// # Errors
/// What the system said; a path that is not UTF-8 can't be kept.
pub fn save(state_folder: &Path, good: &LastGood) -> io::Result<bool> {
    let path = path_in(state_folder);
    let text = encode(good)?;
    if own_file::read(&path, BYTES_MAX).is_ok_and(|known| known.is_some_and(|known| known == text)) {
        return Ok(false);
    }
    match std::fs::create_dir(state_folder.join(FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    atomic_file::replace(&path, &text, 0o600, Durability::Durable)?;
    // The subfolder's own name must last, too.
    atomic_file::sync_folder(state_folder)?;
    Ok(true)
}

/// What was kept; `None` where there is nothing, or nothing that is as it was written.
#[must_use]
pub fn load(state_folder: &Path) -> Option<LastGood> {
    let text = own_file::read(&path_in(state_folder), BYTES_MAX).ok()??;
    let file: LastGoodFile = serde_json::from_slice(&text).ok()?;
    (file.format == FORMAT && file.blake3 == hash(&file.good).ok()?).then_some(file.good)
}

fn encode(good: &LastGood) -> io::Result<Vec<u8>> {
    let file = LastGoodFile { format: FORMAT, blake3: hash(good)?, good: good.clone() };
    let mut text = serde_json::to_vec_pretty(&file)?;
    text.push(b'\n');
    Ok(text)
}

fn hash(good: &LastGood) -> io::Result<ContentHash> {
    Ok(ContentHash::of(&serde_json::to_vec(good)?))
}

fn path_in(state_folder: &Path) -> PathBuf {
    state_folder.join(FOLDER).join("last-good.json")
}

const FOLDER: &str = "last-good";
const FORMAT: u64 = 1;

/// Two texts of 16 MiB each, however many of their characters JSON escapes.
const BYTES_MAX: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct LastGoodFile {
    format: u64,
    blake3: ContentHash,
    good: LastGood,
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn good(text: &str, config: Option<&str>) -> LastGood {
        LastGood {
            manifest: Source { path: "/srv/media/media.toml".into(), text: text.to_owned() },
            config: config
                .map(|text| Source { path: "/etc/mediakeep/mediakeep.toml".into(), text: text.to_owned() }),
        }
    }

    #[test]
    fn what_was_good_comes_back_and_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), None);
        for good in [good("version = 1\n", None), good("version = 1 # \"\u{7}ü\n", Some("")), good("", None)]
        {
            assert!(save(folder.path(), &good).unwrap());
            assert!(!save(folder.path(), &good).unwrap());
            assert_eq!(load(folder.path()), Some(good));
        }
        let mode = path_in(folder.path()).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]
    fn what_is_damaged_is_nothing_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let good = good("version = 1\n", Some("x"));
        save(folder.path(), &good).unwrap();
        let path = path_in(folder.path());
        let text = std::fs::read(&path).unwrap();
        for place in 0..text.len() - 1 {
            let mut flipped = text.clone();
            flipped[place] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            // Nothing but the spaces between the fields may differ.
            assert!(load(folder.path()).is_none_or(|found| found == good), "{place}");
            std::fs::write(&path, &text[..place]).unwrap();
            assert_eq!(load(folder.path()), None, "{place}");
        }
        assert!(save(folder.path(), &good).unwrap());
        assert_eq!(load(folder.path()), Some(good));
    }

    #[test]
    fn a_path_that_no_text_can_hold_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut good = good("version = 1\n", None);
        good.manifest.path = std::ffi::OsString::from_vec(vec![0xff]).into();
        assert!(save(folder.path(), &good).is_err());
        assert_eq!(load(folder.path()), None);
    }
}
