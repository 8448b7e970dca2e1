//! Looks at files.
