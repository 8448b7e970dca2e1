//! IDs for providers at which an upload under an existing ID does not prolong its life: each renewal has an ID of its
//! own, `logo-1a2b3c4d.png` becoming `logo-1a2b3c4d-r<time>-<digest>.png`.
//!
//! The digest proves that an ID was made here and from which one, so that nothing about it has to be remembered, and
//! an ID that only looks like one is never taken for it.

use super::asset::MediaId;
use super::time::Timestamp;

/// The ID under which a renewal at this moment goes out. `None` where it would be too long for an ID.
#[must_use]
pub fn renewed(original: &MediaId, moment: Timestamp) -> Option<MediaId> {
    let (stem, extension) = split(original.as_str());
    let time = format!("{:x}", moment.unix_ms().max(0));
    let digest = digest(original.as_str(), &time);
    MediaId::new(&format!("{stem}{MARK}{time}-{digest}{extension}")).ok()
}

/// The ID that a renewal's ID was made from. `None` where it is no such ID.
#[must_use]
pub fn original(id: &MediaId) -> Option<MediaId> {
    let (stem, extension) = split(id.as_str());
    let (rest, stated) = stem.rsplit_once('-')?;
    let (stem, time) = rest.rsplit_once(MARK)?;
    let original = format!("{stem}{extension}");
    (digest(&original, time) == stated).then(|| MediaId::new(&original).ok()).flatten()
}

/// What is before the last segment's extension, and the extension with its dot.
fn split(id: &str) -> (&str, &str) {
    let segment = id.rfind('/').map_or(0, |slash| slash + 1);
    match id[segment..].rfind('.') {
        Some(dot) if dot > 0 => id.split_at(segment + dot),
        _ => (id, ""),
    }
}

fn digest(original: &str, time: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(original.as_bytes()).update(b"\0").update(time.as_bytes());
    hasher.finalize().to_hex()[..DIGITS].to_owned()
}

const MARK: &str = "-r";
/// Enough that no name is taken for one of ours by chance.
const DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MediaId {
        MediaId::new(text).unwrap()
    }

    #[test]
    fn a_renewals_id_leads_back_to_the_original_and_keeps_its_extension() {
        for text in ["brand/logo-1a2b3c4d.png", "x", "a.b/c", ".hidden", "a-r1-2.png", "ä/ö.jpeg", "a.tar.gz"]
        {
            let first = renewed(&id(text), Timestamp::from_unix_ms(1_764_000_000_123)).unwrap();
            let second = renewed(&id(text), Timestamp::from_unix_ms(1_764_000_000_124)).unwrap();
            assert_ne!(first, second);
            assert_eq!(original(&first), Some(id(text)), "{first}");
            assert_eq!(split(first.as_str()).1, split(text).1);
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        let real = renewed(&id("logo.png"), Timestamp::from_unix_ms(1_764_000_000_000)).unwrap();
        for text in [
            "logo.png".to_owned(),
            "logo-r19ab-12345678.png".to_owned(),
            real.as_str().replace("logo", "badge"),
            real.as_str().replace(".png", ".gif"),
            format!("x/{real}"),
        ] {
            assert_eq!(original(&id(&text)), None, "{text}");
        }
    }

    #[test]
    fn an_id_that_has_no_room_left_is_not_varied() {
        assert_eq!(renewed(&id(&"x".repeat(890)), Timestamp::from_unix_ms(1)), None);
    }
}
