//! State files and lines of the journal: damaged, torn, made by hand.

use crate::domain::asset::ContentHash;
use crate::domain::state_format::{Shared, decode, decode_line, encode, encode_line};

/// A state file, and the same bytes as lines of a journal.
///
/// # Panics
/// Where a promise is broken.
pub fn state(data: &[u8]) {
    snapshot(data);
    for line in data.split(|byte| *byte == b'\n') {
        journal_line(line);
        // A seal is easily made and hard to guess, so it is made here.
        journal_line(&sealed(line));
    }
}

/// What was read is written so that the same is read again, down to the last byte.
fn snapshot(data: &[u8]) {
    let Ok(decoded) = decode(data, &mut Shared::default()) else { return };
    let text = encode(&decoded.state);
    let again = decode(&text, &mut Shared::default()).expect("what we wrote can be read");
    assert!(again.sealed, "what we wrote has a checksum");
    assert_eq!(again.state.serial, decoded.state.serial);
    assert!(again.state.records.keys().eq(decoded.state.records.keys()), "the same entries");
    // The first reading may have had fractions of seconds, which are not written.
    assert_eq!(encode(&again.state), text);
}

fn journal_line(line: &[u8]) {
    let Ok(read) = decode_line(line, &mut Shared::default()) else { return };
    let mut text = Vec::new();
    encode_line(&mut text, &read.lineage, &read.change);
    assert_eq!(text.pop(), Some(b'\n'));
    assert!(!text.contains(&b'\n'), "a line is one line");
    let again = decode_line(&text, &mut Shared::default()).expect("what we wrote can be read");
    assert_eq!((again.lineage, again.change.key), (read.lineage, read.change.key));
    assert_eq!(again.change.serial, read.change.serial);
}

/// The line without its last brace or its check, with the check that it should have.
fn sealed(line: &[u8]) -> Vec<u8> {
    let check = b",\"check\":\"";
    let end = line.windows(check.len()).rposition(|window| window == check);
    let content = &line[..end.unwrap_or_else(|| line.len().saturating_sub(1))];
    let digits = ContentHash::of(content).prefix(16);
    [content, check, digits.as_bytes(), b"\"}"].concat()
}
