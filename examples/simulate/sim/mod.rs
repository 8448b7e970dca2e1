//! A year in seconds: the real engine in a simulated world that goes wrong in every way that a script says.
//!
//! What is real: the reconciler with all its decisions, the manifest, the formats of state file and journal, and
//! reading them after a crash. What is simulated: clocks, the media folder, the disk with the state folder, and two
//! providers that really store and really forget. What judges: [`judge`], which sees only what readers see.

pub(crate) mod bound;
pub(crate) mod control;
pub(crate) mod disk;
pub(crate) mod folder;
pub(crate) mod generate;
pub(crate) mod judge;
pub(crate) mod manifests;
pub(crate) mod process;
pub(crate) mod provider;
pub(crate) mod requests;
pub(crate) mod scenes;
pub(crate) mod script;
pub(crate) mod shrink;
pub(crate) mod store;
pub(crate) mod world;
