//! Globs over paths below root: `*`, `?`, `[...]`, `{a,b}` within a segment, `**` over segments.

use std::cell::OnceCell;

use globset::{Candidate, Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::problem::quoted;
use crate::domain::asset::RelPath;

/// The longest pattern: what one is compiled to takes some hundred times its size.
const PATTERN_BYTES_MAX: usize = 1024;

/// Why a pattern is refused: what is wrong, and what to do about it.
#[derive(Debug)]
pub(super) struct BadGlob {
    pub(super) problem: String,
    pub(super) help: Option<&'static str>,
}

impl BadGlob {
    fn new(problem: impl Into<String>, help: &'static str) -> Self {
        Self { problem: problem.into(), help: Some(help) }
    }
}

/// Compiles a pattern.
pub(super) fn compile(pattern: &str) -> Result<Glob, BadGlob> {
    if pattern.len() > PATTERN_BYTES_MAX {
        let problem = format!("is longer than {PATTERN_BYTES_MAX} bytes");
        return Err(BadGlob::new(problem, "name the folder, and leave the files in it to `*`"));
    }
    check_segments(pattern)?;
    let pattern = check_classes(pattern)?;
    let glob = build(&pattern).map_err(|error| BadGlob { problem: error.kind().to_string(), help: None })?;
    if names_dotted(&pattern) && has_slash_in_braces(&pattern) {
        let problem = "names a folder that starts with a dot, and has a `/` within `{...}`";
        return Err(BadGlob::new(problem, "write a rule of its own for each folder"));
    }
    Ok(glob)
}

/// Compiles patterns that work together.
pub(super) fn compile_set(globs: impl IntoIterator<Item = Glob>) -> Result<GlobSet, String> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob);
    }
    builder.build().map_err(|error| error.kind().to_string())
}

/// Whether there is a wildcard in it at all.
pub(super) fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

fn build(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).empty_alternates(true).build()
}

fn check_segments(pattern: &str) -> Result<(), BadGlob> {
    if pattern.starts_with('/') {
        return Err(BadGlob::new(
            "is an absolute path",
            "write it relative to root, without the leading `/`",
        ));
    }
    if let Some(folder) = pattern.strip_suffix('/') {
        let problem = format!("names a folder; its files are {}", quoted(&format!("{folder}/**")));
        return Err(BadGlob { problem, help: None });
    }
    for segment in pattern.split('/') {
        match segment {
            "" => return Err(BadGlob::new("has an empty segment", "write one `/` between segments")),
            "." => return Err(BadGlob::new("has a `.` segment", "leave it out: globs are relative to root")),
            ".." => return Err(BadGlob::new("leaves root", "only files below root are media")),
            _ => {}
        }
    }
    Ok(())
}

/// Keeps `[!...]` from matching a `/`, and refuses what would mean something else than it seems to.
fn check_classes(pattern: &str) -> Result<String, BadGlob> {
    let mut checked = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        checked.push(character);
        match character {
            '\\' => match rest.next() {
                Some(escaped) if escaped.is_alphanumeric() => {
                    return Err(BadGlob::new(
                        "has a backslash",
                        "write `/` between segments, on every system",
                    ));
                }
                escaped => checked.extend(escaped),
            },
            '[' => {
                let Some(class) = class(rest.as_str()) else { continue };
                let negation = class.starts_with(['!', '^']);
                check_class(&class[usize::from(negation)..])?;
                checked.extend([class, if negation { "/]" } else { "]" }]);
                rest = rest.as_str()[class.len() + 1..].chars();
            }
            _ => {}
        }
    }
    Ok(checked)
}

/// What stands between `[` and its `]`; a `]` right after the opening (and its negation) is a member, not the end.
fn class(text: &str) -> Option<&str> {
    let first = usize::from(text.starts_with(['!', '^'])) + 1;
    let (end, _) = text.char_indices().skip(first).find(|(_, member)| *member == ']')?;
    Some(&text[..end])
}

/// Classes are compared byte by byte.
fn check_class(members: &str) -> Result<(), BadGlob> {
    if members.is_ascii() && !members.contains(['/', '\\']) && !spans_slash(members.as_bytes()) {
        return Ok(());
    }
    let problem = "has a `[...]` with more than ASCII letters, digits and signs, or with a `/`";
    Err(BadGlob::new(problem, "write the alternatives as {a,b}"))
}

fn spans_slash(members: &[u8]) -> bool {
    members.windows(3).any(|range| range[1] == b'-' && (range[0]..=range[2]).contains(&b'/'))
}

fn has_slash_in_braces(pattern: &str) -> bool {
    let mut depth = 0_usize;
    pattern.chars().any(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == '/' && depth > 0
    })
}

/// Whether any segment starts with a dot of its own, so that the pattern can match names that do.
fn names_dotted(pattern: &str) -> bool {
    pattern.split('/').any(starts_dotted)
}

fn starts_dotted(segment: &str) -> bool {
    segment.starts_with('.') || segment.starts_with("\\.")
}

/// A compiled pattern with what makes most answers cheap: the text that every match begins and ends with.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    prefix: Box<str>,
    suffix: Box<str>,
    whole: GlobMatcher,
    /// Its segments, if it can match names that start with a dot.
    dotted: Option<Vec<Segment>>,
}

#[derive(Clone, Debug)]
enum Segment {
    /// `**`
    Any,
    One {
        matcher: GlobMatcher,
        /// Whether it starts with a dot of its own.
        dotted: bool,
    },
}

/// A path that is matched against many patterns.
pub(super) struct Subject<'p> {
    path: &'p str,
    /// Made for the first pattern that needs it: most are out at first sight.
    candidate: OnceCell<Candidate<'p>>,
    /// Whether a segment starts with a dot.
    dotted: bool,
}

impl<'p> Subject<'p> {
    pub(super) fn new(path: &'p RelPath) -> Self {
        let path = path.as_str();
        Self { path, candidate: OnceCell::new(), dotted: has_dotted_segment(path) }
    }

    pub(super) fn is_in(&self, set: &GlobSet) -> bool {
        !set.is_empty() && set.is_match_candidate(self.candidate())
    }

    fn candidate(&self) -> &Candidate<'p> {
        self.candidate.get_or_init(|| Candidate::new(self.path))
    }
}

/// Whether a segment of a path starts with a dot.
pub(super) fn has_dotted_segment(path: &str) -> bool {
    path.starts_with('.') || path.as_bytes().windows(2).any(|pair| pair == b"/.")
}

impl Matcher {
    pub(super) fn new(whole: &GlobMatcher) -> Self {
        const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];
        let pattern = whole.glob().glob();
        let prefix = pattern.find(SPECIAL).map_or(pattern, |end| &pattern[..end]);
        let suffix = pattern.rfind(SPECIAL).map_or(pattern, |start| &pattern[start + 1..]);
        // `**/` also matches nothing at all, and then its `/` is not there.
        let suffix = if pattern[..pattern.len() - suffix.len()].ends_with("**") {
            suffix.trim_start_matches('/')
        } else {
            suffix
        };
        let dotted = names_dotted(pattern).then(|| pattern.split('/').filter_map(segment).collect());
        Self { prefix: prefix.into(), suffix: suffix.into(), whole: whole.clone(), dotted }
    }

    /// Whether the pattern matches, where no wildcard matches a name that starts with a dot.
    pub(super) fn is_match(&self, subject: &Subject<'_>) -> bool {
        subject.path.starts_with(&*self.prefix)
            && subject.path.ends_with(&*self.suffix)
            && (!subject.dotted || self.dotted.is_some())
            && self.whole.is_match_candidate(subject.candidate())
            && (!subject.dotted || self.matches_dotted(subject.path))
    }

    /// Matches segment by segment; `reached[n]` says whether the first `n` pattern segments can match the path so far.
    fn matches_dotted(&self, path: &str) -> bool {
        let segments = self.dotted.as_deref().unwrap_or_default();
        let mut reached = vec![false; segments.len() + 1];
        reached[0] = true;
        skip_any(segments, &mut reached);
        for name in path.split('/') {
            let hidden = name.starts_with('.');
            let mut next = vec![false; segments.len() + 1];
            for (position, segment) in segments.iter().enumerate().filter(|(position, _)| reached[*position])
            {
                match segment {
                    Segment::Any if !hidden => {
                        next[position] = true;
                        next[position + 1] = true;
                    }
                    Segment::One { matcher, dotted } if (*dotted || !hidden) && matcher.is_match(name) => {
                        next[position + 1] = true;
                    }
                    _ => {}
                }
            }
            skip_any(segments, &mut next);
            reached = next;
        }
        reached[segments.len()]
    }
}

/// `**` may match no segment at all, except at the end: `a/**` is what lies below `a`, not `a` itself.
fn skip_any(segments: &[Segment], reached: &mut [bool]) {
    for (position, segment) in segments.iter().enumerate().take(segments.len().saturating_sub(1)) {
        if matches!(segment, Segment::Any) && reached[position] {
            reached[position + 1] = true;
        }
    }
}

fn segment(text: &str) -> Option<Segment> {
    if text == "**" {
        return Some(Segment::Any);
    }
    let matcher = build(text).ok()?.compile_matcher();
    Some(Segment::One { matcher, dotted: starts_dotted(text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let glob = compile(pattern).unwrap_or_else(|bad| panic!("{pattern}: {}", bad.problem));
        Matcher::new(&glob.compile_matcher()).is_match(&Subject::new(&RelPath::new(path).unwrap()))
    }

    #[test]
    fn wildcards_stay_within_a_segment_and_two_stars_do_not() {
        for (pattern, yes, no) in [
            ("*.png", vec!["a.png"], vec!["b/a.png", "a.jpg"]),
            ("**/*.mp3", vec!["a.mp3", "x/a.mp3", "x/y/a.mp3"], vec!["a.mp4"]),
            (
                "greetings/**/*.mp3",
                vec!["greetings/a.mp3", "greetings/x/y/a.mp3"],
                vec!["a.mp3", "greetingsa.mp3"],
            ),
            ("greetings/**", vec!["greetings/a", "greetings/x/y"], vec!["greetings", "other/a"]),
            ("**/logo.png", vec!["logo.png", "a/logo.png"], vec!["xlogo.png"]),
            ("**", vec!["a", "a/b"], vec![]),
            (
                "a?c/[0-9].{png,jpg}",
                vec!["abc/1.png", "a-c/9.jpg"],
                vec!["a/c/1.png", "abc/x.png", "abc/1.gif"],
            ),
            ("a[!b]c", vec!["axc"], vec!["abc", "a/c"]),
            ("a[!]b]c", vec!["axc"], vec!["abc", "a/c", "a]c"]),
            ("{en,de/formal}/*.mp3", vec!["en/a.mp3", "de/formal/a.mp3"], vec!["de/a.mp3"]),
            ("photo \\[1\\].png", vec!["photo [1].png"], vec!["photo 1.png"]),
            ("l*we/狮*.png", vec!["löwe/狮子.png"], vec!["löwe/子.png"]),
            ("logo{,-small}.png", vec!["logo.png", "logo-small.png"], vec!["logo-.png"]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} should match {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} should not match {path}");
            }
        }
    }

    #[test]
    fn wildcards_do_not_match_names_that_start_with_a_dot() {
        for (pattern, path, expected) in [
            ("**", ".hidden", false),
            ("**/*", "a/.hidden/b", false),
            ("*", ".hidden", false),
            ("?hidden", ".hidden", false),
            ("[.]hidden", ".hidden", false),
            ("{.hidden,x}", ".hidden", false),
            ("**/.hidden", "a/.hidden", true),
            (".*", ".hidden", true),
            ("\\.hidden", ".hidden", true),
            (".well-known/**", ".well-known/a/b", true),
            (".well-known/**", ".well-known/a/.b", false),
            (".well-known/**/.*", ".well-known/a/.b", true),
            ("a/.b/*", "a/.b/c", true),
            ("a/.b/*", "a/.b/.c", false),
            ("**/.b/**", ".b/.b/c", false),
            ("**/.b/.b/**", ".b/.b/c", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} and {path}");
        }
    }

    #[test]
    fn senseless_patterns_are_refused_with_a_reason() {
        for (pattern, reason) in [
            ("/a/*", "absolute"),
            ("../*", "leaves root"),
            ("a/../*", "leaves root"),
            ("./*", "`.` segment"),
            ("a//b", "empty segment"),
            ("a/", "names a folder"),
            ("a\\b\\*.png", "backslash"),
            ("a[b", "class"),
            ("{a,b", "alternate"),
            ("a}", "alternate"),
            ("[z-a]", "range"),
            ("[äö].png", "ASCII"),
            ("[.-9]", "`/`"),
            (".x/{a,b/c}", "dot"),
        ] {
            let problem = compile(pattern).unwrap_err().problem;
            assert!(problem.contains(reason), "{pattern}: {problem}");
        }
        assert!(compile(&"x".repeat(1025)).is_err());
        assert!(compile(&"?".repeat(1024)).is_ok());
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in "[a-c./*?{}\\[\\]!^,\\\\ä狮-]{0,40}|\\PC{0,20}", path in "[a-c./ä]{1,12}") {
            if let (Ok(glob), Ok(path)) = (compile(&pattern), RelPath::new(&path)) {
                Matcher::new(&glob.compile_matcher()).is_match(&Subject::new(&path));
            }
        }

        /// What the shortcuts decide is what the pattern itself says.
        #[test]
        fn shortcuts_change_no_answer(
            pattern in "([a-b]|\\*|\\?|\\*\\*/|/|\\{a,b\\}|[!.]|\\[!a\\]){1,8}",
            path in "[ab!]{1,3}(\\.[ab]{1,2})?(/[ab][ab.]{0,2}){0,2}",
        ) {
            if let (Ok(glob), Ok(path)) = (compile(&pattern), RelPath::new(&path)) {
                let subject = Subject::new(&path);
                let plain = glob.compile_matcher();
                prop_assert_eq!(Matcher::new(&plain).is_match(&subject), plain.is_match(path.as_str()));
            }
        }

        /// Segment by segment, undotted paths match exactly as a whole.
        #[test]
        fn both_ways_to_match_agree(
            pattern in "([a-b]|\\*|\\?|\\{a,b\\}){1,4}(/(\\*\\*|[ab*?]{1,3})){0,3}",
            path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
        ) {
            if let (Ok(glob), Ok(path)) = (compile(&pattern), RelPath::new(&path)) {
                let mut matcher = Matcher::new(&glob.compile_matcher());
                matcher.dotted = Some(pattern.split('/').filter_map(segment).collect());
                prop_assert_eq!(matcher.matches_dotted(path.as_str()), matcher.is_match(&Subject::new(&path)));
            }
        }
    }
}
