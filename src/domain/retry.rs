//! When to try again: backoff of an entry, breaker and pause of an account. Randomness is an argument.

use std::time::Duration;

use super::failure::FailureClass;
use super::lease::LeaseTerms;
use super::time::Timestamp;

/// How long to wait after a failed attempt: anywhere between a short floor and a ceiling that doubles with each
/// attempt, but never so long that it would eat the time that is left.
///
/// `attempts` counts the failed ones, `time_left` is what remains of the live handle (zero where there is none),
/// `random` is in `0.0..=1.0`.
#[must_use]
pub fn backoff(attempts: u32, time_left: Duration, terms: &LeaseTerms, random: f64) -> Duration {
    let floor = BACKOFF_FLOOR.min(terms.life / 200);
    let cap = BACKOFF_MAX.min(time_left.max(terms.life / 20) / 8);
    let doubled = BACKOFF_START.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let ceiling = doubled.min(cap).max(floor);
    floor + ceiling.saturating_sub(floor).mul_f64(random.clamp(0.0, 1.0))
}

/// How long refused content rests: trying again changes nothing unless the provider changed its mind.
#[must_use]
pub fn refused_content_rest(terms: &LeaseTerms) -> Duration {
    REFUSED_REST_MAX.min(terms.margin / 4)
}

/// How long a provider's wish to wait is honoured: never so long that a URL would die of it.
#[must_use]
pub fn honoured_wait(wish: Duration, shortest_time_left: Option<Duration>, terms: &LeaseTerms) -> Duration {
    let cap = terms.margin / 4;
    wish.min(shortest_time_left.map_or(cap, |left| cap.min(left / 2)))
}

/// What one entry waits for before a certain upload is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Failed attempts in a row.
    pub attempts: u32,
    /// When it opens, on the steady clock; `None` while it is open.
    pub closed_until: Option<Timestamp>,
}

impl Gate {
    /// Whether an attempt may be made now.
    #[must_use]
    pub fn is_open(&self, steady: Timestamp) -> bool {
        self.closed_until.is_none_or(|until| until <= steady)
    }

    /// Notes a failed attempt and stays shut for a while.
    pub fn shut(&mut self, steady: Timestamp, wait: Duration) {
        self.attempts = self.attempts.saturating_add(1);
        self.closed_until = Some(steady + wait);
    }
}

/// Stops an account's requests when each of them would fail: one probe goes out instead of every entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures_in_a_row: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    class: FailureClass,
    until: Timestamp,
    wait: Duration,
    probes: u32,
}

/// What an outcome did to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum BreakerChange {
    /// It stays as it was.
    Unchanged,
    /// It opened: nothing but probes goes out.
    Opened,
    /// It closed again.
    Closed,
}

impl Breaker {
    /// How many requests may be in flight at once: all, a probe, or none.
    #[must_use]
    pub fn allowance(&self, steady: Timestamp) -> Allowance {
        match &self.open {
            None => Allowance::All,
            Some(open) if open.until <= steady => Allowance::Probe,
            Some(_) => Allowance::Nothing,
        }
    }

    /// Why it is open, if it is.
    #[must_use]
    pub fn open_for(&self) -> Option<FailureClass> {
        self.open.map(|open| open.class)
    }

    /// When the next probe may go out, if it is open.
    #[must_use]
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open.map(|open| open.until)
    }

    /// How many probes have failed since it opened.
    #[must_use]
    pub fn failed_probes(&self) -> u32 {
        self.open.map_or(0, |open| open.probes)
    }

    /// The provider answered as it should.
    pub fn on_success(&mut self) -> BreakerChange {
        let was_open = self.open.take().is_some();
        self.failures_in_a_row = 0;
        if was_open { BreakerChange::Closed } else { BreakerChange::Unchanged }
    }

    /// A request failed. `shortest_left` is what remains of the live handle in the account that ends first.
    pub fn on_failure(
        &mut self,
        class: FailureClass,
        steady: Timestamp,
        terms: &LeaseTerms,
        shortest_left: Option<Duration>,
    ) -> BreakerChange {
        if !class.counts_against_provider() {
            return match class {
                FailureClass::ContentRefused => self.on_success(),
                _ => BreakerChange::Unchanged,
            };
        }
        self.failures_in_a_row += 1;
        if let Some(open) = &mut self.open {
            // Requests that were under way when it opened fail as well; only a probe's failure doubles the wait.
            if open.until <= steady {
                open.wait = open.wait.saturating_mul(2).min(longest_wait(class, terms, shortest_left));
                open.until = steady + open.wait;
                open.probes += 1;
                open.class = class;
            }
            return BreakerChange::Unchanged;
        }
        if !class.opens_breaker_at_once() && self.failures_in_a_row < BREAKER_FAILURES {
            return BreakerChange::Unchanged;
        }
        let wait = first_wait(terms);
        self.open = Some(Open { class, until: steady + wait, wait, probes: 0 });
        BreakerChange::Opened
    }

    /// Lets a probe out at this moment at the latest.
    pub fn probe_by(&mut self, at: Timestamp) {
        if let Some(open) = &mut self.open {
            open.until = open.until.min(at);
        }
    }

    /// Somebody may have mended it: a probe goes out now, and waits begin anew.
    pub fn start_over(&mut self, steady: Timestamp, terms: &LeaseTerms) {
        if let Some(open) = &mut self.open {
            (open.until, open.wait) = (open.until.min(steady), first_wait(terms));
        }
    }
}

fn first_wait(terms: &LeaseTerms) -> Duration {
    BREAKER_START.min(terms.margin / 20)
}

/// The longest wait between two probes. What only a person can mend is asked for less and less often, as far as no URL
/// is at stake: a day of it comes to thirty requests at most, with four at once. What has lapsed or was never there is
/// wanted all the same, and nothing tells us that the provider's mind has changed: so often is as soon as that allows.
fn longest_wait(class: FailureClass, terms: &LeaseTerms, shortest_left: Option<Duration>) -> Duration {
    let usual = usual_longest_wait(terms);
    if !class.opens_breaker_at_once() {
        return usual;
    }
    let patient = BREAKER_MAX_FOR_PEOPLE.min(terms.margin / 2);
    usual.max(shortest_left.map_or(patient, |left| patient.min(left / 4)))
}

/// The longest wait between two probes of a provider that may mend itself. So often credentials are looked up again,
/// too, which asks nobody.
#[must_use]
pub fn usual_longest_wait(terms: &LeaseTerms) -> Duration {
    BREAKER_MAX.min(terms.margin / 4)
}

/// How many requests may be in flight at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// As many as the account's concurrency allows.
    All,
    /// One, to find out.
    Probe,
    /// None.
    Nothing,
}

const BACKOFF_FLOOR: Duration = Duration::from_secs(1);
const BACKOFF_START: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
const REFUSED_REST_MAX: Duration = Duration::from_secs(86_400);
const BREAKER_FAILURES: u32 = 5;
const BREAKER_START: Duration = Duration::from_secs(60);
const BREAKER_MAX: Duration = Duration::from_secs(900);
/// A day begins with at most as many requests as go out at once and six probes after 1, 2, 4 … minutes: with four, 29.
const BREAKER_MAX_FOR_PEOPLE: Duration = Duration::from_secs(70 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> LeaseTerms {
        LeaseTerms::new(Duration::from_secs(48 * 3600), None)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn waits_double_up_to_five_minutes() {
        let left = Duration::from_secs(24 * 3600);
        let longest: Vec<u64> = (1..=12).map(|n| backoff(n, left, &terms(), 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!((1..=12).all(|n| backoff(n, left, &terms(), 0.0) == Duration::from_secs(1)));
    }

    #[test]
    fn waits_shrink_with_the_time_that_is_left() {
        let terms = LeaseTerms::new(Duration::from_secs(20), None);
        for left in [0, 1, 5] {
            let wait = backoff(30, Duration::from_secs(left), &terms, 1.0);
            assert!(
                wait <= Duration::from_secs(left).max(terms.life / 20) / 8,
                "{wait:?} with {left} s left"
            );
        }
    }

    #[test]
    fn refused_content_rests_for_a_quarter_of_the_margin_and_a_day_at_most() {
        assert_eq!(refused_content_rest(&terms()), terms().margin / 4);
        let year = LeaseTerms::new(Duration::from_secs(365 * 86_400), None);
        assert_eq!(refused_content_rest(&year), Duration::from_secs(86_400));
    }

    #[test]
    fn a_providers_wish_to_wait_never_kills_a_url() {
        let day = Duration::from_secs(86_400);
        assert_eq!(honoured_wait(Duration::from_secs(5), None, &terms()), Duration::from_secs(5));
        assert_eq!(honoured_wait(day, None, &terms()), terms().margin / 4);
        let left = Duration::from_secs(600);
        assert_eq!(honoured_wait(day, Some(left), &terms()), left / 2);
    }

    #[test]
    fn five_failures_in_a_row_open_the_breaker_and_a_success_closes_it() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(
                breaker.on_failure(FailureClass::Unavailable, at(0), &terms(), None),
                BreakerChange::Unchanged
            );
        }
        assert_eq!(breaker.on_failure(FailureClass::Ambiguous, at(0), &terms(), None), BreakerChange::Opened);
        assert_eq!(breaker.allowance(at(59)), Allowance::Nothing);
        assert_eq!(breaker.allowance(at(60)), Allowance::Probe);
        assert_eq!(breaker.on_success(), BreakerChange::Closed);
        assert_eq!(breaker.allowance(at(60)), Allowance::All);
    }

    #[test]
    fn a_refused_credential_opens_it_at_once_and_each_failed_probe_doubles_the_wait() {
        let mut breaker = Breaker::default();
        assert_eq!(
            breaker.on_failure(FailureClass::CredentialsRefused, at(0), &terms(), None),
            BreakerChange::Opened
        );
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let until = breaker.open_until().unwrap();
            waits.push(until.saturating_since(now).as_secs());
            now = until;
            assert_eq!(
                breaker.on_failure(FailureClass::CredentialsRefused, now, &terms(), None),
                BreakerChange::Unchanged
            );
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3840, 4200, 4200, 4200]);
        assert_eq!(breaker.failed_probes(), 10);
        breaker.start_over(now, &terms());
        assert_eq!(breaker.open_until(), Some(now));
        let _ = breaker.on_failure(FailureClass::CredentialsRefused, now, &terms(), None);
        assert_eq!(breaker.open_until(), Some(now + Duration::from_secs(120)), "waits begin anew");
    }

    #[test]
    fn probes_come_as_often_as_ever_where_a_url_is_at_stake_or_the_provider_may_mend_itself() {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let (short, shorter) = (LeaseTerms::new(hours(6), None), LeaseTerms::new(hours(1), None));
        for (class, terms, left, longest) in [
            (FailureClass::Unavailable, terms(), None, 900),
            (FailureClass::Unreachable, short, None, 900),
            (FailureClass::CredentialsRefused, terms(), None, 4200),
            (FailureClass::AddressUnknown, terms(), Some(hours(20)), 4200),
            (FailureClass::CredentialsRefused, terms(), Some(hours(4)), 3600),
            (FailureClass::CredentialsRefused, terms(), Some(hours(1)), 900),
            (FailureClass::CredentialsRefused, terms(), Some(Duration::ZERO), 900),
            (FailureClass::CredentialsRefused, short, None, 4200),
            (FailureClass::CredentialsRefused, shorter, None, shorter.margin.as_secs() / 2),
        ] {
            let wait = longest_wait(class, &terms, left);
            assert_eq!(wait.as_secs(), longest, "{class} {left:?}");
        }
    }

    #[test]
    fn failures_of_requests_already_under_way_do_not_prolong_the_wait() {
        let mut breaker = Breaker::default();
        let _ = breaker.on_failure(FailureClass::CredentialsRefused, at(0), &terms(), None);
        for second in 1..4 {
            let _ = breaker.on_failure(FailureClass::CredentialsRefused, at(second), &terms(), None);
        }
        assert_eq!(breaker.open_until(), Some(at(60)));
    }

    #[test]
    fn refused_content_says_nothing_against_the_provider() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            assert_eq!(
                breaker.on_failure(FailureClass::ContentRefused, at(0), &terms(), None),
                BreakerChange::Unchanged
            );
        }
        assert_eq!(breaker.allowance(at(0)), Allowance::All);
    }

    #[test]
    fn new_credentials_let_a_probe_out_at_once() {
        let mut breaker = Breaker::default();
        let _ = breaker.on_failure(FailureClass::CredentialsRefused, at(0), &terms(), None);
        breaker.probe_by(at(3));
        assert_eq!(breaker.allowance(at(3)), Allowance::Probe);
    }
}
