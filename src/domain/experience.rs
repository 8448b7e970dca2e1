//! What media that are gone and media that are still there teach about a provider. Decides; forgets nothing early and
//! concludes nothing from a single loss.
//!
//! Two things about a provider can be otherwise than documented. Media can die younger than they should; and an upload
//! under an existing ID may not start the media's life anew. Somebody who deletes media can look like either, so
//! every conclusion needs several losses that fit it and no survivor that speaks against it: expiry takes the oldest
//! first.

use std::time::Duration;

use super::time::Timestamp;

/// The life of one media as it was at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The time since it was uploaded last.
    pub age: Duration,
    /// The time since it was first uploaded under its ID; the same as `age` where it was uploaded once. `None` where
    /// that is not known, which is so after a restart.
    pub since_first: Option<Duration>,
}

impl Life {
    /// The time since its first upload, where others came on top of that.
    fn overwritten(&self) -> Option<Duration> {
        self.since_first.filter(|first| *first > self.age)
    }
}

/// What is counted on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// The present, on a clock that nobody can set.
    pub at: Timestamp,
    /// How long a media is thought to live after an upload.
    pub life: Duration,
    /// How long ago the look before this one was: a loss happened since.
    pub since_last: Duration,
}

/// What the losses so far prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lessons {
    /// Media live only so long.
    pub retention: Option<Duration>,
    /// An upload under an existing ID does not start a media's life anew.
    pub overwriting_keeps_clock: bool,
}

/// Losses that nothing has explained yet.
#[derive(Clone, Debug, Default)]
pub struct Experience {
    /// How old media were that were uploaded once, when they were found gone; the youngest first.
    died: Vec<Loss>,
    /// How long ago the first upload of media was that were overwritten since, when they were found gone.
    died_overwritten: Vec<Duration>,
    survived: Survived,
    survived_overwritten: Survived,
}

/// How old a media was when it was found gone, and at which look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Loss(Duration, Timestamp);

/// The greatest age at which a media was seen alive, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Survived(Option<(Duration, Timestamp)>);

impl Survived {
    /// From which age on losses count: clearly older than every survivor, because media that were uploaded together
    /// and have expired would be gone together. A provider may change its mind, so old survivors are forgotten.
    fn see(&mut self, present: impl Iterator<Item = Duration>, now: Assumptions) -> Duration {
        let seen = present.max().map(|age| (age, now.at));
        let before = self.0.filter(|(_, at)| *at + now.life * 2 > now.at);
        self.0 = before.into_iter().chain(seen).max_by_key(|(age, _)| *age);
        self.0.map_or(Duration::ZERO, |(age, _)| age + now.since_last / 2)
    }
}

impl Experience {
    /// Adds what a look found, and says what follows.
    pub fn learn(&mut self, gone: &[Life], present: &[Life], now: Assumptions) -> Lessons {
        let oldest = self.survived.see(present.iter().map(|life| life.age), now);
        let uploaded_once = gone.iter().filter(|life| life.since_first == Some(life.age));
        self.died.extend(uploaded_once.map(|life| Loss(life.age, now.at)));
        self.died.retain(|Loss(age, _)| *age >= oldest);
        self.died.sort_unstable();
        self.died.truncate(LOSSES_MAX);

        let oldest = self.survived_overwritten.see(present.iter().filter_map(Life::overwritten), now);
        let fitting = gone.iter().filter(|life| died_on_its_first_clock(life, now));
        self.died_overwritten.extend(fitting.filter_map(Life::overwritten));
        self.died_overwritten.retain(|first| *first >= oldest);
        self.died_overwritten.truncate(LOSSES_MAX);

        let youngest_alive = present.iter().map(|life| life.age).min();
        let retention = self.shorter_life(youngest_alive, now).filter(|shorter| *shorter < now.life);
        if retention.is_some() {
            self.died.clear();
        }
        Lessons { retention, overwriting_keeps_clock: self.died_overwritten.len() >= OVERWRITTEN_MIN }
    }

    /// A life that explains the losses, on the safe side: somewhere between the last two looks they happened.
    fn shorter_life(&self, youngest_alive: Option<Duration>, now: Assumptions) -> Option<Duration> {
        let Loss(youngest, look) = *self.died.first()?;
        // Expiry leaves losses of one age. Somebody who empties an account leaves losses of all ages, or, soon after a
        // bulk upload, nothing that is younger; but hardly twice at the same age.
        let similar =
            self.died.partition_point(|Loss(age, _)| *age <= youngest + now.since_last + youngest / 10);
        if similar < DIED_MIN || similar * 4 < self.died.len() * 3 {
            return None;
        }
        let left_the_young = youngest_alive.is_some_and(|alive| alive < youngest);
        if !left_the_young && self.died[..similar].iter().all(|Loss(_, other)| *other == look) {
            return None;
        }
        Some((youngest * 9 / 10).min(youngest.saturating_sub(now.since_last)).max(youngest / 2))
    }
}

/// Whether a media was gone about a life after its first upload, although the last one was much younger.
fn died_on_its_first_clock(life: &Life, now: Assumptions) -> bool {
    let Some(first) = life.overwritten() else { return false };
    let in_time = first >= now.life * 9 / 10 && first <= now.life * 11 / 10 + now.since_last;
    in_time && life.age <= now.life * 8 / 10 && life.age + now.life / 20 <= first
}

/// So many losses of one age prove a shorter life.
const DIED_MIN: usize = 3;
/// So many deaths on time prove that overwriting does not count: their moment is a narrow one to hit by chance.
const OVERWRITTEN_MIN: usize = 2;
/// More losses than these are not remembered.
const LOSSES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const HOURLY: Assumptions = Assumptions { at: Timestamp::MIN, life: hours(48), since_last: hours(1) };

    const fn hours(count: u64) -> Duration {
        Duration::from_secs(count * 3600)
    }

    fn once(age: u64) -> Life {
        Life { age: hours(age), since_first: Some(hours(age)) }
    }

    fn again(age: u64, first: u64) -> Life {
        Life { age: hours(age), since_first: Some(hours(first)) }
    }

    #[test]
    fn several_losses_of_one_age_prove_a_shorter_life() {
        let lessons = Experience::default().learn(&[once(20); 3], &[once(19), once(5)], HOURLY);
        assert_eq!(lessons, Lessons { retention: Some(hours(18)), overwriting_keeps_clock: false });
    }

    #[test]
    fn losses_add_up_over_several_looks() {
        let mut experience = Experience::default();
        assert_eq!(experience.learn(&[once(21)], &[], HOURLY), Lessons::default());
        assert_eq!(experience.learn(&[], &[once(3)], HOURLY), Lessons::default());
        assert_eq!(experience.learn(&[once(20)], &[], HOURLY), Lessons::default());
        let later = Assumptions { at: HOURLY.at + hours(1), ..HOURLY };
        assert_eq!(experience.learn(&[once(22)], &[], later).retention, Some(hours(18)));
        assert_eq!(experience.learn(&[once(20)], &[], later), Lessons::default(), "it starts anew");
    }

    #[test]
    fn media_that_all_died_at_once_prove_something_when_they_do_so_again() {
        let mut experience = Experience::default();
        assert_eq!(
            experience.learn(&[once(20); 9], &[], HOURLY),
            Lessons::default(),
            "a wipe looks like this"
        );
        let later = Assumptions { at: HOURLY.at + hours(21), ..HOURLY };
        assert_eq!(experience.learn(&[once(20); 9], &[], later).retention, Some(hours(18)));
    }

    #[test]
    fn what_somebody_deleted_proves_nothing() {
        let wiped: Vec<Life> = (1..24).map(once).collect();
        let scattered: Vec<Life> = [5; 3].into_iter().chain(7..24).map(once).collect();
        for (what, gone, present) in [
            ("one media", vec![once(20)], vec![]),
            ("two media", vec![once(20), once(20)], vec![]),
            ("the older ones are still there", vec![once(20); 9], vec![once(21)]),
            ("media of all ages", wiped, vec![]),
            ("three of one age among others, and a young one is left", scattered, vec![once(1)]),
            ("everything, soon after a bulk upload", vec![once(1); 99], vec![]),
            (
                "media whose first upload is not known",
                vec![Life { age: hours(5), since_first: None }; 9],
                vec![],
            ),
            ("overwritten media at any time", vec![again(5, 30); 9], vec![]),
            ("overwritten media, long after their first clock ran out", vec![again(5, 70); 9], vec![]),
            ("overwritten media, and others live on", vec![again(5, 48); 9], vec![again(5, 60)]),
        ] {
            let lessons = Experience::default().learn(&gone, &present, HOURLY);
            assert_eq!(lessons, Lessons::default(), "{what}");
        }
    }

    #[test]
    fn three_quarters_of_the_losses_have_to_be_of_one_age() {
        for (similar, others, learnt) in [(3, 1, Some(hours(18))), (5, 2, None), (6, 2, Some(hours(18)))] {
            let gone = [vec![once(20); similar], vec![once(30); others]].concat();
            let lessons = Experience::default().learn(&gone, &[once(1)], HOURLY);
            assert_eq!(lessons.retention, learnt, "{similar} and {others}");
        }
    }

    #[test]
    fn a_survivor_refutes_earlier_losses() {
        let mut experience = Experience::default();
        assert_eq!(experience.learn(&[once(10), once(10)], &[], HOURLY), Lessons::default());
        assert_eq!(experience.learn(&[], &[once(12)], HOURLY), Lessons::default());
        assert_eq!(experience.learn(&[once(20)], &[], HOURLY), Lessons::default());
    }

    #[test]
    fn old_survivors_are_forgotten_because_providers_change() {
        for (later, learnt) in [(90, None), (100, Some(hours(18)))] {
            let mut experience = Experience::default();
            assert_eq!(experience.learn(&[], &[once(24)], HOURLY), Lessons::default());
            let now = Assumptions { at: HOURLY.at + hours(later), ..HOURLY };
            assert_eq!(experience.learn(&[once(20); 3], &[once(1)], now).retention, learnt);
        }
    }

    #[test]
    fn the_rarer_the_looks_the_shorter_the_life_that_is_sure() {
        for (since_last, sure) in [(1, 18), (5, 15), (19, 10)] {
            let now = Assumptions { since_last: hours(since_last), ..HOURLY };
            let lessons = Experience::default().learn(&[once(20); 3], &[once(1)], now);
            assert_eq!(lessons.retention, Some(hours(sure)));
        }
    }

    #[test]
    fn overwritten_media_that_die_on_their_first_clock_prove_that_overwriting_does_not_count() {
        let mut experience = Experience::default();
        assert_eq!(experience.learn(&[again(6, 48)], &[], HOURLY), Lessons::default());
        let lessons = experience.learn(&[again(8, 49)], &[again(20, 41)], HOURLY);
        assert_eq!(lessons, Lessons { retention: None, overwriting_keeps_clock: true });
    }
}
