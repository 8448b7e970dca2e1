//! `mediakeep status`: every entry as it is recorded. Looks at no file and asks nobody.

use std::fmt::Write as _;

use serde::Serialize;

use super::approve::{WHEN, waiting};
use super::args::Global;
use super::exit::Exit;
use super::fallback::open_to_read;
use super::listing::{Entry, Listing};
use super::table::{ago, count, render, shown, table};
use super::voice::{print, print_json, tell};
use super::workspace::Workspace;
use crate::domain::approval::Approval;
use crate::domain::asset::EntryKey;
use crate::domain::condition::Condition;
use crate::domain::failure::FailureClass;
use crate::domain::guard::REMOVAL_DELAY;
use crate::domain::lease::Schedule;
use crate::domain::obstacles::{AccountProblem, CREDENTIALS_MISSING, HeldBack, Obstacles};
use crate::domain::state::Record;
use crate::domain::time::{Now, Timestamp, format_duration};
use crate::local::approval;
use crate::local::clock::{Clock as _, SystemClock};
use crate::local::obstacles_file;

pub(super) fn run(global: &Global, json: bool) -> Result<Exit, Exit> {
    let workspace = open_to_read(global)?;
    let state = workspace.recorded_or_explain()?;
    let now = SystemClock::new().now();
    let (mut engine, inputs) = workspace.engine(state, now);
    drop(engine.step(now, inputs));
    let rows: Vec<Row<'_>> = engine
        .records()
        .map(|(key, record)| {
            let schedule = engine.schedule(key, now);
            Row { key, record, schedule, state: Condition::of(record, schedule, now) }
        })
        .collect();
    let in_the_way = obstacles(&workspace, &rows);
    let approval = approval::read(&workspace.manifest.sync.state_dir).ok().flatten();
    let dead = rows.iter().any(|row| row.state.is_dead());
    let exit = exit(in_the_way.as_ref().map(|(obstacles, _)| obstacles), dead);
    let printed = if json {
        let entries = rows.iter().map(Row::entry).collect();
        let listing = Listing { format: 1, entries };
        let approval = approval.as_ref().map(Given::of);
        print_json(&Status { listing, obstacles: in_the_way.map(Since::of), approval })
    } else {
        show(&rows, in_the_way, approval.as_ref(), now)
    };
    Ok(if printed == Exit::Done { exit } else { printed })
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    listing: Listing,
    /// What stands in the way of many entries at once, as the last run found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    obstacles: Option<Since>,
    /// An approval that waits to be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Given>,
}

#[derive(Serialize)]
struct Given {
    approved_at: Timestamp,
    entries: usize,
}

impl Given {
    fn of(approval: &Approval) -> Self {
        Self { approved_at: approval.approved_at, entries: approval.entries.len() }
    }
}

#[derive(Serialize)]
struct Since {
    since: Timestamp,
    #[serde(flatten)]
    obstacles: Obstacles,
}

impl Since {
    fn of((obstacles, since): (Obstacles, Timestamp)) -> Self {
        Self { since, obstacles }
    }
}

/// What the last run found to stand in the way, without accounts that are no longer of interest.
fn obstacles(workspace: &Workspace, rows: &[Row<'_>]) -> Option<(Obstacles, Timestamp)> {
    let (mut obstacles, since) = obstacles_file::read(&workspace.manifest.sync.state_dir)?;
    let providers = &workspace.manifest.providers;
    obstacles
        .accounts
        .retain(|name, _| providers.contains_key(name) || rows.iter().any(|row| row.key.provider == *name));
    (!obstacles.is_empty()).then_some((obstacles, since))
}

/// The code that a pass would end with that finds the same.
fn exit(obstacles: Option<&Obstacles>, dead: bool) -> Exit {
    let account =
        |kind: &str| obstacles.is_some_and(|all| all.accounts.values().any(|problem| &*problem.kind == kind));
    let halted = obstacles.is_some_and(|all| all.guard.is_some());
    if account(CREDENTIALS_MISSING) {
        Exit::Manifest
    } else if obstacles.is_some_and(|all| all.folder.is_some()) && !halted {
        Exit::Unexpected
    } else if account(FailureClass::CredentialsRefused.as_str()) {
        Exit::Refused
    } else if halted {
        Exit::Halted
    } else if dead {
        Exit::NotAlive
    } else {
        Exit::Done
    }
}

/// The same in words, one line each.
fn lines((obstacles, since): (Obstacles, Timestamp), now: Now) -> Vec<String> {
    let Obstacles { folder, guard, accounts } = obstacles;
    let ago = ago(since, now.wall);
    let mut lines = Vec::new();
    if let Some(reason) = folder {
        lines.push(format!("the watched folder cannot be used: {}", shown(&reason)));
    }
    if let Some(HeldBack { reason, entries }) = guard {
        lines.push(format!(
            "the guard holds back {}: {}; they are kept alive until `mediakeep approve` lets them go",
            count(entries, "entry", "entries"),
            shown(&reason)
        ));
    }
    for (name, AccountProblem { kind, detail, connected }) in accounts {
        let meanwhile = match (&*kind == CREDENTIALS_MISSING, connected) {
            (true, true) => "; those found before are still in use",
            (true, false) => "; nothing is sent there",
            (false, _) => "",
        };
        lines.push(format!("all of {name}: {}: {}{meanwhile}", shown(&kind), shown(&detail)));
    }
    lines.iter().map(|line| format!("{line} (found {ago})")).collect()
}

struct Row<'a> {
    key: &'a EntryKey,
    record: Option<&'a Record>,
    schedule: Option<Schedule>,
    state: Condition,
}

impl Row<'_> {
    fn entry(&self) -> Entry {
        let mut entry = Entry::new(self.key, self.record);
        entry.state = Some(self.state.as_str());
        entry.renew_at = self.schedule.map(|schedule| schedule.renew_at.floor_to_second());
        entry
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.record?.live()?.expires_at)
    }

    fn problem(&self, now: Now) -> Option<String> {
        let trouble = self.record?.trouble.as_ref()?;
        let EntryKey { path, provider } = self.key;
        let mut line =
            format!("{} at {provider}: {}: {}", shown(path.as_str()), trouble.kind, shown(&trouble.detail));
        if trouble.attempts > 0 {
            let _ = write!(line, " ({}", count(trouble.attempts as usize, "attempt", "attempts"));
            if let Some(at) = trouble.next_try.filter(|at| *at > now.wall) {
                let _ = write!(line, ", the next in {}", format_duration(at.saturating_since(now.wall)));
            }
            line.push(')');
        }
        let gone_lately = |since: Timestamp| now.wall.saturating_since(since) < REMOVAL_DELAY;
        if self.record?.missing_since.is_some_and(gone_lately) {
            line.push_str("; kept alive, and let go, past the guard, once it has been gone for a minute");
        }
        Some(line)
    }
}

fn show(
    rows: &[Row<'_>],
    obstacles: Option<(Obstacles, Timestamp)>,
    approval: Option<&Approval>,
    now: Now,
) -> Exit {
    let mut out = table(&["STATE", "FILE", "PROVIDER", "RENEWAL", "EXPIRY", "URL"]);
    let until = |at: Timestamp| {
        let left = at.saturating_since(now.wall);
        if left.is_zero() { "now".to_owned() } else { format!("in {}", format_duration(left)) }
    };
    let mut problems = obstacles.map(|found| lines(found, now)).unwrap_or_default();
    problems.extend(approval.map(|approval| format!("{}; {WHEN}", waiting(approval, now.wall))));
    for row in rows {
        let retired = row.record.is_some_and(|record| record.retired_at.is_some());
        let renewal = row
            .schedule
            .filter(|_| !retired)
            .map_or_else(|| "-".to_owned(), |schedule| until(schedule.renew_at));
        out.add_row([
            row.state.as_str().to_owned(),
            shown(row.key.path.as_str()),
            row.key.provider.to_string(),
            renewal,
            row.expires_at().map_or_else(|| "-".to_owned(), until),
            row.record
                .and_then(Record::live)
                .and_then(|handle| handle.url.as_deref())
                .unwrap_or("-")
                .to_owned(),
        ]);
        problems.extend(row.problem(now));
    }
    if rows.is_empty() {
        tell("nothing is recorded yet, and the manifest names no file");
    }
    let entries = (!rows.is_empty()).then(|| render(&out));
    let problems = (!problems.is_empty()).then(|| format!("PROBLEMS\n{}\n", problems.join("\n")));
    let text = entries.into_iter().chain(problems).collect::<Vec<_>>().join("\n");
    print(&text)
}
