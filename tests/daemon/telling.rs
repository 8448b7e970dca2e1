//! Hooks of the real binary: told after readers can see it, through a failure and a recovery, and held up by nobody.

use std::path::Path;

use serde_json::{Value, json};

use crate::stage::{PASSWORD, Stage, put};

fn configure(stage: &Stage, hook: &str) {
    stage.config(&format!("[hook]\n{hook}"));
}

/// A hook that appends the state file to one file, and then what it is told to another one, of its name.
fn appending(stage: &Stage, name: &str) -> String {
    let out = stage.beside(name);
    let script = "tr -d '\\\\n' < $MEDIAKEEP_STATE >> $0.states; env >> $0.env; cat >> $0";
    format!("{name} = {{ command = [\"/bin/sh\", \"-c\", \"{script}\", \"{}\"] }}\n", out.display())
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What a hook was told so far.
fn told(stage: &Stage, name: &str) -> Vec<Value> {
    text(&stage.beside(name)).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The entries that a hook was told of so far, in order.
fn entries(stage: &Stage, name: &str) -> Vec<Value> {
    let bodies = told(stage, name).into_iter();
    bodies.flat_map(|body| body["entries"].as_array().cloned().unwrap_or_default()).collect()
}

fn until_told(stage: &Stage, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let found = || told(stage, name).into_iter().find(|body| fits(body));
    stage.until(&format!("{name} is told\n{:?}", told(stage, name)), || found().is_some());
    found().unwrap()
}

#[test]
fn changes_failures_and_recoveries_are_told_once_readers_can_see_them() {
    let stage = Stage::with_config("");
    let hooks: String =
        ["on_change", "on_risk", "on_failure", "on_recover"].map(|name| appending(&stage, name)).concat();
    configure(&stage, &hooks);
    let mut daemon = stage.run_with_config();
    let first = until_told(&stage, "on_change", |body| body["entries"][0]["reason"] == "new");
    assert_eq!((&first["event"], &first["format"]), (&json!("change"), &json!(1)));
    assert_eq!(first["entries"][0]["file"], "logo.png");
    let renewed = until_told(&stage, "on_change", |body| body["entries"][0]["reason"] == "renewed");
    assert_eq!(renewed["entries"][0]["previous_url"], first["entries"][0]["url"]);
    for entry in entries(&stage, "on_change") {
        let url = entry["url"].as_str().unwrap();
        assert!(text(&stage.beside("on_change.states")).contains(url), "it is told before it is published");
    }
    assert!(told(&stage, "on_failure").is_empty() && told(&stage, "on_risk").is_empty());

    stage.fault(json!({"provider": "plivo", "count": null, "action": {"reply": {"status": 503}}}));
    let failure = until_told(&stage, "on_failure", |_| true);
    let failing =
        if failure["entries"] == json!([]) { &failure["accounts"][0] } else { &failure["entries"][0] };
    assert_eq!((&failing["provider"], &failing["class"]), (&json!("plivo"), &json!("unavailable")));
    until_told(&stage, "on_risk", |body| body["entries"][0]["class"] == "lapsed");
    until_told(&stage, "on_change", |body| body["entries"][0]["reason"] == "withdrawn");
    let of = |name: &str, class: &str| {
        entries(&stage, name).iter().filter(|entry| entry["class"] == class).count()
    };
    assert_eq!(of("on_risk", "lapsed"), 1, "once");
    assert!(told(&stage, "on_recover").is_empty());

    stage.control().clear_faults();
    stage.until_content("logo.png", "plivo", "logo");
    let is_over = |entry: &Value, topic: &str| entry["over"] == topic;
    stage.until("the risk is over", || {
        entries(&stage, "on_recover").iter().any(|entry| is_over(entry, "risk"))
    });
    stage.until("the failure is over", || {
        let lists = told(&stage, "on_recover").into_iter();
        let mut all = lists.flat_map(|body| {
            [&body["entries"], &body["accounts"]].map(|list| list.as_array().unwrap().clone()).concat()
        });
        all.any(|one| is_over(&one, "failure"))
    });
    daemon.stop();
    let environment = text(&stage.beside("on_change.env"));
    assert!(environment.contains("MEDIAKEEP_EVENT=change"), "{environment}");
    assert!(!environment.contains("PLIVO_AUTH_TOKEN"), "a credential is handed on");
    assert!(!stage.log().contains(PASSWORD));
}

#[test]
fn a_broken_config_is_told_once_at_the_start_too_and_so_is_its_end() {
    let stage = Stage::with_config("");
    let hooks: String = ["on_failure", "on_recover"].map(|name| appending(&stage, name)).concat();
    configure(&stage, &hooks);
    let mut daemon = stage.run_with_config();
    stage.until_content("logo.png", "plivo", "logo");
    stage.until("it is remembered", || {
        text(&stage.beside("state/last-good/last-good.json")).contains("on_recover")
    });
    let break_by = |key: &str| configure(&stage, &format!("{hooks}{key} = \"{PASSWORD}\"\n"));
    for at_start in [false, true] {
        let before = told(&stage, "on_failure").len();
        if at_start {
            daemon.stop();
            break_by("on_fire");
            daemon = stage.run_with_config();
        } else {
            break_by("on_fire");
        }
        stage.until("it is told", || told(&stage, "on_failure").len() > before);
        let failure = &told(&stage, "on_failure")[before]["system"][0];
        assert_eq!((&failure["subject"], &failure["class"]), (&json!("config"), &json!("config-unusable")));
        let detail = failure["detail"].as_str().unwrap();
        let config = stage.beside("config.toml");
        assert!(
            detail.starts_with(&format!("the config {} cannot be used: line ", config.display())),
            "{detail}"
        );
        assert!(detail.contains("on_fire") && detail.ends_with("stays in force"), "{detail}");
        // Another slip shows that it was read again before it is mended: the same one is not logged twice.
        break_by("on_flood");
        daemon.signal("HUP");
        daemon.until_says("on_flood");
        configure(&stage, &hooks);
        let over = || told(&stage, "on_recover").len();
        stage.until("the end is told", || over() > usize::from(at_start));
        assert_eq!(told(&stage, "on_recover")[usize::from(at_start)]["system"][0]["over"], "failure");
        assert_eq!(told(&stage, "on_failure").len(), before + 1, "once");
    }
    daemon.stop();
    assert!(
        !text(&stage.beside("on_failure")).contains(PASSWORD),
        "what the file holds is nobody's business"
    );
    stage.nobody_was_let_down();
}

#[test]
fn a_hook_that_hangs_is_killed_and_delays_nothing() {
    let stage = Stage::with_config("");
    let hang = "on_change = [{ command = [\"/bin/sh\", \"-c\", \"sleep 600\"] }, { command = [\"false\"] }, ";
    let good = appending(&stage, "on_change").trim_end().replace("on_change = ", "");
    configure(&stage, &format!("timeout = \"2s\"\n{hang}{good}]\n"));
    let mut daemon = stage.run_with_config();
    until_told(&stage, "on_change", |body| body["entries"][0]["file"] == "logo.png");
    daemon.until_says("killed after 2s");
    daemon.until_says("exit status 1");
    stage.put("more.png", "more");
    stage.until_content("more.png", "plivo", "more");
    until_told(&stage, "on_change", |body| {
        body["entries"].as_array().unwrap().iter().any(|entry| entry["file"] == "more.png")
    });
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn what_comes_during_a_run_is_told_together_afterwards_and_the_rest_at_the_end() {
    let stage = Stage::with_config("");
    let (out, gate) = (stage.beside("out"), stage.beside("gate"));
    let script = format!("cat >> {}; until test -e {}; do sleep 0.1; done", out.display(), gate.display());
    configure(&stage, &format!("on_change = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}\n"));
    let mut daemon = stage.run_with_config();
    let files_told = |index: usize| {
        let body = told(&stage, "out").into_iter().nth(index)?;
        let files = body["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["file"].as_str().unwrap().to_owned());
        Some(files.collect::<Vec<_>>())
    };
    stage.until("the first run", || files_told(0).is_some());
    for name in ["a.png", "b.png"] {
        stage.put(name, name);
        stage.until_content(name, "plivo", name);
    }
    assert_eq!(files_told(1), None, "one run at a time");
    put(&gate, "");
    stage.until("the second run", || files_told(1).is_some());
    let second = files_told(1).unwrap();
    assert!(second.contains(&"a.png".to_owned()) && second.contains(&"b.png".to_owned()), "{second:?}");

    // Another config counts without a restart, and a stop waits for no quiet.
    configure(&stage, &appending(&stage, "on_change"));
    daemon.signal("HUP");
    daemon.until_says("config read again");
    stage.put("last.png", "last");
    stage.until_content("last.png", "plivo", "last");
    daemon.stop();
    let is_last = |entry: &Value| entry["file"] == "last.png" && entry["reason"] == "new";
    assert_eq!(entries(&stage, "on_change").iter().filter(|entry| is_last(entry)).count(), 1);

    // URLs that did not change are no news after a restart.
    let before = entries(&stage, "on_change").len();
    let mut daemon = stage.run_with_config();
    daemon.until_says("started");
    stage.put("z.png", "z");
    stage.until("the new one is told", || {
        entries(&stage, "on_change").iter().any(|entry| entry["file"] == "z.png")
    });
    let after = entries(&stage, "on_change").split_off(before);
    assert!(after.iter().all(|entry| entry["file"] == "z.png" || entry["reason"] == "renewed"), "{after:?}");
    daemon.stop();
}

#[test]
fn without_a_config_no_remembered_one_runs_a_command() {
    let stage = Stage::with_config("");
    configure(&stage, &appending(&stage, "on_change"));
    let mut daemon = stage.run_with_config();
    until_told(&stage, "on_change", |_| true);
    stage.until("it is remembered", || {
        text(&stage.beside("state/last-good/last-good.json")).contains("on_change")
    });
    daemon.stop();
    stage.put("media.toml", "<<<<<<< HEAD\n");
    // Somebody may have written it who may edit the media and nothing else.
    let mut daemon = stage.run();
    daemon.until_says("starting from the last one that worked");
    stage.put("new.png", "new");
    stage.until_content("new.png", "plivo", "new");
    daemon.stop();
    assert!(entries(&stage, "on_change").iter().all(|entry| entry["file"] == "logo.png"));
}
