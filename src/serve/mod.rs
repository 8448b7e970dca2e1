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

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use listen::ListenError;
pub use metrics::{METRICS, Metric, MetricKind};

use answers::Context;
use listen::Listening;
use metrics::{Counters, Counting};

use crate::daemon::Observer;
use crate::daemon::board::Board;
use crate::daemon::parts::chain;
use crate::domain::manifest::ServeOptions;
use crate::local::clock::Clock;

/// The server, which follows what the config says.
pub struct Server {
    options: watch::Sender<Option<ServeOptions>>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens where the options say, if there are any, and follows others later.
    ///
    /// # Errors
    /// If it can't listen there.
    pub async fn start(
        options: Option<ServeOptions>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ListenError> {
        let counters = Arc::new(Counters::default());
        let (sender, receiver) = watch::channel(options.clone());
        let context = Arc::new(Context::new(board, clock, Arc::clone(&counters), receiver.clone()));
        let mut listening = None;
        if let Some(options) = options {
            listening = Some(Listening::start(&options.listen, &context).await?);
            context.board.watch(true);
        }
        let task = tokio::spawn(follow(receiver, listening, context));
        Ok(Self { options: sender, counters, task })
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

/// Moves to another address when the options say so. Other `hosts` count without that.
async fn follow(
    mut options: watch::Receiver<Option<ServeOptions>>,
    mut listening: Option<Listening>,
    context: Arc<Context>,
) {
    while options.changed().await.is_ok() {
        let wanted = options.borrow_and_update().as_ref().map(|options| options.listen.clone());
        if wanted.as_ref() == listening.as_ref().map(Listening::place) {
            continue;
        }
        let next = match &wanted {
            None => None,
            Some(place) => match Listening::start(place, &context).await {
                Ok(next) => Some(next),
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!("{error}; what was served before still is");
                    continue;
                }
            },
        };
        context.board.watch(next.is_some());
        if let Some(before) = std::mem::replace(&mut listening, next) {
            before.stop().await;
        }
    }
}
