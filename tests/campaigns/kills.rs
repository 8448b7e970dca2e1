//! The daemon is killed at moments drawn by lot, while a reader fetches every URL that is published.

use std::collections::BTreeMap;
use std::time::Duration;

use mediakeep::domain::time::Timestamp;

use crate::promises::{Shown, kept};
use crate::scale::{Dice, scale, tell};
use crate::stage::{Stage, files, pause, play};

/// Long enough that a busy machine drains what is due between two times that are counted on it.
const LIFE: Duration = Duration::from_secs(30);
const FILES: usize = 6;
/// Requests in flight at once: per account by default.
const CONCURRENCY: usize = 4;

#[test]
fn kills_at_random_moments_tear_no_state_lose_no_entry_and_kill_no_url() {
    let (each, mut dice) = (scale(30, 250), Dice::new());
    let tables = scale(2, 4);
    let seed = dice.seed;
    play((0..tables).map(|_| dice.another()).map(|dice| {
        ("a table", move || {
            let figures = many_kills(each, dice);
            tell(&format!("{figures}; seed {seed}"));
        })
    }));
}

fn many_kills(kills: usize, mut dice: Dice) -> String {
    let stage = Stage::with_life(LIFE);
    stage.manifest(&(files("photos/*.jpg", "bandwidth") + &files("photos/*.jpg", "plivo")));
    let mut contents: Vec<String> =
        (0..FILES).map(|number| format!("file {number} from the start")).collect();
    let mut book = Book::default();
    let mut known = Shown::new();
    for round in 0..kills {
        for (number, content) in contents.iter().enumerate() {
            stage.put(&format!("photos/{number}.jpg"), content);
        }
        let mut daemon = stage.run();
        if round % 6 == 0 {
            // Nobody promised to keep up with a daemon that never gets to do anything.
            all_is_published(&stage, &contents);
        } else if dice.below(2) == 0 {
            daemon.until_says("started");
        }
        for number in 0..dice.below(4) {
            let number = usize::try_from(number).unwrap();
            contents[number] = format!("file {number} of round {round}");
            stage.put(&format!("photos/{number}.jpg"), &contents[number]);
        }
        let moment = dice.millis_below(900);
        pause(moment);
        daemon.kill();
        if !stage.beside("state/state.json").exists() && known.is_empty() {
            continue;
        }
        known = kept(&stage, &known)
            .unwrap_or_else(|why| panic!("{moment:?} in round {round}: {why}\n{}", daemon.said()));
        book.look(&stage);
    }
    let mut daemon = stage.run();
    // What is published may all be from before: a stop must find somebody who listens.
    daemon.until_says("started");
    all_is_published(&stage, &contents);
    daemon.stop();
    book.look(&stage);
    stage.nobody_was_let_down();
    let repeats = book.repeats();
    assert!(repeats <= CONCURRENCY * 2 * kills, "{repeats} uploads were repeated in {kills} kills");
    assert!(book.uploads > FILES * 2, "{}", book.uploads);
    let seen = stage.seen();
    format!(
        "{kills} kills, {} uploads, {repeats} of them repeated, {} fetches, 0 dead",
        book.uploads, seen.fetches
    )
}

fn all_is_published(stage: &Stage, contents: &[String]) {
    for (number, content) in contents.iter().enumerate() {
        for provider in ["bandwidth", "plivo"] {
            // Not by sending it: Plivo keeps for a year what was sent.
            let name = format!("photos/{number}.jpg");
            let wanted = mediakeep::domain::asset::ContentHash::of(content.as_bytes()).to_string();
            stage.until(&format!("{name} at {provider} is {content:?}"), || {
                let entry = stage.entry(&name, provider);
                entry["url"].is_string() && entry["blake3"] == wanted.as_str()
            });
        }
    }
}

/// Every upload that a provider stored, by what was uploaded.
#[derive(Default)]
struct Book {
    uploads: usize,
    stored: BTreeMap<String, Vec<Timestamp>>,
    plivo: BTreeMap<String, String>,
}

impl Book {
    fn look(&mut self, stage: &Stage) {
        let control = stage.control();
        for request in control.requests() {
            let upload =
                request.method == "PUT" || (request.method == "POST" && request.path.ends_with("/Media/"));
            self.uploads += usize::from(upload);
            // Bandwidth's IDs tell the content.
            if request.method == "PUT" && request.status == Some(204) {
                self.stored.entry(request.path.clone()).or_default().push(request.at);
            }
        }
        control.clear_requests();
        // Plivo stores each upload by itself.
        for media in control.media().into_iter().filter(|media| media.file_name.is_some()) {
            let what = format!("{:?} {}", media.file_name, media.blake3);
            if self.plivo.insert(media.url, what.clone()).is_none() {
                self.stored.entry(what).or_default().push(media.stored_at);
            }
        }
    }

    /// Uploads of what had been uploaded shortly before: a renewal is never due so soon.
    fn repeats(&mut self) -> usize {
        let soon = LIFE / 4;
        let repeats = self.stored.values_mut().map(|moments| {
            moments.sort_unstable();
            moments.windows(2).filter(|pair| pair[1].saturating_since(pair[0]) < soon).count()
        });
        repeats.sum()
    }
}
