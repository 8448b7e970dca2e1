//! Checksums that tell a text as we wrote it from one that was damaged, torn or edited since.

use crate::domain::asset::ContentHash;

/// How many hexadecimal digits of a BLAKE3 hash a seal has. Against accidents, 64 bits are plenty.
const DIGITS: usize = 16;

/// What stands at the end of a sealed text.
pub(super) struct Form {
    /// What comes before the digits.
    pub(super) before: &'static [u8],
    /// What comes after them: the very end of the text.
    pub(super) after: &'static [u8],
}

/// How a text and its seal relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// The text is as it was written.
    Holds,
    /// It is not.
    Broken,
    /// The text does not end in a seal.
    Absent,
}

impl Form {
    /// Ends `text` with its seal; only what was written from `start` on is sealed.
    pub(super) fn append(&self, text: &mut Vec<u8>, start: usize) {
        let digits = ContentHash::of(&text[start..]).prefix(DIGITS);
        text.extend_from_slice(self.before);
        text.extend_from_slice(digits.as_bytes());
        text.extend_from_slice(self.after);
    }

    /// Checks the seal at the end of `text`.
    pub(super) fn check(&self, text: &[u8]) -> Seal {
        let Some((content, digits)) = self.split(text) else { return Seal::Absent };
        if ContentHash::of(content).prefix(DIGITS).as_bytes() == digits { Seal::Holds } else { Seal::Broken }
    }

    fn split<'a>(&self, text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let text = text.strip_suffix(self.after)?;
        let (text, digits) = text.split_at_checked(text.len().checked_sub(DIGITS)?)?;
        Some((text.strip_suffix(self.before)?, digits))
    }
}
