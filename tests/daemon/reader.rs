//! An application that reads the state file: it fetches every URL in it twice a second, and knows nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mediakeep::domain::asset::ContentHash;
use mediakeep::domain::time::Timestamp;
use mediakeep::local::clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::stage::{PASSWORD, USER};

/// What a reader saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) fetches: usize,
    /// What was published and did not answer, or answered with other bytes than the state file says.
    pub(crate) dead: Vec<String>,
    /// State files that could not be read as one.
    pub(crate) torn: Vec<String>,
}

/// One published URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Published {
    url: String,
    blake3: String,
}

#[derive(Clone)]
pub(crate) struct Reader {
    state_file: PathBuf,
    client: reqwest::Client,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Reader {
    pub(crate) fn new(state_file: PathBuf) -> Self {
        // An error means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { state_file, client, seen: Arc::default() }
    }

    /// Reads and fetches until it is aborted.
    pub(crate) async fn watch(self) {
        loop {
            for (published, entry) in self.published() {
                self.check(&published, &entry).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn check(&self, published: &Published, entry: &str) {
        let answer = self.fetch(published).await;
        self.seen.lock().unwrap().fetches += 1;
        // What was replaced or withdrawn while it was fetched is nobody's loss.
        if let Err(why) = answer
            && self.published().contains_key(published)
        {
            let now = SystemClock::new().now().wall;
            self.seen.lock().unwrap().dead.push(format!("{now}: {entry}: {} {why}", published.url));
        }
    }

    /// What is published now, and as what.
    fn published(&self) -> BTreeMap<Published, String> {
        let Ok(text) = std::fs::read_to_string(&self.state_file) else { return BTreeMap::new() };
        let state: Value = match serde_json::from_str(&text) {
            Ok(state) => state,
            Err(why) => {
                self.seen.lock().unwrap().torn.push(format!("{why}: {text:?}"));
                return BTreeMap::new();
            }
        };
        let mut published = BTreeMap::new();
        for (file, providers) in state["media"].as_object().into_iter().flatten() {
            for (provider, entry) in providers.as_object().into_iter().flatten() {
                // An older one is told with its end, and leaves the file soon after that, if a daemon runs by then.
                // So does one that was retired.
                let now = SystemClock::new().now().wall;
                let lives = |handle: &&Value| {
                    handle["expires_at"].as_str().is_some_and(|at| at.parse::<Timestamp>().unwrap() > now)
                };
                let older = entry["previous"].as_array().into_iter().flatten().filter(lives);
                let present = Some(entry).filter(|entry| entry["retired_at"].is_null() || lives(entry));
                for handle in present.into_iter().chain(older) {
                    if let Some(url) = handle["url"].as_str() {
                        let blake3 = handle["blake3"].as_str().unwrap_or_default().to_owned();
                        published
                            .insert(Published { url: url.to_owned(), blake3 }, format!("{file}@{provider}"));
                    }
                }
            }
        }
        published
    }

    async fn fetch(&self, published: &Published) -> Result<(), String> {
        let mut request = self.client.get(&published.url);
        if published.url.contains("/api/v2/") {
            request = request.basic_auth(USER, Some(PASSWORD));
        }
        let reply = request.send().await.map_err(|error| error.to_string())?;
        if reply.status() != 200 {
            return Err(format!("answers {}", reply.status()));
        }
        let bytes = reply.bytes().await.map_err(|error| error.to_string())?;
        match ContentHash::of(&bytes).to_string() == published.blake3 {
            true => Ok(()),
            false => Err(format!("holds {:?}", String::from_utf8_lossy(&bytes))),
        }
    }
}
