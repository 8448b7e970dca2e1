//! The demo's folder, manifest and credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::workspace::{Text, Texts, Workspace};
use crate::domain::manifest::Manifest;
use crate::emulator::Emulator;
use crate::local::atomic_file::{Durability, replace};

/// The lives of media here: short enough to see them end.
pub(super) const RETENTION: [&str; 2] = ["bandwidth=24s", "plivo=16s"];
pub(super) const ACCOUNT: &str = "5500012";
pub(super) const USER: &str = "demo";
pub(super) const PASSWORD: &str = "demo";
const AUTH_ID: &str = "MADEMODEMODEMODEMO00";

/// The sample folder, built in so that the demo needs nothing but the binary.
const FILES: [(&str, &[u8]); 5] = [
    ("media.toml", include_bytes!("../../../examples/media/media.toml")),
    ("brand/logo.png", include_bytes!("../../../examples/media/brand/logo.png")),
    ("photos/storefront.jpg", include_bytes!("../../../examples/media/photos/storefront.jpg")),
    ("greetings/welcome.wav", include_bytes!("../../../examples/media/greetings/welcome.wav")),
    ("greetings/contact.vcf", include_bytes!("../../../examples/media/greetings/contact.vcf")),
];

pub(super) struct Stage {
    folder: PathBuf,
    pub manifest: Arc<Manifest>,
}

impl Stage {
    /// Lays out the sample folder in a new temporary one, which stays for the curious.
    pub(super) fn set(emulator: &Emulator) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("mediakeep-demo-").tempdir();
        let folder = folder.map_err(|error| format!("cannot make a temporary folder: {error}"))?.keep();
        let folder = folder.canonicalize().unwrap_or(folder);
        for (name, content) in FILES {
            write(&folder.join("media").join(name), content)?;
        }
        let config = config(emulator);
        let config_path = folder.join("mediakeep.toml");
        write(&config_path, config.as_bytes())?;
        let manifest_path = folder.join("media/media.toml");
        let text = |path: PathBuf, content: &[u8]| {
            let name = path.display().to_string();
            Text { name, path, content: content.to_vec() }
        };
        let texts = Texts {
            manifest: text(manifest_path, FILES[0].1),
            config: Some(text(config_path, config.as_bytes())),
            state_directory: None,
        };
        let workspace = Workspace::parse(texts).map_err(|_| "the built-in manifest is broken".to_owned())?;
        Ok(Self { folder, manifest: workspace.manifest })
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("media")
    }

    pub(super) fn manifest_path(&self) -> PathBuf {
        self.folder.join("media/media.toml")
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    pub(super) fn state_file(&self) -> PathBuf {
        self.state_dir().join("state.json")
    }

    /// What the credential references lead to.
    pub(super) fn secrets() -> BTreeMap<String, String> {
        let secrets = ["BANDWIDTH_CLIENT_SECRET", "PLIVO_AUTH_TOKEN"];
        secrets.into_iter().map(|name| (name.to_owned(), PASSWORD.to_owned())).collect()
    }

    /// Saves another picture under the name of the logo.
    pub(super) fn edit_logo(&self) -> Result<(), String> {
        let mut picture = FILES[1].1.to_vec();
        // What follows the last chunk of a PNG is ignored by those who show it.
        picture.extend_from_slice(b"\nsecond edition");
        write(&self.root().join("brand/logo.png"), &picture)
    }
}

fn write(path: &std::path::Path, content: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    replace(path, content, 0o644, Durability::Volatile).map_err(failed)
}

fn config(emulator: &Emulator) -> String {
    format!(
        r#"# The trusted half: where the providers are and who we are there.
version = 1

[sync]
root = "media"
state_dir = "state"
settle = "500ms"

[provider.bandwidth]
kind = "bandwidth"
account_id = "{ACCOUNT}"
client_id = "{USER}"
client_secret = {{ env = "BANDWIDTH_CLIENT_SECRET" }}
base_url = "{}"
token_url = "{}"
retention = "24s"

[provider.plivo]
kind = "plivo"
auth_id = "{AUTH_ID}"
auth_token = {{ env = "PLIVO_AUTH_TOKEN" }}
base_url = "{}"
retention = "16s"
"#,
        emulator.base_url_bandwidth(),
        emulator.token_url(),
        emulator.base_url_plivo()
    )
}
