//! From two texts to a checked manifest, or to everything that is wrong with them.
//!
//! Pure: no file is opened, no variable read, no clock asked. All problems are found in one go.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::exports::{self, Reserved};
use super::keys::{self, CONFIG_ONLY, Form, SECTIONS, SYNC, TOP};
use super::location::{below, resolve};
use super::mask::Masks;
use super::problem::{Draft, Lines, Place, Problem, Problems, Severity, SourceName, Span, quoted};
use super::providers::{self, Providers, credential_files};
use super::select::Index;
use super::table::{At, Fields, tables};
use super::{HookOptions, Manifest, SyncOptions, conflicts, hook, rules, serve, suggest, syntax};
use crate::domain::asset::RelPath;
use crate::domain::kind::Kind;

/// The largest manifest or config, in bytes: whoever reads the file looks at its size first.
pub const SOURCE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A text and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What people call the file, as they typed it.
    pub name: &'a str,
    /// Where it is, absolute: what relative paths in it start from.
    pub path: &'a Path,
    /// Its content.
    pub text: &'a [u8],
}

/// Everything that a manifest follows from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The manifest.
    pub manifest: Source<'a>,
    /// The config, where there is one.
    pub config: Option<Source<'a>>,
    /// The value of `$STATE_DIRECTORY`, where it is set.
    pub state_directory: Option<&'a OsStr>,
}

/// What became of the texts.
#[derive(Clone, Debug)]
#[must_use]
pub struct Parsed {
    /// The manifest; `None` if any problem is an error.
    pub manifest: Option<Manifest>,
    /// All errors, then all notes; each in the order of the text, the manifest's first.
    pub problems: Vec<Problem>,
}

impl Parsed {
    /// How many problems are errors.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

/// Reads and checks a manifest, together with its config where there is one.
pub fn parse(sources: &Sources<'_>, kinds: &[&'static Kind]) -> Parsed {
    let mut problems = Problems::default();
    let manifest = Document::read(SourceName::Manifest, sources.manifest, &mut problems);
    let config = sources.config.map(|config| Document::read(SourceName::Config, config, &mut problems));
    let built = build(sources, &manifest, config.as_ref(), kinds, &mut problems);
    let built = built.filter(|_| !problems.any_error());
    let (mut manifest_lines, mut config_lines) = (None, None);
    let problems = problems.finish(|place| match (place.source, &config) {
        (SourceName::Config, Some(config)) => {
            config_lines.get_or_insert_with(|| config.lines()).locate(place)
        }
        _ => manifest_lines.get_or_insert_with(|| manifest.lines()).locate(place),
    });
    Parsed { manifest: built, problems }
}

/// A source as TOML.
struct Document<'a> {
    source: SourceName,
    name: &'a str,
    folder: &'a Path,
    text: &'a str,
    /// `None` if the text is no TOML.
    root: Option<DeTable<'a>>,
}

impl<'a> Document<'a> {
    fn read(source: SourceName, from: Source<'a>, problems: &mut Problems) -> Self {
        let folder = from.path.parent().unwrap_or(from.path);
        let (text, root) = syntax::read(source, from.text, problems);
        Self { source, name: from.name, folder, text, root }
    }

    /// The lines of the text; none of them may be shown where the text is broken.
    fn lines(&self) -> Lines<'a> {
        Lines::new(self.name, self.text, self.root.as_ref().map(Masks::of))
    }
}

/// Which tables a source may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A manifest without a config: all.
    Alone,
    /// A manifest beside a config: what is to be kept alive.
    Beside,
    /// A config: accounts and folders.
    Config,
}

/// The tables of a source that it may hold.
#[derive(Default)]
struct Top<'t> {
    sync: Option<(&'t DeTable<'t>, Span)>,
    providers: Option<&'t DeTable<'t>>,
    media: Vec<(&'t DeTable<'t>, Span)>,
    exports: Vec<(&'t DeTable<'t>, Span)>,
    serve: Option<(&'t DeTable<'t>, Span)>,
    hook: Option<(&'t DeTable<'t>, Span)>,
    /// The names of accounts that stand in a manifest and should not.
    misplaced: BTreeSet<&'t str>,
}

fn build(
    sources: &Sources<'_>,
    manifest: &Document<'_>,
    config: Option<&Document<'_>>,
    kinds: &[&'static Kind],
    problems: &mut Problems,
) -> Option<Manifest> {
    let role = if config.is_some() { Role::Beside } else { Role::Alone };
    let wanted = top(manifest, role, config, problems);
    let settled = config.map(|config| top(config, Role::Config, None, problems));
    let (settings, holder) = match (&settled, config) {
        (Some(settled), Some(config)) => (settled, config),
        _ => (&wanted, manifest),
    };
    let sync =
        sync_options(settings.sync.as_ref(), holder, manifest.folder, sources.state_directory, problems);
    let reader = providers::Reader { kinds, source: holder.source, folder: holder.folder };
    let providers = settings.providers.map(|tables| reader.read(tables, problems)).unwrap_or_default();
    let hooks = settled.as_ref().and_then(|settled| settled.hook.as_ref());
    let hooks = hooks.map(|table| hook::read(table, holder.source, holder.folder, &sync.root, problems));
    let mut reserved = reserved_paths(sources, &sync.root, &providers, hooks.as_ref());
    let folders = Index::new(&[], &[], &sync.root, &sync.state_dir);
    let exports = exports::read(&wanted.exports, &mut reserved, &folders, problems);
    let accounts = rules::Accounts {
        providers: &providers,
        known: holder.root.is_some(),
        config: config.map(|config| config.name),
        misplaced: &wanted.misplaced,
    };
    let reader = rules::Reader::new(manifest.text, accounts);
    let rules = reader.read(&wanted.media, problems);
    conflicts::Surroundings { providers: &providers, reserved: &reserved, folders: &folders }
        .check(&rules, problems);
    let providers: Option<_> = providers.into_iter().map(|(name, config)| Some((name, config?))).collect();
    let rules = rules.into_iter().map(|read| read.rule).collect();
    let serve = settled.as_ref().and_then(|settled| {
        serve::read(settled.serve.as_ref()?, holder.source, holder.folder, &sync.root, problems)
    });
    let mut manifest = Manifest::new(sync, providers?, rules, exports, reserved.into_keys().collect());
    (manifest.serve, manifest.hooks) = (serve, hooks);
    Some(manifest)
}

fn top<'t>(
    document: &'t Document<'t>,
    role: Role,
    config: Option<&Document<'_>>,
    problems: &mut Problems,
) -> Top<'t> {
    let mut found = Top::default();
    let Some(root) = &document.root else { return found };
    let mut version = false;
    let mut settings = Vec::new();
    for (key, value) in root {
        let name: &str = key.get_ref();
        let place = Place::new(document.source, &key.span());
        match name {
            "version" => {
                version = true;
                if let Err(complaint) = TOP.keys[0].shape.read(value, name, "") {
                    problems.add(complaint.into_draft(name, document.source, &value.span()));
                }
            }
            "sync" | "provider" if role == Role::Beside => {
                settings.push((place, name));
                if let ("provider", DeValue::Table(accounts)) = (name, value.get_ref()) {
                    found.misplaced = accounts.keys().map(|key| &**key.get_ref()).collect();
                }
            }
            "media" | "export" if role == Role::Config => problems.add(media_in_config(name, &place)),
            _ => {
                if role != Role::Config
                    && let Some((_, power)) = CONFIG_ONLY.iter().find(|(table, _)| *table == name)
                {
                    problems.add(power_in_manifest(name, power, &place));
                    continue;
                }
                version |= suggest::nearest(name, ["version"]).is_some();
                section(&mut found, name, value, &place, problems);
            }
        }
    }
    settings.sort();
    if !settings.is_empty() {
        problems.add(settings_in_manifest(&settings, config));
    }
    if !version {
        let draft = Draft::error("the version of the format is missing")
            .at(&Place::new(document.source, &(0..0)), "");
        problems.add(draft.help("put `version = 1` before the first table"));
    }
    found
}

fn section<'t>(
    found: &mut Top<'t>,
    name: &str,
    value: &'t Spanned<DeValue<'t>>,
    place: &Place,
    problems: &mut Problems,
) {
    let mut read = |form| tables(value, form, name, place.source, problems);
    match name {
        "sync" => found.sync = read(Form::Table).pop(),
        "provider" => found.providers = read(Form::NamedTables).pop().map(|(tables, _)| tables),
        "media" => found.media = read(Form::Array),
        "export" => found.exports = read(Form::Array),
        "serve" => found.serve = read(Form::Table).pop(),
        "hook" => found.hook = read(Form::Table).pop(),
        _ => problems.add(unknown_table(name, place)),
    }
}

fn unknown_table(name: &str, place: &Place) -> Draft {
    let draft = Draft::error(format!("unknown key {}", quoted(name))).at(place, "not a key of the manifest");
    let names =
        SECTIONS.iter().map(|section| section.name).chain(["version"]).filter(|name| !name.is_empty());
    if let Some(near) = suggest::nearest(name, names) {
        return draft.help("did you mean this one?").replacement(near);
    }
    match keys::home_of(name) {
        Some(home) => draft.help(format!("`{name}` belongs in {}", home.header())),
        None => draft.help("at the top there are version, [sync], [provider.NAME], [[media]] and [[export]]"),
    }
}

/// One mistake, whichever of these tables a manifest holds.
fn settings_in_manifest(settings: &[(Place, &str)], config: Option<&Document<'_>>) -> Draft {
    let file = config.map_or("the config", |config| config.name);
    let names: Vec<String> = settings.iter().map(|(_, name)| format!("`{name}`")).collect();
    let draft =
        Draft::error(format!("{} can't stand in the manifest while a config is in use", names.join(" and ")));
    let draft = settings.iter().fold(draft, |draft, (place, _)| draft.at(place, "belongs in the config"));
    draft.help(format!(
        "move all of it to {file}; whoever may edit the media must not be able to send the account's credentials to \
         another host, or to have other folders read or written"
    ))
}

fn power_in_manifest(name: &str, power: &str, place: &Place) -> Draft {
    Draft::error(format!("[{name}] can't stand in the manifest")).at(place, "belongs in the config").help(format!(
        "whoever may edit the media must not be able to {power}: put [{name}] into a file of its own, with [sync] and \
         [provider.NAME], and name that by --config"
    ))
}

fn media_in_config(name: &str, place: &Place) -> Draft {
    Draft::error(format!("`{name}` can't stand in the config"))
        .at(place, "belongs in the manifest")
        .help(format!("move [[{name}]] to the manifest, beside the media"))
}

/// Quiet time after the last write, unless the manifest says otherwise.
const SETTLE: Duration = Duration::from_secs(2);
/// Time between two full walks, unless the manifest says otherwise.
const RESCAN: Duration = Duration::from_secs(15 * 60);
/// The state folder's name beside the manifest.
const STATE_FOLDER: &str = ".mediakeep";

fn sync_options<'t>(
    table: Option<&(&'t DeTable<'t>, Span)>,
    holder: &Document<'_>,
    manifest_folder: &Path,
    state_directory: Option<&OsStr>,
    problems: &mut Problems,
) -> SyncOptions {
    let fields = table.map(|table| Fields::of(&SYNC, table, holder.source, problems));
    let fields = fields.as_ref();
    let folder = |name| fields.and_then(|fields| fields.text(name));
    let length = |name| fields.and_then(|fields| fields.length(name)).map(|at| at.value);
    let stated = |at: &At<&str>| resolve(holder.folder, Path::new(at.value));
    let (root, state_dir) = (folder("root"), folder("state_dir"));
    let sync = SyncOptions {
        root: root.as_ref().map_or_else(|| resolve(manifest_folder, Path::new("")), stated),
        state_dir: state_dir
            .as_ref()
            .map_or_else(|| default_state_dir(manifest_folder, state_directory), stated),
        settle: length("settle").unwrap_or(SETTLE),
        rescan: length("rescan").unwrap_or(RESCAN),
        keep_copies: fields.and_then(|fields| fields.flag("keep_copies")).unwrap_or(true),
    };
    let place = state_dir.or(root).map(|at| at.place);
    check_state_dir(&sync, place.as_ref(), problems);
    sync
}

/// systemd may hand over several folders, separated by colons; the first one is ours.
fn default_state_dir(manifest_folder: &Path, state_directory: Option<&OsStr>) -> PathBuf {
    let handed_over = state_directory.and_then(|list| list.as_bytes().split(|byte| *byte == b':').next());
    let folder = handed_over.filter(|folder| !folder.is_empty()).unwrap_or(STATE_FOLDER.as_bytes());
    resolve(manifest_folder, Path::new(OsStr::from_bytes(folder)))
}

fn check_state_dir(sync: &SyncOptions, place: Option<&Place>, problems: &mut Problems) {
    let at = |draft: Draft| match place {
        Some(place) => draft.at(place, ""),
        None => draft,
    };
    if sync.root.starts_with(&sync.state_dir) {
        let draft = at(Draft::error("the state folder is the watched folder, or holds it"));
        problems.add(draft.help("give the state a folder of its own: state_dir = \".mediakeep\""));
    } else if sync.state_dir.starts_with(&sync.root) {
        let folder = sync.state_dir.display();
        let draft = at(Draft::note(format!("`git clean -fdx` would delete the state folder {folder}")));
        problems.add(
            draft.help("state_dir in [sync], or $STATE_DIRECTORY, can put it outside the watched folder"),
        );
    }
}

/// What lies below root and is never media, the exports aside.
fn reserved_paths(
    sources: &Sources<'_>,
    root: &Path,
    providers: &Providers,
    hooks: Option<&HookOptions>,
) -> Reserved {
    let mut reserved = Reserved::new();
    let mut add = |path: &Path, what| {
        if let Some(path) = below(root, &resolve(Path::new("/"), path)) {
            let path: RelPath = path;
            reserved.insert(path, (what, None));
        }
    };
    let webhooks = hooks.into_iter().flat_map(HookOptions::secret_files);
    credential_files(providers).chain(webhooks).for_each(|path| add(path, "a file that holds a credential"));
    if let Some(config) = sources.config {
        add(config.path, "the config");
    }
    add(sources.manifest.path, "the manifest");
    reserved
}
