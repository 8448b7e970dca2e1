//! What the rules mean together: no two of them for one entry or with one ID, none for what is never media.

use std::collections::BTreeMap;

use super::exports::{Reserved, describe};
use super::problem::{Draft, Place, Problems, quoted};
use super::providers::Providers;
use super::rules::ReadRule;
use super::select::Index;
use super::{Files, IdTemplate, ProviderConfig, Rule, folded};
use crate::domain::asset::{ContentHash, MediaId, MediaType, ProviderName, RelPath};
use crate::domain::kind::{Naming, Replacing};
use crate::domain::media_type;

/// What the rules are checked against.
pub(super) struct Surroundings<'s> {
    pub(super) providers: &'s Providers,
    pub(super) reserved: &'s Reserved,
    pub(super) folders: &'s Index,
}

impl Surroundings<'_> {
    pub(super) fn check(&self, rules: &[ReadRule], problems: &mut Problems) {
        let mut entries: BTreeMap<(&RelPath, &ProviderName), &Place> = BTreeMap::new();
        let mut ids: BTreeMap<(&ProviderName, String), &Place> = BTreeMap::new();
        let default = IdTemplate::default_for_client_named();
        for read in rules {
            let Files::Literal(path) = &read.rule.files else { continue };
            self.never_media(path, &read.files_place, problems);
            for provider in &read.rule.to {
                if let Some(first) = entries.insert((path, provider), &read.files_place) {
                    problems.add(twice(path, provider, &read.files_place, first));
                    continue;
                }
                let Some(Some(config)) = self.providers.get(provider) else { continue };
                if config.kind.capabilities.naming == Naming::Server {
                    continue;
                }
                let Some(id) = id_of(read, path, config, &default, problems) else { continue };
                if let Some(place) = read.id_place.as_ref().filter(|_| fixed(&read.rule))
                    && let Some(first) = ids.insert((provider, folded(id.as_str())), place)
                {
                    problems.add(same_id(&id, provider, place, first));
                }
            }
        }
        self.note_fixed_ids(rules, problems);
    }

    fn never_media(&self, path: &RelPath, place: &Place, problems: &mut Problems) {
        if let Some((what, stated)) = self.reserved.get(path) {
            let draft = Draft::error(format!("{} is {what}, so it is never media", quoted(path.as_str())));
            let draft = draft.at(place, "");
            problems.add(match stated {
                Some(stated) => draft.at(stated, "stated here"),
                None => draft,
            });
        } else if let Some(reason) = self.folders.never_entry(path) {
            let message = format!("{} is {}, so it is never media", quoted(path.as_str()), describe(reason));
            problems.add(Draft::error(message).at(place, ""));
        }
    }

    /// One note for all of them: in a manifest of one rule per file it would otherwise drown everything else.
    fn note_fixed_ids(&self, rules: &[ReadRule], problems: &mut Problems) {
        let overwritten = |read: &&ReadRule| {
            let configs = read.rule.to.iter().filter_map(|name| self.providers.get(name)?.as_ref());
            let title = configs
                .map(|config| config.kind)
                .find(|kind| {
                    kind.capabilities.naming == Naming::Client
                        && kind.capabilities.replacing == Replacing::Overwrites
                })?
                .title;
            Some((read.id_place.clone().filter(|_| fixed(&read.rule))?, title))
        };
        let mut found = rules.iter().filter_map(|read| overwritten(&read));
        let Some((place, title)) = found.next() else { return };
        let message = match found.count() {
            0 => "an `id` without a hash: the URL stays the same when the content changes".to_owned(),
            more => format!(
                "{} rules have an `id` without a hash: the URL stays the same when the content changes",
                more + 1
            ),
        };
        let help = format!(
            "{title} may then send the old content; with {{hash8}} in the ID, new content has a new URL"
        );
        problems.add(Draft::note(message).at(&place, "").help(help));
    }
}

fn twice(path: &RelPath, provider: &ProviderName, place: &Place, first: &Place) -> Draft {
    let message = format!("{} goes to `{provider}` by two rules", quoted(path.as_str()));
    let draft = Draft::error(message).at(place, "here again").at(first, "first here");
    draft.help("remove one of them")
}

fn same_id(id: &MediaId, provider: &ProviderName, place: &Place, first: &Place) -> Draft {
    let message = format!("two files have the ID {} at `{provider}`", quoted(id.as_str()));
    let draft = Draft::error(message).at(place, "here again").at(first, "first here");
    draft.help("give one of them another ID; letter case does not count")
}

/// Whether the rule states an ID that new content keeps.
fn fixed(rule: &Rule) -> bool {
    rule.id.as_ref().is_some_and(|id| !id.depends_on_content())
}

/// The ID that the file will have, with some hash in it where there is one. One that can't be becomes a problem.
fn id_of(
    read: &ReadRule,
    path: &RelPath,
    config: &ProviderConfig,
    default: &IdTemplate,
    problems: &mut Problems,
) -> Option<MediaId> {
    let template = read.rule.id.as_ref().unwrap_or(default);
    let place = read.id_place.as_ref().unwrap_or(&read.files_place);
    let stated = read.rule.content_type.clone();
    // Without any type the entry is blocked for that; its ID does not matter then.
    let media_type: MediaType = stated
        .or_else(|| media_type::of_extension(path.extension()?))
        .or_else(|| MediaType::new("text/plain").ok())?;
    let id = match template.render(path, &ContentHash([0; 32]), &media_type) {
        Ok(id) => id,
        Err(problem) => {
            problems.add(
                Draft::error(format!("the ID of {} can't be: it {problem}", quoted(path.as_str())))
                    .at(place, ""),
            );
            return None;
        }
    };
    let longest = config.kind.capabilities.max_url_bytes;
    if config.base_url.as_str().len() + encoded_length(id.as_str()) > longest {
        let message = format!("the URL of {} would be longer than {longest} bytes", quoted(path.as_str()));
        problems.add(
            Draft::error(message)
                .at(place, "")
                .help(format!("{} takes no longer one; shorten the ID", config.kind.title)),
        );
        return None;
    }
    Some(id)
}

/// How long an ID is in a URL, where all but unreserved characters and `/` are percent-encoded.
fn encoded_length(id: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    id.bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum()
}
