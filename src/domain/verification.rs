//! Whether a provider still holds what it confirmed: what is looked for, what was found, and how a look proceeds.
//! Asks nobody; what the findings teach is in [`super::experience`].
//!
//! A look goes through the provider's list and takes note of our own media only, however many others there are. What
//! the list does not name is asked for by name before it counts as gone, because lists lag behind and shift while
//! they are read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::asset::{EntryKey, MediaId, ProviderName, Scope};
use super::failure::Failure;
use super::kind::Capabilities;
use super::time::{Now, Timestamp};

/// A look at what a provider holds of ours.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The provider.
    pub provider: ProviderName,
    /// The account that the media were stored in.
    pub scope: Scope,
    /// When it was ordered; what was uploaded since is not judged by it.
    pub ordered: Now,
    /// What should be there, what was uploaded longest ago first.
    pub expected: Arc<[Expected]>,
}

/// A published media that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The entry.
    pub key: EntryKey,
    /// Its ID there.
    pub id: MediaId,
    /// How many bytes were sent.
    pub size: u64,
    /// Which upload it is about.
    pub uploaded_at: Timestamp,
}

/// What a look came to.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// What was to be looked for.
    pub inspection: Inspection,
    /// What was found, for each expected media in order.
    pub sights: Vec<Sight>,
    /// What ended the look before its time, if anything did.
    pub failure: Option<Failure>,
    /// Whether it was told to end before its time.
    pub broken_off: bool,
}

/// What was found of one media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Not known: the look ended before.
    Unknown,
    /// It is there.
    Present,
    /// Something with this many bytes is there, which are not as many as were sent.
    Resized(u64),
    /// It is not there.
    Gone,
}

/// What a look asks next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The next page of the list.
    Page,
    /// Whether this media is there.
    Media(MediaId),
    /// Nothing more.
    Nothing,
}

/// A look while it lasts: a bounded number of questions, and memory for our own media only.
#[derive(Debug)]
pub struct Search {
    found: BTreeMap<MediaId, (u64, Sight)>,
    /// The same IDs, what was uploaded longest ago first.
    order: Vec<MediaId>,
    unknown: usize,
    can_find: bool,
    /// How many more pages of the list may be asked for.
    pages_left: usize,
    /// Whether the list was read to its end.
    listed: bool,
    /// What is asked for by name, once the list is done.
    names: Option<VecDeque<MediaId>>,
    /// Whether the list did not name something that is there all the same.
    list_lies: bool,
}

impl Search {
    /// A look for these media at a provider that can do so much.
    #[must_use]
    pub fn new(expected: &[Expected], capabilities: &Capabilities) -> Self {
        let found: BTreeMap<_, _> =
            expected.iter().map(|media| (media.id.clone(), (media.size, Sight::Unknown))).collect();
        // To go through a list of others' media must not cost more than to ask for each of ours by name.
        let pages_max = if capabilities.can_find { found.len().max(PAGES_MIN) } else { PAGES_MAX };
        Self {
            order: expected.iter().map(|media| media.id.clone()).collect(),
            unknown: found.len(),
            found,
            can_find: capabilities.can_find,
            pages_left: if capabilities.can_list { pages_max.min(PAGES_MAX) } else { 0 },
            listed: false,
            names: None,
            list_lies: false,
        }
    }

    /// What to ask now.
    pub fn next_ask(&mut self) -> Ask {
        if self.unknown > 0 && self.pages_left > 0 {
            self.pages_left -= 1;
            return Ask::Page;
        }
        if self.names.is_none() {
            self.names = Some(if self.can_find { self.sample() } else { VecDeque::new() });
        }
        self.names.as_mut().and_then(VecDeque::pop_front).map_or(Ask::Nothing, Ask::Media)
    }

    /// A media is there, with so many bytes where the provider tells. Others' media are forgotten at once.
    pub fn saw(&mut self, id: &MediaId, size: Option<u64>) {
        let Some((sent, sight)) = self.found.get_mut(id) else { return };
        if *sight == Sight::Unknown {
            self.unknown -= 1;
        }
        *sight = match size {
            Some(size) if size != *sent => Sight::Resized(size),
            _ => Sight::Present,
        };
        self.list_lies |= self.names.is_some();
    }

    /// The list goes on no further; `whole` where that is because it is at its end.
    pub fn list_ended(&mut self, whole: bool) {
        self.pages_left = 0;
        self.listed = whole;
    }

    /// A media that was asked for by name is not there.
    pub fn missed(&mut self, id: &MediaId) {
        if let Some((_, sight)) = self.found.get_mut(id)
            && *sight == Sight::Unknown
        {
            *sight = Sight::Gone;
            self.unknown -= 1;
        }
    }

    /// What was found, for each expected media in order. `whole` says that nothing cut the look short.
    #[must_use]
    pub fn finish(self, whole: bool) -> Vec<Sight> {
        // A list that was right about every media of a sample is believed about the others.
        let believed = whole && self.listed && !self.list_lies;
        let sight = |id: &MediaId| match self.found.get(id) {
            Some((_, Sight::Unknown)) | None if believed => Sight::Gone,
            Some((_, sight)) => *sight,
            None => Sight::Unknown,
        };
        self.order.iter().map(sight).collect()
    }

    /// What is asked for by name: all that is not known yet, or some of it from all ages.
    fn sample(&self) -> VecDeque<MediaId> {
        let mut unknown: Vec<&MediaId> = self.order.iter().filter(|id| self.is_unknown(id)).collect();
        unknown.dedup();
        let stride = if self.listed { unknown.len().div_ceil(NAMES_MAX).max(1) } else { 1 };
        unknown.into_iter().step_by(stride).take(NAMES_MAX).cloned().collect()
    }

    fn is_unknown(&self, id: &MediaId) -> bool {
        matches!(self.found.get(id), Some((_, Sight::Unknown)))
    }
}

/// How many requests a look takes that finds all of so many media, where the account holds no others.
#[must_use]
pub fn requests_of_a_look(media: usize, capabilities: &Capabilities) -> usize {
    match (capabilities.can_list, capabilities.can_find) {
        (true, _) => media.div_ceil(capabilities.list_page.max(1)).min(PAGES_MAX),
        (false, true) => media.min(NAMES_MAX),
        (false, false) => 0,
    }
}

/// So many pages are asked for however few media are ours.
const PAGES_MIN: usize = 10;
/// The most pages of one look.
const PAGES_MAX: usize = 10_000;
/// The most media that one look asks for by name.
const NAMES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::kind::{Expiry, HandleKind, Naming, Renewal, Replacing, TypeRules};
    use crate::domain::testing::key;

    fn id(number: usize) -> MediaId {
        MediaId::new(&format!("m{number}")).unwrap()
    }

    fn expected(count: usize) -> Vec<Expected> {
        let media = |number| Expected {
            key: key(&format!("{number}.png"), "b"),
            id: id(number),
            size: 10,
            uploaded_at: Timestamp::from_unix_ms(0),
        };
        (0..count).map(media).collect()
    }

    fn capabilities(can_list: bool, can_find: bool) -> Capabilities {
        Capabilities {
            naming: Naming::Client,
            replacing: Replacing::Overwrites,
            expiry: Expiry::Fixed,
            renewal: Renewal::UploadAgain,
            handle: HandleKind::PublicUrl,
            retention: std::time::Duration::from_secs(3600),
            can_list,
            list_page: 1_000,
            can_find,
            one_limit: false,
            can_delete: false,
            stores_cache_control: false,
            max_bytes: 1000,
            max_url_bytes: 1000,
            types: TypeRules { accepted: &[], aliases: &[] },
        }
    }

    /// Plays a provider that lists and holds these media; how many pages and names it was asked for.
    fn play(search: &mut Search, listed: &[usize], held: &[usize], pages: Option<usize>) -> (usize, usize) {
        let mut asked = (0, 0);
        loop {
            match search.next_ask() {
                Ask::Page => {
                    asked.0 += 1;
                    if asked.0 == 1 {
                        for number in listed {
                            search.saw(&id(*number), Some(10));
                        }
                    }
                    if pages == Some(asked.0) {
                        search.list_ended(true);
                    }
                }
                Ask::Media(name) => {
                    asked.1 += 1;
                    match held.iter().any(|number| id(*number) == name) {
                        true => search.saw(&name, None),
                        false => search.missed(&name),
                    }
                }
                Ask::Nothing => return asked,
            }
        }
    }

    #[test]
    fn a_look_ends_as_soon_as_everything_was_seen() {
        let mut search = Search::new(&expected(3), &capabilities(true, true));
        assert_eq!(play(&mut search, &[0, 1, 2, 77, 78], &[], None), (1, 0));
        assert_eq!(search.finish(true), [Sight::Present; 3]);
    }

    #[test]
    fn what_the_list_does_not_name_is_asked_for_by_name() {
        let mut search = Search::new(&expected(4), &capabilities(true, true));
        assert_eq!(play(&mut search, &[0, 1], &[2], Some(1)), (1, 2));
        assert_eq!(search.finish(true), [Sight::Present, Sight::Present, Sight::Present, Sight::Gone]);
    }

    #[test]
    fn a_list_without_an_end_costs_no_more_than_asking_for_each_media() {
        for (count, pages, names) in [(1, 10, 1), (50, 50, 50), (5_000, 5_000, 100), (50_000, 10_000, 100)] {
            let mut search = Search::new(&expected(count), &capabilities(true, true));
            assert_eq!(play(&mut search, &[], &[], None), (pages, names));
            let gone = search.finish(true).into_iter().filter(|sight| *sight == Sight::Gone).count();
            assert_eq!(gone, names, "nothing is concluded from a list that was not read to its end");
        }
    }

    #[test]
    fn a_list_that_is_right_about_a_sample_is_believed_and_one_that_is_wrong_is_not() {
        let mut search = Search::new(&expected(1000), &capabilities(true, true));
        assert_eq!(play(&mut search, &[], &[], Some(1)), (1, 100));
        assert_eq!(search.finish(true), [Sight::Gone; 1000]);

        let mut search = Search::new(&expected(1000), &capabilities(true, true));
        assert_eq!(play(&mut search, &[], &[500], Some(1)), (1, 100));
        let sights = search.finish(true);
        assert_eq!(sights.iter().filter(|sight| **sight == Sight::Unknown).count(), 900);
        assert_eq!(sights[500], Sight::Present);
    }

    #[test]
    fn a_look_that_was_cut_short_concludes_nothing_from_silence() {
        let mut search = Search::new(&expected(2), &capabilities(true, true));
        assert_eq!(search.next_ask(), Ask::Page);
        search.saw(&id(0), Some(10));
        assert_eq!(search.finish(false), [Sight::Present, Sight::Unknown]);
    }

    #[test]
    fn without_a_list_media_are_asked_for_by_name_and_without_names_the_list_counts() {
        let mut search = Search::new(&expected(3), &capabilities(false, true));
        assert_eq!(play(&mut search, &[], &[1], None), (0, 3));
        assert_eq!(search.finish(true), [Sight::Gone, Sight::Present, Sight::Gone]);

        let mut search = Search::new(&expected(3), &capabilities(true, false));
        assert_eq!(play(&mut search, &[1], &[], Some(1)), (1, 0));
        assert_eq!(search.finish(true), [Sight::Gone, Sight::Present, Sight::Gone]);
    }

    #[test]
    fn a_look_costs_a_request_for_each_page_or_else_for_each_name_up_to_a_hundred() {
        for (media, list, find, requests) in [
            (0, true, true, 0),
            (1_000, true, true, 1),
            (1_001, true, false, 2),
            (99_000_000, true, true, PAGES_MAX),
            (70, false, true, 70),
            (700, false, true, NAMES_MAX),
            (700, false, false, 0),
        ] {
            assert_eq!(requests_of_a_look(media, &capabilities(list, find)), requests, "{media}");
        }
    }

    #[test]
    fn another_size_than_was_sent_is_no_loss() {
        let mut search = Search::new(&expected(1), &capabilities(true, true));
        assert_eq!(search.next_ask(), Ask::Page);
        search.saw(&id(0), Some(11));
        assert_eq!(search.next_ask(), Ask::Nothing);
        assert_eq!(search.finish(true), [Sight::Resized(11)]);
    }
}
