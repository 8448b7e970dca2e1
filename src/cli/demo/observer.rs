//! Those who watch the demo: one tells what the daemon does, one reads the state file as an application would.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::print;
use super::stage::{PASSWORD, Stage, USER};
use crate::daemon::{Observer, ScanProgress};
use crate::domain::asset::EntryKey;
use crate::domain::event::Event;
use crate::provider::http::reader;
use crate::telemetry;

/// Tells what happens, a line each.
pub(super) struct Narrator {
    begin: Instant,
}

impl Narrator {
    pub(super) fn new(begin: Instant) -> Self {
        Self { begin }
    }

    fn line(&self, what: &str, key: &EntryKey, rest: &str) {
        let seconds = self.begin.elapsed().as_secs_f64();
        print(&format!(
            "{seconds:>6.1}s  {what:<8}  {:<22} {:<10} {rest}\n",
            key.path.as_str(),
            key.provider.as_str()
        ));
    }
}

impl Observer for Narrator {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Uploaded { key, reason, url, .. } => {
                self.line("uploaded", key, &format!("{}: {url}", reason.as_str()));
            }
            Event::Renewed { key, url, .. } => self.line("renewed", key, url),
            Event::Blocked { key, detail, .. } => self.line("blocked", key, detail),
            Event::Failed { key, detail, .. } => self.line("failed", key, detail),
            other => telemetry::log(other),
        }
    }

    fn warning(&mut self, text: &str) {
        super::tell(&format!("warning: {text}"));
    }

    fn progress(&mut self, _backlog: usize, _scan: ScanProgress) {}
}

/// What a reader saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub fetches: u64,
    pub dead: u64,
    pub first_plivo: Option<String>,
    pub last_plivo: Option<String>,
}

/// Reads the state file twice a second and fetches every URL in it.
pub(super) struct Reader {
    state_file: PathBuf,
    seen: Seen,
}

impl Reader {
    pub(super) fn new(stage: &Stage) -> Self {
        Self { state_file: stage.state_file(), seen: Seen::default() }
    }

    pub(super) async fn watch(mut self, until: Instant) -> Seen {
        let Ok(client) = reader() else { return self.seen };
        while Instant::now() < until {
            for published in self.published() {
                let status = fetch(&client, &published.url).await;
                self.seen.fetches += 1;
                self.seen.dead += u64::from(status != 200);
                if published.file == "brand/logo.png" && published.provider == "plivo" {
                    self.seen.first_plivo.get_or_insert_with(|| published.url.clone());
                    self.seen.last_plivo = Some(published.url);
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.seen
    }

    /// Every published URL, as an application reads them.
    fn published(&self) -> Vec<Published> {
        let text = std::fs::read_to_string(&self.state_file).unwrap_or_default();
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        let mut published = Vec::new();
        for (file, providers) in state["media"].as_object().into_iter().flatten() {
            for (provider, handle) in providers.as_object().into_iter().flatten() {
                let Some(url) = handle["url"].as_str() else { continue };
                published.push(Published {
                    file: file.clone(),
                    provider: provider.clone(),
                    url: url.to_owned(),
                });
            }
        }
        published
    }
}

struct Published {
    file: String,
    provider: String,
    url: String,
}

/// The status that a URL answers; 0 where it answers nothing.
async fn fetch(client: &reqwest::Client, url: &str) -> u16 {
    let request = client.get(url).basic_auth(USER, Some(PASSWORD)).timeout(Duration::from_secs(5));
    request.send().await.map_or(0, |reply| reply.status().as_u16())
}

/// What a URL answers now.
pub(super) async fn status_of(url: &str) -> u16 {
    match reader() {
        Ok(client) => fetch(&client, url).await,
        Err(_) => 0,
    }
}
