//! What can go wrong between us and a provider, by what is to be done about it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The class of a failed request: the one thing that decisions look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureClass {
    /// The request never reached the provider: no connection, no name, no TLS. Nothing was stored.
    Unreachable,
    /// The request went out and no usable answer came back. It may have been stored.
    Ambiguous,
    /// The provider asks us to slow down.
    Throttled,
    /// The provider says that it is in trouble (5xx).
    Unavailable,
    /// An answer that is neither a documented success nor a documented failure: a redirect, a success without
    /// what it should carry, an HTML page. Never counted as success.
    Unexpected,
    /// The provider refuses our credentials (401), or these credentials for this account (403).
    CredentialsRefused,
    /// The provider does not know the address that we upload to (404): the account or base URL is wrong.
    AddressUnknown,
    /// The provider refuses this content (400, 406, 413, 415, or a per-file failure): trying again changes nothing.
    ContentRefused,
}

impl FailureClass {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Unreachable,
        Self::Ambiguous,
        Self::Throttled,
        Self::Unavailable,
        Self::Unexpected,
        Self::CredentialsRefused,
        Self::AddressUnknown,
        Self::ContentRefused,
    ];

    /// The class as state file, logs and metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Ambiguous => "ambiguous",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unexpected => "unexpected",
            Self::CredentialsRefused => "credentials-refused",
            Self::AddressUnknown => "address-unknown",
            Self::ContentRefused => "content-refused",
        }
    }

    /// Whether the failure says something about the account, so that other entries need not try it as well.
    #[must_use]
    pub const fn opens_breaker_at_once(self) -> bool {
        matches!(self, Self::CredentialsRefused | Self::AddressUnknown)
    }

    /// Those after which the provider may have stored what it did not confirm.
    pub const MAY_HAVE_STORED: [Self; 3] = [Self::Ambiguous, Self::Unavailable, Self::Unexpected];

    /// Whether the failure says something about the provider's health.
    #[must_use]
    pub const fn counts_against_provider(self) -> bool {
        !matches!(self, Self::ContentRefused | Self::Throttled)
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A failed request, told so that a person can act on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What kind of failure it is.
    pub class: FailureClass,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What happened, in a line; holds no secret and no control characters, and is capped in length.
    pub detail: String,
    /// How long the provider asks us to wait, before any cap.
    pub retry_after: Option<Duration>,
    /// The provider's own idea of the time.
    pub server_date: Option<Timestamp>,
}

impl Failure {
    /// A failure without an answer from the provider.
    #[must_use]
    pub fn without_answer(class: FailureClass, detail: impl Into<String>) -> Self {
        Self { class, status: None, detail: detail.into(), retry_after: None, server_date: None }
    }
}
