//! One turn: inputs in, effects and events out.
