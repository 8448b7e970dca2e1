//! IDs that we choose: whose bytes lie under one, and what becomes of them when others are sent there.
//!
//! An ID with its content's hash in it can only ever hold that content. Any other is a place: an upload there
//! replaces what lies there, whether or not the reply arrives.

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use nohash_hasher::IntMap;
use smallvec::SmallVec;

use super::entry::Entry;
use super::recording::Visible;
use super::uploading::Order;
use super::{Event, Reconciler, Turn};
use crate::domain::asset::{ContentHash, EntryKey, MediaId, Scope};
use crate::domain::failure::FailureClass;
use crate::domain::kind::Naming;
use crate::domain::plan::{Block, Verdict, Wanted};
use crate::domain::renewal_id;
use crate::domain::state::{Handle, Record};
use crate::domain::time::Timestamp;

/// Hardly ever more than one.
type Several<T> = SmallVec<[T; 1]>;

/// Who has a handle, be it an older one, under an ID that other content can come to lie under; by a digest of
/// provider and ID.
#[derive(Debug, Default)]
pub(super) struct Places(IntMap<u64, Several<EntryKey>>);

impl Places {
    fn at(&self, place: u64) -> &[EntryKey] {
        self.0.get(&place).map_or(&[], SmallVec::as_slice)
    }

    /// Makes an entry stand where its handles are.
    pub(super) fn follow(&mut self, key: &EntryKey, before: &[u64], after: &[u64]) {
        if before == after {
            return;
        }
        for place in before {
            if let Some(there) = self.0.get_mut(place) {
                there.retain(|other| *other != *key);
                if there.is_empty() {
                    self.0.remove(place);
                }
            }
        }
        for place in after {
            self.0.entry(*place).or_default().push(key.clone());
        }
    }
}

/// Who waits for what becomes of another entry under an ID, by its digest. Each waits at the ID that it claims.
#[derive(Debug, Default)]
pub(super) struct Waiting(IntMap<u64, BTreeSet<EntryKey>>);

impl Waiting {
    pub(super) fn join(&mut self, claim: u64, key: &EntryKey) {
        self.0.entry(claim).or_default().insert(key.clone());
    }

    pub(super) fn leave(&mut self, claim: u64, key: &EntryKey) {
        if let Some(there) = self.0.get_mut(&claim) {
            there.remove(key);
            if there.is_empty() {
                self.0.remove(&claim);
            }
        }
    }

    /// All who wait there; they wait no more.
    pub(super) fn take(&mut self, claim: u64) -> BTreeSet<EntryKey> {
        self.0.remove(&claim).unwrap_or_default()
    }
}

/// What another entry that claims an ID means for a renewal under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rival {
    /// It is sending other content there: what comes of it will show.
    Sending,
    /// The ID is its own.
    Entitled,
}

impl Reconciler {
    /// Finds all of them anew: a table that comes, or becomes another kind, changes what is a place.
    pub(super) fn find_places(&mut self) {
        self.places =
            Places(IntMap::with_capacity_and_hasher(self.entries.len(), BuildHasherDefault::default()));
        self.claims.reserve(self.entries.len());
        for (key, entry) in self.entries.iter() {
            let places = self.places_of(key, entry.record.as_deref());
            self.places.follow(key, &[], &places);
        }
    }

    /// Where an entry's handles are, as far as other content can come to lie there. Each place once, in order.
    pub(super) fn places_of(&self, key: &EntryKey, record: Option<&Record>) -> Several<u64> {
        let naming = self.accounts.get(&key.provider).map(|account| account.config.kind.capabilities.naming);
        let Some(record) = record.filter(|_| naming == Some(Naming::Client)) else { return Several::new() };
        let live = record.live().map(|live| (&live.id, &live.hash));
        let older = record.previous.iter().map(|older| (&older.id, &older.hash));
        let places = live.into_iter().chain(older).filter(|(id, hash)| is_a_place(id, hash));
        let mut places: Several<u64> = places.map(|(id, _)| claim_of(key, id)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The ID that an entry claims: that of its content, or, while that is not known, that of what is published.
    pub(super) fn claim_for(&self, key: &EntryKey, entry: &Entry, wanted: Option<&Wanted>) -> Option<u64> {
        let kind = self.accounts.get(&key.provider)?.config.kind;
        if kind.capabilities.naming != Naming::Client {
            return None;
        }
        let published = || {
            let handle = entry.record.as_ref().and_then(|record| record.live());
            handle.map(|handle| renewal_id::original(&handle.id).unwrap_or_else(|| handle.id.clone()))
        };
        let id = wanted.and_then(|wanted| wanted.id.clone()).or_else(published)?;
        Some(claim_of(key, &id))
    }

    fn other_lives_at(&self, other: &EntryKey, place: u64) -> bool {
        self.entries.get(other).is_some_and(|entry| lives_at(other, entry, place))
    }

    /// Why an entry can't move to an ID yet: another one is published there, with other content. It is waited for,
    /// so that its URL does not end before its next one lives, unless it waits for us in turn.
    pub(super) fn occupied(
        &self,
        key: &EntryKey,
        entry: &Entry,
        place: u64,
        wanted: &Wanted,
    ) -> Option<Block> {
        let occupant = self.occupant(key, place, wanted.hash)?;
        if lives_at(key, entry, place) {
            return None;
        }
        let moves = self.destination(occupant).is_some_and(|(next, _)| next != place);
        let is_busy = self.entries.get(occupant).is_some_and(|entry| entry.in_flight);
        if !is_busy && moves && self.goes_first(key, entry, occupant) {
            return None;
        }
        let path = occupant.path.clone();
        Some(if moves { Block::IdInUse(path) } else { Block::IdTaken(path) })
    }

    /// Whether the holder of a claim has none to it: it is to move elsewhere, or it only came first after a start
    /// while the other one is published there.
    pub(super) fn yields(&self, holder: &EntryKey, key: &EntryKey, entry: &Entry, place: u64) -> bool {
        let moves = self.destination(holder).is_some_and(|(next, _)| next != place);
        moves || (lives_at(key, entry, place) && !self.other_lives_at(holder, place))
    }

    /// Who else is published at a place, with other content. What is retired is in nobody's way.
    fn occupant(&self, key: &EntryKey, place: u64, hash: ContentHash) -> Option<&EntryKey> {
        let scope = self.accounts.get(&key.provider)?.scope.as_ref();
        self.places.at(place).iter().filter(|other| *other != key).find(|other| {
            let Some(entry) = self.entries.get(other).filter(|entry| !entry.is_retired()) else {
                return false;
            };
            let live = entry.record.as_ref().and_then(|record| record.live());
            live.is_some_and(|live| {
                live.hash != hash
                    && scope.is_none_or(|scope| *scope == live.scope)
                    && claim_of(other, &live.id) == place
            })
        })
    }

    /// Where an entry belongs by the manifest and its file, and with which content.
    fn destination(&self, key: &EntryKey) -> Option<(u64, ContentHash)> {
        let entry = self.entries.get(key)?;
        let wanted = self.want_unclaimed(key, entry, self.files.observation(&key.path)).ok()?;
        Some((claim_of(key, wanted.id.as_ref()?), wanted.hash))
    }

    /// Whether entries wait for each other in a circle, and this one is the first of them: it breaks the circle.
    fn goes_first(&self, key: &EntryKey, entry: &Entry, occupant: &EntryKey) -> bool {
        let mut at = occupant;
        for _ in 0..CIRCLE_MAX {
            let Some((next, hash)) = self.destination(at).filter(|_| at > key) else { return false };
            if lives_at(key, entry, next) {
                return true;
            }
            match self.occupant(at, next, hash) {
                Some(occupant) => at = occupant,
                None => return false,
            }
        }
        false
    }

    /// Another entry whose content is to lie under an ID, where that is not ours.
    fn claimant(&self, key: &EntryKey, wanted: &Wanted) -> Option<&EntryKey> {
        let holder = self.claims.get(&claim_of(key, wanted.id.as_ref()?))?;
        (holder != key && !self.shares_content(holder, wanted)).then_some(holder)
    }

    /// Whether sending published content again would overwrite what another entry has, or is putting, there.
    pub(super) fn rival(&self, key: &EntryKey, entry: &Entry, wanted: &Wanted) -> Option<Rival> {
        let rival = self.claimant(key, wanted)?;
        let place = claim_of(key, wanted.id.as_ref()?);
        if self.entries.get(rival)?.in_flight {
            return Some(Rival::Sending);
        }
        let entitled = !lives_at(key, entry, place) || self.other_lives_at(rival, place);
        entitled.then_some(Rival::Entitled)
    }

    /// Whether other content is to take the published one's place.
    pub(super) fn has_rival(&self, key: &EntryKey, entry: &Entry) -> bool {
        let live = entry.record.as_ref().and_then(|record| record.live());
        let holder = live.and_then(|live| self.claims.get(&claim_of(key, &live.id)));
        holder.is_some_and(|holder| holder != key)
    }

    /// An upload is over, whatever came of it: those are looked at again that wait at the ID that it was for, at the
    /// one that the entry claims, or where it was until now.
    pub(super) fn wake_those_that_wait(&mut self, entry: &Entry, order: &Order, places_before: &[u64]) {
        let sent_to = order.wanted.id.as_ref().map(|id| claim_of(&order.key, id));
        for claim in places_before.iter().copied().chain(sent_to).chain(entry.claim) {
            self.dirty.append(&mut self.waiting.take(claim));
        }
    }

    /// Takes a URL back from readers that does not have the bytes any more whose hash is recorded for it.
    pub(super) fn withdraw(&mut self, key: &EntryKey, entry: &mut Entry, turn: &mut Turn) {
        if entry.record.as_ref().is_none_or(|record| record.live().is_none()) {
            return;
        }
        self.edit(key, entry, Visible::AtOnce, turn.now, |record| {
            if let Some(handle) = &mut record.current {
                handle.url = None;
            }
        });
        if !entry.is_retired() {
            turn.events.push(Event::Lapsed { key: key.clone() });
        }
    }

    /// Content was confirmed under an ID: other content that was published under it is not there any more.
    pub(super) fn withdraw_others(&mut self, key: &EntryKey, handle: &Handle, turn: &mut Turn) {
        let there = self.places.at(claim_of(key, &handle.id));
        let others: Vec<EntryKey> = there.iter().filter(|other| *other != key).cloned().collect();
        for other in others {
            if let Some(mut entry) = self.detach(&other) {
                if self.lose(&other, &mut entry, handle, turn) {
                    self.dirty.insert(other.clone());
                }
                self.attach(&other, entry);
            }
        }
    }

    /// Takes back what an entry has where another handle lies by now; whether there was such a thing.
    fn lose(&mut self, key: &EntryKey, entry: &mut Entry, handle: &Handle, turn: &mut Turn) -> bool {
        let lost = |id: &MediaId, scope: &Scope, hash: &ContentHash| {
            *id == handle.id && *scope == handle.scope && *hash != handle.hash
        };
        let Some(record) = entry.record.clone() else { return false };
        let older = record.previous.iter().any(|older| lost(&older.id, &older.scope, &older.hash));
        let live = record.live().is_some_and(|live| lost(&live.id, &live.scope, &live.hash));
        drop(record);
        if older {
            self.edit(key, entry, Visible::AtOnce, turn.now, |record| {
                record.previous.retain(|older| !lost(&older.id, &older.scope, &older.hash));
            });
        }
        if live {
            self.withdraw(key, entry, turn);
        }
        older || live
    }

    /// An upload that was not confirmed may have replaced what is recorded under its ID.
    pub(super) fn doubt(&mut self, entry: &mut Entry, order: &Order, class: FailureClass) {
        if !FailureClass::MAY_HAVE_STORED.contains(&class) {
            return;
        }
        entry.in_doubt |= overwrites(&order.wanted, entry);
        let Some(id) = &order.wanted.id else { return };
        for other in self.places.at(claim_of(&order.key, id)).iter().filter(|other| **other != order.key) {
            if let Some(entry) = self.entries.get_mut(other).filter(|entry| overwrites(&order.wanted, entry))
            {
                entry.in_doubt = true;
                self.dirty.insert(other.clone());
            }
        }
    }
}

/// A digest of provider and ID, the same for IDs that people would take for the same.
pub(super) fn claim_of(key: &EntryKey, id: &MediaId) -> u64 {
    use unicode_normalization::UnicodeNormalization;
    let mut hasher = DefaultHasher::new();
    key.provider.hash(&mut hasher);
    let id = id.as_str();
    if id.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        // Nothing to fold, as with most of them.
        id.hash(&mut hasher);
    } else {
        let folded: String = id.nfc().flat_map(char::to_lowercase).collect();
        folded.hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether an entry is published under an ID.
pub(super) fn lives_at(key: &EntryKey, entry: &Entry, place: u64) -> bool {
    let live = entry.record.as_ref().and_then(|record| record.live());
    live.is_some_and(|live| claim_of(key, &live.id) == place)
}

/// Whether an upload puts other content, or content of another type, in the place of what an entry has published.
fn overwrites(wanted: &Wanted, entry: &Entry) -> bool {
    entry.record.as_ref().and_then(|record| record.live()).is_some_and(|live| {
        let same = wanted.hash == live.hash
            && wanted.content_type == live.content_type
            && wanted.cache_control == live.cache_control;
        wanted.id.as_ref() == Some(&live.id) && !same
    })
}

/// Whether the process before this one may have left other bytes under the published ID than it recorded. Its
/// failure tells no ID, so this can be wrong, and costs an upload then.
pub(super) fn was_left_in_doubt(record: &Record) -> bool {
    let failed = record.trouble.as_ref().is_some_and(|trouble| {
        trouble.attempts > 0
            && FailureClass::MAY_HAVE_STORED.iter().any(|class| class.as_str() == &*trouble.kind)
    });
    failed && record.live().is_some_and(|live| is_a_place(&live.id, &live.hash))
}

/// The recorded bytes are due at once, unless newer ones for the same place are wanted: those mend it as well.
pub(super) fn restore(verdict: &mut Verdict, steady: Timestamp) {
    let Some((due_at, _, recorded)) = &mut verdict.renewal else { return };
    let replaced = verdict.replacement.as_ref().is_some_and(|(_, wanted)| wanted.id == recorded.id);
    if recorded.id.is_some() && !replaced {
        *due_at = steady.min(*due_at);
    }
}

/// Whether other content than this can come to lie under an ID.
fn is_a_place(id: &MediaId, hash: &ContentHash) -> bool {
    !id.as_str().contains(&hash.prefix(HASH_DIGITS))
}

/// The shortest hash that an ID can hold.
const HASH_DIGITS: usize = 8;
/// Longer circles than this are not looked for, so that a look at one entry stays short.
const CIRCLE_MAX: usize = 1_000;
