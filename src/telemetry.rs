//! Events as log lines.
