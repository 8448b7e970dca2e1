//! Lists one folder with as few calls and allocations as the system allows.

use std::ffi::CStr;
use std::ops::ControlFlow;

use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use rustix::io::Errno;

/// Calls `use_entry` for each entry except `.` and `..`, until it breaks off.
///
/// The kind may be `Unknown`: not every file system tells. The buffer's capacity is what one call to the system
/// returns; an entry takes up to 280 bytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn each_entry(
    folder: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    mut use_entry: impl FnMut(&CStr, FileType) -> ControlFlow<()>,
) -> Result<(), Errno> {
    let mut entries = rustix::fs::RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if is_real(entry.file_name()) && use_entry(entry.file_name(), entry.file_type()).is_break() {
            break;
        }
    }
    Ok(())
}

/// The same where the system has no such call.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn each_entry(
    folder: BorrowedFd<'_>,
    _buffer: &mut Vec<u8>,
    mut use_entry: impl FnMut(&CStr, FileType) -> ControlFlow<()>,
) -> Result<(), Errno> {
    let mut entries = rustix::fs::Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        if is_real(entry.file_name()) && use_entry(entry.file_name(), entry.file_type()).is_break() {
            break;
        }
    }
    Ok(())
}

fn is_real(name: &CStr) -> bool {
    !matches!(name.to_bytes(), b"." | b"..")
}
