//! The `[provider.NAME]` tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::keys::{Key, PROVIDER, provider_keys};
use super::problem::{Draft, Place, Problems, SourceName, Span, quoted};
use super::shape::what;
use super::table::{At, Fields, Owner};
use super::{ProviderConfig, Rate, Setting, suggest};
use crate::domain::asset::ProviderName;
use crate::domain::kind::Kind;
use crate::domain::lease::LeaseTerms;
use crate::domain::time::format_duration;

/// Uploads at once per provider, unless the manifest says otherwise.
const CONCURRENCY: usize = 4;
/// Requests per second and provider, unless the manifest says otherwise.
const RATE: Rate = Rate { requests: 10, per: Duration::from_secs(1) };
/// Time between two looks at what a provider holds, unless the manifest says otherwise.
const VERIFY: Duration = Duration::from_secs(3600);

/// The providers by name; `None` for one whose table has problems.
pub(super) type Providers = BTreeMap<ProviderName, Option<ProviderConfig>>;

/// What the providers' tables are read with.
pub(super) struct Reader<'r> {
    pub(super) kinds: &'r [&'static Kind],
    pub(super) source: SourceName,
    /// The folder of the file that holds the tables.
    pub(super) folder: &'r Path,
}

impl Reader<'_> {
    pub(super) fn read<'t>(&self, tables: &'t DeTable<'t>, problems: &mut Problems) -> Providers {
        let mut providers = Providers::new();
        for (key, value) in tables {
            let place = Place::new(self.source, &key.span());
            let name = match ProviderName::new(key.get_ref()) {
                Ok(name) => name,
                Err(invalid) => {
                    problems.add(Draft::error(invalid.to_string()).at(&place, "not such a name"));
                    continue;
                }
            };
            let config = match value.get_ref() {
                DeValue::Table(table) => self.provider(&name, table, value.span(), problems),
                other => {
                    let draft = Draft::error(format!("provider `{name}` must be a table"));
                    let help = format!("its header is [provider.{name}]");
                    problems.add(draft.at(&Place::new(self.source, &value.span()), what(other)).help(help));
                    None
                }
            };
            providers.insert(name, config);
        }
        providers
    }

    fn provider<'t>(
        &self,
        name: &ProviderName,
        table: &'t DeTable<'t>,
        span: Span,
        problems: &mut Problems,
    ) -> Option<ProviderConfig> {
        let header = format!("[provider.{name}]");
        let owner = Owner { source: self.source, header: &header, name: name.as_str(), span };
        let Some(kind) = self.kind(table, &owner, problems) else {
            // Which keys it may have is not known, but secrets and common values can be looked at all the same.
            self.check_without_kind(table, &owner, problems);
            return None;
        };
        let fields = Fields::read(table, &provider_keys(kind), &owner, problems);
        let settings = self.settings(kind, &fields);
        let used = credentials(kind, &fields, &owner, problems);
        let (base_url, token_url) = addresses(kind, &fields, used, problems)?;
        check_lengths(kind, &fields, problems);
        Some(ProviderConfig {
            kind,
            settings,
            base_url,
            token_url,
            retention: fields.length("retention").map(|at| at.value),
            margin: fields.length("margin").map(|at| at.value),
            concurrency: fields.count("concurrency").map_or(CONCURRENCY, |count| count as usize),
            rate: fields.rate("rate").unwrap_or(RATE),
            verify: fields.length("verify").map_or(VERIFY, |at| at.value),
        })
    }

    /// The kind that the table names. A missing or unknown one becomes a problem.
    fn kind<'t>(
        &self,
        table: &'t DeTable<'t>,
        owner: &Owner<'_>,
        problems: &mut Problems,
    ) -> Option<&'static Kind> {
        let value = table.get("kind")?;
        let name = value.get_ref().as_str()?;
        let known = self.kinds.iter().find(|kind| kind.name == name);
        if known.is_none() {
            problems.add(self.unknown_kind(name, value, owner));
        }
        known.copied()
    }

    fn unknown_kind(&self, name: &str, value: &Spanned<DeValue<'_>>, owner: &Owner<'_>) -> Draft {
        let place = Place::new(owner.source, &value.span());
        let draft =
            Draft::error(format!("unknown kind of provider {}", quoted(name))).at(&place, "not known");
        if let Some(near) = suggest::nearest(name, self.kinds.iter().map(|kind| kind.name)) {
            return draft.help("did you mean this one?").replacement(format!("\"{near}\""));
        }
        let known: Vec<_> = self.kinds.iter().map(|kind| kind.name).collect();
        draft.help(format!("the kinds are {}", known.join(", ")))
    }

    fn check_without_kind<'t>(&self, table: &'t DeTable<'t>, owner: &Owner<'_>, problems: &mut Problems) {
        let settings = self.kinds.iter().flat_map(|kind| provider_keys(kind));
        let mut keys: Vec<Key> = PROVIDER.keys.to_vec();
        keys.extend(settings.filter(|key| PROVIDER.keys.iter().all(|common| common.name != key.name)));
        let optional = |key: Key| {
            if key.name == "kind" { key } else { Key { absent: super::keys::Absent::Words(""), ..key } }
        };
        let keys: Vec<Key> = keys.into_iter().map(optional).collect();
        Fields::read(table, &keys, owner, problems);
    }

    fn settings(&self, kind: &'static Kind, fields: &Fields<'_>) -> BTreeMap<&'static str, Setting> {
        let found = kind
            .settings
            .iter()
            .filter_map(|setting| Some((setting.name, fields.setting(setting.name)?.value)));
        found.map(|(name, found)| (name, found.resolve(self.folder))).collect()
    }
}

/// The files that hold credentials.
pub(super) fn credential_files(providers: &Providers) -> impl Iterator<Item = &PathBuf> {
    let settings = providers.values().flatten().flat_map(|config| config.settings.values());
    settings.filter_map(|setting| if let Setting::File(path) = setting { Some(path) } else { None })
}

type CredentialSet = &'static [&'static str];

/// The set of credentials that the table has; anything but exactly one complete set becomes a problem.
fn credentials(
    kind: &'static Kind,
    fields: &Fields<'_>,
    owner: &Owner<'_>,
    problems: &mut Problems,
) -> Option<CredentialSet> {
    let begun = |set: &CredentialSet| set.iter().any(|key| fields.has(key));
    let begun: Vec<CredentialSet> = kind.credentials.iter().copied().filter(begun).collect();
    let header = Place::new(owner.source, &owner.span);
    let place =
        |keys: &[&str]| keys.iter().find_map(|key| fields.key_place(key)).unwrap_or_else(|| header.clone());
    // What is required whatever the credentials are is reported with the other keys.
    let missing =
        |key: &&str| !fields.has(key) && !kind.settings.iter().any(|own| own.name == *key && own.required);
    let ways = kind.credentials.iter().map(|set| listed(set, "and")).collect::<Vec<_>>().join(", or ");
    match begun[..] {
        [] if kind.credentials.iter().any(|set| set.iter().all(&missing)) => {
            let draft = Draft::error(format!("{} has no credentials", owner.header)).at(&header, "");
            problems.add(draft.help(format!("{} takes {ways}", kind.title)));
            None
        }
        [] => None,
        [set] => {
            for absent in set.iter().filter(|key| missing(key)) {
                let there: Vec<&str> = set.iter().copied().filter(|key| fields.has(key)).collect();
                let message = format!("{} has {} but no `{absent}`", owner.header, listed(&there, "and"));
                let draft = Draft::error(message).at(&place(&there), "");
                problems.add(draft.help(format!("{} takes {ways}", kind.title)));
            }
            note_deprecated(kind, set, fields, problems);
            Some(set)
        }
        [first, second, ..] => {
            let draft = Draft::error(format!("{} has two kinds of credentials", owner.header));
            let draft = draft.at(&place(second), "one kind").at(&place(first), "another kind");
            problems.add(draft.help(format!("keep one of them: {ways}")));
            None
        }
    }
}

/// Whether these are OAuth2 client credentials, the ones that tokens are asked for with (RFC 6749, section 4.4).
fn is_oauth2(set: CredentialSet) -> bool {
    set.contains(&"client_id")
}

/// Where a provider has moved to OAuth2, its other credentials are on their way out.
fn note_deprecated(kind: &'static Kind, set: CredentialSet, fields: &Fields<'_>, problems: &mut Problems) {
    let Some(newer) = kind.credentials.iter().find(|other| is_oauth2(other)).filter(|_| !is_oauth2(set))
    else {
        return;
    };
    if let Some(place) = set.iter().find_map(|key| fields.key_place(key)) {
        let message = format!("{} has deprecated {}", kind.title, listed(set, "with"));
        let help =
            format!("they work for now; OAuth2 client credentials ({}) will stay", listed(newer, "and"));
        problems.add(Draft::note(message).at(&place, "").help(help));
    }
}

fn listed(keys: &[&str], joined_by: &str) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(&format!(" {joined_by} "))
}

/// The addresses in force. Credentials must not go to one host while tokens come from another.
fn addresses(
    kind: &'static Kind,
    fields: &Fields<'_>,
    used: Option<CredentialSet>,
    problems: &mut Problems,
) -> Option<(Url, Option<Url>)> {
    let oauth2 = used.is_some_and(is_oauth2);
    match (fields.key_place("base_url"), fields.key_place("token_url")) {
        (Some(place), None) if oauth2 && !fields.is_broken("token_url") => {
            let draft =
                Draft::error("`base_url` without `token_url`").at(&place, "tokens would come from elsewhere");
            problems.add(draft.help("with OAuth2, state both or neither"));
        }
        (None, Some(place)) if oauth2 && !fields.is_broken("base_url") => {
            let draft =
                Draft::error("`token_url` without `base_url`").at(&place, "tokens would go elsewhere");
            problems.add(draft.help("with OAuth2, state both or neither"));
        }
        (_, Some(place)) if used.is_some() && !oauth2 => {
            let draft = Draft::error("`token_url` is for OAuth2 client credentials").at(&place, "never used");
            problems.add(draft.help("remove it, or state `client_id` and `client_secret`"));
        }
        _ => {}
    }
    let base_url = fields.address("base_url").or_else(|| kind.base_url.parse().ok())?;
    let token_url = fields.address("token_url").or_else(|| kind.token_url.and_then(|text| text.parse().ok()));
    Some((base_url, token_url.filter(|_| oauth2)))
}

fn check_lengths(kind: &'static Kind, fields: &Fields<'_>, problems: &mut Problems) {
    let documented = kind.capabilities.retention;
    let stated = fields.length("retention");
    if let Some(At { value, place }) = &stated
        && *value > documented
    {
        let draft = Draft::error(format!("`retention` is longer than {} keeps media", kind.title));
        let label = format!("{} documents {}", kind.title, format_duration(documented));
        problems.add(
            draft.at(place, label).help("it may only shorten that: a longer life is not ours to promise"),
        );
        return;
    }
    if let Some(margin) = fields.length("margin") {
        check_margin(&margin, stated.map_or(documented, |at| at.value), problems);
    }
}

fn check_margin(margin: &At<Duration>, retention: Duration, problems: &mut Problems) {
    let LeaseTerms { life, margin: used } = LeaseTerms::new(retention, Some(margin.value));
    let whole = format!(
        "a media's life is {}: its retention of {} less a reserve for clocks",
        format_duration(life),
        format_duration(retention)
    );
    let counts = format_duration(used);
    if margin.value >= life {
        let draft = Draft::error("`margin` is not shorter than the life of a media").at(&margin.place, whole);
        problems.add(draft.help(format!("a margin is half of that life at most: {counts}")));
    } else if margin.value != used {
        let why = if margin.value > used {
            "the most, half of a media's life: with more, each would be uploaded more than twice in it"
        } else {
            "the least, an eighth of a media's life: with less, a short outage would end URLs"
        };
        let message = format!("`margin` asks for {}, and {counts} is used", format_duration(margin.value));
        let usual = format_duration(LeaseTerms::new(retention, None).margin);
        let help = format!("that is {why}; without a `margin` it is {usual}");
        problems.add(Draft::note(message).at(&margin.place, whole).help(help));
    }
}
