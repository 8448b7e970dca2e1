//! What an answer's headers say about time: when it was given, and how long to wait.
//!
//! There is no clock here. A moment in a header is told apart from now by the answer's own `Date`, so that a
//! wrong clock on this side changes nothing; without a `Date` it says nothing.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::domain::time::Timestamp;

/// The longest wait that is passed on. A caller caps it much lower; this keeps sums from overflowing.
const PAUSE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// The provider's own idea of the time.
pub(crate) fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// How long the provider asks us to wait: `Retry-After` (RFC 9110, 10.2.3: seconds or a date), else
/// `X-RateLimit-Reset`, which Bandwidth's interfaces give in seconds or in milliseconds since 1970.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = server_date(headers);
    text(RETRY_AFTER.as_str())
        .and_then(|text| seconds_or_date(text, date))
        .or_else(|| text("x-ratelimit-reset").and_then(|text| reset(text, date)))
        .map(|pause| pause.min(PAUSE_MAX))
}

fn seconds_or_date(text: &str, date: Option<Timestamp>) -> Option<Duration> {
    match whole_number(text) {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => Some(http_date(text)?.saturating_since(date?)),
    }
}

/// Tells the unit by the size: what would be a moment before 1973 in seconds is a number of seconds to wait, what
/// would be one after the year 5000 is in milliseconds.
fn reset(text: &str, date: Option<Timestamp>) -> Option<Duration> {
    const SMALLEST_MOMENT_S: u64 = 100_000_000;
    const SMALLEST_MOMENT_MS: u64 = 100_000_000_000;
    let number = whole_number(text)?;
    let moment_ms = match number {
        ..SMALLEST_MOMENT_S => return Some(Duration::from_secs(number)),
        SMALLEST_MOMENT_S..SMALLEST_MOMENT_MS => number * 1000,
        SMALLEST_MOMENT_MS.. => number,
    };
    Some(Timestamp::from_unix_ms(i64::try_from(moment_ms).unwrap_or(i64::MAX)).saturating_since(date?))
}

/// Digits only: `parse` alone would take a sign as well. Too many digits mean a very long time, not nothing.
fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn http_date(text: &str) -> Option<Timestamp> {
    let moment = httpdate::parse_http_date(text.trim()).ok()?;
    let since_1970 = moment.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    const DATE_TEXT: &str = "Sat, 21 Nov 2026 16:00:00 GMT";
    const DATE_S: i64 = 1_795_276_800;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn pause(pairs: &[(&'static str, &str)]) -> Option<u64> {
        let mut with_date = vec![("date", DATE_TEXT)];
        with_date.extend_from_slice(pairs);
        retry_after(&headers(&with_date)).map(|pause| pause.as_secs())
    }

    #[test]
    fn the_servers_date_is_read() {
        let date = server_date(&headers(&[("date", DATE_TEXT)])).unwrap();
        assert_eq!(date.unix_ms(), DATE_S * 1000);
        for bad in ["", "tomorrow", "2026-11-21T16:00:00Z", "Sat, 99 Nov 2026 16:00:00 GMT"] {
            assert_eq!(server_date(&headers(&[("date", bad)])), None, "{bad}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let table: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("Sat, 21 Nov 2026 16:02:00 GMT", Some(120)),
            ("Sat, 21 Nov 2026 15:00:00 GMT", Some(0)),
            ("Saturday, 21-Nov-26 16:00:30 GMT", Some(30)),
            ("1000000000", Some(PAUSE_MAX.as_secs())),
            ("99999999999999999999999999", Some(PAUSE_MAX.as_secs())),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("0x10", None),
        ];
        for (text, seconds) in table {
            assert_eq!(pause(&[("retry-after", text)]), *seconds, "{text:?}");
        }
    }

    #[test]
    fn a_reset_is_told_by_its_size() {
        let in_seconds = (DATE_S + 40).to_string();
        let in_milliseconds = ((DATE_S + 40) * 1000).to_string();
        let past = (DATE_S - 40).to_string();
        let table: &[(&str, Option<u64>)] = &[
            (&in_seconds, Some(40)),
            (&in_milliseconds, Some(40)),
            (&past, Some(0)),
            ("30", Some(30)),
            ("18446744073709551616", Some(PAUSE_MAX.as_secs())),
            ("-1", None),
            ("NaN", None),
        ];
        for (text, seconds) in table {
            assert_eq!(pause(&[("x-ratelimit-reset", text)]), *seconds, "{text:?}");
        }
    }

    #[test]
    fn retry_after_goes_before_a_reset_unless_it_is_garbage() {
        assert_eq!(pause(&[("retry-after", "3"), ("x-ratelimit-reset", "30")]), Some(3));
        assert_eq!(pause(&[("retry-after", "?"), ("x-ratelimit-reset", "30")]), Some(30));
    }

    #[test]
    fn a_moment_means_nothing_without_a_date() {
        let reset_s = (DATE_S + 40).to_string();
        assert_eq!(retry_after(&headers(&[("retry-after", DATE_TEXT)])), None);
        assert_eq!(retry_after(&headers(&[("x-ratelimit-reset", &reset_s)])), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "9")])), Some(Duration::from_secs(9)));
    }
}
