//! Whether the manifest in force is remembered as a good one, for a day on which the present one is broken.

use std::time::Duration;

use tokio::time::Instant;

use super::Remember;

pub(super) struct Memory {
    remember: Remember,
    stands: Stands,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Forgotten,
    /// It could not be written; when to try again.
    Failed(Instant),
    UnderWay,
    Remembered,
}

impl Memory {
    pub(super) fn new(remember: Remember) -> Self {
        Self { remember, stands: Stands::Forgotten }
    }

    /// What remembers it, where it is time for that. The answer is due then.
    pub(super) fn begin(&mut self) -> Option<Remember> {
        let due = match self.stands {
            Stands::Forgotten => true,
            Stands::Failed(until) => until <= Instant::now(),
            Stands::UnderWay | Stands::Remembered => false,
        };
        due.then(|| {
            self.stands = Stands::UnderWay;
            self.remember.clone()
        })
    }

    /// What was remembered may have gone with the state folder.
    pub(super) fn may_be_lost(&mut self) {
        if self.stands == Stands::Remembered {
            self.stands = Stands::Forgotten;
        }
    }

    /// The answer came. While none is due it is about a manifest that is not in force any more.
    pub(super) fn answered(&mut self, remembered: bool) {
        if self.stands == Stands::UnderWay {
            self.stands =
                if remembered { Stands::Remembered } else { Stands::Failed(Instant::now() + AGAIN) };
        }
    }
}

const AGAIN: Duration = Duration::from_secs(30);
