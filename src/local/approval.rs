//! The approval of a guarded retirement, as a file.
