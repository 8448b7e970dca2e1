//! What Plivo's replies say, and how much of it is believed.

use reqwest::header::HeaderMap;
use serde::Deserialize;
use url::Url;

use crate::domain::asset::MediaId;
use crate::domain::failure::FailureClass;
use crate::provider::classify::{Operation, Verdict, verdict};
use crate::provider::pause;
use crate::provider::{Found, Receipt};

/// The longest media URL that is believed, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// The reply to an upload or a list. Fields come and go between versions, so that none but the one that is needed
/// is required; `upload_time` is not read at all, because our own clock decides.
#[derive(Deserialize)]
pub(super) struct Objects {
    pub(super) objects: Vec<Media>,
    #[serde(default)]
    pub(super) meta: Option<Meta>,
}

/// Where a page of the list lies. Its links are never followed: they can be relative, hostile or wrong.
#[derive(Deserialize)]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) total_count: Option<u64>,
}

/// A media, in a reply.
#[derive(Deserialize)]
pub(super) struct Media {
    #[serde(default, rename = "media_id")]
    id: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default, rename = "media_url")]
    url: Option<String>,
    /// Its name until 2020.
    #[serde(default, rename = "url")]
    old_url: Option<String>,
}

/// Why an object of a reply is no receipt.
pub(super) struct NoReceipt {
    pub(super) class: FailureClass,
    pub(super) why: String,
}

impl NoReceipt {
    fn unexpected(why: impl Into<String>) -> Self {
        Self { class: FailureClass::Unexpected, why: why.into() }
    }
}

/// Whose URLs are believed, and what an account's URLs look like.
pub(super) struct Addresses {
    pub(super) base: Url,
    pub(super) auth_id: String,
}

impl Addresses {
    /// Whether a URL in a reply may be published: https on Plivo's own domain, or on the configured origin.
    fn believes(&self, text: &str) -> bool {
        if text.len() > URL_BYTES_MAX || !text.bytes().all(is_plain) {
            return false;
        }
        let Ok(url) = Url::parse(text) else { return false };
        let own = url.origin() == self.base.origin();
        let plivos = url.scheme() == "https" && url.host_str().is_some_and(is_plivos) && url.port().is_none();
        (own || plivos) && url.username().is_empty() && url.password().is_none()
    }

    fn url_of(&self, media: &Media, id: &MediaId) -> Result<String, NoReceipt> {
        match media.url.as_ref().or(media.old_url.as_ref()) {
            Some(url) if self.believes(url) => Ok(url.clone()),
            Some(_) => {
                Err(NoReceipt::unexpected("but the media URL in its reply is not on Plivo's own domain"))
            }
            // The documented form. It is known of Plivo itself only, not of something else at another address.
            None if self.base.host_str().is_some_and(is_plivos) => {
                Ok(format!("https://media.plivo.com/Account/{}/Media/{id}", self.auth_id))
            }
            None => Err(NoReceipt::unexpected("but its reply holds no media URL")),
        }
    }
}

/// What a URL is made of (RFC 3986), except for the quote: published URLs end up in shell scripts, too.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte)
}

fn is_plivos(host: &str) -> bool {
    host == "plivo.com" || host.ends_with(".plivo.com")
}

/// IDs are UUIDs; others are believed as long as they can't change a URL's shape.
fn usable_id(text: &str) -> Option<MediaId> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if !text.bytes().all(plain) || text == "." || text == ".." {
        return None;
    }
    MediaId::new(text).ok()
}

impl Objects {
    /// The receipt for the one file that was sent.
    pub(super) fn receipt(
        &self,
        bytes_sent: usize,
        addresses: &Addresses,
        headers: &HeaderMap,
    ) -> Result<Receipt, NoReceipt> {
        let [media] = self.objects.as_slice() else {
            let count = self.objects.len();
            return Err(NoReceipt::unexpected(format!("with {count} objects in its reply for one file")));
        };
        media.confirm()?;
        let bytes_sent = u64::try_from(bytes_sent).unwrap_or(u64::MAX);
        if let Some(size) = media.size.filter(|size| *size != bytes_sent) {
            return Err(NoReceipt::unexpected(format!("but it stored {size} bytes of {bytes_sent}")));
        }
        let id = media.id.as_deref().and_then(usable_id);
        let id = id.ok_or_else(|| NoReceipt::unexpected("but its reply holds no usable media ID"))?;
        let url = addresses.url_of(media, &id)?;
        Ok(Receipt { id, url, expires_at: None, server_date: pause::server_date(headers) })
    }
}

impl Media {
    /// Success is per file, inside a reply that is a success itself: both fields must say so.
    fn confirm(&self) -> Result<(), NoReceipt> {
        let stated = self.status.as_deref().is_some_and(|status| status.eq_ignore_ascii_case("success"));
        match self.status_code {
            Some(201) if stated => Ok(()),
            code => {
                let class = code.map_or(FailureClass::Unexpected, class_of_file);
                let words = self.error_message.as_deref().or(self.status.as_deref()).unwrap_or("no status");
                let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                Err(NoReceipt { class, why: format!("but for the file {code}: {words}") })
            }
        }
    }

    /// The media as a list or a look-up has it.
    pub(super) fn found(&self, addresses: &Addresses) -> Option<Found> {
        let id = self.id.as_deref().and_then(usable_id)?;
        let url = addresses.url_of(self, &id).ok();
        Some(Found { id, size: self.size, url })
    }
}

/// A file's own status code. What only an account can have (401, 404) is no fact about a file.
fn class_of_file(code: u16) -> FailureClass {
    match verdict(&[], Operation::Upload, code) {
        Verdict::Failed(class @ (FailureClass::Throttled | FailureClass::Unavailable)) => class,
        Verdict::Failed(_) if (400..500).contains(&code) => FailureClass::ContentRefused,
        _ => FailureClass::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn addresses(base: &str) -> Addresses {
        Addresses { base: base.parse().unwrap(), auth_id: "MAZTQ4NJRHOWY3ODK2MT".to_owned() }
    }

    fn object() -> Value {
        json!({
            "content_type": "image/jpeg", "file_name": "sample_file1.jpg",
            "media_id": "801c2056-33ab-499c-80ef-58b574a462a2", "size": 85277, "status": "success",
            "status_code": 201, "upload_time": "2021-02-18T11:21:55.972100055Z",
            "media_url": "https://media.plivo.com/Account/MAZTQ4NJRHOWY3ODK2MT/Media/801c2056-33ab-499c-80ef-58b574a462a2"
        })
    }

    fn receipt_of(objects: &[Value], base: &str) -> Result<Receipt, NoReceipt> {
        let reply: Objects = serde_json::from_value(json!({"api_id": "x", "objects": objects})).unwrap();
        reply.receipt(85277, &addresses(base), &HeaderMap::new())
    }

    fn with(field: &str, value: Value) -> Result<Receipt, NoReceipt> {
        let mut object = object();
        object[field] = value;
        receipt_of(&[object], "https://api.plivo.com")
    }

    fn without(field: &str) -> Result<Receipt, NoReceipt> {
        let mut object = object();
        object.as_object_mut().unwrap().remove(field);
        receipt_of(&[object], "https://api.plivo.com")
    }

    #[test]
    fn a_file_is_confirmed_by_its_own_status() {
        let table = [
            (json!("success"), json!(201), None),
            (json!("Success"), json!(201), None),
            (json!("failed"), json!(201), Some(FailureClass::Unexpected)),
            (json!("success"), json!(200), Some(FailureClass::Unexpected)),
            (json!("success"), json!(null), Some(FailureClass::Unexpected)),
            (json!(null), json!(201), Some(FailureClass::Unexpected)),
            (json!("failed"), json!(400), Some(FailureClass::ContentRefused)),
            (json!("failed"), json!(413), Some(FailureClass::ContentRefused)),
            (json!("failed"), json!(404), Some(FailureClass::ContentRefused)),
            (json!("failed"), json!(429), Some(FailureClass::Throttled)),
            (json!("failed"), json!(500), Some(FailureClass::Unavailable)),
            (json!("failed"), json!(0), Some(FailureClass::Unexpected)),
        ];
        for (status, code, class) in table {
            let mut object = object();
            (object["status"], object["status_code"]) = (status.clone(), code.clone());
            let outcome = receipt_of(&[object], "https://api.plivo.com").map_err(|refusal| refusal.class);
            assert_eq!(outcome.err(), class, "{status} {code}");
        }
    }

    #[test]
    fn one_file_has_exactly_one_object() {
        assert!(receipt_of(&[], "https://api.plivo.com").is_err());
        assert!(receipt_of(&[object(), object()], "https://api.plivo.com").is_err());
    }

    #[test]
    fn a_size_that_differs_is_no_success_and_a_missing_one_is() {
        assert!(with("size", json!(85276)).is_err());
        assert!(without("size").is_ok());
    }

    #[test]
    fn an_id_is_needed_and_must_not_change_a_url() {
        for id in
            [json!(null), json!(""), json!("../x"), json!("a b"), json!("a/b"), json!(".."), json!("a?b")]
        {
            assert!(with("media_id", id.clone()).is_err(), "{id}");
        }
    }

    #[test]
    fn the_url_comes_from_the_reply_or_from_the_id() {
        let told =
            "https://media.plivo.com/Account/MAZTQ4NJRHOWY3ODK2MT/Media/801c2056-33ab-499c-80ef-58b574a462a2";
        assert_eq!(with("x", json!(1)).ok().unwrap().url, told);
        assert_eq!(without("media_url").ok().unwrap().url, told);
        let mut old = object();
        old["url"] = json!("https://media.plivo.com/old");
        old.as_object_mut().unwrap().remove("media_url");
        assert_eq!(
            receipt_of(&[old.clone()], "https://api.plivo.com").ok().unwrap().url,
            "https://media.plivo.com/old"
        );
        old.as_object_mut().unwrap().remove("url");
        assert!(receipt_of(&[old], "http://127.0.0.1:8480").is_err());
    }

    #[test]
    fn a_url_is_believed_on_its_own_ground_only() {
        let believed = ["https://media.plivo.com/x", "https://plivo.com/x", "https://a.b.plivo.com/x?y=z"];
        let long = format!("https://media.plivo.com/{}", "x".repeat(2048));
        let refused = [
            "http://media.plivo.com/x",
            "https://evil.example/x",
            "https://media.plivo.com.evil.example/x",
            "https://notplivo.com/x",
            "https://media.plivo.com@evil.example/x",
            "https://user:password@media.plivo.com/x",
            "https://media.plivo.com:8443/x",
            "javascript:alert(1)",
            "//media.plivo.com/x",
            "/Account/x",
            "https://media.plivo.com/a\nb",
            "https://media.plivo.com/a b",
            "https://media.plivo.com/';reboot;'",
            "https://media.plivo.com/\"x",
            "https://media.plivo.com/\u{202e}x",
            "https://media.plivo.com\\@evil.example/x",
            "",
            &long,
        ];
        let of_plivo = addresses("https://api.plivo.com");
        for url in believed {
            assert!(of_plivo.believes(url), "{url}");
        }
        for url in refused {
            assert!(!of_plivo.believes(url), "{url}");
            assert!(with("media_url", json!(url)).is_err(), "{url}");
        }
        let of_loopback = addresses("http://127.0.0.1:8480");
        assert!(of_loopback.believes("http://127.0.0.1:8480/media/x"));
        assert!(!of_loopback.believes("http://127.0.0.1:8481/media/x"));
        assert!(!of_loopback.believes("https://127.0.0.1:8480/media/x"));
    }
}
