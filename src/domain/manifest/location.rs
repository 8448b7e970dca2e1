//! Paths of this machine, taken apart and joined as text: nothing here looks at a disk.

use std::path::{Component, Path, PathBuf};

use crate::domain::asset::RelPath;

/// `stated`, or what it means from `base` if it is relative; without `.`, and with `..` taken as "the folder above".
pub(super) fn resolve(base: &Path, stated: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in base.join(stated).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

/// What `path` is called below `root`; `None` if it is not below it.
pub(super) fn below(root: &Path, path: &Path) -> Option<RelPath> {
    let segments: Option<Vec<&str>> =
        path.strip_prefix(root).ok()?.components().map(|component| component.as_os_str().to_str()).collect();
    RelPath::new(&segments?.join("/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_from_the_file_that_states_them() {
        for (base, stated, resolved) in [
            ("/etc/mediakeep", ".", "/etc/mediakeep"),
            ("/etc/mediakeep", "../../srv/media/", "/srv/media"),
            ("/etc/mediakeep", "/srv/./media", "/srv/media"),
            ("/srv", "../../..", "/"),
        ] {
            assert_eq!(resolve(Path::new(base), Path::new(stated)), Path::new(resolved));
        }
    }

    #[test]
    fn only_what_is_below_root_has_a_name_there() {
        let below = |path: &str| below(Path::new("/srv/media"), Path::new(path)).map(|path| path.to_string());
        assert_eq!(below("/srv/media/a/b.png").as_deref(), Some("a/b.png"));
        for outside in ["/srv/media", "/srv/mediakeep/x", "/srv", "/"] {
            assert_eq!(below(outside), None, "{outside}");
        }
    }
}
