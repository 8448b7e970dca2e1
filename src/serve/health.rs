//! Whether the loop goes on, and whether what it publishes can be relied on.

use std::time::Duration;

use super::rows::rows;
use crate::daemon::board::View;
use crate::daemon::heartbeat::Heartbeat;
use crate::domain::condition::Condition;
use crate::domain::failure::FailureClass;
use crate::domain::obstacles::CREDENTIALS_MISSING;
use crate::domain::time::{Now, format_duration};

/// Why a restart is called for, if it is.
pub(super) fn not_alive(heartbeat: &Heartbeat) -> Option<String> {
    let age = format_duration(heartbeat.age());
    heartbeat.has_stalled().then(|| format!("the loop has stood still for {age}; restart mediakeep"))
}

/// Why the published URLs should not be relied on; empty if they can be.
pub(super) fn not_ready(view: Option<&View>, heartbeat: &Heartbeat, now: Now) -> Vec<String> {
    let mut against: Vec<String> = not_alive(heartbeat).into_iter().collect();
    match view {
        None => against.push("nothing is known yet: mediakeep is starting".to_owned()),
        Some(view) => {
            against.extend(past_deadline(view, now));
            against.extend(not_saved(view));
            against.extend(not_looked_at(view, now));
            against.extend(not_accepted(view));
        }
    }
    against
}

fn past_deadline(view: &View, now: Now) -> Option<String> {
    let mut dead = rows(view, now).filter(|row| row.condition == Condition::Lapsed);
    let first = dead.next()?;
    let are = match 1 + dead.count() {
        1 => "1 published URL is".to_owned(),
        count => format!("{count} published URLs are"),
    };
    Some(format!("{are} past the deadline, such as that of {:?}", first.entry.key.to_string()))
}

/// What cannot be saved cannot be read: new URLs and ends stay unknown.
fn not_saved(view: &View) -> Option<String> {
    let text = "the state folder cannot be written: see the log, and its disk";
    (!view.overview.state_writable).then(|| text.to_owned())
}

fn not_looked_at(view: &View, now: Now) -> Option<String> {
    if let Some(reason) = &view.overview.obstacles.folder {
        return Some(format!("the folder cannot be looked at: {reason}"));
    }
    let Some(walked_at) = view.walked_at else {
        return Some("the folder has not been looked at yet".to_owned());
    };
    let age = now.steady.saturating_since(walked_at.steady);
    let stale = age > (view.rescan * STALE_AFTER_WALKS).max(STALE_AFTER_MIN);
    stale.then(|| format!("the folder was last looked at {} ago", format_duration(age)))
}

/// Credentials that were not found or are refused. A provider that is merely down is none of this: what is published
/// outlives that, or passes its deadline.
fn not_accepted(view: &View) -> Vec<String> {
    let accounts = view.overview.accounts.iter();
    let refusal = |(name, account): (_, &crate::domain::reconciler::AccountOverview)| {
        let problem = view.overview.obstacles.accounts.get(name);
        match problem {
            Some(problem) if stands_in_the_way(&problem.kind, account.connected) => {
                Some(format!("{name}: {}: {}", problem.kind, problem.detail))
            }
            None if !account.connected => Some(format!("{name}: its credentials have not been read yet")),
            _ => None,
        }
    };
    accounts.filter_map(refusal).collect()
}

/// Whether a problem of an account speaks against relying on its URLs.
pub(super) fn stands_in_the_way(kind: &str, connected: bool) -> bool {
    if kind == CREDENTIALS_MISSING {
        // Those that were found before still count.
        return !connected;
    }
    [FailureClass::CredentialsRefused, FailureClass::AddressUnknown]
        .iter()
        .any(|class| class.as_str() == kind)
}

/// One walk may be late, or take long.
const STALE_AFTER_WALKS: u32 = 3;
const STALE_AFTER_MIN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::asset::ProviderName;
    use crate::domain::lease::LeaseTerms;
    use crate::domain::obstacles::AccountProblem;
    use crate::domain::reconciler::{AccountOverview, Listed, Overview};
    use crate::domain::state::Record;
    use crate::domain::testing::{handle, key};
    use crate::domain::time::Timestamp;
    use crate::local::watcher::Mode;

    fn start() -> Now {
        Now::at(Timestamp::from_unix_ms(1_800_000_000_000))
    }

    fn later(length: Duration) -> Now {
        Now { wall: start().wall + length, steady: start().steady + length }
    }

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * 3600)
    }

    /// One entry that was just uploaded, and a walk every hour.
    fn view() -> View {
        let terms = LeaseTerms::new(hours(48), None);
        let current = Some(handle(b"x", start().wall, &terms));
        let record = Some(Arc::new(Record { current, ..Record::default() }));
        let account = AccountOverview { terms, connected: true, in_flight: 0, waiting: 0 };
        View {
            overview: Overview {
                entries: vec![Listed { key: key("a.png", "plivo"), record }],
                accounts: [(name(), account)].into(),
                state_writable: true,
                ..Overview::default()
            },
            at: start(),
            walked_at: Some(start()),
            rescan: hours(1),
            reading: crate::daemon::reading::Reading::default(),
            watching: Mode::Watching { folders: 1 },
        }
    }

    fn name() -> ProviderName {
        ProviderName::new("plivo").unwrap()
    }

    fn with_problem(kind: &str, connected: bool) -> View {
        let mut view = view();
        let problem = AccountProblem { kind: kind.into(), detail: "why".into(), connected };
        view.overview.obstacles.accounts.insert(name(), problem);
        view.overview.accounts.get_mut(&name()).unwrap().connected = connected;
        view
    }

    /// What is said, as far as it does not depend on how long this test takes.
    fn said(view: &View, now: Now) -> String {
        not_ready(Some(view), &Heartbeat::default(), now).join("; ")
    }

    #[test]
    fn all_is_well_while_urls_live_and_the_folder_is_looked_at() {
        assert_eq!(said(&view(), start()), "");
        assert_eq!(said(&view(), later(hours(3))), "");
        let long = View { rescan: hours(100), ..view() };
        assert_eq!(said(&long, later(hours(47))), "", "at risk is for an alert; the URL is good");
        assert_eq!(
            said(&long, later(hours(48))),
            "1 published URL is past the deadline, such as that of \"a.png at plivo\""
        );
    }

    #[test]
    fn a_folder_that_was_not_looked_at_lately_speaks_against_it() {
        assert_eq!(said(&view(), later(hours(4))), "the folder was last looked at 4h ago");
        let hasty = View { rescan: Duration::from_secs(1), ..view() };
        assert_eq!(said(&hasty, later(Duration::from_secs(300))), "");
        let never = View { walked_at: None, ..view() };
        assert_eq!(said(&never, start()), "the folder has not been looked at yet");
        let mut gone = view();
        gone.overview.obstacles.folder = Some("it is gone".to_owned());
        assert_eq!(said(&gone, start()), "the folder cannot be looked at: it is gone");
    }

    #[test]
    fn a_state_that_cannot_be_saved_speaks_against_it() {
        let mut full = view();
        full.overview.state_writable = false;
        assert_eq!(said(&full, start()), "the state folder cannot be written: see the log, and its disk");
    }

    #[test]
    fn credentials_that_are_missing_or_refused_speak_against_it_and_an_outage_does_not() {
        for (kind, connected, expected) in [
            ("credentials-refused", true, "plivo: credentials-refused: why"),
            ("address-unknown", true, "plivo: address-unknown: why"),
            ("credentials-missing", false, "plivo: credentials-missing: why"),
            ("credentials-missing", true, ""),
            ("unavailable", true, ""),
            ("unreachable", true, ""),
        ] {
            assert_eq!(said(&with_problem(kind, connected), start()), expected, "{kind}");
        }
        let mut unread = view();
        unread.overview.accounts.get_mut(&name()).unwrap().connected = false;
        assert_eq!(said(&unread, start()), "plivo: its credentials have not been read yet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_neither_alive_nor_ready() {
        let heartbeat = Heartbeat::default();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(not_alive(&heartbeat), None);
        assert_eq!(not_ready(None, &heartbeat, start()), ["nothing is known yet: mediakeep is starting"]);
        tokio::time::advance(Duration::from_secs(60)).await;
        let against = "the loop has stood still for 1m 59s; restart mediakeep";
        assert_eq!(not_alive(&heartbeat).as_deref(), Some(against));
        assert_eq!(not_ready(Some(&view()), &heartbeat, start()), [against]);
        heartbeat.beat();
        assert_eq!(not_ready(Some(&view()), &heartbeat, start()), Vec::<String>::new());
    }
}
