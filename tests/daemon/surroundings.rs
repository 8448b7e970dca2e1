//! The machine around it: watch limits, idle time, what the log shows.

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use serde_json::json;

use crate::process::Process;
use crate::stage::{ACCOUNT, AUTH_ID, PASSWORD, Stage, USER, file, files, pause, put, skip};

#[test]
fn too_few_watches_are_told_with_the_remedy_and_everything_is_looked_at_now_and_then() {
    let allowed = Command::new("unshare").args(["-U", "-r", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return skip("no user namespace can be made here, so the limit of watches cannot be lowered");
    }
    let stage = Stage::with_life(Duration::from_secs(600));
    let sync = stage.accounts().replace("[sync]", "[sync]\nrescan = \"3s\"");
    stage.put("media.toml", &(sync + &files("**/*.png", "bandwidth")));
    for number in 0..6 {
        stage.put(&format!("{number}/1.png"), &format!("{number}"));
    }
    let script = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\" run";
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "sh", "-c", script, env!("CARGO_BIN_EXE_mediakeep")]);
    stage.furnish(&mut command);
    let mut daemon = stage.start(command);
    stage.until_content("5/1.png", "bandwidth", "5");
    daemon.until_says("fs.inotify.max_user_watches = ");
    stage.put("3/2.png", "found by looking");
    stage.until_content("3/2.png", "bandwidth", "found by looking");
    assert_eq!(daemon.count("fs.inotify.max_user_watches = "), 1, "{}", daemon.said());
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_renewal_and_no_stop() {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    stage.put("logo.png", "logo");
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    // What a service manager hands down when its journal hangs.
    while ours.write(&[b' '; 4096]).is_ok() {}
    ours.set_nonblocking(false).unwrap();
    let standard_error = OwnedFd::from(ours).into();
    let mut daemon = Process::start_with(stage.command(&["run", "-vv"]), stage.beside("log"), standard_error);
    stage.until_content("logo.png", "plivo", "logo");
    stage.until_uploaded_after("logo.png", "plivo", stage.now());
    stage.put("logo.png", "new");
    stage.until_content("logo.png", "bandwidth", "new");
    daemon.signal("TERM");
    assert!(daemon.wait(Duration::from_secs(12)).success());
    stage.nobody_was_let_down();
    drop(theirs);
}

#[test]
fn an_idle_daemon_sleeps() {
    let stage = Stage::with_life(Duration::from_secs(48 * 3600));
    stage.manifest(&(file("logo.png") + &files("photos/*.jpg", "bandwidth")));
    stage.put("logo.png", "logo");
    for number in 0..20 {
        stage.put(&format!("photos/{number}.jpg"), &format!("{number}"));
    }
    let mut daemon = stage.run();
    stage.until_content("logo.png", "plivo", "logo");
    stage.until_content("photos/19.jpg", "bandwidth", "19");
    pause(Duration::from_secs(3));
    let before = switches(daemon.pid());
    pause(Duration::from_secs(5));
    let after = switches(daemon.pid());
    drop(writeln!(std::io::stderr(), "idle for 5 s: {} voluntary context switches", after - before));
    assert!(after - before < 200, "{} context switches in 5 s", after - before);
    daemon.stop();
    stage.nobody_was_let_down();
}

/// How often its threads went to sleep by themselves.
fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let count = |task: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(task.path().join("status")).ok()?;
        let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    tasks.flatten().filter_map(count).sum()
}

#[test]
fn no_secret_is_in_the_log_or_the_state_however_much_is_said() {
    let stage = Stage::new();
    let oauth = format!(
        "[provider.oauth]\nkind = \"bandwidth\"\naccount_id = \"{ACCOUNT}\"\nclient_id = \"{USER}\"\n\
         client_secret = {{ file = \"{}\" }}\nbase_url = \"{}\"\ntoken_url = \"{}\"\nretention = \"20s\"\n",
        stage.beside("secret").display(),
        stage.emulator.base_url_bandwidth(),
        stage.emulator.token_url()
    );
    put(&stage.beside("secret"), &format!("{PASSWORD}\n"));
    let rules = "[[media]]\nfile = \"logo.png\"\nto = [\"bandwidth\", \"plivo\"]\n\
                 [[media]]\nfile = \"badge.png\"\nto = \"oauth\"\n";
    stage.put("media.toml", &(stage.accounts() + &oauth + rules));
    stage.put("logo.png", "logo");
    stage.put("badge.png", "badge");
    for action in [
        json!({"reply": {"status": 401, "body": format!("{{\"description\": \"{PASSWORD} is wrong\"}}")}}),
        json!({"reply": {"status": 400, "body": format!("bad request with {PASSWORD}")}}),
        json!({"reply": {"status": 503, "headers": {"X-Echo": PASSWORD}, "body": PASSWORD}}),
        json!({"reset": "reply_body"}),
    ] {
        for method in ["PUT", "POST"] {
            stage.fault(json!({"method": method, "action": action}));
        }
    }
    let mut daemon = stage.start(stage.command(&["run", "-vv"]));
    for (file, provider) in [("logo.png", "bandwidth"), ("logo.png", "plivo"), ("badge.png", "oauth")] {
        stage.until(&format!("{file} at {provider} is published"), || stage.url(file, provider).is_some());
    }
    daemon.signal("HUP");
    stage.put("media.toml", &format!("{}password = \"{PASSWORD}\"\n", stage.accounts()));
    daemon.until_says("the one before stays in force");
    daemon.stop();

    let encode = |user: &str| base64::engine::general_purpose::STANDARD.encode(format!("{user}:{PASSWORD}"));
    let secrets = [PASSWORD.to_owned(), encode(USER), encode(AUTH_ID)];
    let mut looked_at = 0;
    for (path, text) in texts_below(&stage.beside("state")).into_iter().chain([("log".into(), stage.log())]) {
        looked_at += 1;
        for secret in &secrets {
            assert!(!text.contains(secret), "{path} holds a secret:\n{text}");
        }
    }
    assert!(looked_at > 4, "{looked_at} files");
    stage.nobody_was_let_down();
}

fn texts_below(folder: &std::path::Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.file_type().unwrap().is_dir() {
            true => texts_below(&entry.path()),
            false => {
                let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
                vec![(entry.path().display().to_string(), text)]
            }
        })
        .collect()
}
