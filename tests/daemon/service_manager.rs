//! What a service manager hears from the daemon: here the test is one.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;

use crate::process::Process;
use crate::stage::{PATIENCE, Stage, file};

/// A service manager that listens.
struct Listener(UnixDatagram);

impl Listener {
    /// Starts the daemon as a service that must give signs of life.
    fn start(stage: &Stage, watchdog: Duration) -> (Self, Process) {
        let path = stage.beside("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = stage.command(&["run"]);
        command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        (Self(socket), stage.start(command))
    }

    /// The next message, as its lines.
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("the daemon says something");
        String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned).collect()
    }

    /// Everything up to the first message with a line that holds this.
    fn until(&self, words: &str) -> Vec<String> {
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while !heard.iter().any(|line: &String| line.contains(words)) {
            heard.extend(self.next());
            assert!(tokio::time::Instant::now() < end, "no {words}: {heard:#?}");
        }
        heard
    }
}

#[test]
fn a_service_is_ready_once_the_folder_was_looked_at_and_says_what_becomes_of_it() {
    let stage = Stage::new();
    stage.manifest(&file("logo.png"));
    // No provider answers: that is nothing that a start waits for.
    for method in ["PUT", "POST"] {
        stage.fault(json!({"method": method, "count": null, "action": {"empty": 503}}));
    }
    stage.put("logo.png", "logo");
    let (manager, mut daemon) = Listener::start(&stage, Duration::from_secs(60));
    let start = manager.until("READY=1");
    assert!(start.iter().any(|line| line.starts_with("EXTEND_TIMEOUT_USEC=")), "{start:#?}");
    let (_, ready) = start.split_at(start.iter().position(|line| line == "READY=1").unwrap());
    assert!(
        ready.iter().any(|line| line.starts_with("STATUS=0 URLs alive; 2 entries, 2 not up to date")),
        "{start:#?}"
    );
    assert!(!start.iter().any(|line| line.contains("2 URLs alive")), "{start:#?}");
    manager.until("attention: bandwidth does not answer as it should");
    stage.control().clear_faults();
    manager.until("STATUS=2 URLs alive; 2 entries; the first URL would end ");

    daemon.signal("HUP");
    let reload = manager.until("RELOADING=1");
    let since = reload.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(since.parse::<u64>().unwrap() > 0);
    manager.until("READY=1");

    stage.put("media.toml", "version = 1\n[[media\n");
    let file = stage.media("media.toml");
    manager.until(&format!(
        "attention: the manifest {} cannot be used, the last one that worked is in force",
        file.display()
    ));

    daemon.signal("TERM");
    let end = manager.until("STOPPING=1");
    assert_eq!(end.last().unwrap(), "STATUS=stopping");
    assert!(daemon.wait(PATIENCE).success());
    stage.nobody_was_let_down();
}

#[test]
fn a_loop_with_nothing_to_do_gives_signs_of_life_in_time() {
    // By itself it would sleep for half a minute.
    let stage = Stage::with_life(Duration::from_secs(7 * 3600));
    stage.manifest("");
    let (manager, mut daemon) = Listener::start(&stage, Duration::from_secs(3));
    manager.until("READY=1");
    for _ in 0..4 {
        manager.until("WATCHDOG=1");
    }
    daemon.stop();
}
