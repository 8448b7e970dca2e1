//! The handle on a running emulator: what the control API offers over HTTP, for tests in the same process.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::bandwidth::Seed;
use super::clock::Clock;
use super::faults::{Fault, ScriptedFault, SenselessFault};
use super::options::ProviderKind;
use super::record::MediaRecord;
use super::request_log::RequestRecord;
use super::switches::{SwitchError, Switches};
use super::world::{Shared, World};
use crate::domain::asset::ContentHash;

/// Reads and changes a running emulator. Clones share it; it outlives the emulator harmlessly.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

/// What a message that names a media's URL would send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentMedia {
    /// Whose media it is.
    pub provider: ProviderKind,
    /// Whether the bytes come from a cache and are not what a download shows now.
    pub stale: bool,
    /// The size of what is sent, in bytes.
    pub size: usize,
    /// Its type.
    pub content_type: String,
    /// The hash of its bytes.
    pub blake3: ContentHash,
    /// The bytes.
    #[serde(skip)]
    pub bytes: Bytes,
}

impl Control {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The virtual clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// What is stored, and the last 10 000 media of each provider that were.
    #[must_use]
    pub fn media(&self) -> Vec<MediaRecord> {
        let world = self.shared.world();
        let mut records = world.bandwidth.records(&self.shared.origin);
        records.extend(world.plivo.records(&self.shared.origin));
        records
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.world().log.kept()
    }

    /// How many requests there ever were.
    #[must_use]
    pub fn requests_total(&self) -> u64 {
        self.shared.world().log.total()
    }

    /// Forgets the requests, but not how many there were.
    pub fn clear_requests(&self) {
        self.shared.world().log.clear();
    }

    /// Adds faults to the end of the script.
    ///
    /// # Errors
    /// If one of them makes no sense, or the script is full; none is added then.
    pub fn script(&self, faults: Vec<Fault>) -> Result<(), SenselessFault> {
        self.shared.world().faults.add(faults)
    }

    /// The faults that are still to be played.
    #[must_use]
    pub fn faults(&self) -> Vec<ScriptedFault> {
        self.shared.world().faults.remaining()
    }

    /// Empties the script.
    pub fn clear_faults(&self) {
        self.shared.world().faults.clear();
    }

    /// The switches as they are.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.shared.world().switches.clone()
    }

    /// Sets the switches.
    ///
    /// # Errors
    /// If a value makes no sense; nothing is changed then.
    pub fn set_switches(&self, switches: Switches) -> Result<(), SwitchError> {
        switches.check()?;
        self.shared.world().switches = switches;
        Ok(())
    }

    /// Changes some switches: JSON in the shape of [`Switches`] with only the fields that change.
    ///
    /// # Errors
    /// If a field or value is unknown or senseless; nothing is changed then.
    pub fn change_switches(&self, change: Value) -> Result<Switches, SwitchError> {
        let mut world = self.shared.world();
        let changed = world.switches.changed(change)?;
        world.switches = changed.clone();
        Ok(changed)
    }

    /// Puts a media into a Bandwidth account as an inbound message does; its ID follows no rule of uploads.
    pub fn seed_inbound(&self, account: &str, id: &str, content_type: &str, bytes: Bytes) {
        let seed = Seed {
            account: account.to_owned(),
            id: id.to_owned(),
            content_type: content_type.to_owned(),
            bytes,
        };
        let World { bandwidth, switches, .. } = &mut *self.shared.world();
        bandwidth.seed(seed, &switches.bandwidth, self.shared.clock.now());
    }

    /// Takes a media away before its time; whether it was there.
    pub fn lose(&self, provider: ProviderKind, account: &str, id: &str) -> bool {
        let mut world = self.shared.world();
        match provider {
            ProviderKind::Bandwidth => world.bandwidth.lose(account, id, &self.shared.origin),
            ProviderKind::Plivo => world.plivo.lose(account, id, &self.shared.origin),
        }
    }

    /// What a message that names this URL would send now; `None` where the media is not available.
    #[must_use]
    pub fn send(&self, url: &str) -> Option<SentMedia> {
        let world = self.shared.world();
        let origin = &self.shared.origin;
        let from_bandwidth = || {
            let (content, stale) = world.bandwidth.sent(url, origin)?;
            Some((ProviderKind::Bandwidth, content, stale))
        };
        let from_plivo = || Some((ProviderKind::Plivo, world.plivo.sent(url, origin)?, false));
        let (provider, content, stale) = from_bandwidth().or_else(from_plivo)?;
        Some(SentMedia {
            provider,
            stale,
            size: content.bytes.len(),
            content_type: content.mime,
            blake3: content.hash,
            bytes: content.bytes,
        })
    }

    /// Makes everything as it was at the start, the clock included.
    pub fn reset(&self) {
        let mut world = self.shared.world();
        self.shared.clock.reset();
        *world = World::new(self.shared.initial.clone(), self.shared.log_capacity);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Control({})", self.shared.origin)
    }
}
