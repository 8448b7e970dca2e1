//! Credentials that are missing, wrong, or replaced.

use std::time::Duration;

use crate::stage::{LIFE, PASSWORD, Stage, file, pause, put};

/// The accounts with Plivo's token in a file.
fn with_token_file(stage: &Stage) -> String {
    let token = format!("auth_token = {{ file = \"{}\" }}", stage.beside("token").display());
    stage.accounts().replace("auth_token = { env = \"PLIVO_AUTH_TOKEN\" }", &token)
}

/// It blocks its provider alone, until it is there; and one that goes away again leaves what was read before.
pub(crate) fn a_credential_is_missing_and_comes_late() {
    let stage = Stage::new();
    stage.put("media.toml", &(with_token_file(&stage) + &file("logo.png")));
    stage.put("logo.png", "logo");
    let mut daemon = stage.run();
    stage.until_content("logo.png", "bandwidth", "logo");
    daemon.until_says("the account cannot be used");
    assert_eq!(stage.url("logo.png", "plivo"), None);
    put(&stage.beside("token"), PASSWORD);
    stage.until_content("logo.png", "plivo", "logo");
    assert_eq!(daemon.count("the account cannot be used"), 1, "{}", daemon.said());

    // Whoever replaces it takes it away for a moment, and a reload may come right then.
    std::fs::remove_file(stage.beside("token")).unwrap();
    daemon.signal("HUP");
    daemon.until_says("those that were read before stay in use");
    pause(LIFE);
    assert_eq!(stage.content("logo.png", "plivo").as_deref(), Some("logo"));
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_credential_that_is_replaced_after_a_refusal_is_picked_up_without_a_restart() {
    let stage = Stage::new();
    stage.put("media.toml", &(with_token_file(&stage) + &file("logo.png")));
    stage.put("logo.png", "logo");
    put(&stage.beside("token"), "yesterdays-token");
    let mut daemon = stage.run();
    daemon.until_says("credentials-refused");
    stage.until_content("logo.png", "bandwidth", "logo");
    pause(Duration::from_secs(2));
    let refused = stage.control().requests().iter().filter(|request| request.status == Some(401)).count();
    assert!((1..8).contains(&refused), "a few probes and no flood: {refused}");
    put(&stage.beside("token"), PASSWORD);
    stage.until_content("logo.png", "plivo", "logo");
    daemon.until_says("the account answers again");
    assert!(!stage.log().contains("yesterdays-token"), "{}", stage.log());
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_reload_reads_a_replaced_credential() {
    let stage = Stage::with_life(Duration::from_secs(3600));
    stage.put("media.toml", &(with_token_file(&stage) + &file("logo.png")));
    stage.put("logo.png", "logo");
    put(&stage.beside("token"), "yesterdays-token");
    let mut daemon = stage.run();
    daemon.until_says("credentials-refused");
    put(&stage.beside("token"), PASSWORD);
    // The next probe would come in a minute or more.
    daemon.signal("HUP");
    stage.until_content("logo.png", "plivo", "logo");
    daemon.stop();
    stage.nobody_was_let_down();
}
