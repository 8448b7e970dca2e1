//! Timelines: what happens at which second, and what is told.

mod queue;
mod restarts;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::event::Event;
use crate::domain::failure::FailureClass;
use crate::domain::guard::Halt;
use crate::domain::lease::LeaseTerms;
use crate::domain::manifest::{SourceName, Unusable};
use crate::domain::plan::Reason;
use crate::domain::state::{Record, State, Trouble};
use crate::domain::testing::{handle, key};

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_ms(0) + Duration::from_secs(second)
}

/// A record that readers find at `url`, with the bytes `content`; none of it where there is no URL.
fn record(url: &str, content: &str) -> Record {
    let terms = LeaseTerms::new(Duration::from_secs(48 * 3600), None);
    let mut current = handle(content.as_bytes(), at(0), &terms);
    current.url = (!url.is_empty()).then(|| url.into());
    Record { current: Some(current), ..Record::default() }
}

fn troubled(record: Record, kind: &str, attempts: u32, detail: &str) -> Record {
    let trouble =
        Trouble { kind: kind.into(), detail: detail.into(), since: at(0), attempts, next_try: None };
    Record { trouble: Some(Box::new(trouble)), ..record }
}

fn state(records: &[(&str, Record)]) -> Arc<State> {
    let records = records.iter().map(|(path, record)| (key(path, "plivo"), Arc::new(record.clone())));
    Arc::new(State { lineage: "l".into(), serial: 0, root: None, records: records.collect() })
}

/// A notice in a word or two: topic, whom it is about, and why.
fn said(notices: &[Notice]) -> Vec<String> {
    let one = |notice: &Notice| {
        let subject = match &notice.subject {
            Subject::Entry(key) => key.path.to_string(),
            Subject::Account(name) => name.to_string(),
            Subject::System(name) => (*name).to_owned(),
        };
        let (why, over) = match &notice.news {
            News::Change(change) => (change.reason().to_owned(), None),
            News::Matter(matter) => (matter.class.to_string(), matter.over),
        };
        let over = over.map(|topic| format!(" of {}", topic.as_str())).unwrap_or_default();
        format!("{} {subject} {why}{over}", notice.topic.as_str())
    };
    notices.iter().map(one).collect()
}

fn failed(attempts: u32, class: FailureClass) -> Event {
    let detail = "no".to_owned();
    Event::Failed { key: key("a", "plivo"), class, detail, attempts, wait: Duration::ZERO }
}

fn renewed(url: &str) -> Event {
    Event::Renewed { key: key("a", "plivo"), url: url.into(), expires_at: at(9), from_kept_copy: false }
}

fn uploaded(url: &str) -> Event {
    let (reason, bytes) = (Reason::New, 1);
    Event::Uploaded { key: key("a", "plivo"), reason, url: url.into(), bytes, expires_at: at(9) }
}

fn blocked(kind: &'static str) -> Event {
    Event::Blocked { key: key("a", "plivo"), kind, detail: "why".into(), kept_alive: true }
}

fn plivo() -> ProviderName {
    ProviderName::new("plivo").unwrap()
}

/// What happens at a second.
enum Happens {
    Event(Event),
    Published(Arc<State>),
    Nothing,
}
use Happens::{Nothing, Published as Shown};

/// Plays a timeline from one where `a` is published at `u1`, and compares what is told at each step.
#[track_caller]
fn play(steps: Vec<(u64, Happens, &[&str])>) {
    let mut notices = Notices::new(state(&[("a", record("u1", "x"))]), at(0));
    for (index, (second, happens, expected)) in steps.into_iter().enumerate() {
        let told = match happens {
            Happens::Event(event) => notices.event(&event, at(second)),
            Shown(state) => notices.published(state, at(second)),
            Nothing => notices.wake(at(second)),
        };
        assert_eq!(said(&told), expected, "step {index} at {second} s");
    }
    assert_eq!(notices.wake_at(), None, "nothing is left to wait for");
}

fn event(event: Event) -> Happens {
    Happens::Event(event)
}

#[test]
fn changes_of_what_readers_find_are_told_by_their_reason() {
    let lapsed = || record("", "y");
    let left = || troubled(Record::default(), "missing", 0, "");
    let table = [
        (vec![("a", record("u1", "x"))], "change a new"),
        (vec![("a", record("u1", "x")), ("b", record("u2", "y"))], "change b new"),
        (vec![("a", record("u3", "x")), ("b", record("u2", "y"))], "change a renewed"),
        (vec![("a", record("u3", "z")), ("b", record("u2", "y"))], "change a content"),
        (vec![("a", record("u3", "z")), ("b", lapsed())], "change b withdrawn"),
        (vec![("a", record("u3", "z")), ("b", record("u4", "y"))], "change b new"),
        (vec![("b", record("u4", "y"))], "change a ended"),
        (vec![("b", left())], "change b ended"),
    ];
    let mut notices = Notices::new(state(&[]), at(0));
    for (records, told) in table {
        assert_eq!(said(&notices.published(state(&records), at(1))), [told]);
    }
}

#[test]
fn a_renewal_that_keeps_the_url_is_no_change() {
    let mut longer = record("u1", "x");
    longer.current.as_mut().unwrap().expires_at = at(99_999_999);
    play(vec![
        (1, Shown(state(&[("a", longer.clone())])), &[]),
        (2, Shown(state(&[("a", Record { retired_at: Some(at(2)), ..longer })])), &[]),
    ]);
}

#[test]
fn a_failure_is_told_once_it_lasts_once_in_each_class_and_once_when_it_is_over() {
    use FailureClass::{ContentRefused, Unavailable};
    play(vec![
        (1, event(failed(1, Unavailable)), &[]),
        (2, event(failed(2, Unavailable)), &[]),
        (3, event(failed(3, Unavailable)), &["failure a unavailable"]),
        (4, event(failed(4, Unavailable)), &[]),
        (5, event(failed(5, ContentRefused)), &["failure a content-refused"]),
        (6, event(failed(6, Unavailable)), &[]),
        (7, event(Event::Recovered { key: key("a", "plivo") }), &["recover a content-refused of failure"]),
        (8, event(Event::Recovered { key: key("a", "plivo") }), &[]),
        (9, event(failed(3, Unavailable)), &["failure a unavailable"]),
        (
            10,
            event(Event::Retired { key: key("a", "plivo"), expires_at: None }),
            &["recover a unavailable of failure"],
        ),
    ]);
}

#[test]
fn a_renewal_between_two_failures_of_new_content_ends_nothing() {
    let class = FailureClass::ContentRefused;
    play(vec![
        (1, event(failed(3, class)), &["failure a content-refused"]),
        (2, event(renewed("u1")), &[]),
        (4, event(failed(1, class)), &[]),
        (30, Nothing, &[]),
        (40, event(renewed("u1")), &[]),
        (49, Nothing, &[]),
        (50, Nothing, &["recover a content-refused of failure"]),
    ]);
}

#[test]
fn an_end_is_told_when_readers_find_the_new_url() {
    let left = Duration::from_secs(60);
    play(vec![
        (1, event(Event::AtRisk { key: key("a", "plivo"), left }), &["risk a at-risk"]),
        (2, event(Event::Lapsed { key: key("a", "plivo") }), &["risk a lapsed"]),
        (3, Shown(state(&[("a", record("", "x"))])), &["change a withdrawn"]),
        (4, event(renewed("u2")), &[]),
        (5, Nothing, &[]),
        (6, Shown(state(&[("a", record("u2", "x"))])), &["change a new", "recover a lapsed of risk"]),
    ]);
}

#[test]
fn uploads_do_not_end_what_is_wrong_with_a_file() {
    play(vec![
        (1, event(blocked("too-large")), &["failure a too-large"]),
        (2, event(renewed("u1")), &[]),
        (3, event(uploaded("u1")), &[]),
        (60, Nothing, &[]),
        (61, event(blocked("type-refused")), &["failure a type-refused"]),
        (62, event(Event::Recovered { key: key("a", "plivo") }), &["recover a type-refused of failure"]),
    ]);
}

#[test]
fn a_file_that_is_removed_is_no_failure_unless_it_is_not_let_go() {
    let retired = || event(Event::Retired { key: key("a", "plivo"), expires_at: None });
    let missing = || troubled(record("u1", "x"), "missing", 0, "");
    play(vec![
        (0, Shown(state(&[("a", record("u1", "x"))])), &[]),
        (1, event(blocked("missing")), &[]),
        (2, Shown(state(&[("a", missing())])), &[]),
        (61, retired(), &[]),
        (200, Nothing, &[]),
        (300, event(blocked("missing")), &[]),
        (310, event(Event::Recovered { key: key("a", "plivo") }), &[]),
        (500, Nothing, &[]),
        (600, event(blocked("missing")), &[]),
        (719, Nothing, &[]),
        (720, Nothing, &["failure a missing"]),
        (800, event(Event::Recovered { key: key("a", "plivo") }), &["recover a missing of failure"]),
    ]);
}

#[test]
fn what_is_wrong_with_an_account_is_told_for_the_account_alone() {
    let class = FailureClass::Unavailable;
    let stopped = || Event::AccountStopped { provider: plivo(), class, detail: "503".into() };
    let unusable = || Event::AccountUnusable {
        provider: plivo(),
        detail: "PASSWORD is not set".into(),
        connected: true,
    };
    play(vec![
        (1, event(stopped()), &["failure plivo unavailable"]),
        (2, event(failed(7, class)), &[]),
        (3, event(failed(8, FailureClass::ContentRefused)), &["failure a content-refused"]),
        (4, event(unusable()), &["failure plivo credentials-missing"]),
        (5, event(Event::AccountRecovered { provider: plivo() }), &[]),
        (
            6,
            event(Event::AccountUsable { provider: plivo() }),
            &["recover plivo credentials-missing of failure"],
        ),
        (7, event(Event::AccountUsable { provider: plivo() }), &[]),
        (8, event(Event::Recovered { key: key("a", "plivo") }), &["recover a content-refused of failure"]),
        // What was told last is in the end, whichever of them is over first.
        (9, event(unusable()), &["failure plivo credentials-missing"]),
        (10, event(stopped()), &["failure plivo unavailable"]),
        (11, event(Event::AccountRecovered { provider: plivo() }), &[]),
        (12, event(Event::AccountUsable { provider: plivo() }), &["recover plivo unavailable of failure"]),
    ]);
}

#[test]
fn what_endangers_everything_is_told_once() {
    let halted = |held_back| Event::GuardHalted { halt: Halt::FolderEmpty, held_back, examples: Vec::new() };
    let detail = || "no space left".to_owned();
    play(vec![
        (1, event(halted(3)), &["risk guard guard"]),
        (2, event(halted(4)), &["risk guard guard"]),
        (2, event(halted(4)), &[]),
        (3, event(Event::StateUnwritable { detail: detail() }), &["risk state state-unwritable"]),
        (4, event(Event::FolderUnusable { detail: detail() }), &["risk folder folder-unusable"]),
        (5, event(Event::GuardReleased), &["recover guard guard of risk"]),
        (6, event(Event::StateWritable), &["recover state state-unwritable of risk"]),
        (7, event(Event::FolderBack), &["recover folder folder-unusable of risk"]),
        (8, event(Event::FolderBack), &[]),
    ]);
}

#[test]
fn an_account_that_is_given_up_has_nothing_wrong_any_more() {
    let (class, provider) = (FailureClass::CredentialsRefused, plivo());
    let missing = Event::AccountUnusable { provider: plivo(), detail: "none".into(), connected: true };
    play(vec![
        (
            1,
            event(Event::AccountStopped { provider, class, detail: "401".into() }),
            &["failure plivo credentials-refused"],
        ),
        (2, event(missing), &["failure plivo credentials-missing"]),
        (
            3,
            event(Event::AccountGone { provider: plivo() }),
            &["recover plivo credentials-missing of failure"],
        ),
        (4, event(Event::AccountGone { provider: plivo() }), &[]),
    ]);
}

#[test]
fn a_broken_manifest_or_config_is_told_once_and_is_over_when_both_can_be_used() {
    let broken = |source, why: &str| {
        let unusable = Unusable { line: Some(3), ..Unusable::new(source, "a.toml", why) };
        event(Event::ManifestUnusable { unusable, at_start: false })
    };
    let (manifest, config) = (SourceName::Manifest, SourceName::Config);
    play(vec![
        (1, event(Event::ManifestUsable), &[]),
        (2, broken(manifest, "one slip"), &["failure manifest manifest-unusable"]),
        (3, broken(manifest, "another slip"), &[]),
        (4, broken(config, "a slip"), &["failure config config-unusable"]),
        (5, broken(manifest, "one slip"), &[]),
        (
            6,
            event(Event::ManifestUsable),
            &["recover config config-unusable of failure", "recover manifest manifest-unusable of failure"],
        ),
        (7, event(Event::ManifestUsable), &[]),
        (8, broken(config, "a slip"), &["failure config config-unusable"]),
        (9, event(Event::ManifestUsable), &["recover config config-unusable of failure"]),
    ]);
    let mut notices = Notices::new(state(&[]), at(0));
    let Happens::Event(event) = broken(config, "a slip") else { panic!() };
    let told = notices.event(&event, at(1));
    let News::Matter(matter) = &told[0].news else { panic!() };
    let detail = "the config a.toml cannot be used: line 3: a slip; the last one that worked stays in force";
    assert_eq!(&*matter.detail, detail);
}
