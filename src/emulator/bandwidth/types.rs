//! The types that an upload may have.

/// The request types of the upload in the provider's OpenAPI file.
const ACCEPTED: [&str; 48] = [
    "application/gzip",
    "application/javascript",
    "application/json",
    "application/ogg",
    "application/pdf",
    "application/rtf",
    "application/smil",
    "application/x-bzip2",
    "application/x-gzip",
    "application/x-tar",
    "application/xml",
    "application/zip",
    "audio/3gpp",
    "audio/amr",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
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
    "text/calendar",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/plain",
    "text/vcard",
    "text/vnd.wap.wml",
    "text/xml",
    "video/avi",
    "video/mp4",
    "video/mpeg",
    "video/ogg",
    "video/quicktime",
    "video/webm",
    "video/x-flv",
    "video/x-ms-wmv",
];

/// Whether a Content-Type is accepted; its parameters do not matter.
pub(super) fn accepted(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ACCEPTED.iter().any(|accepted| accepted.eq_ignore_ascii_case(essence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_without_case_and_parameters() {
        assert!(accepted("image/png") && accepted("Text/Plain; charset=UTF-8"));
        for refused in
            ["", "image", "application/octet-stream", "image/jpg", "audio/mp3", "video/3gpp", "text/x-vcard"]
        {
            assert!(!accepted(refused), "{refused}");
        }
    }
}
