//! The emulator over real HTTP on loopback: each test is one thing that it promises.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod bandwidth;
mod bandwidth_auth;
mod control;
mod faults;
mod plivo;
mod plivo_list;
mod support;
mod wire;
