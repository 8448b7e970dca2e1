//! All entries: found by key, walked in the order of keys, and reached again without a search.
//!
//! A search compares some twenty paths. A look at everything reaches each entry several times, so it searches none.

use std::collections::BTreeMap;
use std::ops::Bound;

use slotmap::{SlotMap, new_key_type};

use super::Reconciler;
use super::entry::Entry;
use crate::domain::asset::EntryKey;

new_key_type! {
    /// Where an entry is, for as long as it is one.
    pub(super) struct Slot;
}

#[derive(Debug, Default)]
pub(super) struct Entries {
    order: BTreeMap<EntryKey, Slot>,
    slots: SlotMap<Slot, Entry>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn find(&self, key: &EntryKey) -> Option<Slot> {
        self.order.get(key).copied()
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&Entry> {
        self.slots.get(slot)
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.slots.get_mut(slot)
    }

    pub(super) fn get(&self, key: &EntryKey) -> Option<&Entry> {
        self.slots.get(self.find(key)?)
    }

    pub(super) fn get_mut(&mut self, key: &EntryKey) -> Option<&mut Entry> {
        self.slots.get_mut(self.find(key)?)
    }

    pub(super) fn get_or_default(&mut self, key: EntryKey) -> &mut Entry {
        let slots = &mut self.slots;
        let slot = *self.order.entry(key).or_insert_with(|| slots.insert(Entry::default()));
        &mut self.slots[slot]
    }

    pub(super) fn remove(&mut self, key: &EntryKey) {
        if let Some(slot) = self.order.remove(key) {
            self.slots.remove(slot);
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &EntryKey> {
        self.order.keys()
    }

    /// The keys from this one on.
    pub(super) fn keys_from(&self, first: EntryKey) -> impl Iterator<Item = &EntryKey> {
        self.order.range((Bound::Included(first), Bound::Unbounded)).map(|(key, _)| key)
    }

    pub(super) fn keys_and_slots(&self) -> impl Iterator<Item = (&EntryKey, Slot)> {
        self.order.iter().map(|(key, slot)| (key, *slot))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.slots.values()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&EntryKey, &Entry)> + Clone {
        self.order.iter().map(|(key, slot)| (key, &self.slots[*slot]))
    }

    pub(super) fn for_each_mut(&mut self, mut visit: impl FnMut(&EntryKey, &mut Entry)) {
        for (key, slot) in &self.order {
            visit(key, &mut self.slots[*slot]);
        }
    }
}

impl FromIterator<(EntryKey, Entry)> for Entries {
    fn from_iter<I: IntoIterator<Item = (EntryKey, Entry)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut slots = SlotMap::with_capacity_and_key(entries.size_hint().0);
        Self { order: entries.map(|(key, entry)| (key, slots.insert(entry))).collect(), slots }
    }
}

impl Reconciler {
    /// Takes an entry out of its slot, to work on it without looking it up again and again.
    pub(super) fn detach(&mut self, key: &EntryKey) -> Option<Entry> {
        self.entries.get_mut(key).map(std::mem::take)
    }

    pub(super) fn attach(&mut self, key: &EntryKey, entry: Entry) {
        if let Some(vacant) = self.entries.get_mut(key) {
            *vacant = entry;
        }
    }
}
