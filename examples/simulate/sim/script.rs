//! What goes wrong in a run, and when: a list that a seed makes, that can be printed, cut down and played again.

use serde::{Deserialize, Serialize};

/// A whole run: the same script always gives the same trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Script {
    /// Decides about everything that is left to chance: latencies, torn bytes, the engine's own waits.
    pub(crate) seed: u64,
    /// How many entries there are to begin with.
    pub(crate) entries: u32,
    /// How long it lasts. The last day is quiet.
    pub(crate) days: u32,
    /// Whether one in forty entries goes to a provider that names media itself and keeps them six hours.
    pub(crate) server_named: bool,
    /// What happens, in order of time.
    pub(crate) scenes: Vec<Scene>,
}

/// Something that happens at a certain time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scene {
    /// Seconds after the start.
    pub(crate) at_s: u64,
    pub(crate) what: What,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// Somebody works in the folder, on the file with this number.
    Edit { file: u32, edit: Edit },
    /// The manifest becomes this one of those that there are, and the first one again later.
    Manifest { variant: u8, minutes: u32 },
    /// The whole folder is in trouble.
    Folder { trouble: FolderTrouble, minutes: u32 },
    /// A provider is in trouble.
    Provider { provider: u8, trouble: Trouble, minutes: u32 },
    /// A provider loses some of what it holds, before its time.
    EarlySweep { provider: u8, percent: u8 },
    /// The wall clock is set wrong by so much, and right again later.
    Clock { jump_s: i64, minutes: u32 },
    /// The machine sleeps.
    Suspend { minutes: u32 },
    /// The process dies, the so-many-th point after this moment, and is started again.
    Crash { crash: Crash, points: u32, down_s: u32 },
    /// The process is stopped as it should be, and started again, with this manifest from then on.
    Restart { down_s: u32 },
    /// The disk with the state folder is full.
    DiskFull { minutes: u32 },
    /// The next time something is to be made durable, the disk fails to.
    SyncFails,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    /// New content, written in place: the file is busy for a moment.
    Write,
    /// New content, renamed over the old.
    RenameOver,
    /// New content that nobody is told about: the watcher misses it.
    Unnoticed,
    /// What it was at the very beginning.
    Revert,
    /// Content that the providers refuse.
    Spoil,
    /// Gone, and back with other content after so many seconds.
    Recreate { gap_s: u32 },
    /// Gone, and back as it was after so many minutes.
    Delete { minutes: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FolderTrouble {
    Vanishes,
    IsEmpty,
    IsUnreadable,
    /// Looks at it do not come back.
    Hangs,
    /// Another file system lies there, with some files missing.
    IsAnother,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trouble {
    /// No connection.
    Refuses,
    /// Requests vanish.
    TimesOut,
    /// 500, and now and then it has stored the media all the same.
    Fails,
    /// 429, with or without a Retry-After.
    Throttles { retry_after_s: Option<u32> },
    /// 401.
    Revokes,
    /// So many of a hundred answers are lost after the media was stored.
    LosesAnswers { percent: u8 },
    /// Answers take so long.
    IsSlow { seconds: u16 },
    /// So many of a hundred requests fail, in one way or another.
    IsFlaky { percent: u8 },
}

impl Trouble {
    /// Whether nothing at all gets through.
    pub(crate) const fn is_total(self) -> bool {
        matches!(self, Self::Refuses | Self::TimesOut | Self::Fails | Self::Throttles { .. } | Self::Revokes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Crash {
    /// kill -9: what was written is there.
    Kill,
    /// What was not made durable is there or not; each number is another choice.
    PowerCut { choice: u64 },
}

pub(crate) const DAY_S: u64 = 86_400;
/// Fewer would leave nothing to happen to.
pub(crate) const ENTRIES_MIN: u32 = 8;
/// A thousand years.
const JUMP_MAX_S: u64 = 1000 * 365 * DAY_S;
/// The providers, by number.
pub(crate) const CLIENT_NAMED: u8 = 0;
pub(crate) const SERVER_NAMED: u8 = 1;

impl Script {
    /// As many lines as there are scenes, so that people can cut it by hand.
    pub(crate) fn to_text(&self) -> String {
        let Self { seed, entries, days, server_named, scenes } = self;
        let line = |scene: &Scene| serde_json::to_string(scene).unwrap_or_default();
        let lines: Vec<String> = scenes.iter().map(|scene| format!("  {}", line(scene))).collect();
        format!(
            "{{\"seed\": {seed}, \"entries\": {entries}, \"days\": {days}, \"server_named\": {server_named}, \
             \"scenes\": [\n{}\n]}}",
            lines.join(",\n")
        )
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let mut script: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        script.scenes.sort_by_key(|scene| scene.at_s);
        script.check()?;
        Ok(script)
    }

    /// What people write can ask for more than there is.
    fn check(&self) -> Result<(), String> {
        if self.entries < ENTRIES_MIN || self.days == 0 {
            return Err(format!("a run has at least {ENTRIES_MIN} entries and one day"));
        }
        let end_s = u64::from(self.days) * DAY_S;
        for Scene { at_s, what } in &self.scenes {
            match what {
                _ if *at_s >= end_s => {
                    return Err(format!("the scene at {at_s} s: the run is over at {end_s} s"));
                }
                What::Provider { provider, .. } | What::EarlySweep { provider, .. }
                    if *provider > SERVER_NAMED =>
                {
                    return Err(format!(
                        "the scene at {at_s} s: there are providers 0 and 1, not {provider}"
                    ));
                }
                What::Clock { jump_s, .. } if jump_s.unsigned_abs() > JUMP_MAX_S => {
                    return Err(format!("the scene at {at_s} s: a clock jumps by {JUMP_MAX_S} s at most"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn length_ms(&self) -> i64 {
        i64::from(self.days) * 86_400_000
    }

    /// Files: some go to both providers, so there are fewer of them than entries.
    pub(crate) fn files(&self) -> u32 {
        self.entries.saturating_sub(self.doubled()).max(4)
    }

    /// Files that go to both providers.
    pub(crate) fn doubled(&self) -> u32 {
        if self.server_named { (self.entries / 40).max(2) } else { 0 }
    }
}
