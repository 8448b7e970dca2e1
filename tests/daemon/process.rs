//! A mediakeep process that tests start, signal and end.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::stage::until;

/// A running process. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// Where in the log its own lines begin.
    from: u64,
}

impl Process {
    /// Starts a command; what it says goes to the end of `log`.
    pub(crate) fn start(command: Command, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).unwrap();
        Self::start_with(command, log, file.into())
    }

    /// Starts a command that says what it has to say elsewhere.
    pub(crate) fn start_with(mut command: Command, log: PathBuf, standard_error: Stdio) -> Self {
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let from = file.metadata().unwrap().len();
        command.stdin(Stdio::null()).stdout(file).stderr(standard_error);
        Self { child: command.spawn().unwrap(), log, from }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, for a while.
    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let end = tokio::time::Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(tokio::time::Instant::now() < end, "it does not end:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to stop, and it does so well.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait(Duration::from_secs(15));
        assert!(status.success(), "{status}:\n{}", self.said());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        let mut file = File::open(&self.log).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let mut text = Vec::new();
        file.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// How often it said this.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.said().matches(text).count()
    }

    /// Waits until it says this.
    pub(crate) fn until_says(&self, text: &str) {
        until(&format!("it says {text:?}"), || self.said().contains(text), || self.said());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
