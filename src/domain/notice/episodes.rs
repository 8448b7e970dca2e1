//! From events and published states to notices: each trouble is told once when it begins, and once when it is over.

mod owed;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use owed::{Owed, Told};

use super::changes::{change, differing, troubled};
use super::{Matter, News, Notice, Published, Subject, Topic};
use crate::domain::asset::{EntryKey, ProviderName};
use crate::domain::event::Event;
use crate::domain::failure::FailureClass;
use crate::domain::guard::REMOVAL_DELAY;
use crate::domain::manifest::SourceName;
use crate::domain::obstacles::CREDENTIALS_MISSING;
use crate::domain::plan::Block;
use crate::domain::reconciler::is_of_folder;
use crate::domain::state::{Record, State, Trouble};
use crate::domain::time::{Timestamp, format_duration};

/// What was told, so that nothing is told twice. Bounded by the number of entries and accounts.
#[derive(Debug)]
pub struct Notices {
    /// What readers find.
    readers: Arc<State>,
    open: BTreeMap<(Subject, Topic), Episode>,
}

/// A risk or a failure that goes on.
#[derive(Debug, Default)]
struct Episode {
    /// The classes that were told; none of one that may be over before it is worth telling.
    told: Vec<Cow<'static, str>>,
    /// The one of them that was told last, also where it is over by now: the end names it.
    last: Option<Cow<'static, str>>,
    /// The class that was told before a restart; its end is owed, while it may be told again.
    noted: Option<Box<str>>,
    detail: Box<str>,
    /// Whether the file is what is wrong, so that no upload ends it.
    blocked: bool,
    /// When it is told if it still goes on: it was recorded before this began, or may be meant as it is. Of manifest and
    /// config, when it is over if it was not told again.
    suspected: Option<Timestamp>,
    ending: Option<Ending>,
}

/// What ends an episode.
#[derive(Debug)]
struct Ending {
    /// It ends no sooner than this: a failure meanwhile shows that it goes on. `None` once that is over.
    not_before: Option<Timestamp>,
    /// It ends once readers find this URL.
    url: Box<str>,
}

impl Notices {
    /// Begins with what readers find. None of it is told as a change; what is recorded to be wrong is told if it still
    /// is a minute later.
    #[must_use]
    pub fn new(readers: Arc<State>, steady: Timestamp) -> Self {
        let lasting = troubled(&readers.records).filter_map(|(key, record)| {
            let trouble = record.trouble.as_deref().filter(|trouble| is_lasting(trouble))?;
            let episode = Episode {
                blocked: trouble.attempts == 0,
                suspected: Some(steady + SUSPICION),
                ..Episode::default()
            };
            Some(((Subject::Entry(key.clone()), Topic::Failure), episode))
        });
        let dead = readers.records.iter().filter(|(_, record)| is_lapsed(record)).map(|(key, _)| {
            let episode = Episode { suspected: Some(steady + SUSPICION), ..Episode::default() };
            ((Subject::Entry(key.clone()), Topic::Risk), episode)
        });
        let open = lasting.chain(dead).collect();
        Self { readers, open }
    }

    /// Whether an event can lead to a notice; others need not be handed over.
    #[must_use]
    pub const fn concerns(event: &Event) -> bool {
        matches!(
            event,
            Event::Uploaded { .. }
                | Event::Renewed { .. }
                | Event::Failed { .. }
                | Event::SourceLost { .. }
                | Event::Blocked { .. }
                | Event::Recovered { .. }
                | Event::AtRisk { .. }
                | Event::Lapsed { .. }
                | Event::Vanished { .. }
                | Event::Retired { .. }
                | Event::GuardHalted { .. }
                | Event::GuardReleased
                | Event::AccountStopped { .. }
                | Event::AccountRecovered { .. }
                | Event::AccountGone { .. }
                | Event::AccountUnusable { .. }
                | Event::AccountUsable { .. }
                | Event::FolderUnusable { .. }
                | Event::FolderBack
                | Event::StateUnwritable { .. }
                | Event::StateWritable
                | Event::ManifestUnusable { .. }
                | Event::ManifestUsable
        )
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &Event, steady: Timestamp) -> Vec<Notice> {
        let mut out = Vec::new();
        match event {
            Event::Uploaded { key, url, .. } | Event::Renewed { key, url, .. } => {
                self.uploaded(key, url, steady, &mut out);
                self.answered(&key.provider, &mut out);
            }
            Event::Failed { key, class, detail, attempts, .. } => {
                self.failed(key, Some(*class), detail, *attempts, &mut out);
            }
            Event::SourceLost { key, detail, attempts, .. } => {
                self.failed(key, None, detail, *attempts, &mut out);
            }
            Event::Blocked { key, kind, detail, .. } => {
                if *kind == Block::Missing.kind() && !self.is_told(Subject::Entry(key.clone())) {
                    self.suspect(key, steady + REMOVAL_DELAY + SUSPICION);
                } else {
                    self.tell(Subject::Entry(key.clone()), Topic::Failure, (*kind).into(), detail, &mut out);
                }
                self.note_blocked(key);
            }
            Event::Recovered { key } => self.end(&Subject::Entry(key.clone()), Topic::Failure, &mut out),
            Event::Retired { key, .. } => self.gone(key, &mut out),
            Event::AtRisk { key, left } => {
                let detail =
                    format!("its URL ends in {} and has not been renewed yet", format_duration(*left));
                self.tell(Subject::Entry(key.clone()), Topic::Risk, "at-risk".into(), &detail, &mut out);
            }
            Event::Lapsed { key } => {
                self.tell(Subject::Entry(key.clone()), Topic::Risk, LAPSED.into(), HAS_DIED, &mut out);
            }
            Event::Vanished { key, .. } => {
                let detail = "the provider does not hold it any more; it is uploaded again";
                self.tell(Subject::Entry(key.clone()), Topic::Risk, "vanished".into(), detail, &mut out);
            }
            other => self.of_many(other, &mut out),
        }
        out
    }

    /// What is about many entries at once.
    fn of_many(&mut self, event: &Event, out: &mut Vec<Notice>) {
        match event {
            Event::AccountStopped { provider, class, detail } => {
                self.tell(account(provider), Topic::Failure, class.as_str().into(), detail, out);
            }
            Event::AccountUnusable { provider, detail, .. } => {
                self.tell(account(provider), Topic::Failure, CREDENTIALS_MISSING.into(), detail, out);
            }
            Event::AccountRecovered { provider } => {
                self.end_class(&account(provider), |class| class != CREDENTIALS_MISSING, out);
            }
            Event::AccountGone { provider } => self.end(&account(provider), Topic::Failure, out),
            Event::AccountUsable { provider } => {
                self.end_class(&account(provider), |class| class == CREDENTIALS_MISSING, out);
            }
            Event::GuardHalted { halt, held_back, .. } => {
                let detail = format!(
                    "{halt}; {held_back} held back and kept alive; put the files back, or let them go: mediakeep approve"
                );
                // How often it comes with another number is bounded where it comes from.
                self.forget_told_unless(&GUARD, Topic::Risk, &detail);
                self.tell(GUARD, Topic::Risk, "guard".into(), &detail, out);
            }
            Event::GuardReleased => self.end(&GUARD, Topic::Risk, out),
            Event::FolderUnusable { detail } => {
                self.tell(FOLDER, Topic::Risk, "folder-unusable".into(), detail, out);
            }
            Event::FolderBack => self.end(&FOLDER, Topic::Risk, out),
            Event::StateUnwritable { detail } => {
                self.tell(STATE, Topic::Risk, "state-unwritable".into(), detail, out);
            }
            Event::StateWritable => self.end(&STATE, Topic::Risk, out),
            Event::ManifestUnusable { unusable, .. } => {
                let detail = format!("{unusable}; the last one that worked stays in force");
                let (subject, class) = match unusable.source {
                    SourceName::Manifest => (MANIFEST, "manifest-unusable"),
                    SourceName::Config => (CONFIG, "config-unusable"),
                };
                self.keep_reading_open();
                self.tell(subject, Topic::Failure, class.into(), &detail, out);
            }
            // While the config is broken nobody knows about the manifest: neither is over before both are.
            Event::ManifestUsable => {
                for subject in [CONFIG, MANIFEST] {
                    self.end(&subject, Topic::Failure, out);
                }
            }
            _ => {}
        }
    }

    /// Takes in what readers find from now on.
    pub fn published(&mut self, readers: Arc<State>, steady: Timestamp) -> Vec<Notice> {
        let before = std::mem::replace(&mut self.readers, readers);
        let after = Arc::clone(&self.readers);
        let mut out = Vec::new();
        for (key, was, is) in differing(&before, &after) {
            if let Some(change) = change(was, is) {
                let (topic, subject) = (Topic::Change, Subject::Entry(key.clone()));
                out.push(Notice { topic, subject, news: News::Change(change) });
            }
            if is.is_none() {
                self.gone(key, &mut out);
            } else {
                for topic in [Topic::Risk, Topic::Failure] {
                    self.settle(&Subject::Entry(key.clone()), topic, steady, &mut out);
                }
            }
        }
        out.append(&mut self.wake(steady));
        out
    }

    /// When [`wake`](Self::wake) has something to do, if by itself it ever has.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let moments = self.open.values().flat_map(|episode| {
            [episode.suspected, episode.ending.as_ref().and_then(|ending| ending.not_before)]
        });
        moments.flatten().min()
    }

    /// Tells what has lasted, and ends what is over.
    pub fn wake(&mut self, steady: Timestamp) -> Vec<Notice> {
        let mut out = Vec::new();
        let due = self.open.iter().filter(|(_, episode)| {
            let moments = [episode.suspected, episode.ending.as_ref().and_then(|ending| ending.not_before)];
            moments.into_iter().flatten().any(|moment| moment <= steady)
        });
        let due: Vec<(Subject, Topic)> = due.map(|(name, _)| name.clone()).collect();
        for (subject, topic) in due {
            self.settle(&subject, topic, steady, &mut out);
        }
        out
    }

    /// Tells what was suspected and has lasted, and ends what is over, if it is time.
    fn settle(&mut self, subject: &Subject, topic: Topic, steady: Timestamp, out: &mut Vec<Notice>) {
        let name = (subject.clone(), topic);
        let Some(episode) = self.open.get_mut(&name) else { return };
        let Subject::Entry(key) = subject else {
            if episode.suspected.is_some_and(|at| at <= steady) {
                self.end(subject, topic, out);
            }
            return;
        };
        let record = self.readers.records.get(key);
        if let Some(ending) = &mut episode.ending {
            if ending.not_before.is_some_and(|at| at > steady) {
                return;
            }
            // Where readers do not find it yet, a publication is still to come.
            ending.not_before = None;
            let found = record.and_then(|record| record.live()).and_then(|handle| handle.url.as_deref());
            if found == Some(&*ending.url) {
                self.end(subject, topic, out);
            }
        } else if episode.suspected.is_some_and(|at| at <= steady) && topic == Topic::Risk {
            if record.is_some_and(|record| is_lapsed(record)) {
                self.tell(subject.clone(), topic, LAPSED.into(), HAS_DIED, out);
            } else {
                self.open.remove(&name);
            }
        } else if episode.suspected.is_some_and(|at| at <= steady) {
            let trouble = record.and_then(|record| record.trouble.clone());
            match trouble.filter(|trouble| is_lasting(trouble)) {
                Some(trouble) => {
                    let class = trouble.kind.into_string().into();
                    self.tell(subject.clone(), topic, class, &trouble.detail, out);
                }
                None => drop(self.open.remove(&name)),
            }
        }
    }

    /// An upload succeeded: whatever was in danger is safe once readers find it. One that failed before may be of other
    /// content and fail again, so that end is waited for.
    fn uploaded(&mut self, key: &EntryKey, url: &str, steady: Timestamp, out: &mut Vec<Notice>) {
        for (topic, patience) in [(Topic::Risk, Duration::ZERO), (Topic::Failure, PATIENCE)] {
            let subject = Subject::Entry(key.clone());
            let Some(episode) = self.open.get_mut(&(subject.clone(), topic)) else { continue };
            if !episode.blocked {
                episode.ending = Some(Ending { not_before: Some(steady + patience), url: url.into() });
                self.settle(&subject, topic, steady, out);
            }
        }
    }

    /// An account took something: what was wrong with it before a restart, and not since, is over.
    fn answered(&mut self, provider: &ProviderName, out: &mut Vec<Notice>) {
        let subject = account(provider);
        if self.open.get(&(subject.clone(), Topic::Failure)).is_some_and(|episode| episode.told.is_empty()) {
            self.end(&subject, Topic::Failure, out);
        }
    }

    fn failed(
        &mut self,
        key: &EntryKey,
        class: Option<FailureClass>,
        detail: &str,
        attempts: u32,
        out: &mut Vec<Notice>,
    ) {
        let subject = Subject::Entry(key.clone());
        if let Some(episode) = self.open.get_mut(&(subject.clone(), Topic::Failure)) {
            episode.ending = None;
            episode.blocked = false;
        }
        // What is wrong with an account is told for the account, not for a hundred thousand entries.
        let of_account = class.is_some_and(|class| class != FailureClass::ContentRefused)
            && self.is_told(account(&key.provider));
        if attempts >= LASTING_ATTEMPTS && !of_account {
            let class = class.map_or(SOURCE_LOST, FailureClass::as_str);
            self.tell(subject, Topic::Failure, class.into(), detail, out);
        }
    }

    /// Whether a failure of it was told and goes on.
    fn is_told(&self, subject: Subject) -> bool {
        let episode = self.open.get(&(subject, Topic::Failure));
        episode.is_some_and(|episode| !episode.told.is_empty())
    }

    /// Tells what is recorded then, if it is. A file that somebody removed on purpose is let go before that.
    fn suspect(&mut self, key: &EntryKey, at: Timestamp) {
        let episode = self.open.entry((Subject::Entry(key.clone()), Topic::Failure)).or_default();
        episode.suspected.get_or_insert(at);
    }

    fn note_blocked(&mut self, key: &EntryKey) {
        if let Some(episode) = self.open.get_mut(&(Subject::Entry(key.clone()), Topic::Failure)) {
            episode.blocked = true;
        }
    }

    /// Nothing keeps it alive any more, so that nothing can be wrong with it.
    fn gone(&mut self, key: &EntryKey, out: &mut Vec<Notice>) {
        for topic in [Topic::Risk, Topic::Failure] {
            self.end(&Subject::Entry(key.clone()), topic, out);
        }
    }

    /// It goes on, or begins; it is told if its class was not.
    fn tell(
        &mut self,
        subject: Subject,
        topic: Topic,
        class: Cow<'static, str>,
        detail: &str,
        out: &mut Vec<Notice>,
    ) {
        let published = self.published_of(&subject);
        let episode = self.open.entry((subject.clone(), topic)).or_default();
        (episode.ending, episode.suspected) = (None, None);
        episode.detail = detail.into();
        if episode.told.contains(&class) {
            return;
        }
        episode.told.push(class.clone());
        episode.last = Some(class.clone());
        let matter = Matter { over: None, class, detail: detail.into(), published };
        out.push(Notice { topic, subject, news: News::Matter(matter) });
    }

    /// What was told in other words may be told again.
    fn forget_told_unless(&mut self, subject: &Subject, topic: Topic, detail: &str) {
        let open = self.open.get_mut(&(subject.clone(), topic));
        if let Some(episode) = open.filter(|episode| *episode.detail != *detail) {
            episode.told.clear();
        }
    }

    /// It is over; that is told if it was told that it is, also before a restart.
    fn end(&mut self, subject: &Subject, topic: Topic, out: &mut Vec<Notice>) {
        let Some(episode) = self.open.remove(&(subject.clone(), topic)) else { return };
        let noted = || episode.noted.map(|class| class.into_string().into());
        let Some(class) = episode.last.or_else(noted) else { return };
        let published = self.published_of(subject);
        let matter = Matter { over: Some(topic), class, detail: episode.detail, published };
        out.push(Notice { topic: Topic::Recover, subject: subject.clone(), news: News::Matter(matter) });
    }

    /// Some of what is wrong with an account is over: all of it is, where nothing else was told.
    fn end_class(&mut self, subject: &Subject, is_over: impl Fn(&str) -> bool, out: &mut Vec<Notice>) {
        let Some(episode) = self.open.get_mut(&(subject.clone(), Topic::Failure)) else { return };
        let noted = episode.noted.as_deref();
        if episode.told.iter().map(|class| &**class).chain(noted).all(&is_over) {
            self.end(subject, Topic::Failure, out);
        } else {
            episode.told.retain(|class| !is_over(class));
            episode.noted.take_if(|class| is_over(class));
        }
    }

    fn published_of(&self, subject: &Subject) -> Option<Published> {
        let Subject::Entry(key) = subject else { return None };
        self.readers.records.get(key).and_then(|record| Published::of(record))
    }
}

fn account(provider: &ProviderName) -> Subject {
    Subject::Account(provider.clone())
}

/// Whether it is more than one bad moment, and the entry's own.
fn is_lasting(trouble: &Trouble) -> bool {
    (trouble.attempts == 0 || trouble.attempts >= LASTING_ATTEMPTS) && !is_of_folder(&trouble.detail)
}

/// Whether what was published has died, and should not have.
fn is_lapsed(record: &Record) -> bool {
    record.current.is_some() && record.live().is_none() && record.retired_at.is_none()
}

const LAPSED: &str = "lapsed";
const HAS_DIED: &str = "its URL has died";
const GUARD: Subject = Subject::System("guard");
const FOLDER: Subject = Subject::System("folder");
const STATE: Subject = Subject::System("state");
const MANIFEST: Subject = Subject::System("manifest");
const CONFIG: Subject = Subject::System("config");
/// As the state file calls it.
const SOURCE_LOST: &str = "source-lost";
/// So many failures in a row are no chance any more.
const LASTING_ATTEMPTS: u32 = 3;
/// How long what was recorded before the start has time to mend.
const SUSPICION: Duration = Duration::from_secs(60);
/// How long after a success a failure counts as the same one.
const PATIENCE: Duration = Duration::from_secs(10);
