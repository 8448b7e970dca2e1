//! The virtual clock: the real time plus what tests and users have moved it by. It only ever moves forward,
//! except that a reset sets it back to the real time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// Where the real time comes from.
pub type NowFn = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock that retention, tokens, rate limits and the Date header of replies follow. Clones share it.
#[derive(Clone)]
pub struct Clock {
    real: NowFn,
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    pub(super) fn new(real: NowFn) -> Self {
        Self { real, ahead_ms: Arc::new(AtomicI64::new(0)) }
    }

    /// The moment that the emulator takes for now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms((self.real)().unix_ms().saturating_add(self.ahead_ms.load(Ordering::SeqCst)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let sum = |ahead: i64| Some(ahead.saturating_add(by_ms));
        // The closure always returns a value, so the update cannot fail.
        let _ = self.ahead_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, sum);
    }

    /// How far the clock is ahead of the real time.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.ahead_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }

    pub(super) fn reset(&self) {
        self.ahead_ms.store(0, Ordering::SeqCst);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Clock({})", self.now())
    }
}

/// A moment as the Date header writes it; moments before 1970 are written as its start.
pub(super) fn http_date(moment: Timestamp) -> String {
    let since_1970 = Duration::from_millis(u64::try_from(moment.unix_ms()).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since_1970)
}

/// A moment in UTC with so many digits after the second, followed by `zone`: providers write each their own way.
/// `filler` gives the digits below a millisecond, which our clock does not have.
pub(super) fn with_fraction(moment: Timestamp, digits: usize, filler: u64, zone: &str) -> String {
    let second = moment.floor_to_second();
    let fraction = format!("{:03}{:06}", moment.unix_ms() - second.unix_ms(), filler % 1_000_000);
    let second = second.to_string();
    format!("{}.{}{zone}", second.trim_end_matches('Z'), &fraction[..digits.min(9)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_real_time_and_what_it_was_moved_by() {
        let clock = Clock::new(Arc::new(|| Timestamp::from_unix_ms(1_000)));
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.now().unix_ms(), clock.ahead()), (3_000, Duration::from_secs(2)));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
        assert_eq!(http_date(clock.now()), "Wed, 23 Dec 9998 03:33:20 GMT");
        clock.reset();
        assert_eq!(clock.now().unix_ms(), 1_000);
    }

    #[test]
    fn moments_are_written_with_as_many_digits_as_asked() {
        let moment = Timestamp::from_unix_ms(1_568_055_739_253);
        assert_eq!(with_fraction(moment, 3, 0, "+0000"), "2019-09-09T19:02:19.253+0000");
        assert_eq!(with_fraction(moment, 6, 42_000, "Z"), "2019-09-09T19:02:19.253042Z");
        assert_eq!(with_fraction(moment, 9, 42_007, "Z"), "2019-09-09T19:02:19.253042007Z");
        assert_eq!(http_date(Timestamp::MIN), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
