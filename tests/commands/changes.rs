//! What happens to what is published when a file, its rule or its account changes, or its time runs out.

use std::time::Duration;

use mediakeep::domain::time::Timestamp;
use mediakeep::local::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::stage::{ACCOUNT, PASSWORD, Run, Stage, file, files, rename};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    SystemClock::new().now().wall.floor_to_second()
}

/// Makes it long ago that an entry was uploaded, so that so much of its life is left.
fn left(stage: &Stage, file: &str, provider: &str, left: Duration) {
    stage.edit_state(|state| {
        let entry = &mut state["media"][file][provider];
        entry["uploaded_at"] = json!((now() + left).saturating_minus(48 * HOUR));
        entry["expires_at"] = json!(now() + left);
    });
}

trait Minus {
    fn saturating_minus(self, length: Duration) -> Self;
}

impl Minus for Timestamp {
    fn saturating_minus(self, length: Duration) -> Self {
        self - length
    }
}

#[test]
fn new_content_gets_a_new_url_and_the_old_one_is_remembered() {
    let stage = Stage::with_logo_published();
    let old = stage.entry("logo.png", "bandwidth");
    stage.write("logo.png", b"another logo");
    stage.run(["plan"]).exits(0).prints("upload  logo.png  bandwidth  12 B").prints("changed");
    stage.run(["sync"]).exits(0).says("1 uploaded");
    let new = stage.entry("logo.png", "bandwidth");
    assert_ne!(new["url"], old["url"]);
    let previous = &new["previous"][0];
    for field in ["id", "url", "scope", "blake3", "expires_at"] {
        assert_eq!(previous[field], old[field]);
    }
    assert!(stage.control().send(old["url"].as_str().unwrap()).is_some());
}

#[test]
fn an_older_url_leaves_the_state_when_it_has_ended() {
    let stage = Stage::with_logo_published();
    stage.write("logo.png", b"another logo");
    stage.run(["sync"]).exits(0);
    stage.edit_state(|state| {
        state["media"]["logo.png"]["bandwidth"]["previous"][0]["expires_at"] = json!(now());
    });
    stage.run(["sync"]).exits(0);
    assert_eq!(stage.entry("logo.png", "bandwidth")["previous"], json!([]));
}

#[test]
fn a_file_that_was_only_touched_or_written_again_alike_is_not_uploaded() {
    let stage = Stage::with_logo_published();
    let requests = stage.requests();
    stage.write("logo.png", b"logo");
    rename(&stage.path("logo.png"), &stage.path("x.png"));
    std::fs::copy(stage.path("x.png"), stage.path("logo.png")).unwrap();
    stage.run(["plan"]).exits_without_data(0);
    stage.run(["sync"]).exits(0).says("0 uploaded");
    assert_eq!(stage.requests(), requests);
}

#[test]
fn a_new_type_cache_control_or_id_is_uploaded_again() {
    let stage = Stage::with_logo_published();
    let manifest = stage.read("media.toml");
    let with = |line: &str| stage.write("media.toml", format!("{manifest}{line}\n"));
    let first = stage.entry("logo.png", "bandwidth");

    with("content_type = \"image/gif\"");
    stage.run(["plan"]).exits(0).prints("type changed");
    stage.run(["sync"]).exits(0).says("1 uploaded");
    let typed = stage.entry("logo.png", "bandwidth");
    assert_eq!((&typed["content_type"], &typed["url"]), (&json!("image/gif"), &first["url"]));
    assert_eq!(typed["previous"], json!([]), "the URL is the same one");

    with("cache_control = \"max-age=60\"");
    stage.run(["sync"]).exits(0).says("1 uploaded");
    assert_eq!(stage.entry("logo.png", "bandwidth")["cache_control"], "max-age=60");
    let sent = stage.control().requests().pop().unwrap();
    assert!(sent.headers.contains(&("cache-control".to_owned(), "max-age=60".to_owned())), "{sent:?}");

    with("id = \"brand/logo.png\"");
    stage.run(["plan"]).exits(0).prints("id changed");
    stage.run(["sync"]).exits(0).says("1 uploaded");
    let named = stage.entry("logo.png", "bandwidth");
    assert_eq!(named["id"], "brand/logo.png");
    assert!(named["url"].as_str().unwrap().ends_with("/media/brand/logo.png"), "{named}");
    stage.run(["sync"]).exits(0).says("0 uploaded");
}

#[test]
fn after_a_change_of_account_the_old_url_stays_until_the_new_one_is_there() {
    let stage = Stage::with_logo_published();
    let old = stage.entry("logo.png", "bandwidth");
    stage.write("media.toml", stage.read("media.toml").replace(ACCOUNT, "7700099"));
    stage.fault(json!({"count": null, "action": {"empty": 503}}));
    stage.run(["plan"]).exits(0).prints("account changed");
    stage.run(["sync"]).exits(4);
    let kept = stage.entry("logo.png", "bandwidth");
    assert_eq!((&kept["url"], &kept["scope"]), (&old["url"], &json!(ACCOUNT)));
    stage.control().clear_faults();
    stage.run(["sync"]).exits(0).says("1 uploaded");
    let moved = stage.entry("logo.png", "bandwidth");
    assert_eq!((&moved["scope"], &moved["previous"][0]["scope"]), (&json!("7700099"), &json!(ACCOUNT)));
}

#[test]
fn a_named_file_that_was_deleted_is_kept_alive_and_renewed_from_its_copy() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    stage.write("readme", b"an empty folder would be another matter");
    stage.remove("logo.png");
    stage.run(["plan"]).exits(0).prints("keep alive").prints("source missing, kept alive");
    stage.run(["sync"]).exits_without_data(0).says("1 of 1 entry alive");
    stage.run(["status"]).exits(0).prints("kept alive").prints("missing: no such file");
    left(&stage, "logo.png", "bandwidth", HOUR);
    stage.run(["plan", "--exit-code"]).exits(10).prints("renew").prints("kept alive");
    stage.run(["sync"]).exits_without_data(0).says("1 renewed");
    assert_eq!(stage.url("logo.png", "bandwidth"), url);
    assert_eq!(stage.control().send(&url).unwrap().bytes, b"logo"[..]);
    let expires_at: Timestamp =
        stage.entry("logo.png", "bandwidth")["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expires_at > now() + 40 * HOUR);
}

#[test]
fn without_file_and_copy_a_renewal_says_what_is_lost_and_the_url_stays_till_its_end() {
    let stage = Stage::with_logo_published();
    let text = stage.read("media.toml").replace("settle", "keep_copies = false\nsettle");
    stage.write("media.toml", text);
    stage.write("readme", b"an empty folder would be another matter");
    stage.remove("logo.png");
    std::fs::remove_dir_all(stage.path(".mediakeep/kept")).unwrap();
    left(&stage, "logo.png", "bandwidth", HOUR);
    let requests = stage.requests();
    stage.run(["sync"]).says("the bytes are nowhere").exits(0);
    assert_eq!(stage.entry("logo.png", "bandwidth")["problem"]["kind"], "source-lost");
    stage.run(["url", "logo.png"]).exits(0);
    assert_eq!(stage.requests(), requests);
    left(&stage, "logo.png", "bandwidth", Duration::ZERO);
    stage.run(["sync"]).exits(4);
    stage.run(["url", "logo.png"]).exits_without_data(4);
}

#[test]
fn what_has_lapsed_is_told_and_uploaded_again() {
    let stage = Stage::with_logo_published();
    left(&stage, "logo.png", "bandwidth", Duration::ZERO);
    stage.run(["url", "logo.png"]).exits_without_data(4).says("no live URL");
    stage.run(["status"]).exits(4).prints("lapsed");
    stage.run(["plan"]).exits(0).prints("lapsed");
    stage.run(["sync"]).exits_without_data(0).says("1 of 1 entry alive");
    stage.run(["url", "logo.png"]).exits(0);
}

#[test]
fn what_ends_soon_is_at_risk_until_it_is_renewed() {
    let stage = Stage::with_logo_published();
    left(&stage, "logo.png", "bandwidth", HOUR);
    stage.run(["status"]).exits(0).prints("at risk");
    stage.fault(json!({"count": null, "action": {"empty": 500}}));
    stage.run(["sync"]).exits(0).says("at risk: the published URL ends soon");
    stage.control().clear_faults();
    stage.run(["sync"]).exits(0).says("1 renewed");
    let entry = stage.run(["status", "--json"]).exits(0).entry("logo.png", "bandwidth");
    assert_eq!(entry["state"], "alive");
}

#[test]
fn a_renewal_at_plivo_has_a_new_url_and_the_old_one_is_remembered() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.manifest(&format!("{}{}", stage.plivo(""), file("logo.png", "plivo")));
    stage.run(["sync"]).exits(0);
    let old = stage.url("logo.png", "plivo");
    stage.edit_state(|state| {
        let entry = &mut state["media"]["logo.png"]["plivo"];
        entry["uploaded_at"] = json!(now() - 5 * HOUR);
        entry["expires_at"] = json!(now() + HOUR);
    });
    stage.run(["sync"]).exits(0).says("1 renewed");
    let entry = stage.entry("logo.png", "plivo");
    assert_ne!(entry["url"], old);
    assert_eq!(entry["previous"][0]["url"], old);
}

#[test]
fn an_upload_from_the_future_is_renewed_at_once() {
    let stage = Stage::with_logo_published();
    stage.edit_state(|state| {
        let entry = &mut state["media"]["logo.png"]["bandwidth"];
        entry["uploaded_at"] = json!(now() + 100 * HOUR);
        entry["expires_at"] = json!(now() + 148 * HOUR);
    });
    stage.run(["plan", "--exit-code"]).exits(10).prints("renew");
    stage.run(["sync"]).exits(0).says("1 renewed");
    stage.run(["plan", "--exit-code"]).exits_without_data(0);
}

#[test]
fn an_entry_that_left_the_manifest_is_retired_and_comes_back_without_an_upload() {
    let stage = Stage::with_logo();
    stage.write("other.png", b"other");
    let (logo, other) = (file("logo.png", "bandwidth"), file("other.png", "bandwidth"));
    let both = [stage.bandwidth(""), logo.clone(), other].concat();
    stage.manifest(&both);
    stage.run(["sync"]).exits(0);
    let url = stage.url("other.png", "bandwidth");
    stage.manifest(&[stage.bandwidth(""), logo].concat());
    stage.run(["plan"]).exits(0).prints("retire").prints("no longer in the manifest");
    stage.run(["sync"]).exits_without_data(0).says("retired").says("1 of 1 entry alive");
    let entry = stage.entry("other.png", "bandwidth");
    assert!(entry["retired_at"].is_string() && entry["url"] == url, "{entry}");
    stage.run(["status"]).exits(0).prints("retired");
    stage.run(["url", "other.png"]).exits(0).prints(&url);
    // Nothing is deleted at the provider, and nothing is renewed either.
    left(&stage, "other.png", "bandwidth", HOUR);
    let requests = stage.requests();
    stage.run(["sync"]).exits(0);
    assert!(stage.control().send(&url).is_some());
    assert_eq!(stage.requests(), requests);
    stage.manifest(&both);
    stage.run(["sync"]).exits(0).says("1 renewed");
    assert_eq!(stage.entry("other.png", "bandwidth")["retired_at"], Value::Null);
    // Retired, it leaves the state when it has ended.
    stage.manifest(&[stage.bandwidth(""), file("logo.png", "bandwidth")].concat());
    stage.run(["sync"]).exits(0);
    left(&stage, "other.png", "bandwidth", Duration::ZERO);
    stage.run(["sync"]).exits(0);
    assert_eq!(stage.state()["media"]["other.png"], Value::Null);
}

#[test]
fn a_provider_that_left_the_manifest_takes_its_entries_with_it_and_no_others() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    let both = file("logo.png", "x").replace("\"x\"", "[\"bandwidth\", \"plivo\"]");
    stage.manifest(&[stage.bandwidth(""), stage.plivo(""), both].concat());
    stage.run(["sync"]).exits(0);
    stage.manifest(&[stage.bandwidth(""), file("logo.png", "bandwidth")].concat());
    stage.run(["sync"]).exits_without_data(0).says("1 of 1 entry alive");
    assert!(stage.entry("logo.png", "plivo")["retired_at"].is_string());
    assert!(stage.entry("logo.png", "bandwidth")["retired_at"].is_null());
}

#[test]
fn files_that_move_keep_their_old_urls_for_a_while_and_are_no_mass_deletion() {
    let stage = Stage::new();
    for number in 0..20 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("**/*.png", "bandwidth")));
    stage.run(["sync"]).exits(0);
    std::fs::create_dir(stage.path("new")).unwrap();
    for number in 0..20 {
        rename(&stage.path(format!("{number}.png")), &stage.path(format!("new/{number}.png")));
    }
    stage.run(["sync"]).exits_without_data(0).says("20 uploaded").says("40 of 40 entries alive");
    stage.url("new/7.png", "bandwidth");
    let gone = stage.entry("7.png", "bandwidth");
    assert!(
        gone["url"].is_string() && gone["missing_since"].is_string() && gone["retired_at"].is_null(),
        "{gone}"
    );
    long_missing(&stage);
    stage.run(["sync"]).exits_without_data(0).says("20 of 20 entries alive");
    assert!(stage.entry("7.png", "bandwidth")["retired_at"].is_string());
}

/// Makes it long ago that files went missing.
fn long_missing(stage: &Stage) {
    stage.edit_state(|state| {
        for entry in state["media"].as_object_mut().unwrap().values_mut() {
            for record in entry.as_object_mut().unwrap().values_mut() {
                if record["missing_since"].is_string() {
                    record["missing_since"] = json!(now() - HOUR);
                }
            }
        }
    });
}

#[test]
fn a_removal_counts_after_a_minute_and_a_file_that_returns_is_as_if_it_had_stayed() {
    let stage = Stage::new();
    for name in ["a.png", "b.png", "c.png"] {
        stage.write(name, name);
    }
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    stage.run(["sync"]).exits(0);
    let requests = stage.requests();
    stage.remove("c.png");
    stage.run(["sync"]).exits_without_data(0).says("3 of 3 entries alive");
    stage.run(["sync"]).exits(0);
    assert!(stage.entry("c.png", "bandwidth")["retired_at"].is_null());
    long_missing(&stage);
    stage.run(["sync"]).exits(0).says("retired");
    assert!(stage.entry("c.png", "bandwidth")["retired_at"].is_string());
    stage.write("c.png", "c.png");
    stage.run(["sync"]).exits(0).says("3 of 3 entries alive");
    let entry = stage.entry("c.png", "bandwidth");
    assert!(entry["retired_at"].is_null() && entry["missing_since"].is_null(), "{entry}");
    assert_eq!(stage.requests(), requests);
}

#[test]
fn a_file_that_was_written_a_moment_ago_is_waited_for() {
    let stage = Stage::with_logo();
    stage.write("media.toml", stage.read("media.toml").replace("settle = \"0s\"", ""));
    // Its times say now, so no other file is looked at any later.
    stage.write("logo.png", b"written right now");
    stage.run(["plan"]).exits(0).prints("wait").prints("changed a moment ago");
    stage.run(["sync"]).exits_without_data(0).says("1 uploaded");
}

#[test]
fn nothing_new_is_read_while_git_works_in_the_folder_and_renewals_go_on() {
    let stage = Stage::with_logo_published();
    stage.write(".git/index.lock", b"");
    stage.write("logo.png", b"half of a checkout");
    left(&stage, "logo.png", "bandwidth", HOUR);
    stage.run(["plan"]).exits(0).prints("renew");
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| stage.run(["sync"]));
        // The renewal does not wait for the lock; the new content does.
        let url = stage.url("logo.png", "bandwidth");
        while stage.control().requests().len() < 2 {
            assert!(!sync.is_finished(), "the renewal did not happen");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(stage.control().send(&url).unwrap().bytes, b"logo"[..]);
        stage.remove(".git/index.lock");
        sync.join().unwrap().exits(0).says("1 uploaded, 1 renewed");
    });
    let url = stage.url("logo.png", "bandwidth");
    assert_eq!(stage.control().send(&url).unwrap().bytes, b"half of a checkout"[..]);
}

#[test]
fn content_that_became_unusable_is_kept_alive_as_it_was() {
    let stage = Stage::with_logo_published();
    let url = stage.url("logo.png", "bandwidth");
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1\n", "ab".repeat(32));
    for (content, kind) in
        [(vec![0; 3_500_001], "too-large"), (pointer.into_bytes(), "lfs-pointer"), (vec![], "empty")]
    {
        stage.write("logo.png", content);
        left(&stage, "logo.png", "bandwidth", HOUR);
        stage.run(["sync"]).exits_without_data(4).says("kept_alive=true").says("1 renewed");
        let entry = stage.entry("logo.png", "bandwidth");
        assert_eq!((&entry["url"], &entry["problem"]["kind"]), (&json!(url), &json!(kind)));
        assert_eq!(stage.control().send(&url).unwrap().bytes, b"logo"[..]);
    }
    stage.write("logo.png", b"logo");
    stage.run(["sync"]).exits(0).says("mended");
    assert_eq!(stage.entry("logo.png", "bandwidth")["problem"], Value::Null);
}

#[test]
fn a_rotated_password_is_used_by_the_next_pass() {
    let stage = Stage::with_logo();
    crate::stage::write(&stage.above.path().join("secret"), "old password");
    let text = stage.read("media.toml").replace("{ env = \"PASSWORD\" }", "{ file = \"../secret\" }");
    stage.write("media.toml", text);
    stage.run(["sync"]).exits(7);
    crate::stage::write(&stage.above.path().join("secret"), PASSWORD);
    Run::of(stage.command().env_remove("PASSWORD").arg("sync")).exits(0);
}
