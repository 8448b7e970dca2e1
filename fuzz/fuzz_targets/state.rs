//! Any bytes as a state file and a journal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mediakeep::fuzzing::state(data));
