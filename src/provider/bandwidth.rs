//! Bandwidth Messaging v2 media.
