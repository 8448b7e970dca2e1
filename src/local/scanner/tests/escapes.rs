//! Paths and links that try to lead out of root.

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::super::beneath::{Resolver, Root};
use super::super::read::{Source, regular};
use super::*;

const SECRET: &[u8] = b"the secret outside";

/// A root full of links, and a secret beside it. Names that end in `-in.png` are fine.
fn world() -> World {
    let names: Vec<_> = links().into_iter().map(|(name, _)| name).collect();
    let literals: Vec<_> = names.iter().map(String::as_str).chain(BEHIND).collect();
    let world = World::naming(&literals);
    put(&world.place.path().join("secret.png"), SECRET);
    put(&world.place.path().join("outside/secret.png"), SECRET);
    put(&world.place.path().join("root-twin/secret.png"), SECRET);
    world.put("inside.png", "inside");
    world.put("folder/inside.png", "inside");
    world.put(".git/config.png", SECRET);
    world.put(".mediakeep/state.png", SECRET);
    let root = world.root();
    for (name, target) in links() {
        world.link(&name, &target.replace("ROOT", root.to_str().unwrap()));
    }
    world
}

/// Literals behind links to folders.
const BEHIND: [&str; 5] = [
    "folder-up.d/secret.png",
    "folder-absolute.d/secret.png",
    "folder-back.d/secret.png",
    "folder-git.d/config.png",
    "folder-fine.d/inside-in.png",
];

fn links() -> Vec<(String, String)> {
    let own = [
        ("up.png", "../secret.png"),
        ("up-twice.png", "../../secret.png"),
        ("down-and-up.png", "folder/../../secret.png"),
        ("absolute.png", "/etc/hostname"),
        ("absolute-in-root.png", "ROOT/inside.png"),
        ("absolute-secret.png", "ROOT/../secret.png"),
        ("twin.png", "../root-twin/secret.png"),
        ("via.png", "up.png"),
        ("via-folder.png", "folder-up.d/secret.png"),
        ("out-and-back.png", "../root/inside.png"),
        ("loop.png", "loop.png"),
        ("loop-a.png", "loop-b.png"),
        ("loop-b.png", "loop-a.png"),
        ("proc-root.png", "/proc/self/root/etc/hostname"),
        ("proc-cwd.png", "/proc/self/cwd"),
        ("device.png", "/dev/zero"),
        ("git.png", ".git/config.png"),
        ("state.png", ".mediakeep/state.png"),
        ("folder-up.d", "../outside"),
        ("folder-absolute.d", "ROOT/../outside"),
        ("folder-back.d", "folder/../../outside"),
        ("folder-git.d", ".git"),
        ("plain-in.png", "inside.png"),
        ("through-in.png", "folder/../inside.png"),
        ("chain-in.png", "plain-in.png"),
        ("dot-in.png", "./folder/./inside.png"),
        ("folder-fine.d", "folder"),
        ("folder/inside-in.png", "../inside.png"),
    ];
    own.map(|(name, target)| (name.to_owned(), target.to_owned())).to_vec()
}

#[test]
fn no_link_leads_out_of_root_or_into_what_is_ours() {
    let mut world = world();
    let shown = world.shown();
    let names = links()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "png"));
    let names: Vec<_> = names.chain(BEHIND.map(str::to_owned)).collect();
    assert!(names.len() >= 25);
    for name in names {
        let expected = if name.ends_with("-in.png") {
            present("inside")
        } else {
            Observation::Refused(Refusal::EscapingLink)
        };
        assert_eq!(shown[&name], expected, "{name}");
    }
}

#[test]
fn an_upload_reads_nothing_outside_root() {
    let world = world();
    for (name, _) in links() {
        let read = read_exact(&world.root(), &rel(&name), LIMIT);
        let bytes = read.map(|(bytes, _)| bytes);
        if name.ends_with("-in.png") {
            assert_eq!(bytes.unwrap(), "inside", "{name}");
        } else if !name.starts_with("git") && !name.starts_with("state") {
            // (Those two stay inside root; no scan ever has a hash of theirs that could be asked for.)
            assert!(bytes.is_err(), "{name} {bytes:?}");
        }
    }
}

#[test]
fn without_help_from_the_kernel_the_same_paths_are_refused() {
    let world = world();
    let open = || openat(CWD, world.root(), OFlags::DIRECTORY, Mode::empty()).unwrap();
    let kernel = Root::open(&world.root()).unwrap();
    let steps = Root::with_resolver(open(), Resolver::Steps).unwrap();
    let more = ["inside.png", "folder/inside.png", "missing.png", "inside.png/x", "folder", "missing/x"];
    let names: Vec<_> = links().into_iter().map(|(name, _)| name).collect();
    for name in names.iter().map(String::as_str).chain(BEHIND).chain(more) {
        let by_kernel = regular(Source::Path(&kernel, name).stat());
        let by_steps = regular(Source::Path(&steps, name).stat());
        assert_eq!(by_steps, by_kernel, "{name}");
        assert_eq!(steps.open_file(name).is_ok(), kernel.open_file(name).is_ok(), "{name}");
        assert_eq!(steps.open_folder(name).is_ok(), kernel.open_folder(name).is_ok(), "{name}");
        let itself = |root: &Root| root.stat_itself(name).map(|stat| (stat.st_ino, stat.st_mode)).ok();
        assert_eq!(itself(&steps), itself(&kernel), "{name}");
    }
    assert!(steps.open_folder("").is_ok());
}
