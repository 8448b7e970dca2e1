//! Timelines: what happens at which second, and what is told.

mod restarts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::event::Event;
use crate::domain::failure::FailureClass;
use crate::domain::guard::Halt;
use crate::domain::lease::LeaseTerms;
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
    let (class, provider) = (FailureClass::Unavailable, plivo());
    let unusable = || Event::AccountUnusable {
        provider: plivo(),
        detail: "PASSWORD is not set".into(),
        connected: true,
    };
    play(vec![
        (
            1,
            event(Event::AccountStopped { provider, class, detail: "503".into() }),
            &["failure plivo unavailable"],
        ),
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

// Queues

fn change(was: &str, is: &str) -> Notice {
    let published = |url: &str| {
        (!url.is_empty()).then(|| Published {
            url: url.into(),
            hash: ContentHash::of(&url.as_bytes()[..1]),
            expires_at: at(0),
        })
    };
    let news = News::Change(Change { was: published(was), is: published(is), ended: false });
    Notice { topic: Topic::Change, subject: Subject::Entry(key("a", "plivo")), news }
}

fn matter(topic: Topic, over: Option<Topic>) -> Notice {
    let news = News::Matter(Matter { over, class: "lapsed".into(), detail: "".into(), published: None });
    Notice { topic, subject: Subject::Entry(key("a", "plivo")), news }
}

fn told(queue: &mut Queue) -> Vec<String> {
    let batch = queue.begin().map(|batch| batch.news).unwrap_or_default();
    let url =
        |published: &Option<Published>| published.as_ref().map_or("-", |published| &published.url).to_owned();
    let one = |(_, news): &(Subject, News)| match news {
        News::Change(change) => format!("{} {} {}", change.reason(), url(&change.was), url(&change.is)),
        News::Matter(matter) => matter.class.to_string(),
    };
    batch.iter().map(one).collect()
}

#[test]
fn a_run_waits_for_quiet_and_not_for_ever() {
    let mut queue = Queue::new(Topic::Change);
    assert_eq!(queue.due_at(), None);
    queue.hear(&change("", "x1"), at(100));
    assert_eq!(queue.due_at(), Some(at(101)));
    for second in 101..112 {
        queue.hear(&change("x1", "x2"), at(second));
    }
    assert_eq!(queue.due_at(), Some(at(110)), "ten seconds after the first");
    assert!(queue.begin().is_some());
    assert_eq!((queue.due_at(), queue.begin()), (None, None), "one run at a time");
    queue.hear(&change("x2", "x3"), at(113));
    assert_eq!(queue.due_at(), None);
    queue.succeeded();
    assert_eq!(queue.due_at(), Some(at(114)));
}

#[test]
fn of_each_entry_the_latest_is_told_from_what_was_told_last() {
    for (changes, expected) in [
        (&[("x1", "x2"), ("x2", "y1")][..], &["content x1 y1"][..]),
        (&[("x1", "x2"), ("x2", "x3")], &["renewed x1 x3"]),
        (&[("", "x1"), ("x1", "y1")], &["new - y1"]),
        (&[("x1", ""), ("", "x2")], &["renewed x1 x2"]),
        (&[("x1", "x2"), ("x2", "")], &["withdrawn x1 -"]),
        (&[("x1", "x2"), ("x2", "x1")], &[]),
        (&[("", "x1"), ("x1", "")], &[]),
    ] {
        let mut queue = Queue::new(Topic::Change);
        for (was, is) in changes {
            queue.hear(&change(was, is), at(1));
        }
        assert_eq!(told(&mut queue), expected, "{changes:?}");
    }
}

#[test]
fn a_failed_run_is_repeated_with_what_came_since_and_five_times_at_most() {
    let mut queue = Queue::new(Topic::Change);
    queue.hear(&change("x1", "x2"), at(0));
    assert_eq!(told(&mut queue), ["renewed x1 x2"]);
    queue.hear(&change("x2", "y1"), at(1));
    let mut now = 2;
    for wait in [5, 20, 60, 180, 300] {
        assert_eq!(queue.failed(at(now)), Setback::Again(Duration::from_secs(wait)));
        now += wait;
        assert_eq!(queue.due_at(), Some(at(now)));
        assert_eq!(told(&mut queue), ["content x1 y1"]);
    }
    assert_eq!(queue.failed(at(now)), Setback::GivenUp(1));
    assert!(queue.is_idle());
    queue.hear(&change("y1", "y2"), at(now));
    assert_eq!(queue.due_at(), Some(at(now + 1)), "what comes after that is a new beginning");
}

#[test]
fn slow_failures_are_given_up_within_a_quarter_of_an_hour() {
    let mut queue = Queue::new(Topic::Risk);
    let (mut now, mut runs) = (0, 0);
    queue.hear(&matter(Topic::Risk, None), at(now));
    loop {
        assert!(queue.begin().is_some());
        (now, runs) = (now + 240, runs + 1);
        let Setback::Again(wait) = queue.failed(at(now)) else { break };
        now += wait.as_secs();
    }
    assert!(now <= 240 + 15 * 60 && runs == 4, "{now} s, {runs} runs");
}

#[test]
fn what_a_failed_run_may_have_told_is_taken_back_aloud() {
    let mut queue = Queue::new(Topic::Change);
    queue.hear(&change("x1", "x2"), at(0));
    assert_eq!(told(&mut queue), ["renewed x1 x2"]);
    queue.hear(&change("x2", "x1"), at(1));
    queue.failed(at(2));
    assert_eq!(told(&mut queue), ["renewed x1 x1"]);
}

#[test]
fn the_ends_of_a_risk_and_of_a_failure_are_both_told() {
    let mut queue = Queue::new(Topic::Recover);
    queue.hear(&matter(Topic::Recover, Some(Topic::Risk)), at(0));
    queue.hear(&matter(Topic::Recover, Some(Topic::Failure)), at(1));
    assert_eq!(told(&mut queue).len(), 2);
    // One of them begins again before anybody was told.
    queue.hear(&matter(Topic::Risk, None), at(2));
    assert_eq!(queue.failed(at(3)), Setback::Again(Duration::from_secs(5)));
    assert_eq!(told(&mut queue).len(), 1);
}

#[test]
fn nobody_hears_of_a_failure_after_its_end_or_of_an_end_after_a_new_beginning() {
    let over = || matter(Topic::Recover, Some(Topic::Failure));
    let mut failures = Queue::new(Topic::Failure);
    failures.hear(&matter(Topic::Failure, None), at(0));
    failures.hear(&matter(Topic::Recover, Some(Topic::Risk)), at(0));
    assert!(!failures.is_idle(), "the end of a risk ends no failure");
    assert_eq!(told(&mut failures), ["lapsed"]);
    failures.hear(&over(), at(1));
    failures.failed(at(2));
    assert!(failures.is_idle(), "a run that failed is not repeated for what is over");
    let mut ends = Queue::new(Topic::Recover);
    ends.hear(&over(), at(0));
    ends.hear(&matter(Topic::Failure, None), at(1));
    assert!(ends.is_idle());
}

#[test]
fn a_thousand_news_are_told_at_once_and_the_rest_right_after() {
    let mut queue = Queue::new(Topic::Change);
    for index in 0..2500 {
        let subject = Subject::Entry(key(&format!("{index:04}"), "plivo"));
        queue.hear(&Notice { subject, ..change("", "x1") }, at(0));
    }
    let mut runs = Vec::new();
    while let Some(batch) = queue.begin() {
        runs.push((batch.news.len(), batch.more));
        queue.succeeded();
        assert!(queue.due_at().is_none_or(|due| due <= at(0)));
    }
    assert_eq!(runs, [(1000, 1500), (1000, 500), (500, 0)]);
}

proptest! {
    /// Whatever is heard, and whichever runs fail, a listener that believes each run ends with what readers find.
    #[test]
    fn a_listener_that_believes_each_run_knows_what_readers_find(
        steps in prop::collection::vec((0usize..3, 0usize..4, any::<bool>(), any::<bool>()), 1..60)
    ) {
        let urls = ["", "x1", "x2", "y1"];
        let mut notices = Notices::new(state(&[]), at(0));
        let mut queue = Queue::new(Topic::Change);
        let mut found: BTreeMap<&str, &str> = BTreeMap::new();
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut run = |queue: &mut Queue, fails: bool, second: u64| {
            let Some(batch) = queue.begin() else { return };
            for (subject, news) in &batch.news {
                let (Subject::Entry(key), News::Change(change)) = (subject, news) else { unreachable!() };
                let url = change.is.as_ref().map_or(String::new(), |is| is.url.to_string());
                known.insert(key.path.to_string(), url);
            }
            // A run that failed may have been heard all the same.
            if fails { queue.failed(at(second)); } else { queue.succeeded(); }
        };
        for (second, (path, url, runs, fails)) in steps.iter().enumerate() {
            found.insert(["a", "b", "c"][*path], urls[*url]);
            let records: Vec<_> = found
                .iter()
                .filter(|(_, url)| !url.is_empty())
                .map(|(path, url)| (*path, record(url, &url[..1])))
                .collect();
            for notice in notices.published(state(&records), at(second as u64)) {
                queue.hear(&notice, at(second as u64));
            }
            // So few failures in a row are never given up.
            if *runs { run(&mut queue, *fails && second % 2 == 0, second as u64); }
        }
        while !queue.is_idle() {
            run(&mut queue, false, 100);
        }
        for (path, url) in found {
            let believed = known.get(path).cloned().unwrap_or_default();
            prop_assert_eq!(believed, url.to_owned(), "{}", path);
        }
    }
}
