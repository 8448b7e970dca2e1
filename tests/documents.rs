//! README.md, ARCHITECTURE.md, SAFETY.md and docs/operations.md against the code: what there is stands there, and what stands there is there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use mediakeep::cli::args::Cli;
use mediakeep::domain::manifest;
use mediakeep::provider::KINDS;
use mediakeep::serve::{METRICS, Metric};

const README: &str = include_str!("../README.md");
const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");
const SAFETY: &str = include_str!("../SAFETY.md");
const OPERATIONS: &str = include_str!("../docs/operations.md");
const ALERTS: &str = include_str!("../contrib/prometheus/mediakeep.rules.yml");

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What stands between single backticks, outside fenced blocks, cut into words.
fn words_in_code(text: &str) -> BTreeSet<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let codes = prose.split('`').skip(1).step_by(2);
    let words = codes.flat_map(|code| code.split([' ', '\n', '/', '|', '=', ',']));
    words.map(str::to_owned).collect()
}

/// The Rust files below a folder.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![here(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_manual_has_every_command_flag_and_exit_code() {
    let known = words_in_code(README);
    let mut cli = Cli::command();
    cli.build();
    let mut missing = Vec::new();
    for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
        let name = command.get_name();
        missing.extend((!known.contains(name) && name != "mediakeep").then(|| name.to_owned()));
        let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
        let flags = arguments.filter_map(|argument| argument.get_long().map(|long| format!("--{long}")));
        missing.extend(flags.filter(|flag| !known.contains(flag.as_str())));
    }
    let help = cli.get_after_help().unwrap().to_string();
    let codes: Vec<_> = help.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(codes.len() > 5, "{help}");
    let has_row = |code: &str| README.lines().any(|line| line.starts_with(&format!("| {code} |")));
    missing.extend(codes.into_iter().filter(|code| !has_row(code)).map(str::to_owned));
    assert!(missing.is_empty(), "README.md does not tell of {missing:?}");
}

#[test]
fn the_manual_has_every_key() {
    let known = words_in_code(README);
    let reference = manifest::reference(KINDS);
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let keys: Vec<_> = rows.collect();
    assert!(keys.len() > 20, "{reference}");
    let missing: Vec<_> = keys.into_iter().filter(|key| !known.contains(*key)).collect();
    assert!(missing.is_empty(), "README.md does not tell of {missing:?}");
}

#[test]
fn the_list_of_metrics_is_the_one_that_is_served() {
    let rows = |metric: &Metric| {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {:?} | {labels} | {} |", metric.full_name(), metric.kind, metric.help)
    };
    let expected: Vec<_> = METRICS.iter().map(rows).collect();
    let text = include_str!("../docs/metrics.md");
    let listed: Vec<_> = text.lines().filter(|line| line.starts_with("| `mediakeep_")).collect();
    assert_eq!(listed, expected, "docs/metrics.md must list:\n{}", expected.join("\n"));
    // Alerts ask for nothing else.
    let names: BTreeSet<_> = METRICS.iter().map(Metric::full_name).collect();
    let rules = include_str!("../contrib/prometheus/mediakeep.rules.yml");
    let words = rules.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    let asked: BTreeSet<_> = words.filter(|word| word.starts_with("mediakeep_")).collect();
    assert!(asked.len() > 8, "{asked:?}");
    let unknown: Vec<_> = asked.into_iter().filter(|name| !names.contains(*name)).collect();
    assert!(unknown.is_empty(), "the rules ask for {unknown:?}");
}

/// What looks like a test's name among the pieces of code in a text.
fn tests_named_in(text: &str) -> Vec<&str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit();
    let pieces = text.split('`').skip(1).step_by(2);
    pieces.filter(|code| code.contains('_') && code.bytes().all(plain) && *code != "expires_at").collect()
}

#[test]
fn every_test_that_holds_an_invariant_or_a_promise_exists() {
    let table = ARCHITECTURE.split("## Invariants").nth(1).unwrap().split("\n## ").next().unwrap();
    let code: String = [sources("src"), sources("tests")]
        .concat()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for (document, text) in [("ARCHITECTURE.md", table), ("SAFETY.md", SAFETY)] {
        let names = tests_named_in(text);
        assert!(names.len() > 20, "{document} names {}", names.len());
        let is_there = |name: &&str| code.contains(&format!("fn {name}("));
        let missing: Vec<_> = names.into_iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{document} names tests that are not there: {missing:?}");
    }
}

#[test]
fn the_map_names_every_module_of_the_domain_and_of_the_engine() {
    let map = ARCHITECTURE.split("```").nth(1).unwrap();
    for folder in ["src/domain", "src/domain/reconciler", "src/local", "src/daemon", "src"] {
        for entry in fs::read_dir(here(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let folder_name = format!("{name}/");
            let shown = map.contains(&name) || map.contains(&folder_name);
            assert!(
                shown || ["mod.rs", "testing.rs", "tests"].contains(&&*name),
                "{folder}/{name} is not on the map"
            );
        }
    }
}

#[test]
fn every_alert_has_a_section_that_says_what_to_do_and_every_section_an_alert() {
    let alerts: Vec<&str> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let part = OPERATIONS.split("\n## Alerts\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let sections: Vec<(&str, &str)> =
        part.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap()).collect();
    let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    assert_eq!(names, alerts, "the guide has them in the order of the rules");
    for (name, text) in sections {
        for point in ["- **Lost:**", "- **Do:**"] {
            assert!(text.contains(point), "{name} lacks {point}");
        }
    }
}

/// What the code puts into a state folder, by the constants and joins that name it.
fn names_in_the_state_folder() -> BTreeSet<String> {
    let marks = ["_FILE: &str = \"", "state_folder.join(\"", " folder.join(\"", "HASH_CACHE: &str = \""];
    let mut names = BTreeSet::new();
    for path in [sources("src/local"), vec![here("src/daemon/files.rs")]].concat() {
        if path.components().any(|part| ["scanner", "tests"].iter().any(|name| part.as_os_str() == *name)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let found = marks.iter().flat_map(|mark| code.split(mark).skip(1));
        names.extend(found.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    // A folder and two patterns, each named in a way of its own.
    for (file, mark) in [
        ("src/local/last_good.rs", "const FOLDER: &str = \""),
        ("src/local/atomic_file.rs", "TEMPORARY_PREFIX: &str = \""),
    ] {
        let text = fs::read_to_string(here(file)).unwrap();
        names.insert(text.split(mark).nth(1).unwrap().split('"').next().unwrap().to_owned());
    }
    let aside = fs::read_to_string(here("src/local/state_store/set_aside.rs")).unwrap();
    names.insert(aside.split("format!(\"").nth(1).unwrap().split('{').next().unwrap().to_owned());
    names
}

#[test]
fn the_guide_names_whatever_a_state_folder_can_hold_and_nothing_else() {
    let part = OPERATIONS.split("\n## The state folder\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let told: BTreeSet<String> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|name| {
            name.trim_matches(['*', '/'])
                .trim_end_matches(|c: char| c.is_ascii_digit() && name.contains("broken"))
        })
        .map(str::to_owned)
        .collect();
    let held = names_in_the_state_folder();
    assert!(held.len() > 12, "{held:?}");
    assert_eq!(told, held);
}

/// Tests may reach further: they compare what two layers say.
#[test]
fn layers_use_only_what_the_map_allows() {
    let outside = [
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "std::env::var",
        "tokio",
        "tracing",
        "reqwest",
        "rustix",
        "notify",
    ];
    let layers: [(&str, &[&str], &[&str]); 7] = [
        ("domain", &["domain"], &outside),
        ("provider", &["provider", "domain"], &[]),
        ("local", &["local", "domain"], &[]),
        ("emulator", &["emulator", "domain"], &[]),
        ("daemon", &["daemon", "provider", "local", "domain"], &[]),
        ("hooks", &["hooks", "daemon", "provider", "local", "domain"], &[]),
        ("serve", &["serve", "daemon", "local", "domain"], &[]),
    ];
    for (layer, allowed, banned) in layers {
        for path in sources(&format!("src/{layer}")) {
            if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                for used in line.split("crate::").skip(1) {
                    let name = used.split(|c: char| !c.is_ascii_lowercase()).next().unwrap();
                    assert!(name.is_empty() || allowed.contains(&name), "{}: {line}", path.display());
                }
                for word in banned {
                    let used = line.contains(&format!("{word}::")) || line.contains(&format!("use {word};"));
                    assert!(!used, "{}: {line}", path.display());
                }
            }
        }
    }
}
