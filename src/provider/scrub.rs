//! Keeps secrets out of words: what a provider or a library says is never repeated before it went through here.

use std::borrow::Cow;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

/// The longest detail of a failure, in characters.
pub(crate) const DETAIL_CHARS: usize = 200;

const MASK: &str = "***";

/// What must not be shown, in every form in which somebody may repeat it.
pub(crate) struct Scrubber {
    /// Longest first, so that no form is cut apart by a shorter one.
    forms: Vec<SecretString>,
    /// Those of the token in use and of the one before it.
    token_forms: RwLock<[Vec<SecretString>; 2]>,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Scrubber")
    }
}

impl Scrubber {
    /// Knows these secrets. A pair such as `user:password` is one of them: its base64 form goes over the wire.
    pub(crate) fn new(secrets: &[&str]) -> Self {
        let mut forms: Vec<SecretString> = secrets.iter().flat_map(|secret| forms_of(secret)).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
        Self { forms, token_forms: RwLock::default() }
    }

    /// Learns a token that was issued meanwhile, and forgets all but the one before it.
    pub(crate) fn learn_token(&self, token: &str) {
        let mut slots = self.token_forms.write().unwrap_or_else(PoisonError::into_inner);
        slots.swap(0, 1);
        slots[0] = forms_of(token);
    }

    /// The text without secrets, invisible characters and line breaks, at most `chars_max` characters long.
    pub(crate) fn safe(&self, text: &str, chars_max: usize) -> String {
        // Before the cleaning, because it changes spaces; and after it, because it can join what was apart.
        let cleaned = clean(&self.masked(text));
        capped(&self.masked(&cleaned), chars_max)
    }

    fn masked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let tokens = self.token_forms.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = Cow::Borrowed(text);
        for form in tokens.iter().flatten().chain(&self.forms) {
            if text.contains(form.expose_secret()) {
                text = Cow::Owned(text.replace(form.expose_secret(), MASK));
            }
        }
        text
    }
}

fn forms_of(secret: &str) -> Vec<SecretString> {
    let quoted = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        clean(secret),
        // Without padding: what follows it is no secret.
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        quoted.trim_matches('"').to_owned(),
    ];
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms.into_iter().filter(|form| !form.is_empty()).map(SecretString::from).collect()
}

/// One line of what can be seen: runs of white space and control characters become one space, and characters that
/// only steer the display (which can make a log line look like another) go.
pub(crate) fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars().filter(|character| !steers_display(*character)) {
        if character.is_control() || character.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else {
            line.push(character);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

const fn steers_display(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// The text, cut with an ellipsis where it is longer than that.
pub(crate) fn capped(text: &str, chars_max: usize) -> String {
    if text.chars().nth(chars_max).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    const SECRET: &str = "p\"a ss/w+örd";

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let pair = format!("user:{SECRET}");
        let scrubber = Scrubber::new(&[SECRET, &pair]);
        for form in [
            SECRET.to_owned(),
            STANDARD.encode(SECRET),
            format!("Basic {}", STANDARD.encode(&pair)),
            utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string(),
            serde_json::Value::from(SECRET).to_string(),
            SECRET.replace('p', "p\u{200b}\u{0}").replace('\0', ""),
        ] {
            let shown = scrubber.safe(&format!("you sent {form}, sorry"), 200);
            assert!(shown.starts_with("you sent ") && shown.contains("***"), "{form:?} -> {shown:?}");
            assert!(!shown.contains("ss/w") && !shown.contains(&STANDARD_NO_PAD.encode(SECRET)), "{shown:?}");
        }
    }

    #[test]
    fn tokens_are_learnt_and_the_one_before_is_not_forgotten() {
        let scrubber = Scrubber::new(&[]);
        scrubber.learn_token("first-token");
        scrubber.learn_token("second-token");
        assert_eq!(scrubber.safe("first-token second-token", 200), "*** ***");
    }

    #[test]
    fn a_line_stays_one_line() {
        for (text, line) in [
            ("a\r\nb", "a b"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("  x \t\n ", "x"),
            ("a\u{202e}b\u{200b}c\u{feff}", "abc"),
            ("a\u{2028}b\u{85}c", "a b c"),
        ] {
            assert_eq!(clean(text), line, "{text:?}");
        }
    }

    #[test]
    fn a_cut_counts_characters() {
        assert_eq!(capped("löwe", 4), "löwe");
        assert_eq!(capped("löwen", 4), "löw…");
        assert_eq!(capped("", 4), "");
    }

    proptest! {
        #[test]
        fn nothing_unprintable_and_no_secret_gets_through(
            before in ".{0,80}", after in ".{0,80}", secret in "[!-~]{6,30}"
        ) {
            let shown = Scrubber::new(&[&secret]).safe(&format!("{before}{secret}{after}"), DETAIL_CHARS);
            prop_assert!(!shown.contains(&secret));
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert!(shown.chars().count() <= DETAIL_CHARS);
        }
    }
}
