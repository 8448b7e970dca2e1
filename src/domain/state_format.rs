//! State file and journal as text.
