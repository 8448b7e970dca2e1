//! What hostile bytes are thrown at: one function for each target. It takes any bytes, reads them as the program would,
//! and panics where a promise is broken.
//!
//! The fuzzer's own programs in `fuzz/` call these, and so do the tests here, over the same seeds. Never part of the
//! program: it is compiled for tests and fuzzers (`--cfg fuzzing`) alone.

mod answers;
mod manifest;
mod state;
#[cfg(test)]
mod tests;

pub use answers::{list_pages, provider_replies, retry_after};
pub use manifest::manifest;
pub use state::state;

/// A target: any bytes in, and a panic if they break a promise.
pub type Target = fn(&[u8]);

/// All of them, by the names that `cargo fuzz run` takes.
pub const TARGETS: [(&str, Target); 5] = [
    ("manifest", manifest),
    ("state", state),
    ("provider_replies", provider_replies),
    ("retry_after", retry_after),
    ("list_pages", list_pages),
];

/// Cuts a text in two at the first line that is exactly this.
fn split_at_line<'t>(data: &'t [u8], line: &str) -> Option<(&'t [u8], &'t [u8])> {
    let line = format!("\n{line}\n").into_bytes();
    let at = data.windows(line.len()).position(|window| window == line)?;
    Some((&data[..=at], &data[at + line.len()..]))
}
