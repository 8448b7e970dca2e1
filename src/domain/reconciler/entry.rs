//! What is known about one entry in memory, besides its record.

use std::sync::Arc;

use crate::domain::plan::Wanted;
use crate::domain::retry::Gate;
use crate::domain::state::Record;
use crate::domain::time::Timestamp;

/// An entry. Most of them sleep, so what only few need lies behind a pointer.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// The rule of the manifest that makes it an entry; `None` where none does any more.
    pub rule: Option<u32>,
    /// What providers confirmed.
    pub record: Option<Arc<Record>>,
    /// Where it is in the agenda.
    pub wake: Option<Timestamp>,
    /// Where it waits in its account's lanes.
    pub place: Option<(Lane, Timestamp)>,
    /// The digest of the ID that it claims.
    pub claim: Option<u64>,
    /// When its last upload in this process succeeded, on the steady clock.
    pub uploaded_at: Option<Timestamp>,
    /// When its first upload under its present ID was, on the steady clock; `None` where that is not known.
    pub first_uploaded_at: Option<Timestamp>,
    /// What its uploads wait for after failures.
    pub gates: Option<Box<Gates>>,
    /// Whether an upload of it is under way.
    pub in_flight: bool,
    /// Whether other bytes than the recorded ones may lie under the published ID: an upload there was not confirmed.
    pub in_doubt: bool,
    /// Whether the last look did not find it, and so little else that this is not believed yet.
    pub missed: bool,
    /// What people were told of it.
    pub told: Told,
    /// How it stood when it was looked at last.
    pub standing: Standing,
}

/// What people were told of an entry, so that it is said once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// Its URL is at risk.
    pub at_risk: bool,
    /// Something else is under its ID.
    pub foreign: bool,
}

/// How an entry stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not looked at yet, or without a live URL, or with new content that could not be published.
    #[default]
    Failing,
    /// What is wanted is published and alive.
    Alive,
    /// What was published is alive, though its file is gone.
    KeptAlive,
}

impl Entry {
    pub(super) fn recorded(record: Arc<Record>) -> Self {
        Self { in_doubt: super::ids::was_left_in_doubt(&record), record: Some(record), ..Self::default() }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.retired_at.is_some())
    }

    /// The gate of new content; a fresh one where the content is another than the one that failed.
    pub(super) fn replacement_gate(&self, wanted: &Wanted) -> Gate {
        match &self.gates {
            Some(gates) if gates.replacement_for.as_ref().is_some_and(|failed| failed.is_like(wanted)) => {
                gates.replacement
            }
            _ => Gate::default(),
        }
    }

    pub(super) fn renewal_gate(&self) -> Gate {
        self.gates.as_ref().map_or_else(Gate::default, |gates| gates.renewal)
    }

    /// Failed attempts in a row, of whatever upload.
    pub(super) fn attempts(&self) -> u32 {
        self.gates.as_ref().map_or(0, |gates| gates.replacement.attempts.max(gates.renewal.attempts))
    }
}

/// Failures of new content and of renewals are kept apart: the one must not stop the other.
#[derive(Debug, Default)]
pub(super) struct Gates {
    pub replacement: Gate,
    pub replacement_for: Option<Wanted>,
    pub renewal: Gate,
}

/// In which order due work goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// The published URL ends soon.
    Urgent,
    /// The published URL is dead.
    Lapsed,
    /// The published content is due.
    Renewal,
    /// Content that is not published yet.
    Fresh,
}
