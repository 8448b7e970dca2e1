//! What a service manager is told, and when, without one.

use std::sync::{Arc, Mutex};

use super::*;
use crate::domain::asset::ProviderName;
use crate::domain::guard::Halt;

/// A service manager that remembers what it was told.
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn on(watchdog: Option<Duration>) -> (Self, Line) {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let told = heard.clone();
        let send = move |message: &[NotifyState<'_>]| {
            let words: Vec<String> = message.iter().map(ToString::to_string).collect();
            told.lock().unwrap().push(words.join(" "));
        };
        (Self(heard), Line::new(Box::new(send), watchdog))
    }

    fn since(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn turn(looked: bool, news: bool) -> Turn {
    Turn { looked, news, scan: ScanProgress { active: !looked, seen: 7, hashed: 3 } }
}

fn standing(live: usize) -> Summary {
    Summary { entries: 9, live, ..Summary::default() }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_after_the_first_look_and_asks_for_time_until_then() {
    let (heard, mut line) = Heard::on(None);
    let begin = Instant::now();
    for second in 0..100 {
        line.turn(begin + seconds(second), &turn(false, false), || panic!("nothing is known yet"));
        let due = line.due().expect("a start is never without a next turn");
        assert!(due <= begin + seconds(second) + EXTEND_EVERY);
    }
    let said = heard.since();
    let extended = said.iter().filter(|text| text.contains("EXTEND_TIMEOUT_USEC=60000000")).count();
    assert_eq!(extended, 7, "{said:?}");
    assert!(said[0].ends_with("STATUS=looking at the folder: 7 files, 3 read"), "{said:?}");
    assert!(!said.iter().any(|text| text.contains("READY")), "{said:?}");
    line.turn(begin + seconds(100), &turn(true, true), || standing(4));
    assert_eq!(heard.since(), ["READY=1 STATUS=4 URLs alive; 9 entries"]);
    line.turn(begin + seconds(102), &turn(true, true), || standing(4));
    assert_eq!(heard.since(), [""; 0], "nothing is said twice");
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_is_fed_by_turns_alone_and_the_next_one_is_due_in_a_third_of_its_time() {
    let (heard, mut line) = Heard::on(Some(seconds(60)));
    let begin = Instant::now();
    line.turn(begin, &turn(true, false), || standing(9));
    assert_eq!(heard.since(), ["READY=1 WATCHDOG=1 STATUS=9 URLs alive; 9 entries"]);
    assert_eq!(line.due(), Some(begin + seconds(20)));
    // A burst of turns is one sign of life.
    for _ in 0..1000 {
        line.turn(begin + seconds(9), &turn(true, false), || standing(9));
    }
    assert_eq!(heard.since(), [""; 0]);
    line.turn(begin + seconds(20), &turn(true, false), || standing(9));
    assert_eq!(heard.since(), ["WATCHDOG=1"]);
    tokio::time::sleep(seconds(3600)).await;
    assert_eq!(heard.since(), [""; 0], "without a turn there is no sign of life");
}

#[tokio::test(start_paused = true)]
async fn counting_entries_happens_at_news_only_and_not_at_every_turn() {
    let (heard, mut line) = Heard::on(None);
    let begin = Instant::now();
    let mut counted = 0;
    for millis in 0..60_000 {
        let now = begin + Duration::from_millis(millis);
        line.turn(now, &turn(true, millis > 30_000), || {
            counted += 1;
            standing(usize::try_from(millis / 20_000).unwrap())
        });
    }
    assert!(counted <= 31, "{counted} times in 60 000 turns");
    let said = heard.since();
    assert_eq!(said[1..], ["STATUS=1 URLs alive; 9 entries", "STATUS=2 URLs alive; 9 entries"], "{said:?}");
    assert!(line.due().is_some(), "what is held back is due");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_told_of_is_noticed_within_a_minute() {
    let (heard, mut line) = Heard::on(None);
    let begin = Instant::now();
    line.turn(begin, &turn(true, false), || standing(9));
    line.turn(begin + seconds(59), &turn(true, false), || standing(8));
    assert_eq!(heard.since().len(), 1);
    line.turn(begin + seconds(60), &turn(true, false), || standing(8));
    assert_eq!(heard.since(), ["STATUS=8 URLs alive; 9 entries"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_framed_and_never_lasts_for_ever() {
    let (heard, mut line) = Heard::on(None);
    let begin = Instant::now();
    let monotonic = NotifyState::MonotonicUsec(17);
    line.reloading(&monotonic, begin);
    assert_eq!(heard.since(), [""; 0], "a start is no reload");
    line.turn(begin, &turn(true, false), || standing(9));
    heard.since();
    for wait in [seconds(1), RELOAD_PATIENCE] {
        line.reloading(&monotonic, begin);
        assert_eq!(heard.since(), ["RELOADING=1 MONOTONIC_USEC=17"]);
        assert!(line.due() <= Some(begin + RELOAD_PATIENCE));
        if wait < RELOAD_PATIENCE {
            line.reloaded();
        }
        line.turn(begin + wait, &turn(true, false), || standing(9));
        assert_eq!(heard.since(), ["READY=1"], "after {wait:?}");
    }
    line.stopping();
    line.stopping();
    line.reloading(&monotonic, begin);
    line.turn(begin + seconds(99), &turn(true, true), || standing(9));
    assert_eq!(heard.since(), ["STOPPING=1 STATUS=stopping"]);
}

#[test]
fn a_service_manager_that_does_not_read_holds_nobody_up() {
    fn never(_: &[NotifyState<'_>]) -> std::io::Result<()> {
        std::thread::park_timeout(Duration::from_secs(3600));
        Err(std::io::ErrorKind::TimedOut.into())
    }
    let send = messenger(never);
    let (done, is_done) = mpsc::channel();
    // A thread of its own, so that a sender who waits fails the test and does not hang it.
    std::thread::spawn(move || {
        for _ in 0..100 * MESSAGES_MAX {
            send(&[NotifyState::Watchdog]);
        }
        done.send(()).unwrap();
    });
    is_done.recv_timeout(seconds(20)).expect("whoever sends waits for nobody");
}

#[test]
fn the_line_names_every_trouble_and_stays_one_line() {
    let name = |name: &str| ProviderName::new(name).unwrap();
    let summary = Summary {
        entries: 9,
        alive: 8,
        failing: 1,
        kept_alive: 2,
        halted: Some(Halt::RuleEmptied("a\nb".to_owned())),
        refused: vec![name("one")],
        down: vec![name("two")],
        unusable: vec![(name("three"), "the file x does not exist".to_owned())],
        unwritable: true,
        folder_unusable: Some("it is\nnot there".to_owned()),
        live: 10,
        first_end: Some("2026-11-23T15:59:00Z".parse().unwrap()),
    };
    let text = status_text(&summary, Some("the config /etc/a.toml"));
    assert_eq!(
        text,
        "10 URLs alive; 9 entries, 1 not up to date, 2 without a usable file; the first URL would end 2026-11-23T15:59:00Z; \
         attention: the config /etc/a.toml cannot be used, the last one that worked is in force; the state folder \
         cannot be written; the folder cannot be used: it is not there; halted by the guard: the rule for \"a\\nb\" lost all \
         its files; one refuses the credentials; two does not answer as it should; three has no usable credentials"
    );
    let summary = Summary { folder_unusable: Some("é".repeat(9999)), ..Summary::default() };
    let long = status_text(&summary, None);
    assert_eq!(long.chars().count(), TEXT_CHARS_MAX);
}
