//! What a command works on: manifest, config, state folder, the disk as it is now.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Global;
use super::exit::Exit;
use super::table::shown;
use super::voice::{self, fail, fail_with_help, warn};
use crate::daemon::files::{HASH_CACHE, scan_options};
use crate::domain::event::Event;
use crate::domain::manifest::{
    self, Manifest, Parsed, Problem, SOURCE_BYTES_MAX, Severity, Source, SourceName, Sources, Unusable,
};
use crate::domain::observation::ScanRequest;
use crate::domain::reconciler::{Input, Mode, Reconciler};
use crate::domain::state::State;
use crate::domain::time::Now;
use crate::local::clock::{Clock as _, SystemClock};
use crate::local::hash_cache::HashCache;
use crate::local::last_good::{self, LastGood};
use crate::local::scanner::Scanner;
use crate::local::state_store;
use crate::provider;
use crate::provider::credentials::{ProcessEnvironment, unresolved as unresolved_of};
use crate::provider::http::HttpClient;

/// A manifest that was read and found good.
pub(super) struct Workspace {
    pub manifest: Arc<Manifest>,
    pub texts: Texts,
}

/// What a manifest is made from, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    pub manifest: Text,
    pub config: Option<Text>,
    pub state_directory: Option<OsString>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// As it was typed.
    pub name: String,
    /// Absolute.
    pub path: PathBuf,
    pub content: Vec<u8>,
}

impl Texts {
    /// Both files; if one cannot be read, people are told so.
    pub(super) fn read(global: &Global) -> Result<Self, Unusable> {
        let manifest = Text::read(&global.manifest, SourceName::Manifest)?;
        let config = global.config.as_deref().map(|path| Text::read(path, SourceName::Config)).transpose()?;
        Ok(Self { manifest, config, state_directory: std::env::var_os("STATE_DIRECTORY") })
    }

    /// The same, with nobody told if one of them cannot be read.
    fn quietly(global: &Global) -> Result<Self, Unusable> {
        let read = |path: &Path, what| Text::quietly(path).map_err(|error| unreadable(what, path, &error));
        let manifest = read(&global.manifest, SourceName::Manifest)?;
        let config = global.config.as_deref().map(|path| read(path, SourceName::Config)).transpose()?;
        Ok(Self { manifest, config, state_directory: std::env::var_os("STATE_DIRECTORY") })
    }

    pub(super) fn parse(&self) -> Parsed {
        let sources = Sources {
            manifest: self.manifest.source(),
            config: self.config.as_ref().map(Text::source),
            state_directory: self.state_directory.as_deref(),
        };
        manifest::parse(&sources, provider::KINDS)
    }
}

impl Texts {
    /// As they are kept for a day on which the present ones are broken.
    pub(super) fn to_remember(&self) -> LastGood {
        LastGood {
            manifest: self.manifest.to_remember(),
            config: self.config.as_ref().map(Text::to_remember),
        }
    }

    pub(super) fn remembered(last: LastGood) -> Self {
        let config = last.config.map(Text::remembered);
        let state_directory = std::env::var_os("STATE_DIRECTORY");
        Self { manifest: Text::remembered(last.manifest), config, state_directory }
    }

    /// What says where the state is, and nothing else. `None` where no text can name the folder.
    pub(super) fn about_state_only(state_dir: &Path) -> Option<Self> {
        let named = toml::Value::from(state_dir.to_str()?);
        let content = format!("version = 1\n[sync]\nstate_dir = {named}\n").into_bytes();
        let manifest = Text { name: String::new(), path: state_dir.with_file_name("media.toml"), content };
        Some(Self { manifest, config: None, state_directory: None })
    }
}

impl Text {
    fn to_remember(&self) -> last_good::Source {
        let text = String::from_utf8_lossy(&self.content).into_owned();
        last_good::Source { path: self.path.clone(), text }
    }

    fn remembered(source: last_good::Source) -> Self {
        let name = source.path.display().to_string();
        Self { name, path: source.path, content: source.text.into_bytes() }
    }

    fn source(&self) -> Source<'_> {
        Source { name: &self.name, path: &self.path, text: &self.content }
    }

    /// A file, with nobody told if it cannot be read.
    pub(super) fn quietly(path: &Path) -> std::io::Result<Self> {
        let absolute = std::path::absolute(path)?;
        // The folder's real name: what lies inside root is found by comparing paths.
        let folder = absolute.parent().and_then(|folder| folder.canonicalize().ok());
        let absolute = match (folder, absolute.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => absolute,
        };
        let content = read_capped(&absolute)?;
        Ok(Self { name: path.display().to_string(), path: absolute, content })
    }

    /// A file; if it cannot be read, people are told so.
    pub(super) fn read(path: &Path, what: SourceName) -> Result<Self, Unusable> {
        let help = match what {
            SourceName::Config => "say where it is with --config (or $MEDIAKEEP_CONFIG)".to_owned(),
            _ if path.is_dir() => {
                format!(
                    "--manifest wants the file, not its folder; try {}",
                    path.join("media.toml").display()
                )
            }
            _ if is_bare(path) => {
                "is the folder mounted? bring it back: a running mediakeep keeps what is published alive. \
                  Elsewhere, say where it is with --manifest (or $MEDIAKEEP_MANIFEST)"
                    .to_owned()
            }
            SourceName::Manifest => {
                "`mediakeep init` writes one for this folder; say where another one is with --manifest (or \
                  $MEDIAKEEP_MANIFEST)"
                    .to_owned()
            }
        };
        Self::quietly(path).map_err(|error| {
            fail_with_help(&format!("cannot read the {what} {}: {error}", path.display()), &help);
            unreadable(what, path, &error)
        })
    }
}

fn unreadable(what: SourceName, path: &Path, error: &std::io::Error) -> Unusable {
    Unusable::new(what, &path.display().to_string(), &format!("it cannot be read: {error}"))
}

/// Whether the folder that a file should be in is not there, or is as empty as the place of a lost mount.
fn is_bare(path: &Path) -> bool {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => return false,
    };
    folder.read_dir().is_ok_and(|mut files| files.next().is_none()) || !folder.exists()
}

fn read_capped(path: &Path) -> std::io::Result<Vec<u8>> {
    // Asked before it is opened: opening a FIFO that somebody put there would wait for a writer, and a daemon with
    // it. Those under /dev are pipes of the shell that started us.
    if !std::fs::metadata(path)?.is_file() && !path.starts_with("/dev") && !path.starts_with("/proc") {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(SOURCE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > SOURCE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "it is larger than {SOURCE_BYTES_MAX} bytes; name files by globs"
        )));
    }
    Ok(content)
}

impl Workspace {
    /// Reads manifest and config, and tells every error in them.
    pub(super) fn open(global: &Global) -> Result<Self, Unusable> {
        Self::parse(Texts::read(global)?)
    }

    /// Checks manifest and config, and tells every error in them.
    pub(super) fn parse(texts: Texts) -> Result<Self, Unusable> {
        Self::checked(texts, voice::problems)
    }

    /// Manifest and config if both are good, with nobody told if not.
    pub(super) fn quietly(global: &Global) -> Result<Self, Unusable> {
        Self::of(Texts::quietly(global)?)
    }

    /// The same of texts that were read before.
    pub(super) fn of(texts: Texts) -> Result<Self, Unusable> {
        Self::checked(texts, |_| ())
    }

    fn checked(texts: Texts, tell: impl FnOnce(&[Problem])) -> Result<Self, Unusable> {
        let Parsed { manifest, mut problems } = texts.parse();
        match manifest {
            Some(manifest) => Ok(Self { manifest: Arc::new(manifest), texts }),
            None => {
                // What is merely odd is for `check` to say.
                problems.retain(|problem| problem.severity == Severity::Error);
                tell(&problems);
                Err(Unusable::of(&problems, &texts.manifest.name))
            }
        }
    }

    /// What is recorded, read without touching anything.
    pub(super) fn recorded(&self) -> Result<Option<State>, Exit> {
        match state_store::read_only(&self.manifest.sync.state_dir) {
            Ok(loaded) => Ok(loaded.map(|loaded| {
                loaded.notes.iter().for_each(|note| warn(&note.to_string()));
                loaded.state
            })),
            Err(error) => {
                fail(&super::chain(&error));
                Err(Exit::Unexpected)
            }
        }
    }

    /// What is recorded; where nothing is, an error that says where was looked.
    pub(super) fn recorded_or_explain(&self) -> Result<State, Exit> {
        self.recorded()?.ok_or_else(|| {
            let folder = self.manifest.sync.state_dir.display();
            fail_with_help(
                &format!(
                    "no state in {folder}, which is where `state_dir` in [sync], or else $STATE_DIRECTORY, or else \
                     .mediakeep beside the manifest puts it"
                ),
                "start `mediakeep run` or `mediakeep sync` first; for a service's state say --config as the service does",
            );
            Exit::NotAlive
        })
    }

    /// An engine that knows manifest and records and has not looked at the disk, and what it has to be told first.
    pub(super) fn engine(&self, state: State, now: Now) -> (Reconciler, Vec<Input>) {
        let engine = Reconciler::new(Mode::Plan, self.manifest.clone(), state, 0, now);
        let accounts = self.manifest.providers.iter().filter_map(|(name, config)| {
            let scope = provider::scope_of(config, &ProcessEnvironment)?;
            Some(Input::Account { provider: name.clone(), result: Ok(scope), is_new: false })
        });
        (engine, accounts.collect())
    }

    /// An engine that has looked at the whole folder, reading only what its hash cache does not know.
    pub(super) fn looked_at(&self) -> Result<(Reconciler, Now), Exit> {
        let clock = Arc::new(SystemClock::new());
        let now = clock.now();
        // The disk is looked at while the state is read and thought over: neither needs the other.
        let (scan, engine) = std::thread::scope(|scope| {
            let look = scope.spawn(|| {
                let cache = HashCache::load(&self.manifest.sync.state_dir.join(HASH_CACHE));
                let mut scanner =
                    Scanner::new(scan_options(&self.manifest, &self.manifest_files(), clock), cache);
                scanner.scan(&ScanRequest::Everything)
            });
            let engine = self.recorded().map(|state| {
                let (mut engine, inputs) = self.engine(state.unwrap_or_default(), now);
                drop(engine.step(now, inputs));
                engine
            });
            (look.join(), engine)
        });
        let mut engine = engine?;
        let Ok(scan) = scan else {
            fail("looking at the folder failed");
            return Err(Exit::Unexpected);
        };
        for warning in &scan.warnings {
            warn(&warning.to_string());
        }
        let inputs = vec![Input::Scanned(scan.report)];
        for event in engine.step(now, inputs).events {
            self.warn_of(&event);
        }
        Ok((engine, now))
    }

    /// What a look at the folder found that no entry tells.
    fn warn_of(&self, event: &Event) {
        match event {
            Event::FolderUnusable { detail } => {
                warn(&format!("the folder {} cannot be used: {detail}", self.manifest.sync.root.display()));
            }
            Event::SubfolderUnreadable { path } => {
                warn(&format!("{} cannot be listed; what is in it is kept alive", shown(path.as_str())));
            }
            _ => {}
        }
    }

    /// The files that say what is wanted, absolute.
    pub(super) fn manifest_files(&self) -> Vec<PathBuf> {
        let config = self.texts.config.as_ref().map(|text| text.path.clone());
        std::iter::once(self.texts.manifest.path.clone()).chain(config).collect()
    }
}

/// Which credential references lead nowhere.
pub(super) fn unresolved(manifest: &Manifest) -> Vec<String> {
    let http = HttpClient::new();
    let problems = |(name, config)| {
        let mut problems = unresolved_of(name, config, &ProcessEnvironment);
        if problems.is_empty() {
            // What was found may be of no use all the same.
            problems.extend(provider::connect(name, config, &ProcessEnvironment, &http).err());
        }
        problems
    };
    manifest.providers.iter().flat_map(problems).map(|error| super::chain(&error)).collect()
}
