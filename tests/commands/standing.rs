//! What can be asked while something is wrong: `status` and `url` answer from what is recorded, and say what is amiss.

use std::path::Path;

use crate::stage::{Stage, assert_unchanged, write};

#[test]
fn status_and_url_go_by_the_last_manifest_that_worked() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    for broken in ["<<<<<<< HEAD\nversion = 1\n", "version = 2\n", ""] {
        stage.write("media.toml", broken);
        let before = stage.listing();
        let run = stage.run(["status"]).exits(0).prints(&url).prints("alive").prints("in 1");
        run.says("media.toml cannot be used").says("mediakeep check").says("the last one that worked");
        let run = stage.run(["status", "--json"]).exits(0);
        assert_eq!(run.entry("logo.png", "bandwidth")["state"], "alive");
        let run = stage.run(["url", "logo.png"]).exits(0).says("the last one that worked");
        assert_eq!(run.stdout, format!("{url}\n"));
        stage.run(["url", "logo.png", "--provider", "plivo"]).exits_without_data(2).says("it has bandwidth");
        assert_unchanged(&before, &stage.listing());
    }
    stage.remove("media.toml");
    stage.run(["url", "logo.png"]).exits(0);
}

#[test]
fn where_the_last_manifest_may_not_be_read_the_state_answers_by_itself() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    std::fs::remove_file(stage.path(".mediakeep/last-good/last-good.json")).unwrap();
    stage.write("media.toml", "version = 2\n");
    stage.run(["status"]).exits(0).prints(&url).says("what the state file says by itself");
    for arguments in [&["url", "logo.png"][..], &["url", "logo.png", "--provider", "bandwidth"]] {
        assert_eq!(stage.run(arguments).exits(0).stdout, format!("{url}\n"));
    }
    stage.run(["url", "logo.png", "--provider", "plivo"]).exits_without_data(4);
    // Where nothing is recorded either, what is wrong with the manifest is the answer.
    std::fs::remove_dir_all(stage.path(".mediakeep")).unwrap();
    stage.run(["status"]).exits_without_data(3).says("media.toml:1");
}

#[test]
fn a_state_that_lies_in_the_folder_is_not_believed_where_the_config_names_another_one() {
    let stage = Stage::with_logo_published();
    let config = |state_dir: &Path| {
        format!("version = 1\n[sync]\nroot = \"media\"\nstate_dir = \"{}\"\n", state_dir.display())
    };
    std::fs::remove_file(stage.path(".mediakeep/last-good/last-good.json")).unwrap();
    write(&stage.above.path().join("config.toml"), config(&stage.above.path().join("elsewhere")));
    stage.write("media.toml", "broken");
    stage.run(["url", "logo.png", "--config", "../config.toml"]).exits_without_data(3);
}
