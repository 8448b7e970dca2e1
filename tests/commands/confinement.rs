//! Hostile paths, IDs, URLs, exports and file names: each is refused, or it stays where it belongs. Nothing is opened
//! outside root, nobody is asked but the provider, and every address begins as it should.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mediakeep::domain::manifest::{Parsed, Source, Sources, parse};
use mediakeep::provider::KINDS;

use crate::corpus::{BAD_EXPORTS, BAD_IDS, BAD_PATHS, BAD_URLS, ODD_IDS, ODD_PATHS};
use crate::stage::{ACCOUNT, PASSWORD, Stage, files, skipped, toml_text, write};

const FOLDER: &str = "/srv/media";

fn parsed(text: &str) -> Parsed {
    let manifest =
        Source { name: "media.toml", path: Path::new("/srv/media/media.toml"), text: text.as_bytes() };
    parse(&Sources { manifest, config: None, state_directory: None }, KINDS)
}

fn account(more: &str) -> String {
    format!(
        "version = 1\n[provider.b]\nkind = \"bandwidth\"\naccount_id = \"1\"\nclient_id = {{ env = \"I\" }}\n\
         client_secret = {{ env = \"S\" }}\n{more}\n"
    )
}

fn named(path: &str) -> String {
    format!("{}[[media]]\nfile = {}\nto = \"b\"\n", account(""), toml_text(path))
}

/// What a manifest with each of these values comes to: all of them are refused, and say where.
fn assert_refused(values: &[&str], manifest: impl Fn(&str) -> String) {
    for value in values {
        let parsed = parsed(&manifest(value));
        assert!(parsed.manifest.is_none(), "{value:?} is accepted");
        assert!(
            parsed.problems.iter().any(|problem| !problem.labels.is_empty()),
            "{value:?}: {:?}",
            parsed.problems
        );
    }
}

#[test]
fn paths_that_lead_out_of_root_are_refused() {
    assert_refused(BAD_PATHS, named);
    let long = format!("{}x.png", "a/".repeat(3000));
    assert_refused(&[&long], named);
    for path in ODD_PATHS {
        let parsed = parsed(&named(path));
        let manifest = parsed.manifest.unwrap_or_else(|| panic!("{path:?}: {:?}", parsed.problems));
        let files: Vec<_> = manifest.literal_files().collect();
        assert_eq!(files.len(), 1, "{path:?}");
        let joined = Path::new(FOLDER).join(files[0].as_str());
        assert!(joined.starts_with(FOLDER), "{path:?}");
        let inside = joined.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        assert!(inside, "{path:?}");
    }
}

#[test]
fn ids_that_lead_out_of_their_folder_are_refused() {
    let rule = |id: &str| format!("{}id = {}\n", named("a.png"), toml_text(id));
    assert_refused(BAD_IDS, rule);
    let long = "x".repeat(901);
    assert_refused(&[&long], rule);
    for (id, _) in ODD_IDS {
        assert!(parsed(&rule(id)).manifest.is_some(), "{id:?}: {:?}", parsed(&rule(id)).problems);
    }
}

#[test]
fn addresses_that_no_secret_may_go_to_are_refused() {
    for key in ["base_url", "token_url"] {
        let other = if key == "base_url" { "token_url" } else { "base_url" };
        assert_refused(BAD_URLS, |url| {
            account(&format!("{other} = \"https://good.test\"\n{key} = {}", toml_text(url)))
        });
    }
}

#[test]
fn exports_to_places_of_others_are_refused() {
    assert_refused(BAD_EXPORTS, |path| {
        format!("{}[[export]]\npath = {}\nformat = \"json\"\n", account(""), toml_text(path))
    });
}

#[test]
fn the_corpus_is_as_large_as_it_claims() {
    let all = [BAD_PATHS, ODD_PATHS, BAD_IDS, BAD_URLS, BAD_EXPORTS];
    let distinct: usize = all.iter().map(|values| values.iter().collect::<BTreeSet<_>>().len()).sum();
    assert!(distinct + ODD_IDS.len() + links().len() >= 250, "{distinct}");
}

/// Links that somebody left in the folder: names, and where they lead.
fn links() -> Vec<(&'static str, &'static str)> {
    vec![
        ("passwd.png", "/etc/passwd"),
        ("shadow.png", "/etc/shadow"),
        ("environ.png", "/proc/self/environ"),
        ("cmdline.png", "/proc/self/cmdline"),
        ("cwd.png", "/proc/self/cwd/../bait.png"),
        ("root.png", "/proc/self/root/etc/hostname"),
        ("fd.png", "/dev/fd/0"),
        ("zero.png", "/dev/zero"),
        ("up.png", "../bait.png"),
        ("up-and-up.png", "a/../../bait.png"),
        ("via.png", "up.png"),
        ("absolute-in.png", "ROOT/plain.png"),
        ("folder", "../outside"),
        ("folder-absolute", "/etc"),
        ("loop.png", "loop.png"),
        ("nowhere.png", "/nonexistent"),
        ("state.png", ".mediakeep/state.json"),
    ]
}

/// A folder with every odd path and ID as a rule, every name that a disk takes as a file, and every link.
fn hostile() -> Stage {
    let stage = Stage::new();
    write(&stage.above.path().join("bait.png"), b"bait");
    write(&stage.above.path().join("outside/bait.png"), b"bait");
    let mut rules = vec![files("**/*", "bandwidth")];
    for path in ODD_PATHS {
        stage.write(path, format!("content of {path}"));
    }
    for (number, (id, _)) in ODD_IDS.iter().enumerate() {
        stage.write(format!("id-{number}.png"), format!("number {number}"));
        let id = toml_text(id);
        rules.push(format!("[[media]]\nfile = \"id-{number}.png\"\nto = \"bandwidth\"\nid = {id}\n"));
    }
    stage.write("plain.png", b"plain");
    let root = stage.root();
    for (name, target) in links() {
        let target = target.replace("ROOT", root.to_str().unwrap());
        std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        rules.push(format!("[[media]]\nfile = \"{name}\"\nto = \"bandwidth\"\n"));
    }
    for name in ["folder/bait.png", "folder-absolute/hostname", "folder-absolute/passwd"] {
        rules.push(format!("[[media]]\nfile = \"{name}\"\nto = \"bandwidth\"\n"));
    }
    // Without an extension there is no type to send.
    let typed =
        rules.concat().replace("to = \"bandwidth\"\n", "to = \"bandwidth\"\ncontent_type = \"image/png\"\n");
    stage.manifest(&(stage.bandwidth("") + &typed));
    stage
}

/// What the emulator was asked for and holds: only what lies below root, at addresses that begin as they should.
fn assert_addresses(stage: &Stage) {
    let prefix = format!("/users/{ACCOUNT}/media/");
    let asked = stage.control().requests();
    assert!(asked.len() > ODD_IDS.len() + 30, "{}", asked.len());
    for request in &asked {
        let rest = request.path.split_once(&prefix).unwrap_or_else(|| panic!("{}", request.path)).1;
        let leads = rest.split('/').any(|segment| ["", ".", ".."].contains(&segment));
        assert!(!leads && !rest.contains(['?', '#', '\\', ' ']), "{}", request.path);
    }
    for (id, sent) in ODD_IDS {
        let found = asked.iter().any(|request| request.path.ends_with(&format!("{prefix}{sent}")));
        assert!(found, "{id:?} is not sent as {sent}");
    }
    let bait = stage.control().media().len();
    let hashes = asked.iter().filter_map(|request| request.blake3);
    let baits = ["bait", PASSWORD].map(|bytes| mediakeep::domain::asset::ContentHash::of(bytes.as_bytes()));
    assert!(bait > 0 && hashes.into_iter().all(|hash| !baits.contains(&hash)));
}

#[test]
fn what_is_accepted_stays_below_root_and_below_its_address() {
    let stage = hostile();
    stage.run(["check"]).exits(0);
    stage.run(["sync"]).exits(4);
    assert_addresses(&stage);
    for (name, _) in links() {
        let entry = stage.entry(name, "bandwidth");
        assert!(entry["url"].is_null(), "{name}: {entry}");
    }
}

/// The system calls that open and connect, of the whole process, as strace tells them; `None` where it may not.
fn traced(stage: &Stage) -> Option<String> {
    let trace = stage.above.path().join("trace");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-y",
        "-qq",
        "-s",
        "4096",
        "-e",
        "trace=open,openat,openat2,creat,connect,execve",
        "-o",
    ]);
    command.arg(&trace).arg(env!("CARGO_BIN_EXE_mediakeep")).arg("sync");
    command.env_clear().env("PASSWORD", PASSWORD).env("PATH", std::env::var_os("PATH")?);
    let output = command.current_dir(stage.root()).output().ok()?;
    let text = String::from_utf8_lossy(&std::fs::read(&trace).ok()?).into_owned();
    // It may be there and not be allowed to trace.
    let worked = output.status.code() == Some(4) && text.contains("openat");
    assert!(worked || !text.contains("plain.png"), "{}", String::from_utf8_lossy(&output.stderr));
    worked.then_some(text)
}

/// The path that a call really opened: what `-y` says of the descriptor that it returned.
fn opened(line: &str) -> Option<&str> {
    let result = line.rsplit_once(") = ")?.1;
    let (_, path) = result.split_once('<')?;
    path.rsplit_once('>').map(|(path, _)| path)
}

#[test]
fn by_the_systems_own_account_nothing_is_opened_outside_and_nobody_else_is_connected_to() {
    let stage = hostile();
    let Some(trace) = traced(&stage) else {
        skipped("strace is not there, or may not trace");
        return;
    };
    let root = stage.root();
    let root = root.to_str().unwrap();
    // What every program opens: its libraries, and how large the machine is.
    let systems = ["/lib", "/usr/", "/etc/ld.so", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/dev/null"];
    let of_process = ["/maps", "/cgroup", "/mountinfo", "/comm", "/status", "/boot_id"];
    let mut below = 0;
    for path in trace.lines().filter_map(opened) {
        if path == root || path.starts_with(&format!("{root}/")) {
            below += 1;
            continue;
        }
        let harmless = systems.iter().any(|start| path.starts_with(start))
            || (path.starts_with("/proc/") && of_process.iter().any(|end| path.ends_with(end)));
        assert!(harmless, "opened {path}");
    }
    assert!(below > ODD_PATHS.len(), "{below} opens below root");
    let port = format!("sin_port=htons({})", stage.emulator.addr().port());
    let connects: Vec<_> = trace.lines().filter(|line| line.contains("connect(")).collect();
    assert!(!connects.is_empty());
    for line in connects {
        let own = line.contains(&port) && line.contains("inet_addr(\"127.0.0.1\")");
        assert!(own || line.contains("resumed"), "{line}");
    }
    let programs = trace.lines().filter(|line| line.contains("execve(") && !line.contains("= -1")).count();
    assert_eq!(programs, 1, "it starts no other program");
    assert_addresses(&stage);
}
