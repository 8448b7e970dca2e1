//! Reads manifest and config again beside a daemon that runs, and has those follow whom nobody else tells.
//!
//! Nothing follows what cannot come into force, and nothing that was not followed counts as read.

use std::path::Path;
use std::sync::Arc;

use super::args::Global;
use super::workspace::{Texts, Workspace};
use crate::daemon::{Reload, Reloaded, Remember};
use crate::domain::manifest::{Manifest, SourceName, Unusable};
use crate::local::last_good;

/// Reads them again for a daemon that was started by `started`. `is_present` says whether that is what lies there, and
/// not the last that worked. `follow` is told each manifest that comes into force.
pub(super) fn reloader(
    global: &Global,
    started: &Workspace,
    is_present: bool,
    mut follow: impl FnMut(&Manifest) + Send + 'static,
) -> Reload {
    let (global, first) = (global.clone(), Arc::clone(&started.manifest));
    let mut in_force = started.texts.clone();
    // What was read last, and why it cannot be used. What stood in for it at the start need not count in full.
    let mut seen = is_present.then(|| (in_force.clone(), None::<Unusable>));
    Box::new(move || {
        let texts = match Texts::read(&global) {
            Ok(texts) => texts,
            Err(unusable) => return Reloaded::Broken(unusable),
        };
        if let Some((_, broken)) = seen.as_ref().filter(|(seen, _)| *seen == texts) {
            return broken.clone().map_or(Reloaded::Unchanged, Reloaded::Broken);
        }
        // Until it is taken: what a defect of ours keeps from that is read again, and is no all-clear meanwhile.
        seen = None;
        let usable = Workspace::parse(texts.clone()).and_then(|workspace| {
            let moved = moved(&first, &workspace.manifest, &in_force, &texts);
            moved.map_or(Ok(workspace), Err)
        });
        let workspace = match usable {
            Ok(workspace) => workspace,
            Err(unusable) => {
                seen = Some((texts, Some(unusable.clone())));
                return Reloaded::Broken(unusable);
            }
        };
        follow(&workspace.manifest);
        if let Some(what) = changed(&in_force, &texts) {
            tracing::info!("{what} read again");
        }
        let remember = rememberer(&workspace.manifest.sync.state_dir, &texts);
        in_force.clone_from(&texts);
        seen = Some((texts, None));
        Reloaded::Changed(workspace.manifest, remember)
    })
}

/// Why a process that was started by one manifest cannot follow the next, where it names other folders: its rules are
/// about another folder than the one that is watched.
fn moved(first: &Manifest, next: &Manifest, in_force: &Texts, texts: &Texts) -> Option<Unusable> {
    let what = first.sync.moved_to(&next.sync)?;
    let why = format!("{what} changed by a restart only; restart mediakeep, or take it back");
    let config = texts.config.as_ref().filter(|_| texts.config != in_force.config);
    Some(match config {
        Some(config) => Unusable::new(SourceName::Config, &config.name, &why),
        None => Unusable::new(SourceName::Manifest, &texts.manifest.name, &why),
    })
}

/// Which of the files is another one than before.
fn changed(before: &Texts, after: &Texts) -> Option<&'static str> {
    match (before.manifest == after.manifest, before.config == after.config) {
        (true, true) => None,
        (true, false) => Some("config"),
        (false, true) => Some("manifest"),
        (false, false) => Some("manifest and config"),
    }
}

/// Remembers these texts for a day on which the present ones are broken.
pub(super) fn rememberer(state_dir: &Path, texts: &Texts) -> Remember {
    let (state_dir, good) = (state_dir.to_owned(), texts.to_remember());
    Arc::new(move || last_good::save(&state_dir, &good).map(drop).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use tempfile::TempDir;

    use super::*;
    use crate::cli::args::LogFormat;

    const CONFIG: &str = "version = 1\n";

    /// A manifest beside a config, and what follows them.
    struct Scene {
        folder: TempDir,
        global: Global,
        followed: Arc<Mutex<usize>>,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let global = Global {
                manifest: folder.path().join("media.toml"),
                config: Some(folder.path().join("config.toml")),
                log_format: LogFormat::Text,
                verbose: 0,
                quiet: false,
            };
            let this = Self { folder, global, followed: Arc::default() };
            this.write("media.toml", "version = 1\n");
            this.write("config.toml", CONFIG);
            this
        }

        fn write(&self, name: &str, text: &str) {
            let mut file = std::fs::File::create(self.folder.path().join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        /// The first `defects` manifests that come into force meet a defect.
        fn reloader(&self, is_present: bool, defects: usize) -> Reload {
            let followed = Arc::clone(&self.followed);
            let workspace = Workspace::open(&self.global).unwrap();
            reloader(&self.global, &workspace, is_present, move |_| {
                let count = {
                    let mut count = followed.lock().unwrap();
                    *count += 1;
                    *count
                };
                assert!(count > defects, "a defect, for a test");
            })
        }

        fn followed(&self) -> usize {
            *self.followed.lock().unwrap()
        }
    }

    fn said(reloaded: &Reloaded) -> String {
        match reloaded {
            Reloaded::Changed(..) => "changed".to_owned(),
            Reloaded::Unchanged => "unchanged".to_owned(),
            Reloaded::Broken(unusable) => format!("{}: {}", unusable.source, unusable.why),
        }
    }

    #[test]
    fn what_needs_a_restart_is_refused_and_followed_by_nobody() {
        let why = "changed by a restart only; restart mediakeep, or take it back";
        for (sync, what) in [
            ("root = \"elsewhere\"", "`root` is"),
            ("state_dir = \"elsewhere\"", "`state_dir` is"),
            ("root = \"there\"\nstate_dir = \"elsewhere\"", "`root` and `state_dir` are"),
        ] {
            let scene = Scene::new();
            let mut reload = scene.reloader(true, 0);
            scene.write("config.toml", &format!("version = 1\n[sync]\n{sync}\n"));
            for _ in 0..2 {
                assert_eq!(said(&reload()), format!("config: {what} {why}"));
            }
            assert_eq!(scene.followed(), 0, "{sync}");
            scene.write("config.toml", "version = 1\n[sync]\nsettle = \"1s\"\n");
            assert_eq!((said(&reload()), scene.followed()), ("changed".to_owned(), 1));
            assert_eq!((said(&reload()), scene.followed()), ("unchanged".to_owned(), 1));
        }
    }

    #[test]
    fn what_a_defect_kept_from_being_followed_is_read_again() {
        let scene = Scene::new();
        let mut reload = scene.reloader(true, 2);
        scene.write("config.toml", "version = 1\n[sync]\nsettle = \"1s\"\n");
        for tries in 1..=2 {
            assert!(catch_unwind(AssertUnwindSafe(&mut reload)).is_err());
            assert_eq!(scene.followed(), tries);
        }
        // Whoever had followed before the defect came follows what was there before, too.
        scene.write("config.toml", CONFIG);
        assert_eq!((said(&reload()), scene.followed()), ("changed".to_owned(), 3));
        assert_eq!((said(&reload()), scene.followed()), ("unchanged".to_owned(), 3));
    }

    #[test]
    fn what_comes_back_as_it_was_is_followed_where_it_only_stood_in() {
        for (is_present, first) in [(true, "unchanged"), (false, "changed")] {
            let scene = Scene::new();
            let mut reload = scene.reloader(is_present, 0);
            assert_eq!(said(&reload()), first);
            assert_eq!(
                (said(&reload()), scene.followed()),
                ("unchanged".to_owned(), usize::from(!is_present))
            );
        }
    }

    #[test]
    fn what_changed_is_told_from_what_was_in_force() {
        let scene = Scene::new();
        let texts = || Texts::read(&scene.global).unwrap();
        let in_force = texts();
        assert_eq!(changed(&in_force, &texts()), None);
        scene.write("config.toml", "version = 1\n# edited\n");
        assert_eq!(changed(&in_force, &texts()), Some("config"));
        scene.write("media.toml", "version = 1\n# edited\n");
        assert_eq!(changed(&in_force, &texts()), Some("manifest and config"));
        scene.write("config.toml", CONFIG);
        assert_eq!(changed(&in_force, &texts()), Some("manifest"));
    }
}
