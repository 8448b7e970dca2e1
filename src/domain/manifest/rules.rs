//! The `[[media]]` tables, one by one; what they mean together is checked in `conflicts`.

use std::collections::BTreeSet;
use std::sync::Arc;

use toml::de::DeTable;

use super::exports::relative;
use super::keys::MEDIA;
use super::problem::{Draft, LineCounter, Place, Problems, SourceName, Span, quoted};
use super::providers::Providers;
use super::select::near_types;
use super::table::{At, Fields, Owner};
use super::{Files, IdTemplate, Rule, glob, suggest};
use crate::domain::asset::{MediaType, ProviderName};
use crate::domain::kind::{Kind, Naming};

/// A rule, and where its parts stand.
#[derive(Debug)]
pub(super) struct ReadRule {
    pub(super) rule: Rule,
    pub(super) files_place: Place,
    pub(super) id_place: Option<Place>,
}

/// The most patterns in one manifest. Every file is matched against all of them, and each takes some 20 kB.
const GLOBS_MAX: usize = 1000;

/// Where media can go.
#[derive(Clone, Copy)]
pub(super) struct Accounts<'r> {
    pub(super) providers: &'r Providers,
    /// Whether all providers are known; not if the text that holds them could not be read.
    pub(super) known: bool,
    /// What the config is called that holds the providers, if one does.
    pub(super) config: Option<&'r str>,
    /// Providers that were found where they must not stand. That is told already.
    pub(super) misplaced: &'r BTreeSet<&'r str>,
}

/// Reads `[[media]]` tables.
pub(super) struct Reader<'r> {
    accounts: Accounts<'r>,
    /// Whether it was told that there is no provider at all: one mistake, however many rules meet it.
    none_told: bool,
    globs: usize,
    lines: LineCounter<'r>,
}

impl<'r> Reader<'r> {
    pub(super) const fn new(text: &'r str, accounts: Accounts<'r>) -> Self {
        Self { accounts, none_told: false, globs: 0, lines: LineCounter::new(text) }
    }

    /// The rules that could be read.
    pub(super) fn read<'t>(
        mut self,
        tables: &[(&'t DeTable<'t>, Span)],
        problems: &mut Problems,
    ) -> Vec<ReadRule> {
        let mut rules = Vec::with_capacity(tables.len());
        for (table, span) in tables {
            let owner = Owner {
                source: SourceName::Manifest,
                header: "[[media]]",
                name: "media",
                span: span.clone(),
            };
            let fields = Fields::read(table, MEDIA.keys, &owner, problems);
            rules.extend(self.rule(&fields, &owner, problems));
        }
        rules
    }

    fn rule(&mut self, fields: &Fields<'_>, owner: &Owner<'_>, problems: &mut Problems) -> Option<ReadRule> {
        let files = self.files(fields, owner, problems);
        let to = self.to(&fields.texts("to"), problems);
        if let Some(place) = fields.value_place("to").filter(|_| fields.texts("to").is_empty()) {
            let draft = Draft::error("`to` must name at least one provider").at(&place, "names none");
            problems.add(draft.help("to = \"NAME\", where the provider's table is [provider.NAME]"));
        }
        let id = self.id(fields, &to, files.as_ref().map(|(files, _)| files), problems);
        let content_type = self.content_type(fields, &to, problems);
        let cache_control = self.cache_control(fields, &to, problems);
        let (files, files_place) = files?;
        let (id, id_place) = id.map(|at| (at.value, at.place)).unzip();
        let line = self.lines.line_of(files_place.start);
        let rule = Rule { line, files, to, id, content_type, cache_control };
        Some(ReadRule { rule, files_place, id_place })
    }

    fn files(
        &mut self,
        fields: &Fields<'_>,
        owner: &Owner<'_>,
        problems: &mut Problems,
    ) -> Option<(Files, Place)> {
        if let (Some(file), Some(files)) = (fields.key_place("file"), fields.key_place("files")) {
            let draft = Draft::error("a rule has either `file` or `files`").at(&files, "a pattern");
            problems.add(draft.at(&file, "one file").help("write two [[media]] tables"));
            return None;
        }
        if let Some(exclude) = fields.key_place("exclude").filter(|_| !fields.has("files")) {
            let draft = Draft::error("`exclude` without `files`").at(&exclude, "nothing to exclude from");
            problems.add(draft.help("`exclude` belongs to a pattern; a `file` is one file"));
        }
        match (fields.text("file"), fields.text("files")) {
            (Some(file), _) => literal(&file, problems),
            (_, Some(files)) => self.glob(&files, &fields.texts("exclude"), problems),
            _ if fields.has("file") || fields.has("files") => None,
            _ => {
                let draft = Draft::error("[[media]] does not say which files it is about");
                let draft = draft.at(&Place::new(owner.source, &owner.span), "");
                problems.add(draft.help("add file = \"one/file.png\", or files = \"a/pattern/*.png\""));
                None
            }
        }
    }

    fn glob(
        &mut self,
        files: &At<&str>,
        exclude: &[At<&str>],
        problems: &mut Problems,
    ) -> Option<(Files, Place)> {
        let before = self.globs;
        self.globs += 1 + exclude.len();
        if self.globs > GLOBS_MAX {
            if before <= GLOBS_MAX {
                let draft =
                    Draft::error(format!("more than {GLOBS_MAX} patterns")).at(&files.place, "one too many");
                problems.add(draft.help("let one pattern cover a folder: \"folder/**\""));
            }
            return None;
        }
        let include = compiled("files", files, problems);
        let excluded: Vec<_> = exclude.iter().map(|pattern| compiled("exclude", pattern, problems)).collect();
        let excluded: Option<Vec<_>> = excluded.into_iter().collect();
        if !glob::has_wildcard(files.value) {
            let draft =
                Draft::note("`files` has no wildcard, so it matches one file at most").at(&files.place, "");
            let folder = format!("{}/**", files.value);
            problems
                .add(draft.help(format!("for one file use `file`; for a folder use {}", quoted(&folder))));
        }
        let exclude = match glob::compile_set(excluded?) {
            Ok(set) => set,
            Err(reason) => {
                problems.add(Draft::error(format!("`exclude` can't be used: {reason}")).at(&files.place, ""));
                return None;
            }
        };
        Some((Files::Glob { include: include?.compile_matcher(), exclude }, files.place.clone()))
    }

    fn to(&mut self, names: &[At<&str>], problems: &mut Problems) -> Vec<ProviderName> {
        let mut to: Vec<ProviderName> = Vec::with_capacity(names.len());
        for At { value: name, place } in names {
            match self.accounts.providers.get_key_value(*name) {
                Some((known, _)) if to.contains(known) => {
                    problems.add(
                        Draft::error(format!("{} stands in `to` twice", quoted(name))).at(place, "again"),
                    );
                }
                Some((known, _)) => to.push(known.clone()),
                None if self.accounts.known && !self.accounts.misplaced.contains(name) && !self.none_told => {
                    problems.add(self.unknown_provider(name, place));
                    self.none_told = self.accounts.providers.is_empty();
                }
                None => {}
            }
        }
        to
    }

    fn unknown_provider(&self, name: &str, place: &Place) -> Draft {
        let draft = Draft::error(format!("no provider is called {}", quoted(name))).at(place, "not known");
        if let Some(near) = suggest::nearest(name, self.accounts.providers.keys().map(ProviderName::as_str)) {
            return draft.help("did you mean this one?").replacement(format!("\"{near}\""));
        }
        if ProviderName::new(name).is_err() {
            return draft;
        }
        draft.help(match self.accounts.config {
            Some(config) if self.accounts.providers.is_empty() => format!(
                "where a config is named it holds the accounts, and {config} has none: add [provider.{name}] to it"
            ),
            Some(config) => format!("{config} has no [provider.{name}]"),
            None => format!("add [provider.{name}], or name the file that has it by --config"),
        })
    }

    /// The kinds of these providers, each once; without those that are not known.
    fn kinds(&self, to: &[ProviderName]) -> Vec<&'static Kind> {
        let mut kinds: Vec<&'static Kind> = Vec::with_capacity(to.len());
        for kind in
            to.iter().filter_map(|name| self.accounts.providers.get(name)?.as_ref()).map(|config| config.kind)
        {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn id(
        &self,
        fields: &Fields<'_>,
        to: &[ProviderName],
        files: Option<&Files>,
        problems: &mut Problems,
    ) -> Option<At<IdTemplate>> {
        let At { value, place } = fields.text("id")?;
        let template = match IdTemplate::parse(value) {
            Ok(template) => template,
            Err(bad) => {
                let draft = Draft::error(format!("`id` {}", bad.problem)).at(&place, "");
                problems.add(bad.help.into_iter().fold(draft, Draft::help));
                return None;
            }
        };
        let kinds = self.kinds(to);
        let all_known = to.iter().all(|name| matches!(self.accounts.providers.get(name), Some(Some(_))));
        if all_known
            && !kinds.is_empty()
            && kinds.iter().all(|kind| kind.capabilities.naming == Naming::Server)
        {
            let draft = Draft::error(format!("`id` has no use: {} names media itself", titles(&kinds)));
            problems.add(draft.at(&place, "").help("remove it"));
        }
        if matches!(files, Some(Files::Glob { .. })) && !template.tells_files_apart() {
            let draft = Draft::note("`id` is the same for every file of a folder").at(&place, "");
            problems.add(draft.help("only the first of them can have it; add {stem}, {name} or {hash8}"));
        }
        Some(At { value: template, place })
    }

    fn content_type(
        &self,
        fields: &Fields<'_>,
        to: &[ProviderName],
        problems: &mut Problems,
    ) -> Option<MediaType> {
        let At { value, place } = fields.text("content_type")?;
        let Ok(media_type) = MediaType::new(value) else {
            let draft = Draft::error("`content_type` is no media type").at(&place, "");
            let draft = draft.help("a media type looks like image/png, in lower case and without parameters");
            let plain = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            problems.add(match MediaType::new(&plain) {
                Ok(plain) => draft.replacement(format!("\"{plain}\"")),
                Err(_) => draft,
            });
            return None;
        };
        let refused = |kind: &&Kind| kind.capabilities.types.accepted_name(&media_type).is_none();
        for kind in self.kinds(to).into_iter().filter(refused) {
            let draft = Draft::note(format!(
                "{} takes no {media_type}, so these entries will be blocked",
                kind.title
            ));
            problems.add(draft.at(&place, "").help(near_types(&media_type, kind)));
        }
        Some(media_type)
    }

    fn cache_control(
        &self,
        fields: &Fields<'_>,
        to: &[ProviderName],
        problems: &mut Problems,
    ) -> Option<Arc<str>> {
        const BYTES_MAX: usize = 256;
        let At { value, place } = fields.text("cache_control")?;
        if value.len() > BYTES_MAX || !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            let draft =
                Draft::error(format!("`cache_control` must be at most {BYTES_MAX} plain ASCII characters"));
            problems.add(draft.at(&place, "").help("write it as \"max-age=3600\""));
            return None;
        }
        let kinds = self.kinds(to);
        if !kinds.is_empty() && kinds.iter().all(|kind| !kind.capabilities.stores_cache_control) {
            let draft = Draft::note(format!("`cache_control` has no effect: {} stores none", titles(&kinds)));
            problems.add(draft.at(&place, ""));
        }
        Some(value.into())
    }
}

fn titles(kinds: &[&Kind]) -> String {
    kinds.iter().map(|kind| kind.title).collect::<Vec<_>>().join(" and ")
}

fn literal(file: &At<&str>, problems: &mut Problems) -> Option<(Files, Place)> {
    match relative(file.value) {
        Ok(path) => {
            if file.value.contains(['*', '?']) {
                let draft = Draft::note("`file` names one file, and `*` and `?` are taken as they are");
                problems.add(draft.at(&file.place, "").help("for a pattern use `files`"));
            }
            Some((Files::Literal(path), file.place.clone()))
        }
        Err((problem, help)) => {
            problems.add(Draft::error(format!("`file` {problem}")).at(&file.place, "").help(help));
            None
        }
    }
}

fn compiled(key: &str, pattern: &At<&str>, problems: &mut Problems) -> Option<globset::Glob> {
    let bad = match glob::compile(pattern.value) {
        Ok(glob) => return Some(glob),
        Err(bad) => bad,
    };
    let draft = Draft::error(format!("bad pattern in `{key}`: {}", bad.problem)).at(&pattern.place, "");
    problems.add(bad.help.into_iter().fold(draft, Draft::help));
    None
}
