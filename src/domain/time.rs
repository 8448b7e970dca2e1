//! Moments and lengths of time. Nothing here reads a clock: `now` always arrives as an argument.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in UTC, in milliseconds since 1970. Written as RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment that can be written; everything is after it.
    pub const MIN: Self = Self(-377_000_000_000_000);
    /// The latest moment that can be written (year 9999); sums stop there.
    pub const MAX: Self = Self(253_370_000_000_000);

    /// The moment that lies `milliseconds` after the start of 1970.
    #[must_use]
    pub fn from_unix_ms(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since the start of 1970.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The same moment without its fraction of a second. State files carry whole seconds, because common
    /// readers (`jq`'s `fromdate` among them) refuse fractions; rounding down errs on the safe side.
    #[must_use]
    pub const fn floor_to_second(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1000))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_add(whole_ms(length)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_sub(whole_ms(length)))
    }
}

fn whole_ms(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(out, "{moment}")
    }
}

/// A text that is not a moment in RFC 3339.
#[derive(Debug, thiserror::Error)]
#[error("not a moment in RFC 3339 such as 2026-11-21T16:00:00Z")]
pub struct NotATimestamp;

impl FromStr for Timestamp {
    type Err = NotATimestamp;
    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| NotATimestamp)?;
        Ok(Self::from_unix_ms(moment.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a moment in RFC 3339")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// What the clocks say at one turn of the loop.
///
/// Deadlines are facts of the wall clock, but a wall clock can be set wrong. `steady` runs on through suspends
/// and cannot be set: it started at the wall clock's time when the process did, and counts boot time since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// The clock that nobody can set (see above).
    pub steady: Timestamp,
}

impl Now {
    /// Both clocks at the same moment: how every process starts.
    #[must_use]
    pub const fn at(moment: Timestamp) -> Self {
        Self { wall: moment, steady: moment }
    }
}

/// Reads a length of time such as `48h`, `2s`, `200ms` or `1 day`.
///
/// # Errors
/// A sentence fragment for people: months and years have no fixed length, and neither zero, a negative nor an
/// endless length makes sense anywhere in a manifest, except that `allow_zero` lets `0s` pass.
pub fn parse_duration(text: &str, allow_zero: bool) -> Result<Duration, String> {
    let example = "write it as 90s, 15m, 48h or 2 days";
    let span: jiff::Span = text.trim().parse().map_err(|_| format!("not a length of time; {example}"))?;
    if span.get_months() != 0 || span.get_years() != 0 {
        return Err("months and years have no fixed length; write days or hours".to_owned());
    }
    let length = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("not a usable length of time; {example}"))?;
    let length = Duration::try_from(length).map_err(|_| format!("must not be negative; {example}"))?;
    if length.is_zero() && !allow_zero {
        return Err(format!("must be longer than zero; {example}"));
    }
    if length > Duration::from_secs(3650 * 86_400) {
        return Err("longer than ten years, which nothing here can mean".to_owned());
    }
    Ok(length)
}

/// A length of time for people, in at most two units: `47h 59m`, `2m 5s`, `350ms`.
#[must_use]
pub fn format_duration(length: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = length.as_secs();
    if seconds == 0 {
        return format!("{}ms", length.as_millis());
    }
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, name) = UNITS[first];
    let rest = seconds % size;
    match UNITS.get(first + 1) {
        Some((smaller, unit)) if rest / smaller > 0 => {
            format!("{}{name} {}{unit}", seconds / size, rest / smaller)
        }
        _ => format!("{}{name}", seconds / size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_text() {
        let moment: Timestamp = "2026-11-21T16:00:00Z".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-21T16:00:00Z");
        assert_eq!(Timestamp::from_unix_ms(1_999).floor_to_second().unix_ms(), 1_000);
        assert_eq!(Timestamp::from_unix_ms(-1).floor_to_second().unix_ms(), -1_000);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn the_ends_of_time_can_be_written_and_read() {
        for moment in
            [Timestamp::MIN, Timestamp::MAX, Timestamp::MAX + Duration::MAX, Timestamp::MIN - Duration::MAX]
        {
            assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
        }
    }

    #[test]
    fn lengths_are_read_and_senseless_ones_refused() {
        for (text, seconds) in [("48h", 172_800), ("2 days", 172_800), ("90s", 90), ("1h 30m", 5_400)] {
            assert_eq!(parse_duration(text, false).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "6 parsecs", "-5m", "0s", "1 month", "2 years", "48"] {
            assert!(parse_duration(text, false).is_err(), "{text}");
        }
        assert_eq!(parse_duration("0s", true).unwrap(), Duration::ZERO);
    }

    #[test]
    fn lengths_are_shown_in_two_units() {
        for (milliseconds, text) in
            [(350, "350ms"), (5_000, "5s"), (125_000, "2m 5s"), (172_740_000, "1d 23h"), (7_200_000, "2h")]
        {
            assert_eq!(format_duration(Duration::from_millis(milliseconds)), text);
        }
    }
}
