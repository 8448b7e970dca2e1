//! What the tests of the loop's parts share.

use std::path::Path;
use std::sync::Arc;

use crate::domain::manifest::{Manifest, Source, Sources, parse};
use crate::provider::KINDS;

/// A manifest of an account without media, whose folder this is.
pub(super) fn manifest(folder: &Path) -> Arc<Manifest> {
    manifest_of(folder, ACCOUNTS)
}

/// A manifest with this text.
pub(super) fn manifest_of(folder: &Path, text: &str) -> Arc<Manifest> {
    let path = folder.join("media.toml");
    let state = folder.join("state");
    let manifest = Source { name: "media.toml", path: &path, text: text.as_bytes() };
    let sources = Sources { manifest, config: None, state_directory: Some(state.as_os_str()) };
    Arc::new(parse(&sources, KINDS).manifest.expect("the manifest is good"))
}

/// Writes a small file.
pub(super) fn put(path: &Path, content: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
}

const ACCOUNTS: &str = r#"
version = 1
[provider.plivo]
kind = "plivo"
auth_id = "MATESTTESTTESTTEST00"
auth_token = { env = "PLIVO_AUTH_TOKEN" }
"#;
