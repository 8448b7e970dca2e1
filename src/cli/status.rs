//! `mediakeep status`: every entry as it is recorded. Looks at no file and asks nobody.

use std::fmt::Write as _;

use super::args::Global;
use super::exit::Exit;
use super::fallback::open_to_read;
use super::listing::{Entry, Listing};
use super::table::{count, render, shown, table};
use super::voice::{print, print_json, tell};
use crate::domain::asset::EntryKey;
use crate::domain::lease::Schedule;
use crate::domain::state::Record;
use crate::domain::time::{Now, Timestamp, format_duration};
use crate::local::clock::{Clock as _, SystemClock};

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
            Row { key, record, schedule, state: state_of(record, schedule, now) }
        })
        .collect();
    let printed = if json {
        print_json(&Listing { format: 1, entries: rows.iter().map(Row::entry).collect() })
    } else {
        show(&rows, now)
    };
    let dead = rows.iter().any(|row| matches!(row.state, "lapsed" | "waiting" | "blocked" | "failing"));
    Ok(if dead && printed == Exit::Done { Exit::NotAlive } else { printed })
}

struct Row<'a> {
    key: &'a EntryKey,
    record: Option<&'a Record>,
    schedule: Option<Schedule>,
    state: &'static str,
}

impl Row<'_> {
    fn entry(&self) -> Entry {
        let mut entry = Entry::new(self.key, self.record);
        entry.state = Some(self.state);
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
        Some(line)
    }
}

/// How an entry is, in a word.
fn state_of(record: Option<&Record>, schedule: Option<Schedule>, now: Now) -> &'static str {
    let Some(record) = record else { return "waiting" };
    match (record.live(), &record.trouble) {
        (Some(handle), _) if handle.expires_at <= now.wall => "lapsed",
        (Some(_), _) if record.retired_at.is_some() => "retired",
        (Some(_), _) if schedule.is_some_and(|schedule| schedule.urgent_at <= now.steady) => "at risk",
        // Nothing was sent yet, so the file itself is the trouble.
        (Some(_), Some(trouble)) if trouble.attempts == 0 => "kept alive",
        (Some(_), _) => "alive",
        (None, _) if record.current.is_some() => "lapsed",
        (None, Some(trouble)) if trouble.attempts == 0 => "blocked",
        (None, Some(_)) => "failing",
        (None, None) => "waiting",
    }
}

fn show(rows: &[Row<'_>], now: Now) -> Exit {
    let mut out = table(&["STATE", "FILE", "PROVIDER", "RENEWAL", "EXPIRY", "URL"]);
    let until = |at: Timestamp| {
        let left = at.saturating_since(now.wall);
        if left.is_zero() { "now".to_owned() } else { format!("in {}", format_duration(left)) }
    };
    let mut problems = Vec::new();
    for row in rows {
        let retired = row.record.is_some_and(|record| record.retired_at.is_some());
        let renewal = row
            .schedule
            .filter(|_| !retired)
            .map_or_else(|| "-".to_owned(), |schedule| until(schedule.renew_at));
        out.add_row([
            row.state.to_owned(),
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
        return Exit::Done;
    }
    let mut text = render(&out);
    if !problems.is_empty() {
        let _ = write!(text, "\nPROBLEMS\n{}\n", problems.join("\n"));
    }
    print(&text)
}
