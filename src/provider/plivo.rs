//! Plivo v1 account media.
