//! What people see at 3 a.m.

use super::{PRINTED_MAX, records, render, summary};
use crate::domain::manifest::fixtures::{ACCOUNTS, read, read_both};

/// A manifest with two accounts and these tables.
fn with(tables: &str) -> String {
    format!("{ACCOUNTS}{tables}")
}

/// The problems of a manifest, but for the note about the state folder, which all of them have.
fn shown(text: impl AsRef<str>) -> String {
    let mut problems = read(text.as_ref()).problems;
    problems.retain(|problem| !problem.message.contains("git clean"));
    render(&problems, false)
}

#[test]
fn a_mistyped_key_shows_the_right_one() {
    insta::assert_snapshot!(shown(with("[[media]]\nfile = \"brand/logo.png\"\nto = \"bandwidth\"\ncontent-type = \"image/png\"\n")), @r#"
    error: unknown key `content-type` in [[media]]
      --> media.toml:14:1
       |
    14 | content-type = "image/png"
       | ^^^^^^^^^^^^ not a key of this table
       |
    help: did you mean this one?
       |
    14 - content-type = "image/png"
    14 + content_type = "image/png"
       |

    1 error
    "#);
}

#[test]
fn a_margin_that_is_not_kept_is_told_with_what_is_used_and_why() {
    let with_margin = |length: &str| {
        ACCOUNTS.replace("[provider.plivo]", &format!("[provider.plivo]\nmargin = \"{length}\""))
    };
    insta::assert_snapshot!(shown(with_margin("3h")), @r#"
    note: `margin` asks for 3h, and 2h 59m is used
     --> media.toml:8:10
      |
    8 | margin = "3h"
      |          ^^^^ a media's life is 5h 59m: its retention of 6h less a reserve for clocks
      |
      = help: that is the most, half of a media's life: with more, each would be uploaded more than twice in it; without a `margin` it is 2h 59m

    1 note
    "#);
    insta::assert_snapshot!(shown(with_margin("90s")), @r#"
    note: `margin` asks for 1m 30s, and 44m 52s is used
     --> media.toml:8:10
      |
    8 | margin = "90s"
      |          ^^^^^ a media's life is 5h 59m: its retention of 6h less a reserve for clocks
      |
      = help: that is the least, an eighth of a media's life: with less, a short outage would end URLs; without a `margin` it is 2h 59m

    1 note
    "#);
}

#[test]
fn a_key_in_the_wrong_table_is_sent_home() {
    insta::assert_snapshot!(shown(with("[[media]]\nfile = \"brand/logo.png\"\nto = \"bandwidth\"\nconcurrency = 8\n")), @r"
    error: unknown key `concurrency` in [[media]]
      --> media.toml:14:1
       |
    14 | concurrency = ***
       | ^^^^^^^^^^^ not a key of this table
       |
       = help: `concurrency` belongs in [provider.NAME]

    1 error
    ");
}

#[test]
fn a_literal_secret_is_masked_and_the_reference_is_shown() {
    insta::assert_snapshot!(shown(ACCOUNTS.replace("{ credential = \"bandwidth-secret\" }", "\"hunter2\"  # the old one was hunter1")), @r#"
    error: `client_secret` is a secret, and a secret never stands in a manifest or config
     --> media.toml:6:17
      |
    6 | client_secret = "***"
      |                 ^^^^^ the secret itself
      |
    help: say where it is to be found, by `env`, `credential` (of systemd) or `file`; one that was ever committed must also be changed at the provider
      |
    6 - client_secret = "***"
    6 + client_secret = { env = "BANDWIDTH_CLIENT_SECRET" }
      |

    1 error
    "#);
}

#[test]
fn a_provider_that_is_not_there_is_named() {
    insta::assert_snapshot!(shown(with("[[media]]\nfile = \"brand/logo.png\"\nto = [\"bandwith\", \"twilio\"]\n")), @r#"
    error: no provider is called `bandwith`
      --> media.toml:13:7
       |
    13 | to = ["bandwith", "twilio"]
       |       ^^^^^^^^^^ not known
       |
    help: did you mean this one?
       |
    13 | to = ["bandwidth", "twilio"]
       |              +

    error: no provider is called `twilio`
      --> media.toml:13:19
       |
    13 | to = ["bandwith", "twilio"]
       |                   ^^^^^^^^ not known
       |
       = help: add [provider.twilio], or name the file that has it by --config

    2 errors
    "#);
}

#[test]
fn an_unresolved_merge_has_its_lines() {
    insta::assert_snapshot!(shown("version = 1\n<<<<<<< HEAD\n[provider.plivo]\n=======\n[provider.bandwidth]\n>>>>>>> pictures\n"), @r"
    error: a merge conflict that is not resolved
    --> media.toml:2:1
     = help: the line is not shown, because it could hold a secret

    error: a merge conflict that is not resolved
    --> media.toml:4:1

    error: a merge conflict that is not resolved
    --> media.toml:6:1

    3 errors
    ");
}

#[test]
fn a_syntax_error_has_its_place_only() {
    insta::assert_snapshot!(shown("version = 1\n[provider.bandwidth]\npassword = \"hunter2\n"), @r#"
    error: not valid TOML: invalid basic string, expected `"`
    --> media.toml:3:20
     = help: the line is not shown, because it could hold a secret

    1 error
    "#);
}

#[test]
fn two_rules_for_one_entry_show_both() {
    insta::assert_snapshot!(shown(with("[[media]]\nfile = \"brand/logo.png\"\nto = \"bandwidth\"\n\n[[media]]\nfile = \"brand/logo.png\"\nto = [\"plivo\", \"bandwidth\"]\n")), @r#"
    error: `brand/logo.png` goes to `bandwidth` by two rules
      --> media.toml:16:8
       |
    16 | file = "brand/logo.png"
       |        ^^^^^^^^^^^^^^^^ here again
       |
      ::: media.toml:12:8
       |
    12 | file = "brand/logo.png"
       |        ---------------- first here
       |
       = help: remove one of them

    1 error
    "#);
}

#[test]
fn two_files_with_one_id_show_both() {
    insta::assert_snapshot!(shown(with("[[media]]\nfile = \"a.png\"\nto = \"bandwidth\"\nid = \"logo.png\"\n\n[[media]]\nfile = \"b.png\"\nto = \"bandwidth\"\nid = \"Logo.png\"\n")), @r#"
    error: two files have the ID `Logo.png` at `bandwidth`
      --> media.toml:19:6
       |
    19 | id = "Logo.png"
       |      ^^^^^^^^^^ here again
       |
      ::: media.toml:14:6
       |
    14 | id = "logo.png"
       |      ---------- first here
       |
       = help: give one of them another ID; letter case does not count

    note: 2 rules have an `id` without a hash: the URL stays the same when the content changes
      --> media.toml:14:6
       |
    14 | id = "logo.png"
       |      ^^^^^^^^^^
       |
       = help: Bandwidth may then send the old content; with {hash8} in the ID, new content has a new URL

    1 error, 1 note
    "#);
}

#[test]
fn a_path_that_leaves_root_is_refused() {
    insta::assert_snapshot!(shown(with("[[media]]\nfile = \"../secrets/key.pem\"\nto = \"plivo\"\n")), @r#"
    error: `file` leaves root
      --> media.toml:12:8
       |
    12 | file = "../secrets/key.pem"
       |        ^^^^^^^^^^^^^^^^^^^^
       |
       = help: `..` is not possible: only what lies below root is ours

    1 error
    "#);
}

#[test]
fn a_length_of_time_without_a_unit_gets_one() {
    insta::assert_snapshot!(shown(with("[sync]\nsettle = 5\nrescan = \"15 minuets\"\n")), @r#"
    error: `settle` must be a length of time
      --> media.toml:12:10
       |
    12 | settle = 5
       |          ^ a number
       |
    help: write it with its unit, in quotes
       |
    12 - settle = 5
    12 + settle = "5s"
       |

    error: `rescan` can't be used: not a length of time
      --> media.toml:13:10
       |
    13 | rescan = "15 minuets"
       |          ^^^^^^^^^^^^
       |
       = help: write it as 90s, 15m, 48h or 2 days

    2 errors
    "#);
}

#[test]
fn a_retention_that_is_too_long_says_what_is_documented() {
    insta::assert_snapshot!(shown(with("retention = \"48h\"\n")), @r#"
    error: `retention` is longer than Plivo keeps media
      --> media.toml:11:13
       |
    11 | retention = "48h"
       |             ^^^^^ Plivo documents 6h
       |
       = help: it may only shorten that: a longer life is not ours to promise

    1 error
    "#);
}

#[test]
fn a_bad_pattern_says_why() {
    insta::assert_snapshot!(shown(with("[[media]]\nfiles = \"greetings/[a-z/*.mp3\"\nto = \"plivo\"\n")), @r#"
    error: bad pattern in `files`: unclosed character class; missing ']'
      --> media.toml:12:9
       |
    12 | files = "greetings/[a-z/*.mp3"
       |         ^^^^^^^^^^^^^^^^^^^^^^

    1 error
    "#);
}

#[test]
fn an_id_with_a_slip_shows_the_placeholder() {
    insta::assert_snapshot!(shown(with("[[media]]\nfiles = \"*.png\"\nto = \"bandwidth\"\nid = \"{steam}-{hash8}.{ext}\"\n")), @r#"
    error: `id` has an unknown placeholder `{steam}`
      --> media.toml:14:6
       |
    14 | id = "{steam}-{hash8}.{ext}"
       |      ^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: did you mean `{stem}`?

    1 error
    "#);
}

#[test]
fn half_a_credential_says_what_is_missing() {
    insta::assert_snapshot!(shown("version = 1\n[provider.bandwidth]\nkind = \"bandwidth\"\naccount_id = \"5500012\"\nusername = \"api\"\n"), @r#"
    error: [provider.bandwidth] has `username` but no `password`
     --> media.toml:5:1
      |
    5 | username = "***"
      | ^^^^^^^^
      |
      = help: Bandwidth takes `username` and `password`, or `client_id` and `client_secret`

    note: Bandwidth has deprecated `username` with `password`
     --> media.toml:5:1
      |
    5 | username = "***"
      | ^^^^^^^^
      |
      = help: they work for now; OAuth2 client credentials (`client_id` and `client_secret`) will stay

    1 error, 1 note
    "#);
}

#[test]
fn an_empty_file_says_what_to_begin_with() {
    insta::assert_snapshot!(shown(""), @r"
    error: the version of the format is missing
    --> media.toml:1:1
     = help: put `version = 1` before the first table

    1 error
    ");
}

#[test]
fn a_secret_beside_a_mistake_keeps_the_column() {
    insta::assert_snapshot!(shown("version = 1\nprovider.b = { kind = \"plivo\", auth_token = \"hunter2\", rat = \"5/s\", auth_id = \"MA1\" }\n"), @r#"
    error: `auth_token` is a secret, and a secret never stands in a manifest or config
     --> media.toml:2:45
      |
    2 | provider.b = { kind = "plivo", auth_token = "***", rat = "5/s", auth_id = "***" }
      |                                             ^^^^^ the secret itself
      |
    help: say where it is to be found, by `env`, `credential` (of systemd) or `file`; one that was ever committed must also be changed at the provider
      |
    2 - provider.b = { kind = "plivo", auth_token = "***", rat = "5/s", auth_id = "***" }
    2 + provider.b = { kind = "plivo", auth_token = { env = "B_AUTH_TOKEN" }, rat = "5/s", auth_id = "***" }
      |

    error: unknown key `rat` in [provider.b]
     --> media.toml:2:56
      |
    2 | provider.b = { kind = "plivo", auth_token = "*******", rat = "5/s", auth_id = "***" }
      |                                                        ^^^ not a key of this table
      |
    help: did you mean this one?
      |
    2 | provider.b = { kind = "plivo", auth_token = "*******", rate = "5/s", auth_id = "***" }
      |                                                           +

    2 errors
    "#);
}

#[test]
fn notes_tell_without_refusing() {
    insta::assert_snapshot!(shown(with("[[media]]\nfile = \"brand/logo.png\"\nto = \"bandwidth\"\nid = \"logo.png\"\n")), @r#"
    note: an `id` without a hash: the URL stays the same when the content changes
      --> media.toml:14:6
       |
    14 | id = "logo.png"
       |      ^^^^^^^^^^
       |
       = help: Bandwidth may then send the old content; with {hash8} in the ID, new content has a new URL

    1 note
    "#);
}

#[test]
fn a_config_keeps_accounts_out_of_the_manifest() {
    let mut problems = read_both(&with("[[media]]\nfile = \"a.png\"\nto = \"plivo\"\n"), ACCOUNTS).problems;
    problems.retain(|problem| !problem.message.contains("git clean"));
    insta::assert_snapshot!(render(&problems, false), @r"
    error: `provider` can't stand in the manifest while a config is in use
     --> media.toml:2:2
      |
    2 | [provider.bandwidth]
      |  ^^^^^^^^ belongs in the config
      |
      = help: move all of it to mediakeep.toml; whoever may edit the media must not be able to send the account's credentials to another host, or to have other folders read or written

    1 error
    ");
}

#[test]
fn accounts_beside_a_config_without_any_are_one_mistake() {
    let config = "version = 1\n[serve]\nlisten = \"127.0.0.1:9464\"\n";
    let rules = "[[media]]\nfile = \"a.png\"\nto = [\"bandwidth\", \"plivo\"]\n[[media]]\nfile = \"b.png\"\nto = \"plivo\"\n";
    let errors = |manifest: &str| {
        let mut problems = read_both(manifest, config).problems;
        problems.retain(|problem| !problem.message.contains("git clean"));
        render(&problems, false)
    };
    insta::assert_snapshot!(errors(&with(&format!("[sync]\nrescan = \"5m\"\n{rules}"))), @"
    error: `provider` and `sync` can't stand in the manifest while a config is in use
      --> media.toml:2:2
       |
     2 | [provider.bandwidth]
       |  ^^^^^^^^ belongs in the config
       |
      ::: media.toml:11:2
       |
    11 | [sync]
       |  ---- belongs in the config
       |
       = help: move all of it to mediakeep.toml; whoever may edit the media must not be able to send the account's credentials to another host, or to have other folders read or written

    1 error
    ");
    insta::assert_snapshot!(errors(&format!("version = 1\n{rules}")), @r#"
    error: no provider is called `bandwidth`
     --> media.toml:4:7
      |
    4 | to = ["bandwidth", "plivo"]
      |       ^^^^^^^^^^^ not known
      |
      = help: where a config is named it holds the accounts, and mediakeep.toml has none: add [provider.bandwidth] to it

    1 error
    "#);
}

#[test]
fn colours_are_for_terminals() {
    let problems = read("version = 2").problems;
    assert!(render(&problems, true).contains('\u{1b}'));
    assert!(!render(&problems, false).contains('\u{1b}'));
}

#[test]
fn programs_get_file_line_and_column() {
    let problems = read("version = 1\n[sync]\nsettle = 5\nrots = \".\"\n").problems;
    let json = serde_json::to_string_pretty(&records(&problems)).unwrap();
    insta::assert_snapshot!(json, @r#"
    [
      {
        "file": "media.toml",
        "line": 3,
        "column": 10,
        "severity": "error",
        "message": "`settle` must be a length of time",
        "help": "write it with its unit, in quotes",
        "replacement": "\"5s\""
      },
      {
        "file": "media.toml",
        "line": 4,
        "column": 1,
        "severity": "error",
        "message": "unknown key `rots` in [sync]",
        "help": "its keys are root, state_dir, settle, rescan, keep_copies",
        "replacement": null
      },
      {
        "file": null,
        "line": null,
        "column": null,
        "severity": "note",
        "message": "`git clean -fdx` would delete the state folder /srv/media/.mediakeep",
        "help": "state_dir in [sync], or $STATE_DIRECTORY, can put it outside the watched folder",
        "replacement": null
      }
    ]
    "#);
}

#[test]
fn a_flood_is_cut_and_counted() {
    let problems = read(&with(&"[[media]]\n".repeat(1000))).problems;
    let text = render(&problems, false);
    assert_eq!(text.matches("\nerror: ").count() + 1, PRINTED_MAX);
    assert_eq!(summary(&problems).as_deref(), Some("2000 errors, 1 note; the first 100 are shown"));
    assert_eq!(records(&problems).len(), 2001);
    assert_eq!(summary(&[]), None);
}

#[test]
fn nothing_in_a_text_acts_on_the_terminal() {
    let text = "version = 1\n\"\\u001b[2J\\u202e\" = 1\n[[media]]\nfile = \"\u{202e}gnp.\u{200b}a\"\nto = \"\u{202e}x\"\n";
    let problems = read(text).problems;
    let printed = render(&problems, false) + &serde_json::to_string(&records(&problems)).unwrap();
    assert!(
        !printed
            .chars()
            .any(|c| c.is_control() && c != '\n'
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')),
        "{printed:?}"
    );
}
