//! What people should hear about when the state is read.

use std::fmt;
use std::path::PathBuf;

/// Something that was not as it should be, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A snapshot carries no checksum: it was edited by hand.
    NoChecksum {
        /// Which one.
        file: PathBuf,
    },
    /// A snapshot is damaged.
    DamagedSnapshot {
        /// Which one.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no `state.json`, while there is an older one.
    MissingSnapshot,
    /// A file was kept under another name, for people to look at.
    KeptAside {
        /// Which one.
        file: PathBuf,
        /// Its other name; `None` where it could not be kept, with the reason in `problem`.
        kept_as: Option<PathBuf>,
        /// Why it could not be kept.
        problem: Option<String>,
    },
    /// The journal ends in the middle of a line that nobody was told about: a crash while it was written.
    TornTail {
        /// Which journal.
        file: PathBuf,
        /// How much was left out.
        bytes: u64,
    },
    /// A line of the journal is damaged. The lines after it count: each is whole in itself.
    DamagedLine {
        /// Which journal.
        file: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A journal can't be read.
    UnreadableJournal {
        /// Which one.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Lines of the journal belong to another history than the snapshot.
    OtherHistory {
        /// How many.
        lines: usize,
    },
    /// Changes are missing between what the snapshot holds and what the journal does.
    Gap {
        /// The first serial that is missing.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// No snapshot can be used, and the journal does not reach back to the beginning.
    Incomplete {
        /// How many entries are known all the same.
        entries: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChecksum { file } => {
                write!(
                    out,
                    "{} carries no checksum, so it was edited by hand; taken as it is",
                    file.display()
                )
            }
            Self::DamagedSnapshot { file, reason } => write!(out, "{}: {reason}", file.display()),
            Self::MissingSnapshot => {
                out.write_str("state.json is gone; going on from the one before it and the journal")
            }
            Self::KeptAside { file, kept_as: Some(name), .. } => {
                write!(out, "{} is kept as {}", file.display(), name.display())
            }
            Self::KeptAside { file, problem, .. } => {
                let reason = problem.as_deref().unwrap_or("no reason known");
                write!(out, "{} could not be kept under another name: {reason}", file.display())
            }
            Self::TornTail { file, bytes } => {
                write!(
                    out,
                    "{} ended in the middle of a line, after a crash; {bytes} bytes cut off",
                    file.display()
                )
            }
            Self::DamagedLine { file, line, reason } => {
                write!(out, "{}, line {line}: {reason}; left out", file.display())
            }
            Self::UnreadableJournal { file, reason } => {
                write!(out, "{} can't be read, so changes may be missing: {reason}", file.display())
            }
            Self::OtherHistory { lines } => {
                write!(out, "{lines} lines of the journal belong to another history; left out")
            }
            Self::Gap { first, last } => {
                write!(out, "changes {first} to {last} are missing between the snapshot and the journal")
            }
            Self::Incomplete { entries } => write!(
                out,
                "no snapshot can be used, and the journal tells of {entries} entries only; all others start \
                 afresh and are uploaded again"
            ),
        }
    }
}
