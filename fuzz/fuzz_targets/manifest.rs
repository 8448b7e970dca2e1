//! Any text as a manifest and its config.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mediakeep::fuzzing::manifest(data));
