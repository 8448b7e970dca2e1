//! From bytes to TOML. What is said about broken text is where it is broken, and never what stands there.

use toml::de::{DeTable, Error};

use super::problem::{Draft, Place, Problems, SourceName, Span};

/// So many syntax errors are reported one by one; the rest of a file that is no TOML at all is only counted.
const ERRORS_MAX: usize = 50;

/// The text, or the part of it before the first byte that is not UTF-8, and its tables if it is TOML.
pub(super) fn read<'a>(
    source: SourceName,
    bytes: &'a [u8],
    problems: &mut Problems,
) -> (&'a str, Option<DeTable<'a>>) {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let end = error.valid_up_to();
            let draft = Draft::error("not UTF-8 from here on").at(&Place::new(source, &(end..end)), "");
            problems.add(draft.help("save the file as UTF-8"));
            return (str::from_utf8(&bytes[..end]).unwrap_or_default(), None);
        }
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return (text, Some(root.into_inner()));
    }
    report(source, text, &errors, problems);
    (text, None)
}

fn report(source: SourceName, text: &str, errors: &[Error], problems: &mut Problems) {
    let span = |error: &Error| error.span().unwrap_or(text.len()..text.len());
    let mut found: Vec<(Span, &Error)> = errors.iter().map(|error| (span(error), error)).collect();
    found.sort_by_key(|(span, _)| span.start);
    // One slip makes the reader stumble several times in its line.
    let mut last = None;
    found.retain(|(span, _)| {
        let between = last.map(|last| text.get(last..span.start).unwrap_or_default());
        last = Some(span.start);
        between.is_none_or(|between| between.contains('\n'))
    });
    let rest = found.len().saturating_sub(ERRORS_MAX);
    for (position, (span, error)) in found.iter().take(ERRORS_MAX).enumerate() {
        let draft = draft(source, text, span, error);
        let first = position == 0;
        problems.add(if first {
            draft.help("the line is not shown, because it could hold a secret")
        } else {
            draft
        });
    }
    if rest > 0 {
        let place = Place::new(source, &found[ERRORS_MAX].0);
        problems.add(Draft::error(format!("and {rest} more lines with syntax errors")).at(&place, ""));
    }
}

fn draft(source: SourceName, text: &str, span: &Span, error: &Error) -> Draft {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or_default();
    if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|marker| line.starts_with(marker)) {
        let place = Place::new(source, &(start..start));
        return Draft::error("a merge conflict that is not resolved").at(&place, "");
    }
    Draft::error(format!("not valid TOML: {}", error.message())).at(&Place::new(source, span), "")
}
