//! A script out of a seed. What takes uploads away for a while is never longer than what the promise covers, and
//! two of those never follow upon each other at once; everything else may fall together as it likes.

use fastrand::Rng;

use super::manifests::SHORTER_RETENTION;
use super::script::{
    CLIENT_NAMED, Crash, DAY_S, Edit, FolderTrouble, SERVER_NAMED, Scene, Script, Trouble, What,
};

/// The promise holds for 0.9 of the margin. A retention that some manifests shorten gives the smallest: 40 h and 6 h.
const LONGEST_MIN: [u32; 2] = [(20 * 60 - 10) * 9 / 10, (3 * 60 - 1) * 9 / 10];
/// What was held up is made up for in this time.
const RECOVERY_S: u64 = 2 * 3600;

/// The script of a seed.
pub(crate) fn script(seed: u64, entries: u32, days: u32) -> Script {
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        script: Script { seed, entries, days, server_named: !seed.is_multiple_of(3), scenes: Vec::new() },
        taken: Vec::new(),
    };
    maker.hold_ups();
    maker.edits();
    maker.surprises();
    maker.script.scenes.sort_by_key(|scene| scene.at_s);
    maker.script
}

struct Maker {
    rng: Rng,
    script: Script,
    /// When uploads are held up already: provider, begin, end.
    taken: Vec<(u8, u64, u64)>,
}

impl Maker {
    /// About so many of a kind: one every `every_days`, and at least one in a run of that length.
    fn count(&mut self, every_days: u64) -> u64 {
        let days = u64::from(self.script.days);
        days / every_days + u64::from(self.rng.u64(0..every_days) < days % every_days)
    }

    /// A moment that leaves the first hour and the last day in peace.
    fn moment(&mut self, length_s: u64) -> Option<u64> {
        let end = (u64::from(self.script.days) * DAY_S).saturating_sub(DAY_S + length_s);
        (end > 3600).then(|| self.rng.u64(3600..end))
    }

    fn add(&mut self, at_s: u64, what: What) {
        self.script.scenes.push(Scene { at_s, what });
    }

    /// A free stretch of time for these providers.
    fn stretch(&mut self, providers: &[u8], length_s: u64) -> Option<u64> {
        for _ in 0..8 {
            let at = self.moment(length_s)?;
            let (from, to) = (at.saturating_sub(RECOVERY_S), at + length_s + RECOVERY_S);
            let is_free = |provider: &u8| {
                !self.taken.iter().any(|(other, begin, end)| other == provider && *begin < to && *end > from)
            };
            if providers.iter().all(is_free) {
                self.taken.extend(providers.iter().map(|provider| (*provider, at, at + length_s)));
                return Some(at);
            }
        }
        None
    }

    fn providers(&self) -> &'static [u8] {
        if self.script.server_named { &[CLIENT_NAMED, SERVER_NAMED] } else { &[CLIENT_NAMED] }
    }

    /// The longest that all of these providers' URLs endure.
    fn longest_min(providers: &[u8]) -> u32 {
        providers.iter().map(|provider| LONGEST_MIN[usize::from(*provider)]).min().unwrap_or(1)
    }

    /// Mostly short, and now and then as long as may be.
    fn minutes(&mut self, longest: u32) -> u32 {
        match self.rng.u32(0..4) {
            0 => longest,
            1 => self.rng.u32(1..=longest),
            _ => self.rng.u32(1..=longest.min(90)),
        }
    }

    /// Whatever takes uploads, or their publication, away for a while.
    fn hold_ups(&mut self) {
        for &provider in self.providers() {
            for _ in 0..self.count(4) {
                let trouble = self.trouble();
                let minutes = self.minutes(LONGEST_MIN[usize::from(provider)]);
                if let Some(at) = self.stretch(&[provider], u64::from(minutes) * 60) {
                    self.add(at, What::Provider { provider, trouble, minutes });
                }
            }
        }
        let all = self.providers();
        for _ in 0..self.count(12) {
            let minutes = self.minutes(Self::longest_min(all));
            let Some(at) = self.stretch(all, u64::from(minutes) * 60) else { continue };
            let down_s = minutes * 60;
            let what = match self.rng.u32(0..5) {
                0 => What::Suspend { minutes },
                1 | 2 => What::DiskFull { minutes },
                3 => What::Restart { down_s },
                _ => What::Crash { crash: self.crash(), points: self.rng.u32(0..40), down_s },
            };
            self.add(at, what);
        }
    }

    fn trouble(&mut self) -> Trouble {
        let percent = self.rng.u8(5..60);
        match self.rng.u32(0..9) {
            0 | 1 => Trouble::Refuses,
            2 => Trouble::TimesOut,
            3 => Trouble::Fails,
            4 => Trouble::Throttles {
                retry_after_s: [None, Some(1), Some(90), Some(3_600), Some(1_000_000)][self.rng.usize(0..5)],
            },
            5 => Trouble::Revokes,
            6 => Trouble::LosesAnswers { percent },
            7 => Trouble::IsSlow { seconds: self.rng.u16(1..150) },
            _ => Trouble::IsFlaky { percent },
        }
    }

    fn crash(&mut self) -> Crash {
        if self.rng.bool() { Crash::Kill } else { Crash::PowerCut { choice: self.rng.u64(0..1 << 32) } }
    }

    fn edits(&mut self) {
        let files = self.script.files();
        for _ in 0..self.count(1) {
            let edit = match self.rng.u32(0..14) {
                0..4 => Edit::Write,
                4..6 => Edit::RenameOver,
                6 => Edit::Unnoticed,
                7..9 => Edit::Revert,
                9 => Edit::Spoil,
                10 | 11 => Edit::Recreate { gap_s: self.rng.u32(0..100) },
                _ => Edit::Delete { minutes: self.rng.u32(1..6000) },
            };
            let back_s = match edit {
                Edit::Delete { minutes } => u64::from(minutes) * 60,
                _ => 0,
            };
            let file = self.rng.u32(0..files);
            if let Some(at) = self.moment(back_s) {
                self.add(at, What::Edit { file, edit });
            }
        }
    }

    /// What may happen at any time, in the middle of anything else.
    fn surprises(&mut self) {
        for _ in 0..self.count(3) {
            let what =
                What::Crash { crash: self.crash(), points: self.rng.u32(0..60), down_s: self.rng.u32(0..30) };
            self.surprise(0, what);
        }
        for _ in 0..self.count(20) {
            let minutes = self.rng.u32(1..3000);
            let hours = self.rng.i64(1..73) * 3600;
            let jump_s = [hours, -hours, -hours, -20 * 365 * 86_400, 30][self.rng.usize(0..5)];
            self.surprise(minutes, What::Clock { jump_s, minutes });
        }
        for _ in 0..self.count(15) {
            let trouble = [
                FolderTrouble::Vanishes,
                FolderTrouble::IsEmpty,
                FolderTrouble::IsUnreadable,
                FolderTrouble::Hangs,
                FolderTrouble::IsAnother,
            ][self.rng.usize(0..5)];
            let minutes = self.minutes(4000);
            self.surprise(minutes, What::Folder { trouble, minutes });
        }
        for _ in 0..self.count(30) {
            let (variant, minutes) = (self.rng.u8(1..5), self.rng.u32(1..1000));
            let what = What::Manifest { variant, minutes };
            if variant != SHORTER_RETENTION {
                self.surprise(minutes, what);
            } else if let Some(at) = self.stretch(&[CLIENT_NAMED], 60) {
                // It takes from everything what an outage would, so it does not come on top of one.
                self.add(at, what);
            }
        }
        for _ in 0..self.count(40) {
            let provider = self.providers()[self.rng.usize(0..self.providers().len())];
            let percent = self.rng.u8(1..20);
            self.surprise(0, What::EarlySweep { provider, percent });
        }
        for _ in 0..self.count(25) {
            self.surprise(0, What::SyncFails);
        }
        for _ in 0..self.count(25) {
            let down_s = self.rng.u32(0..60);
            self.surprise(0, What::Restart { down_s });
        }
    }

    fn surprise(&mut self, minutes: u32, what: What) {
        if let Some(at) = self.moment(u64::from(minutes) * 60) {
            self.add(at, what);
        }
    }
}
