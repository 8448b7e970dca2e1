//! RUNS: the only loop.
