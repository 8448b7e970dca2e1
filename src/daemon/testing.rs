//! What the tests of the loop's parts share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::asset::{ContentHash, MediaId, MediaType};
use crate::domain::manifest::{self, Manifest, Sources, parse};
use crate::domain::plan::{Reason, Wanted};
use crate::domain::reconciler::{Order, Source};
use crate::domain::testing::key;
use crate::provider::KINDS;

/// A manifest of an account without media, whose folder this is.
pub(super) fn manifest(folder: &Path) -> Arc<Manifest> {
    manifest_of(folder, ACCOUNTS)
}

/// A manifest with this text.
pub(super) fn manifest_of(folder: &Path, text: &str) -> Arc<Manifest> {
    let path = folder.join("media.toml");
    let state = folder.join("state");
    let manifest = manifest::Source { name: "media.toml", path: &path, text: text.as_bytes() };
    let sources = Sources { manifest, config: None, state_directory: Some(state.as_os_str()) };
    Arc::new(parse(&sources, KINDS).manifest.expect("the manifest is good"))
}

/// An order to upload `logo.png`, which holds `logo`.
pub(super) fn order(sources: Vec<Source>, time_limit: Duration) -> Order {
    let wanted = Wanted {
        id: Some(MediaId::new("logo.png").unwrap()),
        hash: ContentHash::of(b"logo"),
        size: 4,
        content_type: MediaType::new("image/png").unwrap(),
        cache_control: None,
    };
    Order { key: key("logo.png", "plivo"), reason: Reason::New, wanted, sources, time_limit }
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
