//! Tables for people.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};

use crate::domain::time::{Timestamp, format_duration};

/// A table without lines, its columns as wide as they need to be.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table
}

/// The table as text, without blanks at the ends of lines.
pub(super) fn render(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A file's name as it can be shown on a terminal: what could move the cursor or forge a line is escaped.
pub(super) fn shown(name: &str) -> String {
    if name.chars().any(char::is_control) { name.escape_debug().to_string() } else { name.to_owned() }
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// A number of things, by their right name.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How long ago something was, in whole seconds: `2m 5s ago`.
pub(super) fn ago(since: Timestamp, now: Timestamp) -> String {
    match now.saturating_since(since).as_secs() {
        0 => "just now".to_owned(),
        seconds => format!("{} ago", format_duration(Duration::from_secs(seconds))),
    }
}
