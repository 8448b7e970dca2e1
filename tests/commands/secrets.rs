//! A secret is in no output, whatever the command and however much it says, and in no file.

use std::path::Path;

use serde_json::json;

use crate::stage::{PASSWORD, Run, Stage, file, files, write};

/// Whether a text holds the secret, plain or as Basic credentials carry it.
fn shows_it(text: &[u8]) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let text = String::from_utf8_lossy(text);
    let users = ["api", crate::stage::AUTH_ID, "client"];
    text.contains(PASSWORD)
        || users.iter().any(|user| text.contains(&STANDARD.encode(format!("{user}:{PASSWORD}"))))
}

fn assert_no_file_shows_it(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_file_shows_it(&path);
        } else if path.is_file() {
            assert!(!shows_it(&std::fs::read(&path).unwrap()), "{}", path.display());
        }
    }
}

const COMMANDS: [&[&str]; 10] = [
    &["check"],
    &["check", "--json"],
    &["plan", "--all"],
    &["plan", "--json"],
    &["sync", "--json"],
    &["sync"],
    &["status"],
    &["status", "--json"],
    &["url", "logo.png", "--provider", "bandwidth"],
    &["approve", "--yes"],
];

#[test]
fn no_command_shows_a_secret_and_no_file_holds_one() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    let oauth2 = format!(
        "\n[provider.modern]\nkind = \"bandwidth\"\naccount_id = \"1\"\nclient_id = \"client\"\n\
         client_secret = {{ env = \"PASSWORD\" }}\nbase_url = \"{}\"\ntoken_url = \"{}\"\n",
        stage.emulator.base_url_bandwidth(),
        stage.emulator.token_url()
    );
    let rule = files("*.png", "x").replace("\"x\"", "[\"bandwidth\", \"plivo\", \"modern\"]");
    let export = "\n[[export]]\npath = \"urls.json\"\nformat = \"json\"\n";
    stage.manifest(&[stage.bandwidth(""), stage.plivo(""), oauth2, rule, export.to_owned()].concat());
    for round in 0..2 {
        for arguments in COMMANDS {
            for more in [&["-vv"][..], &["-vv", "--log-format", "json"], &["-q"]] {
                let run = stage.run(arguments.iter().chain(more));
                assert!(matches!(run.code, Some(0 | 4)), "{arguments:?}: {}", run.all());
                assert!(!shows_it(run.all().as_bytes()), "{arguments:?}: {}", run.all());
            }
        }
        if round == 0 {
            // What a provider says may repeat what it was told.
            stage.write("logo.png", b"another");
            let echo = format!("{{\"error\": \"no such password: {PASSWORD}\"}}");
            stage.fault(
                json!({"count": 20, "path": "edia/", "action": {"reply": {"status": 400, "body": echo}}}),
            );
        }
    }
    assert_eq!(stage.requests_seen_with_credentials(), stage.control().requests().len());
    assert_no_file_shows_it(stage.above.path());
}

#[test]
fn what_a_provider_repeats_is_scrubbed_before_it_is_recorded() {
    let stage = Stage::with_logo();
    for (status, code) in [(400, 4), (401, 7), (500, 4)] {
        let echo = format!("{{\"type\": \"bad\", \"description\": \"{PASSWORD} is wrong\"}}");
        stage.fault(json!({"count": null, "action": {"reply": {"status": status, "body": echo}}}));
        let run = stage.run(["sync", "-vv", "--json"]);
        assert!(run.stdout.contains("is wrong"), "{}", run.all());
        let problem = stage.entry("logo.png", "bandwidth")["problem"].to_string();
        assert!(problem.contains("is wrong") && !problem.contains(PASSWORD), "{problem}");
        stage.run(["status"]).exits(code).prints("is wrong");
        stage.control().clear_faults();
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let wrong_places = [
        format!("[provider.b]\nkind = \"bandwidth\"\npassword = \"{PASSWORD}\"\n"),
        format!("[provider.b]\nkind = \"bandwidth\"\npasword = \"{PASSWORD}\"\n"),
        format!("[provider.b]\nkind = \"bandwidth\"\npassword = {{ env = \"{PASSWORD}\" }}\n"),
        format!("[provider.b]\nkind = \"bandwidth\"\npassword = {{ credential = \"{PASSWORD}/x\" }}\n"),
        format!("[provider.b]\nkind = \"bandwidth\"\npassword = [\"{PASSWORD}\"]\n"),
        format!("[provider.b]\nkind = \"bandwidth\"\nbase_url = \"https://user:{PASSWORD}@example.com\"\n"),
        format!("password = \"{PASSWORD}\"\n"),
        format!("[provider.b]\npassword = \"{PASSWORD}\n"),
        format!("[provider.b]\nkind = \"bandwidth\" # {PASSWORD}\nsecret = 3\n"),
    ];
    let stage = Stage::new();
    for text in wrong_places {
        stage.write("media.toml", format!("version = 1\n{text}"));
        for arguments in [&["check", "-vv"][..], &["check", "--json"], &["sync", "--log-format", "json"]] {
            // Every run is searched for the password.
            stage.run(arguments).exits(3);
        }
    }
}

#[test]
fn references_that_lead_nowhere_are_named_and_their_values_are_not() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    write(&stage.above.path().join("secret"), format!("{PASSWORD}\0"));
    let references = [
        ("{ env = \"NOT_THERE\" }", "NOT_THERE"),
        ("{ file = \"../secret\" }", "secret"),
        ("{ file = \"../gone\" }", "gone"),
        ("{ file = \"/dev/zero\" }", "/dev/zero"),
        ("{ credential = \"bandwidth\" }", "CREDENTIALS_DIRECTORY"),
    ];
    for (reference, named) in references {
        let account = stage.bandwidth("").replace("{ env = \"PASSWORD\" }", reference);
        stage.manifest(&format!("{account}{}", file("logo.png", "bandwidth")));
        for arguments in [&["check"][..], &["sync", "-vv"], &["sync", "--log-format", "json"]] {
            stage.run(arguments).exits_without_data(3).says(named);
        }
    }
    assert_eq!(stage.requests(), 0);
}

#[test]
fn credentials_come_from_systemd_and_files_too() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    let folder = stage.above.path().join("credentials");
    write(&folder.join("bandwidth-password"), format!("{PASSWORD}\n"));
    let with = |reference: &str| {
        let account = stage.bandwidth("").replace("{ env = \"PASSWORD\" }", reference);
        stage.manifest(&format!("{account}{}", file("logo.png", "bandwidth")));
        let mut command = stage.command();
        Run::of(command.env_remove("PASSWORD").env("CREDENTIALS_DIRECTORY", &folder).arg("sync"))
    };
    with("{ credential = \"bandwidth-password\" }").exits(0).says("1 uploaded");
    stage.write("logo.png", b"another");
    with("{ file = \"../credentials/bandwidth-password\" }").exits(0).says("1 uploaded");
}

#[test]
fn json_log_lines_are_json_whatever_happens() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.manifest(&format!(
        "{}{}{}",
        stage.bandwidth(""),
        file("logo.png", "bandwidth"),
        file("gone.png", "bandwidth")
    ));
    stage.fault(json!({"count": 1, "action": {"empty": 500}}));
    let runs: [(&[&str], i32); 7] = [
        (&["sync", "-v"], 4),
        (&["check"], 0),
        (&["plan"], 0),
        (&["status"], 4),
        (&["url", "gone.png"], 4),
        (&["sync", "-m", "nowhere.toml"], 3),
        (&["sync", "--config", "media.toml"], 3),
    ];
    for (arguments, code) in runs {
        let run = stage.run(arguments.iter().chain(&["--log-format", "json"])).exits(code);
        for line in run.stderr.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {line}"));
            assert!(value["level"].is_string() && value["message"].is_string(), "{arguments:?}: {line}");
        }
    }
}
