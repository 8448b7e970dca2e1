//! From status, body or I/O error to a failure.
