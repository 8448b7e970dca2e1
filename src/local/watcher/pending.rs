//! What has changed and has not been handed over yet. Bounded: past a limit, everything counts as changed.

use std::collections::HashMap;

use super::Changes;
use crate::domain::asset::RelPath;
use crate::domain::observation::Hint;

/// A set of changes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    paths: HashMap<RelPath, Hint>,
    /// Whether a complete file was among them.
    complete: bool,
    rescan: bool,
    manifest: bool,
    warnings: Vec<String>,
}

/// How soon somebody should hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Nothing happened.
    None,
    /// Somebody is still writing: others of its kind are likely to follow.
    Soon,
    /// At once.
    Now,
}

/// What an event said about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is complete.
    Complete,
    /// It may be in the middle of a change, or is gone.
    Touched,
    /// Its permissions or times changed, which takes nothing away from its being complete.
    Metadata,
}

/// More paths than that are a reason to look at everything.
const PATHS_MAX: usize = 10_000;
const WARNINGS_MAX: usize = 16;

impl Pending {
    pub(super) fn mark(&mut self, path: RelPath, mark: Mark) {
        if self.rescan {
            return;
        }
        let hint = match mark {
            Mark::Complete => Hint::Complete,
            Mark::Touched => Hint::Touched,
            Mark::Metadata => self.paths.get(&path).copied().unwrap_or(Hint::Touched),
        };
        self.complete |= hint == Hint::Complete;
        self.paths.insert(path, hint);
        if self.paths.len() > PATHS_MAX {
            self.rescan();
        }
    }

    /// Everything is to be looked at. That stays so until it is handed over.
    pub(super) fn rescan(&mut self) {
        self.rescan = true;
        self.paths = HashMap::new();
    }

    pub(super) fn manifest(&mut self) {
        self.manifest = true;
    }

    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn urgency(&self) -> Urgency {
        let at_once = self.rescan || self.manifest || self.complete || !self.warnings.is_empty();
        match (at_once, self.paths.is_empty()) {
            (true, _) => Urgency::Now,
            (false, false) => Urgency::Soon,
            (false, true) => Urgency::None,
        }
    }

    pub(super) fn take(&mut self) -> Changes {
        let Self { paths, rescan, manifest, warnings, .. } = std::mem::take(self);
        Changes { paths: paths.into_iter().collect(), rescan, manifest, warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn the_last_event_says_whether_a_file_is_complete_and_metadata_says_nothing() {
        // (marks, hint)
        let table: [(&[Mark], Hint); 6] = [
            (&[Mark::Touched], Hint::Touched),
            (&[Mark::Touched, Mark::Complete], Hint::Complete),
            (&[Mark::Complete, Mark::Touched], Hint::Touched),
            (&[Mark::Complete, Mark::Metadata], Hint::Complete),
            (&[Mark::Metadata], Hint::Touched),
            (&[Mark::Metadata, Mark::Complete, Mark::Metadata], Hint::Complete),
        ];
        for (marks, hint) in table {
            let mut pending = Pending::default();
            for mark in marks {
                pending.mark(rel("a.png"), *mark);
            }
            assert_eq!(pending.take().paths, [(rel("a.png"), hint)], "{marks:?}");
            assert_eq!(pending.urgency(), Urgency::None);
        }
    }

    #[test]
    fn too_many_paths_mean_everything_and_cost_no_more_memory() {
        let mut pending = Pending::default();
        for number in 0..=PATHS_MAX {
            pending.mark(rel(&format!("{number}.png")), Mark::Touched);
        }
        assert_eq!((pending.rescan, pending.paths.capacity()), (true, 0));
        pending.mark(rel("one-more.png"), Mark::Touched);
        let changes = pending.take();
        assert!(changes.rescan && changes.paths.is_empty());
    }

    #[test]
    fn only_unfinished_writing_can_wait() {
        let mut pending = Pending::default();
        pending.mark(rel("a.png"), Mark::Touched);
        assert_eq!(pending.urgency(), Urgency::Soon);
        pending.mark(rel("b.png"), Mark::Complete);
        assert_eq!(pending.urgency(), Urgency::Now);
        pending.take();
        for number in 0..100 {
            pending.warn(format!("{}", number % 50));
        }
        assert_eq!(pending.urgency(), Urgency::Now);
        assert_eq!(pending.take().warnings.len(), WARNINGS_MAX);
    }
}
