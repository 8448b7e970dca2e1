//! Whether the manifest and config that lie there are those in force, and since when not: for everything that tells.

use super::parts::Reloaded;
use crate::domain::event::Event;
use crate::domain::manifest::Unusable;
use crate::domain::time::Timestamp;

/// What became of the last reading of manifest and config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Why they cannot be used, and since when that is known; `None` where they can.
    pub broken: Option<(Unusable, Timestamp)>,
    /// When they were last read and could be used; `None` where they never could since the start.
    pub succeeded_at: Option<Timestamp>,
}

impl Reading {
    /// What was found at the start.
    pub(super) fn first(broken: Option<Unusable>, now: Timestamp) -> Self {
        match broken {
            Some(unusable) => Self { broken: Some((unusable, now)), succeeded_at: None },
            None => Self { broken: None, succeeded_at: Some(now) },
        }
    }

    /// What there is to tell people of a start.
    pub(super) fn event(&self) -> Option<Event> {
        let (unusable, _) = self.broken.clone()?;
        Some(Event::ManifestUnusable { unusable, at_start: true })
    }

    /// Takes in another reading; says what there is to tell people. The same trouble is told once.
    pub(super) fn again(&mut self, came_to: &Reloaded, now: Timestamp) -> Option<Event> {
        let Reloaded::Broken(unusable) = came_to else {
            self.succeeded_at = Some(now);
            return self.broken.take().map(|_| Event::ManifestUsable);
        };
        let before = self.broken.take();
        // Another mistake in the same file is the same trouble for whoever waits for its end.
        let same = before.as_ref().filter(|(before, _)| is_same_file(before, unusable));
        let since = same.map_or(now, |(_, since)| *since);
        self.broken = Some((unusable.clone(), since));
        let is_told = before.is_some_and(|(before, _)| before == *unusable);
        (!is_told).then(|| Event::ManifestUnusable { unusable: unusable.clone(), at_start: false })
    }
}

fn is_same_file(one: &Unusable, other: &Unusable) -> bool {
    (one.source, &one.file) == (other.source, &other.file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::SourceName;

    fn broken(why: &str) -> Reloaded {
        Reloaded::Broken(Unusable::new(SourceName::Config, "mediakeep.toml", why))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1000)
    }

    #[test]
    fn each_trouble_is_told_once_and_so_is_its_end() {
        let mut reading = Reading::first(None, at(0));
        assert_eq!((reading.event(), reading.succeeded_at), (None, Some(at(0))));
        for (second, came_to, told, since) in [
            (1, Reloaded::Unchanged, None, None),
            (2, broken("a"), Some("a"), Some(2)),
            (3, broken("a"), None, Some(2)),
            (4, broken("b"), Some("b"), Some(2)),
            (5, Reloaded::Unchanged, Some("usable"), None),
            (6, Reloaded::Unchanged, None, None),
            (7, broken("b"), Some("b"), Some(7)),
        ] {
            let event = reading.again(&came_to, at(second));
            let said = event.map(|event| match event {
                Event::ManifestUnusable { unusable, at_start: false } => unusable.why.to_string(),
                Event::ManifestUsable => "usable".to_owned(),
                other => panic!("{other:?}"),
            });
            assert_eq!(said.as_deref(), told, "at {second} s");
            assert_eq!(reading.broken.as_ref().map(|(_, since)| *since), since.map(at), "at {second} s");
        }
        assert_eq!(reading.succeeded_at, Some(at(6)));
    }

    #[test]
    fn the_trouble_of_another_file_began_when_that_was_found() {
        let broken = |source, file| Reloaded::Broken(Unusable::new(source, file, "a"));
        let mut reading = Reading::first(None, at(0));
        for (second, source, file, since) in [
            (1, SourceName::Config, "mediakeep.toml", 1),
            (2, SourceName::Config, "mediakeep.toml", 1),
            (3, SourceName::Manifest, "media.toml", 3),
            (4, SourceName::Manifest, "", 4),
            (5, SourceName::Config, "", 5),
            (6, SourceName::Config, "mediakeep.toml", 6),
        ] {
            drop(reading.again(&broken(source, file), at(second)));
            assert_eq!(reading.broken.as_ref().map(|(_, since)| *since), Some(at(since)), "at {second} s");
        }
    }

    #[test]
    fn a_start_with_a_broken_one_is_told_and_the_same_found_again_is_not() {
        let Reloaded::Broken(unusable) = broken("a") else { panic!() };
        let mut reading = Reading::first(Some(unusable), at(0));
        assert!(matches!(reading.event(), Some(Event::ManifestUnusable { at_start: true, .. })));
        assert_eq!(reading.succeeded_at, None);
        assert_eq!(reading.again(&broken("a"), at(9)), None);
        assert_eq!(reading.again(&Reloaded::Unchanged, at(10)), Some(Event::ManifestUsable));
    }
}
