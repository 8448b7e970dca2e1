//! From a media ID to the path of its URL.
//!
//! Bandwidth's ID is everything after `media/`: a `/` in it goes out literally, because the server does not take
//! an encoded one. Everything else but letters, digits and `-._~` is percent-encoded, as the official clients do.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::asset::MediaId;

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of an account's media folder, below the base URL, with a trailing `/`.
pub(super) fn folder(account: &str) -> String {
    format!("/users/{}/media/", utf8_percent_encode(account, ENCODED))
}

/// The path of one media in that folder.
///
/// # Errors
/// Which kind of segment no ID may have: an empty one, `.` or `..` would lead elsewhere.
pub(super) fn media(folder: &str, id: &MediaId) -> Result<String, &'static str> {
    let mut path = String::with_capacity(folder.len() + id.as_str().len() + 16);
    path.push_str(folder);
    for (position, segment) in id.as_str().split('/').enumerate() {
        match segment {
            "" => return Err("an empty segment"),
            "." | ".." => return Err("a '.' or '..' segment"),
            _ => {}
        }
        if position > 0 {
            path.push('/');
        }
        path.extend(utf8_percent_encode(segment, ENCODED));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path_of(id: &str) -> Result<String, &'static str> {
        media("/users/9900000/media/", &MediaId::new(id).unwrap())
    }

    #[test]
    fn ids_are_encoded_as_the_official_clients_do_except_for_the_slash() {
        for (id, path) in [
            ("logo.png", "logo.png"),
            ("abc12345-6def/1/1.mp3", "abc12345-6def/1/1.mp3"),
            ("my logo.png", "my%20logo.png"),
            ("löwe-狮子.png", "l%C3%B6we-%E7%8B%AE%E5%AD%90.png"),
            ("a#b.png", "a%23b.png"),
            ("100%.png", "100%25.png"),
            ("a?b&c=d.png", "a%3Fb%26c%3Dd.png"),
            ("a%2Fb.png", "a%252Fb.png"),
            ("a+b.png", "a%2Bb.png"),
            ("a\\b.png", "a%5Cb.png"),
            ("%2e%2e/x.png", "%252e%252e/x.png"),
            ("..x/.y/z..", "..x/.y/z.."),
            ("a!$'()*,;:@=~_-.png", "a%21%24%27%28%29%2A%2C%3B%3A%40%3D~_-.png"),
        ] {
            assert_eq!(path_of(id).unwrap(), format!("/users/9900000/media/{path}"), "{id}");
        }
    }

    #[test]
    fn ids_that_lead_elsewhere_are_refused() {
        for id in ["..", ".", "/", "/x", "x/", "a//b", "../x.png", "a/../b", "a/./b", "a/.."] {
            assert!(path_of(id).is_err(), "{id}");
        }
    }

    proptest! {
        #[test]
        fn no_id_leaves_the_folder(id in "\\PC{1,60}") {
            let Ok(id) = MediaId::new(&id) else { return Ok(()) };
            if let Ok(path) = media("/users/1/media/", &id) {
                let text = format!("https://api.example/v2{path}");
                let url = url::Url::parse(&text).unwrap();
                prop_assert_eq!(url.as_str(), &text);
                prop_assert!(url.path().starts_with("/v2/users/1/media/"));
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
