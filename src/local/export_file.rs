//! Writes exports: only inside root, only when their bytes change, and only over files that we wrote.
//!
//! The folder is edited by others, so no link is ever followed below root, neither in a parent folder nor in the
//! export's own place. A file counts as ours if its hash is one that we noted in the state folder, or if it is what
//! an export looks like: a fresh clone of the folder brings exports along and no state.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::atomic_file::{self, Durability, TEMPORARY_PREFIX};
use super::own_file;
use crate::domain::asset::{ContentHash, RelPath};
use crate::domain::export::is_ours;
use crate::domain::manifest::Export;

/// The exports of one root.
#[derive(Clone, Debug)]
pub struct ExportFolder {
    root: PathBuf,
    state_folder: PathBuf,
}

/// Why an export was not written. Whatever was in its place still is.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder that it would lie in is not there.
    #[error("cannot write the export {path}: there is no folder {folder}; make it")]
    NoFolder {
        /// The export.
        path: RelPath,
        /// The folder, relative to root.
        folder: String,
    },
    /// A folder on the way is a link, which may lead out of root, or is no folder.
    #[error(
        "cannot write the export {path}: {folder} is no folder of its own; name one that no link leads to"
    )]
    NotAFolder {
        /// The export.
        path: RelPath,
        /// The link or file, relative to root.
        folder: String,
    },
    /// A link, a folder or a device is in its place.
    #[error("cannot write the export {path}: something else than a plain file is there; move it away")]
    NotAFile {
        /// The export.
        path: RelPath,
    },
    /// A file of somebody else is in its place.
    #[error(
        "cannot write the export {path}: that file was not written by mediakeep, or was changed since; delete it or \
         move it away, and it is written again"
    )]
    NotOurs {
        /// The export.
        path: RelPath,
    },
    /// The system refused.
    #[error("cannot write the export {path}")]
    Io {
        /// The export.
        path: RelPath,
        /// What the system said.
        source: io::Error,
    },
}

impl ExportFolder {
    /// The exports below `root`; what is ours is noted in the state folder.
    #[must_use]
    pub const fn new(root: PathBuf, state_folder: PathBuf) -> Self {
        Self { root, state_folder }
    }

    /// Makes an export's file hold this text. Says whether it had to be written; if so, it survives a power cut.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn write(&self, export: &Export, text: &str) -> Result<bool, ExportError> {
        let path = &export.path;
        let failed = |source| ExportError::Io { path: path.clone(), source };
        let folder = self.open_parent(path)?;
        let mut mode = Mode::from_raw_mode(0o644);
        if let Some(file) = open_known(&folder, path)? {
            let mut content = Vec::new();
            (&file).take(BYTES_MAX).read_to_end(&mut content).map_err(failed)?;
            if content == text.as_bytes() {
                return Ok(false);
            }
            if !self.may_replace(export, &content) {
                return Err(ExportError::NotOurs { path: path.clone() });
            }
            mode = Mode::from_raw_mode(file.metadata().map_err(failed)?.permissions().mode() & 0o777);
        }
        replace(&folder, path, text.as_bytes(), mode).map_err(failed)?;
        // Without the note the file is still known by what it looks like.
        let _ = self.note(path, ContentHash::of(text.as_bytes()));
        Ok(true)
    }

    /// Opens the folder that an export lies in, from root downwards, without following a link.
    fn open_parent(&self, path: &RelPath) -> Result<OwnedFd, ExportError> {
        let failed = |source: Errno| ExportError::Io { path: path.clone(), source: source.into() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::open(&self.root, flags, Mode::empty()).map_err(failed)?;
        let mut reached = String::new();
        for segment in path.dir().split('/').filter(|segment| !segment.is_empty()) {
            if !reached.is_empty() {
                reached.push('/');
            }
            reached.push_str(segment);
            folder = openat(&folder, segment, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| {
                let (path, folder) = (path.clone(), reached.clone());
                match error {
                    Errno::NOENT => ExportError::NoFolder { path, folder },
                    Errno::NOTDIR | Errno::LOOP => ExportError::NotAFolder { path, folder },
                    error => ExportError::Io { path, source: error.into() },
                }
            })?;
        }
        Ok(folder)
    }

    fn may_replace(&self, export: &Export, content: &[u8]) -> bool {
        if content.len() as u64 >= BYTES_MAX {
            return false;
        }
        let ours = |text| is_ours(export.format, text);
        content.is_empty()
            || self.notes().get(&export.path) == Some(&ContentHash::of(content))
            || std::str::from_utf8(content).is_ok_and(ours)
    }

    fn notes(&self) -> BTreeMap<RelPath, ContentHash> {
        let text = own_file::read(&self.notes_path(), BYTES_MAX).ok().flatten().unwrap_or_default();
        let notes = serde_json::from_slice::<Notes>(&text).ok().filter(|notes| notes.format == FORMAT);
        notes.map(|notes| notes.files).unwrap_or_default()
    }

    fn note(&self, path: &RelPath, hash: ContentHash) -> io::Result<()> {
        let mut files = self.notes();
        files.insert(path.clone(), hash);
        let notes = Notes { format: FORMAT, files };
        atomic_file::replace_json(&self.notes_path(), &notes, Durability::Volatile)
    }

    fn notes_path(&self) -> PathBuf {
        self.state_folder.join("exports.json")
    }
}

const FORMAT: u64 = 1;

/// More than any export has: what is as large is not ours.
const BYTES_MAX: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Notes {
    format: u64,
    files: BTreeMap<RelPath, ContentHash>,
}

/// Opens what is in an export's place, if anything is.
fn open_known(folder: &OwnedFd, path: &RelPath) -> Result<Option<File>, ExportError> {
    let name = path.file_name();
    // Looked at first: opening a FIFO or a device may do things.
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
            return Err(ExportError::NotAFile { path: path.clone() });
        }
        _ => {}
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::LOOP) => Err(ExportError::NotAFile { path: path.clone() }),
        Err(error) => Err(ExportError::Io { path: path.clone(), source: error.into() }),
    }
}

/// Puts a text in an export's place through a temporary file beside it, whose name is always the same: what a killed
/// process leaves behind, the next one replaces.
fn replace(folder: &OwnedFd, path: &RelPath, text: &[u8], mode: Mode) -> io::Result<()> {
    let temporary =
        format!("{TEMPORARY_PREFIX}export-{}", ContentHash::of(path.as_str().as_bytes()).prefix(16));
    match unlinkat(folder, &*temporary, AtFlags::empty()) {
        Err(error) if error != Errno::NOENT => return Err(error.into()),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, &*temporary, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file
        .write_all(text)
        .and_then(|()| rustix::fs::fchmod(&file, mode).map_err(io::Error::from))
        .and_then(|()| file.sync_all())
        .and_then(|()| renameat(folder, &*temporary, folder, path.file_name()).map_err(io::Error::from));
    if written.is_err() {
        let _ = unlinkat(folder, &*temporary, AtFlags::empty());
    }
    written?;
    rustix::fs::fsync(folder).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::domain::export::render;
    use crate::domain::manifest::ExportFormat;
    use crate::domain::state_format::testing::{key, live, state};

    struct Place {
        above: TempDir,
        exports: ExportFolder,
    }

    fn place() -> Place {
        let above = tempfile::tempdir().unwrap();
        let (root, state_folder) = (above.path().join("root"), above.path().join("state"));
        std::fs::create_dir_all(root.join("web")).unwrap();
        std::fs::create_dir(&state_folder).unwrap();
        Place { exports: ExportFolder::new(root, state_folder), above }
    }

    impl Place {
        fn path(&self, path: &str) -> PathBuf {
            self.above.path().join(path)
        }

        fn read(&self, path: &str) -> String {
            std::fs::read_to_string(self.path(path)).unwrap()
        }

        #[expect(clippy::disallowed_methods, reason = "plays somebody else who writes files")]
        fn put(&self, path: &str, text: &str) {
            std::fs::write(self.path(path), text).unwrap();
        }
    }

    fn export(path: &str, format: ExportFormat) -> Export {
        Export { path: RelPath::new(path).unwrap(), format }
    }

    fn text(format: ExportFormat, id: &str) -> String {
        render(format, &state(1, [(key("a.png", "plivo"), live(id))])).unwrap()
    }

    const FORMATS: [ExportFormat; 3] = [ExportFormat::Json, ExportFormat::Toml, ExportFormat::Env];

    #[test]
    fn an_export_is_written_only_when_its_bytes_change() {
        for format in FORMATS {
            let place = place();
            let export = export("web/urls", format);
            let (one, other) = (text(format, "one"), text(format, "other"));
            for (text, written) in
                [(&one, true), (&one, false), (&other, true), (&other, false), (&one, true)]
            {
                let before = own_file::Identity::at(&place.path("root/web/urls")).unwrap();
                assert_eq!(place.exports.write(&export, text).unwrap(), written);
                assert_eq!(&place.read("root/web/urls"), text);
                let after = own_file::Identity::at(&place.path("root/web/urls")).unwrap();
                assert_eq!(before != after, written);
            }
            assert_eq!(std::fs::read_dir(place.path("root/web")).unwrap().count(), 1, "nothing else is left");
        }
    }

    #[test]
    fn an_export_is_readable_by_all_and_keeps_the_mode_it_was_given() {
        let place = place();
        let export = export("urls.json", ExportFormat::Json);
        let mode = || place.path("root/urls.json").metadata().unwrap().permissions().mode() & 0o777;
        place.exports.write(&export, &text(ExportFormat::Json, "one")).unwrap();
        assert_eq!(mode(), 0o644);
        std::fs::set_permissions(place.path("root/urls.json"), PermissionsExt::from_mode(0o640)).unwrap();
        place.exports.write(&export, &text(ExportFormat::Json, "two")).unwrap();
        assert_eq!(mode(), 0o640);
    }

    #[test]
    fn an_export_that_came_with_a_clone_is_replaced() {
        for format in FORMATS {
            let place = place();
            place.put("root/urls", &text(format, "from the clone"));
            assert!(place.exports.write(&export("urls", format), &text(format, "new")).unwrap());
            assert_eq!(place.read("root/urls"), text(format, "new"));
        }
    }

    #[test]
    fn what_we_noted_as_ours_is_replaced_whatever_it_looks_like() {
        let place = place();
        let export = export("urls", ExportFormat::Env);
        place.exports.write(&export, "as an older version wrote it\n").unwrap();
        assert!(place.exports.write(&export, &text(ExportFormat::Env, "new")).unwrap());
        // Once it was changed by somebody else it is not what we noted.
        place.exports.write(&export, "as an older version wrote it\n").unwrap();
        place.put("root/urls", "edited\n");
        assert!(matches!(
            place.exports.write(&export, &text(ExportFormat::Env, "newer")),
            Err(ExportError::NotOurs { .. })
        ));
    }

    #[test]
    fn the_file_of_somebody_else_is_left_alone() {
        for format in FORMATS {
            for theirs in ["precious\n", "{\"en\": {\"hello\": \"hi\"}}\n", "\u{0}\u{1}", "A=1\n"] {
                let place = place();
                place.put("root/urls", theirs);
                let error = place.exports.write(&export("urls", format), &text(format, "new")).unwrap_err();
                assert!(matches!(error, ExportError::NotOurs { .. }), "{error:?}");
                assert!(error.to_string().contains("urls") && error.to_string().contains("delete it"));
                assert_eq!(place.read("root/urls"), theirs);
                assert_eq!(std::fs::read_dir(place.path("root")).unwrap().count(), 2);
            }
        }
    }

    #[test]
    fn an_empty_file_has_nothing_to_lose() {
        let place = place();
        place.put("root/urls", "");
        assert!(
            place.exports.write(&export("urls", ExportFormat::Json), &text(ExportFormat::Json, "x")).unwrap()
        );
    }

    #[test]
    fn no_link_is_followed_below_root() {
        let place = place();
        let outside = place.path("outside");
        std::fs::create_dir(&outside).unwrap();
        let ours = text(ExportFormat::Json, "old");
        place.put("outside/urls", &ours);
        symlink(&outside, place.path("root/link")).unwrap();
        symlink("../../outside", place.path("root/web/relative")).unwrap();
        symlink("web", place.path("root/inside")).unwrap();
        symlink("../outside/urls", place.path("root/urls")).unwrap();
        symlink("nowhere", place.path("root/dangling")).unwrap();
        let new = text(ExportFormat::Json, "new");
        let write = |path: &str| place.exports.write(&export(path, ExportFormat::Json), &new).unwrap_err();
        for (path, folder_at_fault) in
            [("link/urls", "link"), ("web/relative/urls", "web/relative"), ("inside/urls", "inside")]
        {
            assert!(
                matches!(write(path), ExportError::NotAFolder { folder, .. } if folder == folder_at_fault)
            );
        }
        for path in ["urls", "dangling", "web"] {
            assert!(matches!(write(path), ExportError::NotAFile { .. }), "{path}");
        }
        assert_eq!(place.read("outside/urls"), ours);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(place.path("root/web")).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_told_and_not_made() {
        let place = place();
        let write = |path| place.exports.write(&export(path, ExportFormat::Json), "{}\n").unwrap_err();
        let error = write("web/deep/er/urls");
        assert!(matches!(&error, ExportError::NoFolder { folder, .. } if folder == "web/deep"), "{error:?}");
        place.put("root/file", "");
        assert!(matches!(write("file/urls"), ExportError::NotAFolder { .. }));
        std::fs::remove_dir_all(place.path("root")).unwrap();
        assert!(matches!(write("urls"), ExportError::Io { .. }));
        assert!(!place.path("root").exists());
    }

    #[test]
    fn what_a_killed_process_left_is_replaced() {
        let place = place();
        let export = export("urls", ExportFormat::Json);
        let name = format!(".mediakeep-tmp-export-{}", ContentHash::of(b"urls").prefix(16));
        place.put(&format!("root/{name}"), "half");
        place.exports.write(&export, "{}\n").unwrap();
        assert!(!place.path("root").join(name).exists());
        assert_eq!(place.read("root/urls"), "{}\n");
    }

    #[test]
    fn damaged_or_missing_notes_cost_nothing() {
        let place = place();
        let export = export("urls", ExportFormat::Json);
        for (round, notes) in ["", "damaged", "{\"format\": 9, \"files\": {}}"].into_iter().enumerate() {
            place.put("state/exports.json", notes);
            assert!(place.exports.write(&export, &text(ExportFormat::Json, &format!("r{round}"))).unwrap());
        }
        std::fs::remove_dir_all(place.path("state")).unwrap();
        assert!(place.exports.write(&export, &text(ExportFormat::Json, "last")).unwrap());
        assert!(!Path::new(&place.path("state")).exists());
    }
}
