//! The one place that decides what is to be done.
