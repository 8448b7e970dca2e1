//! The types that an upload may have. The provider publishes three lists that differ.

use super::super::switches::PlivoTypes;

/// The types of the API's documentation: JPG, PNG, MP4, GIF, PDF, text.
const DOCUMENTED: [&str; 7] =
    ["application/pdf", "image/gif", "image/jpeg", "image/jpg", "image/png", "text/plain", "video/mp4"];

/// What official clients send beyond these, and what the support page on media adds.
const FURTHER: [&str; 28] = [
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "audio/3gpp",
    "audio/3gpp2",
    "audio/aac",
    "audio/amr",
    "audio/mp3",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/x-wav",
    "image/bmp",
    "image/tiff",
    "image/webp",
    "image/x-xcf",
    "image/xcf",
    "text/calendar",
    "text/csv",
    "text/directory",
    "text/vcard",
    "text/x-vcard",
    "video/3gpp",
    "video/3gpp2",
    "video/mpeg",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// Types by extension, for clients that declare none: plivo-go calls everything `application/octet-stream`.
const BY_EXTENSION: [(&str, &str); 18] = [
    ("3gpp", "video/3gpp"),
    ("3gpp2", "video/3gpp2"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("mp3", "audio/mp3"),
    ("mp4", "video/mp4"),
    ("mpeg", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("plain", "text/plain"),
    ("png", "image/png"),
    ("txt", "text/plain"),
    ("vcard", "text/vcard"),
    ("wav", "audio/wav"),
    ("xcf", "image/xcf"),
    ("xls", "application/vnd.ms-excel"),
];

const UNKNOWN: &str = "application/octet-stream";

/// The type of a file: the declared one without parameters, else the one that its extension stands for.
pub(super) fn resolve(declared: Option<&str>, file_name: &str) -> String {
    let declared = declared.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    if !declared.is_empty() && !declared.eq_ignore_ascii_case(UNKNOWN) {
        return declared.to_ascii_lowercase();
    }
    let extension = file_name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = BY_EXTENSION.iter().find(|(own, _)| own.eq_ignore_ascii_case(extension));
    known.map_or(UNKNOWN, |(_, name)| name).to_owned()
}

/// Whether a type is taken.
pub(super) fn accepted(content_type: &str, types: PlivoTypes) -> bool {
    match types {
        PlivoTypes::Any => true,
        PlivoTypes::Documented => DOCUMENTED.contains(&content_type),
        PlivoTypes::Known => DOCUMENTED.contains(&content_type) || FURTHER.contains(&content_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_comes_before_the_extension() {
        for (declared, name, expected) in [
            (Some("Image/PNG; a=b"), "x.jpg", "image/png"),
            (Some("application/octet-stream"), "x.JPG", "image/jpeg"),
            (None, "a.b.mp3", "audio/mp3"),
            (Some(""), "noext", UNKNOWN),
        ] {
            assert_eq!(resolve(declared, name), expected);
        }
    }

    #[test]
    fn each_list_takes_its_own() {
        assert!(accepted("audio/mp3", PlivoTypes::Known) && !accepted("audio/mp3", PlivoTypes::Documented));
        assert!(accepted("image/png", PlivoTypes::Documented) && !accepted(UNKNOWN, PlivoTypes::Known));
        assert!(accepted(UNKNOWN, PlivoTypes::Any));
    }
}
