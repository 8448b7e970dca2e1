//! All entries: found by key, walked in the order of keys, and reached again without a search.
//!
//! A search compares some twenty paths. A look at everything reaches each entry several times, so it searches none.

use std::collections::BTreeMap;
use std::ops::Bound;

use slotmap::{SlotMap, new_key_type};

use super::entry::Entry;
use crate::domain::asset::EntryKey;

new_key_type! {
    /// Where an entry is, for as long as it is one.
    pub(super) struct Place;
}

#[derive(Debug, Default)]
pub(super) struct Entries {
    order: BTreeMap<EntryKey, Place>,
    places: SlotMap<Place, Entry>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn find(&self, key: &EntryKey) -> Option<Place> {
        self.order.get(key).copied()
    }

    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.places.get_mut(place)
    }

    pub(super) fn get(&self, key: &EntryKey) -> Option<&Entry> {
        self.places.get(self.find(key)?)
    }

    pub(super) fn get_mut(&mut self, key: &EntryKey) -> Option<&mut Entry> {
        self.places.get_mut(self.find(key)?)
    }

    pub(super) fn get_or_default(&mut self, key: EntryKey) -> &mut Entry {
        let places = &mut self.places;
        let place = *self.order.entry(key).or_insert_with(|| places.insert(Entry::default()));
        &mut self.places[place]
    }

    pub(super) fn remove(&mut self, key: &EntryKey) {
        if let Some(place) = self.order.remove(key) {
            self.places.remove(place);
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &EntryKey> {
        self.order.keys()
    }

    /// The keys from this one on.
    pub(super) fn keys_from(&self, first: EntryKey) -> impl Iterator<Item = &EntryKey> {
        self.order.range((Bound::Included(first), Bound::Unbounded)).map(|(key, _)| key)
    }

    pub(super) fn keys_and_places(&self) -> impl Iterator<Item = (&EntryKey, Place)> {
        self.order.iter().map(|(key, place)| (key, *place))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.places.values()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&EntryKey, &Entry)> {
        self.order.iter().map(|(key, place)| (key, &self.places[*place]))
    }

    pub(super) fn for_each_mut(&mut self, mut visit: impl FnMut(&EntryKey, &mut Entry)) {
        for (key, place) in &self.order {
            visit(key, &mut self.places[*place]);
        }
    }
}

impl FromIterator<(EntryKey, Entry)> for Entries {
    fn from_iter<I: IntoIterator<Item = (EntryKey, Entry)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut places = SlotMap::with_capacity_and_key(entries.size_hint().0);
        Self { order: entries.map(|(key, entry)| (key, places.insert(entry))).collect(), places }
    }
}
