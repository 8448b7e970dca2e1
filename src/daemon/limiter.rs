//! Lets requests through at a rate: never more of them in any stretch of time than the rate allows for it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::manifest::Rate;

/// A window that slides along: at most `most` requests in any `window`.
pub(super) struct Limiter {
    most: usize,
    window: Duration,
    /// When the last of them were let through, oldest first; `most` of them at most.
    passed: Mutex<VecDeque<Instant>>,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        let requests = rate.requests.max(1);
        let per = rate.per.as_nanos().max(1);
        // A burst of about a second's worth, so that an idle account answers a few changes at once; and one that
        // `requests` is a multiple of, so that it comes out even.
        let second = (NANOS_PER_SECOND * u128::from(requests) / per).clamp(1, BURST_MAX);
        let second = u32::try_from(second).unwrap_or(1);
        let most = (1..=second).rev().find(|most| requests.is_multiple_of(*most)).unwrap_or(1);
        let window = (per * u128::from(most)).div_ceil(u128::from(requests));
        Self {
            most: usize::try_from(most).unwrap_or(1),
            window: Duration::from_nanos(u64::try_from(window).unwrap_or(u64::MAX)),
            passed: Mutex::default(),
        }
    }

    /// Waits until one more may go out. It counts from then on.
    pub(super) async fn wait(&self) {
        while let Err(until) = self.pass() {
            tokio::time::sleep_until(until).await;
        }
    }

    fn pass(&self) -> Result<(), Instant> {
        let now = Instant::now();
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.len() >= self.most {
            let free_at = passed.front().map_or(now, |oldest| *oldest + self.window);
            if free_at > now {
                return Err(free_at);
            }
            passed.pop_front();
        }
        passed.push_back(now);
        Ok(())
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// Bounds what is remembered for a rate that is no limit any more.
const BURST_MAX: u128 = 1000;
