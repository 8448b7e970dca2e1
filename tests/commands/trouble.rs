//! A provider in trouble: a pass ends in bounded time with the right code, records what is wrong, and leaves what is
//! published. When the trouble is over, the next pass mends it.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Stage, bandwidth_at, file, files};

/// What an answer to all uploads comes to.
struct Case {
    provider: &'static str,
    action: Value,
    code: i32,
    kind: &'static str,
    says: &'static str,
    /// How often a pass asks at most.
    tries: u64,
}

fn case(
    provider: &'static str,
    action: Value,
    code: i32,
    kind: &'static str,
    says: &'static str,
    tries: u64,
) -> Case {
    Case { provider, action, code, kind, says, tries }
}

#[expect(clippy::needless_pass_by_value, reason = "each caller makes one")]
fn reply(status: u16, headers: Value) -> Value {
    json!({"reply": {"status": status, "headers": headers, "body": "{\"message\": \"so it is\"}"}})
}

/// Runs each case on a stage of its own, side by side.
fn each(cases: Vec<Case>) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || play(&case));
        }
    });
}

fn play(case: &Case) {
    let stage = Stage::new();
    let Case { provider, action, .. } = case;
    stage.write("logo.png", b"old");
    let account = if *provider == "plivo" { stage.plivo("") } else { stage.bandwidth("") };
    stage.manifest(&format!("{account}{}", file("logo.png", provider)));
    stage.run(["sync"]).exits(0);
    let old = stage.entry("logo.png", provider);

    stage.write("logo.png", b"new");
    stage.fault(json!({"count": null, "action": action}));
    let before = stage.requests();
    let run = stage.run(["sync"]);
    assert_eq!(run.code, Some(case.code), "{action}: {}", run.all());
    assert!(run.stdout.is_empty() && run.stderr.contains(case.says), "{action}: {}", run.all());
    let asked = stage.requests() - before;
    assert!((1..=case.tries).contains(&asked), "{action}: {asked} requests");
    let entry = stage.entry("logo.png", provider);
    for field in ["url", "id", "blake3", "expires_at"] {
        assert_eq!(entry[field], old[field], "{action}: {entry}");
    }
    assert_eq!(entry["problem"]["kind"], case.kind, "{action}: {entry}");
    assert!(entry["problem"]["attempts"].as_u64() >= Some(1), "{action}: {entry}");
    stage.run(["url", "logo.png"]).exits(0).prints(old["url"].as_str().unwrap());
    let status = if case.kind == "credentials-refused" { 7 } else { 0 };
    stage.run(["status"]).exits(status).prints(case.kind);
    stage.run(["plan", "--exit-code"]).exits(10).prints("upload");

    stage.control().clear_faults();
    stage.run(["sync"]).exits(0);
    let mended = stage.entry("logo.png", provider);
    assert_eq!(mended["problem"], Value::Null, "{action}");
    let sent = stage.control().send(mended["url"].as_str().unwrap()).unwrap();
    assert_eq!(sent.bytes, b"new"[..], "{action}");
    // The old handle stays known as long as it lives.
    assert_eq!(mended["previous"][0]["url"], old["url"], "{action}: {mended}");
}

#[test]
fn a_pass_gives_up_on_a_provider_that_is_down_and_says_so() {
    let stage = Stage::new();
    for number in 0..8 {
        stage.write(format!("{number}.png"), b"content");
    }
    // With so short a life a pause is short as well.
    let account = stage.bandwidth("retention = \"60s\"\n");
    stage.manifest(&format!("{account}{}", files("*.png", "bandwidth")));
    stage.fault(json!({"count": null, "action": reply(503, json!({}))}));
    let before = stage.requests();
    let run = stage.run(["sync"]);
    assert_eq!(run.code, Some(4), "{}", run.all());
    assert!(run.stderr.contains("gave up on bandwidth for this pass"), "{}", run.all());
    let asked = stage.requests() - before;
    assert!(asked <= 9, "five failures, what was under way, and a probe: {asked}");
}

#[test]
fn what_a_provider_refuses_is_not_asked_for_again_and_again() {
    each(vec![
        case("bandwidth", reply(400, json!({})), 4, "content-refused", "so it is", 1),
        case("bandwidth", reply(413, json!({})), 4, "content-refused", "413", 1),
        case("plivo", reply(415, json!({})), 4, "content-refused", "415", 1),
        case("bandwidth", reply(401, json!({})), 7, "credentials-refused", "check the credentials", 1),
        case("plivo", reply(401, json!({})), 7, "credentials-refused", "refused at plivo", 1),
        case("bandwidth", reply(403, json!({})), 7, "credentials-refused", "5500012", 1),
        case("bandwidth", reply(404, json!({})), 4, "address-unknown", "base_url", 1),
        case("plivo", reply(404, json!({})), 4, "address-unknown", "base_url", 1),
    ]);
}

#[test]
fn a_provider_that_is_down_gets_three_tries() {
    each(vec![
        case("bandwidth", reply(500, json!({})), 4, "unavailable", "500", 3),
        case("plivo", reply(503, json!({"Retry-After": "1"})), 4, "unavailable", "503", 3),
        case("bandwidth", json!("html"), 4, "unexpected", "page for browsers", 3),
        case("plivo", json!("html"), 4, "unexpected", "page for browsers", 3),
        case("bandwidth", json!({"empty": 200}), 4, "unexpected", "not a documented success", 3),
        case("plivo", json!({"empty": 200}), 4, "unexpected", "plivo", 3),
        case("plivo", json!("half_body"), 4, "ambiguous", "half way", 3),
        case("bandwidth", json!({"reset": "head"}), 4, "ambiguous", "lost Bandwidth", 6),
        case("plivo", json!({"reset": "request_body"}), 4, "ambiguous", "lost Plivo", 6),
    ]);
}

#[test]
fn a_provider_that_asks_to_wait_is_waited_for_only_where_that_is_soon() {
    each(vec![
        case("bandwidth", reply(429, json!({"Retry-After": "1"})), 4, "throttled", "429", 3),
        case("bandwidth", reply(429, json!({})), 4, "throttled", "429", 3),
        case("bandwidth", reply(429, json!({"Retry-After": "86400"})), 4, "throttled", "429", 1),
        case("plivo", reply(503, json!({"Retry-After": "86400"})), 4, "unavailable", "503", 1),
    ]);
}

#[test]
fn a_pause_that_ends_in_time_is_kept_and_the_pass_succeeds() {
    let stage = Stage::with_logo();
    stage.fault(json!({"count": 2, "action": reply(429, json!({"Retry-After": "1"}))}));
    stage.run(["sync"]).exits_without_data(0).says("1 uploaded").says("1 of 1 entry alive");
    assert_eq!(stage.requests(), 3);
    assert_eq!(stage.entry("logo.png", "bandwidth")["problem"], Value::Null);
}

#[test]
fn a_lost_reply_costs_one_more_upload_and_nothing_else() {
    let stage = Stage::with_logo();
    stage.fault(json!({"action": "lost_reply"}));
    stage.run(["sync"]).exits_without_data(0).says("1 failed attempt;").says("1 uploaded");
    assert_eq!(stage.control().media().len(), 1);
}

#[test]
fn a_provider_that_never_answers_is_given_up() {
    let stage = Stage::new();
    stage.write("logo.png", b"old");
    stage.manifest(&format!("{}{}", stage.bandwidth("retention = \"12s\""), file("logo.png", "bandwidth")));
    stage.run(["sync"]).exits(0);
    let url = stage.url("logo.png", "bandwidth");
    stage.write("logo.png", b"new");
    stage.fault(json!({"count": null, "action": "hang"}));
    stage.run(["sync"]).exits_without_data(4).says("did not answer within");
    let entry = stage.entry("logo.png", "bandwidth");
    assert_eq!(entry["problem"]["kind"], "ambiguous");
    // It may have lapsed meanwhile, where this machine is busy; it is never replaced by another one.
    assert!(entry["url"] == url || entry["url"].is_null(), "{entry}");
    stage.control().clear_faults();
    stage.run(["sync"]).exits(0).says("1 of 1 entry alive");
}

#[test]
fn a_provider_that_is_not_there_is_4() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    // A port that no other test is ever given.
    let account = bandwidth_at("http://127.0.0.1:1", "");
    stage.manifest(&format!("{account}{}", file("logo.png", "bandwidth")));
    stage.run(["sync"]).exits_without_data(4).says("cannot reach Bandwidth");
    assert_eq!(stage.entry("logo.png", "bandwidth")["problem"]["kind"], "unreachable");
    stage.run(["status"]).exits(4).prints("failing").prints("3 attempts");
}

/// A listener that counts the bytes which reach it.
fn bystander() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut bytes = [0; 64];
            let got = stream.and_then(|mut stream| stream.read(&mut bytes)).unwrap_or(0);
            // A connection alone is one too many.
            counter.fetch_add(got + 1, Ordering::SeqCst);
        }
    });
    (url, count)
}

#[test]
fn a_redirect_is_never_followed() {
    let (url, bytes) = bystander();
    let redirect = |provider: &'static str, status: u16| {
        let location = format!("{url}/users/5500012/media/logo.png");
        case(
            provider,
            reply(status, json!({"Location": location})),
            4,
            "unexpected",
            "redirects are never followed",
            3,
        )
    };
    each(vec![
        redirect("bandwidth", 301),
        redirect("plivo", 302),
        redirect("bandwidth", 307),
        redirect("bandwidth", 308),
        redirect("plivo", 303),
    ]);
    assert_eq!(bytes.load(Ordering::SeqCst), 0);
}

#[test]
fn one_provider_in_trouble_does_not_stop_another() {
    let stage = Stage::new();
    for number in 0..10 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    let both = files("*.png", "bandwidth").replace("\"bandwidth\"", "[\"bandwidth\", \"plivo\"]");
    stage.manifest(&[stage.bandwidth(""), stage.plivo("rate = \"1000/s\""), both].concat());
    stage.fault(json!({"provider": "bandwidth", "count": null, "action": reply(404, json!({}))}));
    stage.run(["sync"]).exits_without_data(4).says("10 of 20 entries alive");
    for number in 0..10 {
        stage.url(&format!("{number}.png"), "plivo");
    }
    stage.control().clear_faults();
    stage.fault(json!({"provider": "plivo", "count": null, "action": reply(401, json!({}))}));
    stage.run(["sync"]).exits_without_data(0).says("10 uploaded").says("20 of 20 entries alive");
}

#[test]
fn one_refused_file_does_not_stop_the_others() {
    let stage = Stage::new();
    for number in 0..10 {
        stage.write(format!("{number}.png"), format!("{number}"));
    }
    stage.manifest(&format!("{}{}", stage.bandwidth(""), files("*.png", "bandwidth")));
    stage.fault(json!({"count": null, "path": "/media/3-", "action": reply(415, json!({}))}));
    stage.run(["sync"]).exits_without_data(4).says("9 of 10 entries alive").says("415");
    assert_eq!(stage.control().media().len(), 9);
    stage.run(["url", "3.png"]).exits_without_data(4);
}

#[test]
fn a_plivo_answer_with_a_url_of_somebody_else_is_not_believed() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.manifest(&format!("{}{}", stage.plivo(""), file("logo.png", "plivo")));
    stage.control().change_switches(json!({"plivo": {"media_url_prefix": "https://evil.example"}})).unwrap();
    stage.run(["sync"]).exits_without_data(4);
    let entry = stage.entry("logo.png", "plivo");
    assert_eq!(entry["url"], Value::Null);
    stage.run(["url", "logo.png"]).exits_without_data(4);
}

#[test]
fn a_wall_clock_that_is_far_from_the_providers_is_told_and_changes_nothing() {
    let stage = Stage::with_logo();
    stage.run(["sync"]).exits(0).never_says("wall clock");
    stage.control().clock().advance(Duration::from_secs(600));
    stage.write("logo.png", b"changed");
    stage.run(["sync"]).exits(0).says("the wall clock is behind the provider's");
    stage.fault(json!({"count": null, "action": reply(503, json!({}))}));
    stage.write("logo.png", b"changed again");
    stage.run(["sync"]).exits(4).says("the wall clock is behind the provider's");
}
