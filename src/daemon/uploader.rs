//! Performs uploads: finds the bytes, checks that they are the ones that were meant, sends them, keeps a copy.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use governor::clock::{Clock as _, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::accounts::Account;
use super::{Inbox, Message};
use crate::domain::asset::{ContentHash, RelPath};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::manifest::{Manifest, Rate};
use crate::domain::reconciler::{Confirmation, Input, Order, Outcome, Source, UploadError};
use crate::domain::time::Now;
use crate::local::clock::Clock;
use crate::local::kept::Kept;
use crate::local::scanner::read_exact;
use crate::provider::Upload;

pub(super) struct Uploader {
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    inbox: Inbox,
    tasks: JoinSet<()>,
    /// Whether nothing more is to be sent.
    stopping: watch::Sender<bool>,
}

/// Where bytes come from and where copies go.
#[derive(Clone)]
struct Shelf {
    root: Arc<PathBuf>,
    kept: Arc<Kept>,
    keep_copies: bool,
    /// Copies made since the last sweep began: it must not take them for superfluous.
    fresh: Arc<Mutex<BTreeSet<ContentHash>>>,
}

impl Shelf {
    fn keep(&self, hash: ContentHash, bytes: &Bytes) -> std::io::Result<()> {
        lock(&self.fresh).insert(hash);
        self.kept.put(&hash, bytes)
    }
}

impl Uploader {
    pub(super) fn new(manifest: &Manifest, kept: Arc<Kept>, clock: Arc<dyn Clock>, inbox: Inbox) -> Self {
        let root = Arc::new(manifest.sync.root.clone());
        Self {
            shelf: Shelf { root, kept, keep_copies: manifest.sync.keep_copies, fresh: Arc::default() },
            clock,
            inbox,
            tasks: JoinSet::new(),
            stopping: watch::Sender::new(false),
        }
    }

    pub(super) fn follow(&mut self, manifest: &Manifest) {
        self.shelf.keep_copies = manifest.sync.keep_copies;
    }

    /// Performs an order at the account that it is for.
    pub(super) fn start(&mut self, order: Order, account: Option<Account>) {
        while self.tasks.try_join_next().is_some() {}
        let Some(account) = account else {
            let result = Err(defect("there is no connection for it"));
            let outcome = Outcome { order, sent: self.clock.now(), source: None, result };
            return drop(self.inbox.send(Message::Input(Input::Uploaded(Box::new(outcome)))));
        };
        let (place, clock, inbox) = (self.shelf.clone(), self.clock.clone(), self.inbox.clone());
        let stopping = self.stopping.subscribe();
        let (again, now) = (order.clone(), clock.now());
        self.tasks.spawn(async move {
            let work = async {
                tokio::select! {
                    biased;
                    () = told_to_stop(stopping) => (cancelled(order, now), None),
                    () = account.limiter.wait() => upload(order, account, place, clock).await,
                }
            };
            // Whatever happens, the engine must hear of it: it sends nothing for an entry that is under way.
            let (outcome, warning) = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
                let result = Err(defect("sending it ended in a panic"));
                (Outcome { order: again, sent: now, source: None, result }, None)
            });
            if let Some(warning) = warning {
                drop(inbox.send(Message::Warnings(vec![warning])));
            }
            drop(inbox.send(Message::Input(Input::Uploaded(Box::new(outcome)))));
        });
    }

    /// What waits for its turn is not sent any more.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Removes copies that nothing needs, beside the loop.
    pub(super) fn sweep(&mut self, needed: BTreeSet<ContentHash>) {
        let Shelf { kept, fresh, .. } = self.shelf.clone();
        let inbox = self.inbox.clone();
        lock(&fresh).clear();
        self.tasks.spawn_blocking(move || {
            if let Err(error) = kept.sweep(|hash| needed.contains(hash) || lock(&fresh).contains(hash)) {
                drop(inbox.send(Message::Warnings(vec![format!("cannot tidy the kept copies: {error}")])));
            }
        });
    }

    /// Waits for what is under way to end, and gives it up after a moment.
    pub(super) async fn abandon(&mut self) {
        let patience =
            tokio::time::timeout(LAST_PATIENCE, async { while self.tasks.join_next().await.is_some() {} });
        if patience.await.is_err() {
            self.tasks.abort_all();
        }
    }
}

async fn told_to_stop(mut stopping: watch::Receiver<bool>) {
    // An error means that nobody can say so any more, which is the end as well.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

fn cancelled(order: Order, now: Now) -> Outcome {
    Outcome { order, sent: now, source: None, result: Err(UploadError::Cancelled) }
}

fn defect(what: &str) -> UploadError {
    let detail = format!("a defect in mediakeep: {what}");
    UploadError::Provider(Failure::without_answer(FailureClass::Unexpected, detail))
}

async fn upload(
    order: Order,
    account: Account,
    shelf: Shelf,
    clock: Arc<dyn Clock>,
) -> (Outcome, Option<String>) {
    let limit = order.time_limit;
    let (order, found) = match tokio::time::timeout(limit, fetch(order.clone(), shelf)).await {
        Ok(fetched) => fetched,
        Err(_) => (order, Err("reading it takes too long".to_owned())),
    };
    let Found { source, bytes, warning } = match found {
        Ok(found) => found,
        Err(detail) => {
            let result = Err(UploadError::NoSource(detail));
            return (Outcome { order, sent: clock.now(), source: None, result }, None);
        }
    };
    let request = Upload {
        id: order.wanted.id.clone(),
        file_name: order.key.path.file_name().to_owned(),
        content_type: order.wanted.content_type.clone(),
        cache_control: order.wanted.cache_control.as_deref().map(str::to_owned),
        body: bytes,
        time_limit: limit,
    };
    // Read before the request goes out, so that every error is on the safe side.
    let sent = clock.now();
    let result = match account.provider.upload(request).await {
        Ok(receipt) => Ok(Confirmation {
            id: receipt.id,
            url: receipt.url,
            scope: account.provider.scope().clone(),
            expires_at: receipt.expires_at,
            server_date: receipt.server_date,
        }),
        Err(failure) => Err(UploadError::Provider(failure)),
    };
    (Outcome { order, sent, source: Some(source), result }, warning)
}

struct Found {
    source: Source,
    bytes: Bytes,
    warning: Option<String>,
}

/// Finds the bytes on a thread that may block: a folder can be a dead network mount.
async fn fetch(order: Order, shelf: Shelf) -> (Order, Result<Found, String>) {
    let fallback = order.clone();
    let task = tokio::task::spawn_blocking(move || {
        let found = find(&order, &shelf);
        (order, found)
    });
    task.await.unwrap_or_else(|_| (fallback, Err("reading it was interrupted".to_owned())))
}

fn find(order: &Order, shelf: &Shelf) -> Result<Found, String> {
    let hash = order.wanted.hash;
    let mut told = Vec::new();
    for source in &order.sources {
        let bytes = match source {
            Source::KeptCopy => shelf.kept.get(&hash).ok_or_else(|| "there is no kept copy".to_owned()),
            Source::File => from_file(shelf, &order.key.path, order.wanted.size, hash),
        };
        match bytes {
            Ok(bytes) => {
                let warning = (*source == Source::File && shelf.keep_copies)
                    .then(|| shelf.keep(hash, &bytes).err())
                    .flatten()
                    .map(|error| format!("cannot keep a copy of {}: {error}", order.key.path));
                return Ok(Found { source: *source, bytes, warning });
            }
            Err(detail) => told.push(detail),
        }
    }
    Err(told.join(", and "))
}

fn from_file(shelf: &Shelf, path: &RelPath, size: u64, hash: ContentHash) -> Result<Bytes, String> {
    let (bytes, found) = read_exact(&shelf.root, path, size).map_err(|error| error.to_string())?;
    if found == hash {
        return Ok(bytes);
    }
    Err("the file has other content by now".to_owned())
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets requests through at a rate, on the clock that tests can pause.
pub(super) struct Limiter(RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>);

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        let requests = std::num::NonZeroU32::new(rate.requests).unwrap_or(std::num::NonZeroU32::MIN);
        let each = rate.per / rate.requests.max(1);
        let quota = Quota::with_period(each.max(Duration::from_nanos(1)))
            .unwrap_or_else(|| Quota::per_second(requests));
        // A burst of a second's worth, so that an idle account answers a few changes at once.
        let burst =
            (Duration::from_secs(1).as_nanos() / each.as_nanos().max(1)).clamp(1, u128::from(u32::MAX));
        let burst = u32::try_from(burst).ok().and_then(std::num::NonZeroU32::new).unwrap_or(requests);
        Self(RateLimiter::direct_with_clock(quota.allow_burst(burst), TokioClock))
    }

    async fn wait(&self) {
        while let Err(until) = self.0.check() {
            tokio::time::sleep(until.wait_time_from(TokioClock.now())).await;
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct TokioClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl governor::clock::Clock for TokioClock {
    type Instant = Moment;
    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, length: Nanos) -> Self {
        Self(self.0.checked_sub(length.into()).unwrap_or(self.0))
    }
}

impl std::ops::Add<Nanos> for Moment {
    type Output = Self;
    fn add(self, length: Nanos) -> Self {
        Self(self.0 + Duration::from(length))
    }
}

/// How long what is nearly done may take when everything else is over.
const LAST_PATIENCE: Duration = Duration::from_millis(500);
