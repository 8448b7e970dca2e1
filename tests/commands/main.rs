//! The real binary: what its commands print, write and ask for, and how they end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod changes;
mod confinement;
mod corpus;
mod earlier;
mod exits;
mod exports;
mod guard;
mod happy;
mod manifest;
mod names;
mod newcomer;
mod notify;
mod permissions;
mod reference;
mod secrets;
mod shapes;
mod split;
mod stage;
mod standing;
mod state;
mod trouble;
