//! Facts for people: what happened to which entry.
