//! An approval: a person's word that exactly these entries may be retired.

use crate::domain::asset::{ContentHash, EntryKey};
use crate::domain::time::Timestamp;

/// What was approved, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The entries, sorted, each once.
    pub entries: Vec<EntryKey>,
    /// When the person said so, in whole seconds.
    pub approved_at: Timestamp,
}

impl Approval {
    /// An approval of these entries, in whatever order they come.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = EntryKey>, approved_at: Timestamp) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        entries.dedup();
        Self { entries, approved_at: approved_at.floor_to_second() }
    }

    /// The digest of what was approved.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.entries)
    }
}

/// A digest of exactly these entries, whatever their order and however often each is named: 64 hexadecimal digits.
#[must_use]
pub fn digest<'a>(keys: impl IntoIterator<Item = &'a EntryKey>) -> String {
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_unstable();
    keys.dedup();
    let mut text = Vec::new();
    for key in keys {
        // No path and no name of a provider holds a NUL, so that no two sets give the same text.
        for part in [key.path.as_str(), key.provider.as_str()] {
            text.extend_from_slice(part.as_bytes());
            text.push(0);
        }
    }
    ContentHash::of(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::state_format::testing::{at, key};

    #[test]
    fn a_digest_knows_exactly_one_set() {
        let sets = [
            vec![],
            vec![key("a", "p")],
            vec![key("a", "q")],
            vec![key("a", "p"), key("b", "p")],
            vec![key("a", "pb"), key("p", "p")],
            vec![key("a", "p"), key("a", "q")],
            // The same letters one after the other, within an entry and from one to the next.
            vec![key("a", "pb")],
            vec![key("ap", "b")],
            vec![key("a", "p"), key("bc", "p")],
            vec![key("a", "pb"), key("c", "p")],
        ];
        for (index, one) in sets.iter().enumerate() {
            for (other_index, other) in sets.iter().enumerate() {
                assert_eq!(digest(one) == digest(other), index == other_index, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn order_and_repetition_mean_nothing() {
        let (a, b) = (key("a", "p"), key("b", "p"));
        let now = at("2026-11-21T16:00:00Z");
        let one = Approval::new([b.clone(), a.clone(), b.clone()], now);
        assert_eq!(one, Approval::new([a.clone(), b.clone()], now));
        assert_eq!(digest([&b, &a, &b]), one.digest());
    }
}
