//! Any answer of a provider.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mediakeep::fuzzing::provider_replies(data));
