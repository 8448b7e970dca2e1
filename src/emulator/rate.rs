//! So many requests within any stretch of time, account by account.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::switches::RateLimit;
use crate::domain::time::Timestamp;

/// When each account's last requests came.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    recent: BTreeMap<String, VecDeque<Timestamp>>,
}

impl RateMeter {
    /// Counts a request; an error tells how long to wait where it is one too many. That one is not counted.
    pub(super) fn count(&mut self, account: &str, limit: RateLimit, now: Timestamp) -> Result<(), Duration> {
        if self.recent.len() >= ACCOUNTS_MAX && !self.recent.contains_key(account) {
            self.recent.clear();
        }
        let recent = self.recent.entry(account.to_owned()).or_default();
        while recent.front().is_some_and(|earliest| *earliest + limit.per.0 <= now || *earliest > now) {
            recent.pop_front();
        }
        if recent.len() < limit.requests {
            recent.push_back(now);
            return Ok(());
        }
        Err(recent.front().map_or(limit.per.0, |earliest| (*earliest + limit.per.0).saturating_since(now)))
    }
}

/// Made-up accounts must not fill the memory.
const ACCOUNTS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::length::Length;

    #[test]
    fn one_too_many_waits_for_the_earliest_to_leave_the_stretch() {
        let limit = RateLimit { requests: 2, per: Length::from_secs(5) };
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let mut meter = RateMeter::default();
        assert_eq!(meter.count("a", limit, at(0)), Ok(()));
        assert_eq!(meter.count("a", limit, at(1)), Ok(()));
        assert_eq!(meter.count("a", limit, at(2)), Err(Duration::from_secs(3)));
        assert_eq!(meter.count("b", limit, at(2)), Ok(()));
        assert_eq!(meter.count("a", limit, at(5)), Ok(()));
        assert_eq!(meter.count("a", limit, at(5)), Err(Duration::from_secs(1)));
        let none = RateLimit { requests: 0, per: Length::from_secs(5) };
        assert_eq!(meter.count("c", none, at(0)), Err(Duration::from_secs(5)));
    }
}
