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
        flag::register_conditional_shutdown(signal, 128 + signal, asked_before.clone())?;
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
