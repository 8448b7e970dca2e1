//! IDs that we choose: whose bytes lie under one, and what becomes of them when others are sent there.
//!
//! An ID with its content's hash in it can only ever hold that content. Any other is a place: an upload there
//! replaces what lies there, whether or not the reply arrives.

use super::Reconciler;
use super::entry::Entry;
use super::uploading::Order;
use crate::domain::asset::{ContentHash, MediaId};
use crate::domain::failure::FailureClass;
use crate::domain::plan::{Verdict, Wanted};
use crate::domain::state::{Handle, Record};
use crate::domain::time::Timestamp;

impl Reconciler {
    /// An upload that was not confirmed may have replaced what is recorded under its ID.
    pub(super) fn doubt(entry: &mut Entry, order: &Order, class: FailureClass) {
        let live = entry.record.as_ref().and_then(|record| record.live());
        entry.in_doubt |= FailureClass::MAY_HAVE_STORED.contains(&class)
            && live.is_some_and(|live| overwrites(&order.wanted, live));
    }
}

/// Whether an upload puts other content, or content of another type, in a handle's place.
fn overwrites(wanted: &Wanted, handle: &Handle) -> bool {
    let same = wanted.hash == handle.hash
        && wanted.content_type == handle.content_type
        && wanted.cache_control == handle.cache_control;
    wanted.id.as_ref() == Some(&handle.id) && !same
}

/// Whether the process before this one may have left other bytes under the published ID than it recorded. Its
/// failure tells no ID, so this can be wrong, and costs an upload then.
pub(super) fn was_left_in_doubt(record: &Record) -> bool {
    let failed = record.trouble.as_ref().is_some_and(|trouble| {
        trouble.attempts > 0
            && FailureClass::MAY_HAVE_STORED.iter().any(|class| class.as_str() == &*trouble.kind)
    });
    failed && record.live().is_some_and(|live| is_a_place(&live.id, &live.hash))
}

/// The recorded bytes are due at once, unless newer ones for the same place are wanted: those mend it as well.
pub(super) fn restore(verdict: &mut Verdict, steady: Timestamp) {
    let Some((due_at, _, recorded)) = &mut verdict.renewal else { return };
    let replaced = verdict.replacement.as_ref().is_some_and(|(_, wanted)| wanted.id == recorded.id);
    if recorded.id.is_some() && !replaced {
        *due_at = steady.min(*due_at);
    }
}

/// Whether other content than this can come to lie under an ID.
fn is_a_place(id: &MediaId, hash: &ContentHash) -> bool {
    !id.as_str().contains(&hash.prefix(HASH_DIGITS))
}

/// The shortest hash that an ID can hold.
const HASH_DIGITS: usize = 8;
