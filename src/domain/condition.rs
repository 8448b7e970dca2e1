//! How an entry is, in a word: what lists, pages and metrics call its state.

use super::lease::Schedule;
use super::state::Record;
use super::time::Now;

/// How an entry is. The order is by how badly it wants attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// What was published is dead.
    Lapsed,
    /// What is published ends soon and has not been renewed yet.
    AtRisk,
    /// Nothing is published, and uploads fail.
    Failing,
    /// Nothing is published, and its file cannot be sent as it is.
    Blocked,
    /// Nothing is published yet.
    Waiting,
    /// What is published is alive, though its file cannot be sent as it is.
    KeptAlive,
    /// What is wanted is published and alive.
    Alive,
    /// Not renewed any more: what is published lives on until its end.
    Retired,
}

impl Condition {
    /// Every condition, the worst one first.
    pub const ALL: [Self; 8] = [
        Self::Lapsed,
        Self::AtRisk,
        Self::Failing,
        Self::Blocked,
        Self::Waiting,
        Self::KeptAlive,
        Self::Alive,
        Self::Retired,
    ];

    /// The condition of an entry with this record. `schedule` are the moments of its published handle; `None` where
    /// nothing is published, or nothing is known of its account.
    #[must_use]
    pub fn of(record: Option<&Record>, schedule: Option<Schedule>, now: Now) -> Self {
        let Some(record) = record else { return Self::Waiting };
        match (record.live(), &record.trouble) {
            (Some(handle), _) if handle.expires_at <= now.wall => Self::Lapsed,
            (Some(_), _) if record.retired_at.is_some() => Self::Retired,
            (Some(_), _) if schedule.is_some_and(|schedule| schedule.urgent_at <= now.steady) => Self::AtRisk,
            // Nothing was sent yet, so the file itself is the trouble.
            (Some(_), Some(trouble)) if trouble.attempts == 0 => Self::KeptAlive,
            (Some(_), _) => Self::Alive,
            (None, _) if record.current.is_some() => Self::Lapsed,
            (None, Some(trouble)) if trouble.attempts == 0 => Self::Blocked,
            (None, Some(_)) => Self::Failing,
            (None, None) => Self::Waiting,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::AtRisk => "at risk",
            Self::Failing => "failing",
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::KeptAlive => "kept alive",
            Self::Alive => "alive",
            Self::Retired => "retired",
        }
    }

    /// Whether nothing alive is published though something should be.
    #[must_use]
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::Lapsed | Self::Failing | Self::Blocked | Self::Waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::lease::LeaseTerms;
    use crate::domain::state::{Handle, Trouble};
    use crate::domain::testing::{handle, key};
    use crate::domain::time::Timestamp;

    fn trouble(attempts: u32) -> Trouble {
        let since = Timestamp::from_unix_ms(0);
        Trouble { kind: "x".into(), detail: "x".into(), since, attempts, next_try: None }
    }

    #[test]
    fn each_record_has_its_word() {
        let terms = LeaseTerms::new(Duration::from_secs(100_000), None);
        let sent = Timestamp::from_unix_ms(1_000_000_000_000);
        let published = || handle(b"x", sent, &terms);
        let record = |current: Option<Handle>| Record { current, ..Record::default() };
        let ended = Handle { url: None, ..published() };
        let retired = Record { retired_at: Some(sent), ..record(Some(published())) };
        let with = |trouble, current| Record { trouble: Some(Box::new(trouble)), ..record(current) };
        for (record, age, word) in [
            (None, 0, "waiting"),
            (Some(record(None)), 0, "waiting"),
            (Some(record(Some(published()))), 0, "alive"),
            (Some(record(Some(published()))), 96_000, "at risk"),
            (Some(record(Some(published()))), 100_000, "lapsed"),
            (Some(record(Some(ended))), 0, "lapsed"),
            (Some(with(trouble(0), Some(published()))), 0, "kept alive"),
            (Some(with(trouble(3), Some(published()))), 0, "alive"),
            (Some(with(trouble(0), None)), 0, "blocked"),
            (Some(with(trouble(1), None)), 0, "failing"),
            (Some(retired.clone()), 0, "retired"),
            (Some(retired), 100_000, "lapsed"),
        ] {
            let now = Now::at(sent + Duration::from_secs(age));
            let live = record.as_ref().and_then(Record::live);
            let schedule = live.map(|handle| terms.schedule(&key("a", "b"), handle, now));
            assert_eq!(Condition::of(record.as_ref(), schedule, now).as_str(), word, "{record:?} {age}");
        }
    }

    #[test]
    fn all_of_them_are_listed_in_order() {
        assert!(Condition::ALL.is_sorted());
        let words: std::collections::BTreeSet<_> = Condition::ALL.map(Condition::as_str).into();
        assert_eq!(words.len(), Condition::ALL.len());
    }
}
