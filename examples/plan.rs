//! The pure core alone: a manifest, what a folder shows and what is recorded go in, a plan comes out. No file is
//! read, no request is made, and the clock is whatever we say it is.
//!
//! ```sh
//! cargo run --example plan
//! ```

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mediakeep::domain::asset::{ContentHash, EntryKey, MediaId, MediaType, ProviderName, RelPath, Scope};
use mediakeep::domain::manifest::{self, Manifest, Source, Sources};
use mediakeep::domain::observation::{Coverage, Observation, RootHealth, RootIdentity, ScanReport};
use mediakeep::domain::reconciler::{Input, Mode, Reconciler};
use mediakeep::domain::state::{Handle, Record, State};
use mediakeep::domain::time::{Now, Timestamp, format_duration};
use mediakeep::provider::KINDS;

const MANIFEST: &str = r#"
version = 1

[provider.bandwidth]
kind = "bandwidth"
account_id = "5500012"
client_id = { env = "BANDWIDTH_CLIENT_ID" }
client_secret = { env = "BANDWIDTH_CLIENT_SECRET" }

[[media]]
files = "**/*.png"
to = "bandwidth"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let now = Now::at("2026-11-21T16:00:00Z".parse()?);
    let hours = |count: u64| Duration::from_secs(count * 3600);
    // Three pictures are recorded: one fresh, one that is due, one that changed since.
    let records = [
        recorded("fresh.png", b"fresh", now.wall - hours(1))?,
        recorded("old.png", b"old", now.wall - hours(30))?,
        recorded("edited.png", b"before the edit", now.wall - hours(2))?,
    ];
    let state =
        State { lineage: "example".into(), serial: 3, root: None, records: records.into_iter().collect() };
    let mut engine = Reconciler::new(Mode::Plan, Arc::new(manifest()?), state, 0, now);

    // The folder shows those and a new one.
    let files: [(&str, &[u8]); 4] = [
        ("fresh.png", b"fresh"),
        ("old.png", b"old"),
        ("edited.png", b"after the edit"),
        ("new.png", b"new"),
    ];
    let mut seen = Vec::new();
    for (name, content) in files {
        let observation = Observation::Present { hash: ContentHash::of(content), size: content.len() as u64 };
        seen.push((RelPath::new(name)?, observation));
    }
    let root = RootHealth::Sound { identity: RootIdentity { device: 1, inode: 1 }, empty: false };
    let report =
        ScanReport { coverage: Coverage::Everything, root, files: seen, unreadable_folders: Vec::new() };
    let step = engine.step(now, vec![Input::Scanned(report)]);
    assert!(step.events.is_empty(), "nothing happened to anything yet");

    for item in engine.plan(now, true).items {
        let ends = item.deadline.map_or_else(String::new, |at| {
            format!(", its URL ends in {}", format_duration(at.saturating_since(now.wall)))
        });
        println!("{:<8} {:<12} {}{ends}", item.action.as_str(), item.key.path.as_str(), item.why);
    }
    Ok(())
}

fn manifest() -> Result<Manifest, Box<dyn Error>> {
    let source =
        Source { name: "media.toml", path: Path::new("/srv/media/media.toml"), text: MANIFEST.as_bytes() };
    let parsed = manifest::parse(&Sources { manifest: source, config: None, state_directory: None }, KINDS);
    parsed.manifest.ok_or_else(|| format!("{:?}", parsed.problems).into())
}

fn recorded(name: &str, content: &[u8], sent: Timestamp) -> Result<(EntryKey, Arc<Record>), Box<dyn Error>> {
    let hash = ContentHash::of(content);
    let stem = name.trim_end_matches(".png");
    let id = MediaId::new(&format!("{stem}-{}.png", hash.prefix(8)))?;
    let expires_at = sent + Duration::from_secs(48 * 3600 - 60);
    let handle = Handle {
        url: Some(format!("https://messaging.bandwidth.com/api/v2/users/5500012/media/{id}").into()),
        id,
        scope: Scope::new("5500012")?,
        hash,
        size: content.len() as u64,
        content_type: MediaType::new("image/png")?,
        cache_control: None,
        uploaded_at: sent,
        expires_at,
        steady_expires_at: expires_at,
    };
    let key = EntryKey { path: RelPath::new(name)?, provider: ProviderName::new("bandwidth")? };
    Ok((key, Arc::new(Record { current: Some(handle), ..Record::default() })))
}
