//! From a provider's table in the manifest to a provider.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use secrecy::ExposeSecret as _;

use super::bandwidth::{self, Bandwidth};
use super::credentials::{CredentialError, Lookups, Resolved, resolve, resolve_all};
use super::http::HttpClient;
use super::plivo::{self, Plivo};
use super::{Cursor, Found, Provider};
use crate::domain::asset::{ProviderName, Scope};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::kind::{Capabilities, Kind};
use crate::domain::manifest::ProviderConfig;

/// The kinds of providers there are.
pub static KINDS: &[&Kind] = &[&bandwidth::KIND, &plivo::KIND];

type Connect = fn(&Resolved, &ProviderConfig, &HttpClient) -> Result<Arc<dyn Provider>, CredentialError>;

/// How each of them is connected.
static CONNECTS: &[(&Kind, Connect)] = &[
    (&bandwidth::KIND, |settings, config, http| Ok(Arc::new(Bandwidth::connect(settings, config, http)?))),
    (&plivo::KIND, |settings, config, http| Ok(Arc::new(Plivo::connect(settings, config, http)?))),
];

/// Looks up a provider's credentials, now, and connects it. Sends nothing.
///
/// A connected provider keeps the credentials it has: after a refusal, connecting again finds rotated ones. Secrets
/// in files are read here, so that a slow disk makes the caller wait.
///
/// # Errors
/// A credential reference that leads to nothing usable.
///
/// # Panics
/// Where the kind is none of [`KINDS`].
pub fn connect(
    name: &ProviderName,
    config: &ProviderConfig,
    lookups: &dyn Lookups,
    http: &HttpClient,
) -> Result<Arc<dyn Provider>, CredentialError> {
    connect_with(&resolve_all(name, config, lookups)?, config, http)
}

/// Connects a provider with settings that were looked up before. Sends nothing.
///
/// # Errors
/// A setting that can't be used.
///
/// # Panics
/// Where the kind is none of [`KINDS`].
pub fn connect_with(
    settings: &Resolved,
    config: &ProviderConfig,
    http: &HttpClient,
) -> Result<Arc<dyn Provider>, CredentialError> {
    let (_, connect) = CONNECTS
        .iter()
        .find(|(kind, _)| kind.name == config.kind.name)
        .expect("a manifest names no other kinds than those in KINDS");
    connect(settings, config, http)
}

/// The account of a provider's table, for what needs no secret. `None` where it can't be looked up.
#[must_use]
pub fn scope_of(config: &ProviderConfig, lookups: &dyn Lookups) -> Option<Scope> {
    let setting = config.settings.get(config.kind.scope_setting)?;
    let account = resolve(setting, lookups).ok()?;
    Scope::new(account.expose_secret()).ok()
}

/// The whole of a provider's list.
///
/// # Errors
/// The failure of a page; [`FailureClass::Unexpected`] where the list has more than `pages_max` pages or comes
/// back to where it was, because then what it does not name says nothing.
pub async fn list_all(provider: &dyn Provider, pages_max: usize) -> Result<Vec<Found>, Failure> {
    let mut media = Vec::new();
    let mut seen = HashSet::new();
    let mut cursor: Option<Cursor> = None;
    for _ in 0..pages_max {
        let page = provider.list(cursor.take()).await?;
        media.extend(page.media);
        let Some(next) = page.next else { return Ok(media) };
        if !seen.insert(next.0.clone()) {
            let detail = format!("the list of {} goes in circles", provider.kind().title);
            return Err(Failure::without_answer(FailureClass::Unexpected, detail));
        }
        cursor = Some(next);
    }
    let detail = format!("the list of {} does not end after {pages_max} pages", provider.kind().title);
    Err(Failure::without_answer(FailureClass::Unexpected, detail))
}

/// Whether content is small enough. What a provider does with content that is too large is documented nowhere, and
/// can look like a broken line.
pub(super) fn check_size(title: &str, capabilities: &Capabilities, body: &Bytes) -> Result<(), String> {
    let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let bytes_max = capabilities.max_bytes;
    if bytes > bytes_max {
        return Err(format!("{bytes} bytes, and {title} takes at most {bytes_max}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_connected() {
        let connectable: Vec<&str> = CONNECTS.iter().map(|(kind, _)| kind.name).collect();
        assert_eq!(connectable, KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>());
    }

    #[test]
    fn every_kind_is_consistent() {
        for kind in KINDS {
            let spec = |name: &str| kind.settings.iter().find(|spec| spec.name == name);
            assert!(!spec(kind.scope_setting).unwrap().secret, "{}: the account is shown", kind.name);
            for name in kind.credentials.iter().copied().flatten() {
                assert!(spec(name).is_some(), "{}: {name}", kind.name);
            }
            assert!(kind.base_url.starts_with("https://") && !kind.base_url.ends_with('/'));
            assert!(kind.token_url.is_none_or(|url| url.parse::<url::Url>().is_ok()));
        }
    }
}
