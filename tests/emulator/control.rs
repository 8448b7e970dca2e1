//! The control API and the handle.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{AUTH_ID, HOUR, PASSWORD, START_MS, Stage, options};
use mediakeep::emulator::{Emulator, ProviderKind};

#[tokio::test]
async fn the_clock_is_read_and_moved() {
    let stage = Stage::start().await;
    let at = |text: &str, ahead: &str| (200, json!({"now": text, "ahead": ahead}));
    assert_eq!(stage.control(Method::GET, "clock", "").await, at("2026-11-21T16:00:00Z", "0s"));
    assert_eq!(
        stage.control(Method::POST, "clock", r#"{"advance": "1h"}"#).await,
        at("2026-11-21T17:00:00Z", "3600s")
    );
    assert_eq!(
        stage.control(Method::POST, "clock", r#"{"advance": 60}"#).await,
        at("2026-11-21T17:01:00Z", "3660s")
    );
    assert_eq!(stage.emulator.clock().now().unix_ms(), START_MS + 3_660_000);
}

#[tokio::test]
async fn the_front_door_lists_every_part_and_each_of_them_is_there() {
    let stage = Stage::start().await;
    let (status, index) = stage.control(Method::GET, "", "").await;
    assert_eq!(status, 200);
    for part in index["control"].as_array().unwrap() {
        let (method, path) = part["request"].as_str().unwrap().split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let path = path.strip_prefix("/_emulator/").unwrap();
        let (status, _) = stage.control(method, path, "").await;
        assert!(![404, 405].contains(&status), "{part}: {status}");
    }
    let (status, answer) = stage.control(Method::GET, "nonsense", "").await;
    assert!(status == 404 && answer["error"].as_str().unwrap().contains("GET /_emulator/"), "{answer}");
}

#[tokio::test]
async fn mistakes_are_explained_and_change_nothing() {
    let stage = Stage::start().await;
    for (method, path, body) in [
        (Method::POST, "clock", "{}"),
        (Method::POST, "clock", r#"{"advance": "-1h"}"#),
        (Method::POST, "clock", r#"{"advance": "1h", "twice": true}"#),
        (Method::POST, "clock", "not json"),
        (Method::POST, "switches", r#"{"bandwidth": {"strict": true}}"#),
        (Method::POST, "switches", r#"{"bandwidth": {"page_size": 5}, "plivo": {"upload_status": 99}}"#),
        (Method::POST, "faults", r#"{"acton": "hang"}"#),
        (Method::POST, "faults", r#"[{"action": "hang"}, {"action": {"empty": 1}}]"#),
        (Method::POST, "faults", r#"{"action": {"reply": {"status": 200, "text": ""}}}"#),
        (Method::POST, "media", r#"{"account": "1"}"#),
        (Method::DELETE, "media", r#"{"provider": "twilio", "account": "1", "id": "x"}"#),
        (Method::POST, "send", r#"{"media": "x"}"#),
    ] {
        let (status, reply) = stage.control(method.clone(), path, body).await;
        assert_eq!(status, 400, "{method} {path} {body}");
        assert!(reply["error"].as_str().unwrap().starts_with("cannot "), "{reply}");
    }
    let control = stage.emulator.control();
    assert!(control.faults().is_empty() && control.clock().ahead().is_zero());
    assert_eq!(control.switches(), mediakeep::emulator::Switches::default());
    let lose = r#"{"provider": "plivo", "account": "1", "id": "x"}"#;
    for (method, path, body, status) in [
        (Method::GET, "nothing", "", 404),
        (Method::PUT, "clock", "", 405),
        (Method::DELETE, "media", lose, 404),
    ] {
        let (found, reply) = stage.control(method, path, body).await;
        assert!(found == status && reply["error"].is_string(), "{path} {found} {reply}");
    }
}

#[tokio::test]
async fn requests_are_logged_without_secrets_and_counted() {
    let stage = Stage::start().await;
    let url = format!("{}?x=1", stage.media_url("logo.png"));
    let request = stage.http.put(url).basic_auth("bwuser", Some(PASSWORD)).header("cookie", "secret=1");
    request.header("content-type", "image/png").body("abc").send().await.unwrap();
    stage.http.get(format!("http://{}/favicon.ico", stage.emulator.addr())).send().await.unwrap();
    let (_, log) = stage.control(Method::GET, "requests", "").await;
    assert_eq!(log["total"], 2);
    let put = &log["requests"][0];
    for (field, value) in [
        ("number", json!(1)),
        ("at", json!("2026-11-21T16:00:00Z")),
        ("provider", json!("bandwidth")),
        ("method", json!("PUT")),
        ("path", json!("/api/v2/users/9900000/media/logo.png?x=1")),
        ("body_length", json!(3)),
        ("blake3", json!(blake3::hash(b"abc").to_hex().as_str())),
        ("status", json!(204)),
        ("fault", json!(null)),
    ] {
        assert_eq!(put[field], value, "{field}");
    }
    assert!(put["headers"].as_array().unwrap().contains(&json!(["authorization", "(hidden)"])));
    assert!(put["headers"].as_array().unwrap().contains(&json!(["content-type", "image/png"])));
    let text = log.to_string();
    assert!(!text.contains("YndxZ") && !text.contains("secret=1") && !text.contains(PASSWORD), "{text}");
    assert_eq!((&log["requests"][1]["provider"], &log["requests"][1]["status"]), (&json!(null), &json!(404)));
    assert_eq!(
        stage.control(Method::DELETE, "requests", "").await,
        (200, json!({"total": 2, "requests": []}))
    );
    stage.get("logo.png").await;
    assert_eq!(stage.emulator.control().requests()[0].number, 3);
}

#[tokio::test]
async fn the_log_keeps_the_last_requests_only() {
    let (mut options, _) = options();
    options.log_capacity = 2;
    let emulator = Emulator::start(options).await.unwrap();
    let client = crate::support::client();
    for path in ["a", "b", "c"] {
        client.get(format!("http://{}/{path}", emulator.addr())).send().await.unwrap();
    }
    let control = emulator.control();
    let paths: Vec<String> = control.requests().into_iter().map(|request| request.path).collect();
    assert_eq!((control.requests_total(), paths), (3, vec!["/b".to_owned(), "/c".to_owned()]));
}

#[tokio::test]
async fn what_is_stored_is_listed_alive_or_dead() {
    let stage = Stage::start().await;
    stage.put("a/logo.png", b"abc").await;
    let id = stage.post_file("photo.png", b"de").await["media_id"].as_str().unwrap().to_owned();
    stage.advance(6 * HOUR);
    let (_, body) = stage.control(Method::GET, "media", "").await;
    let [bandwidth, plivo] = [&body["media"][0], &body["media"][1]];
    for (record, field, value) in [
        (bandwidth, "provider", json!("bandwidth")),
        (bandwidth, "account", json!("9900000")),
        (bandwidth, "id", json!("a/logo.png")),
        (bandwidth, "url", json!(stage.media_url("a/logo.png"))),
        (bandwidth, "size", json!(3)),
        (bandwidth, "content_type", json!("image/png")),
        (bandwidth, "blake3", json!(blake3::hash(b"abc").to_hex().as_str())),
        (bandwidth, "stored_at", json!("2026-11-21T16:00:00Z")),
        (bandwidth, "expires_at", json!("2026-11-23T16:00:00Z")),
        (bandwidth, "alive", json!(true)),
        (plivo, "provider", json!("plivo")),
        (plivo, "account", json!(AUTH_ID)),
        (plivo, "id", json!(id)),
        (plivo, "file_name", json!("photo.png")),
        (plivo, "expires_at", json!("2026-11-21T22:00:00Z")),
        (plivo, "alive", json!(false)),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_media_can_be_lost_before_its_time() {
    let stage = Stage::start().await;
    stage.put("logo.png", b"abc").await;
    let lose = json!({"provider": "bandwidth", "account": "9900000", "id": "logo.png"}).to_string();
    assert_eq!(stage.control(Method::DELETE, "media", &lose).await.0, 200);
    assert_eq!(stage.get("logo.png").await.status(), 404);
    let object = stage.post_file("logo.png", b"abc").await;
    let control = stage.emulator.control();
    assert!(control.lose(ProviderKind::Plivo, AUTH_ID, object["media_id"].as_str().unwrap()));
    assert_eq!(stage.http.get(object["media_url"].as_str().unwrap()).send().await.unwrap().status(), 404);
    assert!(control.media().iter().all(|record| !record.alive));
}

#[tokio::test]
async fn an_inbound_media_is_put_there() {
    let stage = Stage::start().await;
    let seed =
        json!({"account": "9900000", "id": "in/0/x", "content_type": "image/gif", "text": "GIF"}).to_string();
    let (status, body) = stage.control(Method::POST, "media", &seed).await;
    assert_eq!((status, &body["media"][0]["id"]), (200, &json!("in/0/x")));
    assert_eq!(stage.get("in/0/x").await.text().await.unwrap(), "GIF");
}

#[tokio::test]
async fn faults_are_added_listed_and_cleared() {
    let stage = Stage::start().await;
    let script = r#"[{"action": "hang"}, {"path": "/x", "count": null, "action": {"reset": "head"}}]"#;
    let (status, body) = stage.control(Method::POST, "faults", script).await;
    assert_eq!((status, body["faults"].as_array().unwrap().len()), (200, 2));
    assert_eq!(body["faults"][1]["fault"]["action"], json!({"reset": "head"}));
    assert_eq!(stage.control(Method::GET, "faults", "").await.1, body);
    assert_eq!(stage.control(Method::DELETE, "faults", "").await, (200, json!({"faults": []})));
    assert_eq!(stage.control(Method::POST, "faults", r#"{"action": "html"}"#).await.0, 200);
}

#[tokio::test]
async fn switches_are_shown_and_changed_in_part() {
    let stage = Stage::start().await;
    let (_, before) = stage.control(Method::GET, "switches", "").await;
    assert_eq!(before["bandwidth"]["retention"], "172800s");
    let (status, after) = stage.control(Method::POST, "switches", r#"{"plivo": {"retention": "6s"}}"#).await;
    let mut expected = before;
    expected["plivo"]["retention"] = Value::from("6s");
    assert_eq!((status, after), (200, expected));
}

#[tokio::test]
async fn a_reset_makes_everything_as_at_the_start() {
    let stage = Stage::start().await;
    stage.put("logo.png", b"abc").await;
    stage.post_file("logo.png", b"abc").await;
    stage.switch(json!({"bandwidth": {"page_size": 1}}));
    stage.advance(HOUR);
    stage.fault(json!({"action": "hang"}));
    let (status, clock) = stage.control(Method::POST, "reset", "").await;
    assert_eq!((status, &clock["now"]), (200, &json!("2026-11-21T16:00:00Z")));
    let control = stage.emulator.control();
    assert!(control.media().is_empty() && control.faults().is_empty());
    assert_eq!((control.requests_total(), control.switches()), (0, mediakeep::emulator::Switches::default()));
}

#[tokio::test]
async fn control_requests_are_neither_logged_nor_met_by_faults() {
    let stage = Stage::start().await;
    stage.fault(json!({"count": null, "action": "hang"}));
    assert_eq!(stage.control(Method::GET, "clock", "").await.0, 200);
    assert_eq!(stage.emulator.control().requests_total(), 0);
}
