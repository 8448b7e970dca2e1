//! Which content a file had when it was last read.
