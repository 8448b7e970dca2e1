//! What a provider says in the body of a refusal, in whichever of its shapes.
//!
//! The words are advice for people. Nothing is ever decided by them: the status decides.

use serde_json::Value;

/// The provider's own words, if the body holds any. They are not cleaned yet.
///
/// Known shapes: Bandwidth's `{type, description}` and its gateway's `{status, error, message, path}`, Plivo's
/// `error` (a text or an object), `message`, `global_error`, per-file `error_message`, and `{}`; OAuth2's
/// `{error, error_description}`; plain text; and pages for browsers, which are named and not repeated.
pub(crate) fn words(body: &[u8]) -> Option<String> {
    // A page is told by its first bytes, so what follows may be cut anywhere.
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return None;
    }
    if text.starts_with('<') {
        return Some("a page for browsers, from something in between".to_owned());
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => json_words(&value),
        Err(_) => Some(text.to_owned()),
    }
}

fn json_words(value: &Value) -> Option<String> {
    let field = |name: &str| text(value.get(name));
    if let Some(description) = field("description") {
        return Some(joined(field("type").as_deref(), &description));
    }
    if let Some(description) = field("error_description") {
        return Some(joined(field("error").as_deref(), &description));
    }
    field("message")
        .or_else(|| field("error"))
        .or_else(|| field("global_error"))
        .or_else(|| field("error_message"))
        .or_else(|| nested(value, &["data", "error"]))
        .or_else(|| nested(value, &["errors", "global_error"]))
        .or_else(|| value.get("objects")?.as_array()?.iter().find_map(json_words))
        .or_else(|| value.as_str().map(str::to_owned))
}

fn nested(value: &Value, path: &[&str]) -> Option<String> {
    text(path.iter().try_fold(value, |value, name| value.get(name)))
}

/// A text, or the text inside an error object.
fn text(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let inner = ["message", "error", "description"].iter().find_map(|name| value.get(name)?.as_str());
    value.as_str().or(inner).filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

fn joined(kind: Option<&str>, description: &str) -> String {
    kind.map_or_else(|| description.to_owned(), |kind| format!("{kind}: {description}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_shape_is_read() {
        let table: &[(&str, Option<&str>)] = &[
            (
                r#"{"type": "unauthorized", "description": "Authentication Failed"}"#,
                Some("unauthorized: Authentication Failed"),
            ),
            (
                r#"{"timestamp": "2019-09-09T19:02:19.253+0000", "status": 404, "error": "Not Found",
                   "message": "Not Found", "path": "/api/v2/users/1/messages/happy"}"#,
                Some("Not Found"),
            ),
            (
                r#"{"error": "authentication credentials were not provided"}"#,
                Some("authentication credentials were not provided"),
            ),
            (r#"{"api_id": "x", "error": "not found"}"#, Some("not found")),
            (r#"{"api_id": "x", "error": {"message": "too many files"}}"#, Some("too many files")),
            (r#"{"api_id": "x", "error": {"error": "inner"}}"#, Some("inner")),
            (r#"{"message": "slow down"}"#, Some("slow down")),
            (r#"{"global_error": "nothing works"}"#, Some("nothing works")),
            (r#"{"data": {"error": "deep"}}"#, Some("deep")),
            (r#"{"errors": {"global_error": "deeper"}}"#, Some("deeper")),
            (r#"{"objects": [{"status": "failed", "error_message": "bad file"}]}"#, Some("bad file")),
            (
                r#"{"error": "invalid_client", "error_description": "Client authentication failed"}"#,
                Some("invalid_client: Client authentication failed"),
            ),
            (r#""just a text""#, Some("just a text")),
            ("Not Found\n", Some("Not Found")),
            ("{\"error\": \"cut of", Some("{\"error\": \"cut of")),
            ("{}", None),
            ("[]", None),
            ("null", None),
            ("", None),
            ("  \r\n", None),
            (r#"{"error": ""}"#, None),
            (r#"{"error": 17}"#, None),
        ];
        for (body, words_expected) in table {
            assert_eq!(words(body.as_bytes()).as_deref(), *words_expected, "{body}");
        }
    }

    #[test]
    fn a_page_is_named_and_not_repeated() {
        for body in
            ["<html>secret</html>", "\u{feff}\n<!DOCTYPE html><title>x</title>", "<?xml version='1.0'?>"]
        {
            let said = words(body.as_bytes()).unwrap();
            assert!(said.contains("page for browsers") && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert!(words(&[0xff, 0xfe, 0x00, 0x41]).is_some());
        let deep = "[".repeat(100_000);
        assert!(words(deep.as_bytes()).is_some());
    }
}
