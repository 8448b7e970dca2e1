//! A provider of your own: a folder, as if it were a host of media.
//!
//! It shows what a provider consists of: a [`Kind`] that says what it can do, an implementation of [`Provider`]
//! that does it, and a test by the conformance suite. `cargo run --example custom_provider` runs that test.
//!
//! To make it a kind that a manifest can name, move it to `src/provider/`, and name it in `KINDS` and `CONNECTS`
//! in `src/provider/connect.rs`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use mediakeep::domain::asset::{MediaId, Scope};
use mediakeep::domain::failure::{Failure, FailureClass};
use mediakeep::domain::kind::{
    Capabilities, Expiry, HandleKind, Kind, Naming, Renewal, Replacing, SettingSpec, TypeRules,
};
use mediakeep::local::atomic_file::{self, Durability};
use mediakeep::provider::conformance::{self, Fetched, Subject};
use mediakeep::provider::{Cursor, Found, Page, Provider, Receipt, Upload};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Everything that decisions need to know about it. They never ask for its name.
static KIND: Kind = Kind {
    name: "shelf",
    title: "the shelf",
    settings: &[SettingSpec {
        name: "shelf_id",
        secret: false,
        required: true,
        about: "which shelf: the account",
    }],
    credentials: &[&[]],
    scope_setting: "shelf_id",
    base_url: "https://shelf.example",
    token_url: None,
    capabilities: Capabilities {
        naming: Naming::Client,
        replacing: Replacing::Overwrites,
        expiry: Expiry::Fixed,
        renewal: Renewal::UploadAgain,
        handle: HandleKind::PublicUrl,
        retention: Duration::from_secs(24 * 3600),
        can_list: true,
        list_page: 1_000,
        one_limit: false,
        can_find: true,
        can_delete: true,
        stores_cache_control: false,
        max_bytes: 1_000_000,
        max_url_bytes: 2048,
        types: TypeRules { accepted: &["image/png", "text/plain"], aliases: &[("image/x-png", "image/png")] },
    },
};

/// The provider: an account, connected.
struct Shelf {
    scope: Scope,
    folder: PathBuf,
}

impl Shelf {
    /// One file per media. Its name is the ID with all but letters and digits encoded, so that no ID can lead out
    /// of the folder.
    fn path_of(&self, id: &MediaId) -> PathBuf {
        self.folder.join(utf8_percent_encode(id.as_str(), NON_ALPHANUMERIC).to_string())
    }

    fn url_of(id: &MediaId) -> String {
        format!("https://shelf.example/{}", utf8_percent_encode(id.as_str(), NON_ALPHANUMERIC))
    }

    fn store(&self, upload: Upload) -> Result<Receipt, Failure> {
        let Some(id) = upload.id else {
            return Err(Failure::without_answer(FailureClass::Unexpected, "the shelf needs an ID"));
        };
        if upload.body.len() as u64 > KIND.capabilities.max_bytes {
            return Err(Failure::without_answer(
                FailureClass::ContentRefused,
                "the shelf takes 1 MB at most",
            ));
        }
        // A failure's class is what decides: here, whether trying again may help.
        atomic_file::replace(&self.path_of(&id), &upload.body, 0o644, Durability::Durable)
            .map_err(unavailable)?;
        Ok(Receipt { url: Self::url_of(&id), id, expires_at: None, server_date: None })
    }

    fn look_up(&self, id: &MediaId) -> Result<Option<Found>, Failure> {
        match std::fs::metadata(self.path_of(id)) {
            Ok(about) => {
                Ok(Some(Found { id: id.clone(), size: Some(about.len()), url: Some(Self::url_of(id)) }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn everything(&self) -> Result<Page, Failure> {
        let mut page = Page::default();
        for entry in std::fs::read_dir(&self.folder).map_err(unavailable)? {
            let name = entry.map_err(unavailable)?.file_name();
            let id = percent_decode(name.as_encoded_bytes()).decode_utf8().ok();
            let Some(id) = id.and_then(|id| MediaId::new(&id).ok()) else { continue };
            page.media.extend(self.look_up(&id)?);
        }
        Ok(page)
    }

    fn remove(&self, id: &MediaId) -> Result<(), Failure> {
        match std::fs::remove_file(self.path_of(id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unavailable(error)),
            _ => Ok(()),
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> Failure {
    Failure::without_answer(FailureClass::Unavailable, format!("the shelf is in trouble: {error}"))
}

impl Provider for Shelf {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn upload(&self, upload: Upload) -> BoxFuture<'_, Result<Receipt, Failure>> {
        Box::pin(async move { self.store(upload) })
    }

    fn list(&self, _cursor: Option<Cursor>) -> BoxFuture<'_, Result<Page, Failure>> {
        Box::pin(async move { self.everything() })
    }

    fn find(&self, id: &MediaId) -> BoxFuture<'_, Result<Option<Found>, Failure>> {
        let id = id.clone();
        Box::pin(async move { self.look_up(&id) })
    }

    fn delete(&self, id: &MediaId) -> BoxFuture<'_, Result<(), Failure>> {
        let id = id.clone();
        Box::pin(async move { self.remove(&id) })
    }
}

/// What the conformance suite needs: the provider, and a way to see what users of its URLs get.
struct ShelfTest {
    folder: tempfile::TempDir,
}

impl ShelfTest {
    fn shelf(&self) -> Shelf {
        let scope = Scope::new("shelf-1").expect("a constant");
        Shelf { scope, folder: self.folder.path().to_owned() }
    }
}

impl Subject for ShelfTest {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(self.shelf())
    }

    fn fetch<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Fetched> {
        let fetched = match std::fs::read(self.shelf().path_of(&receipt.id)) {
            Ok(bytes) => Fetched::Bytes(Bytes::from(bytes)),
            Err(_) => Fetched::Nothing,
        };
        Box::pin(std::future::ready(fetched))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let test = ShelfTest { folder: tempfile::tempdir().expect("a folder for the shelf") };
    let report = conformance::check(&test).await;
    println!("{report}");
    report.assert_all_hold();
}
