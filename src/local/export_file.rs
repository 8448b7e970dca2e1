//! Writes exports, and only over files that we wrote.
