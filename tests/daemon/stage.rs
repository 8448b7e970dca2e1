//! A folder, a manifest, emulated providers with short lives, and a reader.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mediakeep::domain::time::Timestamp;
use mediakeep::emulator::{Control, Emulator, Length, Options, ProviderKind};
use mediakeep::local::clock::{Clock as _, SystemClock};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::process::Process;
use crate::reader::{Reader, Seen};

pub(crate) const ACCOUNT: &str = "5500012";
pub(crate) const AUTH_ID: &str = "MATESTTESTTESTTEST00";
pub(crate) const USER: &str = "somebody";
/// Recognisable, so that it can be looked for where it must not be.
pub(crate) const PASSWORD: &str = "canary-7f3a9c";
/// How long media live: long enough for a busy machine, short enough to see them die.
pub(crate) const LIFE: Duration = Duration::from_secs(20);
/// So long for something that comes within a second on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);

/// Everything that a day needs. The state folder is not in the media folder.
pub(crate) struct Stage {
    place: TempDir,
    pub(crate) emulator: Emulator,
    reader: Reader,
    _runtime: Runtime,
}

impl Stage {
    /// Media live for twenty seconds.
    pub(crate) fn new() -> Self {
        Self::with_life(LIFE)
    }

    pub(crate) fn with_life(life: Duration) -> Self {
        let place = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = SystemClock::new();
        let mut options = Options::new(Arc::new(move || clock.now().wall));
        options.listen = "127.0.0.1:0".parse().unwrap();
        options.password = SecretString::from(PASSWORD);
        options.switches.bandwidth.retention = Length(life);
        options.switches.plivo.retention = Length(life.min(options.switches.plivo.retention.0));
        let emulator = runtime.block_on(Emulator::start(options)).unwrap();
        fs::create_dir(place.path().join("media")).unwrap();
        let reader = Reader::new(place.path().join("state/state.json"));
        runtime.spawn(reader.clone().watch());
        Self { place, emulator, reader, _runtime: runtime }
    }

    pub(crate) fn control(&self) -> Control {
        self.emulator.control()
    }

    pub(crate) fn fault(&self, fault: Value) {
        self.control().script(vec![serde_json::from_value(fault).unwrap()]).unwrap();
    }

    /// How many uploads the providers were sent.
    pub(crate) fn uploads(&self) -> usize {
        let requests = self.control().requests();
        requests.iter().filter(|request| request.method == "PUT" || request.path.ends_with("/Media/")).count()
    }

    /// How many pages of lists the providers were asked for.
    pub(crate) fn lists(&self) -> usize {
        let is_list = |path: &str| {
            let path = path.split('?').next().unwrap_or_default();
            path.ends_with("/media") || path.ends_with("/Media/")
        };
        let requests = self.control().requests();
        requests.iter().filter(|request| request.method == "GET" && is_list(&request.path)).count()
    }

    /// Takes the published media of an entry away behind everybody's back.
    pub(crate) fn lose(&self, file: &str, provider: &str) {
        let id = self.entry(file, provider)["id"].as_str().unwrap().to_owned();
        let (kind, account) = match provider {
            "bandwidth" => (ProviderKind::Bandwidth, ACCOUNT),
            _ => (ProviderKind::Plivo, AUTH_ID),
        };
        assert!(self.control().lose(kind, account, &id), "{file} at {provider} is there");
    }

    // Folder and manifest

    /// Beside the media folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn media(&self, path: &str) -> PathBuf {
        self.place.path().join("media").join(path)
    }

    /// Writes a file in place, in one go.
    pub(crate) fn put(&self, path: &str, content: &str) {
        put(&self.media(path), content);
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.media(path)).unwrap();
    }

    /// The manifest's head: both providers.
    pub(crate) fn accounts(&self) -> String {
        let switches = self.control().switches();
        let [bandwidth, plivo] =
            [switches.bandwidth.retention, switches.plivo.retention].map(|life| life.0.as_secs());
        format!("version = 1\n[sync]\nsettle = \"300ms\"\n{}{}", self.bandwidth(bandwidth), self.plivo(plivo))
    }

    pub(crate) fn bandwidth(&self, life: u64) -> String {
        format!(
            "[provider.bandwidth]\nkind = \"bandwidth\"\naccount_id = \"{ACCOUNT}\"\nusername = \"{USER}\"\n\
             password = {{ env = \"BANDWIDTH_PASSWORD\" }}\nbase_url = \"{}\"\nretention = \"{life}s\"\n",
            self.emulator.base_url_bandwidth()
        )
    }

    pub(crate) fn plivo(&self, life: u64) -> String {
        format!(
            "[provider.plivo]\nkind = \"plivo\"\nauth_id = \"{AUTH_ID}\"\nauth_token = {{ env = \"PLIVO_AUTH_TOKEN\" }}\n\
             base_url = \"{}\"\nretention = \"{life}s\"\n",
            self.emulator.base_url_plivo()
        )
    }

    /// Writes a manifest: the accounts, and these rules.
    pub(crate) fn manifest(&self, rules: &str) {
        self.put("media.toml", &format!("{}{rules}", self.accounts()));
    }

    /// A stage with one file for Plivo, and a config beside it that holds the account and these tables.
    pub(crate) fn with_config(tables: &str) -> Self {
        let stage = Self::new();
        stage.config(tables);
        stage.put("media.toml", &format!("version = 1\n{}", files("*.png", "plivo")));
        stage.put("logo.png", "logo");
        stage
    }

    /// Writes that config.
    pub(crate) fn config(&self, tables: &str) {
        let head = "version = 1\n[sync]\nroot = \"media\"\nsettle = \"300ms\"\n";
        put(&self.beside("config.toml"), &format!("{head}{}{tables}", self.plivo(LIFE.as_secs())));
    }

    // The binary

    /// A command on this stage's manifest, with the credentials in its environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mediakeep"));
        self.furnish(&mut command);
        command.args(words);
        command
    }

    pub(crate) fn furnish(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("BANDWIDTH_PASSWORD", PASSWORD).env("PLIVO_AUTH_TOKEN", PASSWORD);
        command.env("STATE_DIRECTORY", self.beside("state"));
        command.env("MEDIAKEEP_MANIFEST", self.media("media.toml"));
        command.current_dir(self.place.path());
    }

    /// Names the logo in the manifest, and runs the daemon until it is published everywhere.
    pub(crate) fn run_with_logo(&self) -> Process {
        self.manifest(&file("logo.png"));
        self.put("logo.png", "logo");
        let daemon = self.run();
        for provider in ["bandwidth", "plivo"] {
            self.until_content("logo.png", provider, "logo");
        }
        daemon
    }

    /// Starts the daemon.
    pub(crate) fn run(&self) -> Process {
        self.start(self.command(&["run"]))
    }

    /// Starts the daemon with the config beside the media folder.
    pub(crate) fn run_with_config(&self) -> Process {
        let config = self.beside("config.toml");
        self.start(self.command(&["run", "--config", config.to_str().unwrap()]))
    }

    pub(crate) fn start(&self, command: Command) -> Process {
        Process::start(command, self.beside("log"))
    }

    /// Changes the state file by hand, as nobody should.
    pub(crate) fn edit_state(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        change(&mut state);
        state.as_object_mut().unwrap().remove("checksum");
        put(&self.beside("state/state.json"), &state.to_string());
    }

    /// A moment so many seconds ago, as the state file writes it.
    pub(crate) fn ago(&self, seconds: u64) -> String {
        (self.now() - Duration::from_secs(seconds)).floor_to_second().to_string()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.emulator.clock().now()
    }

    // What readers see

    /// The state file as it is now; null where there is none.
    pub(crate) fn state(&self) -> Value {
        let text = fs::read_to_string(self.beside("state/state.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) fn entry(&self, file: &str, provider: &str) -> Value {
        self.state()["media"][file][provider].clone()
    }

    pub(crate) fn url(&self, file: &str, provider: &str) -> Option<String> {
        self.entry(file, provider)["url"].as_str().map(str::to_owned)
    }

    /// What the published URL of an entry delivers.
    pub(crate) fn content(&self, file: &str, provider: &str) -> Option<String> {
        let sent = self.control().send(&self.url(file, provider)?)?;
        Some(String::from_utf8_lossy(&sent.bytes).into_owned())
    }

    /// Waits until the published URL of an entry delivers this.
    pub(crate) fn until_content(&self, file: &str, provider: &str, content: &str) {
        self.until(&format!("{file} at {provider} is {content:?}"), || {
            self.content(file, provider).as_deref() == Some(content)
        });
    }

    /// Waits until an entry was uploaded at this moment or later.
    pub(crate) fn until_uploaded_after(&self, file: &str, provider: &str, moment: Timestamp) {
        self.until(&format!("{file} at {provider} is uploaded again"), || {
            self.uploaded_at(file, provider).is_some_and(|at| at > moment)
        });
    }

    pub(crate) fn uploaded_at(&self, file: &str, provider: &str) -> Option<Timestamp> {
        self.entry(file, provider)["uploaded_at"].as_str()?.parse().ok()
    }

    /// Waits for something, for a while.
    pub(crate) fn until(&self, what: &str, probe: impl FnMut() -> bool) {
        until(what, probe, || format!("{}\nlog:\n{}", self.state(), self.log()));
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.beside("log")).unwrap_or_default()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.reader.seen.lock().unwrap().clone()
    }

    /// The end of the day: the reader found every URL alive, and every state file whole.
    pub(crate) fn nobody_was_let_down(&self) {
        self.until("somebody fetched something", || self.seen().fetches > 0);
        let Seen { fetches, dead, torn } = self.seen();
        let first = &dead[..dead.len().min(3)];
        assert!(dead.is_empty(), "{} of {fetches} fetches: {first:#?}\nlog:\n{}", dead.len(), self.log());
        assert!(torn.is_empty(), "{torn:#?}");
        assert!(!self.log().contains(PASSWORD), "a secret is in the log:\n{}", self.log());
    }
}

/// A day, or a part of it.
pub(crate) type Scene = fn();

/// Plays scenes at the same time: they do little but wait. Their names tell which of them failed.
pub(crate) fn play<'a, S: FnOnce() + Send>(scenes: impl IntoIterator<Item = (&'a str, S)>) {
    std::thread::scope(|scope| {
        let start = |(name, scene): (&'a str, S)| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            (name, thread.spawn_scoped(scope, scene).unwrap())
        };
        let playing: Vec<_> = scenes.into_iter().map(start).collect();
        let ended = playing.into_iter().map(|(name, scene)| (name, scene.join()));
        let failed: Vec<_> = ended.filter(|(_, end)| end.is_err()).map(|(name, _)| name).collect();
        assert!(failed.is_empty(), "failed: {failed:?}");
    });
}

/// Says why something could not be tried here. Straight to standard error: what tests print is hidden if they pass.
pub(crate) fn skip(why: &str) {
    drop(writeln!(std::io::stderr(), "SKIPPED: {why}"));
}

/// A small file system in memory over a folder, until it is dropped. `None` where we may not mount one.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn over(folder: &Path, bytes: u64) -> Option<Self> {
        let options = format!("size={bytes},mode=755");
        Self::with(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]), folder)
    }

    /// By this command, which lacks nothing but the folder.
    pub(crate) fn with(mount: &mut Command, folder: &Path) -> Option<Self> {
        let mounted = mount.arg(folder).output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

pub(crate) fn until(what: &str, mut probe: impl FnMut() -> bool, explain: impl Fn() -> String) {
    let end = Instant::now() + PATIENCE;
    while !probe() {
        assert!(Instant::now() < end, "waited in vain until {what}\n{}", explain());
        pause(Duration::from_millis(50));
    }
}

pub(crate) fn put(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
}

pub(crate) fn rename(from: &Path, to: &Path) {
    rustix::fs::rename(from, to).unwrap();
}

/// One rule for one file at both providers.
pub(crate) fn file(path: &str) -> String {
    format!("[[media]]\nfile = \"{path}\"\nto = [\"bandwidth\", \"plivo\"]\n")
}

/// One rule for many files at one provider.
pub(crate) fn files(glob: &str, provider: &str) -> String {
    format!("[[media]]\nfiles = \"{glob}\"\nto = \"{provider}\"\n")
}
