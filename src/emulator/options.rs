//! How an emulator is started.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::clock::NowFn;
use super::length::Length;
use super::switches::{BandwidthSwitches, PlivoSwitches, Switches};
use crate::domain::time::{format_duration, parse_duration};

/// Where it listens and who may use it.
#[derive(Clone)]
pub struct Options {
    /// The address: loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bandwidth's password and client secret, and Plivo's auth token.
    pub password: SecretString,
    /// What the providers are like at the start, and again after a reset.
    pub switches: Switches,
    /// How many requests the log keeps; older ones are only counted.
    pub log_capacity: usize,
    /// The real time.
    pub now: NowFn,
}

impl Options {
    /// The defaults: `127.0.0.1:8480`, the password `demo`, providers as documented.
    #[must_use]
    pub fn new(now: NowFn) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8480)),
            password: SecretString::from("demo"),
            switches: Switches::default(),
            log_capacity: 10_000,
            now,
        }
    }

    /// Shortens the life of a provider's media.
    pub fn shorten(&mut self, retention: RetentionArg) {
        let life = Length(retention.life);
        match retention.provider {
            ProviderKind::Bandwidth => self.switches.bandwidth.retention = life,
            ProviderKind::Plivo => self.switches.plivo.retention = life,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Options")
            .field("listen", &self.listen)
            .field("switches", &self.switches)
            .field("log_capacity", &self.log_capacity)
            .finish_non_exhaustive()
    }
}

/// One of the two providers that are emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Bandwidth Messaging v2.
    Bandwidth,
    /// Plivo v1.
    Plivo,
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bandwidth => "bandwidth",
            Self::Plivo => "plivo",
        })
    }
}

/// A shortened life, as `--retention` takes it: `bandwidth=24s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionArg {
    /// Whose media.
    pub provider: ProviderKind,
    /// How long they live.
    pub life: Duration,
}

/// A text that is no retention; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotARetention(String);

impl FromStr for RetentionArg {
    type Err = NotARetention;

    fn from_str(text: &str) -> Result<Self, NotARetention> {
        let (name, life) = text
            .split_once('=')
            .ok_or_else(|| NotARetention("write PROVIDER=DURATION, for example bandwidth=24s".to_owned()))?;
        let (provider, documented) = match name.trim() {
            "bandwidth" => (ProviderKind::Bandwidth, BandwidthSwitches::default().retention.0),
            "plivo" => (ProviderKind::Plivo, PlivoSwitches::default().retention.0),
            other => {
                let what = format!("there is no provider {other:?} here; there are bandwidth and plivo");
                return Err(NotARetention(what));
            }
        };
        let life = parse_duration(life, false)
            .map_err(|why| NotARetention(format!("retention of {name}: {why}")))?;
        if life > documented {
            let longest = format_duration(documented);
            return Err(NotARetention(format!(
                "{provider} keeps media for {longest}; a life can only be shortened"
            )));
        }
        Ok(Self { provider, life })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_shortens_the_life_of_one_providers_media() {
        let mut options = Options::new(std::sync::Arc::new(crate::domain::time::Timestamp::default));
        for text in ["bandwidth=24s", "plivo = 6 s", "plivo=8s"] {
            options.shorten(text.parse().unwrap());
        }
        assert_eq!(options.switches.bandwidth.retention, Length::from_secs(24));
        assert_eq!(options.switches.plivo.retention, Length::from_secs(8));
    }

    #[test]
    fn errors_in_a_retention_are_for_people() {
        for (text, error) in [
            ("24s", "write PROVIDER=DURATION, for example bandwidth=24s"),
            ("twilio=1h", "there is no provider \"twilio\" here; there are bandwidth and plivo"),
            ("plivo=7h", "plivo keeps media for 6h; a life can only be shortened"),
            ("plivo=soon", "retention of plivo: not a length of time; write it as 90s, 15m, 48h or 2 days"),
            ("plivo=0s", "retention of plivo: must be longer than zero; write it as 90s, 15m, 48h or 2 days"),
        ] {
            assert_eq!(text.parse::<RetentionArg>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let mut options = Options::new(std::sync::Arc::new(crate::domain::time::Timestamp::default));
        options.password = SecretString::from("hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
