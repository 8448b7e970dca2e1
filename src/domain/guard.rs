//! Refuses to retire too much at once.
