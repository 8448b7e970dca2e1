//! Keeps in the state folder what hooks told to be wrong, until its end is told. On a thread of its own for each write,
//! one after the other: a disk that hangs delays no hook.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::debug;

use crate::domain::notice::Owed;
use crate::local::told_file;

pub(super) struct Debts {
    folder: PathBuf,
    /// What the file says.
    kept: Owed,
    /// The write that is under way, and what the file says if it succeeds.
    writing: Option<(Owed, JoinHandle<std::io::Result<()>>)>,
    /// When one that failed is tried again.
    not_before: Option<Instant>,
}

impl Debts {
    /// Reads what the process before this one kept beside the state file.
    pub(super) fn open(state_file: &Path) -> Self {
        let folder = state_file.parent().unwrap_or(state_file).to_owned();
        Self { kept: told_file::read(&folder), folder, writing: None, not_before: None }
    }

    /// What the file says, as far as it was written.
    pub(super) const fn kept(&self) -> &Owed {
        &self.kept
    }

    /// Brings the file up to date, unless that is being done: then [`written`](Self::written) shows when to ask again.
    pub(super) fn keep(&mut self, owed: Owed) {
        let is_too_soon = self.not_before.is_some_and(|at| at > Instant::now());
        if self.writing.is_some() || is_too_soon || owed == self.kept {
            return;
        }
        let (folder, content) = (self.folder.clone(), owed.clone());
        let write = tokio::task::spawn_blocking(move || told_file::write(&folder, &content));
        self.writing = Some((owed, write));
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.writing.is_none()
    }

    /// Waits for the write that is under way; for ever where none is.
    pub(super) async fn written(&mut self) {
        let Some((_, write)) = &mut self.writing else { return std::future::pending().await };
        let result = write.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let Some((owed, _)) = self.writing.take() else { return };
        self.not_before = None;
        match result {
            Ok(()) => self.kept = owed,
            // A folder that takes no file is told of by what matters more.
            Err(error) => {
                debug!(why = ?error.to_string(), "cannot keep what hooks were told");
                self.not_before = Some(Instant::now() + AGAIN);
            }
        }
    }
}

const AGAIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Told;

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_kept_is_kept_later_and_does_not_count_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut debts = Debts::open(&folder.path().join("state.json"));
        let told = Told { class: "config-unusable".into(), detail: "why".into() };
        let owed = Owed { system: [("config".into(), told)].into(), ..Owed::default() };
        // A folder in its place refuses the file whoever asks, root included.
        let in_the_way = folder.path().join("told.json");
        std::fs::create_dir(&in_the_way).unwrap();
        for (passed, tries) in [(0, true), (29, false), (1, true), (29, false)] {
            tokio::time::advance(Duration::from_secs(passed)).await;
            debts.keep(owed.clone());
            assert_eq!(debts.is_idle(), !tries, "after {passed} s");
            if tries {
                debts.written().await;
            }
            assert_eq!(*debts.kept(), Owed::default(), "after {passed} s");
        }
        std::fs::remove_dir(&in_the_way).unwrap();
        for (passed, tries) in [(1, true), (3600, false)] {
            tokio::time::advance(Duration::from_secs(passed)).await;
            debts.keep(owed.clone());
            assert_eq!(debts.is_idle(), !tries, "after {passed} s");
            if tries {
                debts.written().await;
            }
            assert_eq!(*debts.kept(), owed, "after {passed} s");
        }
        assert_eq!(told_file::read(folder.path()), owed);
    }
}
