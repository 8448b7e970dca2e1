//! From a retention to the moments that matter: when a handle is renewed, when that is urgent, when it ends.

use std::time::Duration;

use super::asset::EntryKey;
use super::state::Handle;
use super::time::{Now, Timestamp};

/// The lengths of time that follow from a provider's retention. Every figure scales with the retention, so that
/// twenty seconds are as good a life as a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// How long we count on a handle to live: the retention less a safety for clocks and latency.
    pub life: Duration,
    /// How long before its end a handle is renewed.
    pub margin: Duration,
}

impl LeaseTerms {
    /// The terms for a retention; `margin` is the manifest's wish, which is kept within an eighth and a half of
    /// the life.
    #[must_use]
    pub fn new(retention: Duration, margin: Option<Duration>) -> Self {
        let life = retention.saturating_sub(SAFETY_MAX.min(retention / 20));
        let usual = if life < LONG_LIFE { life / 2 } else { life / 3 };
        Self { life, margin: margin.unwrap_or(usual).clamp(life / 8, life / 2) }
    }

    /// When a handle whose request was sent at `sent` surely still lives.
    #[must_use]
    pub fn end_of(&self, sent: Timestamp) -> Timestamp {
        (sent + self.life).floor_to_second()
    }

    /// The time before the end in which a renewal is urgent and told as a risk.
    #[must_use]
    pub fn urgent_window(&self) -> Duration {
        self.life / 20
    }

    /// The shortest time between two successful renewals of the same content.
    #[must_use]
    pub fn renewal_gap(&self) -> Duration {
        self.life / 20
    }

    /// How long the loop may sleep without looking at the clock: a suspended machine freezes timers.
    #[must_use]
    pub fn tick(&self) -> Duration {
        TICK_MAX.min(self.margin / 100).max(Duration::from_millis(1))
    }

    /// How long a mere renewal may wait until readers see it.
    #[must_use]
    pub fn publication_delay(&self) -> Duration {
        PUBLICATION_DELAY_MAX.min(self.margin / 20)
    }

    /// How long one request may take in all, for a body of this many bytes.
    #[must_use]
    pub fn time_limit(&self, bytes: u64) -> Duration {
        let transfer = Duration::from_millis(bytes.saturating_mul(1000) / SLOWEST_BYTES_PER_S);
        (REQUEST_TIME_MIN + transfer).min(self.margin / 4)
    }

    /// The moments of a handle, on the steady clock.
    #[must_use]
    pub fn schedule(&self, key: &EntryKey, handle: &Handle, now: Now) -> Schedule {
        let end = handle.steady_expires_at.min(on_steady_clock(handle.expires_at, now));
        let from_the_future = handle.uploaded_at > now.wall || handle.expires_at > now.wall + self.life;
        let renew_at =
            if from_the_future { now.steady } else { end - self.margin - self.jitter(key, handle) };
        Schedule { renew_at, urgent_at: end - self.urgent_window(), lapse_at: handle.steady_expires_at }
    }

    /// Up to a tenth of the life, the same for the same handle: spreads what was uploaded together.
    fn jitter(&self, key: &EntryKey, handle: &Handle) -> Duration {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key.path.as_str().as_bytes()).update(b"\0").update(key.provider.as_str().as_bytes());
        hasher.update(&handle.uploaded_at.unix_ms().to_le_bytes());
        let digest = hasher.finalize();
        let share = u32::from_le_bytes(*digest.as_bytes().first_chunk().expect("a hash has 32 bytes"));
        (self.life / 10).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }
}

/// The moments of a handle, all on the steady clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From here it is renewed.
    pub renew_at: Timestamp,
    /// From here its renewal goes first and is told as a risk.
    pub urgent_at: Timestamp,
    /// From here it is dead, as far as the clock that nobody can set tells.
    pub lapse_at: Timestamp,
}

/// Where a moment of the wall clock lies on the steady clock, as the two stand now.
#[must_use]
pub fn on_steady_clock(moment: Timestamp, now: Now) -> Timestamp {
    Timestamp::from_unix_ms(moment.unix_ms() - now.wall.unix_ms() + now.steady.unix_ms())
}

/// Providers count from the moment they stored a media, we from the moment we sent it; this covers rounding and
/// sweeps that come a little early.
const SAFETY_MAX: Duration = Duration::from_secs(60);
/// From this life on a third of it is margin enough.
const LONG_LIFE: Duration = Duration::from_secs(10 * 86_400);
const TICK_MAX: Duration = Duration::from_secs(30);
const PUBLICATION_DELAY_MAX: Duration = Duration::from_secs(600);
const REQUEST_TIME_MIN: Duration = Duration::from_secs(60);
const SLOWEST_BYTES_PER_S: u64 = 32_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{handle, key};

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * 3600)
    }

    #[test]
    fn the_margin_is_half_of_a_short_life_and_a_third_of_a_long_one() {
        let two_days = LeaseTerms::new(hours(48), None);
        assert_eq!(two_days.life, Duration::from_secs(48 * 3600 - 60));
        assert_eq!(two_days.margin, two_days.life / 2);
        let year = LeaseTerms::new(hours(24 * 365), None);
        assert_eq!(year.margin, year.life / 3);
    }

    #[test]
    fn a_wished_margin_stays_within_an_eighth_and_a_half_of_the_life() {
        for (wish, share) in [(hours(1), 8), (hours(40), 2)] {
            let terms = LeaseTerms::new(hours(48), Some(wish));
            assert_eq!(terms.margin, terms.life / share);
        }
        assert_eq!(LeaseTerms::new(hours(48), Some(hours(12))).margin, hours(12));
    }

    #[test]
    fn renews_between_the_margin_and_a_tenth_of_the_life_earlier() {
        let terms = LeaseTerms::new(hours(6), None);
        let now = Now::at(Timestamp::from_unix_ms(1_000_000_000));
        for number in 0..200 {
            let handle = handle(b"x", now.wall, &terms);
            let schedule = terms.schedule(&key(&format!("f{number}"), "plivo"), &handle, now);
            let latest = handle.expires_at - terms.margin;
            assert!(schedule.renew_at <= latest && schedule.renew_at >= latest - terms.life / 10);
        }
    }

    #[test]
    fn what_was_uploaded_together_is_renewed_apart_and_always_at_the_same_moment() {
        let terms = LeaseTerms::new(hours(48), None);
        let now = Now::at(Timestamp::from_unix_ms(1_000_000_000));
        let handle = handle(b"x", now.wall, &terms);
        let earlier = |number: u32| {
            let key = key(&format!("f{number}"), "plivo");
            let schedule = terms.schedule(&key, &handle, now);
            assert_eq!(terms.schedule(&key, &handle, now), schedule);
            (handle.expires_at - terms.margin).saturating_since(schedule.renew_at)
        };
        let tenth = terms.life / 100;
        let mut in_each_tenth = [0; 10];
        for number in 0..1_000 {
            in_each_tenth[(earlier(number).as_millis() / tenth.as_millis()).min(9) as usize] += 1;
        }
        assert!(in_each_tenth.iter().all(|count| (60..140).contains(count)), "{in_each_tenth:?}");
        // Each upload at another moment, or else those that met once would meet each time.
        let next = Handle { uploaded_at: handle.uploaded_at + hours(24), ..handle.clone() };
        assert_ne!(terms.jitter(&key("f0", "plivo"), &handle), terms.jitter(&key("f0", "plivo"), &next));
    }

    #[test]
    fn the_earlier_of_wall_clock_and_boot_time_counts_for_a_renewal_and_boot_time_alone_for_a_lapse() {
        let terms = LeaseTerms::new(hours(48), None);
        let start = Timestamp::from_unix_ms(1_000_000_000_000);
        let key = key("a.png", "bandwidth");
        let handle = handle(b"x", start, &terms);
        let forward = Now { wall: start + hours(72), steady: start + hours(1) };
        let schedule = terms.schedule(&key, &handle, forward);
        assert!(schedule.renew_at <= forward.steady, "the wall clock says that it is due");
        assert!(schedule.lapse_at > forward.steady, "boot time does not say that it is dead");
        let backward = Now { wall: start + hours(1), steady: start + hours(40) };
        assert!(terms.schedule(&key, &handle, backward).renew_at <= backward.steady);
    }

    #[test]
    fn an_upload_from_the_future_is_due_at_once() {
        let terms = LeaseTerms::new(hours(48), None);
        let now = Now::at(Timestamp::from_unix_ms(1_000_000_000_000));
        let handle = handle(b"x", now.wall + hours(5), &terms);
        assert_eq!(terms.schedule(&key("a.png", "b"), &handle, now).renew_at, now.steady);
    }

    #[test]
    fn a_request_has_a_minute_and_time_for_its_bytes_but_no_more_than_a_quarter_of_the_margin() {
        let two_days = LeaseTerms::new(hours(48), None);
        assert_eq!(two_days.time_limit(0), Duration::from_secs(60));
        assert_eq!(two_days.time_limit(3_200_000), Duration::from_secs(160));
        let minutes = LeaseTerms::new(Duration::from_secs(480), None);
        assert_eq!(minutes.time_limit(0), minutes.margin / 4);
    }

    #[test]
    fn ten_seconds_of_retention_leave_room_for_every_moment() {
        let terms = LeaseTerms::new(Duration::from_secs(10), None);
        assert!(terms.tick() < terms.urgent_window());
        assert!(terms.publication_delay() < terms.margin / 10);
        assert!(terms.time_limit(3_500_000) < terms.margin);
    }
}
