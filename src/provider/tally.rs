//! Counts an account's requests by how they were answered. It decides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How a request that went out was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answered {
    /// With this status, from 100 to 599.
    Status(u16),
    /// With a number that is no HTTP status. All of them count as one: a server can make up many.
    Other,
    /// Not at all, or not in time.
    NotAtAll,
}

impl Answered {
    /// What a status line said.
    #[must_use]
    pub const fn with(status: u16) -> Self {
        match status {
            100..=599 => Self::Status(status),
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(out, "{status}"),
            Self::Other => out.write_str("other"),
            Self::NotAtAll => out.write_str("none"),
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<Answered, u64>>);

impl Tally {
    /// One more.
    pub fn count(&self, answered: Answered) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(answered).or_default() += 1;
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Answered, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_statuses_count_as_one() {
        let tally = Tally::default();
        for status in [200, 200, 404, 600, 999, 0] {
            tally.count(Answered::with(status));
        }
        tally.count(Answered::NotAtAll);
        let counts: Vec<_> = tally.counts().into_iter().map(|(status, n)| format!("{status} {n}")).collect();
        assert_eq!(counts, ["200 2", "404 1", "other 3", "none 1"]);
    }
}
