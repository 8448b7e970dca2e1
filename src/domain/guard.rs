//! Refuses to stop renewing too much at once. What looks like a mass deletion is far more often an unmounted
//! folder, a botched checkout or a wrong branch, and media that are not renewed die by themselves.

use std::time::Duration;

/// What is known when entries are about to be retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// How the watched folder is.
    pub folder: Folder,
    /// Entries that would be retired now; those whose bytes turned up under a new path are not counted.
    pub leaving: usize,
    /// Entries retired within the window.
    pub retired_lately: usize,
    /// All entries: those that stay, those that leave, those that left within the window.
    pub entries: usize,
    /// A rule (its glob) that matched some of the leaving files and now matches no file at all.
    pub emptied_rule: Option<String>,
}

/// How the watched folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// As it was.
    Usual,
    /// It is not there.
    Missing,
    /// Nothing is in it.
    Empty,
    /// Another file system than before lies there.
    OtherFileSystem,
}

/// Why nothing is retired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The folder itself is in doubt.
    #[error("the folder is missing")]
    FolderMissing,
    /// The folder itself is in doubt.
    #[error("the folder is empty")]
    FolderEmpty,
    /// The folder itself is in doubt.
    #[error("another file system than before is mounted at the folder")]
    OtherFileSystem,
    /// A whole rule would be lost.
    #[error("the rule for {0:?} lost all its files")]
    RuleEmptied(String),
    /// Too many at once.
    #[error("{leaving} of {entries} entries would be retired, {retired_lately} others were lately")]
    TooMany {
        /// Entries that would be retired.
        leaving: usize,
        /// Entries retired within the window.
        retired_lately: usize,
        /// All entries.
        entries: usize,
    },
}

/// Whether the entries may be retired.
///
/// # Errors
/// Why not.
pub fn check(case: &Case) -> Result<(), Halt> {
    if case.leaving == 0 {
        return Ok(());
    }
    match case.folder {
        Folder::Missing => return Err(Halt::FolderMissing),
        Folder::Empty => return Err(Halt::FolderEmpty),
        Folder::OtherFileSystem => return Err(Halt::OtherFileSystem),
        Folder::Usual => {}
    }
    if let Some(rule) = &case.emptied_rule {
        return Err(Halt::RuleEmptied(rule.clone()));
    }
    let allowed = FEW.max(case.entries * 3 / 10);
    if case.leaving + case.retired_lately > allowed {
        let Case { leaving, retired_lately, entries, .. } = *case;
        return Err(Halt::TooMany { leaving, retired_lately, entries });
    }
    Ok(())
}

/// Whether so many media that one look did not find, out of all that it looked for, are more likely a provider's or an
/// account's mistake than a loss.
#[must_use]
pub const fn is_mass_loss(gone: usize, sought: usize) -> bool {
    gone > FEW && gone > sought / 2
}

/// How far back retirements are counted, for the longest margin of all providers.
#[must_use]
pub fn window(longest_margin: Duration) -> Duration {
    longest_margin.max(Duration::from_secs(3600))
}

/// How long a glob's file must be gone before its entry is let go, or held back: editors and git remove files that
/// they are about to write.
pub const REMOVAL_DELAY: Duration = Duration::from_secs(60);

/// So many may always go.
const FEW: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn case(leaving: usize, retired_lately: usize, entries: usize) -> Case {
        Case { folder: Folder::Usual, leaving, retired_lately, entries, emptied_rule: None }
    }

    #[test]
    fn ten_or_three_in_ten_may_go_within_a_window_and_no_more() {
        for (leaving, lately, entries, passes) in [
            (10, 0, 12, true),
            (11, 0, 12, false),
            (300, 0, 1000, true),
            (301, 0, 1000, false),
            (1, 300, 1000, false),
            (5, 5, 20, true),
            (5, 6, 20, false),
        ] {
            assert_eq!(
                check(&case(leaving, lately, entries)).is_ok(),
                passes,
                "{leaving} {lately} {entries}"
            );
        }
    }

    #[test]
    fn more_than_ten_and_more_than_half_are_a_mass_loss() {
        for (gone, sought, is_mass) in [
            (10, 10, false),
            (11, 11, true),
            (11, 21, true),
            (11, 22, false),
            (50_000, 100_000, false),
            (50_001, 100_000, true),
        ] {
            assert_eq!(is_mass_loss(gone, sought), is_mass, "{gone} of {sought}");
        }
    }

    #[test]
    fn nothing_goes_while_the_folder_itself_is_in_doubt() {
        for folder in [Folder::Missing, Folder::Empty, Folder::OtherFileSystem] {
            assert!(check(&Case { folder, ..case(1, 0, 100) }).is_err());
            assert!(
                check(&Case { folder, ..case(0, 0, 100) }).is_ok(),
                "nothing leaves, so nothing is held back"
            );
        }
    }

    #[test]
    fn a_rule_that_lost_all_its_files_is_held_back_however_few_they_were() {
        let case = Case { emptied_rule: Some("greetings/*.mp3".to_owned()), ..case(1, 0, 100) };
        assert_eq!(check(&case), Err(Halt::RuleEmptied("greetings/*.mp3".to_owned())));
    }
}
