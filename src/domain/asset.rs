//! The words of the domain: paths, names, hashes. Each is checked once, where it enters, and trusted after that.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

/// A text that is not the value it should be; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// Reads a value from a text without copying the text first.
struct Parse<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, Invalid>> serde::de::Visitor<'_> for Parse<F> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Declares a shared, immutable text with a check at its only entrance.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and takes it.
            pub fn new(text: &str) -> Result<Self, Invalid> {
                let check: fn(&str) -> Result<(), Invalid> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, out)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Parse(Self::new))
            }
        }
    };
}

text_type!(
    /// A file's path relative to root, with `/` between its segments on every system.
    RelPath,
    check_path
);
text_type!(
    /// The name that a manifest gives to a provider: its table's name.
    ProviderName,
    |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || !text.chars().all(plain) {
            return Err(Invalid("a provider's name is made of letters, digits, '-' and '_'"));
        }
        Ok(())
    }
);
text_type!(
    /// A media type such as `image/png`, in lower case and without parameters.
    MediaType,
    |text| {
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&-^_.+".contains(&b))
        };
        match text.split_once('/') {
            Some((kind, rest)) if token(kind) && token(rest) => Ok(()),
            _ => Err(Invalid("a media type looks like image/png, in lower case and without parameters")),
        }
    }
);
text_type!(
    /// The name that a media has at its provider, chosen by us or by the provider.
    MediaId,
    |text| {
        if text.is_empty() || text.len() > 900 || text.chars().any(char::is_control) {
            return Err(Invalid("a media ID has 1 to 900 bytes and no control characters"));
        }
        Ok(())
    }
);
text_type!(
    /// The account that a handle belongs to: a handle from another account is not ours to renew.
    Scope,
    |text| {
        if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            return Err(Invalid("an account has 1 to 200 bytes and no control characters"));
        }
        Ok(())
    }
);

fn check_path(text: &str) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(Invalid("a path names a file, so it is not empty"));
    }
    if text.starts_with('/') {
        return Err(Invalid("a path is relative to root, so it has no leading '/'"));
    }
    if text.contains('\0') {
        return Err(Invalid("a path holds no NUL"));
    }
    if text.len() > 4096 {
        return Err(Invalid("a path has at most 4096 bytes"));
    }
    for segment in text.as_bytes().split(|byte| *byte == b'/') {
        match segment {
            b"" => return Err(Invalid("a path has no empty segment")),
            b"." | b".." => {
                return Err(Invalid("a path has no '.' or '..' segment, so that it stays inside root"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl RelPath {
    /// The folder it lies in, without a trailing `/`; empty at the top level.
    #[must_use]
    pub fn dir(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    /// The last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// The last segment without its extension (`.htaccess` has none).
    #[must_use]
    pub fn stem(&self) -> &str {
        split_extension(self.file_name()).0
    }

    /// The extension without its dot, if there is one.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        split_extension(self.file_name()).1
    }

    /// Whether `self` is `folder` or lies somewhere below it.
    #[must_use]
    pub fn is_within(&self, folder: &Self) -> bool {
        self.0.strip_prefix(&*folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn split_extension(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => (stem, Some(extension)),
        _ => (name, None),
    }
}

/// The BLAKE3 hash of some content; 64 hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first `digits` hexadecimal digits.
    #[must_use]
    pub fn prefix(&self, digits: usize) -> String {
        let bytes = &self.0[..digits.div_ceil(2).min(self.0.len())];
        let mut hex = data_encoding::HEXLOWER.encode(bytes);
        hex.truncate(digits);
        hex
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "blake3:{}", self.prefix(12))
    }
}

impl FromStr for ContentHash {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut hash = [0; 32];
        let digits = text.as_bytes();
        // A state holds one for each entry: this is several times faster than BLAKE3's own.
        match HEXLOWER_PERMISSIVE.decode_len(digits.len()) {
            Ok(32) if HEXLOWER_PERMISSIVE.decode_mut(digits, &mut hash).is_ok() => Ok(Self(hash)),
            _ => Err(Invalid("a BLAKE3 hash is 64 hexadecimal digits")),
        }
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parse(|text: &str| text.parse()))
    }
}

/// One thing that is kept alive: a file at a provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// The file.
    pub path: RelPath,
    /// Where it must exist.
    pub provider: ProviderName,
}

impl EntryKey {
    /// Whether both are clones of one: a sign that they are equal which costs no comparison of texts.
    #[must_use]
    pub fn is_identical(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.path.0, &other.path.0) && Arc::ptr_eq(&self.provider.0, &other.provider.0)
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at {}", self.path, self.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_root() {
        for good in ["a.png", "brand/logo.png", ".hidden/x", "löwe-狮子.png", "a b\n.png", "..."] {
            assert!(RelPath::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "/a", "a//b", "a/", "../a", "a/../b", "./a", "a/.", "a\0b"] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_taken_apart() {
        let path = RelPath::new("brand/logo.min.png").unwrap();
        assert_eq!((path.dir(), path.stem(), path.extension()), ("brand", "logo.min", Some("png")));
        let bare = RelPath::new(".htaccess").unwrap();
        assert_eq!((bare.dir(), bare.stem(), bare.extension()), ("", ".htaccess", None));
        assert!(path.is_within(&RelPath::new("brand").unwrap()));
        assert!(!path.is_within(&RelPath::new("bra").unwrap()));
    }

    #[test]
    fn a_hash_survives_text() {
        let hash = ContentHash::of(b"abc");
        assert_eq!(hash.to_string().parse::<ContentHash>().unwrap(), hash);
        assert_eq!(hash.prefix(8).len(), 8);
        assert_eq!(hash.to_string().to_uppercase().parse::<ContentHash>().unwrap(), hash);
        for bad in
            ["abc", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), &format!("0x{}", "0".repeat(62))]
        {
            assert!(bad.parse::<ContentHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn media_types_are_plain() {
        assert!(MediaType::new("image/svg+xml").is_ok());
        for bad in ["image", "Image/PNG", "text/plain; charset=utf-8", "a/b/c", "image/"] {
            assert!(MediaType::new(bad).is_err(), "{bad}");
        }
    }
}
