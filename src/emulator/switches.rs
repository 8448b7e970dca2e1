//! What a provider's documentation leaves open, or what differs between its versions, as switches. The defaults
//! are our best reading of the documentation.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::length::Length;
pub use super::switch_words::*;

/// All switches. The control API changes some and leaves the others as they are; a change counts for what comes
/// after it, so a media keeps the end of life that it was stored with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switches {
    /// Bandwidth's.
    pub bandwidth: BandwidthSwitches,
    /// Plivo's.
    pub plivo: PlivoSwitches,
}

/// What can be different at Bandwidth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each named where it is set")]
pub struct BandwidthSwitches {
    /// How long a media lives (documented: up to 48 hours).
    pub retention: Length,
    /// When it is removed.
    pub removal: Removal,
    /// The time between sweeps; half the retention unless it is set.
    pub sweep_every: Option<Length>,
    /// Whether an upload under an existing name starts its life anew (not documented).
    pub overwrite_restarts: bool,
    /// For how long a message still takes the old bytes of a name that was overwritten.
    pub stale_cache: Length,
    /// The accounts that exist; any if absent. Another one answers 403.
    pub accounts: Option<Vec<String>>,
    /// Whether Basic credentials are accepted (deprecated by the provider).
    pub basic: bool,
    /// `expires_in` of a token, in seconds.
    pub token_expires_in: u64,
    /// Whether an encoded slash in a media ID is an error (strict) or decoded (lenient).
    pub strict_slash: bool,
    /// Whether a media ID needs a file extension.
    pub extension_required: bool,
    /// Whether an upload needs a body of at least one byte (the OpenAPI file says that a body is required).
    pub body_required: bool,
    /// Whether an upload needs a Content-Length (411 otherwise).
    pub length_required: bool,
    /// The largest accepted body in bytes (documented: 3.5 MB).
    pub max_bytes: u64,
    /// What a larger one gets.
    pub oversize: Oversize,
    /// Entries on a page of the list.
    pub page_size: usize,
    /// What HEAD does (not documented).
    pub head: Head,
    /// The Content-Type of a download.
    pub download_type: DownloadType,
    /// The body of a 404 for a media.
    pub not_found_body: BandwidthNotFound,
    /// The body of a 401.
    pub unauthorized_body: BandwidthUnauthorized,
    /// Requests per time for an account; no limit if absent (none is published).
    pub rate_limit: Option<RateLimit>,
    /// How a 429 says when to come back.
    pub rate_header: RateHeader,
    /// How long every reply waits, in real time.
    pub latency: Length,
}

impl Default for BandwidthSwitches {
    fn default() -> Self {
        Self {
            retention: Length::from_hours(48),
            removal: Removal::Exact,
            sweep_every: None,
            overwrite_restarts: true,
            stale_cache: Length::ZERO,
            accounts: None,
            basic: true,
            token_expires_in: 3600,
            strict_slash: true,
            extension_required: true,
            body_required: true,
            length_required: false,
            max_bytes: 3_500_000,
            oversize: Oversize::ContentTooLarge,
            page_size: 1000,
            head: Head::MethodNotAllowed,
            download_type: DownloadType::Stored,
            not_found_body: BandwidthNotFound::Api,
            unauthorized_body: BandwidthUnauthorized::Json,
            rate_limit: None,
            rate_header: RateHeader::None,
            latency: Length::ZERO,
        }
    }
}

/// What can be different at Plivo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlivoSwitches {
    /// How long a media lives that no message used (documented: 6 hours).
    pub retention: Length,
    /// How long it lives from its use in a message (documented: a year).
    pub used_retention: Length,
    /// When it is removed.
    pub removal: Removal,
    /// The time between sweeps; the retention unless it is set.
    pub sweep_every: Option<Length>,
    /// The auth IDs that exist; any well-shaped one if absent. Another one answers 401.
    pub auth_ids: Option<Vec<String>>,
    /// The status where the path names another account than the credentials: 401, 403 or 404.
    pub account_mismatch: u16,
    /// Whether a path without its closing slash is unknown (all official clients send it).
    pub slash_required: bool,
    /// The largest accepted file in bytes (documented: 2 MB).
    pub max_bytes: u64,
    /// The most files in one upload (documented: 10).
    pub max_files: usize,
    /// The types that are taken.
    pub types: PlivoTypes,
    /// How an upload fails where one of its files is refused.
    pub refusal: Refusal,
    /// The status of an upload as a whole (documented: 200).
    pub upload_status: u16,
    /// The order of the objects in the reply to an upload.
    pub object_order: ObjectOrder,
    /// The name of the field that holds a media's URL.
    pub url_field: UrlField,
    /// What media URLs begin with (`https://media.plivo.com` there); the emulator's own media host if absent.
    pub media_url_prefix: Option<String>,
    /// The order of the list.
    pub list_order: ListOrder,
    /// What `meta.next` and `meta.previous` hold.
    pub paging_links: PagingLinks,
    /// The body of a 404.
    pub not_found_body: PlivoNotFound,
    /// The body of a 401.
    pub unauthorized_body: PlivoUnauthorized,
    /// Whether the media host asks for the account's credentials.
    pub media_host_auth: bool,
    /// Requests per time for an account (documented: 300 in 5 seconds); no limit if absent.
    pub rate_limit: Option<RateLimit>,
    /// How a 429 says when to come back.
    pub rate_header: RateHeader,
    /// How long every reply waits, in real time.
    pub latency: Length,
}

impl Default for PlivoSwitches {
    fn default() -> Self {
        Self {
            retention: Length::from_hours(6),
            used_retention: Length::from_hours(365 * 24),
            removal: Removal::Exact,
            sweep_every: None,
            auth_ids: None,
            account_mismatch: 401,
            slash_required: false,
            max_bytes: 2_000_000,
            max_files: 10,
            types: PlivoTypes::Known,
            refusal: Refusal::PerObject,
            upload_status: 200,
            object_order: ObjectOrder::Upload,
            url_field: UrlField::MediaUrl,
            media_url_prefix: None,
            list_order: ListOrder::OldestFirst,
            paging_links: PagingLinks::Relative,
            not_found_body: PlivoNotFound::Error,
            unauthorized_body: PlivoUnauthorized::WithApiId,
            media_host_auth: false,
            rate_limit: Some(RateLimit { requests: 300, per: Length::from_secs(5) }),
            rate_header: RateHeader::None,
            latency: Length::ZERO,
        }
    }
}

/// So many requests within any stretch of time of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests.
    pub requests: usize,
    /// The length of the stretch.
    pub per: Length,
}

/// A change of switches that cannot be made; says why.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// An unknown switch or value.
    #[error("cannot change the switches: {0}")]
    Unknown(serde_json::Error),
    /// A value that makes no sense.
    #[error("cannot change the switches: {0}")]
    Senseless(&'static str),
}

impl Switches {
    /// These switches with the given ones changed, as JSON of the same shape with only the fields that change.
    ///
    /// # Errors
    /// If a field or value is unknown or senseless; nothing is changed then.
    pub fn changed(&self, change: Value) -> Result<Self, SwitchError> {
        let mut merged = serde_json::to_value(self).map_err(SwitchError::Unknown)?;
        merge(&mut merged, change);
        let changed: Self = serde_json::from_value(merged).map_err(SwitchError::Unknown)?;
        changed.check()?;
        Ok(changed)
    }

    pub(super) fn check(&self) -> Result<(), SwitchError> {
        let Self { bandwidth, plivo } = self;
        let sweeps = [bandwidth.sweep_every, plivo.sweep_every];
        let lives = [Some(bandwidth.retention), Some(plivo.retention), Some(plivo.used_retention)];
        if sweeps.into_iter().chain(lives).flatten().any(|length| length.0 < MIN_LIFE) {
            return Err(SwitchError::Senseless("a retention and the time between sweeps are at least 10ms"));
        }
        if bandwidth.page_size == 0 {
            return Err(SwitchError::Senseless("a page of the list has at least one entry"));
        }
        if ![401, 403, 404].contains(&plivo.account_mismatch) {
            return Err(SwitchError::Senseless("account_mismatch is 401, 403 or 404"));
        }
        if !(200..300).contains(&plivo.upload_status) {
            return Err(SwitchError::Senseless("upload_status is a success, from 200 to 299"));
        }
        if [bandwidth.latency, plivo.latency].into_iter().any(|length| length.0 > MAX_WAIT) {
            return Err(SwitchError::Senseless("a latency is at most ten minutes"));
        }
        Ok(())
    }
}

/// The longest that a reply waits, in real time.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(600);
const MIN_LIFE: Duration = Duration::from_millis(10);

/// Puts the fields of `change` into `target`, object by object; anything else replaces what was there.
fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(fields.entry(name).or_insert(Value::Null), change);
            }
        }
        (target, change) => *target = change,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = Switches::default();
        let after = before
            .changed(json!({"bandwidth": {"strict_slash": false, "retention": "24s", "rate_limit": {"requests": 1, "per": 1}},
                            "plivo": {"rate_limit": {"requests": 3}, "auth_ids": ["MA"]}}))
            .unwrap();
        let mut expected = before;
        expected.bandwidth.strict_slash = false;
        expected.bandwidth.retention = Length::from_secs(24);
        expected.bandwidth.rate_limit = Some(RateLimit { requests: 1, per: Length::from_secs(1) });
        expected.plivo.rate_limit = Some(RateLimit { requests: 3, per: Length::from_secs(5) });
        expected.plivo.auth_ids = Some(vec!["MA".to_owned()]);
        assert_eq!(after, expected);
        assert_eq!(after.changed(json!({"plivo": {"rate_limit": null}})).unwrap().plivo.rate_limit, None);
    }

    #[test]
    fn unknown_and_senseless_switches_are_refused() {
        for change in [
            json!({"bandwith": {}}),
            json!({"bandwidth": {"strict": true}}),
            json!({"bandwidth": {"head": "maybe"}}),
            json!({"bandwidth": {"page_size": 0}}),
            json!({"bandwidth": {"retention": "0s"}}),
            json!({"plivo": {"sweep_every": "1ms"}}),
            json!({"plivo": {"account_mismatch": 200}}),
            json!({"plivo": {"upload_status": 500}}),
            json!({"plivo": {"latency": "11m"}}),
            json!({"plivo": {"rate_limit": {"requests": 3, "per": "5s", "burst": 1}}}),
            json!([]),
            json!(null),
        ] {
            assert!(Switches::default().changed(change.clone()).is_err(), "{change}");
        }
    }
}
