//! When a file counts as quiet, so that its content may be read as new content.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::asset::RelPath;
use crate::domain::observation::Hint;
use crate::domain::time::{Now, Timestamp};
use crate::local::hash_cache::Stamp;

/// How long a file that is surely complete must be quiet, at most.
const COMPLETE: Duration = Duration::from_millis(200);

/// How a file of unknown content has looked, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    stamp: Stamp,
    /// On the steady clock.
    since: Timestamp,
    hint: Hint,
}

/// Whether a file may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may.
    Quiet,
    /// It may not before this moment on the steady clock.
    WaitUntil(Timestamp),
}

/// The files that were looked at and have no known content yet.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<RelPath, Seen>);

impl Memory {
    /// Judges a file by how it looks now; what is to be remembered about it comes along.
    ///
    /// A file is quiet when the later of its times lies far enough in the past, or when it has looked the same
    /// for that long. The second rule is for times that lie in the future, because a clock was wrong or a
    /// program set them: they say nothing, and the file must not wait for them to come.
    pub(super) fn judge(
        &self,
        path: &RelPath,
        stamp: &Stamp,
        hint: Hint,
        settle: Duration,
        now: Now,
    ) -> (Verdict, Option<Seen>) {
        if settle.is_zero() {
            return (Verdict::Quiet, None);
        }
        let before = self.0.get(path).filter(|seen| seen.stamp == *stamp);
        let hint = before.map_or(hint, |seen| seen.hint.min(hint));
        let needed = quiet_time(hint, settle).max(stamp.granularity());
        let age = stamp.newest_until(now.wall).map_or(Duration::ZERO, |time| now.wall.saturating_since(time));
        if age >= needed {
            return (Verdict::Quiet, None);
        }
        let since = before.map_or(now.steady, |seen| seen.since);
        let unchanged_for = now.steady.saturating_since(since);
        let seen = Some(Seen { stamp: *stamp, since, hint });
        if unchanged_for >= needed {
            return (Verdict::Quiet, seen);
        }
        let wait = needed.saturating_sub(age.max(unchanged_for));
        (Verdict::WaitUntil(now.steady + wait), seen)
    }

    /// Takes what one look at everything found: whatever it did not find is forgotten.
    pub(super) fn replace(&mut self, seen: impl IntoIterator<Item = (RelPath, Seen)>) {
        self.0 = seen.into_iter().collect();
    }

    /// Takes what a look at some paths found.
    pub(super) fn extend(&mut self, seen: impl IntoIterator<Item = (RelPath, Seen)>) {
        self.0.extend(seen);
    }
}

fn quiet_time(hint: Hint, settle: Duration) -> Duration {
    match hint {
        Hint::Complete => settle.min(COMPLETE),
        Hint::Touched => settle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::hash_cache::FileId;

    const SETTLE: Duration = Duration::from_secs(2);

    fn path() -> RelPath {
        RelPath::new("a.png").unwrap()
    }

    fn stamp(modified_ms: i64, changed_ms: i64) -> Stamp {
        let id = FileId { device: 1, inode: 2 };
        let nanoseconds = |ms: i64| ms * 1_000_000 + 1;
        Stamp { id, size: 3, modified_ns: nanoseconds(modified_ms), changed_ns: nanoseconds(changed_ms) }
    }

    fn at(wall: i64, steady: i64) -> Now {
        Now { wall: Timestamp::from_unix_ms(wall), steady: Timestamp::from_unix_ms(steady) }
    }

    fn until(steady: i64) -> Verdict {
        Verdict::WaitUntil(Timestamp::from_unix_ms(steady))
    }

    #[test]
    fn a_file_is_quiet_when_its_later_time_is_old_enough() {
        let memory = Memory::default();
        // (modified, changed, hint, now, verdict); steady runs 500 ms ahead of the wall clock here.
        let table = [
            (10_000, 10_000, Hint::Touched, 11_999, until(12_500)),
            (10_000, 10_000, Hint::Touched, 12_000, Verdict::Quiet),
            (10_000, 10_000, Hint::Complete, 10_199, until(10_700)),
            (10_000, 10_000, Hint::Complete, 10_200, Verdict::Quiet),
            (1_000, 10_000, Hint::Touched, 11_000, until(12_500)),
            (10_000, 1_000, Hint::Touched, 11_000, until(12_500)),
            (99_000, 10_000, Hint::Touched, 12_000, Verdict::Quiet),
            (99_000, 10_000, Hint::Touched, 11_000, until(12_500)),
            (99_000, 99_000, Hint::Touched, 11_000, until(13_500)),
        ];
        for (modified, changed, hint, now, verdict) in table {
            let found = memory.judge(&path(), &stamp(modified, changed), hint, SETTLE, at(now, now + 500)).0;
            assert_eq!(found, verdict, "{modified} {changed} {hint:?} {now}");
        }
    }

    #[test]
    fn a_file_with_times_in_the_future_is_quiet_once_it_looked_the_same_for_long_enough() {
        let mut memory = Memory::default();
        let stamp = stamp(99_000, 99_000);
        let (first, seen) = memory.judge(&path(), &stamp, Hint::Touched, SETTLE, at(10_000, 10_000));
        assert_eq!(first, until(12_000));
        memory.extend(seen.map(|seen| (path(), seen)));
        let (second, _) = memory.judge(&path(), &stamp, Hint::Touched, SETTLE, at(5_000, 11_000));
        assert_eq!(second, until(12_000), "the wall clock does not matter here");
        let (third, kept) = memory.judge(&path(), &stamp, Hint::Touched, SETTLE, at(5_000, 12_000));
        assert_eq!(third, Verdict::Quiet);
        memory.replace(kept.map(|seen| (path(), seen)));
        let (fourth, _) = memory.judge(&path(), &stamp, Hint::Touched, SETTLE, at(5_000, 12_001));
        assert_eq!(fourth, Verdict::Quiet, "it stays quiet");
        let changed = Stamp { size: 4, ..stamp };
        let (fifth, _) = memory.judge(&path(), &changed, Hint::Touched, SETTLE, at(5_000, 12_001));
        assert_eq!(fifth, until(14_001), "a change starts anew");
    }

    #[test]
    fn a_file_that_was_complete_stays_so_until_it_changes() {
        let mut memory = Memory::default();
        let stamp = stamp(10_000, 10_000);
        let (_, seen) = memory.judge(&path(), &stamp, Hint::Complete, SETTLE, at(10_100, 10_100));
        memory.extend(seen.map(|seen| (path(), seen)));
        let (verdict, _) = memory.judge(&path(), &stamp, Hint::Touched, SETTLE, at(10_200, 10_200));
        assert_eq!(verdict, Verdict::Quiet);
    }

    #[test]
    fn coarse_times_need_two_seconds_and_no_settle_time_means_at_once() {
        let memory = Memory::default();
        let coarse = Stamp { modified_ns: 10_000_000_000, changed_ns: 10_000_000_000, ..stamp(0, 0) };
        let soon = at(10_200, 10_200);
        assert_eq!(memory.judge(&path(), &coarse, Hint::Complete, SETTLE, soon).0, until(12_000));
        let none = Duration::ZERO;
        assert_eq!(memory.judge(&path(), &coarse, Hint::Touched, none, soon).0, Verdict::Quiet);
    }
}
