//! What below root is never looked at: our own files, and git's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::local::atomic_file::TEMPORARY_PREFIX;

/// The paths and names that are never media and never entered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exclusions {
    /// Relative to root.
    own: HashSet<String>,
}

impl Exclusions {
    /// Finds which of these absolute paths lie below root, by their spelling or by where links lead.
    pub(crate) fn new(root: &Path, own: &[PathBuf]) -> Self {
        let real_root = root.canonicalize().ok();
        let mut relative = HashSet::new();
        for path in own {
            relative.extend(below(root, path));
            if let (Some(root), Some(path)) = (&real_root, real_path(path)) {
                relative.extend(below(root, &path));
            }
        }
        Self { own: relative }
    }

    /// Whether a file or folder of this name is excluded wherever it lies.
    pub(crate) fn bars_name(name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b".git") || name.starts_with(TEMPORARY_PREFIX.as_bytes())
    }

    /// Whether this very path is one of our own; its folders and its name are not considered.
    pub(crate) fn is_own(&self, path: &str) -> bool {
        !self.own.is_empty() && self.own.contains(path)
    }

    /// Whether this path, a folder above it or a name in it is excluded.
    pub(crate) fn bars(&self, path: &str) -> bool {
        if path.split('/').any(|name| Self::bars_name(name.as_bytes())) {
            return true;
        }
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        folders.chain([path]).any(|part| self.is_own(part))
    }
}

fn below(root: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root).ok()?.to_str()?;
    (!relative.is_empty()).then(|| relative.to_owned())
}

/// Where a path leads; it may not exist yet, its folder does.
fn real_path(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_files_and_gits_are_barred_at_any_depth() {
        let root = Path::new("/srv/media");
        let own = ["/srv/media/.mediakeep", "/srv/media/a/urls.json", "/elsewhere/state"].map(PathBuf::from);
        let exclusions = Exclusions::new(root, &own);
        for barred in [
            ".mediakeep",
            ".mediakeep/state.json",
            "a/urls.json",
            ".git",
            "sub/.git/config",
            ".GIT/config",
            "a/.mediakeep-tmp-x1",
        ] {
            assert!(exclusions.bars(barred), "{barred}");
        }
        for free in ["a", "a/urls.json5", "a/b.png", ".mediakeepx", ".gitignore", "git/a.png"] {
            assert!(!exclusions.bars(free), "{free}");
        }
    }

    #[test]
    fn a_state_folder_is_recognised_through_a_link_to_root() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().join("real");
        std::fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink(&real, place.path().join("link")).unwrap();
        let exclusions = Exclusions::new(&place.path().join("link"), &[real.join("state")]);
        assert!(exclusions.bars("state/journal"));
    }
}
