//! Providers against servers on loopback: what is sent, byte for byte, and what is made of every answer.
#![expect(clippy::unwrap_used, reason = "what tests share is test code too")]

mod conformance;
mod connecting;
mod fakes;
mod faults;
mod secrets;
mod server;
mod sloppy;
mod statuses;
mod tls;
mod token;
mod trouble;
mod wire;
