//! The last manifest and config that were good.
