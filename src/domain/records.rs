//! Records by entry, in the order of entries: what one snapshot of the state holds.
//!
//! A snapshot is made whenever readers are to see something new, and of a hundred thousand records hardly any is another
//! one than in the snapshot before it. So records are shared, and so are the keys, for as long as no entry comes or goes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Zip;
use std::slice;
use std::sync::Arc;

use super::asset::EntryKey;
use super::state::Record;

/// Records by entry (see the module's description).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// In order, each once.
    keys: Keys,
    /// The record of the key at the same position.
    records: Vec<Arc<Record>>,
}

/// Keys that several [`Records`] share.
pub type Keys = Arc<[EntryKey]>;

/// Entries with their records, in order.
pub type Iter<'r> = Zip<slice::Iter<'r, EntryKey>, slice::Iter<'r, Arc<Record>>>;

/// An entry whose record is not the same [`Arc`] any more: the record before, and the one now.
pub type Difference<'r> = (&'r EntryKey, Option<&'r Arc<Record>>, Option<&'r Arc<Record>>);

impl Records {
    /// The records of these entries, which come in order. Where they are the entries that had `keys`, the same ones by
    /// identity, those are shared; otherwise new ones take their place.
    pub(in crate::domain) fn sharing<'e>(
        keys: &mut Keys,
        entries: impl Iterator<Item = (&'e EntryKey, &'e Arc<Record>)> + Clone,
    ) -> Self {
        let mut records = Vec::with_capacity(keys.len());
        let mut are_the_same = true;
        for (position, (key, record)) in entries.clone().enumerate() {
            are_the_same = are_the_same && keys.get(position).is_some_and(|known| known.is_identical(key));
            records.push(Arc::clone(record));
        }
        if !are_the_same || records.len() != keys.len() {
            let mut others = Vec::with_capacity(records.len());
            others.extend(entries.map(|(key, _)| key.clone()));
            debug_assert!(others.is_sorted_by(|one, next| one < next), "entries come in order, each once");
            *keys = others.into();
        }
        Self { keys: Arc::clone(keys), records }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The entries, in order.
    pub fn keys(&self) -> impl Iterator<Item = &EntryKey> {
        self.keys.iter()
    }

    /// The same, to be shared with others.
    #[must_use]
    pub fn shared_keys(&self) -> &Keys {
        &self.keys
    }

    /// The records, in the order of their entries.
    pub fn values(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter()
    }

    /// Everything, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.keys.iter().zip(&self.records)
    }

    /// An entry's record.
    #[must_use]
    pub fn get(&self, key: &EntryKey) -> Option<&Arc<Record>> {
        let position = self.keys.binary_search(key).ok()?;
        self.records.get(position)
    }

    /// The same with other records for some entries, or with none for them. Of several changes the last one counts.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = (EntryKey, Option<Arc<Record>>)>) -> Self {
        let mut changes: BTreeMap<_, _> = changes.into_iter().collect();
        let mut entries = Vec::with_capacity(self.len() + changes.len());
        for (key, record) in self {
            match changes.remove(key) {
                None => entries.push((key.clone(), Arc::clone(record))),
                Some(change) => entries.extend(change.map(|record| (key.clone(), record))),
            }
        }
        entries.extend(changes.into_iter().filter_map(|(key, record)| Some((key, record?))));
        entries.into_iter().collect()
    }

    /// Every entry whose record is not the same [`Arc`] as before, or is there no more. One that both share costs one
    /// comparison, and its key none where that is shared, too.
    pub fn differences<'r>(&'r self, after: &'r Self) -> impl Iterator<Item = Difference<'r>> {
        let have_the_same_keys = Arc::ptr_eq(&self.keys, &after.keys);
        let (mut before, mut after) = (self.iter().peekable(), after.iter().peekable());
        std::iter::from_fn(move || {
            loop {
                let order = match (before.peek(), after.peek()) {
                    (None, None) => return None,
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (Some(_), Some(_)) if have_the_same_keys => Ordering::Equal,
                    (Some((one, _)), Some((other, _))) => one.cmp(other),
                };
                let was = if order == Ordering::Greater { None } else { before.next() };
                let is = if order == Ordering::Less { None } else { after.next() };
                let (key, _) = was.or(is)?;
                match (was.map(|(_, record)| record), is.map(|(_, record)| record)) {
                    (Some(was), Some(is)) if Arc::ptr_eq(was, is) => {}
                    (was, is) => return Some((key, was, is)),
                }
            }
        })
    }
}

impl<'r> IntoIterator for &'r Records {
    type Item = (&'r EntryKey, &'r Arc<Record>);
    type IntoIter = Iter<'r>;

    fn into_iter(self) -> Iter<'r> {
        self.iter()
    }
}

impl FromIterator<(EntryKey, Arc<Record>)> for Records {
    /// In whatever order they come; of several for one entry the last one counts.
    fn from_iter<I: IntoIterator<Item = (EntryKey, Arc<Record>)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        if !entries.is_sorted_by(|(one, _), (next, _)| one < next) {
            let ordered: BTreeMap<_, _> = entries.into_iter().collect();
            entries = ordered.into_iter().collect();
        }
        let (keys, records): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        Self { keys: keys.into(), records }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::key;

    /// Few entries, so that the same ones come again; `None` is a removal.
    fn changes() -> impl Strategy<Value = Vec<(EntryKey, Option<Arc<Record>>)>> {
        let change = ("[a-e]", "[xy]", proptest::option::weighted(0.7, Just(())));
        let change = change.prop_map(|(path, provider, record)| {
            (key(&path, &provider), record.map(|()| Arc::new(Record::default())))
        });
        vec(change, 0..12)
    }

    fn by_hand(changes: &[(EntryKey, Option<Arc<Record>>)]) -> BTreeMap<EntryKey, Arc<Record>> {
        let mut map = BTreeMap::new();
        for (key, record) in changes.iter().cloned() {
            match record {
                Some(record) => drop(map.insert(key, record)),
                None => drop(map.remove(&key)),
            }
        }
        map
    }

    /// Which record is whose: equal records are not the same one.
    fn identities<'r>(
        entries: impl IntoIterator<Item = (&'r EntryKey, &'r Arc<Record>)>,
    ) -> Vec<(&'r EntryKey, *const Record)> {
        entries.into_iter().map(|(key, record)| (key, Arc::as_ptr(record))).collect()
    }

    proptest! {
        #[test]
        fn changes_do_what_they_would_do_to_a_map(first in changes(), second in changes()) {
            let records = Records::default().with(first.clone()).with(second.clone());
            let map = by_hand(&[first, second].concat());
            prop_assert_eq!(identities(&records), identities(&map));
            for (key, record) in &map {
                prop_assert!(records.get(key).is_some_and(|found| Arc::ptr_eq(found, record)));
            }
            prop_assert_eq!(records.get(&key("f", "x")), None);
            let shuffled: Records = map.into_iter().rev().collect();
            prop_assert_eq!(identities(&shuffled), identities(&records));
        }

        #[test]
        fn differences_are_the_entries_whose_record_is_not_the_same_one(first in changes(), second in changes()) {
            let before = Records::default().with(first);
            let after = before.with(second);
            let found: Vec<_> = before.differences(&after).map(|(key, was, is)| (key.clone(), was, is)).collect();
            let (was, is): (BTreeMap<_, _>, BTreeMap<_, _>) = (before.iter().collect(), after.iter().collect());
            let mut expected = Vec::new();
            for key in was.keys().chain(is.keys()).collect::<std::collections::BTreeSet<_>>() {
                let (was, is) = (was.get(key).copied(), is.get(key).copied());
                if was.map(Arc::as_ptr) != is.map(Arc::as_ptr) {
                    expected.push(((*key).clone(), was, is));
                }
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn snapshots_share_their_keys_as_long_as_no_entry_comes_or_goes(first in changes(), second in changes()) {
            let before = by_hand(&first);
            let mut keys = Keys::default();
            let shown = Records::sharing(&mut keys, before.iter());
            prop_assert_eq!(identities(&shown), identities(&before));

            let mut after = before.clone();
            let none_comes_or_goes =
                second.iter().all(|(key, record)| record.is_some() && before.contains_key(key));
            for (key, record) in second {
                match record {
                    Some(record) => drop(after.insert(key, record)),
                    None => drop(after.remove(&key)),
                }
            }
            let next = Records::sharing(&mut keys, after.iter());
            prop_assert_eq!(identities(&next), identities(&after));
            prop_assert!(!none_comes_or_goes || Arc::ptr_eq(shown.shared_keys(), next.shared_keys()));
        }
    }

    #[test]
    fn of_several_records_of_one_entry_the_last_one_counts() {
        let (first, last) = (Arc::new(Record::default()), Arc::new(Record::default()));
        let entries = [(key("a", "x"), first.clone()), (key("b", "x"), first), (key("a", "x"), last.clone())];
        let records: Records = entries.into_iter().collect();
        assert_eq!(records.len(), 2);
        assert!(Arc::ptr_eq(records.get(&key("a", "x")).unwrap(), &last));
    }
}
