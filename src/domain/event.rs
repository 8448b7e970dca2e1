//! Facts for people: what happened to which entry. Logs, metrics and progress bars are made from these.

use std::time::Duration;

use super::asset::{EntryKey, ProviderName, RelPath};
use super::failure::FailureClass;
use super::guard::Halt;
use super::manifest::Unusable;
use super::plan::Reason;
use super::time::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Content was uploaded that was not published before; told once readers can see it.
    Uploaded {
        /// The entry.
        key: EntryKey,
        /// Why.
        reason: Reason,
        /// Where it is now.
        url: Box<str>,
        /// How many bytes were sent.
        bytes: u64,
        /// Until when it lives.
        expires_at: Timestamp,
    },
    /// Published content was uploaded again.
    Renewed {
        /// The entry.
        key: EntryKey,
        /// Where it is now; another URL than before where the provider names media.
        url: Box<str>,
        /// Until when it lives.
        expires_at: Timestamp,
        /// Whether its file is gone or unusable, so that a kept copy was sent.
        from_kept_copy: bool,
    },
    /// An upload failed.
    Failed {
        /// The entry.
        key: EntryKey,
        /// What kind of failure.
        class: FailureClass,
        /// What happened.
        detail: String,
        /// Failed attempts in a row.
        attempts: u32,
        /// How long until the next one.
        wait: Duration,
    },
    /// An upload could not be made, because neither the file nor a kept copy has the bytes.
    SourceLost {
        /// The entry.
        key: EntryKey,
        /// What was found instead.
        detail: String,
        /// Failed attempts in a row.
        attempts: u32,
        /// How long until the next one.
        wait: Duration,
    },
    /// The present file can't become the entry's content.
    Blocked {
        /// The entry.
        key: EntryKey,
        /// A word for programs.
        kind: &'static str,
        /// Why, and what to do.
        detail: String,
        /// Whether older content of it is kept alive meanwhile.
        kept_alive: bool,
    },
    /// What was wrong with an entry is mended.
    Recovered {
        /// The entry.
        key: EntryKey,
    },
    /// A published URL ends soon and has not been renewed yet.
    AtRisk {
        /// The entry.
        key: EntryKey,
        /// Time left.
        left: Duration,
    },
    /// A published URL has died.
    Lapsed {
        /// The entry.
        key: EntryKey,
    },
    /// A provider does not hold a published media any more; it is uploaded again at once.
    Vanished {
        /// The entry.
        key: EntryKey,
        /// The time since its upload.
        age: Duration,
    },
    /// A look found so few of an account's media that it can hardly be right: they are uploaded again, and readers keep
    /// their URLs until the next look agrees.
    LossDoubted {
        /// The provider.
        provider: ProviderName,
        /// How many were not found.
        gone: usize,
        /// How many were looked for.
        sought: usize,
    },
    /// Something else than what we sent is under an ID of ours. It is not fought: the next renewal comes as planned.
    ForeignContent {
        /// The entry.
        key: EntryKey,
        /// How many bytes we sent.
        sent: u64,
        /// How many bytes are there.
        found: u64,
    },
    /// An entry is not renewed any more.
    Retired {
        /// The entry.
        key: EntryKey,
        /// Until when its URL lives.
        expires_at: Option<Timestamp>,
    },
    /// A retired entry is wanted again.
    Unretired {
        /// The entry.
        key: EntryKey,
    },
    /// The guard holds back retirements.
    GuardHalted {
        /// Why.
        halt: Halt,
        /// How many entries are held back.
        held_back: usize,
        /// Some of them.
        examples: Vec<EntryKey>,
    },
    /// The guard holds nothing back any more.
    GuardReleased,
    /// An account gets no requests but probes for a while.
    AccountStopped {
        /// The provider.
        provider: ProviderName,
        /// Why.
        class: FailureClass,
        /// What the last failure said.
        detail: String,
    },
    /// An account answers again.
    AccountRecovered {
        /// The provider.
        provider: ProviderName,
    },
    /// An account that something was wrong with is not used any more: its table is gone, or of another kind.
    AccountGone {
        /// The provider.
        provider: ProviderName,
    },
    /// A provider asked us to wait.
    AccountPaused {
        /// The provider.
        provider: ProviderName,
        /// How long.
        wait: Duration,
    },
    /// An account can't be used because a credential reference leads nowhere.
    AccountUnusable {
        /// The provider.
        provider: ProviderName,
        /// Which reference, and what to do.
        detail: String,
        /// Whether credentials that were found before stay in use.
        connected: bool,
    },
    /// The credentials of an account that could not be found are there.
    AccountUsable {
        /// The provider.
        provider: ProviderName,
    },
    /// It was looked at what an account holds of ours.
    Verified {
        /// The provider.
        provider: ProviderName,
        /// How many of our media are there.
        present: usize,
        /// How many are not.
        gone: usize,
    },
    /// What an account holds could not be looked at; told once until it can be.
    VerificationFailed {
        /// The provider.
        provider: ProviderName,
        /// What kind of failure.
        class: FailureClass,
        /// What happened.
        detail: String,
    },
    /// Media of an account die sooner than was thought, which is counted on from now on until a restart.
    RetentionLearnt {
        /// The provider.
        provider: ProviderName,
        /// How long media were thought to live.
        assumed: Duration,
        /// How long they are thought to live now.
        retention: Duration,
    },
    /// An upload under an existing ID does not prolong a media's life there: renewals have new IDs from now on.
    OverwritingKeepsClock {
        /// The provider.
        provider: ProviderName,
        /// How many entries have an ID that the manifest fixes, so that they can only be brought back.
        fixed: usize,
        /// One of them.
        example: Option<EntryKey>,
    },
    /// The folder can't be looked at; what is published is kept alive from kept copies.
    FolderUnusable {
        /// Why.
        detail: String,
    },
    /// The folder can be looked at again.
    FolderBack,
    /// A folder below root can't be listed; what is in it is kept alive.
    SubfolderUnreadable {
        /// Which one.
        path: RelPath,
    },
    /// The wall clock was set, or the machine slept.
    ClockJumped {
        /// By how much it moved against boot time, in seconds; negative for backwards.
        seconds: i64,
    },
    /// The wall clock and a provider's are far apart. Deadlines stay as they are.
    ClockDiffers {
        /// The provider.
        provider: ProviderName,
        /// By how much, at least.
        difference: Duration,
        /// Whether ours is ahead of the provider's, rather than behind it.
        is_ahead: bool,
    },
    /// The manifest or the config that lies there can't be used; the last ones that worked are in force.
    ManifestUnusable {
        /// Which of them, and why.
        unusable: Unusable,
        /// Whether this was found at the start, so that the ones in force were remembered from an earlier run.
        at_start: bool,
    },
    /// Manifest and config can be used again.
    ManifestUsable,
    /// The state folder can't be written. Renewals go on; new content waits.
    StateUnwritable {
        /// What the system said.
        detail: String,
    },
    /// The state folder can be written again.
    StateWritable,
    /// The manifest asks for more than the allowed rate can keep alive.
    Overcommitted {
        /// The provider.
        provider: ProviderName,
        /// Its entries.
        entries: usize,
        /// How long one round of renewals takes, with the looks at what is there that fall into it.
        round: Duration,
        /// How long it may take.
        margin: Duration,
    },
}

impl Event {
    /// Whether readers of the state file must be able to see it before people are told.
    #[must_use]
    pub const fn waits_for_publication(&self) -> bool {
        matches!(self, Self::Uploaded { .. })
    }
}
