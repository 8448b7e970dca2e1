//! What a provider is: one suite of claims that every [`Provider`] must meet.
//!
//! The claims follow from what the provider declares in its capabilities. Whoever writes a provider implements
//! [`Subject`] for it in a test, and calls [`check`]:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use mediakeep::provider::{Provider, conformance};
//! struct TestAccount {
//!     provider: Arc<dyn Provider>,
//! }
//!
//! impl conformance::Subject for TestAccount {
//!     fn provider(&self) -> Arc<dyn Provider> {
//!         Arc::clone(&self.provider)
//!     }
//! }
//!
//! # async fn test(provider: Arc<dyn Provider>) {
//! conformance::check(&TestAccount { provider }).await.assert_all_hold();
//! # }
//! ```
//!
//! The suite uploads media of its own, under names that occur nowhere else. Run it against an emulator or a test
//! account.

mod failing;
mod storing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Provider, Receipt, Upload};
use crate::domain::asset::{MediaId, MediaType};
use crate::domain::failure::Failure;
use crate::domain::kind::{Capabilities, Naming};

/// A provider with what surrounds it. What a subject can't do is skipped, and the report says so.
pub trait Subject: Send + Sync {
    /// The provider, connected to an account that accepts it.
    fn provider(&self) -> Arc<dyn Provider>;

    /// The same provider with credentials that its account refuses.
    fn with_wrong_credentials(&self) -> Option<Arc<dyn Provider>> {
        None
    }

    /// What somebody gets who uses this receipt's URL or ID.
    fn fetch<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Fetched> {
        let _ = receipt;
        Box::pin(std::future::ready(Fetched::CannotTell))
    }

    /// From now on, whatever is asked is answered like this. `false` where it can't be done.
    fn disturb(&self, disturbance: Disturbance) -> bool {
        let _ = disturbance;
        false
    }

    /// The end of a disturbance.
    fn calm(&self) {}

    /// How many requests have come in so far.
    fn requests(&self) -> Option<usize> {
        None
    }

    /// How many bytes have come in where [`Disturbance::Redirect`] leads.
    fn bytes_led_astray(&self) -> Option<usize> {
        None
    }
}

/// What somebody gets who uses a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// These bytes.
    Bytes(Bytes),
    /// Nothing is there.
    Nothing,
    /// The subject has no way to tell.
    CannotTell,
}

/// A way in which a provider can misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// It answers this, whatever was asked.
    Reply {
        /// The status.
        status: u16,
        /// Headers beyond those of every answer.
        headers: &'static [(&'static str, &'static str)],
        /// The body.
        body: &'static str,
    },
    /// It redirects to another origin, where somebody counts what arrives.
    Redirect {
        /// The status.
        status: u16,
    },
    /// It announces a longer body than it sends, and closes the connection.
    HalfReply {
        /// The status.
        status: u16,
    },
    /// It reads the request and closes the connection.
    HangUp,
    /// It reads the request and says nothing.
    Silence,
}

/// Whether one claim holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does.
    Holds,
    /// It does not apply to this provider, or the subject can't tell.
    Skipped(&'static str),
    /// It does not.
    Broken(String),
}

/// What the suite found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Report {
    /// Every claim with its outcome.
    pub claims: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Whether no claim is broken.
    #[must_use]
    pub fn all_hold(&self) -> bool {
        !self.claims.iter().any(|(_, outcome)| matches!(outcome, Outcome::Broken(_)))
    }

    /// For tests: panics with the whole report if a claim is broken.
    ///
    /// # Panics
    /// See above.
    pub fn assert_all_hold(&self) {
        assert!(self.all_hold(), "this provider breaks a claim:\n{self}");
    }

    /// The claims that could not be checked.
    #[must_use]
    pub fn skipped(&self) -> Vec<&'static str> {
        let skipped = |outcome: &Outcome| matches!(outcome, Outcome::Skipped(_));
        self.claims.iter().filter(|(_, outcome)| skipped(outcome)).map(|(claim, _)| *claim).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (claim, outcome) in &self.claims {
            match outcome {
                Outcome::Holds => writeln!(out, "holds    {claim}")?,
                Outcome::Skipped(why) => writeln!(out, "skipped  {claim}: {why}")?,
                Outcome::Broken(why) => writeln!(out, "BROKEN   {claim}: {why}")?,
            }
        }
        Ok(())
    }
}

/// Checks every claim, one after the other.
pub async fn check(subject: &dyn Subject) -> Report {
    let mut claims = Vec::new();
    for (claim, check) in storing::CLAIMS.iter().chain(failing::CLAIMS) {
        let bench = Bench::new(subject);
        let outcome = match check(&bench).await {
            Ok(()) => Outcome::Holds,
            Err(Objection::Skip(why)) => Outcome::Skipped(why),
            Err(Objection::Broken(why)) => Outcome::Broken(why),
        };
        subject.calm();
        claims.push((*claim, outcome));
    }
    Report { claims }
}

type Check = for<'a> fn(&'a Bench<'a>) -> BoxFuture<'a, Result<(), Objection>>;

/// Why a claim is not known to hold.
enum Objection {
    Skip(&'static str),
    Broken(String),
}

impl From<Failure> for Objection {
    fn from(failure: Failure) -> Self {
        Self::Broken(format!("{} failure: {failure}", failure.class))
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Objection> {
    if holds { Ok(()) } else { Err(Objection::Broken(otherwise())) }
}

/// What every claim is checked with.
struct Bench<'a> {
    subject: &'a dyn Subject,
    provider: Arc<dyn Provider>,
    /// A folder name that occurs nowhere else.
    folder: String,
}

impl<'a> Bench<'a> {
    fn new(subject: &'a dyn Subject) -> Self {
        let folder = format!("conformance-{}", uuid::Uuid::new_v4().simple());
        Self { subject, provider: subject.provider(), folder }
    }

    fn capabilities(&self) -> &'static Capabilities {
        &self.provider.kind().capabilities
    }

    /// An upload that should succeed, by the provider's own rules.
    fn request(&self, name: &str, body: impl Into<Bytes>) -> Upload {
        let types = self.capabilities().types;
        let plain = MediaType::new("text/plain").ok().and_then(|plain| types.accepted_name(&plain));
        let first = || types.accepted.first().and_then(|name| MediaType::new(name).ok());
        let client_names = self.capabilities().naming == Naming::Client;
        Upload {
            id: client_names.then(|| self.id(name)),
            file_name: name.rsplit('/').next().unwrap_or(name).to_owned(),
            content_type: plain.or_else(first).expect("a provider accepts at least one type"),
            cache_control: None,
            body: body.into(),
            time_limit: Duration::from_secs(20),
        }
    }

    fn id(&self, name: &str) -> MediaId {
        let text = format!("{}/{name}", self.folder);
        MediaId::new(&text).expect("the suite's own names are short and printable")
    }

    async fn upload(&self, name: &str, body: impl Into<Bytes>) -> Result<Receipt, Objection> {
        Ok(self.provider.upload(self.request(name, body)).await?)
    }

    async fn expect_bytes(&self, receipt: &Receipt, bytes: &[u8]) -> Result<(), Objection> {
        match self.subject.fetch(receipt).await {
            Fetched::Bytes(found) => ensure(found == bytes, || {
                format!("{} bytes were stored, and {} others came back", bytes.len(), found.len())
            }),
            Fetched::Nothing => {
                Err(Objection::Broken(format!("nothing is at {}, which was confirmed", receipt.url)))
            }
            Fetched::CannotTell => Err(Objection::Skip("the subject can't fetch media")),
        }
    }
}
