//! The `[[export]]` tables, and the paths below root that are never media.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::keys::EXPORT;
use super::problem::{Draft, Place, Problems, SourceName, Span, quoted};
use super::select::{Index, NeverEntry};
use super::table::{At, Fields};
use super::{Export, ExportFormat, folded};
use crate::domain::asset::RelPath;

/// The paths that no rule may name, with what they are and where that is stated.
pub(super) type Reserved = BTreeMap<RelPath, (&'static str, Option<Place>)>;

/// Reads the exports and adds them to `reserved`.
pub(super) fn read<'t>(
    tables: &[(&'t DeTable<'t>, Span)],
    reserved: &mut Reserved,
    folders: &Index,
    problems: &mut Problems,
) -> Vec<Export> {
    let mut exports = Vec::with_capacity(tables.len());
    let mut taken: BTreeMap<String, Place> = BTreeMap::new();
    for table in tables {
        let fields = Fields::of(&EXPORT, table, SourceName::Manifest, problems);
        let path = fields.text("path").and_then(|path| check_path(&path, reserved, folders, problems));
        let Some(At { value: path, place }) = path else { continue };
        if let Some(first) = taken.get(&folded(path.as_str())) {
            let draft = Draft::error(format!("two exports to {}", quoted(path.as_str())));
            problems.add(draft.at(&place, "the second one").at(first, "the first one"));
            continue;
        }
        taken.insert(folded(path.as_str()), place.clone());
        reserved.insert(path.clone(), ("an export", Some(place)));
        if let Some(format) = fields.text("format").and_then(|format| ExportFormat::of_name(format.value)) {
            exports.push(Export { path, format });
        }
    }
    exports
}

fn check_path(
    path: &At<&str>,
    reserved: &Reserved,
    folders: &Index,
    problems: &mut Problems,
) -> Option<At<RelPath>> {
    let refuse = |message: String, label: &str| Draft::error(message).at(&path.place, label);
    let checked = match relative(path.value) {
        Ok(checked) => checked,
        Err((problem, help)) => {
            problems.add(refuse(format!("`path` {problem}"), "").help(help));
            return None;
        }
    };
    if let Some((what, _)) = reserved.get(&checked) {
        problems
            .add(refuse(format!("an export would overwrite {what}"), "").help("export to a file of its own"));
        return None;
    }
    if let Some(reason) = folders.never_entry(&checked) {
        problems.add(
            refuse(format!("an export can't be {}", describe(reason)), "").help("export to another place"),
        );
        return None;
    }
    Some(At { value: checked, place: path.place.clone() })
}

/// A path below root, or what is wrong with it and what to do.
pub(super) fn relative(text: &str) -> Result<RelPath, (String, &'static str)> {
    if text.contains('\\') {
        return Err(("has a backslash".to_owned(), "write `/` between segments, on every system"));
    }
    if text.starts_with('/') {
        return Err(("is absolute".to_owned(), "write it relative to root, without the leading `/`"));
    }
    if text.split('/').any(|segment| segment == "..") {
        return Err(("leaves root".to_owned(), "`..` is not possible: only what lies below root is ours"));
    }
    if text.ends_with('/') {
        return Err(("names a folder".to_owned(), "name a file"));
    }
    RelPath::new(text).map_err(|invalid| (format!("can't be used: {invalid}"), "write it as \"folder/file\""))
}

/// What a path is that can never be media; fits after "is".
pub(super) const fn describe(reason: NeverEntry) -> &'static str {
    match reason {
        NeverEntry::Reserved => "a file of mediakeep itself",
        NeverEntry::StateFolder => "in the state folder",
        NeverEntry::Git => "under .git",
        NeverEntry::Temporary => "a temporary file of mediakeep",
    }
}

impl ExportFormat {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "env" => Some(Self::Env),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}
