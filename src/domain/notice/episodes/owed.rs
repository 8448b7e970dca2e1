//! What outlives a restart: troubles that were told to have begun, so that their ends are told, too.
//!
//! Nothing is kept of entries, whose troubles are in the state and are told again a minute after a start if they last,
//! nor of guard, folder and state, which are looked at anew at each start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CONFIG, Episode, MANIFEST, Notices, SUSPICION, account};
use crate::domain::asset::ProviderName;
use crate::domain::notice::{Notice, Subject, Topic};
use crate::domain::obstacles::CREDENTIALS_MISSING;
use crate::domain::time::Timestamp;

/// Failures that were told, and whose ends were not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Of accounts.
    pub accounts: BTreeMap<ProviderName, Told>,
    /// Of the manifest and the config, by these words.
    pub system: BTreeMap<Box<str>, Told>,
}

/// A failure as it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// A word for programs.
    pub class: Box<str>,
    /// A line for people; holds no secret.
    pub detail: Box<str>,
}

impl Owed {
    /// Whether no end is owed to anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.system.is_empty()
    }

    /// Adds what was owed before.
    pub fn keep(&mut self, before: &Self) {
        for (provider, told) in &before.accounts {
            self.accounts.entry(provider.clone()).or_insert_with(|| told.clone());
        }
        for (word, told) in &before.system {
            self.system.entry(word.clone()).or_insert_with(|| told.clone());
        }
    }
}

impl Notices {
    /// What is to be [recalled](Self::recall) after a restart by now.
    #[must_use]
    pub fn owed(&self) -> Owed {
        let mut owed = Owed::default();
        for ((subject, topic), episode) in &self.open {
            let Some(told) = told(episode).filter(|_| *topic == Topic::Failure) else { continue };
            match subject {
                Subject::Account(provider) => drop(owed.accounts.insert(provider.clone(), told)),
                Subject::System(word) if [MANIFEST, CONFIG].contains(subject) => {
                    drop(owed.system.insert((*word).into(), told));
                }
                Subject::System(_) | Subject::Entry(_) => {}
            }
        }
        owed
    }

    /// Knows what was told before a restart, so that its end is told. What is still wrong is told again by those it is
    /// wrong with: accounts when they are asked; missing credentials, manifest and config at once, so that it is over if
    /// they don't. `has` says which accounts there still are; what was wrong with others is over.
    pub fn recall(
        &mut self,
        owed: Owed,
        has: impl Fn(&ProviderName) -> bool,
        steady: Timestamp,
    ) -> Vec<Notice> {
        let mut out = Vec::new();
        for (provider, told) in owed.accounts {
            let subject = account(&provider);
            // Credentials are looked up at once; whether they are taken, only an answer tells.
            let over_at = (*told.class == *CREDENTIALS_MISSING).then(|| steady + SUSPICION);
            self.open.entry((subject.clone(), Topic::Failure)).or_insert_with(|| recalled(told, over_at));
            if !has(&provider) {
                self.end(&subject, Topic::Failure, &mut out);
            }
        }
        for subject in [MANIFEST, CONFIG] {
            let Subject::System(word) = subject else { continue };
            if let Some(told) = owed.system.get(word) {
                let told = recalled(told.clone(), Some(steady + SUSPICION));
                self.open.entry((subject, Topic::Failure)).or_insert(told);
            }
        }
        out
    }

    /// Manifest or config cannot be used: what was told of either before a restart goes on, too, as far as anybody knows.
    pub(super) fn keep_reading_open(&mut self) {
        for subject in [MANIFEST, CONFIG] {
            if let Some(episode) = self.open.get_mut(&(subject, Topic::Failure)) {
                episode.suspected = None;
            }
        }
    }
}

fn told(episode: &Episode) -> Option<Told> {
    let class = episode.last.as_deref().or(episode.noted.as_deref())?;
    Some(Told { class: class.into(), detail: episode.detail.clone() })
}

fn recalled(told: Told, over_at: Option<Timestamp>) -> Episode {
    Episode { noted: Some(told.class), detail: told.detail, suspected: over_at, ..Episode::default() }
}
