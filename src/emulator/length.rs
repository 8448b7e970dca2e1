//! A length of time as the control API writes and reads it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::time::parse_duration;

/// A length of time. In JSON it is a text such as `"24s"` or a number of seconds; it is written exactly, as
/// seconds or, where it has a fraction of one, as milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub Duration);

impl Length {
    /// No time at all.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// So many hours.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self(Duration::from_secs(hours * 3600))
    }

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_millis() == 0 {
            write!(out, "{}s", self.0.as_secs())
        } else {
            write!(out, "{}ms", self.0.as_millis())
        }
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = Length;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a length of time such as \"24s\", or a number of seconds")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Length, E> {
        parse_duration(text, true).map(Length).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Length, E> {
        self.visit_str(&format!("{seconds}s"))
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Length, E> {
        self.visit_str(&format!("{seconds}s"))
    }

    fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Length, E> {
        let length = Duration::try_from_secs_f64(seconds).map_err(E::custom)?;
        self.visit_str(&format!("{}ms", length.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_from_text_or_seconds_and_written_exactly() {
        for (json, written) in [
            ("\"24s\"", "\"24s\""),
            ("\"2 days\"", "\"172800s\""),
            ("90", "\"90s\""),
            ("1.5", "\"1500ms\""),
            ("0", "\"0s\""),
        ] {
            let length: Length = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&length).unwrap(), written, "{json}");
        }
        for json in ["-1", "-0.5", "\"soon\"", "true", "null", "18446744073709551615", "1e300", "\"1 month\""]
        {
            assert!(serde_json::from_str::<Length>(json).is_err(), "{json}");
        }
    }
}
