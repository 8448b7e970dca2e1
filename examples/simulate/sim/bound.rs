//! How many requests there may be: what is due by the lives of the media and by edits, a fifth more, and for failures
//! a number that follows from how long they last, never from how many entries there are.

use std::collections::BTreeMap;

use super::manifests::{CONCURRENCY, PROVIDERS};
use super::script::{DAY_S, Edit, Script, Trouble, What};

#[derive(Debug)]
pub(crate) struct Bound {
    /// Entries by provider.
    entries: [u64; 2],
    days: u64,
    requests: [u64; 2],
    /// How often everything may be tried at once: a process that begins knows of no failure, and new credentials
    /// may have mended one.
    beginnings: u64,
    /// What is allowed beyond what is due.
    allowed: u64,
    windows: BTreeMap<usize, (u64, u64)>,
}

/// Until an account's breaker is open, and while its wait doubles from one minute to fifteen.
const UNTIL_PATIENT: u64 = CONCURRENCY as u64 * 2 + 5 + 5;
const PROBE_EVERY_S: u64 = 15 * 60;
/// A throttled account waits so long at most, or a 160th of a life, and then tries as many at once as it may.
const THROTTLED_S: u64 = 300;

/// How many seconds there are to a request, once an account has become patient.
fn patience_s(provider: u8, trouble: Trouble) -> u64 {
    match trouble {
        Trouble::Throttles { .. } => {
            THROTTLED_S.min(life_s(usize::from(provider)) / 160) / CONCURRENCY as u64
        }
        _ => PROBE_EVERY_S,
    }
}

fn life_s(provider: usize) -> u64 {
    u64::try_from(PROVIDERS[provider].1).unwrap_or(0) / 1000 - 60
}

impl Bound {
    pub(crate) fn new(script: &Script) -> Self {
        let doubled = u64::from(script.doubled());
        Self {
            entries: [u64::from(script.files()), doubled],
            days: u64::from(script.days),
            requests: [0; 2],
            beginnings: 0,
            allowed: 0,
            windows: BTreeMap::new(),
        }
    }

    fn all_entries(&self) -> u64 {
        self.entries.iter().sum()
    }

    pub(crate) fn request(&mut self, provider: u8) {
        self.requests[usize::from(provider)] += 1;
    }

    pub(crate) fn process_starts(&mut self, clock_trusted: bool) {
        self.beginnings += 1;
        // What was under way is done again. By a clock that went wrong everything is due.
        self.allowed += 2 * CONCURRENCY as u64 + 2;
        if !clock_trusted {
            self.allowed += self.all_entries();
        }
    }

    pub(crate) fn begin(&mut self, scene: usize, what: &What) {
        match what {
            What::Edit { edit, .. } => {
                self.allowed += 4;
                if *edit == Edit::Spoil {
                    // Refused content is offered again each quarter of a margin: 4 and 33 times a day.
                    self.allowed += self.days * 38;
                }
            }
            // Other terms, and the ones before again.
            What::Manifest { .. } => {
                self.allowed += 2 * self.all_entries();
                self.beginnings += 2;
            }
            // Wrong and right again, each of which makes everything due.
            What::Clock { .. } => self.allowed += 3 * self.all_entries(),
            What::Provider { provider, trouble, minutes } => {
                let requests = self.requests[usize::from(*provider)];
                self.windows.insert(scene, (requests, self.beginnings));
                let length_s = u64::from(*minutes) * 60;
                self.allowed += UNTIL_PATIENT + length_s / patience_s(*provider, *trouble).min(60);
                let due = self.due(usize::from(*provider), length_s);
                self.allowed += match trouble {
                    // One in a hundred and so on fails, and again.
                    Trouble::LosesAnswers { .. } | Trouble::IsFlaky { .. } => 2 * due,
                    Trouble::IsSlow { .. } => due,
                    _ => due / 10,
                };
            }
            _ => {}
        }
    }

    /// A provider that was in trouble is not any more: says so if it was asked too often meanwhile.
    pub(crate) fn end(&mut self, scene: usize, what: &What) -> Option<String> {
        let What::Provider { provider, trouble, minutes } = what else {
            if matches!(what, What::Manifest { .. }) {
                self.beginnings += 1;
            }
            return None;
        };
        let (requests, beginnings) = self.windows.remove(&scene)?;
        if !trouble.is_total() {
            return None;
        }
        let made = self.requests[usize::from(*provider)] - requests;
        let length_s = u64::from(*minutes) * 60;
        let paced = length_s / patience_s(*provider, *trouble) + 2;
        let allowed = (1 + self.beginnings - beginnings) * UNTIL_PATIENT + paced;
        (made > allowed)
            .then(|| format!("{made} requests in {minutes} min of {trouble:?}, at most {allowed}"))
    }

    /// A life is renewed at the latest when half of it is over, and at the earliest a tenth before.
    fn due(&self, provider: usize, length_s: u64) -> u64 {
        self.entries[provider] * length_s * 100 / (life_s(provider) * 45)
    }

    pub(crate) fn at_the_end(&self) -> Option<String> {
        let made: u64 = self.requests.iter().sum();
        let due: u64 = (0..2).map(|provider| self.due(provider, self.days * DAY_S)).sum();
        let allowed = (due + self.all_entries()) * 12 / 10 + self.allowed;
        (made > allowed).then(|| format!("{made} requests in all, at most {allowed}"))
    }
}
