//! The commands: they print, and decide nothing.

pub mod diagnostics;
