//! Problems of a manifest, as a person sees them.
