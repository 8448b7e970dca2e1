//! Short ways to say things in tests of the domain.

use super::asset::{ContentHash, EntryKey, MediaId, MediaType, ProviderName, RelPath, Scope};
use super::lease::LeaseTerms;
use super::state::Handle;
use super::time::Timestamp;

/// The entry of a file at a provider.
pub(crate) fn key(path: &str, provider: &str) -> EntryKey {
    EntryKey { path: RelPath::new(path).unwrap(), provider: ProviderName::new(provider).unwrap() }
}

/// A live handle for these bytes, sent at `sent` in the account `acct`.
pub(crate) fn handle(bytes: &[u8], sent: Timestamp, terms: &LeaseTerms) -> Handle {
    let hash = ContentHash::of(bytes);
    Handle {
        id: MediaId::new(&hash.prefix(16)).unwrap(),
        url: Some(format!("https://media.example/{}", hash.prefix(16)).into()),
        scope: Scope::new("acct").unwrap(),
        hash,
        size: bytes.len() as u64,
        content_type: MediaType::new("image/png").unwrap(),
        cache_control: None,
        uploaded_at: sent.floor_to_second(),
        expires_at: terms.end_of(sent),
        steady_expires_at: terms.end_of(sent),
    }
}
