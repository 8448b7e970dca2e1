//! What readers of the state file find now and did not find before.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Change, Published};
use crate::domain::asset::EntryKey;
use crate::domain::state::{Record, State};

/// Every entry whose record is another one than before, or is there no more. Records that are shared between the two
/// states cost one comparison.
pub(super) fn differing<'s>(
    before: &'s State,
    after: &'s State,
) -> impl Iterator<Item = (&'s EntryKey, Option<&'s Record>, Option<&'s Record>)> {
    Merge { before: before.records.iter().peekable(), after: after.records.iter().peekable() }
}

/// What changed for readers of an entry, if anything did.
pub(super) fn change(before: Option<&Record>, after: Option<&Record>) -> Option<Change> {
    let change = Change {
        was: before.and_then(Published::of),
        is: after.and_then(Published::of),
        ended: after.is_none_or(|record| record.current.is_none()),
    };
    (!change.is_none()).then_some(change)
}

type Records<'s> = std::iter::Peekable<std::collections::btree_map::Iter<'s, EntryKey, Arc<Record>>>;

struct Merge<'s> {
    before: Records<'s>,
    after: Records<'s>,
}

impl<'s> Iterator for Merge<'s> {
    type Item = (&'s EntryKey, Option<&'s Record>, Option<&'s Record>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.before.peek(), self.after.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((before, _)), Some((after, _))) => before.cmp(after),
            };
            let before = if order == Ordering::Greater { None } else { self.before.next() };
            let after = if order == Ordering::Less { None } else { self.after.next() };
            let record = |side: Option<(&'s EntryKey, &'s Arc<Record>)>| side.map(|(_, record)| &**record);
            match (before, after) {
                (Some((_, before)), Some((_, after))) if Arc::ptr_eq(before, after) => {}
                (Some((key, _)), _) | (None, Some((key, _))) => {
                    return Some((key, record(before), record(after)));
                }
                (None, None) => return None,
            }
        }
    }
}

/// The records of a state that tell of a trouble.
pub(super) fn troubled(
    records: &BTreeMap<EntryKey, Arc<Record>>,
) -> impl Iterator<Item = (&EntryKey, &Record)> {
    records.iter().map(|(key, record)| (key, &**record)).filter(|(_, record)| record.trouble.is_some())
}
