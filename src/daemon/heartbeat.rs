//! Whether the loop goes on: when it last took a turn, for those who watch over it from outside.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The loop has stopped where it took no turn for so long. It never sleeps longer than 30 s (the longest tick), and a
/// turn waits for nothing; so twice that is a loop that hangs, not a busy machine.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// When the loop last took a turn. By the clock that its own timers go by, which stands still while the machine is
/// suspended: or else every resume would look like a loop that hangs.
#[derive(Debug)]
pub struct Heartbeat {
    origin: Instant,
    beat_ms: AtomicU64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { origin: Instant::now(), beat_ms: AtomicU64::new(0) }
    }
}

impl Heartbeat {
    /// The loop took a turn.
    pub fn beat(&self) {
        self.beat_ms.store(millis(self.origin.elapsed()), Ordering::Relaxed);
    }

    /// The time since the last turn; since the start where there was none yet.
    #[must_use]
    pub fn age(&self) -> Duration {
        let beat = Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        self.origin.elapsed().saturating_sub(beat)
    }

    /// Whether the loop has stopped.
    #[must_use]
    pub fn has_stalled(&self) -> bool {
        self.age() >= STALLED_AFTER
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_sleeps_its_longest_goes_on_and_one_that_misses_two_turns_has_stalled() {
        let heartbeat = Heartbeat::default();
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(30)).await;
            assert!(!heartbeat.has_stalled(), "{:?}", heartbeat.age());
            heartbeat.beat();
        }
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!heartbeat.has_stalled());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(heartbeat.has_stalled());
        heartbeat.beat();
        assert_eq!(heartbeat.age(), Duration::ZERO);
    }
}
