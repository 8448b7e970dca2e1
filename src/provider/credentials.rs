//! From references to secrets.
