//! What is wrong with a manifest or config: all of it in one run, with its place and a remedy, for people and programs.

use serde_json::{Value, json};

use crate::stage::{Run, Stage, assert_unchanged, bandwidth_at, file, files, write};

/// One manifest with many mistakes, and what is to be said of each: the line and column, the message, the help.
const WRONG: &str = r#"version = 1
sinc = 3

[sync]
settle = 2
rescann = "15m"

[provider.bandwidth]
kind = "bandwith"
account_id = "5500012"
client_id = "id"
client_secret = "c4nary-literal"

[provider."a b"]
kind = "plivo"

[[media]]
file = "../logo.png"
to = "bandwidth"

[[media]]
files = "photos/[*.jpg"
to = ["bandwidth", "plivo"]

[[media]]
file = "a.png"
files = "*.png"
to = "bandwidth"

[[export]]
path = "urls.json"
format = "yaml"
"#;

#[test]
fn every_mistake_is_told_in_one_run_with_its_place() {
    let stage = Stage::new();
    stage.write("media.toml", WRONG);
    let run = stage.run(["check"]).exits_without_data(3);
    for place in ["2:1", "5:10", "6:1", "9:8", "12:17", "14:11", "18:8", "22:9", "23:20", "27:1", "32:10"] {
        assert!(run.stderr.contains(&format!("--> media.toml:{place}\n")), "{place}: {}", run.stderr);
    }
    let run = run.says("help: did you mean").says("{ env = \"BANDWIDTH_CLIENT_SECRET\" }").says("errors");
    assert!(!run.all().contains("c4nary-literal"), "{}", run.all());
    // Each command that reads the manifest says the same but for what is merely odd, and does nothing.
    let (errors, _) = run.stderr.split_once("note: ").unwrap();
    for command in ["sync", "plan", "status"] {
        let other = stage.run([command]).exits_without_data(3);
        assert!(other.stderr.starts_with(errors) && !other.stderr.contains("note: "), "{command}");
    }
}

#[test]
fn programs_get_the_mistakes_with_file_line_and_column() {
    let stage = Stage::new();
    stage.write("media.toml", WRONG);
    let run = stage.run(["check", "--json"]).exits(3);
    assert!(!run.all().contains("c4nary-literal"), "{}", run.all());
    let report = run.json();
    assert_eq!(
        (&report["format"], &report["ok"], &report["findings"]),
        (&json!(1), &json!(false), &json!([]))
    );
    let problems = report["problems"].as_array().unwrap();
    let secret = problems.iter().find(|problem| problem["line"] == 12).unwrap();
    assert_eq!((&secret["file"], &secret["column"]), (&json!("media.toml"), &json!(17)));
    assert_eq!(secret["severity"], "error");
    assert_eq!(secret["replacement"], "{ env = \"BANDWIDTH_CLIENT_SECRET\" }");
    assert!(secret["help"].is_string() && secret["message"].is_string(), "{secret}");
}

#[test]
fn a_syntax_error_shows_its_place_and_no_text() {
    let stage = Stage::new();
    stage.write("media.toml", "version = 1\n[provider.plivo]\nauth_token = \"c4nary-literal\nkind = 3\n");
    let run = stage.run(["sync", "-vv"]).exits_without_data(3).says("media.toml:3");
    assert!(!run.all().contains("c4nary-literal"), "{}", run.all());
}

#[test]
fn no_manifest_is_too_odd_to_be_refused_politely() {
    let stage = Stage::new();
    let odd: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("not UTF-8", b"version = 1\n# \xff\n".to_vec()),
        ("NUL", b"version = 1\0".to_vec()),
        ("deep", format!("version = 1\nx = {}", "[".repeat(100_000)).into_bytes()),
        ("long", format!("version = 1\nsinc = \"{}\"", "x".repeat(1 << 20)).into_bytes()),
        ("the wrong kind", b"{\"version\": 1}".to_vec()),
    ];
    for (what, text) in odd {
        stage.write("media.toml", text);
        let run = stage.run(["check"]);
        assert_eq!(run.code, Some(3), "{what}: {}", run.all());
        assert!(run.stderr.len() < 10_000, "{what}: {} bytes", run.stderr.len());
    }
    let large = std::fs::File::create(stage.path("media.toml")).unwrap();
    large.set_len(16 * 1024 * 1024 + 1).unwrap();
    stage.run(["check"]).exits_without_data(3).says("larger than 16777216 bytes");
}

#[test]
fn rules_that_contradict_each_other_are_mistakes_of_the_text() {
    let stage = Stage::new();
    let both = |one: &str, other: &str| format!("{}{one}{other}", stage.bandwidth(""));
    let with_id = |name: &str, id: &str| format!("{}id = \"{id}\"\n", file(name, "bandwidth"));
    let cases = [
        ("twice", both(&file("a.png", "bandwidth"), &file("a.png", "bandwidth"))),
        ("one ID", both(&with_id("a.png", "x.png"), &with_id("b.png", "x.png"))),
        ("one ID but for case", both(&with_id("a.png", "x.png"), &with_id("b.png", "X.png"))),
        (
            "one ID but for its spelling",
            both(&with_id("a.png", "caf\u{e9}.png"), &with_id("b.png", "cafe\u{301}.png")),
        ),
        ("an ID that leaves", both(&with_id("a.png", "../x.png"), "")),
        ("an ID that is a path", both(&with_id("a.png", "/x.png"), "")),
        (
            "an ID where the server names",
            [stage.plivo(""), with_id("a.png", "x.png").replace("bandwidth", "plivo")].concat(),
        ),
        ("an absolute file", both(&file("/etc/passwd", "bandwidth"), "")),
        ("the manifest itself", both(&file("media.toml", "bandwidth"), "")),
        ("a file of the state", both(&file(".mediakeep/state.json", "bandwidth"), "")),
        ("a file of git", both(&file(".git/config", "bandwidth"), "")),
        ("an unknown provider", both(&file("a.png", "twilio"), "")),
        ("a bad type", both(&format!("{}content_type = \"png\"\n", file("a.png", "bandwidth")), "")),
        (
            "a longer life",
            format!("{}{}", stage.bandwidth("retention = \"49h\""), file("a.png", "bandwidth")),
        ),
        (
            "no life at all",
            format!("{}{}", stage.bandwidth("retention = \"1s\""), file("a.png", "bandwidth")),
        ),
        (
            "an open address",
            format!("{}{}", bandwidth_at("http://example.com", ""), file("a.png", "bandwidth")),
        ),
        ("a user in the address", format!("{}{}", bandwidth_at("https://u:p@example.com", ""), "")),
    ];
    for (what, tables) in cases {
        stage.manifest(&tables);
        let run = stage.run(["check"]);
        assert_eq!(run.code, Some(3), "{what}: {}", run.all());
        assert!(
            run.stderr.contains("--> media.toml:") && run.stderr.contains("help:"),
            "{what}: {}",
            run.all()
        );
        stage.run(["sync"]).exits_without_data(3);
    }
    assert_eq!(stage.requests(), 0);
}

#[test]
fn check_refuses_what_cannot_be_renewed_in_time() {
    let stage = Stage::new();
    for number in 0..100 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    let account = stage.bandwidth("").replace("rate = \"1000/s\"", "rate = \"1/m\"\nretention = \"1h\"");
    stage.manifest(&format!("{account}{}", files("*.png", "bandwidth")));
    stage.run(["check"]).exits_without_data(3).says("100 entries at bandwidth").says("raise rate or margin");
    let report = stage.run(["check", "--json"]).exits(3).json();
    let finding = &report["findings"][0];
    assert_eq!((&finding["kind"], &finding["entries"]), (&json!("capacity"), &json!(100)), "{report}");
}

#[test]
fn check_warns_of_files_that_would_be_blocked_and_notes_what_is_odd() {
    let stage = Stage::new();
    stage.write("large.png", vec![0; 3_500_001]);
    let fixed = format!("{}id = \"fixed.png\"\n", file("a.png", "bandwidth"));
    stage.manifest(&[stage.bandwidth(""), file("large.png", "bandwidth"), fixed].concat());
    let run = stage.run(["check"]).exits_without_data(0);
    run.says("warning: large.png at bandwidth would be blocked")
        .says("note:")
        .says("git clean -fdx")
        .says("deprecated")
        .says("ok");
    let quiet = stage.run(["check", "-q"]).exits_without_data(0);
    assert!(quiet.stderr.lines().all(|line| line.starts_with("warning:")), "{}", quiet.stderr);
    let report = stage.run(["check", "--json"]).exits(0).json();
    let blocked = |finding: &&Value| finding["kind"] == "blocked" && finding["file"] == "large.png";
    assert_eq!(report["findings"].as_array().unwrap().iter().filter(blocked).count(), 1, "{report}");
}

#[test]
fn check_notes_a_rule_that_matches_no_file_with_its_line_and_the_remedy() {
    let stage = Stage::new();
    stage.write("photos/a.jpg", b"a");
    let text = format!(
        "version = 1\n{}{}{}{}",
        stage.bandwidth(""),
        files("photos/*.jpg", "bandwidth"),
        files("Photos/*.jpg", "bandwidth"),
        // It takes the first rule's file, which is no reason to doubt that one.
        files("**/a.*", "bandwidth"),
    );
    stage.write("media.toml", &text);
    let line = text.lines().position(|line| line.contains("Photos")).unwrap() + 1;
    let run = stage.run(["check"]).exits_without_data(0).says("ok");
    let run =
        run.says(&format!("note: media.toml:{line}: files = \"Photos/*.jpg\" matches no file at present"));
    let run = run.says("letter case counts").says("or put files there");
    assert_eq!(run.stderr.matches("matches no file").count(), 1, "{}", run.all());
    stage.run(["check", "-q"]).exits_without_data(0).never_says("matches no file");
    Run::of(stage.command().args(["check", "--log-format", "json"])).exits(0).says("\"help\":\"the pattern");
    let report = stage.run(["check", "--json"]).exits(0).json();
    let finding = &report["findings"][0];
    assert_eq!((&finding["kind"], &finding["severity"]), (&json!("rule-without-files"), &json!("note")));
    assert_eq!((&finding["manifest"], &finding["line"]), (&json!("media.toml"), &json!(line)), "{report}");
    assert_eq!((report["ok"].as_bool(), report["findings"].as_array().unwrap().len()), (Some(true), 1));

    stage.write("Photos/b.jpg", b"b");
    stage.run(["check"]).exits(0).never_says("matches no file");
    // What was there and is gone matches nothing, either; a folder that is gone is another matter.
    stage.run(["sync"]).exits(0);
    stage.remove("Photos/b.jpg");
    stage.run(["check"]).exits(0).says("matches no file");
    stage.manifest(&format!("root = \"gone\"\n{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    stage.run(["check"]).says("gone cannot be used").never_says("matches no file");
}

#[test]
fn init_writes_a_manifest_for_what_lies_there_and_never_writes_over_one() {
    let stage = Stage::new();
    stage.write("photos/one.jpg", b"one");
    stage.write("we[ird]/two.png", b"two");
    stage.write("readme.md", b"no media");
    stage.write(".git/three.png", b"three");
    let printed = stage.run(["init", "--stdout"]).exits(0);
    assert!(!stage.path("media.toml").exists());
    let run = stage.run(["init"]).exits_without_data(0).says("media.toml").says("mediakeep check");
    assert_eq!(stage.read("media.toml"), printed.stdout, "{}", run.all());
    let environment = [
        ("BANDWIDTH_ACCOUNT_ID", "5500012"),
        ("BANDWIDTH_CLIENT_ID", "id"),
        ("BANDWIDTH_CLIENT_SECRET", "s"),
    ];
    let check = |arguments: &[&str]| Run::of(stage.command().envs(environment).args(arguments));
    check(&["check"]).exits_without_data(0).says("ok");
    let plan = check(&["plan", "--json", "-q"]).exits(0).json();
    let found: Vec<&str> =
        plan["entries"].as_array().unwrap().iter().map(|entry| entry["file"].as_str().unwrap()).collect();
    assert_eq!(found, ["photos/one.jpg", "we[ird]/two.png"]);

    let before = stage.listing();
    stage.run(["init"]).exits_without_data(2).says("media.toml is there already");
    assert_unchanged(&before, &stage.listing());
    stage.run(["init", "--provider", "twilio"]).exits_without_data(2).says("bandwidth, plivo");
}

#[test]
fn init_writes_for_the_providers_that_are_asked_for() {
    let stage = Stage::new();
    stage.write("one.jpg", b"one");
    stage.run(["init", "--provider", "plivo", "-m", "other.toml"]).exits_without_data(0);
    let environment = [("PLIVO_AUTH_ID", crate::stage::AUTH_ID), ("PLIVO_AUTH_TOKEN", "token")];
    Run::of(stage.command().envs(environment).args(["check", "-m", "other.toml"]))
        .exits(0)
        .says("1 entry at plivo");
    let both = stage.run(["init", "--stdout", "--provider", "plivo", "--provider", "bandwidth"]).exits(0);
    both.prints("[provider.plivo]").prints("[provider.bandwidth]").prints("to = [\"plivo\", \"bandwidth\"]");
    stage.run(["init", "-m", "nowhere/media.toml"]).exits_without_data(1).says("nowhere/media.toml");
}

#[test]
fn an_empty_folder_gets_a_manifest_that_says_what_to_write() {
    let stage = Stage::new();
    stage.run(["init", "--provider", "plivo"]).exits(0);
    let environment = [("PLIVO_AUTH_ID", crate::stage::AUTH_ID), ("PLIVO_AUTH_TOKEN", "token")];
    Run::of(stage.command().envs(environment).arg("check")).exits(0);
    Run::of(stage.command().envs(environment).arg("plan")).exits_without_data(0).says("no entries");
    Run::of(stage.command().envs(environment).arg("sync")).exits_without_data(0).says("no entries");
}

#[test]
fn a_manifest_in_another_folder_works_from_anywhere() {
    let stage = Stage::with_logo();
    let mut command = stage.command();
    Run::of(command.current_dir("/").args(["sync", "-m"]).arg(stage.path("media.toml"))).exits(0);
    let url = stage.url("logo.png", "bandwidth");
    let mut command = stage.command();
    let by_variable = command.current_dir("/").env("MEDIAKEEP_MANIFEST", stage.path("media.toml"));
    Run::of(by_variable.args(["url", "logo.png"])).exits(0).prints(&url);
    // Typed goes before the environment.
    write(&stage.above.path().join("broken.toml"), "broken");
    let mut command = stage.command();
    let both =
        command.env("MEDIAKEEP_MANIFEST", "../broken.toml").args(["url", "logo.png", "-m", "media.toml"]);
    Run::of(both).exits(0);
}
