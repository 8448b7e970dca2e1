//! What the providers of the small world hold, and how they tell.

use super::{Mood, NAMED, World};
use crate::domain::asset::MediaId;
use crate::domain::reconciler::Input;
use crate::domain::verification::{Ask, Inspected, Inspection, Search};

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
        let prefix = format!("https://{}.example/{}/", inspection.provider, self.scope);
        let held = |id: &MediaId| {
            let stored = self.stored.get(&format!("{prefix}{id}"));
            stored.filter(|stored| stored.dies_at > self.now.steady).map(|stored| stored.size)
        };
        let listed: Vec<MediaId> = match self.lists_are_empty {
            true => Vec::new(),
            false => {
                let ids = self.stored.keys().filter_map(|url| MediaId::new(url.strip_prefix(&prefix)?).ok());
                ids.filter(|id| held(id).is_some()).collect()
            }
        };
        let (mut pages, mut questions, mut failure) = (listed.chunks(7), 0, None);
        while failure.is_none() {
            let asked = search.next_ask();
            questions += usize::from(asked != Ask::Nothing);
            let failing = match self.mood.get(&inspection.provider) {
                Some(Mood::Failing(why)) => Some(why.clone()),
                _ => self.looks_fail.clone(),
            };
            if failing.is_some() {
                failure = failing;
                break;
            }
            match asked {
                Ask::Nothing => break,
                Ask::Page => match pages.next() {
                    None => search.list_ended(true),
                    Some(page) => {
                        page.iter()
                            .filter_map(|id| Some((id, held(id)?)))
                            .for_each(|(id, size)| search.saw(id, Some(size)));
                    }
                },
                Ask::Media(id) => match held(&id) {
                    Some(size) => search.saw(&id, Some(size)),
                    None => search.missed(&id),
                },
            }
        }
        self.looks.push((self.now.steady, inspection.provider.clone(), questions));
        let sights = search.finish(failure.is_none());
        let inspected = Inspected { inspection, sights, failure };
        self.reply(self.latency, Input::Verified(Box::new(inspected)));
    }
}
