//! Performs uploads: has the bytes found that were meant, waits until one more request may go out, sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::accounts::Account;
use super::shelf::{Found, Shelf};
use super::{Inbox, Message, verifier};
use crate::domain::asset::{ContentHash, ProviderName};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::manifest::Manifest;
use crate::domain::reconciler::{Confirmation, Input, Order, Outcome, UploadError};
use crate::domain::verification::Inspection;
use crate::local::clock::Clock;
use crate::local::kept::Kept;
use crate::provider::Upload;

pub(super) struct Uploader {
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    inbox: Inbox,
    tasks: JoinSet<()>,
    /// What ends the last look at each provider before its time.
    looks: BTreeMap<ProviderName, oneshot::Sender<()>>,
    /// Whether nothing more is to be sent.
    stopping: watch::Sender<bool>,
}

impl Uploader {
    pub(super) fn new(manifest: &Manifest, kept: Arc<Kept>, clock: Arc<dyn Clock>, inbox: Inbox) -> Self {
        Self {
            shelf: Shelf::new(manifest, kept),
            clock,
            inbox,
            tasks: JoinSet::new(),
            looks: BTreeMap::new(),
            stopping: watch::Sender::new(false),
        }
    }

    pub(super) fn follow(&mut self, manifest: &Manifest) {
        self.shelf.follow(manifest);
    }

    /// Performs an order at the account that it is for.
    pub(super) fn start(&mut self, account: Option<Account>, order: Order) {
        while self.tasks.try_join_next().is_some() {}
        let Some(account) = account else {
            let result = Err(UploadError::Provider(defect("there is no connection for it")));
            let outcome = Outcome { order, sent: self.clock.now(), source: None, result };
            return drop(self.inbox.send(Message::Input(Input::Uploaded(Box::new(outcome)))));
        };
        let (place, clock, inbox) = (self.shelf.clone(), self.clock.clone(), self.inbox.clone());
        let stopping = self.stopping.subscribe();
        let (again, now) = (order.clone(), clock.now());
        self.tasks.spawn(async move {
            let work = upload(order, account, place, clock, stopping);
            // Whatever happens, the engine must hear of it: it sends nothing for an entry that is under way.
            let (outcome, warning) = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
                let result = Err(UploadError::Provider(defect("sending it ended in a panic")));
                (Outcome { order: again, sent: now, source: None, result }, None)
            });
            if let Some(warning) = warning {
                drop(inbox.send(Message::Warnings(vec![warning])));
            }
            drop(inbox.send(Message::Input(Input::Uploaded(Box::new(outcome)))));
        });
    }

    /// Looks at what an account holds. A stop ends that at once.
    pub(super) fn verify(&mut self, account: Option<Account>, inspection: Inspection) {
        let inbox = self.inbox.clone();
        let tell = move |inspected| drop(inbox.send(Message::Input(Input::Verified(Box::new(inspected)))));
        let Some(Account { provider, limiter }) = account else {
            return tell(verifier::not_made(inspection, defect("there is no connection for it")));
        };
        let stopping = self.stopping.subscribe();
        let (end, ended) = oneshot::channel();
        self.looks.insert(inspection.provider.clone(), end);
        let again = inspection.clone();
        self.tasks.spawn(async move {
            let permit = || {
                let limiter = limiter.clone();
                async move { limiter.wait().await }.boxed()
            };
            let work = verifier::inspect(inspection, &*provider, permit, ended);
            tokio::select! {
                biased;
                () = told_to_stop(stopping) => {}
                inspected = AssertUnwindSafe(work).catch_unwind() => tell(inspected.unwrap_or_else(|_| {
                    verifier::not_made(again, defect("it ended in a panic"))
                })),
            }
        });
    }

    /// Has the look at a provider ask nothing more. What it found so far is told.
    pub(super) fn end_look(&mut self, provider: &ProviderName) {
        if let Some(end) = self.looks.remove(provider) {
            // A look that is over already hears nothing.
            let _ = end.send(());
        }
    }

    /// What waits for its turn is not sent any more.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Removes copies that nothing needs, beside the loop.
    pub(super) fn sweep(&mut self, needed: BTreeSet<ContentHash>) {
        let (sweep, inbox) = (self.shelf.sweep(needed), self.inbox.clone());
        self.tasks.spawn(async move {
            if let Err(warning) = sweep.await {
                drop(inbox.send(Message::Warnings(vec![warning])));
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

fn defect(what: &str) -> Failure {
    Failure::without_answer(FailureClass::Unexpected, format!("a defect in mediakeep: {what}"))
}

async fn upload(
    order: Order,
    account: Account,
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    stopping: watch::Receiver<bool>,
) -> (Outcome, Option<String>) {
    let unsent =
        |order, error| (Outcome { order, sent: clock.now(), source: None, result: Err(error) }, None);
    let ready = async {
        let found = shelf.fetch(&order).await;
        // Last of all, so that a slow disk does not make requests come in heaps.
        if found.is_ok() {
            account.limiter.wait().await;
        }
        found
    };
    let found = tokio::select! {
        biased;
        () = told_to_stop(stopping) => return unsent(order, UploadError::Cancelled),
        found = ready => found,
    };
    let Found { source, bytes, warning } = match found {
        Ok(found) => found,
        Err(detail) => return unsent(order, UploadError::NoSource(detail)),
    };
    let request = Upload {
        id: order.wanted.id.clone(),
        file_name: order.key.path.file_name().to_owned(),
        content_type: order.wanted.content_type.clone(),
        cache_control: order.wanted.cache_control.as_deref().map(str::to_owned),
        body: bytes,
        time_limit: order.time_limit,
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

/// How long what is nearly done may take when everything else is over.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::BoxFuture;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::Instant;

    use super::*;
    use crate::daemon::limiter::Limiter;
    use crate::daemon::testing;
    use crate::domain::asset::Scope;
    use crate::domain::kind::Kind;
    use crate::domain::manifest::Rate;
    use crate::domain::reconciler::Source;
    use crate::domain::time::{Now, Timestamp};
    use crate::local::clock::ManualClock;
    use crate::provider::{KINDS, Provider, Receipt};

    /// Notes when requests begin. Each takes its time, by the clock of whoever asks, too.
    struct Recorder {
        scope: Scope,
        clock: Arc<ManualClock>,
        begun: Mutex<Vec<Instant>>,
    }

    impl Provider for Recorder {
        fn kind(&self) -> &'static Kind {
            KINDS[0]
        }

        fn scope(&self) -> &Scope {
            &self.scope
        }

        fn upload(&self, upload: Upload) -> BoxFuture<'_, Result<Receipt, Failure>> {
            self.begun.lock().unwrap().push(Instant::now());
            let id = upload.id.expect("the order has one");
            let receipt = Receipt { url: "https://x".to_owned(), id, expires_at: None, server_date: None };
            Box::pin(async move {
                tokio::time::sleep(TAKES).await;
                self.clock.advance(TAKES);
                Ok(receipt)
            })
        }
    }

    const TAKES: Duration = Duration::from_millis(7);
    fn begin() -> Now {
        Now::at(Timestamp::from_unix_ms(1_000_000))
    }

    struct Scene {
        _folder: tempfile::TempDir,
        uploader: Uploader,
        messages: UnboundedReceiver<Message>,
        recorder: Arc<Recorder>,
        account: Account,
    }

    impl Scene {
        fn new(rate: Rate) -> Self {
            let folder = tempfile::tempdir().unwrap();
            testing::put(&folder.path().join("logo.png"), "logo");
            let manifest = testing::manifest(folder.path());
            std::fs::create_dir(&manifest.sync.state_dir).unwrap();
            let (inbox, messages) = unbounded_channel();
            let kept = Arc::new(Kept::new(&manifest.sync.state_dir));
            let clock = Arc::new(ManualClock::at(begin()));
            let uploader = Uploader::new(&manifest, kept, clock.clone(), inbox);
            let scope = Scope::new("acct").unwrap();
            let recorder = Arc::new(Recorder { scope, clock, begun: Mutex::default() });
            let account = Account { provider: recorder.clone(), limiter: Arc::new(Limiter::new(rate)) };
            Self { _folder: folder, uploader, messages, recorder, account }
        }

        fn start(&mut self) {
            let order = testing::order(vec![Source::File, Source::KeptCopy], Duration::from_secs(60));
            self.uploader.start(Some(self.account.clone()), order);
        }

        async fn outcome(&mut self) -> Outcome {
            loop {
                match self.messages.recv().await {
                    Some(Message::Input(Input::Uploaded(outcome))) => return *outcome,
                    Some(Message::Warnings(texts)) => panic!("{texts:?}"),
                    _ => {}
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_never_exceed_the_rate_in_any_stretch_of_time_and_use_all_of_it() {
        let second = Duration::from_secs(1);
        for (requests, per) in
            [(10, second), (3, second), (1, second), (100, 60 * second), (7, 60 * second), (500, second)]
        {
            let mut scene = Scene::new(Rate { requests, per });
            let rounds = 3;
            let orders = usize::try_from(requests * rounds).unwrap();
            (0..orders).for_each(|_| scene.start());
            for _ in 0..orders {
                scene.outcome().await.result.unwrap();
            }
            let begun = scene.recorder.begun.lock().unwrap().clone();
            let requests = usize::try_from(requests).unwrap();
            for (first, next) in begun.iter().zip(&begun[requests..]) {
                let apart = next.duration_since(*first);
                assert!(apart >= per, "{} requests within {apart:?}", requests + 1);
            }
            let took = begun[orders - 1].duration_since(begun[0]);
            // A timer rounds up to the next millisecond.
            let longest = per * rounds + Duration::from_millis(2) * u32::try_from(orders).unwrap();
            assert!(took <= longest, "{requests} per {per:?}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_was_sent_when_its_request_went_out() {
        let mut scene = Scene::new(Rate { requests: 1, per: Duration::from_secs(1) });
        (0..3).for_each(|_| scene.start());
        // Neither when it was ordered, nor when the answer came.
        for number in 0..3 {
            let outcome = scene.outcome().await;
            outcome.result.unwrap();
            assert_eq!(outcome.sent.wall, begin().wall + TAKES * number, "{number}");
            assert_eq!(outcome.sent.steady, begin().steady + TAKES * number, "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_cancels_what_waits_for_its_turn_and_nothing_that_was_sent() {
        let mut scene = Scene::new(Rate { requests: 1, per: Duration::from_secs(3600) });
        (0..5).for_each(|_| scene.start());
        scene.outcome().await.result.unwrap();
        scene.uploader.stop();
        for _ in 0..4 {
            let result = scene.outcome().await.result;
            assert!(matches!(result, Err(UploadError::Cancelled)), "{result:?}");
        }
        assert_eq!(scene.recorder.begun.lock().unwrap().len(), 1);
    }
}
