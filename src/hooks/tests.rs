//! Real programs and a real receiver: how runs end, and what they are told.

mod restarts;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::domain::failure::FailureClass;
use crate::domain::lease::LeaseTerms;
use crate::domain::manifest::{Hook, Setting, Target, fixtures};
use crate::domain::notice::Topic;
use crate::domain::records::Records;
use crate::domain::state::Record;
use crate::domain::testing::{handle, key};
use crate::local::clock::SystemClock;
use crate::provider::credentials::ProcessEnvironment;

const LONG: Duration = Duration::from_secs(20);

/// A manifest whose accounts and hooks have credentials in the environment.
fn manifest(hooks: Vec<Hook>) -> Manifest {
    let mut manifest =
        fixtures::manifest(&format!("{}[[media]]\nfile = \"a\"\nto = \"plivo\"\n", fixtures::ACCOUNTS));
    manifest.hooks = Some(HookOptions { timeout: LONG, hooks });
    manifest
}

fn runner(lookups: BTreeMap<String, String>) -> Runner {
    Runner::new(Arc::new(lookups), Path::new("/state/state.json"), &manifest(Vec::new()))
}

fn bash(script: &str) -> Target {
    let arguments = ["-c", script, "hook"].map(str::to_owned).to_vec();
    Target::Command { program: "bash".into(), arguments }
}

fn news() -> payload::Payload {
    sample(Topic::Risk, Timestamp::from_unix_ms(0), "here")
}

async fn run(target: &Target, limit: Duration) -> Result<(), String> {
    runner(BTreeMap::new()).run(target, &news(), limit).await.map_err(|error| error.to_string())
}

/// Waits until a file has these many lines, and returns them.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let until = Instant::now() + LONG;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= count && text.ends_with('\n') {
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        assert!(Instant::now() < until, "{count} lines in {}: {text}", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_program_gets_the_news_on_standard_input_and_what_they_are_in_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let script = format!(
        "{{ cat; echo \"$MEDIAKEEP_EVENT $MEDIAKEEP_COUNT $MEDIAKEEP_STATE $PWD\"; }} > {}",
        out.display()
    );
    run(&bash(&script), LONG).await.unwrap();
    let text = std::fs::read_to_string(&out).unwrap();
    let (body, rest) = text.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["event"], "risk");
    assert_eq!(rest, "risk 1 /state/state.json /\n");
}

#[tokio::test]
async fn how_a_program_failed_is_told_with_what_it_said() {
    for (script, expected) in [
        ("exit 3", "exit status 3"),
        ("echo a; echo -e 'b\\033[31m\\nc' >&2; exit 1", "exit status 1: b [31m c"),
        ("echo x >&2; kill -TERM $$", "signal 15: x"),
        // Whoever leaves something behind is not waited for.
        ("sleep 60 & echo y >&2; exit 1", "exit status 1: y"),
        ("head -c 9000 /dev/zero | tr '\\0' z >&2; exit 1", &format!("exit status 1: {}", "z".repeat(2048))),
    ] {
        assert_eq!(run(&bash(script), LONG).await.unwrap_err(), expected, "{script}");
    }
    let missing = Target::Command { program: "/nowhere/at/all".into(), arguments: Vec::new() };
    assert!(
        run(&missing, LONG).await.unwrap_err().starts_with("the program cannot be started: No such file")
    );
    // Nobody has to read what he is told.
    run(&bash("exec 0<&-; exit 0"), LONG).await.unwrap();
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_everything_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("sleep 600 & echo $$ $! > {}; trap '' TERM; wait; sleep 600", pids.display());
    let error = run(&bash(&script), Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error, "killed after 1s");
    let text = std::fs::read_to_string(&pids).unwrap();
    for pid in text.split_whitespace() {
        let until = Instant::now() + LONG;
        // What was killed may wait for its parent, but does nothing any more.
        let lives = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status
                .rsplit(')')
                .next()
                .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
        };
        while lives() {
            assert!(Instant::now() < until, "{pid} lives");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[test]
fn no_credential_is_handed_on() {
    let hook =
        |name: &str| Hook { topic: Topic::Risk, target: Target::Webhook(Setting::Env(name.to_owned())) };
    let manifest = manifest(vec![hook("ALERT_URL")]);
    let environment = run::Environment::new(Path::new("/state/state.json"), &manifest);
    let mut command = tokio::process::Command::new("true");
    environment.furnish(&mut command, &news());
    let removed: Vec<_> = command
        .as_std()
        .get_envs()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.to_str().unwrap())
        .collect();
    for name in ["PLIVO_AUTH_TOKEN", "BANDWIDTH_ID", "ALERT_URL", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"] {
        assert!(removed.contains(&name), "{name}: {removed:?}");
    }
}

/// A receiver that answers with the first status as long as there is one, and keeps what it gets.
#[derive(Clone, Default)]
struct Receiver {
    statuses: Arc<Mutex<Vec<u16>>>,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    async fn start(&self) -> String {
        let this = self.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["content-type"], "application/json");
            this.got.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            let status = this.statuses.lock().unwrap().pop().unwrap_or(204);
            let location = [("location", "http://127.0.0.1:1/elsewhere")];
            (
                StatusCode::from_u16(status).unwrap(),
                location,
                "no such thing: T0ps3cret-part\n".repeat(if status == 500 { 500 } else { 1 }),
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
        format!("http://{address}/hooks/T0ps3cret-part")
    }

    fn got(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_webhook_is_posted_to_and_only_a_success_counts() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let lookups = BTreeMap::from([
        ("ALERT".to_owned(), url.clone()),
        ("BAD".to_owned(), "http://far.example".to_owned()),
    ]);
    let runner = runner(lookups);
    let post = async |setting| {
        let result = runner.run(&Target::Webhook(setting), &news(), LONG).await;
        result.map_err(|error| error.to_string())
    };
    post(Setting::Literal(url.clone())).await.unwrap();
    post(Setting::Env("ALERT".to_owned())).await.unwrap();
    assert_eq!(receiver.got()[1]["event"], "risk");
    for status in [302, 400, 500] {
        receiver.statuses.lock().unwrap().push(status);
        let error = post(Setting::Env("ALERT".to_owned())).await.unwrap_err();
        assert_eq!(error, format!("HTTP status {status}"), "what it says may hold the address");
    }
    assert_eq!(receiver.got().len(), 5, "no redirect is followed");
    let nobody = post(Setting::Literal("http://127.0.0.1:1/T0ps3cret-part".to_owned())).await.unwrap_err();
    assert!(nobody.starts_with("no answer: ") && !nobody.contains("T0ps3cret"), "{nobody}");
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = Setting::Literal(format!("http://{}/T0ps3cret-part", mute.local_addr().unwrap()));
    let late = runner.run(&Target::Webhook(mute), &news(), Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(late.result(), RunResult::Timeout);
    assert!(late.to_string().starts_with("no answer in time: the address said nothing for "), "{late}");
    assert!(post(Setting::Env("NOWHERE".to_owned())).await.unwrap_err().contains("NOWHERE is not set"));
    assert!(post(Setting::Env("BAD".to_owned())).await.unwrap_err().contains("https://"));
}

#[test]
fn labels_show_no_secret() {
    for (target, shown) in [
        (bash("c4n4ry"), "bash"),
        (Target::Webhook(Setting::Literal("https://h.example/c4n4ry?x".to_owned())), "h.example"),
        (Target::Webhook(Setting::Env("ALERT".to_owned())), "the address in the environment variable ALERT"),
        (Target::Webhook(Setting::Credential("a".to_owned())), "the address in the systemd credential a"),
    ] {
        assert_eq!(label(&target), shown);
    }
}

// The task

struct Nobody;
impl Observer for Nobody {
    fn event(&mut self, _event: &Event) {}
    fn warning(&mut self, _text: &str) {}
    fn progress(&mut self, _backlog: usize, _scan: ScanProgress) {}
}

/// A daemon's view of the hooks.
struct Told {
    hooks: Hooks,
    observer: Box<dyn Observer>,
    board: Arc<Board>,
}

impl Told {
    fn start(hooks: Vec<(Topic, Target)>) -> Self {
        let hooks = hooks.into_iter().map(|(topic, target)| Hook { topic, target }).collect();
        let (lookups, clock) = (Arc::new(ProcessEnvironment), Arc::new(SystemClock::new()));
        let board = Arc::<Board>::default();
        let state_file = PathBuf::from("/state/state.json");
        let hooks = Hooks::start(&manifest(hooks), state_file, lookups, clock, board.clone());
        let observer = hooks.hearing(Box::new(Nobody));
        let this = Self { hooks, observer, board };
        this.publish(&[]);
        this
    }

    fn publish(&self, entries: &[(&str, &str)]) {
        let terms = LeaseTerms::new(Duration::from_secs(48 * 3600), None);
        let records = entries.iter().map(|(path, content)| {
            let current = Some(handle(content.as_bytes(), Timestamp::from_unix_ms(0), &terms));
            (key(path, "plivo"), Arc::new(Record { current, ..Record::default() }))
        });
        let state = State { lineage: "l".into(), serial: 0, root: None, records: records.collect() };
        self.observer.readers().unwrap()(&state);
    }
}

fn appending(path: &Path) -> Target {
    bash(&format!("cat >> {}", path.display()))
}

fn files(body: &Value) -> Vec<String> {
    let entries = body["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| format!("{} {}", entry["file"].as_str().unwrap(), entry["reason"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn changes_are_batched_and_what_comes_during_a_run_is_told_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (out, gate) = (folder.path().join("out"), folder.path().join("gate"));
    let script = format!("cat >> {}; until [ -e {} ]; do sleep 0.05; done", out.display(), gate.display());
    let told = Told::start(vec![(Topic::Change, bash(&script))]);
    told.publish(&[("a", "1"), ("b", "1")]);
    told.publish(&[("a", "2"), ("b", "1")]);
    assert_eq!(files(&lines(&out, 1).await[0]), ["a new", "b new"]);
    told.publish(&[("a", "3"), ("b", "1")]);
    told.publish(&[("a", "3"), ("b", "1"), ("c", "1")]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(lines(&out, 1).await.len(), 1, "one run at a time");
    drop(std::fs::File::create(&gate).unwrap());
    assert_eq!(files(&lines(&out, 2).await[1]), ["a content", "c new"]);
    told.hooks.stop().await;
}

#[tokio::test]
async fn a_hook_that_fails_is_repeated_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (out, tries) = (folder.path().join("out"), folder.path().join("tries"));
    let failing = bash(&format!("cat >> {}; [ $(wc -l < {0}) -gt 1 ]", tries.display()));
    let told = Told::start(vec![(Topic::Change, failing), (Topic::Change, appending(&out))]);
    told.publish(&[("a", "1")]);
    assert_eq!(files(&lines(&out, 1).await[0]), ["a new"]);
    told.publish(&[("a", "2")]);
    let told_twice = lines(&tries, 2).await;
    assert_eq!(files(&told_twice[0]), ["a new"]);
    assert_eq!(files(&told_twice[1]), ["a new"], "with what came since");
    assert_ne!(told_twice[0]["entries"][0]["url"], told_twice[1]["entries"][0]["url"]);
    let board = told.board.clone();
    told.hooks.stop().await;
    let runs = board.hooks.counts().runs;
    assert_eq!(runs[&(Topic::Change, RunResult::Failed)], 1, "{runs:?}");
    assert!(runs[&(Topic::Change, RunResult::Ok)] >= 2, "{runs:?}");
}

#[tokio::test]
async fn events_reach_the_hooks_of_their_topic() {
    let folder = tempfile::tempdir().unwrap();
    let out = |topic: Topic| folder.path().join(topic.as_str());
    let mut told = Told::start(Topic::ALL.map(|topic| (topic, appending(&out(topic)))).to_vec());
    let provider = ProviderName::new("plivo").unwrap();
    let class = FailureClass::CredentialsRefused;
    told.observer.event(&Event::FolderUnusable { detail: "gone".to_owned() });
    told.observer.event(&Event::AccountStopped {
        provider: provider.clone(),
        class,
        detail: "401".to_owned(),
    });
    assert_eq!(lines(&out(Topic::Risk), 1).await[0]["system"][0]["class"], "folder-unusable");
    let failure = lines(&out(Topic::Failure), 1).await;
    assert_eq!(failure[0]["accounts"][0]["class"], "credentials-refused");
    told.observer.event(&Event::AccountRecovered { provider });
    let recover = lines(&out(Topic::Recover), 1).await;
    assert_eq!(
        (&recover[0]["accounts"][0]["over"], &recover[0]["system"]),
        (&"failure".into(), &Value::Array(vec![]))
    );
    assert!(!out(Topic::Change).exists());
    told.hooks.stop().await;
}

#[tokio::test]
async fn the_end_tells_what_was_not_told_and_waits_for_nobody_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let told = Told::start(vec![(Topic::Change, appending(&out)), (Topic::Change, bash("sleep 600"))]);
    told.publish(&[("a", "1")]);
    tokio::time::timeout(LONG, told.hooks.stop()).await.expect("what hangs is killed");
    assert_eq!(files(&lines(&out, 1).await[0]), ["a new"]);
}

#[tokio::test]
async fn another_config_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    let told = Told::start(vec![(Topic::Change, appending(&before))]);
    let follow = |target: Option<&Path>| {
        let hook = |path| Hook { topic: Topic::Change, target: appending(path) };
        told.hooks.follower().follow(&manifest(target.map(hook).into_iter().collect()));
    };
    follow(Some(&after));
    told.publish(&[("a", "1")]);
    assert_eq!(files(&lines(&after, 1).await[0]), ["a new"]);
    follow(None);
    told.publish(&[("a", "2")]);
    follow(Some(&after));
    // What readers find now is where it begins again.
    told.publish(&[("a", "3")]);
    told.publish(&[("a", "3"), ("b", "1")]);
    assert_eq!(files(&lines(&after, 2).await[1]), ["b new"]);
    assert!(!before.exists());
    told.hooks.stop().await;
}

#[tokio::test]
async fn a_hook_that_is_mended_is_told_what_the_broken_one_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let (mended, tried) = (folder.path().join("mended"), folder.path().join("tried"));
    let broken = bash(&format!("echo . >> {}; exit 1", tried.display()));
    let told = Told::start(vec![(Topic::Change, broken)]);
    told.publish(&[("a", "1")]);
    while !tried.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let hook = Hook { topic: Topic::Change, target: appending(&mended) };
    told.hooks.follower().follow(&manifest(vec![hook]));
    assert_eq!(files(&lines(&mended, 1).await[0]), ["a new"]);
    told.hooks.stop().await;
}

#[tokio::test]
async fn a_run_counts_whose_hook_is_gone_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let [begun, gate, other] = ["begun", "gate", "other"].map(|name| folder.path().join(name));
    let waiting = format!(
        "echo . >> {}; until [ -e {} ]; do sleep 0.02; done; exit 1",
        begun.display(),
        gate.display()
    );
    let mut told = Told::start(vec![(Topic::Change, bash(&waiting))]);
    told.publish(&[("a", "1")]);
    while !begun.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    told.publish(&[("a", "1"), ("b", "1"), ("c", "1")]);
    let hook = Hook { topic: Topic::Risk, target: appending(&other) };
    told.hooks.follower().follow(&manifest(vec![hook]));
    told.observer.event(&Event::FolderUnusable { detail: "it is not there".to_owned() });
    lines(&other, 1).await;
    std::fs::File::create(&gate).unwrap();
    let until = Instant::now() + LONG;
    while !told.board.hooks.counts().runs.contains_key(&(Topic::Change, RunResult::Failed)) {
        assert!(Instant::now() < until, "{:?}", told.board.hooks.counts());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What waited for that run's end is lost by the edit, and what it told by its failure.
    assert_eq!(told.board.hooks.counts().lost, [(Topic::Change, 2 + 1)].into());
    told.hooks.stop().await;
}

#[tokio::test]
async fn hooks_that_come_while_all_goes_on_hear_of_the_next_event() {
    let folder = tempfile::tempdir().unwrap();
    let (state_file, told) = (folder.path().join("state.json"), folder.path().join("told"));
    let state = State { lineage: "l".into(), serial: 1, root: None, records: Records::default() };
    let mut file = std::fs::File::create(&state_file).unwrap();
    file.write_all(&crate::domain::state_format::encode(&state)).unwrap();
    let (lookups, clock) = (Arc::new(ProcessEnvironment), Arc::new(SystemClock::new()));
    let hooks = Hooks::start(&manifest(Vec::new()), state_file, lookups, clock, Arc::default());
    let mut observer = hooks.hearing(Box::new(Nobody));
    let hook = Hook { topic: Topic::Risk, target: appending(&told) };
    hooks.follower().follow(&manifest(vec![hook]));
    observer.event(&Event::FolderUnusable { detail: "it is not there".to_owned() });
    assert_eq!(lines(&told, 1).await[0]["system"][0]["class"], "folder-unusable");
    hooks.stop().await;
}
