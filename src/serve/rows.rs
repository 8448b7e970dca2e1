//! Every entry with its condition, as health, metrics and the page all count them.

use crate::daemon::board::View;
use crate::domain::condition::Condition;
use crate::domain::lease::Schedule;
use crate::domain::reconciler::Listed;
use crate::domain::state::{Handle, Record, Trouble};
use crate::domain::time::{Now, Timestamp};

/// An entry and how it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'v> {
    pub(super) entry: &'v Listed,
    pub(super) schedule: Option<Schedule>,
    pub(super) condition: Condition,
}

/// All of them, in the order of their keys. An old view shows how things are now, as far as that is a matter of time.
pub(super) fn rows(view: &View, now: Now) -> impl Iterator<Item = Row<'_>> {
    view.overview.entries.iter().map(move |entry| {
        let schedule = view.overview.schedule(entry, now);
        let record = entry.record.as_deref();
        let condition = match Condition::of(record, schedule, now) {
            // It ended as it was meant to.
            Condition::Lapsed if record.is_some_and(|record| record.retired_at.is_some()) => {
                Condition::Retired
            }
            condition => condition,
        };
        Row { entry, schedule, condition }
    })
}

impl<'v> Row<'v> {
    pub(super) fn live(&self) -> Option<&'v Handle> {
        self.entry.record.as_deref().and_then(Record::live)
    }

    pub(super) fn trouble(&self) -> Option<&'v Trouble> {
        self.entry.record.as_deref()?.trouble.as_deref()
    }

    /// Whether a person should look at it.
    pub(super) fn wants_attention(&self) -> bool {
        match self.condition {
            Condition::Retired => false,
            Condition::Alive => self.trouble().is_some(),
            _ => true,
        }
    }

    /// When it is renewed, by the wall clock.
    pub(super) fn renew_at(&self, now: Now) -> Option<Timestamp> {
        let schedule = self.schedule.filter(|_| self.condition != Condition::Retired)?;
        let due = schedule.renew_at.unix_ms() - now.steady.unix_ms() + now.wall.unix_ms();
        Some(Timestamp::from_unix_ms(due))
    }
}
