//! What a provider holds, in order of its keys, with an end of life each. Nothing that has ended is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use super::length::Length;
use super::switches::Removal;
use crate::domain::time::Timestamp;

/// Keys to values that end by themselves.
#[derive(Debug)]
pub(super) struct Shelf<K, V> {
    items: BTreeMap<K, Item<V>>,
    /// The same keys by their end, so that a sweep touches only what has ended.
    ends: BTreeSet<(Timestamp, K)>,
}

/// A value and when it ends.
#[derive(Debug)]
pub(super) struct Item<V> {
    pub(super) value: V,
    pub(super) expires_at: Timestamp,
}

impl<K: Ord + Clone, V> Shelf<K, V> {
    pub(super) const fn new() -> Self {
        Self { items: BTreeMap::new(), ends: BTreeSet::new() }
    }

    /// Stores a value in the place of the one that had this key.
    pub(super) fn put(&mut self, key: K, value: V, expires_at: Timestamp) {
        self.remove(&key);
        self.ends.insert((expires_at, key.clone()));
        self.items.insert(key, Item { value, expires_at });
    }

    pub(super) fn get(&self, key: &K) -> Option<&Item<V>> {
        self.items.get(key)
    }

    /// Takes a value away.
    pub(super) fn remove(&mut self, key: &K) -> Option<Item<V>> {
        let item = self.items.remove(key)?;
        self.ends.remove(&(item.expires_at, key.clone()));
        Some(item)
    }

    /// Takes away everything that has ended.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Vec<(K, Item<V>)> {
        let mut ended = Vec::new();
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            let Some((_, key)) = self.ends.pop_first() else { break };
            if let Some(item) = self.items.remove(&key) {
                ended.push((key, item));
            }
        }
        ended
    }

    /// The items from a key on, in order.
    pub(super) fn from(&self, start: Bound<K>) -> impl DoubleEndedIterator<Item = (&K, &Item<V>)> {
        self.items.range((start, Bound::Unbounded))
    }

    /// The items between two keys, in order.
    pub(super) fn between(&self, start: K, end: K) -> impl DoubleEndedIterator<Item = (&K, &Item<V>)> {
        self.items.range(start..end)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Item<V>)> {
        self.items.iter()
    }
}

/// When something that was stored at `stored_at` is removed.
pub(super) fn end_of_life(
    stored_at: Timestamp,
    retention: Length,
    removal: Removal,
    sweep: Duration,
) -> Timestamp {
    let end = stored_at + retention.0;
    let period_ms = i64::try_from(sweep.as_millis()).unwrap_or(i64::MAX).max(1);
    let since_sweep = Duration::from_millis(end.unix_ms().rem_euclid(period_ms).unsigned_abs());
    match removal {
        // A sweep that came before the upload cannot have taken it.
        Removal::SweepEarly if end - since_sweep > stored_at => end - since_sweep,
        Removal::SweepLate if !since_sweep.is_zero() => end - since_sweep + sweep,
        Removal::Exact | Removal::SweepEarly | Removal::SweepLate => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn what_has_ended_is_gone_and_what_was_replaced_lives_on() {
        let mut shelf = Shelf::new();
        shelf.put("a", 1, at(10));
        shelf.put("b", 2, at(10));
        shelf.put("a", 3, at(20));
        let ended: Vec<_> = shelf.sweep(at(10)).into_iter().map(|(key, item)| (key, item.value)).collect();
        assert_eq!(ended, [("b", 2)]);
        assert_eq!(shelf.get(&"a").unwrap().value, 3);
        assert!(shelf.sweep(at(19)).is_empty());
        assert_eq!(shelf.remove(&"a").unwrap().value, 3);
        assert!(shelf.sweep(at(99)).is_empty() && shelf.iter().next().is_none());
    }

    #[test]
    fn a_sweep_removes_early_or_late_by_less_than_its_period() {
        let life = Length::from_secs(48);
        for (removal, stored, expected) in [
            (Removal::Exact, 5, 53),
            (Removal::SweepEarly, 5, 48),
            (Removal::SweepEarly, 0, 48),
            (Removal::SweepEarly, 23, 48),
            (Removal::SweepLate, 5, 72),
            (Removal::SweepLate, 0, 48),
        ] {
            let end = end_of_life(at(stored), life, removal, Duration::from_secs(24));
            assert_eq!(end, at(expected), "{removal:?} {stored}");
        }
        let rare = Duration::from_secs(1000);
        assert_eq!(end_of_life(at(5), life, Removal::SweepEarly, rare), at(53));
    }
}
