//! A secret is in nothing that a process ever wrote, however talkative it is and whatever providers do to make it
//! say one: not on its outputs, not in its folder, not where the system shows its arguments and environment.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::stage::{ACCOUNT, AUTH_ID, PASSWORD, Stage, files, put};

const USER: &str = "user-canary-51d0e2";
const CLIENT: &str = "client-canary-88ab17";
const TOKEN: &str = "token.canary-d33db4";
/// Where the secrets are, and nothing else is.
const SECRETS: &str = "secrets";

/// Every form in which a secret could show, but for its padding and the characters next to it.
fn forms() -> Vec<String> {
    let pairs = [(USER, PASSWORD), (CLIENT, PASSWORD), (AUTH_ID, PASSWORD)];
    let pairs = pairs.map(|(user, secret)| format!("{user}:{secret}"));
    let secrets = [PASSWORD, USER, CLIENT, TOKEN].map(str::to_owned);
    let mut forms = Vec::new();
    for secret in secrets.iter().chain(&pairs) {
        forms.push(secret.clone());
        forms.push(STANDARD_NO_PAD.encode(secret));
        forms.push(URL_SAFE_NO_PAD.encode(secret));
    }
    // Base64 of the password with anything in front of it.
    for shift in 0..3 {
        let encoded = STANDARD_NO_PAD.encode(format!("{}{PASSWORD}", "x".repeat(shift)));
        forms.push(encoded[4..encoded.len() - 2].to_owned());
    }
    forms.push("63616e6172792d3766336139".to_owned());
    forms
}

fn shown(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    forms().into_iter().find(|form| text.contains(form.as_str()))
}

/// How many files there are below a folder; none of them shows a secret, in its name or in what it holds.
fn searched(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(shown(path.file_name().unwrap().as_encoded_bytes()), None, "{}", path.display());
        if path.is_dir() {
            count += if path.ends_with(SECRETS) { 0 } else { searched(&path) };
        } else {
            assert_eq!(shown(&fs::read(&path).unwrap()), None, "{}", path.display());
            count += 1;
        }
    }
    count
}

/// What the system shows of a process and of those that it started.
fn assert_process_hides(pid: u32) {
    for file in ["cmdline", "environ", "comm"] {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        assert!(!bytes.is_empty(), "{file}");
        assert_eq!(shown(&bytes), None, "/proc/PID/{file}");
    }
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        assert_eq!(children.trim(), "", "it starts no other process");
    }
}

fn accounts(stage: &Stage) -> String {
    let secret = |name: &str| format!("{{ file = \"{}\" }}", stage.beside(SECRETS).join(name).display());
    let (bandwidth, plivo) = (stage.emulator.base_url_bandwidth(), stage.emulator.base_url_plivo());
    format!(
        "version = 1\n[sync]\nsettle = \"0s\"\n\
         [provider.bandwidth]\nkind = \"bandwidth\"\naccount_id = \"{ACCOUNT}\"\nusername = {user}\n\
         password = {password}\nbase_url = \"{bandwidth}\"\nretention = \"20s\"\n\
         [provider.modern]\nkind = \"bandwidth\"\naccount_id = \"5500099\"\nclient_id = {client}\n\
         client_secret = {{ credential = \"password\" }}\nbase_url = \"{bandwidth}\"\ntoken_url = \"{token_url}\"\n\
         retention = \"20s\"\n\
         [provider.plivo]\nkind = \"plivo\"\nauth_id = \"{AUTH_ID}\"\nauth_token = {password}\n\
         base_url = \"{plivo}\"\nretention = \"20s\"\n\
         [[export]]\npath = \"urls.json\"\nformat = \"json\"\n[[export]]\npath = \"urls.env\"\nformat = \"env\"\n",
        user = secret("user"),
        client = secret("client"),
        password = secret("password"),
        token_url = stage.emulator.token_url(),
    )
}

fn furnished() -> Stage {
    let stage = Stage::new();
    for (name, secret) in [("user", USER), ("client", CLIENT), ("password", PASSWORD)] {
        put(&stage.beside(SECRETS).join(name), &format!("{secret}\n"));
    }
    let rule = files("*.png", "x").replace("\"x\"", "[\"bandwidth\", \"modern\", \"plivo\"]");
    stage.put("media.toml", &(accounts(&stage) + &rule));
    stage.put("logo.png", "logo");
    stage
}

/// A command that says everything it can, with nothing secret in its environment.
fn talkative(stage: &Stage, words: &[&str]) -> Command {
    let mut command = stage.command(words);
    command.arg("-vv").env_remove("BANDWIDTH_PASSWORD").env_remove("PLIVO_AUTH_TOKEN");
    command.env("CREDENTIALS_DIRECTORY", stage.beside(SECRETS));
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    command
}

/// An account as its requests show it: what their paths hold, the user, and the secret that goes with it.
const ACCOUNTS: [(&str, &str, &str); 3] =
    [("users/5500012", USER, PASSWORD), ("users/5500099", CLIENT, TOKEN), ("Account/", AUTH_ID, PASSWORD)];

/// Words of a server that repeats what it was told, in every form.
fn echo(user: &str, secret: &str) -> String {
    let pair = STANDARD_NO_PAD.encode(format!("{user}:{PASSWORD}"));
    let alone = STANDARD_NO_PAD.encode(secret);
    format!("no entry with {secret} nor Basic {pair}== nor {alone} nor {PASSWORD}")
}

/// What happens instead of an answer, by what the server repeats.
type Fault = fn(&str) -> Value;

/// What goes wrong: a name, and what happens instead of an answer to this account.
fn faults() -> Vec<(&'static str, Fault)> {
    fn reply(status: u16, echo: &str, body: &str) -> Value {
        let location = format!("https://{USER}:{PASSWORD}@evil.invalid/?{TOKEN}");
        let headers = json!({"X-Echo": echo, "Location": location, "WWW-Authenticate": echo});
        json!({"reply": {"status": status, "headers": headers, "body": body}})
    }
    fn words(status: u16, echo: &str) -> Value {
        reply(status, echo, &json!({"type": "refused", "description": echo}).to_string())
    }
    fn file(status: u16, echo: &str) -> Value {
        let object = json!({"status": "failed", "status_code": 400, "error_message": echo});
        reply(status, echo, &json!({"objects": [object], "error": echo}).to_string())
    }
    vec![
        ("refused content", |echo| words(400, echo)),
        ("forbidden", |echo| reply(403, echo, &json!({"error": echo}).to_string())),
        ("redirect", |echo| reply(302, echo, echo)),
        ("refused credentials", |echo| words(401, echo)),
        ("success that is none", |echo| file(200, echo)),
        ("garbage", |echo| reply(200, echo, &format!("{{\"objects\": {echo}"))),
        ("page", |echo| reply(200, echo, &format!("<html>{echo}</html>"))),
        ("slow down", |echo| words(429, echo)),
        ("broken", |echo| reply(503, echo, echo)),
        ("reset", |_| json!({"reset": "reply_body"})),
        ("half", |_| json!("half_body")),
    ]
}

/// Each account's next request goes wrong so. The emulator knows nothing of the one token that is ever given, so that
/// its uploads are confirmed here.
fn play(stage: &Stage, fault: Option<Fault>) {
    stage.control().clear_faults();
    if let Some(action) = fault {
        for (path, user, secret) in ACCOUNTS {
            stage.fault(json!({"path": path, "action": action(&echo(user, secret))}));
        }
    }
    let token = json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}).to_string();
    let given = json!({"reply": {"status": 200, "body": token}});
    stage.fault(json!({"path": "oauth2/token", "count": null, "action": given}));
    stage.fault(json!({"path": ACCOUNTS[1].0, "count": null, "action": {"reply": {"status": 204}}}));
}

#[test]
fn nothing_that_a_process_ever_wrote_shows_a_secret() {
    let stage = furnished();
    play(&stage, None);
    let mut daemon = stage.start(talkative(&stage, &["run"]));
    for provider in ["bandwidth", "modern", "plivo"] {
        stage.until("it is published", || stage.url("logo.png", provider).is_some());
    }
    assert_process_hides(daemon.pid());

    for (number, (name, fault)) in faults().into_iter().enumerate() {
        play(&stage, Some(fault));
        stage.put(&format!("{number}.png"), name);
        // What is met leaves the script; the two that stand stay in it.
        stage.until(&format!("{name}: it is met"), || stage.control().faults().len() <= 2);
        if number % 4 == 3 {
            // A crash in the middle of it, and a start on what that left.
            daemon.signal(if number == 3 { "KILL" } else { "ABRT" });
            daemon.wait(crate::stage::PATIENCE);
            daemon = stage.start(talkative(&stage, &["run"]));
        }
    }
    play(&stage, None);
    // What was repeated did arrive, and was told.
    stage.until("the refusal is told", || stage.log().contains("no entry with ***"));
    assert_process_hides(daemon.pid());
    put(&stage.beside(SECRETS).join("password"), "\u{0}\u{0}");
    daemon.signal("HUP");
    daemon.until_says("those that were read before stay in use");
    daemon.stop();
    put(&stage.beside(SECRETS).join("password"), PASSWORD);

    let commands: [&[&str]; 9] = [
        &["check"],
        &["plan", "--all"],
        &["plan", "--json"],
        &["sync", "--json"],
        &["sync", "--log-format", "json"],
        &["status"],
        &["status", "--json"],
        &["url", "logo.png", "--provider", "modern"],
        &["approve", "--yes"],
    ];
    for words in commands {
        let output = talkative(&stage, words).output().unwrap();
        for bytes in [output.stdout, output.stderr] {
            assert_eq!(shown(&bytes), None, "{words:?}: {}", String::from_utf8_lossy(&bytes));
        }
    }
    let place = stage.beside("");
    assert!(searched(&place) > 20, "everything was searched");
    assert!(searched(&place.join("state")) > 5 && place.join("media/urls.env").exists());
    // The search finds what it looks for.
    assert!(shown(&fs::read(place.join(SECRETS).join("user")).unwrap()).is_some());
    assert!(ACCOUNTS.iter().all(|(_, user, secret)| shown(echo(user, secret).as_bytes()).is_some()));
}
