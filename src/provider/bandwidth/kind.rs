//! What Bandwidth is and can do, as data.

use std::time::Duration;

use crate::domain::kind::{
    Capabilities, Expiry, HandleKind, Kind, Naming, Renewal, Replacing, SettingSpec, TypeRules,
};

/// Bandwidth's media, as its Messaging v2 interface documents them.
pub static KIND: Kind = Kind {
    name: "bandwidth",
    title: "Bandwidth",
    settings: SETTINGS,
    credentials: &[&["username", "password"], &["client_id", "client_secret"]],
    scope_setting: "account_id",
    base_url: "https://messaging.bandwidth.com/api/v2",
    token_url: Some("https://api.bandwidth.com/api/v1/oauth2/token"),
    capabilities: Capabilities {
        naming: Naming::Client,
        // Since October 2026 the documentation advises against it: a reused name can send the old media.
        replacing: Replacing::Overwrites,
        expiry: Expiry::Fixed,
        renewal: Renewal::UploadAgain,
        handle: HandleKind::AuthenticatedUrl,
        // "up to 48 hours"; whether an upload under the same name restarts the time is not documented.
        retention: Duration::from_secs(48 * 3600),
        can_list: true,
        list_page: 1_000,
        can_find: true,
        // No limit is documented for media, and the older ones were per resource.
        one_limit: false,
        can_delete: true,
        stores_cache_control: true,
        // 3.5 MB, which older pages state as 3.75 MB; the smaller reading of both figure and unit.
        max_bytes: 3_500_000,
        // A `fileUrl` in a multi-channel message has at most 1000 characters.
        max_url_bytes: 999,
        types: TypeRules { accepted: ACCEPTED_TYPES, aliases: TYPE_ALIASES },
    },
};

const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        name: "account_id",
        secret: false,
        required: true,
        about: "the account's number, part of every URL",
    },
    SettingSpec {
        name: "username",
        secret: false,
        required: false,
        about: "an API user of the account (Bandwidth is withdrawing these in favour of OAuth2)",
    },
    SettingSpec { name: "password", secret: true, required: false, about: "the API user's password" },
    SettingSpec {
        name: "client_id",
        secret: false,
        required: false,
        about: "the ID of OAuth2 client credentials",
    },
    SettingSpec {
        name: "client_secret",
        secret: true,
        required: false,
        about: "the secret of OAuth2 client credentials",
    },
];

/// The request types of the upload operation in Bandwidth's OpenAPI description.
const ACCEPTED_TYPES: &[&str] = &[
    "application/json",
    "application/ogg",
    "application/pdf",
    "application/rtf",
    "application/zip",
    "application/x-tar",
    "application/xml",
    "application/gzip",
    "application/x-bzip2",
    "application/x-gzip",
    "application/smil",
    "application/javascript",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/flac",
    "audio/webm",
    "audio/wav",
    "audio/amr",
    "audio/3gpp",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jpeg",
    "image/pjpeg",
    "image/png",
    "image/svg+xml",
    "image/tiff",
    "image/webp",
    "image/x-icon",
    "text/css",
    "text/csv",
    "text/calendar",
    "text/html",
    "text/plain",
    "text/javascript",
    "text/vcard",
    "text/vnd.wap.wml",
    "text/xml",
    "video/avi",
    "video/mp4",
    "video/mpeg",
    "video/ogg",
    "video/quicktime",
    "video/webm",
    "video/x-ms-wmv",
    "video/x-flv",
];

/// Other names in use for the very same formats. `video/3gpp` is not among them: only audio is accepted in 3GPP.
const TYPE_ALIASES: &[(&str, &str)] = &[
    ("application/ics", "text/calendar"),
    ("application/smil+xml", "application/smil"),
    ("application/x-bzip", "application/x-bzip2"),
    ("application/x-javascript", "application/javascript"),
    ("application/x-pdf", "application/pdf"),
    ("application/x-rtf", "application/rtf"),
    ("application/x-zip", "application/zip"),
    ("application/x-zip-compressed", "application/zip"),
    ("audio/m4a", "audio/mp4"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/mpeg3", "audio/mpeg"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("audio/x-m4a", "audio/mp4"),
    ("audio/x-mp3", "audio/mpeg"),
    ("audio/x-mpeg", "audio/mpeg"),
    ("audio/x-wav", "audio/wav"),
    ("image/jpg", "image/jpeg"),
    ("image/vnd.microsoft.icon", "image/x-icon"),
    ("image/x-bmp", "image/bmp"),
    ("image/x-ms-bmp", "image/bmp"),
    ("image/x-png", "image/png"),
    ("text/rtf", "application/rtf"),
    ("text/x-vcard", "text/vcard"),
    ("video/msvideo", "video/avi"),
    ("video/x-msvideo", "video/avi"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::asset::MediaType;

    #[test]
    fn aliases_lead_from_refused_names_to_accepted_ones() {
        for (ours, theirs) in TYPE_ALIASES {
            assert!(!ACCEPTED_TYPES.contains(ours), "{ours} is accepted as it is");
            assert!(ACCEPTED_TYPES.contains(theirs), "{theirs} is not accepted");
        }
        assert_eq!(ACCEPTED_TYPES.len(), 48);
    }

    #[test]
    fn the_types_that_were_withdrawn_stay_refused() {
        let accepted = |name| KIND.capabilities.types.accepted_name(&MediaType::new(name).unwrap());
        for name in ["application/octet-stream", "video/3gpp", "audio/aac", "audio/basic"] {
            assert_eq!(accepted(name), None, "{name}");
        }
        assert_eq!(accepted("audio/mp3").unwrap().as_str(), "audio/mpeg");
        assert_eq!(accepted("image/png").unwrap().as_str(), "image/png");
    }
}
