//! Replacing a file so that a reader, a crash or a power cut finds the old content or the new one, never a mix.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;

/// How much must have reached the disk when [`replace`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Content and name survive a power cut.
    Durable,
    /// A power cut may leave the old content, none, or a torn one: for what can be recognised and made again.
    Volatile,
}

/// Puts `content` at `path`, readable as `mode` says whatever the umask is.
///
/// # Errors
/// What the system said. The old content is then still in place, and no temporary file stays behind.
pub fn replace(path: &Path, content: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    stage(path, content, mode, durability)?.show()?;
    if durability == Durability::Durable {
        sync_folder(folder_of(path)?)?;
    }
    Ok(())
}

/// As [`replace`], with JSON that a person can read, in a file that everybody may read.
///
/// # Errors
/// As [`replace`].
pub fn replace_json(path: &Path, content: &impl Serialize, durability: Durability) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(content)?;
    text.push(b'\n');
    replace(path, &text, 0o644, durability)
}

/// Removes a file, if it is there.
///
/// # Errors
/// What the system said: the file may be there again after a power cut.
pub fn remove(path: &Path, durability: Durability) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    }
    match durability {
        Durability::Durable => sync_folder(folder_of(path)?),
        Durability::Volatile => Ok(()),
    }
}

/// New content beside its place, whole but not visible yet. Dropped, it leaves nothing behind.
#[must_use = "content that is never shown is thrown away"]
pub struct Staged<'a> {
    file: tempfile::NamedTempFile,
    path: &'a Path,
}

/// The first half of [`replace`], for whoever has something to do before the new content shows.
///
/// # Errors
/// What the system said.
pub fn stage<'a>(
    path: &'a Path,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> io::Result<Staged<'a>> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(folder_of(path)?)?;
    file.write_all(content)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    if durability == Durability::Durable {
        file.as_file().sync_all()?;
    }
    Ok(Staged { file, path })
}

impl Staged<'_> {
    /// Puts the content in its place. Its name survives a power cut only after [`sync_folder`].
    ///
    /// # Errors
    /// What the system said; the old content is then still in place.
    pub fn show(self) -> io::Result<()> {
        self.file.persist(self.path).map(drop).map_err(|error| error.error)
    }
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::other("a file needs a folder to lie in"))
}

/// Makes the names in a folder survive a power cut.
///
/// # Errors
/// What the system said.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// How the names of our temporary files begin; such files are never media.
pub const TEMPORARY_PREFIX: &str = ".mediakeep-tmp-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_content_and_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for (content, durability) in [("old", Durability::Durable), ("new", Durability::Volatile)] {
            replace(&path, content.as_bytes(), 0o644, durability).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("below")).unwrap();
        assert!(replace(&taken, b"new", 0o644, Durability::Durable).is_err());
        assert!(taken.join("below").is_dir());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
