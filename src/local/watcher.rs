//! Says which paths are worth a look.
