//! Places between two operations on the disk, where tests look at what a crash would leave, or make the next
//! operation fail. Nothing happens there otherwise.

use std::io;

/// A place in a sequence: what is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    AppendToJournal,
    SyncJournal,
    CutJournalBack,
    SyncNewJournalsName,
    StageSnapshot,
    LinkPrevious,
    ShowPrevious,
    ShowSnapshot,
    SyncFolder,
    RotateJournal,
    Done,
}

#[cfg(test)]
pub(super) type Hook = Box<dyn FnMut(Step) -> io::Result<()> + Send>;

/// The places that a store comes past.
#[derive(Default)]
pub(super) struct Steps {
    #[cfg(test)]
    pub(super) hook: Option<Hook>,
}

impl Steps {
    /// Comes past a place.
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "only tests look or fail here")
    )]
    pub(super) fn before(&mut self, step: Step) -> io::Result<()> {
        #[cfg(test)]
        if let Some(hook) = &mut self.hook {
            return hook(step);
        }
        let _ = step;
        Ok(())
    }
}
