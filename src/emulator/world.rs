//! Everything that the emulator remembers, behind one lock. Nothing waits while it is held.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::request::Parts;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};

use super::bandwidth::{self, Bandwidth};
use super::clock::Clock;
use super::exchange::{Incoming, Reply, Surroundings};
use super::faults::{Action, Script};
use super::options::ProviderKind;
use super::plivo::{Form, Plivo};
use super::request_log::{RequestLog, RequestRecord, shown};
use super::switches::Switches;

/// What every connection shares.
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// `http://` and the address.
    pub(super) origin: String,
    pub(super) password: SecretString,
    /// The switches of the start.
    pub(super) initial: Switches,
    pub(super) log_capacity: usize,
    world: Mutex<World>,
}

/// The state itself.
pub(super) struct World {
    pub(super) switches: Switches,
    pub(super) bandwidth: Bandwidth,
    pub(super) plivo: Plivo,
    pub(super) faults: Script,
    pub(super) log: RequestLog,
}

/// A request that was entered in the log, and what is to go wrong with it.
pub(super) struct Visit {
    pub(super) number: u64,
    pub(super) wait: Duration,
    pub(super) action: Option<Action>,
    pub(super) provider: Option<ProviderKind>,
}

impl World {
    pub(super) fn new(switches: Switches, log_capacity: usize) -> Self {
        Self {
            switches,
            bandwidth: Bandwidth::new(),
            plivo: Plivo::new(),
            faults: Script::default(),
            log: RequestLog::new(log_capacity),
        }
    }
}

impl Shared {
    pub(super) fn new(
        clock: Clock,
        origin: String,
        password: SecretString,
        switches: Switches,
        log_capacity: usize,
    ) -> Self {
        let world = Mutex::new(World::new(switches.clone(), log_capacity));
        Self { clock, origin, password, initial: switches, log_capacity, world }
    }

    /// The state, with everything that has ended by now removed.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // A handler that panicked would have left a media or a log line behind, nothing that breaks others.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        world.bandwidth.sweep(now, &self.origin);
        world.plivo.sweep(now, &self.origin);
        world
    }

    pub(super) fn around(&self) -> Surroundings<'_> {
        Surroundings { now: self.clock.now(), origin: &self.origin, password: self.password.expose_secret() }
    }

    /// Enters a request in the log and takes the fault that meets it from the script.
    pub(super) fn enter(&self, head: &Parts) -> Visit {
        let provider = provider_of(head.uri.path());
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        let method = head.method.as_str();
        let mut world = self.world();
        let fault = world.faults.take(provider, method, path);
        let record = RequestRecord {
            number: 0,
            at: self.clock.now(),
            provider,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: shown(&head.headers),
            body_length: None,
            blake3: None,
            fault: fault.as_ref().map(|fault| fault.action.as_ref().map_or("delay", Action::name)),
            status: None,
        };
        let number = world.log.enter(record);
        let latency = match provider {
            Some(ProviderKind::Bandwidth) => world.switches.bandwidth.latency.0,
            Some(ProviderKind::Plivo) => world.switches.plivo.latency.0,
            None => Duration::ZERO,
        };
        let wait = latency + fault.as_ref().map_or(Duration::ZERO, |fault| fault.delay.0);
        Visit { number, wait, action: fault.and_then(|fault| fault.action), provider }
    }

    /// The reply to a request without valid credentials.
    pub(super) fn refuse(&self, provider: Option<ProviderKind>, head: &Parts) -> Option<Response> {
        let world = self.world();
        match provider? {
            ProviderKind::Bandwidth => {
                world.bandwidth.refuse(head, &world.switches.bandwidth, &self.around())
            }
            ProviderKind::Plivo => Plivo::refuse(head, &world.switches.plivo, &self.around()),
        }
    }

    /// How much of a body a provider reads before it resets the connection, if it does.
    pub(super) fn body_reset_after(&self, provider: Option<ProviderKind>, head: &Parts) -> Option<u64> {
        match provider? {
            ProviderKind::Bandwidth => Bandwidth::body_reset_after(head, &self.world().switches.bandwidth),
            ProviderKind::Plivo => None,
        }
    }

    /// The true answer.
    pub(super) fn answer(
        &self,
        provider: Option<ProviderKind>,
        incoming: &Incoming<'_>,
        form: Option<Form>,
    ) -> Reply {
        let World { switches, bandwidth, plivo, .. } = &mut *self.world();
        match provider {
            Some(ProviderKind::Bandwidth) => bandwidth.answer(incoming, &switches.bandwidth, &self.around()),
            Some(ProviderKind::Plivo) => plivo.answer(incoming, form, &switches.plivo, &self.around()),
            None => bandwidth::no_such_path(incoming.path(), self.clock.now()).into(),
        }
    }
}

fn provider_of(path: &str) -> Option<ProviderKind> {
    if Bandwidth::owns(path) {
        Some(ProviderKind::Bandwidth)
    } else if Plivo::owns(path) {
        Some(ProviderKind::Plivo)
    } else {
        None
    }
}
