//! From a file name to a media type.
