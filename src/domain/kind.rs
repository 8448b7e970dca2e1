//! What a kind of provider is, as data: its keys in the manifest, what it can do, and its limits.
//!
//! Decisions read these facts; they never ask which provider it is. A provider module states its own
//! [`Kind`] as a constant, and `provider::KINDS` lists them all.

use std::time::Duration;

use super::asset::MediaType;

/// A kind of provider, such as `bandwidth`.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The value of `kind` in the manifest.
    pub name: &'static str,
    /// The provider's name for people.
    pub title: &'static str,
    /// The keys that its table has beyond those of every provider's table.
    pub settings: &'static [SettingSpec],
    /// The ways to prove who we are: exactly one of these sets of settings must be complete.
    pub credentials: &'static [&'static [&'static str]],
    /// The setting that names the account: the scope of its handles.
    pub scope_setting: &'static str,
    /// Where its API is unless the manifest says otherwise.
    pub base_url: &'static str,
    /// Where its tokens come from, if it has any, unless the manifest says otherwise.
    pub token_url: Option<&'static str>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// One key of a provider's table.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingSpec {
    /// The key.
    pub name: &'static str,
    /// A secret takes a reference only; other settings may also be literal.
    pub secret: bool,
    /// Whether it must be there whatever way of proving who we are is chosen.
    pub required: bool,
    /// What it is, in a line.
    pub about: &'static str,
}

/// What a provider can do, as far as decisions depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each read where it matters")]
pub struct Capabilities {
    /// Who names a media.
    pub naming: Naming,
    /// What an upload under a name that exists does.
    pub replacing: Replacing,
    /// Where a handle's end of life comes from.
    pub expiry: Expiry,
    /// How a handle's life is prolonged.
    pub renewal: Renewal,
    /// What a handle is for those who use it.
    pub handle: HandleKind,
    /// The documented life of a media that nobody used.
    pub retention: Duration,
    /// Whether it can say what it holds.
    pub can_list: bool,
    /// How many media a page of its list names at most.
    pub list_page: usize,
    /// Whether it can say if it holds one media.
    pub can_find: bool,
    /// Whether all requests of an account count against one limit, so that a list that is refused for asking too often
    /// means that uploads would be, too.
    pub one_limit: bool,
    /// Whether it can delete.
    pub can_delete: bool,
    /// Whether it stores a Cache-Control and hands it back.
    pub stores_cache_control: bool,
    /// The largest content that is surely accepted, in bytes.
    pub max_bytes: u64,
    /// The longest usable URL, in bytes.
    pub max_url_bytes: usize,
    /// Which types it accepts, and under which names.
    pub types: TypeRules,
}

/// Who names a media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// We do: the ID is ours and the URL follows from it.
    Client,
    /// The provider does: every upload has a new ID and a new URL.
    Server,
    /// The provider does, and an alias that we choose points at it.
    Alias,
}

/// What an upload under a name that exists does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacing {
    /// The old content is overwritten.
    Overwrites,
    /// There is no such thing: a new handle is made.
    NewHandle,
}

/// Where a handle's end of life comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// A fixed time after the upload.
    Fixed,
    /// We ask for it with the upload.
    Requested,
    /// The provider's reply says it.
    Reported,
    /// It is signed into the URL.
    Signed,
}

/// How a handle's life is prolonged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// By uploading the bytes again.
    UploadAgain,
    /// By a request that needs no bytes.
    Touch,
    /// By signing a new URL.
    SignAgain,
}

/// What a handle is for those who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleKind {
    /// A URL that anybody can fetch.
    PublicUrl,
    /// A URL that only the account's credentials can fetch.
    AuthenticatedUrl,
    /// A name that means something to the provider's own API only.
    OpaqueId,
}

/// Which media types a provider accepts, and what it calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeRules {
    /// The accepted names.
    pub accepted: &'static [&'static str],
    /// Other names for accepted types: `(ours, theirs)`.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl TypeRules {
    /// The provider's own name for this type; `None` where it takes no such thing.
    #[must_use]
    pub fn accepted_name(&self, media_type: &MediaType) -> Option<MediaType> {
        let alias = self.aliases.iter().find(|(ours, _)| *ours == media_type.as_str());
        match alias {
            None => self.accepted.contains(&media_type.as_str()).then(|| media_type.clone()),
            Some((_, theirs)) => {
                self.accepted.contains(theirs).then(|| MediaType::new(theirs).ok()).flatten()
            }
        }
    }
}
