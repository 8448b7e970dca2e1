//! Any headers that ask to wait.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mediakeep::fuzzing::retry_after(data));
