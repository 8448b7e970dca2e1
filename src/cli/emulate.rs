//! `mediakeep emulate`: the emulator, until it is stopped.

use std::sync::Arc;

use secrecy::SecretString;

use super::args::Emulate;
use super::exit::Exit;
use super::voice::{fail, fail_with_help, print};
use crate::emulator::{Emulator, Options, RetentionArg};
use crate::local::clock::{Clock as _, SystemClock};
use crate::local::signals::{self, Signal};

pub(super) fn run(arguments: &Emulate) -> Exit {
    let mut options = options();
    options.listen = arguments.listen;
    options.password = SecretString::from(arguments.password.as_str());
    for text in &arguments.retention {
        match text.parse::<RetentionArg>() {
            Ok(retention) => options.shorten(retention),
            Err(error) => {
                fail(&format!("--retention {text}: {error}"));
                return Exit::Usage;
            }
        }
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            fail(&format!("cannot start the runtime: {error}"));
            return Exit::Unexpected;
        }
    };
    runtime.block_on(serve(options))
}

/// The defaults, on this machine's clock.
pub(super) fn options() -> Options {
    let clock = SystemClock::new();
    Options::new(Arc::new(move || clock.now().wall))
}

async fn serve(options: Options) -> Exit {
    let mut signals = match signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            fail(&format!("cannot listen for signals: {error}"));
            return Exit::Unexpected;
        }
    };
    let emulator = match Emulator::start(options).await {
        Ok(emulator) => emulator,
        Err(error) => {
            if error.kind() == std::io::ErrorKind::AddrInUse {
                fail_with_help(&error.to_string(), "--listen 127.0.0.1:0 takes a free port, and says which");
            } else {
                fail(&error.to_string());
            }
            // An address that is not on loopback was never meant to be listened on.
            let refused = error.kind() == std::io::ErrorKind::InvalidInput;
            return if refused { Exit::Usage } else { Exit::Unexpected };
        }
    };
    let printed = print(&format!(
        "listening on http://{}: base_url {} for bandwidth (token_url {}), {} for plivo\n",
        emulator.addr(),
        emulator.base_url_bandwidth(),
        emulator.token_url(),
        emulator.base_url_plivo()
    ));
    while let Some(signal) = signals.recv().await {
        if signal == Signal::Stop {
            break;
        }
    }
    emulator.stop().await;
    printed
}
