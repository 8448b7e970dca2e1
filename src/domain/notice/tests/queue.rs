//! What one hook is told of what it hears, and when it runs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
