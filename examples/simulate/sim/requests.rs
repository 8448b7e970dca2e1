//! Requests: an order's way to a provider and back, as the uploader of the daemon goes it.

use std::time::Duration;

use mediakeep::domain::asset::{ContentHash, EntryKey, ProviderName, Scope};
use mediakeep::domain::failure::Failure;
use mediakeep::domain::reconciler::{Confirmation, Input, Order, Outcome, Source, UploadError};
use mediakeep::domain::verification::{Expected, Inspected, Inspection, Sight};

use super::control::Control;
use super::folder::Bytes;
use super::judge::Rule;
use super::manifests::{PROVIDERS, REQUEST_EVERY_MS};
use super::world::{Post, World};

/// Lets requests through at the manifest's rate, in bursts of a second's worth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limiter {
    /// When everything that was let through would have been, evenly spread.
    spread_until_ms: i64,
}

impl Limiter {
    /// When the next request may go out.
    fn reserve(&mut self, now_ms: i64) -> i64 {
        let at_ms = now_ms.max(self.spread_until_ms - 1000 + REQUEST_EVERY_MS);
        self.spread_until_ms = self.spread_until_ms.max(at_ms) + REQUEST_EVERY_MS;
        at_ms
    }
}

/// Whose account it is.
pub(super) fn account(provider: &str) -> Input {
    let provider = ProviderName::new(provider).expect("a good name");
    Input::Account { provider, result: Ok(scope()), is_new: false }
}

fn scope() -> Scope {
    Scope::new("5500012").expect("a good account")
}

pub(super) fn number_of(key: &EntryKey) -> u8 {
    number_of_provider(&key.provider)
}

fn number_of_provider(provider: &ProviderName) -> u8 {
    u8::from(provider.as_str() == PROVIDERS[1].0)
}

/// A quarter of the smallest margin that a manifest gives: the longest that a wish to wait is honoured.
const LONGEST_PAUSE_MS: [i64; 2] = [(40 * 3_600_000 - 60_000) / 8, (6 * 3_600_000 - 60_000) / 8];

impl World<'_> {
    /// An upload is to be made.
    pub(super) fn order(&mut self, order: Box<Order>) {
        let number = number_of(&order.key);
        self.note(format_args!("upload {} {}", order.key, order.reason.as_str()));
        self.judge.upload_begins(&order.key, self.now_ms);
        self.bound.request(number);
        let provider = &self.providers[usize::from(number)];
        if self.judge.in_flight_at(provider) > provider.concurrency {
            let detail = format!("{} at once at {}", self.judge.in_flight_at(provider), provider.name);
            self.judge.object(self.now_ms, Rule::OneUploadAtOnce, detail);
        }
        if self.judge.is_paused(number, self.now_ms) {
            self.judge.object(self.now_ms, Rule::PauseHonoured, order.key.to_string());
        }
        let Some(process) = &mut self.process else { return };
        process.sending.insert(order.key.clone(), order.wanted.hash);
        if self.options.control == Control::Stutter {
            return self.answer(1, *order, None, Err(UploadError::Cancelled));
        }
        let at_ms = process.limiters[usize::from(number)].reserve(self.now_ms);
        let process = process.number;
        self.post(at_ms - self.now_ms, Post::Send(process, order));
    }

    fn answer(
        &mut self,
        after_ms: i64,
        order: Order,
        source: Option<Source>,
        result: Result<Confirmation, UploadError>,
    ) {
        let Some(process) = &self.process else { return };
        let outcome = Outcome { sent: self.clock(process), order, source, result };
        self.give(after_ms, Input::Uploaded(Box::new(outcome)));
    }

    /// A request goes out: what is sent are the bytes that were meant, or nothing.
    pub(super) fn send(&mut self, order: Order) {
        let careless = self.options.control == Control::SendAnyBytes;
        let sources: &[Source] = if careless { &[Source::File] } else { &order.sources };
        let found = sources.iter().find_map(|source| self.bytes_of(&order, *source));
        let Some((source, bytes)) = found else {
            let limit_ms = i64::try_from(order.time_limit.as_millis()).unwrap_or(i64::MAX / 2);
            let after_ms = if self.folder.hangs() { limit_ms } else { 3 };
            let detail = "no source has these bytes".to_owned();
            return self.answer(after_ms, order, None, Err(UploadError::NoSource(detail)));
        };
        if source == Source::File && self.options.control != Control::LoseCopies {
            self.kept.insert(ContentHash::of(&bytes), (bytes.clone(), self.now_ms));
        }
        let number = number_of(&order.key);
        let provider = &mut self.providers[usize::from(number)];
        let fate = provider.decide(&bytes, order.time_limit, &mut self.rng);
        let id = order.wanted.id.clone().unwrap_or_else(|| provider.next_id());
        let url = provider.url(&id);
        if let Some(after_ms) = fate.stored_after_ms {
            self.post(after_ms, Post::Arrives { provider: number, url: url.clone(), bytes });
        }
        let result = match fate.failure {
            Some(failure) => Err(UploadError::Provider(failure)),
            None => {
                Ok(Confirmation { id, url: url.into(), scope: scope(), expires_at: None, server_date: None })
            }
        };
        self.answer(fate.told_after_ms, order, Some(source), result);
    }

    /// A provider is asked what it still holds.
    pub(super) fn inspect(&mut self, inspection: Inspection) {
        let provider = &self.providers[usize::from(number_of_provider(&inspection.provider))];
        let failure = provider.silence();
        let see = |expected: &Expected| match &failure {
            Some(_) => Sight::Unknown,
            None if provider.holds(&expected.id) => Sight::Present,
            None => Sight::Gone,
        };
        let sights = inspection.expected.iter().map(see).collect();
        let takes_ms = self.rng.i64(100..5_000);
        self.give(
            takes_ms,
            Input::Verified(Box::new(Inspected { inspection, sights, failure, broken_off: false })),
        );
    }

    fn bytes_of(&self, order: &Order, source: Source) -> Option<(Source, Bytes)> {
        let bytes = match source {
            Source::KeptCopy => self.kept.get(&order.wanted.hash).map(|(bytes, _)| bytes),
            Source::File => self.folder.read(&order.key.path),
        }?;
        let is_meant = ContentHash::of(bytes) == order.wanted.hash;
        (is_meant || self.options.control == Control::SendAnyBytes).then(|| (source, bytes.clone()))
    }

    /// The provider asks us to wait: so we do, as long as no URL dies of it.
    pub(super) fn hear_wish(&mut self, key: &EntryKey, failure: &Failure) {
        let Some(wish) = failure.retry_after.filter(|_| self.is_clock_trusted()) else { return };
        let number = number_of(key);
        let ends = self.judge.visible().iter().filter_map(|(other, record)| {
            let handle = record.live().filter(|_| other.provider == key.provider)?;
            let end = self.wall() + CAUTION;
            Some(handle.expires_at.unix_ms() - end.unix_ms())
        });
        let shortest_left_ms = ends.min().unwrap_or(i64::MAX).max(0);
        let wish_ms = i64::try_from(wish.as_millis()).unwrap_or(i64::MAX);
        let pause_ms = wish_ms.min(LONGEST_PAUSE_MS[usize::from(number)]).min(shortest_left_ms / 2);
        self.judge.pause(number, self.now_ms + pause_ms);
    }
}

/// How much later than we a process may take a handle's end.
const CAUTION: Duration = Duration::from_secs(2);
