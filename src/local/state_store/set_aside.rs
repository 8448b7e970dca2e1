//! Keeping damaged files for people to look at: a few of them, never more.

use std::io;
use std::path::{Path, PathBuf};

use super::note::Note;
use crate::local::own_file;

/// How many files of one name are kept.
const KEPT_MAX: u32 = 3;

/// Gives the file a second name that nobody overwrites soon, and says so. The file itself stays in place.
pub(super) fn keep(file: &Path) -> Note {
    let (kept_as, problem) = match link(file) {
        Ok(name) => (Some(name), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Note::KeptAside { file: file.to_owned(), kept_as, problem }
}

fn link(file: &Path) -> io::Result<PathBuf> {
    let identity = own_file::Identity::at(file)?;
    let name = |number: u32| {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".broken-{number}"));
        PathBuf::from(name)
    };
    for number in 1..=KEPT_MAX {
        let name = name(number);
        match own_file::Identity::at(&name)? {
            // Kept by an earlier start that got no further.
            known if known == identity => return Ok(name),
            Some(_) => {}
            None => return std::fs::hard_link(file, &name).map(|()| name),
        }
    }
    // The first ones tell how it began; the last place goes to the newest.
    let last = name(KEPT_MAX);
    std::fs::remove_file(&last)?;
    std::fs::hard_link(file, &last)?;
    Ok(last)
}
