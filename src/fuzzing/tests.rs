//! Every target over its seeds, as they are and with some bytes changed: what a fuzzer does for hours, in seconds.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

use super::TARGETS;
use super::answers::{assert_decent, assert_harmless};
use crate::domain::failure::{Failure, FailureClass};

/// A change to a text: where, what kind, and bytes that it may need.
type Edit = (Index, u8, Index, Vec<u8>);

/// The seeds of a target. A packed crate has none: there is no fuzzer in it either.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        eprintln!("SKIPPED: no seeds here");
        return Vec::new();
    }
    let program = fuzz.join(format!("fuzz_targets/{target}.rs"));
    let call = format!("mediakeep::fuzzing::{target}(data)");
    assert!(fs::read_to_string(program).unwrap().contains(&call), "nothing fuzzes {target}");
    let files = fs::read_dir(fuzz.join("seeds").join(target)).unwrap();
    let mut seeds: Vec<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    assert!(seeds.len() >= 5, "{target} has few seeds");
    seeds.sort();
    seeds
}

fn edit(bytes: &mut Vec<u8>, (at, kind, other, put): Edit) {
    let start = at.index(bytes.len() + 1);
    let end = (start + other.index(16)).min(bytes.len());
    match kind % 6 {
        0 => drop(bytes.drain(start..end)),
        1 => drop(bytes.splice(start..start, put)),
        2 => drop(bytes.splice(start..end, put)),
        3 => bytes.truncate(start),
        4 => {
            let copy = bytes[start..end].to_vec();
            let place = other.index(bytes.len() + 1);
            bytes.splice(place..place, copy);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(start) {
                *byte ^= 1 << (put.len() % 8);
            }
        }
    }
}

/// What means something to one of the formats.
const WORDS: &[&str] = &[
    "\"",
    "'",
    "\n",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "=",
    ",",
    "#",
    ".",
    "..",
    "/",
    "*",
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "\u{202e}",
    "\u{1b}[2J",
    "\r",
    "\0",
    "c4n4ry-s3cret",
    "https://evil.example/",
];

fn meaningful() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn holds_over_mutated_seeds(target: &str) {
    let run = TARGETS.iter().find(|(name, _)| *name == target).expect("is a target").1;
    let seeds = seeds(target);
    if seeds.is_empty() {
        return;
    }
    for (path, bytes) in &seeds {
        eprintln!("{}", path.display());
        run(bytes);
    }
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(ProptestConfig::default().cases * 2)
    };
    let edit_of = (any::<Index>(), any::<u8>(), any::<Index>(), meaningful());
    let edits = prop::collection::vec(edit_of, 1..6);
    proptest!(config, |(seed in any::<Index>(), edits in edits)| {
        let mut bytes = seed.get(&seeds).1.clone();
        for change in edits {
            edit(&mut bytes, change);
        }
        run(&bytes);
    });
}

#[test]
fn no_manifest_breaks_a_promise() {
    holds_over_mutated_seeds("manifest");
}

#[test]
fn no_state_breaks_a_promise() {
    holds_over_mutated_seeds("state");
}

#[test]
fn no_answer_breaks_a_promise() {
    holds_over_mutated_seeds("provider_replies");
}

#[test]
fn no_wish_to_wait_breaks_a_promise() {
    holds_over_mutated_seeds("retry_after");
}

#[test]
fn no_list_breaks_a_promise() {
    holds_over_mutated_seeds("list_pages");
}

#[test]
fn a_broken_promise_is_noticed() {
    for url in ["https://media.plivo.com/'x'", "https://media.plivo.com/a b", "https://x/\u{202e}"] {
        assert!(catch_unwind(|| assert_harmless(url)).is_err(), "{url}");
    }
    for detail in ["it was c4n4ry-s3cret", "NTUwMDAxMjpjNG40cnktczNjcmV0", "two\nlines", &"x".repeat(201)] {
        let failure = Failure::without_answer(FailureClass::Unexpected, detail);
        assert!(catch_unwind(|| assert_decent(&failure)).is_err(), "{detail}");
    }
}
