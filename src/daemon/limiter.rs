//! Lets requests through at a rate: never more of them in any stretch of time than the rate allows for it.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::domain::manifest::Rate;

pub(super) struct Limiter(RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>);

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        let requests = rate.requests.max(1);
        // What may go out at once comes on top of what is granted as time goes by, so it is taken off that. It need not
        // be more than what falls due while a timer is late.
        let at_once = u128::from(requests) * TIMER_SLACK.as_nanos() / rate.per.as_nanos().max(1);
        let at_once = u32::try_from(at_once).unwrap_or(u32::MAX).clamp(1, requests);
        let each = (rate.per / (requests - at_once + 1)).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(each).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN));
        Self(RateLimiter::direct_with_clock(quota.allow_burst(burst), TokioClock))
    }

    /// Waits until one more may go out. It counts from then on.
    pub(super) async fn wait(&self) {
        while let Err(until) = self.0.check() {
            tokio::time::sleep(until.wait_time_from(TokioClock.now())).await;
        }
    }
}

/// A timer of the runtime counts in milliseconds, and a busy machine makes it late.
const TIMER_SLACK: Duration = Duration::from_millis(10);

/// The runtime's clock, which tests can stop.
#[derive(Clone, Debug)]
struct TokioClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl governor::clock::Clock for TokioClock {
    type Instant = Moment;
    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, length: Nanos) -> Self {
        Self(self.0.checked_sub(length.into()).unwrap_or(self.0))
    }
}

impl std::ops::Add<Nanos> for Moment {
    type Output = Self;
    fn add(self, length: Nanos) -> Self {
        Self(self.0 + Duration::from(length))
    }
}
