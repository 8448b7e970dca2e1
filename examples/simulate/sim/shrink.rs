//! Makes a failing script small: fewer days, fewer entries, fewer and shorter scenes, as long as the same rule is
//! still broken.

use super::judge::{Rule, Violation};
use super::script::{Edit, Script, What};
use super::world::{Options, play};

/// So many runs are spent on it at most,
const RUNS_MAX: usize = 400;
/// and so many times the work of the script that failed, so that a long one does not take hours.
const WORK_MAX: u64 = 10;

/// The smallest script that was found to break a rule, and how it does.
pub(crate) fn shrink(script: &Script, first: &Violation, options: Options) -> (Script, Violation) {
    let options = Options { trace: false, ..options };
    let mut shrinker = Shrinker {
        best: script.clone(),
        violation: first.clone(),
        rule: first.rule,
        options,
        runs: 0,
        work_left: WORK_MAX * work(script),
    };
    shrinker.cut_days();
    shrinker.cut_entries();
    shrinker.drop_scenes();
    shrinker.cut_days();
    shrinker.shorten_scenes();
    shrinker.drop_scenes();
    (shrinker.best, shrinker.violation)
}

struct Shrinker {
    best: Script,
    violation: Violation,
    rule: Rule,
    options: Options,
    runs: usize,
    work_left: u64,
}

/// About how long a run takes.
fn work(script: &Script) -> u64 {
    u64::from(script.entries) * u64::from(script.days)
}

impl Shrinker {
    fn is_spent(&self) -> bool {
        self.runs >= RUNS_MAX || self.work_left == 0
    }

    /// Takes a script over if it still breaks the rule.
    fn try_out(&mut self, script: Script) -> bool {
        if script == self.best || self.is_spent() {
            return false;
        }
        self.runs += 1;
        self.work_left = self.work_left.saturating_sub(work(&script));
        let broken = play(&script, self.options).violations;
        let Some(violation) = broken.into_iter().find(|violation| violation.rule == self.rule) else {
            return false;
        };
        (self.best, self.violation) = (script, violation);
        true
    }

    /// Nothing after the violation matters.
    fn cut_days(&mut self) {
        let day = u32::try_from(self.violation.at_ms / 86_400_000).unwrap_or(u32::MAX);
        for days in [day + 1, day + 2] {
            if days >= self.best.days {
                continue;
            }
            let mut script = Script { days, ..self.best.clone() };
            script.scenes.retain(|scene| scene.at_s < u64::from(days) * super::script::DAY_S);
            if self.try_out(script) {
                return;
            }
        }
    }

    fn cut_entries(&mut self) {
        for entries in [8, 20, 50, 100, 200] {
            if entries < self.best.entries && self.try_out(Script { entries, ..self.best.clone() }) {
                return;
            }
        }
    }

    /// Halves, quarters and so on, down to single scenes.
    fn drop_scenes(&mut self) {
        let mut size = self.best.scenes.len().div_ceil(2);
        while size > 0 && !self.is_spent() {
            let mut from = 0;
            while from < self.best.scenes.len() {
                let mut script = self.best.clone();
                let to = (from + size).min(script.scenes.len());
                script.scenes.drain(from..to);
                if !self.try_out(script) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn shorten_scenes(&mut self) {
        for number in 0..self.best.scenes.len() {
            loop {
                let mut script = self.best.clone();
                let Some(scene) = script.scenes.get_mut(number) else { break };
                shorten(&mut scene.what);
                if !self.try_out(script) {
                    break;
                }
            }
        }
    }
}

fn shorten(what: &mut What) {
    match what {
        What::Manifest { minutes, .. }
        | What::Folder { minutes, .. }
        | What::Provider { minutes, .. }
        | What::Clock { minutes, .. }
        | What::Suspend { minutes }
        | What::DiskFull { minutes }
        | What::Edit { edit: Edit::Delete { minutes }, .. } => *minutes /= 2,
        What::Crash { down_s, .. } | What::Restart { down_s } => *down_s /= 2,
        What::Edit { edit: Edit::Recreate { gap_s }, .. } => *gap_s /= 2,
        What::EarlySweep { .. } | What::SyncFails | What::Edit { .. } => {}
    }
}
