//! The manifests that a run goes through, and the files that they are about.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mediakeep::domain::asset::RelPath;
use mediakeep::domain::manifest::{self, Manifest, Source, Sources};
use mediakeep::provider::KINDS;

use super::script::Script;

/// How often the folder is walked.
pub(crate) const RESCAN: Duration = Duration::from_secs(4 * 3600);
/// What a manifest says of an account, unless it says otherwise.
pub(crate) const CONCURRENCY: usize = 4;
/// Milliseconds between two requests.
pub(crate) const REQUEST_EVERY_MS: i64 = 100;
/// The one that counts on a shorter life than is documented.
pub(crate) const SHORTER_RETENTION: u8 = 2;
/// The one whose table leaves a file out.
pub(crate) const WITHOUT_BANNER: u8 = 3;
pub(crate) const BANNER: &str = "banner.png";
/// The names of the providers' tables, by number, and how long they keep media.
pub(crate) const PROVIDERS: [(&str, i64); 2] = [("bandwidth", 48 * 3_600_000), ("plivo", 6 * 3_600_000)];

/// The files of a script: one under a name of its own, one under its content's, then those of two globs.
pub(crate) fn paths(script: &Script) -> impl Iterator<Item = RelPath> {
    let doubled = script.doubled();
    let name = move |number: u32| match number {
        0 => "logo.png".to_owned(),
        1 => BANNER.to_owned(),
        _ if number < 2 + doubled => format!("voice/v{number}.mp3"),
        _ => format!("pictures/p{number}.png"),
    };
    (0..script.files()).map(move |number| RelPath::new(&name(number)).expect("a good path"))
}

/// The manifest with this number.
pub(crate) fn manifest(script: &Script, variant: u8) -> Arc<Manifest> {
    let cache_control = if variant == 1 { "cache_control = \"max-age=60\"" } else { "" };
    let retention = if variant == SHORTER_RETENTION { "retention = \"40h\"" } else { "" };
    let banner =
        if variant == WITHOUT_BANNER { "" } else { "[[media]]\nfile = \"banner.png\"\nto = \"bandwidth\"" };
    let concurrency = if variant == 4 { 2 } else { CONCURRENCY };
    let voice = if script.server_named { "[\"bandwidth\", \"plivo\"]" } else { "\"bandwidth\"" };
    let rescan_s = RESCAN.as_secs();
    let text = format!(
        r#"
version = 1
[sync]
state_dir = "/var/lib/mediakeep"
rescan = "{rescan_s}s"
[provider.bandwidth]
kind = "bandwidth"
account_id = "5500012"
username = "u"
password = {{ env = "PASSWORD" }}
concurrency = {concurrency}
{retention}
[provider.plivo]
kind = "plivo"
auth_id = "MAZTQ4NJRHOWY3ODK2MT"
auth_token = {{ env = "TOKEN" }}
[[media]]
file = "logo.png"
to = "bandwidth"
id = "logo.png"
{banner}
[[media]]
files = "voice/*.mp3"
to = {voice}
[[media]]
files = "pictures/*.png"
to = "bandwidth"
{cache_control}
"#
    );
    let path = Path::new("/srv/media/media.toml");
    let source = Source { name: "media.toml", path, text: text.as_bytes() };
    let parsed = manifest::parse(&Sources { manifest: source, config: None, state_directory: None }, KINDS);
    Arc::new(parsed.manifest.unwrap_or_else(|| panic!("a manifest of the simulation: {:?}", parsed.problems)))
}
