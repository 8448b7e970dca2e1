//! mediakeep keeps uploaded media alive.

pub mod cli;
pub mod daemon;
pub mod domain;
pub mod emulator;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod hooks;
pub mod local;
pub mod provider;
pub mod serve;
pub mod telemetry;
