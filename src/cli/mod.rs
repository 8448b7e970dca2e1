//! The commands: they print, and decide nothing.
