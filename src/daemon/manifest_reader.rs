//! Has the manifest read again when there is reason to, beside the loop: it lies in a folder that others mount.

use std::time::Duration;

use tokio::time::Instant;

use super::{Inbox, Message, Reload, Reloaded, guarded};
use crate::domain::manifest::{SourceName, Unusable};

pub(super) struct ManifestReader {
    /// Out while it is being read: then the answer brings it back.
    reload: Option<Reload>,
    /// When a manifest that was touched is read: editors save in several steps.
    at: Option<Instant>,
    /// The latest moment for that, however often it is touched.
    by: Option<Instant>,
    /// Whether it was asked for while it was being read.
    again: bool,
    inbox: Inbox,
}

impl ManifestReader {
    pub(super) fn new(reload: Reload, inbox: Inbox) -> Self {
        Self { reload: Some(reload), at: None, by: None, again: false, inbox }
    }

    /// Somebody changed something.
    pub(super) fn touched(&mut self) {
        let now = Instant::now();
        let by = *self.by.get_or_insert(now + DELAY_MAX);
        self.at = Some((now + DELAY).min(by));
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.at
    }

    pub(super) fn read_if_due(&mut self) {
        if self.at.is_some_and(|at| at <= Instant::now()) {
            self.read();
        }
    }

    pub(super) fn read(&mut self) {
        (self.at, self.by) = (None, None);
        let Some(mut reload) = self.reload.take() else {
            self.again = true;
            return;
        };
        let inbox = self.inbox.clone();
        tokio::task::spawn_blocking(move || {
            let reloaded = guarded(|| Ok(reload())).unwrap_or_else(|defect| {
                Reloaded::Broken(Unusable::new(
                    SourceName::Manifest,
                    "",
                    &format!("it could not be read again: {defect}"),
                ))
            });
            drop(inbox.send(Message::Reloaded(reload, reloaded)));
        });
    }

    /// The answer came.
    pub(super) fn answered(&mut self, reload: Reload) {
        self.reload = Some(reload);
        if std::mem::take(&mut self.again) {
            self.touched();
        }
    }
}

const DELAY: Duration = Duration::from_millis(300);
const DELAY_MAX: Duration = Duration::from_secs(3);
