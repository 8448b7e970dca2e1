//! One run of one hook, whatever it is made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::payload::Payload;
use super::{command, webhook};
use crate::domain::manifest::{HookOptions, Manifest, Setting, Target, webhook_address};
use crate::domain::notice::RunResult;
use crate::domain::time::format_duration;
use crate::provider::credentials::{CredentialProblem, Lookups, Reference, resolve};
use crate::provider::http::HttpClient;

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HookError {
    #[error("the program cannot be started: {0}")]
    NotStarted(String),
    #[error("{how}{}", said(words))]
    Ended { how: String, words: String },
    #[error("killed after {}{}", format_duration(*after), said(words))]
    Killed { after: Duration, words: String },
    #[error("no address: {0}")]
    NoAddress(CredentialProblem),
    #[error("the address {0}")]
    BadAddress(&'static str),
    #[error("HTTP status {status}")]
    Refused { status: u16 },
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("no answer in time: {0}")]
    Late(String),
    #[error("a defect in mediakeep")]
    Defect,
}

impl HookError {
    /// How the run ended, in a word for metrics.
    pub(super) const fn result(&self) -> RunResult {
        match self {
            Self::Killed { .. } | Self::Late(_) => RunResult::Timeout,
            Self::NotStarted(_)
            | Self::Ended { .. }
            | Self::NoAddress(_)
            | Self::BadAddress(_)
            | Self::Refused { .. }
            | Self::NoAnswer(_)
            | Self::Defect => RunResult::Failed,
        }
    }
}

/// What the other side said, where it said something.
fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// What a program is started with, besides what this process was.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    state_file: PathBuf,
    /// Variables that are not handed on: those that hold credentials, and those that are for this process alone.
    hidden: BTreeSet<String>,
}

impl Environment {
    pub(super) fn new(state_file: &Path, manifest: &Manifest) -> Self {
        let accounts = manifest.providers.values().flat_map(|config| config.settings.values());
        let hooks = manifest.hooks.iter().flat_map(|options| &options.hooks);
        let addresses = hooks.filter_map(|hook| match &hook.target {
            Target::Webhook(setting) => Some(setting),
            Target::Command { .. } => None,
        });
        let variables = accounts.chain(addresses).filter_map(|setting| match setting {
            Setting::Env(name) => Some(name.clone()),
            _ => None,
        });
        let hidden = variables.chain(OURS.map(str::to_owned)).collect();
        Self { state_file: state_file.to_owned(), hidden }
    }

    pub(super) fn furnish(&self, command: &mut Command, payload: &Payload) {
        for name in &self.hidden {
            command.env_remove(name);
        }
        command.env("MEDIAKEEP_EVENT", payload.topic.as_str());
        command.env("MEDIAKEEP_COUNT", payload.count.to_string());
        command.env("MEDIAKEEP_STATE", &self.state_file);
    }
}

/// What the system hands to this process and to nobody else.
const OURS: [&str; 6] =
    ["CREDENTIALS_DIRECTORY", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Runs hooks. It decides neither when nor how often.
#[derive(Clone)]
pub(crate) struct Runner {
    lookups: Arc<dyn Lookups>,
    http: HttpClient,
    environment: Environment,
}

impl Runner {
    /// For the hooks of this manifest's config; `state_file` is told to programs.
    pub(crate) fn new(lookups: Arc<dyn Lookups>, state_file: &Path, manifest: &Manifest) -> Self {
        Self { lookups, http: webhook::client(), environment: Environment::new(state_file, manifest) }
    }

    /// Programs and addresses that cannot be found at present, and why; may wait for a disk.
    pub(super) fn unresolved(&self, options: &HookOptions) -> Vec<String> {
        unresolved(options, &*self.lookups)
    }

    /// Runs a hook once, for no longer than `limit`.
    pub(crate) async fn run(
        &self,
        target: &Target,
        payload: &Payload,
        limit: Duration,
    ) -> Result<(), HookError> {
        let deadline = Instant::now() + limit;
        match target {
            Target::Command { program, arguments } => {
                command::run(program, arguments, &self.environment, payload, limit).await
            }
            Target::Webhook(setting) => {
                let looked_up = timeout_at(deadline, self.address(setting.clone())).await;
                let url = looked_up.unwrap_or_else(|_| {
                    Err(HookError::Late("the disk with the address says nothing".to_owned()))
                })?;
                webhook::post(&self.http, url, payload, deadline).await
            }
        }
    }

    /// An address in a file may lie on a slow disk, so it is read off the runtime's threads. One that was changed
    /// counts from the next run on.
    async fn address(&self, setting: Setting) -> Result<Url, HookError> {
        let lookups = Arc::clone(&self.lookups);
        let looked_up = tokio::task::spawn_blocking(move || resolve(&setting, &*lookups)).await;
        let text = looked_up.map_err(|_| HookError::Defect)?.map_err(HookError::NoAddress)?;
        webhook_address(text.expose_secret()).map_err(HookError::BadAddress)
    }
}

/// A target as it may be shown: arguments and addresses may hold secrets.
#[must_use]
pub(crate) fn label(target: &Target) -> String {
    match target {
        Target::Command { program, .. } => program.to_string_lossy().escape_debug().to_string(),
        Target::Webhook(Setting::Literal(text)) => {
            let url = webhook_address(text).ok();
            url.as_ref().and_then(Url::host_str).unwrap_or("a webhook").to_owned()
        }
        Target::Webhook(reference) => format!("the address in {}", Reference::to(reference)),
    }
}

/// Programs and addresses that cannot be found at present, and why; one line each. May wait for a disk.
#[must_use]
pub(crate) fn unresolved(options: &HookOptions, lookups: &dyn Lookups) -> Vec<String> {
    let problem = |target: &Target| match target {
        Target::Webhook(setting) => match resolve(setting, lookups) {
            Ok(text) => {
                webhook_address(text.expose_secret()).err().map(|wrong| format!("the address {wrong}"))
            }
            Err(problem) => Some(problem.to_string()),
        },
        Target::Command { program, .. } => {
            command::obstacle(program).map(|why| format!("{}: {why}", label(target)))
        }
    };
    let hooks = options.hooks.iter();
    let problems = hooks.filter_map(|hook| Some((hook.topic.key(), problem(&hook.target)?)));
    problems.map(|(key, why)| format!("[hook]: {key}: {why}")).collect()
}
