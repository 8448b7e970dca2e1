//! Signals as a stream: stop and reload. Decides nothing but that a second stop ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: end, but finish what is under way.
    Stop,
    /// SIGHUP: read manifest and config again.
    Reload,
}

/// Signals, as they come, from now on. Needs a tokio runtime. A second SIGTERM or SIGINT ends the process at once,
/// even if the runtime is stuck.
///
/// # Errors
/// What the system said.
pub fn listen() -> io::Result<mpsc::UnboundedReceiver<Signal>> {
    let asked_before = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // The order matters: the first signal finds the flag down and only raises it.
        flag::register_conditional_shutdown(signal, forced(signal), asked_before.clone())?;
        flag::register(signal, asked_before.clone())?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(number) = signals.next().await {
            let signal = if number == SIGHUP { Signal::Reload } else { Signal::Stop };
            if sender.send(signal).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

/// The exit code after a second request, as a shell writes the signal that ended a process.
const fn forced(signal: i32) -> i32 {
    128 + signal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Lines};
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::time::Duration;

    const CHILD: &str = "MEDIAKEEP_TEST_SIGNALS_CHILD";
    const NAME: &str =
        "local::signals::tests::hup_reloads_term_stops_and_a_second_one_ends_a_blocked_process";

    /// Signals concern a whole process, so the test runs itself once more as one.
    #[test]
    fn hup_reloads_term_stops_and_a_second_one_ends_a_blocked_process() {
        if std::env::var_os(CHILD).is_some() {
            return hear();
        }
        for (first, second, code) in [("TERM", "TERM", 143), ("INT", "TERM", 143), ("TERM", "INT", 130)] {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(CHILD, "1")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            wait_for(&mut lines, "listening");
            for _ in 0..2 {
                send("HUP", &child);
                wait_for(&mut lines, "Reload");
            }
            send(first, &child);
            wait_for(&mut lines, "Stop");
            send(second, &child);
            assert_eq!(child.wait().unwrap().code(), Some(code), "{first} {second}");
        }
    }

    fn send(signal: &str, child: &Child) {
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn wait_for(lines: &mut Lines<BufReader<ChildStdout>>, what: &str) {
        assert!(lines.any(|line| line.unwrap().ends_with(what)), "the process ended before it said {what}");
    }

    /// Says what it hears; after the first request to stop it blocks its only thread.
    fn hear() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut signals = listen().unwrap();
            println!("listening");
            loop {
                let signal = signals.recv().await.unwrap();
                println!("{signal:?}");
                if signal == Signal::Stop {
                    std::thread::sleep(Duration::from_secs(60));
                    return;
                }
            }
        });
    }
}
