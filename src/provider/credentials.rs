//! From a reference in the manifest to the secret it stands for.
//!
//! Nothing is remembered: a secret that was rotated is there the next time it is asked for. Errors name provider,
//! key and reference, and never the value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::asset::ProviderName;
use crate::domain::kind::SettingSpec;
use crate::domain::manifest::{ProviderConfig, Setting};

/// The largest file that is read for a secret, in bytes.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where environment variables come from.
pub trait Lookups: Send + Sync {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Lookups for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// An environment that is written down; for tests, and for a provider inside this process.
impl Lookups for BTreeMap<String, String> {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.get(name).map(OsString::from)
    }
}

/// A credential reference that leads to nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("provider {provider}: {key}: {problem}")]
pub struct CredentialError {
    /// The provider's name in the manifest.
    pub provider: ProviderName,
    /// The key in its table.
    pub key: &'static str,
    /// What is wrong, and what to do about it.
    pub problem: CredentialProblem,
}

/// What is wrong with a credential reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialProblem {
    /// The table does not have the key.
    #[error("missing; add it to the provider's table")]
    Missing,
    /// A secret stands in the manifest itself.
    #[error("a secret is never written into a manifest; refer to it: {{ env = \"NAME\" }}")]
    Literal,
    /// What is referred to is not there.
    #[error("{0} is not set")]
    NotSet(Reference),
    /// The service was not started with credentials.
    #[error(
        "{0} needs a service that systemd starts with LoadCredential=, but CREDENTIALS_DIRECTORY is not set"
    )]
    NoCredentialsDirectory(Reference),
    /// The name can't be one.
    #[error("{0} has a name that none can have")]
    BadName(Reference),
    /// A file can't be read.
    #[error("{reference} can't be read ({}); it must be a file that mediakeep's user may read", describe(*kind))]
    Unreadable {
        /// The file.
        reference: Reference,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// It is no regular file.
    #[error("{0} is not a regular file")]
    NotAFile(Reference),
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(Reference),
    /// It is far longer than a secret is.
    #[error("{0} is larger than {SECRET_BYTES_MAX} bytes, which is no secret")]
    TooLarge(Reference),
    /// It holds what no such setting can hold.
    #[error("{reference} {why}")]
    Unusable {
        /// Where it came from.
        reference: Reference,
        /// What is wrong with the value, without the value.
        why: &'static str,
    },
}

fn describe(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "it does not exist",
        io::ErrorKind::PermissionDenied => "permission denied",
        _ => "the system reports an error",
    }
}

/// The place that a setting refers to, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The value itself is in the manifest.
    Literal,
    /// An environment variable; its name only where it looks like one, because people put secrets there.
    Variable(Option<String>),
    /// A systemd credential; its name only where it looks like one.
    Credential(Option<String>),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal => out.write_str("the value"),
            Self::Variable(Some(name)) => write!(out, "the environment variable {name}"),
            Self::Variable(None) => out.write_str("an environment variable"),
            Self::Credential(Some(name)) => write!(out, "the systemd credential {name}"),
            Self::Credential(None) => out.write_str("a systemd credential"),
            // A path may hold anything, line breaks included.
            Self::File(path) => write!(out, "the file {}", path.to_string_lossy().escape_debug()),
        }
    }
}

impl Reference {
    /// Where a setting is.
    pub(crate) fn to(setting: &Setting) -> Self {
        match setting {
            Setting::Literal(_) => Self::Literal,
            Setting::Env(name) => Self::Variable(is_variable_name(name).then(|| name.clone())),
            Setting::Credential(name) => Self::Credential(is_credential_name(name).then(|| name.clone())),
            Setting::File(path) => Self::File(path.clone()),
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(plain) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// One path segment, as systemd has it.
fn is_credential_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    !name.is_empty() && name.len() <= 255 && name.bytes().all(plain) && name != "." && name != ".."
}

/// Looks up what a setting stands for.
///
/// The value has no trailing line break (one is cut off), no NUL, and is not empty.
///
/// # Errors
/// A [`CredentialProblem`] that says what to do.
pub fn resolve(setting: &Setting, lookups: &dyn Lookups) -> Result<SecretString, CredentialProblem> {
    let reference = || Reference::to(setting);
    let value = match setting {
        Setting::Literal(text) => Zeroizing::new(text.clone().into_bytes()),
        Setting::Env(name) => variable(name, lookups, reference)?,
        Setting::Credential(name) => credential(name, lookups, reference)?,
        Setting::File(path) => file(path, reference)?,
    };
    let unusable = |why| CredentialProblem::Unusable { reference: reference(), why };
    let text = std::str::from_utf8(&value).map_err(|_| unusable("is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.contains('\0') {
        return Err(unusable("holds a NUL byte"));
    }
    if text.trim().is_empty() {
        return Err(CredentialProblem::Empty(reference()));
    }
    Ok(SecretString::from(text))
}

type Bytes = Zeroizing<Vec<u8>>;

fn variable(
    name: &str,
    lookups: &dyn Lookups,
    reference: impl Fn() -> Reference,
) -> Result<Bytes, CredentialProblem> {
    if !is_variable_name(name) {
        return Err(CredentialProblem::BadName(reference()));
    }
    let value = lookups.variable(name).ok_or_else(|| CredentialProblem::NotSet(reference()))?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

fn credential(
    name: &str,
    lookups: &dyn Lookups,
    reference: impl Fn() -> Reference,
) -> Result<Bytes, CredentialProblem> {
    if !is_credential_name(name) {
        return Err(CredentialProblem::BadName(reference()));
    }
    let folder = lookups
        .variable("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| CredentialProblem::NoCredentialsDirectory(reference()))?;
    file(&Path::new(&folder).join(name), reference)
}

fn file(path: &Path, reference: impl Fn() -> Reference) -> Result<Bytes, CredentialProblem> {
    let unreadable =
        |error: io::Error| CredentialProblem::Unreadable { reference: reference(), kind: error.kind() };
    // Asked before it is opened: opening a FIFO would wait for a writer.
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(CredentialProblem::NotAFile(reference()));
    }
    let capacity = usize::try_from(about.len().min(SECRET_BYTES_MAX) + 2).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let mut limited = File::open(path).map_err(unreadable)?.take(SECRET_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SECRET_BYTES_MAX {
        return Err(CredentialProblem::TooLarge(reference()));
    }
    Ok(bytes)
}

/// Tells the values of a provider's table from others (see [`Resolved::mark`]). It is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// What a provider's table says, looked up.
#[derive(Debug)]
pub struct Resolved {
    provider: ProviderName,
    values: BTreeMap<&'static str, SecretString>,
}

impl Resolved {
    /// The value of a key.
    ///
    /// # Errors
    /// [`CredentialProblem::Missing`] where the table does not have it.
    pub fn get(&self, key: &'static str) -> Result<&str, CredentialError> {
        self.values
            .get(key)
            .map(SecretString::expose_secret)
            .ok_or_else(|| self.error(key, CredentialProblem::Missing))
    }

    /// What tells these values from others: the same for the same values and marker, and of no use without that.
    #[must_use]
    pub fn mark(&self, marker: &RandomState) -> Mark {
        let values: Vec<_> = self.values.iter().map(|(key, value)| (key, value.expose_secret())).collect();
        Mark(marker.hash_one(values))
    }

    /// Whether the table has a key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The error of a key whose value can't be used, for a reason that does not repeat it.
    #[must_use]
    pub fn unusable(&self, key: &'static str, why: &'static str) -> CredentialError {
        self.error(key, CredentialProblem::Unusable { reference: Reference::Literal, why })
    }

    fn error(&self, key: &'static str, problem: CredentialProblem) -> CredentialError {
        CredentialError { provider: self.provider.clone(), key, problem }
    }
}

/// Looks up every setting of a provider's table.
///
/// # Errors
/// The first setting that can't be looked up.
pub fn resolve_all(
    provider: &ProviderName,
    config: &ProviderConfig,
    lookups: &dyn Lookups,
) -> Result<Resolved, CredentialError> {
    let mut values = BTreeMap::new();
    for spec in config.kind.settings {
        let value = look_up(provider, spec, config, lookups)?;
        values.extend(value.map(|value| (spec.name, value)));
    }
    Ok(Resolved { provider: provider.clone(), values })
}

/// Every setting of a provider's table that can't be looked up, so that nobody has to mend them one run at a time.
#[must_use]
pub fn unresolved(
    provider: &ProviderName,
    config: &ProviderConfig,
    lookups: &dyn Lookups,
) -> Vec<CredentialError> {
    let problem = |spec| look_up(provider, spec, config, lookups).err();
    config.kind.settings.iter().filter_map(problem).collect()
}

fn look_up(
    provider: &ProviderName,
    spec: &SettingSpec,
    config: &ProviderConfig,
    lookups: &dyn Lookups,
) -> Result<Option<SecretString>, CredentialError> {
    let error = |problem| CredentialError { provider: provider.clone(), key: spec.name, problem };
    match config.settings.get(spec.name) {
        None if spec.required => Err(error(CredentialProblem::Missing)),
        None => Ok(None),
        Some(Setting::Literal(_)) if spec.secret => Err(error(CredentialProblem::Literal)),
        Some(setting) => resolve(setting, lookups).map(Some).map_err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "c4n4ry-s3cr3t";

    type Check = fn(&CredentialProblem) -> bool;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
        use std::io::Write as _;
        let path = folder.join(name);
        File::create(&path).unwrap().write_all(content).unwrap();
        path
    }

    #[test]
    fn every_kind_of_reference_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "bandwidth-password", format!("{CANARY}\n").as_bytes());
        let lookups =
            environment(&[("PASSWORD", CANARY), ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]);
        for setting in [
            Setting::Literal(CANARY.to_owned()),
            Setting::Env("PASSWORD".to_owned()),
            Setting::Credential("bandwidth-password".to_owned()),
            Setting::File(path),
        ] {
            assert_eq!(resolve(&setting, &lookups).unwrap().expose_secret(), CANARY, "{setting:?}");
        }
    }

    #[test]
    fn a_rotated_secret_is_seen_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting::File(write(folder.path(), "secret", b"old"));
        assert_eq!(resolve(&setting, &environment(&[])).unwrap().expose_secret(), "old");
        write(folder.path(), "secret", b"new");
        assert_eq!(resolve(&setting, &environment(&[])).unwrap().expose_secret(), "new");
    }

    #[test]
    fn one_line_break_is_cut_off_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        for (content, value) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
            ("a:b\"c", "a:b\"c"),
            ("ä狮", "ä狮"),
        ] {
            let setting = Setting::File(write(folder.path(), "secret", content.as_bytes()));
            assert_eq!(resolve(&setting, &environment(&[])).unwrap().expose_secret(), value, "{content:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_by_reason() {
        use CredentialProblem as P;
        let folder = tempfile::tempdir().unwrap();
        let lookups = environment(&[("EMPTY", ""), ("BLANK", " \n")]);
        let at = |name: &str, content: &[u8]| Setting::File(write(folder.path(), name, content));
        let table: Vec<(Setting, Check)> = vec![
            (Setting::Env("EMPTY".into()), |p| matches!(p, P::Empty(_))),
            (Setting::Env("BLANK".into()), |p| matches!(p, P::Empty(_))),
            (Setting::Env("UNSET".into()), |p| matches!(p, P::NotSet(_))),
            (Setting::Env("not a name".into()), |p| matches!(p, P::BadName(_))),
            (Setting::Env(String::new()), |p| matches!(p, P::BadName(_))),
            (Setting::Credential("x".into()), |p| matches!(p, P::NoCredentialsDirectory(_))),
            (Setting::Credential("../x".into()), |p| matches!(p, P::BadName(_))),
            (Setting::Credential("..".into()), |p| matches!(p, P::BadName(_))),
            (Setting::File(folder.path().join("none")), |p| {
                matches!(p, P::Unreadable { kind: io::ErrorKind::NotFound, .. })
            }),
            (Setting::File(folder.path().to_owned()), |p| matches!(p, P::NotAFile(_))),
            (Setting::File("/dev/zero".into()), |p| matches!(p, P::NotAFile(_))),
            (at("empty", b""), |p| matches!(p, P::Empty(_))),
            (at("newline", b"\n"), |p| matches!(p, P::Empty(_))),
            (at("nul", b"a\0b"), |p| matches!(p, P::Unusable { .. })),
            (at("latin1", b"\xe4"), |p| matches!(p, P::Unusable { .. })),
            (at("large", &vec![b'x'; 64 * 1024 + 1]), |p| matches!(p, P::TooLarge(_))),
        ];
        for (setting, is_expected) in table {
            let problem = resolve(&setting, &lookups).unwrap_err();
            assert!(is_expected(&problem), "{setting:?}: {problem}");
        }
        let most = at("most", &vec![b'x'; 64 * 1024]);
        assert_eq!(resolve(&most, &lookups).unwrap().expose_secret().len(), 64 * 1024);
    }

    #[test]
    fn errors_name_the_reference_and_never_the_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "secret", format!("{CANARY}\0").as_bytes());
        let lookups = environment(&[("PASSWORD", "")]);
        for (setting, named) in [
            (Setting::Env("PASSWORD".into()), "the environment variable PASSWORD is empty"),
            (Setting::Env(format!("{CANARY}!")), "an environment variable has a name"),
            (Setting::Credential(format!("{CANARY}/x")), "a systemd credential has a name"),
            (Setting::File(path.clone()), path.to_str().unwrap()),
        ] {
            let problem = resolve(&setting, &lookups).unwrap_err();
            assert!(problem.to_string().contains(named), "{problem}");
            assert!(!format!("{problem} {problem:?}").contains(CANARY), "{problem:?}");
        }
    }
}
