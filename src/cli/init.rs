//! `mediakeep init`: a manifest for the folder that one stands in, or for that of the manifest that is named.
//!
//! Beside a config it holds no account, since such a manifest would be refused; it names those of the config.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::args::{Global, Init};
use super::exit::Exit;
use super::table::shown;
use super::voice::{fail, fail_with_help, print, tell};
use super::workspace::{Text, Texts, Workspace};
use crate::domain::kind::{Kind, SettingSpec};
use crate::domain::manifest::{Manifest, SourceName};
use crate::domain::media_type;
use crate::provider;

pub(super) fn run(global: &Global, options: &Init) -> Result<Exit, Exit> {
    let kinds = options.providers.iter().map(|name| kind(name)).collect::<Result<Vec<_>, Exit>>()?;
    let path = &global.manifest;
    if path.is_dir() {
        let file = path.join("media.toml");
        fail(&format!("{} is a folder; name the file: --manifest {}", path.display(), file.display()));
        return Err(Exit::Usage);
    }
    let Draft { accounts, to, folder, variables } = match &global.config {
        Some(config) => Draft::beside(config, path, &kinds)?,
        None => Draft::alone(path, &kinds),
    };
    let text = [accounts, rules(&to, &globs(&folder))].concat();
    if options.stdout {
        return Ok(print(&text));
    }
    // Never over a file that is there: somebody wrote it.
    let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
    match made.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            let first = if variables.is_empty() {
                String::new()
            } else {
                format!("`export {}`, then ", variables.join("=… ") + "=…")
            };
            tell(&format!("wrote {}; next: {first}`mediakeep check` and `mediakeep plan`", path.display()));
            Ok(Exit::Done)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fail(&format!("{} is there already; --stdout prints what would be written", path.display()));
            Err(Exit::Usage)
        }
        Err(error) => {
            fail(&format!("cannot write {}: {error}", path.display()));
            Err(Exit::Unexpected)
        }
    }
}

/// What a manifest is made from, but for the media.
struct Draft {
    /// Everything before the rules.
    accounts: String,
    /// The names of the accounts that media go to.
    to: Vec<String>,
    /// The folder that is looked at.
    folder: PathBuf,
    /// The environment variables that are named in it and must be set.
    variables: Vec<String>,
}

impl Draft {
    /// With an account for each of these kinds.
    fn alone(path: &Path, kinds: &[&Kind]) -> Self {
        let default = [provider::KINDS[0]];
        let kinds = if kinds.is_empty() { &default } else { kinds };
        let mut accounts = String::from(ABOUT_SECRETS);
        let mut variables = Vec::new();
        for kind in kinds {
            let _ = write!(accounts, "\n[provider.{0}]\nkind = \"{0}\"\n", kind.name);
            for spec in kind.settings {
                let variable = format!("{}_{}", kind.name, spec.name).to_uppercase();
                let wanted = is_wanted(kind, spec);
                let comment = if wanted { "" } else { "# " };
                let _ = writeln!(
                    accounts,
                    "{comment}{} = {{ env = \"{variable}\" }}  # {}",
                    spec.name, spec.about
                );
                variables.extend(wanted.then_some(variable));
            }
        }
        let to = kinds.iter().map(|kind| kind.name.to_owned()).collect();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { accounts, to, folder: folder.unwrap_or_else(|| Path::new(".")).to_owned(), variables }
    }

    /// For the accounts of a config: all of them, or those of these kinds.
    fn beside(config: &Path, path: &Path, kinds: &[&Kind]) -> Result<Self, Exit> {
        let absolute = std::path::absolute(path).map_err(|error| {
            fail(&format!("cannot tell where {} is: {error}", path.display()));
            Exit::Unexpected
        })?;
        let manifest =
            Text { name: path.display().to_string(), path: absolute, content: b"version = 1\n".to_vec() };
        let config_text = Some(Text::read(config, SourceName::Config)?);
        let state_directory = std::env::var_os("STATE_DIRECTORY");
        let workspace = Workspace::parse(Texts { manifest, config: config_text, state_directory })?;
        let Manifest { sync, providers, .. } = &*workspace.manifest;
        let wanted = |kind: &'static Kind| kinds.is_empty() || kinds.contains(&kind);
        let named = providers.iter().filter(|(_, account)| wanted(account.kind));
        let to: Vec<String> = named.map(|(name, _)| name.to_string()).collect();
        if to.is_empty() {
            let what = if providers.is_empty() { "account" } else { "account of that kind" };
            fail_with_help(
                &format!("the config {} has no {what}", config.display()),
                "add a [provider.NAME] table there; the manifest beside it can hold none",
            );
            return Err(Exit::Manifest);
        }
        let accounts = format!(
            "# What must exist where. Commit this file with the media. Accounts and [sync] are in {}.\nversion = 1\n",
            shown(&config.display().to_string())
        );
        Ok(Self { accounts, to, folder: sync.root.clone(), variables: Vec::new() })
    }
}

/// Whether a setting is one that must be there. The last way to prove who we are is the one that the provider
/// recommends.
fn is_wanted(kind: &Kind, spec: &SettingSpec) -> bool {
    let alternatives = kind.credentials;
    let preferred = alternatives.last().is_some_and(|set| set.contains(&spec.name));
    preferred || !alternatives.iter().any(|set| set.contains(&spec.name))
}

fn kind(name: &str) -> Result<&'static Kind, Exit> {
    let found = provider::KINDS.iter().find(|kind| kind.name == name);
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = provider::KINDS.iter().map(|kind| kind.name).collect();
        fail(&format!("no provider kind {name:?}; known are {}", known.join(", ")));
        Exit::Usage
    })
}

/// Globs for the media that lie in the folder, by sub-folder and extension.
fn globs(folder: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    let files = |folder: &Path| {
        fs::read_dir(folder).into_iter().flatten().flatten().take(FILES_MAX).collect::<Vec<_>>()
    };
    for entry in files(folder) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            let inside =
                files(&entry.path()).into_iter().filter_map(|entry| entry.file_name().into_string().ok());
            found.extend(
                inside.filter_map(|inner| {
                    Some(format!("{}/**/*.{}", escaped(&name), media_extension(&inner)?))
                }),
            );
        } else if let Some(extension) = media_extension(&name) {
            found.insert(format!("*.{extension}"));
        }
    }
    found.into_iter().take(GLOBS_MAX).collect()
}

/// The extension, where it is that of a picture, sound, video or contact card.
fn media_extension(name: &str) -> Option<String> {
    let extension = Path::new(name).extension()?.to_str()?;
    let media_type = media_type::of_extension(extension)?;
    let family = media_type.as_str().split('/').next()?;
    let wanted = matches!(family, "image" | "audio" | "video") || media_type.as_str() == "text/vcard";
    (wanted && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| extension.to_owned())
}

fn escaped(name: &str) -> String {
    name.chars().map(|c| if "*?[]{}!\\".contains(c) { format!("[{c}]") } else { c.to_string() }).collect()
}

fn rules(to: &[String], globs: &[String]) -> String {
    let to: Vec<String> = to.iter().map(|name| format!("\"{name}\"")).collect();
    let to = if let [one] = to.as_slice() { one.clone() } else { format!("[{}]", to.join(", ")) };
    if globs.is_empty() {
        return format!("\n# [[media]]\n# file = \"brand/logo.png\"\n# to = {to}\n");
    }
    let rule =
        |glob: &String| format!("\n[[media]]\nfiles = {}\nto = {to}\n", toml::Value::from(glob.as_str()));
    globs.iter().map(rule).collect()
}

const ABOUT_SECRETS: &str = "\
# What must exist where. Commit this file with the media; it can hold no secret: a secret is a reference to
# { env = \"NAME\" }, { credential = \"name\" } (systemd) or { file = \"path\" }.
version = 1
";

/// A look at the folder, no census.
const FILES_MAX: usize = 10_000;
const GLOBS_MAX: usize = 50;
