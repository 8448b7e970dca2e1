//! What the providers of the small world hold, and how they tell.

use std::collections::BTreeMap;

use super::{Mood, NAMED, World};
use crate::domain::asset::{MediaId, ProviderName};
use crate::domain::reconciler::Input;
use crate::domain::verification::{Ask, Inspected, Inspection, Search, Sight};

impl World {
    /// Takes a media away behind our back.
    pub(in super::super) fn lose(&mut self, name: &str, provider_name: &str) {
        let url = self.url(name, provider_name).expect("it is published");
        self.stored.remove(&url).expect("it is there");
    }

    /// Somebody else writes this many bytes under an ID of ours.
    pub(in super::super) fn intrude(&mut self, name: &str, provider_name: &str, size: u64) {
        let url = self.url(name, provider_name).expect("it is published");
        self.stored.get_mut(&url).expect("it is there").size = size;
    }

    pub(super) fn inspect(&mut self, inspection: Inspection) {
        let mut search = Search::new(&inspection.expected, &NAMED.capabilities);
        let failure = match self.mood.get(&inspection.provider) {
            Some(Mood::Failing(why)) => Some(why.clone()),
            _ => self.looks_fail.clone(),
        };
        let questions = if failure.is_none() { self.answer(&inspection, &mut search) } else { 1 };
        self.looks.push((self.now.steady, inspection.provider.clone(), questions));
        let sights = search.finish(failure.is_none());
        let inspected = Inspected { inspection, sights, failure, broken_off: false };
        self.reply(self.latency, Input::Verified(Box::new(inspected)));
    }

    /// Ends the look that is under way before it found anything.
    pub(super) fn break_off(&mut self, name: &ProviderName) {
        for (at, input) in &mut self.replies {
            if let Input::Verified(look) = input
                && look.inspection.provider == *name
            {
                look.sights.fill(Sight::Unknown);
                (*at, look.failure, look.broken_off) = (self.now.steady, None, true);
                self.broken_off += 1;
            }
        }
    }

    /// Answers all questions of a look, and counts them.
    fn answer(&self, inspection: &Inspection, search: &mut Search) -> usize {
        let prefix = format!("https://{}.example/{}/", inspection.provider, self.scope);
        let living = self.stored.iter().filter(|(_, stored)| stored.dies_at > self.now.steady);
        let held: BTreeMap<MediaId, u64> = living
            .filter(|_| !self.holds_nothing)
            .filter_map(|(url, stored)| Some((MediaId::new(url.strip_prefix(&prefix)?).ok()?, stored.size)))
            .collect();
        let listed: Vec<_> = held.iter().filter(|_| !self.lists_are_empty).collect();
        let mut pages = listed.chunks(7);
        for questions in 0.. {
            match search.next_ask() {
                Ask::Nothing => return questions,
                Ask::Page => match pages.next() {
                    None => search.list_ended(true),
                    Some(page) => page.iter().for_each(|(id, size)| search.saw(id, Some(**size))),
                },
                Ask::Media(id) => match held.get(&id) {
                    Some(size) => search.saw(&id, Some(*size)),
                    None => search.missed(&id),
                },
            }
        }
        unreachable!("a look comes to an end")
    }
}
