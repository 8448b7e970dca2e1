//! Each mistake has an error, at its place, and no other one.

use super::super::fixtures::{read, read_both, read_sources};
use super::super::{Severity, SourceName};
use super::{errors, notes, problems, with_accounts};

/// Checks that these tables below two accounts have exactly these errors.
#[track_caller]
fn check(tables: &str, expected: &[&str]) {
    assert_eq!(errors(tables), expected, "{tables}");
}

#[test]
fn the_top_of_the_file_is_checked() {
    let top = |text: &str| problems(&read(text), Severity::Error);
    for (text, expected) in [
        ("", "1:1 the version of the format is missing"),
        ("version = 2", "1:11 `version` is newer than this mediakeep knows"),
        ("version = 0", "1:11 `version` must be 1"),
        ("version = \"1\"", "1:11 `version` must be 1"),
        ("versoin = 1", "1:1 unknown key `versoin`"),
        ("version = 1\nsettle = \"2s\"", "2:1 unknown key `settle`"),
        ("version = 1\nmedai = []", "2:1 unknown key `medai`"),
        ("version = 1\n[media]\nfile = \"a\"", "2:1 `media` must be a table"),
        ("version = 1\n[[sync]]", "2:1 `sync` must be a table"),
        ("version = 1\nmedia = [1]", "2:10 `media` must be a table"),
        ("version = 1\nprovider = 1", "2:12 `provider` must be a table"),
        ("version = 1\nprovider.x = 1", "2:14 provider `x` must be a table"),
        ("version = 1\n[hook]", "2:2 [hook] can't stand in the manifest"),
        ("version = 1\n[[serve]]", "2:3 [serve] can't stand in the manifest"),
    ] {
        assert_eq!(top(text), [expected], "{text}");
    }
}

#[test]
fn lengths_counts_and_flags_are_checked() {
    check("[sync]\nsettle = \"2 parsecs\"", &["+2:10 `settle` can't be used: not a length of time"]);
    check("[sync]\nsettle = 2", &["+2:10 `settle` must be a length of time"]);
    check("[sync]\nsettle = \"-2s\"", &["+2:10 `settle` can't be used: must not be negative"]);
    check("[sync]\nrescan = \"0s\"", &["+2:10 `rescan` can't be used: must be longer than zero"]);
    check("[sync]\nrescan = \"10ms\"", &["+2:10 `rescan` must be at least 1s"]);
    check(
        "[sync]\nrescan = \"1 month\"",
        &["+2:10 `rescan` can't be used: months and years have no fixed length"],
    );
    check(
        "[sync]\nkeep_copies = \"yes\"",
        &["+2:15 `keep_copies` must be `true` or `false`, without quotes"],
    );
    check("[sync]\nroot = \"\"", &["+2:8 `root` must not be empty"]);
    check("[sync]\nroot = \"~/media\"", &["+2:8 `root` must be a plain path"]);
    check("[sync]\nroots = \".\"", &["+2:1 unknown key `roots` in [sync]"]);
    for wrong in ["0", "65", "1.5", "\"4\"", "-1", "99999999999999999999"] {
        let tables = format!("concurrency = {wrong}");
        check(&tables, &["+1:15 `concurrency` must be a whole number from 1 to 64"]);
    }
    for wrong in [
        "\"10\"",
        "\"0/s\"",
        "\"10/d\"",
        "\"1.5/s\"",
        "\"-1/s\"",
        "\"+1/s\"",
        "10",
        "\"1000001/s\"",
        "\"/s\"",
    ] {
        check(&format!("rate = {wrong}"), &["+1:8 `rate` must be a number of requests in a time"]);
    }
    for right in ["concurrency = 64", "rate = \"1000000/s\"", "rate = \"1/h\"", "rate = \"300/m\""] {
        check(right, &[]);
    }
}

#[test]
fn retention_only_shortens_and_margin_fits_in() {
    check("retention = \"7h\"", &["+1:13 `retention` is longer than Plivo keeps media"]);
    check("retention = \"9s\"", &["+1:13 `retention` must be at least 10s"]);
    check(
        "retention = \"10s\"\nmargin = \"10s\"",
        &["+2:10 `margin` is not shorter than the life of a media"],
    );
    check("margin = \"6h\"", &["+1:10 `margin` is not shorter than the life of a media"]);
    check("retention = \"20s\"\nmargin = \"5s\"", &[]);
    assert_eq!(notes("margin = \"3h\""), ["+1:10 `margin` asks for 3h, and 2h 59m is used"]);
    assert_eq!(notes("margin = \"1m\""), ["+1:10 `margin` asks for 1m, and 44m 52s is used"]);
    assert_eq!(notes("margin = \"2h\""), Vec::<String>::new());
}

#[test]
fn providers_are_checked() {
    check(
        "[provider.\"a b\"]\nkind = \"plivo\"",
        &["+1:11 a provider's name is made of letters, digits, '-' and '_'"],
    );
    check("[provider.other]\nauth_id = \"x\"", &["+1:1 [provider.other] lacks its `kind`"]);
    check("[provider.other]\nkind = \"plvio\"", &["+2:8 unknown kind of provider `plvio`"]);
    check("[provider.other]\nkind = \"telegram\"", &["+2:8 unknown kind of provider `telegram`"]);
    check("[provider.other]\nkind = 1", &["+2:8 `kind` must be a string"]);
    check(
        "[provider.other]\nkind = \"telegram\"\nauth_token = \"s\"",
        &[
            "+2:8 unknown kind of provider `telegram`",
            "+3:14 `auth_token` is a secret, and a secret never stands in a manifest or config",
        ],
    );
    check("account_id = \"1\"", &["+1:1 unknown key `account_id` in [provider.plivo]"]);
    check("token_url = \"https://x.example\"", &["+1:1 unknown key `token_url` in [provider.plivo]"]);
    check(
        "[provider.other]\nkind = \"plivo\"\nauth_id = \"MA1\"",
        &["+1:1 [provider.other] lacks its `auth_token`"],
    );
}

#[test]
fn exactly_one_kind_of_credentials_is_complete() {
    let account = "[provider.other]\nkind = \"bandwidth\"\naccount_id = \"1\"\n";
    let with = |keys: &str| errors(&format!("{account}{keys}"));
    assert_eq!(with(""), ["+1:1 [provider.other] has no credentials"]);
    assert_eq!(with("username = \"u\""), ["+4:1 [provider.other] has `username` but no `password`"]);
    assert_eq!(
        with("client_secret = { env = \"A\" }"),
        ["+4:1 [provider.other] has `client_secret` but no `client_id`",]
    );
    let both =
        "username = \"u\"\npassword = { env = \"A\" }\nclient_id = \"c\"\nclient_secret = { env = \"B\" }";
    assert_eq!(with(both), ["+6:1 [provider.other] has two kinds of credentials"]);
    assert_eq!(with("username = \"u\"\npassword = { env = \"A\" }"), Vec::<String>::new());
    assert_eq!(
        with("username = \"u\"\npassword = \"p\""),
        ["+5:12 `password` is a secret, and a secret never stands in a manifest or config",]
    );
    let deprecated = format!("{account}username = \"u\"\npassword = {{ env = \"A\" }}");
    assert_eq!(notes(&deprecated), ["+4:1 Bandwidth has deprecated `username` with `password`"]);
}

#[test]
fn references_are_checked() {
    for (reference, expected) in [
        ("{}", "`auth_token` must say in exactly one way where its value is to be found"),
        (
            "{ env = \"A\", file = \"b\" }",
            "`auth_token` must say in exactly one way where its value is to be found",
        ),
        (
            "{ enw = \"A\" }",
            "`auth_token` must say by `env`, `credential` or `file` where its value is to be found",
        ),
        (
            "{ env = \"9A\" }",
            "`auth_token` has a reference whose `env` is not the name of an environment variable",
        ),
        (
            "{ env = \"A-B\" }",
            "`auth_token` has a reference whose `env` is not the name of an environment variable",
        ),
        ("{ env = 1 }", "`auth_token` has a reference whose `env` must be a string"),
        (
            "{ credential = \"a/b\" }",
            "`auth_token` has a reference whose `credential` is not the name of a credential",
        ),
        ("{ file = \"~/token\" }", "`auth_token` has a reference whose `file` must be a plain path"),
        ("{ file = \"\" }", "`auth_token` has a reference whose `file` must not be empty"),
        ("1234", "`auth_token` is a secret, and a secret never stands in a manifest or config"),
        ("[\"a\"]", "`auth_token` is a secret, and a secret never stands in a manifest or config"),
    ] {
        let table = format!("[provider.x]\nkind = \"plivo\"\nauth_id = \"M\"\nauth_token = {reference}\n");
        let errors = errors(&table);
        assert_eq!(errors.len(), 1, "{reference}: {errors:?}");
        assert!(errors[0].ends_with(expected), "{reference}: {errors:?}");
    }
    check(
        "[provider.x]\nkind = \"plivo\"\nauth_id = 5500012\nauth_token = { env = \"A\" }",
        &["+3:11 `auth_id` must be a string, or a reference such as { env = \"NAME\" }"],
    );
}

#[test]
fn addresses_are_https_and_come_in_pairs_with_oauth2() {
    check(
        "base_url = \"http://api.example\"",
        &["+1:12 `base_url` must be https: credentials are sent there"],
    );
    check(
        "base_url = \"https://user:word@api.example\"",
        &["+1:12 `base_url` must not hold a user name or password"],
    );
    check("base_url = \"https://api.example?x\"", &["+1:12 `base_url` must not hold a `?` or `#` part"]);
    check("base_url = \"api.example\"", &["+1:12 `base_url` is not a URL"]);
    check("base_url = \"http://127.0.0.1:8480/v1\"", &[]);
    let oauth2 = "[provider.x]\nkind = \"bandwidth\"\naccount_id = \"1\"\nclient_id = \"c\"\nclient_secret = { env = \"B\" }\n";
    let with = |keys: &str| errors(&format!("{oauth2}{keys}"));
    let (base, token) = ("base_url = \"https://a.example\"\n", "token_url = \"https://t.example\"\n");
    assert_eq!(with(base), ["+6:1 `base_url` without `token_url`"]);
    assert_eq!(with(token), ["+6:1 `token_url` without `base_url`"]);
    assert_eq!(with(&format!("{base}{token}")), Vec::<String>::new());
    let basic = "[provider.x]\nkind = \"bandwidth\"\naccount_id = \"1\"\nusername = \"c\"\npassword = { env = \"B\" }\n";
    check(&format!("{basic}{base}"), &[]);
    check(&format!("{basic}{token}"), &["+6:1 `token_url` is for OAuth2 client credentials"]);
}

#[test]
fn rules_say_what_goes_where() {
    check(
        "[[media]]",
        &["+1:1 [[media]] lacks its `to`", "+1:1 [[media]] does not say which files it is about"],
    );
    check(
        "[[media]]\nfile = \"a.png\"\nfiles = \"*\"\nto = \"plivo\"",
        &["+3:1 a rule has either `file` or `files`"],
    );
    check(
        "[[media]]\nfile = \"a.png\"\nexclude = [\"b\"]\nto = \"plivo\"",
        &["+3:1 `exclude` without `files`"],
    );
    check("[[media]]\nflie = \"a.png\"\nto = \"plivo\"", &["+2:1 unknown key `flie` in [[media]]"]);
    check("[[media]]\nfile = \"a.png\"\nto = \"plvio\"", &["+3:6 no provider is called `plvio`"]);
    check(
        "[[media]]\nfile = \"a.png\"\nto = [\"plivo\", \"nowhere\", \"plivo\"]",
        &["+3:16 no provider is called `nowhere`", "+3:27 `plivo` stands in `to` twice"],
    );
    check("[[media]]\nfile = \"a.png\"\nto = []", &["+3:6 `to` must name at least one provider"]);
    check("[[media]]\nfile = \"a.png\"\nto = 1", &["+3:6 `to` must be a string or a list of strings"]);
    check(
        "[[media]]\nfile = \"a.png\"\nto = [\"plivo\", 1]",
        &["+3:16 `to` holds what it can't: each must be a string"],
    );
    check("[[media]]\nfile = 1\nto = \"plivo\"", &["+2:8 `file` must be a string"]);
    check(
        "media = [{ file = \"a.png\", to = \"plivo\" }]\n",
        &["+1:1 unknown key `media` in [provider.plivo]"],
    );
}

#[test]
fn paths_and_patterns_stay_inside_root() {
    for (file, problem) in [
        ("../a.png", "`file` leaves root"),
        ("a/../../b.png", "`file` leaves root"),
        ("/etc/passwd", "`file` is absolute"),
        ("a//b", "`file` can't be used: a path has no empty segment"),
        ("./a", "`file` can't be used: a path has no '.' or '..' segment, so that it stays inside root"),
        ("a/", "`file` names a folder"),
        ("a\\\\b.png", "`file` has a backslash"),
        ("a\\u0000b", "`file` must not hold control characters"),
    ] {
        let tables = format!("[[media]]\nfile = \"{file}\"\nto = \"plivo\"");
        check(&tables, &[&format!("+2:8 {problem}")]);
    }
    for (pattern, problem) in [
        ("../*.png", "leaves root"),
        ("/srv/*.png", "is an absolute path"),
        ("a/", "names a folder; its files are `a/**`"),
        ("[", "unclosed character class; missing ']'"),
        ("{a", "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
    ] {
        check(
            &format!("[[media]]\nfiles = \"{pattern}\"\nto = \"plivo\""),
            &[&format!("+2:9 bad pattern in `files`: {problem}")],
        );
        check(
            &format!("[[media]]\nfiles = \"*\"\nexclude = [\"x\", \"{pattern}\"]\nto = \"plivo\""),
            &[&format!("+3:17 bad pattern in `exclude`: {problem}")],
        );
    }
}

#[test]
fn what_is_never_media_is_named() {
    let secret =
        "[provider.x]\nkind = \"plivo\"\nauth_id = \"M\"\nauth_token = { file = \"secrets/token\" }\n";
    let export = "[[export]]\npath = \"urls.json\"\nformat = \"json\"\n";
    for (file, what) in [
        ("media.toml", "the manifest"),
        (".mediakeep/state.json", "in the state folder"),
        (".git/config", "under .git"),
        ("sub/.git/HEAD", "under .git"),
        (".mediakeep-tmp-x1", "a temporary file of mediakeep"),
        ("a/.mediakeep-tmp-x1", "a temporary file of mediakeep"),
        ("urls.json", "an export"),
        ("secrets/token", "a file that holds a credential"),
    ] {
        let tables = format!("{secret}{export}[[media]]\nfile = \"{file}\"\nto = \"plivo\"");
        check(&tables, &[&format!("+9:8 `{file}` is {what}, so it is never media")]);
    }
}

#[test]
fn one_entry_has_one_rule_that_names_it() {
    let rule = |file: &str, to: &str| format!("[[media]]\nfile = \"{file}\"\nto = {to}\n");
    let twice = rule("a.png", "\"plivo\"") + &rule("a.png", "[\"bandwidth\", \"plivo\"]");
    check(&twice, &["+5:8 `a.png` goes to `plivo` by two rules"]);
    check(&(rule("a.png", "\"plivo\"") + &rule("a.png", "\"bandwidth\"")), &[]);
    check(&(rule("a.png", "\"plivo\"") + &rule("A.png", "\"plivo\"")), &[]);
}

#[test]
fn one_id_has_one_file() {
    let rule =
        |file: &str, id: &str| format!("[[media]]\nfile = \"{file}\"\nto = \"bandwidth\"\nid = \"{id}\"\n");
    for (first, second) in
        [("x.png", "x.png"), ("x.png", "X.PNG"), ("lo\u{308}we.png", "LÖWE.png"), ("{stem}", "A")]
    {
        let errors = errors(&(rule("a.png", first) + &rule("b.png", second)));
        assert_eq!(errors.len(), 1, "{first} {second}: {errors:?}");
        assert!(errors[0].starts_with("+8:6 two files have the ID"), "{errors:?}");
    }
    for (first, second) in
        [("x.png", "y.png"), ("{name}", "{name}"), ("{hash}", "{hash}"), ("{hash8}.png", "x.png")]
    {
        check(&(rule("a.png", first) + &rule("b.png", second)), &[]);
    }
}

#[test]
fn ids_are_checked() {
    let with =
        |id: &str, to: &str| errors(&format!("[[media]]\nfile = \"d/a.png\"\nto = {to}\nid = \"{id}\"\n"));
    let bandwidth = |id: &str| with(id, "\"bandwidth\"");
    assert_eq!(bandwidth("{hsah8}"), ["+4:6 `id` has an unknown placeholder `{hsah8}`"]);
    assert_eq!(bandwidth("{stem"), ["+4:6 `id` has a `{` that is not closed"]);
    assert_eq!(bandwidth("../x"), ["+4:6 `id` gives an ID with a `..` segment, which would lead elsewhere"]);
    assert_eq!(bandwidth("a\\\\b"), ["+4:6 `id` gives an ID with a backslash or a control character"]);
    assert_eq!(bandwidth(&"x".repeat(901)), ["+4:6 `id` gives an ID that is longer than 900 bytes"]);
    assert_eq!(bandwidth(&"ä".repeat(300)), ["+4:6 the URL of `d/a.png` would be longer than 999 bytes"]);
    assert_eq!(with("x.png", "\"plivo\""), ["+4:6 `id` has no use: Plivo names media itself"]);
    assert_eq!(with("x.png", "[\"plivo\", \"bandwidth\"]"), Vec::<String>::new());
    let long = format!("[[media]]\nfile = \"{}.png\"\nto = \"bandwidth\"", "x".repeat(950));
    let errors = errors(&long);
    assert!(errors.len() == 1 && errors[0].contains("longer than 900 bytes"), "{errors:?}");
}

#[test]
fn types_and_cache_control_are_checked() {
    let with = |key: &str| format!("[[media]]\nfile = \"a.png\"\nto = \"bandwidth\"\n{key}\n");
    for wrong in ["image", "Image/PNG", "text/plain; charset=utf-8", "a/b/c"] {
        check(&with(&format!("content_type = \"{wrong}\"")), &["+4:16 `content_type` is no media type"]);
    }
    assert_eq!(
        notes(&with("content_type = \"audio/amr\"")),
        ["+4:16 Bandwidth takes no audio/amr, so these entries will be blocked",]
    );
    for wrong in ["max-age=1\\nX: y", "ä"] {
        assert_eq!(errors(&with(&format!("cache_control = \"{wrong}\""))).len(), 1, "{wrong}");
    }
    assert_eq!(
        notes("[[media]]\nfile = \"a.png\"\nto = \"plivo\"\ncache_control = \"no-cache\""),
        ["+4:17 `cache_control` has no effect: Plivo stores none",]
    );
}

#[test]
fn exports_are_checked() {
    let export = |path: &str| format!("[[export]]\npath = \"{path}\"\nformat = \"json\"\n");
    for (path, problem) in [
        ("../urls.json", "`path` leaves root"),
        ("/tmp/urls.json", "`path` is absolute"),
        (".git/urls.json", "an export can't be under .git"),
        (".mediakeep/urls.json", "an export can't be in the state folder"),
        (".mediakeep-tmp-a", "an export can't be a temporary file of mediakeep"),
        ("media.toml", "an export would overwrite the manifest"),
    ] {
        check(&export(path), &[&format!("+2:8 {problem}")]);
    }
    check(&(export("urls.json") + &export("URLs.json")), &["+5:8 two exports to `URLs.json`"]);
    check(
        "[[export]]\npath = \"x\"\nformat = \"yaml\"",
        &["+3:10 `format` must be one of \"json\", \"env\", \"toml\""],
    );
    check("[[export]]\n", &["+1:1 [[export]] lacks its `path`", "+1:1 [[export]] lacks its `format`"]);
}

#[test]
fn a_config_takes_accounts_and_folders_out_of_the_manifest() {
    let manifest = "version = 1\n[[media]]\nfile = \"a.png\"\nto = \"plivo\"\n";
    let config = with_accounts("[sync]\nroot = \"/srv/media\"\nstate_dir = \"/var/lib/mediakeep\"\n");
    let parsed = read_both(manifest, &config);
    assert_eq!(parsed.errors(), 0, "{:?}", parsed.problems);
    assert!(parsed.manifest.is_some());

    let errors_of = |manifest: &str, config: &str| {
        let parsed = read_both(manifest, config);
        assert!(parsed.manifest.is_none());
        let source = |problem: &super::super::Problem| problem.labels.first().map(|label| label.source);
        let errors = parsed.problems.iter().filter(|problem| problem.severity == Severity::Error);
        errors.map(|problem| (source(problem), problem.message.clone())).collect::<Vec<_>>()
    };
    let manifest_too = format!("{manifest}[sync]\n[provider.x]\n[hook]\n");
    assert_eq!(
        errors_of(&manifest_too, &config),
        [
            (
                Some(SourceName::Manifest),
                "`sync` and `provider` can't stand in the manifest while a config is in use".to_owned()
            ),
            (Some(SourceName::Manifest), "[hook] can't stand in the manifest".to_owned()),
        ]
    );
    assert_eq!(
        errors_of(manifest, &format!("{config}[[media]]\n")),
        [(Some(SourceName::Config), "`media` can't stand in the config".to_owned()),]
    );
    assert_eq!(
        errors_of(manifest, "version = 1\n"),
        [(Some(SourceName::Manifest), "no provider is called `plivo`".to_owned()),]
    );
    assert_eq!(errors_of(manifest, "version = 1\n[provider.plivo\n").len(), 1);
}

#[test]
fn everything_is_reported_in_one_run() {
    let tables = "rate = 1\n[[media]]\nfile = \"../a\"\nto = \"nowhere\"\n[[media]]\nfiles = \"[\"\nto = \"plivo\"\nid = \"{x}\"\n";
    assert_eq!(
        errors(tables),
        [
            "+1:8 `rate` must be a number of requests in a time",
            "+3:8 `file` leaves root",
            "+4:6 no provider is called `nowhere`",
            "+6:9 bad pattern in `files`: unclosed character class; missing ']'",
            "+8:6 `id` has an unknown placeholder `{x}`",
        ]
    );
    let syntax = "version = 1\na = \nb = \"x\nc = 2 3\n";
    let lines: Vec<_> =
        read(syntax).problems.iter().filter_map(|p| p.labels.first()).map(|l| l.line).collect();
    assert_eq!(lines, [2, 3, 4]);
}

#[test]
fn broken_text_has_a_position_and_no_excerpt() {
    let parsed = read("version = 1\n<<<<<<< HEAD\n[sync]\n=======\n>>>>>>> x\n");
    assert_eq!(
        problems(&parsed, Severity::Error),
        [
            "2:1 a merge conflict that is not resolved",
            "4:1 a merge conflict that is not resolved",
            "5:1 a merge conflict that is not resolved",
        ]
    );
    assert!(parsed.problems.iter().flat_map(|problem| &problem.labels).all(|label| label.excerpt.is_none()));
    let parsed = read_sources(b"version = 1\n# \xff\n", None, None);
    assert_eq!(problems(&parsed, Severity::Error), ["2:3 not UTF-8 from here on"]);
    let garbage = "=\n".repeat(1000);
    let parsed = read(&garbage);
    assert_eq!(parsed.errors(), 51);
}

#[test]
fn columns_count_characters() {
    let parsed = read(&with_accounts("[[media]]\r\nfile = \"löwe-狮子.png\"\r\nto = \"plivo\"\r\n\tid = 1"));
    assert_eq!(problems(&parsed, Severity::Error), ["+4:7 `id` must be a string"]);
}

#[test]
fn ids_that_stay_are_noted_once() {
    let rule = |n: usize| format!("[[media]]\nfile = \"{n}.png\"\nto = \"bandwidth\"\nid = \"{n}.png\"\n");
    assert_eq!(
        notes(&rule(1)),
        ["+4:6 an `id` without a hash: the URL stays the same when the content changes",]
    );
    assert_eq!(
        notes(&(rule(1) + &rule(2) + &rule(3))),
        ["+4:6 3 rules have an `id` without a hash: the URL stays the same when the content changes",]
    );
    assert_eq!(
        notes("[[media]]\nfiles = \"*.png\"\nto = \"bandwidth\"\nid = \"x/{hash8}\""),
        Vec::<String>::new()
    );
    assert_eq!(notes("[[media]]\nfiles = \"a/*.png\"\nto = \"bandwidth\"\nid = \"{dir}/x\"").len(), 2);
}

#[test]
fn likely_slips_are_noted() {
    assert_eq!(
        notes("[[media]]\nfile = \"*.png\"\nto = \"plivo\""),
        ["+2:8 `file` names one file, and `*` and `?` are taken as they are",]
    );
    assert_eq!(
        notes("[[media]]\nfiles = \"greetings\"\nto = \"plivo\""),
        ["+2:9 `files` has no wildcard, so it matches one file at most",]
    );
}

#[test]
fn the_number_of_patterns_is_bounded() {
    let rule = "[[media]]\nfiles = \"*.png\"\nexclude = [\"a\"]\nto = \"plivo\"\n";
    check(&rule.repeat(500), &[]);
    assert_eq!(errors(&rule.repeat(503)).len(), 1);
}
