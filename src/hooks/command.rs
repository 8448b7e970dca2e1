//! Runs a hook's program: no shell, the payload on its standard input, in a process group of its own.
//!
//! A program that does not end in time is killed with everything that it started and that stayed in its group.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::payload::Payload;
use super::run::{Environment, HookError};
use crate::provider::scrub::{Scrubber, clean};

/// Runs it until it ends, for no longer than `limit`. Dropped before that, it is killed.
pub(super) async fn run(
    program: &Path,
    arguments: &[String],
    environment: &Environment,
    payload: &Payload,
    limit: Duration,
) -> Result<(), HookError> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(FOLDER).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    environment.furnish(&mut command, payload);
    let child = command.spawn().map_err(|source| HookError::NotStarted(clean(&source.to_string())))?;
    let mut group = Group(child);
    let mut said = Vec::new();
    let ended = timeout(limit, attend(&mut group.0, &payload.line, &mut said)).await;
    let words = without(arguments, &String::from_utf8_lossy(&said));
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(HookError::Ended { how: describe(status), words }),
        Ok(Err(source)) => Err(HookError::NotStarted(clean(&source.to_string()))),
        Err(_elapsed) => {
            group.kill();
            drop(timeout(REAP, group.0.wait()).await);
            Err(HookError::Killed { after: limit, words })
        }
    }
}

/// What a program said, for people: where it repeats an argument of its own, that may be a secret.
fn without(arguments: &[String], said: &str) -> String {
    let secrets = arguments.iter().map(String::as_str).filter(|argument| argument.len() >= SECRET_BYTES_MIN);
    Scrubber::new(&secrets.collect::<Vec<_>>()).safe(said, WORDS_MAX)
}

/// Why a program cannot be started, where that shows without starting it: for this user, and with this `$PATH`.
pub(super) fn obstacle(program: &Path) -> Option<String> {
    if program.is_absolute() {
        return find(program).err().map(|source| match source.kind() {
            io::ErrorKind::NotFound => "there is no such program; correct its path".to_owned(),
            io::ErrorKind::PermissionDenied => "it is not executable; see `chmod +x`".to_owned(),
            _ => format!("it cannot be started ({})", clean(&source.to_string())),
        });
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| PATH_WHERE_NONE_IS_SET.into());
    // Relative folders count from where hooks run.
    let mut places =
        std::env::split_paths(&folders).map(|folder| Path::new(FOLDER).join(folder).join(program));
    let found = places.any(|place| find(&place).is_ok());
    (!found).then(|| "no folder of $PATH has such a program; write its whole path".to_owned())
}

fn find(program: &Path) -> io::Result<()> {
    if program.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(rustix::fs::access(program, Access::EXEC_OK)?)
}

/// Feeds the program and listens to what it complains of, until it ends. Whoever else holds its standard error open
/// is not waited for.
async fn attend(child: &mut Child, payload: &[u8], said: &mut Vec<u8>) -> io::Result<ExitStatus> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        // A program need not read what it is told.
        if let Some(mut stdin) = stdin {
            drop(stdin.write_all(payload).await);
        }
    };
    let listen = async {
        if let Some(stderr) = stderr {
            hear_out(stderr, said).await;
        }
    };
    let mut pipes = std::pin::pin!(async { tokio::join!(feed, listen) });
    let mut open = true;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            _ = &mut pipes, if open => open = false,
        }
    };
    if open {
        drop(timeout(LAST_WORDS, pipes).await);
    }
    status
}

/// Reads until the end and keeps the beginning.
async fn hear_out(mut from: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut buffer = [0; 2048];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let room = WORDS_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

/// A program and everything that it started, which does not outlive this.
struct Group(Child);

impl Group {
    /// Only as long as the program was not waited for: after that its number may be somebody else's.
    fn kill(&self) {
        let number = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(number) = number {
            // An error means that nobody is left.
            let _gone = kill_process_group(number, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where `execvp(3)` looks without the variable.
const PATH_WHERE_NONE_IS_SET: &str = "/bin:/usr/bin";
/// Where programs run: a folder that is always there, and keeps no file system from being unmounted.
const FOLDER: &str = "/";
/// Shorter arguments are words such as `media`, which may well be what it is about.
const SECRET_BYTES_MIN: usize = 8;
/// How much of what a program complains of is kept, in bytes.
const WORDS_MAX: usize = 2048;
/// How long the end of its standard error is waited for after its own end.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long the end of a killed program is waited for.
const REAP: Duration = Duration::from_secs(1);
