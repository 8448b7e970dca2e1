//! Which files are entries, by which rule. Asked for every file of every walk, so everything is prepared here.

use std::collections::BTreeMap;
use std::path::Path;

use smallvec::SmallVec;

use super::glob::{Matcher, Subject, has_dotted_segment};
use super::location::below;
use super::{Files, Manifest, Rule};
use crate::domain::asset::{MediaType, ProviderName, RelPath};
use crate::domain::kind::Kind;
use crate::domain::media_type;

/// How the names of our own temporary files begin.
pub const TEMPORARY_PREFIX: &str = ".mediakeep-tmp-";

/// Providers, each with the index of the rule that says so. Asked for every file, and hardly ever more than two.
pub type Selected = SmallVec<[(ProviderName, usize); 2]>;

/// Why a path is never an entry, whatever a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeverEntry {
    /// The manifest, the config, an export, or a file that holds a credential.
    Reserved,
    /// The state folder, or below it.
    StateFolder,
    /// A `.git` folder, or below one.
    Git,
    /// A temporary file of our own.
    Temporary,
}

/// The rules of a manifest, made ready for look-ups.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The rules that name one file, by that file.
    literals: BTreeMap<RelPath, Vec<usize>>,
    /// The rules with a glob, in the order of the file.
    globs: Vec<(usize, Matcher)>,
    /// Sorted.
    reserved: Vec<RelPath>,
    state_folder: Option<RelPath>,
}

impl Index {
    pub(super) fn new(rules: &[Rule], reserved: &[RelPath], root: &Path, state_dir: &Path) -> Self {
        let mut index = Self { state_folder: below(root, state_dir), ..Self::default() };
        for (position, rule) in rules.iter().enumerate() {
            match &rule.files {
                Files::Literal(path) => index.literals.entry(path.clone()).or_default().push(position),
                Files::Glob { include, .. } => index.globs.push((position, Matcher::new(include))),
            }
        }
        index.reserved = reserved.to_vec();
        index.reserved.sort_unstable();
        index
    }

    pub(super) fn never_entry(&self, path: &RelPath) -> Option<NeverEntry> {
        if has_dotted_segment(path.as_str()) {
            if path.as_str().split('/').any(|segment| segment.eq_ignore_ascii_case(".git")) {
                return Some(NeverEntry::Git);
            }
            if path.file_name().starts_with(TEMPORARY_PREFIX) {
                return Some(NeverEntry::Temporary);
            }
        }
        if self.state_folder.as_ref().is_some_and(|folder| path.is_within(folder)) {
            return Some(NeverEntry::StateFolder);
        }
        self.reserved.binary_search(path).is_ok().then_some(NeverEntry::Reserved)
    }
}

impl Manifest {
    /// The providers where a file must exist, sorted, each with the index of the rule that says so. Empty if the
    /// file is no entry.
    ///
    /// A rule that names the file beats a glob; among globs, the last one in the manifest wins.
    pub fn selected(&self, path: &RelPath) -> Selected {
        let mut selected = Selected::new();
        self.visit_winners(path, |provider, rule| selected.push((provider.clone(), rule)));
        selected.sort_unstable();
        selected
    }

    /// The largest content that any provider of this file's entries takes, in bytes; `None` if it is no entry.
    pub fn max_bytes(&self, path: &RelPath) -> Option<u64> {
        let mut largest = None;
        self.visit_winners(path, |provider, _| {
            let limit = self.providers.get(provider).map(|config| config.kind.capabilities.max_bytes);
            largest = largest.max(limit);
        });
        largest
    }

    /// Calls `visit` once for every provider where the file must exist.
    fn visit_winners<'m>(&'m self, path: &RelPath, mut visit: impl FnMut(&'m ProviderName, usize)) {
        if self.index.never_entry(path).is_some() {
            return;
        }
        let mut seen: SmallVec<[&ProviderName; 2]> = SmallVec::new();
        let mut take = |rule: usize| {
            for provider in &self.rules[rule].to {
                if !seen.contains(&provider) {
                    seen.push(provider);
                    visit(provider, rule);
                }
            }
        };
        self.index.literals.get(path).into_iter().flatten().for_each(|rule| take(*rule));
        let subject = Subject::new(path);
        self.matching_globs(&subject).for_each(take);
    }

    /// The rules whose globs match, last first.
    fn matching_globs<'m>(&'m self, subject: &'m Subject<'_>) -> impl Iterator<Item = usize> + 'm {
        self.index.globs.iter().rev().filter(|(rule, matcher)| {
            matcher.is_match(subject)
                && !matches!(&self.rules[*rule].files, Files::Glob { exclude, .. } if subject.is_in(exclude))
        }).map(|(rule, _)| *rule)
    }

    /// All rules that match a file, whichever of them wins; sorted. Empty if the file can't be an entry.
    pub fn rules_matching(&self, path: &RelPath) -> Vec<usize> {
        if self.index.never_entry(path).is_some() {
            return Vec::new();
        }
        let literals = self.index.literals.get(path).into_iter().flatten().copied();
        let subject = Subject::new(path);
        let mut rules: Vec<usize> = literals.chain(self.matching_globs(&subject)).collect();
        rules.sort_unstable();
        rules
    }

    /// The files that are named one by one, sorted: entries whether they are there or not.
    pub fn literal_files(&self) -> impl Iterator<Item = &RelPath> {
        self.index.literals.keys()
    }

    /// Why a path is never an entry, if it is never one.
    pub fn never_entry(&self, path: &RelPath) -> Option<NeverEntry> {
        self.index.never_entry(path)
    }

    /// The type of a file's content at a provider of this kind, by that provider's own name for it.
    ///
    /// # Errors
    /// Why there is none, in words and with a remedy: nobody knows the extension, or the provider refuses the type.
    ///
    /// # Panics
    /// If there is no such rule.
    pub fn content_type_of(&self, path: &RelPath, rule: usize, kind: &Kind) -> Result<MediaType, String> {
        let own = match &self.rules[rule].content_type {
            Some(stated) => stated.clone(),
            None => match path.extension() {
                Some(extension) => media_type::of_extension(extension).ok_or_else(|| {
                    format!("no media type is known for .{extension}; set content_type in its rule")
                })?,
                None => {
                    return Err(
                        "without an extension its type is unknown; set content_type in its rule".to_owned()
                    );
                }
            },
        };
        let accepted = &kind.capabilities.types;
        accepted
            .accepted_name(&own)
            .ok_or_else(|| format!("{} takes no {own}; {}", kind.title, near_types(&own, kind)))
    }
}

/// The accepted types that somebody could have meant, for a message.
pub(super) fn near_types(wanted: &MediaType, kind: &Kind) -> String {
    const SHOWN_MAX: usize = 4;
    let family = |name: &str| name.split('/').next().map(str::to_owned);
    let accepted = kind.capabilities.types.accepted;
    let mut near: Vec<&str> =
        accepted.iter().copied().filter(|name| family(name) == family(wanted.as_str())).collect();
    near.sort_by_key(|name| strsim::osa_distance(name, wanted.as_str()));
    near.truncate(SHOWN_MAX);
    if near.is_empty() {
        "it takes no type of that family".to_owned()
    } else {
        format!("near it: {}", near.join(", "))
    }
}
