//! The real binary on a real folder, against emulated providers that forget within seconds: what a day brings, and
//! what a bad day brings. All the while a reader of the state file fetches every URL that it finds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod canary;
mod crashes;
mod credentials;
mod endings;
mod files;
mod folder;
mod guard;
mod inside;
mod manifests;
mod outages;
mod outliving;
mod process;
mod reader;
mod service_manager;
mod serving;
mod stage;
mod state_folder;
mod surroundings;
mod telling;
mod verification;
