//! Scripted faults, as a client sees them.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Stage, header, json};

async fn put(stage: &Stage) -> Result<reqwest::Response, reqwest::Error> {
    stage.media(Method::PUT, "logo.png").header("content-type", "image/png").body("abc").send().await
}

#[tokio::test]
async fn a_made_up_reply_comes_with_its_headers_and_without_effect() {
    let stage = Stage::start().await;
    let reply = json!({"status": 503, "headers": {"Retry-After": "5", "Date": "yesterday"}, "body": "busy"});
    stage.fault(json!({"provider": "bandwidth", "method": "PUT", "count": 2, "action": {"reply": reply}}));
    for _ in 0..2 {
        let response = put(&stage).await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, Some("5")));
        assert_eq!(header(&response, "date"), Some("yesterday"));
        assert_eq!(response.text().await.unwrap(), "busy");
    }
    assert!(stage.emulator.control().media().is_empty());
    assert_eq!(put(&stage).await.unwrap().status(), 204);
}

#[tokio::test]
async fn html_and_empty_replies_have_no_effect() {
    let stage = Stage::start().await;
    stage.fault(json!({"action": "html"}));
    let response = put(&stage).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), header(&response, "content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    stage.fault(json!({"action": {"empty": 502}}));
    let response = put(&stage).await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (502, ""));
    assert!(stage.emulator.control().media().is_empty());
}

#[tokio::test]
async fn a_wrong_type_is_all_that_is_wrong() {
    let stage = Stage::start().await;
    stage.fault(json!({"action": {"wrong_type": "text/html"}}));
    let response = stage.bandwidth(Method::GET, "/users/9900000/media").send().await.unwrap();
    assert_eq!(header(&response, "content-type"), Some("text/html"));
    assert_eq!(json(response).await, json!([]));
}

#[tokio::test]
async fn a_lost_reply_leaves_the_upload_stored() {
    let stage = Stage::start().await;
    stage.fault(json!({"method": "PUT", "action": "lost_reply"}));
    assert!(put(&stage).await.is_err());
    assert_eq!(stage.get("logo.png").await.text().await.unwrap(), "abc");
    stage.fault(json!({"provider": "plivo", "action": "lost_reply"}));
    let form = reqwest::multipart::Form::new().part("file", crate::support::png("a.png", b"x"));
    assert!(stage.plivo(Method::POST, "/Media/").multipart(form).send().await.is_err());
    let list = json(stage.plivo(Method::GET, "/Media/").send().await.unwrap()).await;
    assert_eq!(list["meta"]["total_count"], 1);
}

#[tokio::test]
async fn a_reset_is_a_reset_wherever_it_comes() {
    let stage = Stage::start().await;
    for (point, stored) in [("head", false), ("request_body", false), ("reply_body", true)] {
        let request = "PUT /api/v2/users/1/media/a.png HTTP/1.1\r\nHost: x\r\n";
        let auth = crate::support::basic("u", crate::support::PASSWORD);
        let request = format!(
            "{request}Authorization: {auth}\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\nabc"
        );
        stage.fault(json!({"action": {"reset": point}}));
        let error = stage.raw(request.as_bytes()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{point}");
        assert_eq!(!stage.emulator.control().media().is_empty(), stored, "{point}");
    }
    let log = stage.emulator.control().requests();
    let read: Vec<_> = log.iter().map(|entry| (entry.fault, entry.body_length)).collect();
    assert_eq!(read, [(Some("reset"), None), (Some("reset"), None), (Some("reset"), Some(3))]);
}

#[tokio::test]
async fn a_reset_in_the_request_comes_before_its_body_has_arrived() {
    let stage = Stage::start().await;
    stage.fault(json!({"action": {"reset": "request_body"}}));
    let head = "PUT /api/v2/users/1/media/a.png HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    // The second half is never sent, and the reset comes all the same.
    let request = [head.as_bytes(), &[b'x'; 500]].concat();
    assert!(stage.raw(&request).await.is_err());
}

#[tokio::test]
async fn half_a_body_is_half_and_then_the_end() {
    let stage = Stage::start().await;
    put(&stage).await.unwrap();
    stage.fault(json!({"method": "GET", "action": "half_body", "count": 2}));
    let auth = crate::support::basic("u", crate::support::PASSWORD);
    let request = format!(
        "GET /api/v2/users/9900000/media/logo.png HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\n\r\n"
    );
    let reply = stage.raw(request.as_bytes()).await.unwrap();
    assert!(reply.contains("content-length: 3\r\n") && reply.ends_with("\r\n\r\nab"), "{reply}");
    let response = stage.get("logo.png").await;
    assert!(response.bytes().await.is_err());
    stage.fault(json!({"method": "PUT", "action": "half_body"}));
    assert!(put(&stage).await.is_err(), "a reply without a body is cut in its status line");
    assert_eq!(stage.get("logo.png").await.status(), 200);
}

#[tokio::test]
async fn a_hanging_request_is_never_answered() {
    let stage = Stage::start().await;
    stage.fault(json!({"action": "hang"}));
    let request = stage.media(Method::PUT, "logo.png").header("content-type", "image/png").body("abc");
    let hanging = tokio::spawn(request.send());
    let control = stage.emulator.control();
    while control.requests().first().is_none_or(|entry| entry.body_length.is_none()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Others are answered meanwhile.
    assert_eq!(stage.get("logo.png").await.status(), 404);
    assert!(!hanging.is_finished());
    hanging.abort();
    let hung = &control.requests()[0];
    assert_eq!((hung.fault, hung.status, hung.body_length), (Some("hang"), None, Some(3)));
    assert!(control.media().is_empty());
}

#[tokio::test]
async fn a_delay_and_a_latency_come_before_the_true_answer() {
    let stage = Stage::start().await;
    for wait in [json!({"count": null, "delay": "300ms"}), json!(null)] {
        if wait.is_null() {
            stage.emulator.control().clear_faults();
            stage.switch(json!({"bandwidth": {"latency": "300ms"}}));
        } else {
            stage.fault(wait);
        }
        let short = stage.media(Method::GET, "logo.png").timeout(Duration::from_millis(100)).send().await;
        assert!(short.unwrap_err().is_timeout());
        assert_eq!(stage.get("logo.png").await.status(), 404);
    }
    let plivo = stage.plivo(Method::GET, "/Media/").timeout(Duration::from_secs(20)).send().await.unwrap();
    assert_eq!(plivo.status(), 200);
}

#[tokio::test]
async fn a_fault_meets_what_it_names_and_then_leaves_the_script() {
    let stage = Stage::start().await;
    stage.fault(json!({"provider": "bandwidth", "method": "get", "path": "/b.png", "skip": 1, "action": {"empty": 500}}));
    assert_eq!(stage.get("a.png").await.status(), 404);
    assert_eq!(stage.get("b.png").await.status(), 404);
    assert_eq!(stage.plivo(Method::GET, "/Media/b.png/").send().await.unwrap().status(), 404);
    assert_eq!(stage.emulator.control().faults().len(), 1);
    assert_eq!(stage.get("b.png").await.status(), 500);
    assert_eq!(stage.get("b.png").await.status(), 404);
    assert!(stage.emulator.control().faults().is_empty());
}

#[tokio::test]
async fn the_token_endpoint_and_the_media_host_can_fail_too() {
    let stage = Stage::start().await;
    stage.fault(json!({"provider": "bandwidth", "path": "/oauth2/token", "action": {"empty": 500}}));
    assert_eq!(stage.http.post(stage.emulator.token_url()).send().await.unwrap().status(), 500);
    let url = stage.post_file("a.png", b"abc").await["media_url"].as_str().unwrap().to_owned();
    stage.fault(json!({"provider": "plivo", "path": "/media-host/", "action": {"empty": 500}}));
    assert_eq!(stage.http.get(url).send().await.unwrap().status(), 500);
}
