//! "Did you mean": the known name that a mistyped one is nearest to.

/// The longest text that is compared, and the most names that it is compared with: a broken file must not take
/// time that grows with its square.
const COMPARED_MAX: usize = 64;

/// The nearest name, if one is near enough that somebody could have meant it.
pub(super) fn nearest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if text.len() > COMPARED_MAX {
        return None;
    }
    let wanted = plain(text);
    let near = names.into_iter().take(COMPARED_MAX).filter(|name| name.len() <= COMPARED_MAX).map(|name| {
        let distance = strsim::osa_distance(&wanted, &plain(name));
        (distance, name)
    });
    let allowed = |name: &str| (wanted.chars().count().max(name.chars().count()) / 3).max(1);
    near.filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Whether a text is a name but for one slip, so that nothing else can be meant. Of short names, each is a slip of others.
pub(super) fn is_slip(text: &str, name: &str) -> bool {
    const SHORT: usize = 4;
    name.len() >= SHORT && text.len() <= COMPARED_MAX && strsim::osa_distance(&plain(text), &plain(name)) <= 1
}

fn plain(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_different_word_is_not() {
        let names = ["content_type", "cache_control", "file", "files", "to", "id"];
        for (typed, meant) in [
            ("content-type", Some("content_type")),
            ("ContentType", Some("content_type")),
            ("flie", Some("file")),
            ("cache-contrl", Some("cache_control")),
            ("password", None),
            ("xy", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
        assert_eq!(nearest(&"file".repeat(1000), names), None);
    }
}
