//! From a retention to the moments that matter.
