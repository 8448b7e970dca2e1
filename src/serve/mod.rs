//! SHOWS how things stand, over HTTP: health, metrics, and a page for people. Nothing can be changed there, and no
//! secret is known there.
//!
//! It reads what the loop has put up on its board and nothing else, so that whoever asks, however often, holds up no
//! renewal. Connections, the time they take and the work that they cause are bounded.

mod answers;
mod health;
mod host;
mod listen;
mod metrics;
mod page;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use metrics::{METRICS, Metric, MetricKind};

use answers::Context;
use listen::{ListenError, Listening};
use metrics::{Counters, Counting};

use crate::daemon::Observer;
use crate::daemon::board::Board;
use crate::daemon::parts::chain;
use crate::domain::manifest::{Listen, ServeOptions};
use crate::local::clock::Clock;

/// The server, which follows what the config says.
pub struct Server {
    options: watch::Sender<Option<ServeOptions>>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens where the options say, if there are any, and follows others later. An address that is not to be had is
    /// tried again: nobody's URLs die because somebody else listens there.
    #[must_use]
    pub fn start(options: Option<ServeOptions>, board: Arc<Board>, clock: Arc<dyn Clock>) -> Self {
        let counters = Arc::new(Counters::default());
        let (sender, receiver) = watch::channel(options);
        let context = Context::new(board, clock, Arc::clone(&counters), receiver.clone());
        let task = tokio::spawn(follow(receiver, Arc::new(context)));
        Self { options: sender, counters, task }
    }

    /// Counts what an observer is told.
    #[must_use]
    pub fn counting(&self, observer: Box<dyn Observer>) -> Box<dyn Observer> {
        Box::new(Counting { observer, counters: Arc::clone(&self.counters) })
    }

    /// What others can tell it to follow other options with.
    #[must_use]
    pub fn follower(&self) -> Follower {
        Follower(self.options.clone())
    }

    /// Ends it, and leaves no socket behind.
    pub async fn stop(self) {
        self.options.send_replace(None);
        drop(self.options);
        drop(tokio::time::timeout(listen::STOP_PATIENCE, self.task).await);
    }
}

/// Tells a server to follow other options.
#[derive(Clone, Debug)]
pub struct Follower(watch::Sender<Option<ServeOptions>>);

impl Follower {
    /// From now on these count. What cannot be followed is told in the log, and what was before stays.
    pub fn follow(&self, options: Option<ServeOptions>) {
        self.0.send_if_modified(|present| {
            let changed = *present != options;
            *present = options;
            changed
        });
    }
}

/// Listens where the options say, whatever they say by now. Other `hosts` count without that.
async fn follow(mut options: watch::Receiver<Option<ServeOptions>>, context: Arc<Context>) {
    let mut listening: Option<Listening> = None;
    let mut told = None;
    loop {
        let wanted = options.borrow_and_update().as_ref().map(|options| options.listen.clone());
        let failed = move_to(wanted.as_ref(), &mut listening, &context).await.err();
        if let Some(error) =
            failed.as_ref().map(|error| chain(error)).filter(|error| told.as_ref() != Some(error))
        {
            let meanwhile =
                if listening.is_some() { "what was served before still is" } else { "nothing is served" };
            tracing::error!("{error}; until then {meanwhile}");
            told = Some(error);
        } else if failed.is_none() {
            told = None;
        }
        tokio::select! {
            changed = options.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(TRY_AGAIN_AFTER), if failed.is_some() => {}
        }
    }
}

/// Listens there and nowhere else, or, where that fails, goes on as it is.
async fn move_to(
    wanted: Option<&Listen>,
    listening: &mut Option<Listening>,
    context: &Arc<Context>,
) -> Result<(), ListenError> {
    if wanted == listening.as_ref().map(Listening::place) {
        return Ok(());
    }
    if let (Some(Listen::Tcp(wanted)), Some(Listen::Tcp(present))) =
        (wanted, listening.as_ref().map(Listening::place))
        && wanted.port() == present.port()
        && let Some(before) = listening.take()
    {
        // The same port of all addresses is in use as long as that of one of them is.
        before.stop().await;
    }
    let next = match wanted {
        Some(place) => Some(Listening::start(place, context).await?),
        None => None,
    };
    context.board.watch(next.is_some());
    if let Some(before) = std::mem::replace(listening, next) {
        before.stop().await;
    }
    Ok(())
}

const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);
