//! Which changed paths are worth a look, and what else they may change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound::{Excluded, Included};
use std::sync::{Arc, PoisonError, RwLock};

use super::Select;
use crate::domain::asset::RelPath;

/// Shared between the scanner, which learns about links, and the watcher, which drops what nobody wants.
#[derive(Clone)]
pub struct Interest(Arc<RwLock<State>>);

struct State {
    select: Select,
    /// Sorted.
    literals: Arc<[RelPath]>,
    /// The paths that lead to a file through a symbolic link, by that file.
    links: BTreeMap<RelPath, BTreeSet<RelPath>>,
}

impl Interest {
    pub(super) fn new(select: Select, literals: Arc<[RelPath]>) -> Self {
        Self(Arc::new(RwLock::new(State { select, literals: sorted(literals), links: BTreeMap::new() })))
    }

    /// Whether a change of this file can matter: it may be an entry, an entry's link may lead to it, or it may be
    /// a link to a folder with entries.
    pub fn wants(&self, path: &RelPath) -> bool {
        self.read(|state| {
            (state.select)(path).is_some()
                || state.links.contains_key(path)
                || !at_or_below(&state.literals, path).is_empty()
        })
    }

    pub(super) fn replace(&self, select: Select, literals: Arc<[RelPath]>) {
        self.write(|state| {
            state.select = select;
            state.literals = sorted(literals);
        });
    }

    pub(super) fn select(&self) -> Select {
        self.read(|state| Arc::clone(&state.select))
    }

    pub(super) fn literals(&self) -> Arc<[RelPath]> {
        self.read(|state| Arc::clone(&state.literals))
    }

    /// The links that lead to this path or below it.
    pub(super) fn links_to(&self, path: &RelPath) -> Vec<RelPath> {
        self.read(|state| {
            if state.links.is_empty() {
                return Vec::new();
            }
            let (from, to) = bounds_below(path);
            let below = state.links.range::<str, _>((Included(from.as_str()), Excluded(to.as_str())));
            let exact = state.links.get_key_value(path);
            exact.into_iter().chain(below).flat_map(|(_, links)| links.iter().cloned()).collect()
        })
    }

    /// Takes the links that were found, as (where it leads, the link); after a look at everything, no others exist.
    pub(super) fn learn(&self, found: Vec<(RelPath, RelPath)>, everything: bool) {
        if found.is_empty() && (!everything || self.read(|state| state.links.is_empty())) {
            return;
        }
        self.write(|state| {
            if everything {
                state.links.clear();
            }
            for (target, link) in found {
                state.links.entry(target).or_default().insert(link);
            }
        });
    }

    fn read<T>(&self, use_it: impl FnOnce(&State) -> T) -> T {
        use_it(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read(|state| {
            out.debug_struct("Interest")
                .field("literals", &state.literals.len())
                .field("links", &state.links)
                .finish_non_exhaustive()
        })
    }
}

fn sorted(literals: Arc<[RelPath]>) -> Arc<[RelPath]> {
    if literals.is_sorted_by(|one, next| one < next) {
        return literals;
    }
    literals.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Everything strictly below a folder sorts between these two: `0` is the character after `/`.
fn bounds_below(folder: &RelPath) -> (String, String) {
    (format!("{folder}/"), format!("{folder}0"))
}

/// Of some sorted paths, this one and those below it.
pub(super) fn at_or_below<'paths>(sorted: &'paths [RelPath], folder: &RelPath) -> Vec<&'paths RelPath> {
    if sorted.is_empty() {
        return Vec::new();
    }
    let (from, to) = bounds_below(folder);
    let start = sorted.partition_point(|path| path.as_str() < from.as_str());
    let end = sorted.partition_point(|path| path.as_str() < to.as_str());
    let exact = sorted.binary_search(folder).ok().map(|at| &sorted[at]);
    exact.into_iter().chain(&sorted[start..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn paths(texts: &[&str]) -> Arc<[RelPath]> {
        texts.iter().map(|text| path(text)).collect()
    }

    fn pngs() -> Select {
        Arc::new(|path| (path.extension() == Some("png")).then_some(100))
    }

    #[test]
    fn what_lies_below_a_folder_is_found_among_its_lookalikes() {
        let literals = Interest::new(pngs(), paths(&["a0", "a/c", "a", "a-b/x", "a/b/c", "b"])).literals();
        let found: Vec<_> = at_or_below(&literals, &path("a")).into_iter().map(RelPath::as_str).collect();
        assert_eq!(found, ["a", "a/b/c", "a/c"]);
        assert!(at_or_below(&literals, &path("c")).is_empty());
    }

    #[test]
    fn a_change_matters_to_entries_and_to_what_their_links_lead_to() {
        let interest = Interest::new(pngs(), paths(&["linked/logo.bin"]));
        interest.learn(vec![(path("store/1.bin"), path("a.png"))], true);
        for wanted in ["x.png", "linked", "linked/logo.bin", "store/1.bin"] {
            assert!(interest.wants(&path(wanted)), "{wanted}");
        }
        for ignored in ["x.txt", "store/2.bin", "store", "link"] {
            assert!(!interest.wants(&path(ignored)), "{ignored}");
        }
        assert_eq!(interest.links_to(&path("store")), [path("a.png")]);
        assert_eq!(interest.links_to(&path("store/1.bin")), [path("a.png")]);
        interest.learn(Vec::new(), true);
        assert!(interest.links_to(&path("store")).is_empty());
    }
}
