//! Copies of published bytes, by their hash.
