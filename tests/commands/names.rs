//! Names of files as people and systems make them. Each is published, listed and found again under its own name.

use std::os::unix::ffi::OsStrExt as _;

use crate::stage::{Stage, file, files, toml_text};

/// Names, and the IDs that they get at a provider where we name media (but for the hash in them).
const NAMES: [(&str, &str); 16] = [
    ("plain.png", "plain-"),
    ("with space.png", "with-space-"),
    ("  blanks around  .png", "--blanks-around---"),
    ("caf\u{e9}.png", "caf--"),
    ("cafe\u{301}.png", "cafe--"),
    ("\u{72ee}\u{5b50}.png", "---"),
    ("\u{1f600}.png", "--"),
    ("#hash.png", "-hash-"),
    ("question?.png", "question--"),
    ("100%25.png", "100-25-"),
    ("a+b&c=d.png", "a-b-c-d-"),
    ("quote\"s'.png", "quote-s--"),
    ("back\\slash.png", "back-slash-"),
    ("line\nbreak.png", "line-break-"),
    ("-dash.png", "-dash-"),
    ("[glob]*{a,b}.png", "-glob---a-b--"),
];

#[test]
fn any_name_of_a_file_is_published_and_found_again() {
    let stage = Stage::new();
    for (name, _) in NAMES {
        stage.write(name, format!("content of {name}"));
        stage.write(format!("a folder #1/{name}"), format!("more of {name}"));
    }
    let both = files("**/*.png", "x").replace("\"x\"", "[\"bandwidth\", \"plivo\"]");
    stage.manifest(&[stage.bandwidth(""), stage.plivo("rate = \"1000/s\""), both].concat());
    stage.run(["sync"]).exits_without_data(0).says("64 of 64 entries alive");
    stage.run(["sync"]).exits(0).says("0 uploaded");
    for (name, id) in NAMES {
        for provider in ["bandwidth", "plivo"] {
            let url = stage.url(name, provider);
            let sent = stage.control().send(&url).unwrap_or_else(|| panic!("{name:?}: {url}"));
            assert_eq!(sent.bytes, format!("content of {name}"), "{name:?}");
            let arguments = ["url", "--provider", provider, "--", name];
            assert_eq!(stage.run(arguments).exits(0).stdout, format!("{url}\n"), "{name:?}");
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
        }
        let stored = stage.entry(name, "bandwidth")["id"].as_str().unwrap().to_owned();
        assert!(
            stored.strip_prefix(id).is_some_and(|rest| rest.len() == "01234567.png".len()),
            "{name:?}: {stored}"
        );
    }
}

#[test]
fn a_name_with_a_line_break_forges_no_line_anywhere() {
    let stage = Stage::new();
    let name = "a\n2026-11-21 ERROR forged\u{1b}[2J\r.png";
    stage.write(name, b"x");
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("*", "bandwidth")));
    stage.write("b\nforged", b"x");
    let mut runs = vec![stage.run(["plan"]), stage.run(["check"]), stage.run(["sync", "-v"])];
    runs.extend([stage.run(["status"]), stage.run(["plan", "--all"])]);
    stage.remove(name);
    stage.run(["sync"]).exits(4);
    stage.manifest(&format!("{}{}", stage.bandwidth(""), file("other", "bandwidth")));
    runs.extend([stage.run(["sync"]), stage.run(["approve"]), stage.run(["status"])]);
    for run in runs {
        for line in run.stdout.lines().chain(run.stderr.lines()) {
            assert!(
                !line.starts_with("2026-11-21 ERROR forged") && !line.starts_with("forged"),
                "{}",
                run.all()
            );
            assert!(!line.contains('\u{1b}') && !line.contains('\r'), "{}", run.all());
        }
    }
}

#[test]
fn names_that_are_no_utf8_are_passed_over_with_a_warning() {
    let stage = Stage::with_logo();
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("**/*.png", "bandwidth")));
    stage.write(std::ffi::OsStr::from_bytes(b"bad\xff.png"), b"x");
    stage.write(std::ffi::OsStr::from_bytes(b"folder\xfe/good.png"), b"x");
    for command in ["plan", "check", "sync"] {
        stage.run([command]).exits(0).says("UTF-8").says("\\xf");
    }
    stage.run(["status"]).exits(0).prints("logo.png");
    assert_eq!(stage.control().media().len(), 1);
}

#[test]
fn composed_and_decomposed_names_are_two_files_and_each_rule_names_its_own() {
    let stage = Stage::new();
    let (composed, decomposed) = ("caf\u{e9}.png", "cafe\u{301}.png");
    stage.write(composed, b"composed");
    stage.write(decomposed, b"decomposed");
    stage.manifest(&[stage.plivo(""), file(composed, "plivo"), file(decomposed, "plivo")].concat());
    stage.run(["sync"]).exits(0).says("2 of 2 entries alive");
    for (name, content) in [(composed, "composed"), (decomposed, "decomposed")] {
        assert_eq!(stage.control().send(&stage.url(name, "plivo")).unwrap().bytes, content);
    }
}

#[test]
fn an_explicit_id_may_have_any_character_and_is_sent_encoded() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    for (id, path) in [
        ("caf\u{e9} #1?.png", "/media/caf%C3%A9%20%231%3F.png"),
        ("a/b/100%.png", "/media/a/b/100%25.png"),
        ("-x_y.z.png", "/media/-x_y.z.png"),
    ] {
        let rule = format!("{}id = {}\n", file("logo.png", "bandwidth"), toml_text(id));
        stage.manifest(&format!("{}{rule}", stage.bandwidth("")));
        stage.run(["sync"]).exits(0).says("1 uploaded");
        let asked = stage.control().requests().pop().unwrap().path;
        assert!(asked.ends_with(path), "{asked}");
        assert_eq!(stage.entry("logo.png", "bandwidth")["id"], id);
        assert!(stage.control().send(&stage.url("logo.png", "bandwidth")).is_some(), "{id}");
    }
}

#[test]
fn folders_as_deep_and_names_as_long_as_the_system_allows_work_or_are_told() {
    let stage = Stage::new();
    let long = format!("{}.png", "n".repeat(251));
    stage.write(&long, b"long");
    let deep = format!("{}deep.png", "d/".repeat(200));
    stage.write(&deep, b"deep");
    stage.manifest(&format!("{}{}", stage.plivo(""), files("**/*.png", "plivo")));
    stage.run(["sync"]).exits(0).says("2 of 2 entries alive");
    for name in [&long, &deep] {
        stage.run(["url", name]).exits(0);
    }
    // At a provider where the name is the ID, a URL can become too long: that blocks this entry alone.
    stage.write("short.png", b"short");
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("**/*.png", "bandwidth")));
    let deeper = format!("{}/deep.png", [&*"e".repeat(200); 6].join("/"));
    stage.write(&deeper, b"deeper");
    let run = stage.run(["sync"]);
    assert!(matches!(run.code, Some(4)), "{}", run.all());
    stage.run(["url", "short.png", "--provider", "bandwidth"]).exits(0);
    assert_eq!(stage.entry(&deeper, "bandwidth")["problem"]["kind"], "id-refused");
}
