//! How long a campaign is, what it draws by lot, and what it tells.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::time::Duration;

/// So much in the short form, so much in the long one.
pub(crate) fn scale(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

pub(crate) fn is_long() -> bool {
    std::env::var_os("MEDIAKEEP_CAMPAIGN").is_some_and(|form| form == "long")
}

/// Says how a campaign went. Straight to standard error: what tests print is hidden if they pass.
pub(crate) fn tell(figures: &str) {
    drop(writeln!(std::io::stderr(), "campaign: {figures}"));
}

/// Numbers drawn by lot, which the same seed draws again (splitmix64).
pub(crate) struct Dice {
    pub(crate) seed: u64,
    state: u64,
}

impl Dice {
    /// With the seed of `MEDIAKEEP_SEED`, or another one each time.
    pub(crate) fn new() -> Self {
        let given = std::env::var("MEDIAKEEP_SEED").ok();
        let seed =
            given.map_or_else(|| RandomState::new().build_hasher().finish(), |seed| seed.parse().unwrap());
        Self::with(seed)
    }

    pub(crate) const fn with(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// One more of its kind, with numbers of its own.
    pub(crate) fn another(&mut self) -> Self {
        Self::with(self.next())
    }

    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn millis_below(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}
