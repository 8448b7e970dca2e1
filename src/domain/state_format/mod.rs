//! The state file and the journal as text, and back. No file is touched here.
//!
//! The state file is for other programs too: its fields and their order are a contract. What is read is never
//! trusted: a text that is cut short, damaged, written by somebody else or by a later version gives an error that
//! says which, and never a state that is silently wrong.

mod entry;
mod journal;
mod seal;
mod snapshot;

pub use entry::Shared;
pub use journal::{Line, LineError, decode_line, encode_line};
pub use snapshot::{Decoded, FORMAT, FormatError, WRITER, decode, encode};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
