//! TOUCHES THIS MACHINE: clock, folder, watcher, state folder, signals. Decides nothing.

pub mod approval;
pub mod atomic_file;
pub mod clock;
pub mod export_file;
pub mod hash_cache;
pub mod kept;
pub mod last_good;
pub mod obstacles_file;
pub mod own_file;
pub mod scanner;
pub mod signals;
pub mod state_store;
pub mod told_file;
pub mod watcher;
