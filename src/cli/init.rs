//! `mediakeep init`: a manifest for the folder that one stands in, or for that of the manifest that is named.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::args::{Global, Init};
use super::exit::Exit;
use super::voice::{fail, print, tell};
use crate::domain::kind::Kind;
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
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let text = manifest(&kinds, &globs(folder));
    if options.stdout {
        return Ok(print(&text));
    }
    // Never over a file that is there: somebody wrote it.
    let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
    match made.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            tell(&format!(
                "wrote {}; next: set the variables that it names, then `mediakeep check` and `mediakeep plan`",
                path.display()
            ));
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

fn manifest(kinds: &[&Kind], globs: &[String]) -> String {
    let mut text = String::from(
        "# What must exist where. Commit this file with the media; it can hold no secret: a secret is a reference to\n\
         # { env = \"NAME\" }, { credential = \"name\" } (systemd) or { file = \"path\" }.\nversion = 1\n",
    );
    for kind in kinds {
        let _ = write!(text, "\n[provider.{0}]\nkind = \"{0}\"\n", kind.name);
        for spec in kind.settings {
            let alternatives = kind.credentials;
            // The last way to prove who we are is the one that the provider recommends.
            let preferred = alternatives.last().is_some_and(|set| set.contains(&spec.name));
            let other = alternatives.iter().any(|set| set.contains(&spec.name)) && !preferred;
            let comment = if other { "# " } else { "" };
            let variable = format!("{}_{}", kind.name, spec.name).to_uppercase();
            let _ = writeln!(text, "{comment}{} = {{ env = \"{variable}\" }}  # {}", spec.name, spec.about);
        }
    }
    let to: Vec<String> = kinds.iter().map(|kind| format!("\"{}\"", kind.name)).collect();
    let to = if let [one] = to.as_slice() { one.clone() } else { format!("[{}]", to.join(", ")) };
    if globs.is_empty() {
        let _ = write!(text, "\n# [[media]]\n# file = \"brand/logo.png\"\n# to = {to}\n");
    }
    for glob in globs {
        let _ = write!(text, "\n[[media]]\nfiles = {}\nto = {to}\n", toml::Value::from(glob.as_str()));
    }
    text
}

/// A look at the folder, no census.
const FILES_MAX: usize = 10_000;
const GLOBS_MAX: usize = 50;
