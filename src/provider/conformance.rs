//! What every provider must do, as a suite.
