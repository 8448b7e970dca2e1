//! The only place that reads a clock. Everything else is told what time it is.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Now, Timestamp};

/// Something that knows the time.
pub trait Clock: Send + Sync {
    /// What both clocks say at this moment.
    fn now(&self) -> Now;
}

/// The clocks of this machine.
///
/// The steady one counts boot time, which runs on while the machine is suspended and which nobody can set.
#[derive(Debug)]
pub struct SystemClock {
    started: Timestamp,
    origin: uptime::Reading,
}

impl SystemClock {
    /// Starts the steady clock at the wall clock's present time. One is enough for a process: two of them
    /// disagree about steady time as soon as the wall clock was set in between.
    #[must_use]
    pub fn new() -> Self {
        Self { started: wall(), origin: uptime::read() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { wall: wall(), steady: self.started + uptime::since(&self.origin) }
    }
}

fn wall() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    let now = SystemTime::now();
    match now.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp::from_unix_ms(0) + after,
        Err(before) => Timestamp::from_unix_ms(0) - before.duration(),
    }
}

/// Time since the machine was started, suspends included.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod uptime {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    pub(super) type Reading = Duration;

    pub(super) fn read() -> Reading {
        Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
    }

    pub(super) fn since(origin: &Reading) -> Duration {
        read().saturating_sub(*origin)
    }
}

/// Time since the process was started, as well as the system can tell.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod uptime {
    use std::time::{Duration, Instant};

    pub(super) type Reading = Instant;

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
    pub(super) fn read() -> Reading {
        Instant::now()
    }

    pub(super) fn since(origin: &Reading) -> Duration {
        read().saturating_duration_since(*origin)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Now>);

impl ManualClock {
    /// A clock that says `now`.
    #[must_use]
    pub const fn at(now: Now) -> Self {
        Self(Mutex::new(now))
    }

    /// Lets time pass: both clocks go on.
    pub fn advance(&self, length: Duration) {
        self.change(|now| *now = Now { wall: now.wall + length, steady: now.steady + length });
    }

    /// Sets the wall clock alone, as an administrator or a time server would.
    pub fn set_wall(&self, wall: Timestamp) {
        self.change(|now| now.wall = wall);
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_system_clocks_start_together_and_never_run_backwards() {
        let clock = SystemClock::new();
        let first = clock.now();
        let apart = first.wall.saturating_since(first.steady).max(first.steady.saturating_since(first.wall));
        assert!(apart < Duration::from_secs(5), "{first:?}");
        let mut last = first.steady;
        for _ in 0..1_000 {
            let now = clock.now().steady;
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn setting_the_wall_clock_leaves_the_steady_one_alone() {
        let start = Timestamp::from_unix_ms(1_000_000);
        let clock = ManualClock::at(Now::at(start));
        clock.advance(Duration::from_secs(3));
        clock.set_wall(Timestamp::from_unix_ms(0));
        clock.advance(Duration::from_secs(1));
        let expected = Now { wall: Timestamp::from_unix_ms(1_000), steady: start + Duration::from_secs(4) };
        assert_eq!(clock.now(), expected);
    }
}
