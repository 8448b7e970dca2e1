//! Runs the emulator in the foreground until it is killed:
//! `cargo run --example emulator -- 127.0.0.1:8480 [SWITCHES]`, where SWITCHES is JSON for its control API.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mediakeep::domain::time::Timestamp;
use mediakeep::emulator::{Emulator, Options};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::new(Arc::new(wall_clock));
    let mut arguments = std::env::args().skip(1);
    if let Some(address) = arguments.next() {
        options.listen = address.parse()?;
    }
    let emulator = Emulator::start(options).await?;
    if let Some(switches) = arguments.next() {
        emulator.control().change_switches(serde_json::from_str(&switches)?)?;
    }
    writeln!(std::io::stdout(), "listening on http://{}", emulator.addr())?;
    std::future::pending().await
}

#[expect(clippy::disallowed_methods, reason = "this is the edge where the clock is read")]
fn wall_clock() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
