//! Opening files that only mediakeep writes. Somebody else may have put a link, a FIFO or a device in their place:
//! those are refused, never followed and never waited for.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens a regular file as `options` say.
///
/// # Errors
/// What the system said; [`io::ErrorKind::InvalidInput`] where something else than a regular file is in its place.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path).map_err(|error| {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP) => not_regular("a symbolic link"),
            // A folder can't be opened for writing, and a FIFO without a reader neither.
            Some(Errno::ISDIR | Errno::NXIO) => not_regular("no regular file"),
            _ => error,
        }
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular("no regular file")) }
}

fn not_regular(what: &str) -> io::Error {
    let text = format!("{what} is in the place of a file that mediakeep writes itself; move it away");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Reads a whole file; `None` where there is none.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::FileTooLarge`] where it has more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    Ok(read_and_hold(path, limit)?.map(|(content, _)| content))
}

/// Reads a whole file, and leaves it open: while it is, no other file can be taken for it.
///
/// # Errors
/// As [`read`].
pub fn read_and_hold(path: &Path, limit: u64) -> io::Result<Option<(Vec<u8>, File)>> {
    let file = match open(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let mut content = Vec::new();
    content
        .try_reserve_exact(usize::try_from(metadata.len().min(limit)).unwrap_or(0))
        .map_err(io::Error::other)?;
    (&file).take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some((content, file)))
}

/// Reads the last bytes of a file, at most `limit`, and says how long the whole file is; `None` where there is none.
///
/// # Errors
/// As [`open`].
pub fn read_tail(path: &Path, limit: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut file = match open(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(limit)))?;
    let mut content = Vec::new();
    file.take(bytes.min(limit)).read_to_end(&mut content)?;
    Ok(Some((content, bytes)))
}

/// Which file it is, and which version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    /// What the system says of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// The file that is at `path` now, if there is one.
    ///
    /// # Errors
    /// What the system said.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        match path.symlink_metadata() {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether `path` still names the open file, whatever has been written to it.
#[must_use]
pub fn is_in_place(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn reads_a_file_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read(&path, 4).unwrap(), None);
        crate::local::atomic_file::replace(
            &path,
            b"four",
            0o600,
            crate::local::atomic_file::Durability::Volatile,
        )
        .unwrap();
        assert_eq!(read(&path, 4).unwrap().unwrap(), b"four");
        assert_eq!(read(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_tail(&path, 3).unwrap().unwrap(), (b"our".to_vec(), 4));
        assert_eq!(read_tail(&path, 9).unwrap().unwrap(), (b"four".to_vec(), 4));
        assert!(is_in_place(&read_and_hold(&path, 4).unwrap().unwrap().1, &path));
    }

    #[test]
    fn refuses_whatever_is_no_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        let (link, dangling, fifo) =
            (folder.path().join("link"), folder.path().join("dangling"), folder.path().join("fifo"));
        symlink("/etc/hostname", &link).unwrap();
        symlink("nowhere", &dangling).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for path in [&link, &dangling, &fifo, &folder.path().to_owned()] {
            for options in [OpenOptions::new().read(true), OpenOptions::new().append(true).create(true)] {
                let error = open(path, options).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}: {error}", path.display());
            }
        }
    }

    #[test]
    fn notices_that_a_file_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = open(&path, OpenOptions::new().append(true).create(true)).unwrap();
        assert!(is_in_place(&file, &path));
        std::fs::remove_file(&path).unwrap();
        assert!(!is_in_place(&file, &path));
        let _other = open(&path, OpenOptions::new().append(true).create(true)).unwrap();
        assert!(!is_in_place(&file, &path));
    }
}
