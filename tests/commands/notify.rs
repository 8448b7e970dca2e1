//! `mediakeep notify --test`: hooks are tried for real, each once, and only those of a config.

use serde_json::Value;

use crate::stage::{PASSWORD, Run, Stage, assert_unchanged, write};

/// A stage with a config that has these hooks.
fn stage(hooks: &str) -> Stage {
    let stage = Stage::new();
    stage.write("media.toml", "version = 1\n");
    let account = stage.bandwidth("");
    let text =
        format!("version = 1\n[sync]\nroot = \"media\"\nstate_dir = \"state\"\n{account}[hook]\n{hooks}");
    write(&stage.above.path().join("config.toml"), text);
    stage
}

fn notify(stage: &Stage, more: &[&str]) -> Run {
    stage.run(["notify", "--test", "--config", "../config.toml"].iter().chain(more))
}

#[test]
fn each_hook_is_run_once_with_a_sample_that_says_so() {
    let stage = stage(
        "on_change = { command = [\"/bin/sh\", \"-c\", \"cat > $0; env | sort > $0.env\", \"/dev/null\"] }\n\
         on_risk = { command = [\"/bin/sh\", \"-c\", \"true\"] }",
    );
    let out = stage.above.path().join("out");
    let config = stage.read("../config.toml").replace("/dev/null", out.to_str().unwrap());
    write(&stage.above.path().join("config.toml"), config);
    notify(&stage, &[]).exits(0).prints("on_change").prints("/bin/sh").prints("on_risk").prints("ok");
    let sample: Value = serde_json::from_str(&stage.read(&out)).unwrap();
    assert_eq!(
        (&sample["test"], &sample["event"], &sample["format"]),
        (&true.into(), &"change".into(), &1.into())
    );
    let environment = stage.read(out.with_extension("env"));
    assert!(environment.contains("MEDIAKEEP_EVENT=change\n") && environment.contains("/state/state.json\n"));
    assert!(!environment.contains(PASSWORD), "a program gets no credential");
    assert!(!stage.above.path().join("state").exists(), "nothing is recorded");
}

#[test]
fn a_hook_that_fails_is_1_with_its_reason_and_the_others_are_tried_all_the_same() {
    let stage = stage(
        "timeout = \"1s\"\n\
         on_change = { command = [\"sleep\", \"600\"] }\n\
         on_risk = { command = [\"/bin/sh\", \"-c\", \"echo out of paper >&2; exit 9\"] }\n\
         on_failure = { webhook = \"http://127.0.0.1:1/secret-part\" }\n\
         on_recover = [{ command = [\"true\"] }, { webhook = { env = \"PASSWORD\" } }]",
    );
    let run = notify(&stage, &["--json"]).exits(1).never_says("secret-part");
    let report = run.json();
    assert_eq!((&report["format"], &report["ok"]), (&1.into(), &false.into()));
    let hooks = report["hooks"].as_array().unwrap();
    let problems: Vec<_> = hooks.iter().map(|hook| hook["problem"].as_str().unwrap_or("ok")).collect();
    assert_eq!(problems[..2], ["killed after 1s", "exit status 9: out of paper"]);
    assert!(problems[2].starts_with("no answer: "), "{problems:?}");
    assert_eq!(problems[3..], ["ok", "the address is not a URL such as https://host/path"]);
    assert!(!run.stdout.contains("secret-part"), "{}", run.stdout);
    notify(&stage, &["--hook", "on_recover"]).exits(1).prints("true");
    notify(&stage, &["--hook", "on_risk", "-q"]).exits(1).prints("exit status 9");
}

#[test]
fn what_cannot_be_tried_is_said_with_a_remedy() {
    let none = stage("");
    notify(&none, &[]).exits_without_data(3).says("no hook is configured").says("config.toml");
    none.run(["notify", "--test"]).exits_without_data(3).says("--config");
    none.run(["notify"]).exits_without_data(2).says("--test");
    notify(&none, &["--hook", "on_fire"]).exits_without_data(2).says("on_risk");
    let broken = stage("on_change = { command = \"one word\" }");
    notify(&broken, &[]).exits_without_data(3).says("must be a list of strings").never_says("one word");
    let missing = stage("on_risk = { webhook = { env = \"NOT_THERE\" } }");
    notify(&missing, &[]).exits(1).prints("NOT_THERE is not set");
    missing.run(["check", "--config", "../config.toml"]).exits(3).says("NOT_THERE is not set");
}

#[test]
fn what_a_program_complains_of_shows_no_argument_that_may_be_a_secret() {
    let token = "https://hooks.example/s3cr3t-token";
    let stage = stage(&format!(
        "on_risk = {{ command = [\"/bin/sh\", \"-c\", \"echo $1: no answer from $0 >&2; exit 1\", \"{token}\", \"media\"] }}"
    ));
    let run = notify(&stage, &[]).exits(1).prints("exit status 1: media: no answer from ***");
    assert!(!run.all().contains("s3cr3t"), "{}", run.all());
}

#[test]
fn check_finds_programs_that_cannot_be_started() {
    let check = |command: &str| {
        let stage = stage(&format!("on_risk = {{ command = [{command:?}, \"secret-argument\"] }}"));
        write(&stage.above.path().join("hook"), "#!/bin/sh\n");
        stage.run(["check", "--config", "../config.toml"]).never_says("secret-argument")
    };
    for (command, why) in [
        ("./missing", "/missing: there is no such program"),
        ("./hook", "/hook: it is not executable"),
        ("/tmp", "/tmp: it cannot be started (is a directory)"),
        ("no-such-program", "no-such-program: no folder of $PATH has"),
    ] {
        check(command).exits(3).says("[hook]: on_risk: ").says(why);
    }
    // Hooks run elsewhere than here.
    let stage = stage("on_risk = { command = [\"a-program\"] }");
    std::os::unix::fs::symlink("/bin/true", stage.path("a-program")).unwrap();
    let mut command = stage.command();
    command.env("PATH", ".").args(["check", "--config", "../config.toml", "--json"]);
    assert_eq!(Run::of(&mut command).exits(3).json()["findings"][0]["kind"], "hook");
    for command in ["/bin/sh", "sh"] {
        check(command).exits(0).says("ok");
    }
}

#[test]
fn a_pass_runs_no_hooks() {
    let stage = stage("on_change = { command = [\"touch\", \"/dev/null/ran\"] }");
    stage.write("media.toml", "version = 1\n[[media]]\nfile = \"logo.png\"\nto = \"bandwidth\"\n");
    stage.write("logo.png", "logo");
    let mark = stage.above.path().join("ran");
    let config = stage.read("../config.toml").replace("/dev/null/ran", mark.to_str().unwrap());
    write(&stage.above.path().join("config.toml"), config);
    stage.run(["sync", "--config", "../config.toml"]).exits(0).says("1 uploaded");
    assert!(!mark.exists());
    let before = stage.listing();
    stage.run(["plan", "--config", "../config.toml"]).exits(0);
    assert_unchanged(&before, &stage.listing());
}
