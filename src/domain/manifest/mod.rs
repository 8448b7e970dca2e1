//! What must exist where: the manifest and the config, as text and as checked values.

mod address;
mod conflicts;
mod exports;
#[cfg(test)]
pub(crate) mod fixtures;
mod glob;
mod hook;
mod keys;
mod location;
mod mask;
mod parse;
mod problem;
mod providers;
mod rules;
mod schema;
mod select;
mod serve;
mod shape;
mod suggest;
mod syntax;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod unusable;

pub use hook::{Hook, HookOptions, Target, webhook_address};
pub use parse::{Parsed, SOURCE_BYTES_MAX, Source, Sources, parse};
pub use problem::{Excerpt, Label, Problem, Severity, SourceName, Span};
pub use schema::{reference, schema};
pub use select::{NeverEntry, Selected, TEMPORARY_PREFIX};
pub use serve::{Listen, ServeOptions};
pub use template::{BadTemplate, IdTemplate};
pub use unusable::Unusable;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::asset::{MediaType, ProviderName, RelPath};
use super::kind::Kind;
use unicode_normalization::UnicodeNormalization;

/// A checked manifest, together with its config where there is one.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where things are and how the folder is watched.
    pub sync: SyncOptions,
    /// The providers, by the names of their tables.
    pub providers: BTreeMap<ProviderName, ProviderConfig>,
    /// The `[[media]]` tables, in the order of the file.
    pub rules: Vec<Rule>,
    /// The `[[export]]` tables.
    pub exports: Vec<Export>,
    /// The `[serve]` table of the config, where there is one.
    pub serve: Option<ServeOptions>,
    /// The `[hook]` table of the config, where there is one.
    pub hooks: Option<HookOptions>,
    /// Paths below root that are never entries: the manifest, the config, the exports, and files that hold
    /// credentials.
    pub reserved: Vec<RelPath>,
    /// The rules once more, made ready for look-ups.
    index: select::Index,
}

impl Manifest {
    /// Puts checked parts together.
    #[must_use]
    pub fn new(
        sync: SyncOptions,
        providers: BTreeMap<ProviderName, ProviderConfig>,
        rules: Vec<Rule>,
        exports: Vec<Export>,
        reserved: Vec<RelPath>,
    ) -> Self {
        let index = select::Index::new(&rules, &reserved, &sync.root, &sync.state_dir);
        Self { sync, providers, rules, exports, serve: None, hooks: None, reserved, index }
    }
}

/// The `[sync]` table, with its paths resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncOptions {
    /// The watched folder, absolute.
    pub root: PathBuf,
    /// The state folder, absolute.
    pub state_dir: PathBuf,
    /// Quiet time after the last write before a file is read; may be zero.
    pub settle: Duration,
    /// Time between two full walks.
    pub rescan: Duration,
    /// Whether published bytes are kept.
    pub keep_copies: bool,
}

impl SyncOptions {
    /// What of another table a process that runs by this one cannot follow, as the beginning of a sentence: where the
    /// media and the state are counts until it ends.
    #[must_use]
    pub fn moved_to(&self, next: &Self) -> Option<&'static str> {
        match (self.root == next.root, self.state_dir == next.state_dir) {
            (true, true) => None,
            (false, true) => Some("`root` is"),
            (true, false) => Some("`state_dir` is"),
            (false, false) => Some("`root` and `state_dir` are"),
        }
    }
}

/// A `[provider.NAME]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// What kind it is.
    pub kind: &'static Kind,
    /// Its own settings, by key.
    pub settings: BTreeMap<&'static str, Setting>,
    /// Its API's address, without a trailing `/`.
    pub base_url: url::Url,
    /// Where its tokens come from, if it uses any.
    pub token_url: Option<url::Url>,
    /// How long its media live, where the manifest shortens it.
    pub retention: Option<Duration>,
    /// How long before the end a handle is renewed, where the manifest says so.
    pub margin: Option<Duration>,
    /// Uploads at once.
    pub concurrency: usize,
    /// Requests per `rate.per`.
    pub rate: Rate,
    /// Time between two looks at whether the provider still holds what was published; zero: never.
    pub verify: Duration,
}

/// A value of a provider's table, or the place where it is to be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// The value itself; never a secret.
    Literal(String),
    /// The name of an environment variable.
    Env(String),
    /// The name of a systemd credential.
    Credential(String),
    /// A file that holds it, absolute.
    File(PathBuf),
}

/// A request rate, such as `10/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests, at least one.
    pub requests: u32,
    /// In this time.
    pub per: Duration,
}

/// A `[[media]]` table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The line of the manifest that says which files, from 1.
    pub line: usize,
    /// Which files.
    pub files: Files,
    /// Where they must exist; at least one, each named once.
    pub to: Vec<ProviderName>,
    /// The template of their IDs, where the rule has one.
    pub id: Option<IdTemplate>,
    /// Their type, where the rule has one.
    pub content_type: Option<MediaType>,
    /// The Cache-Control that is stored with them.
    pub cache_control: Option<Arc<str>>,
}

/// An `[[export]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The file, relative to root.
    pub path: RelPath,
    /// Its shape.
    pub format: ExportFormat,
}

/// Which files a rule is about.
#[derive(Clone, Debug)]
pub enum Files {
    /// One file, which is an entry whether it is there or not.
    Literal(RelPath),
    /// Every file that matches.
    Glob {
        /// The pattern.
        include: globset::GlobMatcher,
        /// What it leaves out.
        exclude: globset::GlobSet,
    },
}

/// The shape of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// file -> provider -> URL.
    Json,
    /// `MEDIAKEEP_<PROVIDER>_<PATH>='…'`.
    Env,
    /// file -> provider -> URL.
    Toml,
}

/// A text as a system sees it that ignores letter case and the ways to compose a character.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}
