//! A folder with a manifest, an emulator beside it, and the real binary run in it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use assert_cmd::Command;
use mediakeep::emulator::{Control, Emulator, Options};
use mediakeep::local::clock::{Clock as _, SystemClock};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "5500012";
pub(crate) const AUTH_ID: &str = "MAZTQ4NJRHOWY3ODK2MT";
/// The password of everybody. Nothing may ever show it.
pub(crate) const PASSWORD: &str = "c4nary-s3cret";

/// Far more than any command takes; whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(100);

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// What a test works on.
pub(crate) struct Stage {
    pub(crate) above: TempDir,
    pub(crate) emulator: Emulator,
}

impl Stage {
    /// An empty folder `media`, and an emulator.
    pub(crate) fn new() -> Self {
        let above = tempfile::tempdir().unwrap();
        std::fs::create_dir(above.path().join("media")).unwrap();
        let clock = SystemClock::new();
        let mut options = Options::new(Arc::new(move || clock.now().wall));
        options.listen = "127.0.0.1:0".parse().unwrap();
        options.password = SecretString::from(PASSWORD);
        Self { above, emulator: RUNTIME.block_on(Emulator::start(options)).unwrap() }
    }

    /// The same, with one picture that goes to Bandwidth, and a manifest that names it.
    pub(crate) fn with_logo() -> Self {
        let stage = Self::new();
        stage.write("logo.png", b"logo");
        stage.manifest(&format!("{}{}", stage.bandwidth(""), file("logo.png", "bandwidth")));
        stage
    }

    /// The same, published.
    pub(crate) fn with_logo_published() -> Self {
        let stage = Self::with_logo();
        stage.run(["sync"]).exits(0);
        stage
    }

    pub(crate) fn control(&self) -> Control {
        self.emulator.control()
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.control().requests_total()
    }

    /// How many of the requests that are remembered carried credentials.
    pub(crate) fn requests_seen_with_credentials(&self) -> usize {
        let with = |headers: &[(String, String)]| headers.iter().any(|(name, _)| name == "authorization");
        self.control().requests().iter().filter(|request| with(&request.headers)).count()
    }

    pub(crate) fn fault(&self, fault: Value) {
        self.control().script(vec![serde_json::from_value(fault).unwrap()]).unwrap();
    }

    // Files

    pub(crate) fn root(&self) -> PathBuf {
        self.above.path().join("media")
    }

    /// A path relative to root.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        write(&self.path(path), content);
    }

    pub(crate) fn remove(&self, path: impl AsRef<Path>) {
        std::fs::remove_file(self.path(path)).unwrap();
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes the manifest: `version`, a settle time of zero, and this.
    pub(crate) fn manifest(&self, tables: &str) {
        self.write("media.toml", format!("version = 1\n\n[sync]\nsettle = \"0s\"\n{tables}"));
    }

    /// The account at Bandwidth, with more lines for its table.
    pub(crate) fn bandwidth(&self, more: &str) -> String {
        bandwidth_at(&self.emulator.base_url_bandwidth(), more)
    }

    /// The account at Plivo, with more lines for its table.
    pub(crate) fn plivo(&self, more: &str) -> String {
        let base_url = self.emulator.base_url_plivo();
        format!(
            "\n[provider.plivo]\nkind = \"plivo\"\nauth_id = \"{AUTH_ID}\"\nauth_token = {{ env = \"PASSWORD\" }}\n\
             base_url = \"{base_url}\"\n{more}\n"
        )
    }

    // State

    pub(crate) fn state_path(&self) -> PathBuf {
        self.path(".mediakeep/state.json")
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.read(".mediakeep/state.json")).unwrap()
    }

    /// What is recorded of an entry.
    pub(crate) fn entry(&self, file: &str, provider: &str) -> Value {
        self.state()["media"][file][provider].clone()
    }

    pub(crate) fn url(&self, file: &str, provider: &str) -> String {
        let entry = self.entry(file, provider);
        entry["url"].as_str().unwrap_or_else(|| panic!("{file} at {provider} has no URL: {entry}")).to_owned()
    }

    /// Edits the state by hand, as its messages tell people to.
    pub(crate) fn edit_state(&self, edit: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        edit(&mut state);
        state.as_object_mut().unwrap().remove("checksum");
        write(&self.state_path(), serde_json::to_string_pretty(&state).unwrap());
    }

    // Runs

    /// The binary, in root, with an environment that holds the password and nothing else.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mediakeep"));
        command.env_clear().env("PASSWORD", PASSWORD).current_dir(self.root()).timeout(PATIENCE);
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        Run::of(self.command().args(arguments))
    }

    /// The listing without the lock, which every writer touches to say who it is.
    pub(crate) fn listing_without_lock(&self) -> String {
        self.listing().lines().filter(|line| !line.contains("/lock: ")).collect::<Vec<_>>().join("\n")
    }

    /// Everything below a folder: names, kinds, sizes, times of change.
    pub(crate) fn listing(&self) -> String {
        let mut out = String::new();
        list(self.above.path(), &mut out);
        out
    }
}

/// An account at Bandwidth, wherever that is.
pub(crate) fn bandwidth_at(base_url: &str, more: &str) -> String {
    format!(
        "\n[provider.bandwidth]\nkind = \"bandwidth\"\naccount_id = \"{ACCOUNT}\"\nusername = \"api\"\n\
         password = {{ env = \"PASSWORD\" }}\nbase_url = \"{base_url}\"\nrate = \"1000/s\"\n{more}\n"
    )
}

/// A rule for one file.
pub(crate) fn file(path: &str, to: &str) -> String {
    format!("\n[[media]]\nfile = {}\nto = \"{to}\"\n", toml_text(path))
}

/// A rule for a pattern.
pub(crate) fn files(glob: &str, to: &str) -> String {
    format!("\n[[media]]\nfiles = {}\nto = \"{to}\"\n", toml_text(glob))
}

pub(crate) fn toml_text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[expect(clippy::disallowed_methods, reason = "tests play the people who edit files")]
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Says loudly that a test could not be made here.
#[expect(clippy::print_stderr, reason = "who runs the tests should know")]
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Moves a file or folder.
#[expect(clippy::disallowed_methods, reason = "tests play the people who move files")]
pub(crate) fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

fn list(folder: &Path, out: &mut String) {
    use std::os::unix::fs::MetadataExt as _;
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let about = path.symlink_metadata().unwrap();
        let _ = writeln!(
            out,
            "{}: {:?} inode {} {} bytes, modified {}.{:09}, changed {}.{:09}",
            path.display(),
            about.file_type(),
            about.ino(),
            about.len(),
            about.mtime(),
            about.mtime_nsec(),
            about.ctime(),
            about.ctime_nsec()
        );
        if about.is_dir() {
            list(&path, out);
        }
    }
}

/// Says which files differ between two listings, if any do.
#[track_caller]
pub(crate) fn assert_unchanged(before: &str, after: &str) {
    let lines = |one: &str, other: &str| -> Vec<String> {
        one.lines().filter(|line| !other.lines().any(|there| there == *line)).map(str::to_owned).collect()
    };
    let (gone, come) = (lines(before, after), lines(after, before));
    assert!(gone.is_empty() && come.is_empty(), "before: {gone:#?}\nafter: {come:#?}");
}

/// How a run of the binary ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let run = Self {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        };
        assert!(!run.all().contains(PASSWORD), "shows the password: {}", run.all());
        assert!(!run.stderr.contains("panicked"), "{}", run.all());
        run
    }

    pub(crate) fn all(&self) -> String {
        format!("exit code {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        self
    }

    /// Exits so, and has printed no data.
    #[track_caller]
    pub(crate) fn exits_without_data(self, code: i32) -> Self {
        let run = self.exits(code);
        assert!(run.stdout.is_empty(), "{}", run.all());
        run
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "not said: {text}\n{}", self.all());
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "said: {text}\n{}", self.all());
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "not printed: {text}\n{}", self.all());
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }

    /// The entry of a file at a provider in a listing.
    #[track_caller]
    pub(crate) fn entry(&self, file: &str, provider: &str) -> Value {
        let listing = self.json();
        assert_eq!(listing["format"], 1, "{listing}");
        let entries = listing["entries"].as_array().unwrap();
        let found: Vec<_> =
            entries.iter().filter(|entry| entry["file"] == file && entry["provider"] == provider).collect();
        let [entry] = found[..] else {
            panic!("{} entries for {file} at {provider}: {listing}", found.len())
        };
        entry.clone()
    }
}
