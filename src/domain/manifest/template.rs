//! Media IDs as templates: text with places for what is only known once a file and its content are.

use std::fmt;

use crate::domain::asset::{ContentHash, MediaId, MediaType, RelPath};
use crate::domain::media_type;

/// A media ID with places for what is only known later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTemplate {
    parts: Vec<Part>,
    /// Whether what fills a place keeps only `A-Z a-z 0-9 . _ -` and the `/` between segments.
    plain: bool,
}

/// A text that is no template of media IDs; says why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct BadTemplate {
    /// What is wrong; fits after the template's name.
    pub problem: String,
    /// What to do about it.
    pub help: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Place(Placeholder),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Path,
    Dir,
    Name,
    Stem,
    Ext,
    Hash8,
    Hash16,
    Hash,
}

impl Placeholder {
    const ALL: [Self; 8] =
        [Self::Path, Self::Dir, Self::Name, Self::Stem, Self::Ext, Self::Hash8, Self::Hash16, Self::Hash];

    const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Dir => "dir",
            Self::Name => "name",
            Self::Stem => "stem",
            Self::Ext => "ext",
            Self::Hash8 => "hash8",
            Self::Hash16 => "hash16",
            Self::Hash => "hash",
        }
    }

    /// How many digits of the hash it stands for.
    const fn digits(self) -> usize {
        match self {
            Self::Hash8 => 8,
            Self::Hash16 => 16,
            Self::Hash => 64,
            _ => 0,
        }
    }

    const fn is_hash(self) -> bool {
        self.digits() > 0
    }
}

impl IdTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// An unknown or unclosed placeholder, or an ID that no provider could take whatever fills it.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let template = Self { parts: parts(text)?, plain: false };
        let sample: String = template.parts.iter().map(|part| part.text().unwrap_or("x")).collect();
        check_id(&sample).map_err(|problem| BadTemplate { problem, help: None })?;
        Ok(template)
    }

    /// The template where the client names media and the manifest does not: `{dir}/{stem}-{hash8}.{ext}`, in plain
    /// characters. New content has a new ID, so that no cache at the provider can hand out the old one.
    #[must_use]
    pub fn default_for_client_named() -> Self {
        let text = |text: &str| Part::Text(text.into());
        let parts = vec![
            Part::Place(Placeholder::Dir),
            text("/"),
            Part::Place(Placeholder::Stem),
            text("-"),
            Part::Place(Placeholder::Hash8),
            text("."),
            Part::Place(Placeholder::Ext),
        ];
        Self { parts, plain: true }
    }

    /// Whether new content under the same path has a new ID.
    #[must_use]
    pub fn depends_on_content(&self) -> bool {
        self.placeholders().any(Placeholder::is_hash)
    }

    /// Whether two files of one folder can have two IDs.
    #[must_use]
    pub fn tells_files_apart(&self) -> bool {
        self.placeholders().any(|place| {
            place.is_hash() || matches!(place, Placeholder::Path | Placeholder::Name | Placeholder::Stem)
        })
    }

    /// The ID of this content under this path.
    ///
    /// # Errors
    /// Why there is no such ID, in words.
    pub fn render(
        &self,
        path: &RelPath,
        hash: &ContentHash,
        content_type: &MediaType,
    ) -> Result<MediaId, String> {
        let mut id = String::with_capacity(path.as_str().len() + 16);
        let mut skip_slash = false;
        for part in &self.parts {
            match part {
                Part::Text(text) if skip_slash => id.push_str(text.strip_prefix('/').unwrap_or(text)),
                Part::Text(text) => id.push_str(text),
                Part::Place(place) => self.fill(*place, path, hash, content_type, &mut id)?,
            }
            // A file at the top level has no folder, and so no slash after it.
            skip_slash = *part == Part::Place(Placeholder::Dir) && path.dir().is_empty();
        }
        check_id(&id)
    }

    fn fill(
        &self,
        place: Placeholder,
        path: &RelPath,
        hash: &ContentHash,
        content_type: &MediaType,
        id: &mut String,
    ) -> Result<(), String> {
        let digits;
        let text = match place {
            Placeholder::Path => path.as_str(),
            Placeholder::Dir => path.dir(),
            Placeholder::Name => path.file_name(),
            Placeholder::Stem => path.stem(),
            Placeholder::Ext => match path.extension() {
                Some(extension) => extension,
                None => media_type::preferred_extension(content_type).ok_or_else(|| {
                    let reason = "the file has no extension, and none is known for";
                    format!("{reason} {content_type}; give its rule an id without {{ext}}")
                })?,
            },
            Placeholder::Hash8 | Placeholder::Hash16 | Placeholder::Hash => {
                digits = hash.prefix(place.digits());
                &digits
            }
        };
        if self.plain {
            id.extend(text.chars().map(|c| if is_plain(c) { c } else { '-' }));
        } else {
            id.push_str(text);
        }
        Ok(())
    }

    fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.parts.iter().filter_map(|part| if let Part::Place(place) = part { Some(*place) } else { None })
    }
}

impl fmt::Display for IdTemplate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => out.write_str(text),
            Part::Place(place) => write!(out, "{{{}}}", place.name()),
        })
    }
}

impl Part {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '/')
}

fn parts(text: &str) -> Result<Vec<Part>, BadTemplate> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        let before = &rest[..brace];
        let closed = rest[brace..].strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let Some((name, tail)) = closed.filter(|(name, _)| !name.contains('{')) else {
            let opened = rest[brace..].starts_with('{');
            let problem =
                if opened { "has a `{` that is not closed" } else { "has a `}` without a `{` before it" };
            return Err(BadTemplate { problem: problem.to_owned(), help: Some(placeholders_help()) });
        };
        let Some(place) = Placeholder::ALL.into_iter().find(|place| place.name() == name) else {
            return Err(unknown_placeholder(name));
        };
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        parts.push(Part::Place(place));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

fn unknown_placeholder(name: &str) -> BadTemplate {
    let near = super::suggest::nearest(name, Placeholder::ALL.map(Placeholder::name));
    let help = near.map_or_else(placeholders_help, |near| format!("did you mean `{{{near}}}`?"));
    BadTemplate {
        problem: format!("has an unknown placeholder {}", super::problem::quoted(&format!("{{{name}}}"))),
        help: Some(help),
    }
}

fn placeholders_help() -> String {
    let names: Vec<_> = Placeholder::ALL.iter().map(|place| format!("{{{}}}", place.name())).collect();
    format!("the placeholders are {}", names.join(" "))
}

/// A text as an ID. Refuses what no ID may be, at whatever provider: the built URL would lead elsewhere.
fn check_id(id: &str) -> Result<MediaId, String> {
    if id.chars().any(|char| char == '\\' || char.is_control()) {
        return Err("gives an ID with a backslash or a control character".to_owned());
    }
    for segment in id.split('/') {
        match segment {
            "" => {
                return Err("gives an ID that has an empty segment: it begins or ends with `/`, or has `//`"
                    .to_owned());
            }
            "." | ".." => {
                return Err(format!("gives an ID with a `{segment}` segment, which would lead elsewhere"));
            }
            _ => {}
        }
    }
    MediaId::new(id).map_err(|_| "gives an ID that is longer than 900 bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: ContentHash = ContentHash([0xab; 32]);

    fn render(template: &str, path: &str) -> Result<String, String> {
        let template = IdTemplate::parse(template).map_err(|bad| bad.problem)?;
        rendered(&template, path)
    }

    fn rendered(template: &IdTemplate, path: &str) -> Result<String, String> {
        let png = MediaType::new("image/png").unwrap();
        template.render(&RelPath::new(path).unwrap(), &HASH, &png).map(|id| id.to_string())
    }

    #[test]
    fn every_placeholder_is_filled() {
        for (template, path, id) in [
            ("{path}", "brand/logo.min.png", "brand/logo.min.png"),
            ("{dir}/{name}", "brand/logo.min.png", "brand/logo.min.png"),
            ("{dir}/{name}", "logo.png", "logo.png"),
            ("v1/{dir}/{stem}.{ext}", "logo.png", "v1/logo.png"),
            ("v1/{dir}/{stem}.{ext}", "a/b/logo.png", "v1/a/b/logo.png"),
            ("{hash8}", "logo.png", "abababab"),
            ("{stem}-{hash16}.{ext}", "logo.png", "logo-abababababababab.png"),
            ("{stem}.{ext}", "no-extension", "no-extension.png"),
            ("{stem}.{ext}", ".htaccess", ".htaccess.png"),
            ("fixed/name.png", "whatever.png", "fixed/name.png"),
            ("{name}", "löwe 狮子.png", "löwe 狮子.png"),
        ] {
            assert_eq!(render(template, path).as_deref(), Ok(id), "{template} for {path}");
        }
        assert_eq!(render("{hash}", "x").unwrap().len(), 64);
    }

    #[test]
    fn the_default_is_plain_and_changes_with_the_content() {
        let template = IdTemplate::default_for_client_named();
        assert!(template.depends_on_content());
        for (path, id) in [
            ("logo.png", "logo-abababab.png"),
            ("brand/x/logo.png", "brand/x/logo-abababab.png"),
            ("no-extension", "no-extension-abababab.png"),
            ("löwe 狮子/a+b\n.png", "l-we---/a-b--abababab.png"),
            (".well-known/x.png", ".well-known/x-abababab.png"),
        ] {
            assert_eq!(rendered(&template, path).as_deref(), Ok(id), "{path}");
        }
        assert_eq!(template.to_string(), "{dir}/{stem}-{hash8}.{ext}");
    }

    #[test]
    fn ids_that_lead_elsewhere_are_refused_when_read() {
        for bad in ["/x", "x/", "a//b", "..", "a/./b", "../{name}", "a\\b", "a\tb", &"x".repeat(901), ""] {
            assert!(IdTemplate::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_slip_in_a_placeholder_is_named() {
        for (bad, problem, help) in [
            ("{hsah8}", "has an unknown placeholder `{hsah8}`", "did you mean `{hash8}`?"),
            ("{stem", "has a `{` that is not closed", "the placeholders are"),
            ("stem}", "has a `}` without a `{` before it", "the placeholders are"),
            ("{{stem}}", "has a `{` that is not closed", "the placeholders are"),
            ("{}", "has an unknown placeholder `{}`", "the placeholders are"),
        ] {
            let error = IdTemplate::parse(bad).unwrap_err();
            assert_eq!(error.problem, problem, "{bad}");
            assert!(error.help.unwrap().starts_with(help), "{bad}");
        }
    }

    #[test]
    fn a_template_that_gives_nothing_for_a_path_says_so() {
        assert!(render("{dir}", "top-level.png").unwrap_err().contains("empty segment"));
        assert!(render("{name}", "a\\b.png").unwrap_err().contains("backslash"));
        let unknown = MediaType::new("x-nobody/x-knows").unwrap();
        let template = IdTemplate::default_for_client_named();
        assert!(template.render(&RelPath::new("bare").unwrap(), &HASH, &unknown).is_err());
    }

    #[test]
    fn only_hashes_depend_on_the_content() {
        for (template, depends, apart) in [
            ("{path}", false, true),
            ("{dir}/logo.{ext}", false, false),
            ("logo-{hash8}.png", true, true),
            ("{stem}", false, true),
        ] {
            let template = IdTemplate::parse(template).unwrap();
            assert_eq!(
                (template.depends_on_content(), template.tells_files_apart()),
                (depends, apart),
                "{template}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_renders_to_safe_segments(
            template in "([a-z./_-]|\\{(path|dir|name|stem|ext|hash8)\\}){1,6}",
            path in "[^/\0]{1,8}(/[^/\0]{1,8}){0,2}",
        ) {
            let Ok(path) = RelPath::new(&path) else { return Ok(()) };
            let Ok(template) = IdTemplate::parse(&template) else { return Ok(()) };
            prop_assert_eq!(IdTemplate::parse(&template.to_string()), Ok(template.clone()));
            let png = MediaType::new("image/png").unwrap();
            for template in [template, IdTemplate::default_for_client_named()] {
                if let Ok(id) = template.render(&path, &HASH, &png) {
                    prop_assert!(id.as_str().split('/').all(|segment| !matches!(segment, "" | "." | "..")));
                }
            }
        }

        #[test]
        fn the_default_has_an_id_for_every_path(path in "[^/\0]{1,20}(/[^/\0]{1,20}){0,3}") {
            let Ok(path) = RelPath::new(&path) else { return Ok(()) };
            let png = MediaType::new("image/png").unwrap();
            let id = IdTemplate::default_for_client_named().render(&path, &HASH, &png).unwrap();
            prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = IdTemplate::parse(&text);
        }
    }
}
