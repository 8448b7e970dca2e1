//! What Plivo is and can do, as data.

use std::time::Duration;

use crate::domain::kind::{
    Capabilities, Expiry, HandleKind, Kind, Naming, Renewal, Replacing, SettingSpec, TypeRules,
};

/// Plivo's account media, as its v1 interface documents them.
pub static KIND: Kind = Kind {
    name: "plivo",
    title: "Plivo",
    settings: SETTINGS,
    credentials: &[&["auth_id", "auth_token"]],
    scope_setting: "auth_id",
    base_url: "https://api.plivo.com",
    token_url: None,
    capabilities: Capabilities {
        naming: Naming::Server,
        replacing: Replacing::NewHandle,
        expiry: Expiry::Fixed,
        renewal: Renewal::UploadAgain,
        handle: HandleKind::PublicUrl,
        // Unused media; a media that was sent lives for a year, which an upload can't know.
        retention: Duration::from_secs(6 * 3600),
        can_list: true,
        list_page: 20,
        can_find: true,
        // 300 requests in 5 s per account, whatever they are for.
        one_limit: true,
        // Neither the documentation nor any official client has a way.
        can_delete: false,
        stores_cache_control: false,
        // 2 MB; the smaller reading of the unit.
        max_bytes: 2_000_000,
        max_url_bytes: 2048,
        types: TypeRules { accepted: ACCEPTED_TYPES, aliases: TYPE_ALIASES },
    },
};

const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        name: "auth_id",
        secret: false,
        required: true,
        about: "the auth ID of the account (MA…) or subaccount (SA…)",
    },
    SettingSpec { name: "auth_token", secret: true, required: true, about: "the auth token" },
];

/// What the official clients send; the documentation's own list (JPG, PNG, MP4, GIF, PDF, text) is a part of it.
const ACCEPTED_TYPES: &[&str] = &[
    "application/pdf",
    "application/vnd.ms-excel",
    "audio/mp3",
    "audio/ogg",
    "audio/wav",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/xcf",
    "text/csv",
    "text/plain",
    "text/vcard",
    "video/3gpp",
    "video/3gpp2",
    "video/mp4",
    "video/mpeg",
];

/// Other names in use for the very same formats, among them the registered ones that the official clients do not
/// use: they send an `.mp3` as `audio/mp3` and an `.xlsx` under the type of an `.xls`.
const TYPE_ALIASES: &[(&str, &str)] = &[
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/vnd.ms-excel"),
    ("application/x-pdf", "application/pdf"),
    ("audio/mpeg", "audio/mp3"),
    ("audio/mpeg3", "audio/mp3"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/x-mp3", "audio/mp3"),
    ("audio/x-mpeg", "audio/mp3"),
    ("audio/x-wav", "audio/wav"),
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/x-xcf", "image/xcf"),
    ("text/x-vcard", "text/vcard"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_lead_from_refused_names_to_accepted_ones() {
        for (ours, theirs) in TYPE_ALIASES {
            assert!(!ACCEPTED_TYPES.contains(ours), "{ours} is accepted as it is");
            assert!(ACCEPTED_TYPES.contains(theirs), "{theirs} is not accepted");
        }
    }
}
