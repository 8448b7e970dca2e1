//! Any pages of a list.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mediakeep::fuzzing::list_pages(data));
