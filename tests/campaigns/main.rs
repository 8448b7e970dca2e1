//! Fault campaigns: the real binary, real system calls, real file systems, hundreds to thousands of times.
//!
//! The short form is part of `cargo test`. The long one is `MEDIAKEEP_CAMPAIGN=long cargo test --test campaigns`. Each
//! campaign prints its figures and its seed to standard error; `MEDIAKEEP_SEED` repeats one. Each has a control: the
//! same check over something that is wrong on purpose, which it must find.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../daemon/process.rs"]
#[expect(dead_code, reason = "shared with the daemon's tests, which use more of it")]
mod process;
#[path = "../daemon/reader.rs"]
mod reader;
#[path = "../daemon/stage.rs"]
#[expect(dead_code, reason = "shared with the daemon's tests, which use more of it")]
mod stage;

mod blind;
mod damage;
mod errors;
mod kills;
mod power;
mod promises;
mod scale;
mod strace;
mod syscalls;
mod torn;
