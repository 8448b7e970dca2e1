//! What readers of the state file find now and did not find before.

use std::sync::Arc;

use super::{Change, Published};
use crate::domain::asset::EntryKey;
use crate::domain::records::Records;
use crate::domain::state::{Record, State};

/// Every entry whose record is another one than before, or is there no more.
pub(super) fn differing<'s>(
    before: &'s State,
    after: &'s State,
) -> impl Iterator<Item = (&'s EntryKey, Option<&'s Record>, Option<&'s Record>)> {
    let record = |record: Option<&'s Arc<Record>>| record.map(|record| &**record);
    before.records.differences(&after.records).map(move |(key, was, is)| (key, record(was), record(is)))
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

/// The records of a state that tell of a trouble.
pub(super) fn troubled(records: &Records) -> impl Iterator<Item = (&EntryKey, &Record)> {
    records.iter().map(|(key, record)| (key, &**record)).filter(|(_, record)| record.trouble.is_some())
}
