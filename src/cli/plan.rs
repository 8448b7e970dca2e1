//! `mediakeep plan`: what sync would do and why.

use std::collections::BTreeMap;

use super::args::{Global, Plan};
use super::exit::Exit;
use super::listing::{Entry, Listing, NO_ENTRIES, Planned};
use super::table::{bytes, count, render, shown, table};
use super::voice::{print, print_json, tell};
use super::workspace::Workspace;
use crate::domain::asset::EntryKey;
use crate::domain::plan::{self as reconciled, Action, PlanItem};
use crate::domain::time::{Now, format_duration};

pub(super) fn run(global: &Global, options: &Plan) -> Result<Exit, Exit> {
    let workspace = Workspace::open(global)?;
    let (mut engine, now) = workspace.looked_at()?;
    let plan = engine.plan(now, options.all);
    let due = plan.items.iter().any(|item| item.action.is_due());
    let ends = Exit::of(&engine.summary());
    let printed = if options.json {
        let records: BTreeMap<EntryKey, _> =
            engine.records().map(|(key, record)| (key.clone(), record)).collect();
        let entry = |item: PlanItem| {
            let record = records.get(&item.key).copied().flatten();
            let mut entry = Entry::new(&item.key, record);
            entry.plan = Some(Planned::from(item));
            entry
        };
        let shown = plan.items.into_iter().filter(|item| options.all || item.action != Action::Keep);
        print_json(&Listing { format: 1, entries: shown.map(entry).collect() })
    } else {
        show(&plan, now, options.all)
    };
    if let Some((halt, held_back)) = engine.held_back() {
        let entries = count(held_back.len(), "entry", "entries");
        tell(&match ends {
            Exit::Halted => format!("the guard holds back {entries}: {halt}"),
            _ => format!(
                "the guard would hold back {entries} once their files have been gone for a minute: {halt}"
            ),
        });
    }
    // The process is about to end: taking a hundred thousand records apart first would be in vain.
    std::mem::forget(engine);
    Ok(match printed {
        Exit::Done if options.exit_code && due => Exit::Due,
        // What is wrong with single entries is what the plan is about.
        Exit::Done if matches!(ends, Exit::Halted | Exit::Unexpected) => ends,
        printed => printed,
    })
}

fn show(plan: &reconciled::Plan, now: Now, all: bool) -> Exit {
    let mut rows = table(&["ACTION", "FILE", "PROVIDER", "BYTES", "URL ENDS", "WHY"]);
    let mut any = false;
    for item in plan.items.iter().filter(|item| all || item.action != Action::Keep) {
        any = true;
        let ends = item.deadline.map_or_else(
            || "-".to_owned(),
            |at| format!("in {}", format_duration(at.saturating_since(now.wall))),
        );
        let size = if item.requests > 0 { bytes(item.bytes) } else { "-".to_owned() };
        rows.add_row([
            item.action.as_str().to_owned(),
            shown(item.key.path.as_str()),
            item.key.provider.to_string(),
            size,
            ends,
            shown(&item.why),
        ]);
    }
    let printed = if any { print(&render(&rows)) } else { Exit::Done };
    tell(&summary(plan));
    printed
}

fn summary(plan: &reconciled::Plan) -> String {
    let reconciled::Plan { items, kept } = plan;
    let mut counts: BTreeMap<Action, usize> = BTreeMap::new();
    if *kept > 0 {
        counts.insert(Action::Keep, *kept);
    }
    for item in items {
        *counts.entry(item.action).or_default() += 1;
    }
    let requests = items.iter().map(|item| item.requests as usize).sum();
    let sent: u64 = items.iter().map(|item| item.bytes).sum();
    let parts: Vec<String> =
        counts.iter().map(|(action, count)| format!("{count} {}", action.as_str())).collect();
    let entries = items.len() + kept;
    if entries == 0 {
        return NO_ENTRIES.to_owned();
    }
    let (entries, requests) = (count(entries, "entry", "entries"), count(requests, "request", "requests"));
    format!("{entries}: {}; {requests}, {}", parts.join(", "), bytes(sent))
}
