//! A `multipart/form-data` body (RFC 7578) with one file in it, whole in memory: so that its length is known and
//! it is never sent in chunks.

use bytes::{BufMut, Bytes, BytesMut};

use crate::domain::asset::MediaType;

/// A body and the type that announces it.
pub(crate) struct Form {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// The longest file name that is sent, in bytes: what a Linux file system allows.
const NAME_BYTES_MAX: usize = 255;

/// A form with one file in it. The boundary must not occur in the content: 122 random bits see to that.
pub(crate) fn one_file(field: &str, file_name: &str, content_type: &MediaType, content: &Bytes) -> Form {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let name = harmless_name(file_name);
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
         Content-Type: {content_type}\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let mut body = BytesMut::with_capacity(head.len() + content.len() + tail.len());
    body.put(head.as_bytes());
    body.put(content.as_ref());
    body.put(tail.as_bytes());
    Form { content_type: format!("multipart/form-data; boundary={boundary}"), body: body.freeze() }
}

/// The base name without what could end the header or the quotes early. Other characters go out as UTF-8, as the
/// official clients send them.
fn harmless_name(file_name: &str) -> String {
    let base = file_name.rsplit('/').next().unwrap_or_default();
    let mut name: String = base
        .chars()
        .map(|character| match character {
            '"' | '\\' | '\u{2028}' | '\u{2029}' => '_',
            control if control.is_control() => '_',
            other => other,
        })
        .collect();
    // From the front: the extension says what it is.
    while name.len() > NAME_BYTES_MAX {
        name.remove(0);
    }
    if name.is_empty() || name == "." || name == ".." { "file".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_made_harmless_and_otherwise_left_alone() {
        for (name, sent) in [
            ("logo.png", "logo.png"),
            ("sub/dir/logo.png", "logo.png"),
            ("my logo.png", "my logo.png"),
            ("löwe-狮子.png", "löwe-狮子.png"),
            ("a#b;c%.png", "a#b;c%.png"),
            ("a\"b.png", "a_b.png"),
            ("a\\b.png", "a_b.png"),
            ("a\r\nX-Evil: 1\r\n\r\nb.png", "a__X-Evil: 1____b.png"),
            ("a\0b\u{85}c\u{7f}.png", "a_b_c_.png"),
            ("dir/", "file"),
            ("", "file"),
            ("..", "file"),
        ] {
            assert_eq!(harmless_name(name), sent, "{name:?}");
        }
        let long = format!("{}.png", "ä".repeat(300));
        let cut = harmless_name(&long);
        assert!(cut.len() <= NAME_BYTES_MAX && cut.ends_with("ä.png"), "{cut}");
    }

    proptest! {
        #[test]
        fn no_name_ends_its_header_early(name in any::<String>()) {
            let sent = harmless_name(&name);
            prop_assert!(!sent.is_empty() && sent.len() <= NAME_BYTES_MAX);
            prop_assert!(!sent.chars().any(|c| c.is_control() || c == '"' || c == '\\' || c == '/'));
        }
    }

    #[test]
    fn the_content_is_sent_byte_for_byte() {
        let content: Bytes = (0..=255).collect::<Vec<u8>>().into();
        let form = one_file("file", "x.bin", &MediaType::new("image/png").unwrap(), &content);
        let boundary = form.content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.bin\"\r\nContent-Type: image/png\r\n\r\n"
        );
        let body = form.body.strip_prefix(head.as_bytes()).unwrap();
        assert_eq!(body.strip_suffix(format!("\r\n--{boundary}--\r\n").as_bytes()).unwrap(), &content);
    }
}
