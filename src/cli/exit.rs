//! How a command ended, as a number that scripts can act on.

use std::process::ExitCode;

use crate::domain::manifest::Unusable;
use crate::domain::reconciler::Summary;

/// The ways in which a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// Everything that should be alive is.
    Done,
    /// Something unexpected, told on standard error.
    Unexpected,
    /// The command line makes no sense.
    Usage,
    /// Manifest, config or a credential reference is wrong.
    Manifest,
    /// An entry is without a live URL.
    NotAlive,
    /// Another instance holds the lock.
    Locked,
    /// The guard holds back retirements.
    Halted,
    /// A provider refused the credentials.
    Refused,
    /// `plan --exit-code`: something is due.
    Due,
}

impl From<Unusable> for Exit {
    /// Which has been told.
    fn from(_told: Unusable) -> Self {
        Self::Manifest
    }
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Manifest => 3,
            Self::NotAlive => 4,
            Self::Locked => 5,
            Self::Halted => 6,
            Self::Refused => 7,
            Self::Due => 10,
        }
    }

    /// How a pass ended. Where several apply, what stands in the way of the others goes first.
    pub fn of(summary: &Summary) -> Self {
        if !summary.unusable.is_empty() {
            Self::Manifest
        } else if summary.unwritable || (summary.folder_unusable.is_some() && summary.halted.is_none()) {
            Self::Unexpected
        } else if !summary.refused.is_empty() {
            Self::Refused
        } else if summary.halted.is_some() {
            Self::Halted
        } else if summary.failing > 0 {
            Self::NotAlive
        } else {
            Self::Done
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::asset::ProviderName;
    use crate::domain::guard::Halt;

    #[test]
    fn where_several_apply_the_order_is_3_1_7_6_4() {
        let name = || ProviderName::new("bandwidth").unwrap();
        let mut summary = Summary { failing: 1, ..Summary::default() };
        let mut codes = vec![Exit::of(&summary).code()];
        summary.halted = Some(Halt::FolderEmpty);
        codes.push(Exit::of(&summary).code());
        summary.refused.push(name());
        codes.push(Exit::of(&summary).code());
        summary.unwritable = true;
        codes.push(Exit::of(&summary).code());
        summary.unusable.push((name(), "no such variable".to_owned()));
        codes.push(Exit::of(&summary).code());
        assert_eq!(codes, [4, 6, 7, 1, 3]);
        assert_eq!(Exit::of(&Summary::default()), Exit::Done);
    }
}
