//! The page for people: every entry, what wants attention first. Text is escaped by the template's macro; there is no
//! script, and nothing in it depends on one.

mod lease;

use std::fmt::Write as _;
use std::time::Duration;

use maud::{DOCTYPE, Markup, html};

use super::health::stands_in_the_way;
use super::rows::{Row, rows};
use crate::daemon::board::View;
use crate::daemon::reading::Reading;
use crate::domain::condition::Condition;
use crate::domain::obstacles::{AccountProblem, CREDENTIALS_MISSING};
use crate::domain::time::{Now, Timestamp, format_duration};
use crate::local::watcher::Mode;

/// The page's style sheet.
pub(super) const STYLE: &str = include_str!("page.css");

/// What somebody asked for behind the `?`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// More than the first entries.
    all: bool,
    /// A page that stays as it is.
    still: bool,
}

impl Wish {
    pub(super) fn of(query: &str) -> Self {
        let has = |word| query.split('&').any(|part| part == word);
        Self { all: has("all"), still: has("still") }
    }

    /// The address of the page that is wished for.
    fn address(self) -> &'static str {
        match (self.all, self.still) {
            (false, false) => "/",
            (true, false) => "/?all",
            (false, true) => "/?still",
            (true, true) => "/?all&still",
        }
    }

    const fn rows_max(self) -> usize {
        if self.all { ROWS_MAX } else { ROWS }
    }
}

/// The page. `against` is why it should not be relied on.
pub(super) fn page(view: Option<&View>, against: &[String], wish: Wish, now: Now) -> String {
    let rows = view.map(|view| sorted(view, now)).unwrap_or_default();
    let attention = rows.iter().filter(|row| row.wants_attention()).count();
    let broken = view.and_then(|view| view.reading.broken.as_ref());
    let verdict = verdict(view, attention, rows.len());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if !wish.still { meta http-equiv="refresh" content=(REFRESH_S); }
                title { (verdict) " – mediakeep" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                header {
                    h1 { "mediakeep" }
                    p.verdict.bad[attention > 0 || broken.is_some() || !against.is_empty()] { (verdict) }
                    (asof(wish, now))
                }
                main {
                    (in_the_way(view, against))
                    @if let Some(view) = view { (table(view, &rows, wish, now)) }
                }
                footer { p { "mediakeep " (env!("CARGO_PKG_VERSION")) ". The same for programs: " a href="/metrics" { "metrics" } ", " a href="/readyz" { "readiness" } ", " a href="/livez" { "liveness" } "." } }
            }
        }
    }
    .into_string()
}

fn verdict(view: Option<&View>, attention: usize, all: usize) -> String {
    match (view, attention) {
        (None, _) => "mediakeep is starting".to_owned(),
        (Some(View { reading: Reading { broken: Some((unusable, _)), .. }, .. }), 0) => {
            format!("{} alive, but {} cannot be used", count(all, "entry", "entries"), unusable.name())
        }
        (_, 0) if all == 0 => "Nothing is to be kept alive".to_owned(),
        (_, 0) => format!("{} alive, nothing wants attention", count(all, "entry", "entries")),
        (_, 1) => format!("1 of {} wants attention", count(all, "entry", "entries")),
        (_, more) => format!("{more} of {} want attention", count(all, "entry", "entries")),
    }
}

fn asof(wish: Wish, now: Now) -> Markup {
    let other = Wish { still: !wish.still, ..wish }.address();
    html! {
        p {
            "As of " (moment(now.wall)) ". "
            @if wish.still {
                a href=(other) { "Renew this page every " (REFRESH_S) " s" }
            } @else {
                "This page renews itself every " (REFRESH_S) " s. " a href=(other) { "Stop that" }
            }
        }
    }
}

/// What no single entry tells.
fn in_the_way(view: Option<&View>, against: &[String]) -> Markup {
    let mut lines = against.to_vec();
    if let Some(view) = view {
        lines.extend(obstacles(view));
    }
    html! {
        @if !lines.is_empty() {
            section {
                h2 { "In the way" }
                ul { @for line in &lines { li { (line) } } }
            }
        }
    }
}

/// Those that do not speak against readiness: these are in the way all the same.
fn obstacles(view: &View) -> Vec<String> {
    let obstacles = &view.overview.obstacles;
    let mut lines = Vec::new();
    if let Some((unusable, since)) = &view.reading.broken {
        lines.push(format!(
            "{} cannot be used since {}: {}; the last one that worked is in force, `mediakeep check` says more",
            unusable.name(),
            words(*since),
            unusable.reason()
        ));
    }
    if let Some(guard) = &obstacles.guard {
        lines.push(format!(
            "the guard holds back {}: {}; they are kept alive until `mediakeep approve` lets them go",
            count(guard.entries, "entry", "entries"),
            guard.reason
        ));
    }
    let others = |problem: &AccountProblem| !stands_in_the_way(&problem.kind, problem.connected);
    for (name, problem) in obstacles.accounts.iter().filter(|(_, problem)| others(problem)) {
        let used = if problem.connected && &*problem.kind == CREDENTIALS_MISSING {
            "; those found before are still in use"
        } else {
            ""
        };
        lines.push(format!("all of {name}: {}: {}{used}", problem.kind, problem.detail));
    }
    if !view.overview.state_writable {
        lines.push("the state folder cannot be written; renewals go on, new content waits".to_owned());
    }
    if let Mode::Polling { reason } = &view.watching {
        lines.push(format!("changes of files are found by looking now and then only: {reason}"));
    }
    lines
}

/// What wants attention first, and of that what is worst and what ends soonest.
fn sorted(view: &View, now: Now) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = rows(view, now).collect();
    let end = |row: &Row<'_>| row.live().map_or(Timestamp::MAX, |handle| handle.expires_at);
    rows.sort_by_key(|row| (!row.wants_attention(), row.condition, end(row)));
    rows
}

fn table(view: &View, rows: &[Row<'_>], wish: Wish, now: Now) -> Markup {
    let shown = &rows[..rows.len().min(wish.rows_max())];
    let found =
        if matches!(view.watching, Mode::Polling { .. }) { "looking now and then" } else { "watching" };
    html! {
        section {
            h2 { "Entries" }
            (totals(rows))
            p.legend {
                "A bar is a lease, from the upload on its left to the expiry on its right, filled up to \
                 now; the taller mark is where the next renewal begins. Times are UTC. Changes of files are found by " (found) "."
            }
            (more(rows.len(), shown.len(), wish))
            // A wide table scrolls by itself, also by keyboard.
            div.scroll role="region" aria-label="Table of entries" tabindex="0" {
                table {
                    caption { "Entries, what wants attention first" }
                    thead { tr { @for name in COLUMNS { th scope="col" { (name) } } } }
                    tbody { @for row in shown { (table_row(row, now)) } }
                }
            }
        }
    }
}

fn totals(rows: &[Row<'_>]) -> Markup {
    let of = |condition| rows.iter().filter(|row| row.condition == condition).count();
    let counts = Condition::ALL.map(|condition| (condition, of(condition)));
    html! {
        ul.totals {
            @for (condition, count) in counts { @if count > 0 { li { (state(condition)) " " (count) } } }
        }
    }
}

fn more(all: usize, shown: usize, wish: Wish) -> Markup {
    html! {
        @if shown < all {
            p {
                "The first " (shown) " of " (all) " are shown. "
                @if wish.all {
                    code { "mediakeep status" } " lists all of them."
                } @else {
                    a href=(Wish { all: true, ..wish }.address()) { "Show " @if all > ROWS_MAX { (ROWS_MAX) } @else { "all" } }
                }
            }
        }
    }
}

fn state(condition: Condition) -> Markup {
    let word = condition.as_str();
    html! { span.state.(word.replace(' ', "-")) { (word) } }
}

fn table_row(row: &Row<'_>, now: Now) -> Markup {
    let live = row.live();
    let renew_at = row.renew_at(now);
    html! {
        tr {
            td { (state(row.condition)) }
            th scope="row" { (row.entry.key.path) }
            td { (row.entry.key.provider) }
            td { @if let Some(handle) = live { (lease::bar(handle, renew_at, now.wall)) } @else { (nothing()) } }
            td { @if let Some(at) = renew_at { (until(at, now.wall)) } @else { (nothing()) } }
            td { @if let Some(handle) = live { (until(handle.expires_at, now.wall)) } @else { (nothing()) } }
            td.url { @if let Some(url) = live.and_then(|handle| handle.url.as_deref()) { (address(url)) } @else { (nothing()) } }
            td.problem { @if let Some(text) = problem(row, now) { (text) } @else { (nothing()) } }
        }
    }
}

fn nothing() -> Markup {
    html! { span aria-hidden="true" { "–" } span.unseen { "none" } }
}

/// How long until a moment, and which moment that is.
fn until(at: Timestamp, now: Timestamp) -> Markup {
    let left = at.saturating_since(now);
    html! {
        @if left.is_zero() { "now" } @else { "in " (format_duration(left)) }
        " " span.at { (moment(at)) }
    }
}

/// A moment as people read it, to the second.
fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at.floor_to_second()) { (words(at)) } }
}

fn words(at: Timestamp) -> String {
    at.floor_to_second().to_string().replace('T', " ").replace('Z', "")
}

/// A media's address. A link only where it is one that a browser can follow, and without what may prove who somebody is.
fn address(url: &str) -> Markup {
    let Ok(parsed) = url::Url::parse(url) else {
        return html! { (url) };
    };
    let plain = parsed.username().is_empty() && parsed.password().is_none() && parsed.query().is_none();
    if plain && matches!(parsed.scheme(), "http" | "https") {
        return html! { a href=(url) rel="noreferrer" { (url) } };
    }
    let host = parsed.host_str().unwrap_or_default();
    html! { (parsed.scheme()) "://" (host) (parsed.path()) @if parsed.query().is_some() { "?…" } }
}

fn problem(row: &Row<'_>, now: Now) -> Option<String> {
    let trouble = row.trouble()?;
    let mut text = format!("{}: {}", trouble.kind, trouble.detail);
    if trouble.attempts > 0 {
        let _ = write!(text, " ({}", count(trouble.attempts as usize, "attempt", "attempts"));
        if let Some(at) = trouble.next_try.filter(|at| *at > now.wall) {
            let _ = write!(text, ", the next in {}", format_duration(at.saturating_since(now.wall)));
        }
        text.push(')');
    }
    Some(text)
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How often the page renews itself, in seconds.
const REFRESH_S: u64 = Duration::from_secs(30).as_secs();
/// Entries on the page at first; more of them where all are asked for, and in any case no more than a browser takes.
const ROWS: usize = 200;
const ROWS_MAX: usize = 10_000;
const COLUMNS: [&str; 8] = ["State", "File", "Provider", "Lease", "Renewal", "Expiry", "URL", "Problem"];

#[cfg(test)]
mod tests;
