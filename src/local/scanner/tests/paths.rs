//! Looks at some paths only.

use super::*;

const TOUCHED: Hint = Hint::Touched;

#[test]
fn a_look_at_one_path_costs_one_file() {
    let mut world = World::new();
    for number in 0..500 {
        world.put(&format!("many/{number}.png"), "x");
    }
    world.put("one.png", "1");
    let scan = world.scan_for(&request(&[("one.png", TOUCHED)]));
    assert_eq!(scan.report.coverage, Coverage::Paths(vec![rel("one.png")]));
    assert_eq!(scan.folders, None);
    assert_eq!(by_path(scan.report), shows([("one.png", present("1"))]));
    assert_eq!(world.progress().files, 1);
}

#[test]
fn a_folder_stands_for_everything_below_it() {
    let mut world = World::new();
    world.put("a/1.png", "1");
    world.put("a/b/2.png", "2");
    world.put("ab/3.png", "3");
    let expected = shows([("a/1.png", present("1")), ("a/b/2.png", present("2"))]);
    assert_eq!(world.shown_for(&[("a", TOUCHED)]), expected);
    let twice = world.shown_for(&[("a", TOUCHED), ("a/b", TOUCHED), ("a/b/2.png", Hint::Complete)]);
    assert_eq!(twice, expected, "each file is named once");
}

#[test]
fn what_is_gone_is_covered_and_only_a_literal_is_called_missing() {
    let mut world = World::naming(&["brand/logo.bin"]);
    let scan = world.scan_for(&request(&[("brand", TOUCHED), ("gone.png", TOUCHED)]));
    assert_eq!(scan.report.coverage, Coverage::Paths(vec![rel("brand"), rel("gone.png")]));
    assert_eq!(by_path(scan.report), shows([("brand/logo.bin", Observation::Missing)]));
}

#[test]
fn a_file_that_became_a_folder_and_a_folder_that_became_a_file_are_seen() {
    let mut world = World::naming(&["x"]);
    world.put("x", "file");
    assert_eq!(world.shown_for(&[("x", TOUCHED)]), shows([("x", present("file"))]));
    fs::remove_file(world.path("x")).unwrap();
    world.put("x/in.png", "inside");
    let as_folder = shows([("x", Observation::Refused(Refusal::Directory)), ("x/in.png", present("inside"))]);
    assert_eq!(world.shown_for(&[("x", TOUCHED)]), as_folder);
    assert_eq!(world.shown(), as_folder);
    fs::remove_dir_all(world.path("x")).unwrap();
    world.put("x", "again");
    assert_eq!(world.shown_for(&[("x/in.png", TOUCHED), ("x", TOUCHED)]), shows([("x", present("again"))]));
}

#[test]
fn excluded_paths_are_not_looked_at_even_when_named() {
    let mut world = World::new();
    for path in [".git/a.png", ".mediakeep/a.png", ".mediakeep-tmp-a.png"] {
        world.put(path, "x");
    }
    let scan = world.scan_for(&request(&[
        (".git/a.png", TOUCHED),
        (".git", TOUCHED),
        (".mediakeep/a.png", TOUCHED),
        (".mediakeep-tmp-a.png", TOUCHED),
    ]));
    assert_eq!(scan.report.coverage, Coverage::Paths(vec![]));
    assert!(scan.report.files.is_empty());
}

#[test]
fn a_change_of_a_file_is_a_change_of_the_links_to_it() {
    let mut world = World::naming(&["linked/logo.bin"]);
    world.put("store/v1.bin", "1");
    world.link("latest.png", "store/v1.bin");
    world.put("real/logo.bin", "L");
    world.link("linked", "real");
    let interest = world.scanner.interest();
    assert!(!interest.wants(&rel("store/v1.bin")));
    let expected = shows([("latest.png", present("1")), ("linked/logo.bin", present("L"))]);
    assert_eq!(world.shown(), expected);
    assert!(interest.wants(&rel("store/v1.bin")) && interest.wants(&rel("real/logo.bin")));

    world.put("store/v1.bin", "two");
    assert_eq!(world.shown_for(&[("store/v1.bin", TOUCHED)]), shows([("latest.png", present("two"))]));
    world.put("real/logo.bin", "LL");
    assert_eq!(world.shown_for(&[("real", TOUCHED)]), shows([("linked/logo.bin", present("LL"))]));
    fs::remove_file(world.path("store/v1.bin")).unwrap();
    let scan = world.scan_for(&request(&[("store/v1.bin", TOUCHED)]));
    assert_eq!(scan.report.coverage, Coverage::Paths(vec![rel("latest.png"), rel("store/v1.bin")]));
    assert!(scan.report.files.is_empty(), "{scan:?}");
}

#[test]
fn a_file_behind_a_linked_folder_is_seen_under_the_name_that_the_manifest_gives_it_only() {
    let mut world = World::naming(&["linked/logo.bin"]);
    world.put("real/logo.bin", "L");
    world.put("real/other.png", "O");
    world.link("linked", "real");
    let request = [("linked/other.png", TOUCHED), ("linked/logo.bin", TOUCHED)];
    assert_eq!(world.shown_for(&request), shows([("linked/logo.bin", present("L"))]));
    let expected = shows([("linked/logo.bin", present("L")), ("real/other.png", present("O"))]);
    assert_eq!(world.shown(), expected);
}
