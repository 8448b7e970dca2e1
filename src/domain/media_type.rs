//! Media types and file extensions.
//!
//! A short table of our own comes first: what goes out as MMS, by the names that the media-type registry has for it.
//! The general table behind it has older or private names for some of these.

use std::sync::LazyLock;

use super::asset::MediaType;

/// `(extension, type)`; the first line of a type is its preferred extension, the first of an extension its type.
const KNOWN: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpe", "image/jpeg"),
    ("jfif", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("bmp", "image/bmp"),
    ("tiff", "image/tiff"),
    ("tif", "image/tiff"),
    ("svg", "image/svg+xml"),
    ("ico", "image/x-icon"),
    ("avif", "image/avif"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("wav", "audio/wav"),
    ("wave", "audio/wav"),
    ("amr", "audio/amr"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("flac", "audio/flac"),
    ("aac", "audio/aac"),
    ("weba", "audio/webm"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("mov", "video/quicktime"),
    ("3gp", "video/3gpp"),
    ("3gpp", "video/3gpp"),
    ("3g2", "video/3gpp2"),
    ("webm", "video/webm"),
    ("ogv", "video/ogg"),
    ("avi", "video/x-msvideo"),
    ("wmv", "video/x-ms-wmv"),
    ("flv", "video/x-flv"),
    ("vcf", "text/vcard"),
    ("vcard", "text/vcard"),
    ("ics", "text/calendar"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("js", "text/javascript"),
    ("xml", "application/xml"),
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("rtf", "application/rtf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("bz2", "application/x-bzip2"),
    ("tar", "application/x-tar"),
    ("smil", "application/smil"),
    ("smi", "application/smil"),
];

/// The type of files with this extension, in whatever case it is written; `None` where nobody knows.
#[must_use]
pub fn of_extension(extension: &str) -> Option<MediaType> {
    let known = KNOWN.iter().position(|(known, _)| known.eq_ignore_ascii_case(extension));
    match known {
        Some(position) => SHARED.get(position).cloned(),
        None => MediaType::new(mime_guess::from_ext(extension).first_raw()?).ok(),
    }
}

/// The types of the table, made once: a folder of a hundred thousand pictures asks for the same one each time.
static SHARED: LazyLock<Vec<MediaType>> = LazyLock::new(|| {
    KNOWN.iter().map(|(_, name)| MediaType::new(name).expect("the table holds plain types")).collect()
});

/// Extensions of types that no file is given by its extension, because the table has a better name for the format.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("3gp", "audio/3gpp"),
    ("avi", "video/avi"),
    ("gz", "application/x-gzip"),
    ("jpg", "image/jpg"),
    ("jpg", "image/pjpeg"),
    ("js", "application/javascript"),
    ("m4a", "audio/x-m4a"),
    ("mp3", "audio/mp3"),
    ("ogx", "application/ogg"),
    ("vcf", "text/x-vcard"),
    ("wav", "audio/x-wav"),
    ("wml", "text/vnd.wap.wml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "text/xml"),
];

/// The extension that files of this type have by preference, without its dot; `None` where nobody knows.
#[must_use]
pub fn preferred_extension(media_type: &MediaType) -> Option<&'static str> {
    let mut known = KNOWN.iter().chain(OTHER_NAMES);
    known.find(|(_, name)| *name == media_type.as_str()).map(|(extension, _)| *extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(extension: &str) -> Option<String> {
        of_extension(extension).map(|media_type| media_type.to_string())
    }

    #[test]
    fn mms_types_have_their_registered_names() {
        for (extension, name) in [
            ("JPG", "image/jpeg"),
            ("png", "image/png"),
            ("m4a", "audio/mp4"),
            ("wav", "audio/wav"),
            ("amr", "audio/amr"),
            ("ogg", "audio/ogg"),
            ("vcf", "text/vcard"),
            ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ] {
            assert_eq!(of(extension).as_deref(), Some(name), "{extension}");
        }
        assert_eq!(of("never-heard-of-it"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn an_extension_of_the_table_leads_to_a_type_and_back_to_an_extension_of_that_type() {
        for (extension, name) in KNOWN {
            let media_type = of_extension(extension).unwrap();
            assert_eq!(media_type.as_str(), *name, "{extension} stands in the table twice");
            let preferred = preferred_extension(&media_type).unwrap();
            assert_eq!(of_extension(preferred).unwrap(), media_type, "{extension} -> {preferred}");
        }
    }

    #[test]
    fn other_names_of_a_format_have_an_extension_that_is_known() {
        for (extension, name) in OTHER_NAMES {
            assert_eq!(preferred_extension(&MediaType::new(name).unwrap()), Some(*extension));
            assert!(of_extension(extension).is_some(), "{extension}");
            assert!(KNOWN.iter().all(|(_, known)| known != name), "{name} stands in both tables");
        }
        assert_eq!(preferred_extension(&MediaType::new("x-nobody/x-knows").unwrap()), None);
    }
}
