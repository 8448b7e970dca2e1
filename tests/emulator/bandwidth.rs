//! Bandwidth's media.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{ACCOUNT, HOUR, PASSWORD, Stage, basic, header, json, just_before};

#[tokio::test]
async fn an_upload_is_204_without_a_body_or_a_type() {
    let stage = Stage::start().await;
    for _ in 0..2 {
        let response = stage.put("logo.png", b"abc").await;
        assert_eq!(response.status(), 204);
        assert_eq!(header(&response, "content-type"), None);
        assert_eq!(header(&response, "location"), None);
        assert_eq!(response.text().await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_download_hands_back_type_length_and_cache_control_whatever_is_accepted() {
    let stage = Stage::start().await;
    let upload = stage.media(Method::PUT, "logo.png").header("content-type", "Image/PNG; a=b");
    upload.header("cache-control", "no-cache").body("abc").send().await.unwrap();
    let response =
        stage.media(Method::GET, "logo.png").header("accept", "application/json").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), Some("Image/PNG; a=b"));
    assert_eq!(header(&response, "content-length"), Some("3"));
    assert_eq!(header(&response, "cache-control"), Some("no-cache"));
    assert_eq!(response.text().await.unwrap(), "abc");
    stage.put("plain.png", b"x").await;
    assert_eq!(header(&stage.get("plain.png").await, "cache-control"), None);
    stage.switch(json!({"bandwidth": {"download_type": "octet_stream"}}));
    assert_eq!(header(&stage.get("plain.png").await, "content-type"), Some("application/octet-stream"));
}

#[tokio::test]
async fn a_type_outside_the_accepted_ones_is_415() {
    let stage = Stage::start().await;
    for content_type in
        [None, Some("application/octet-stream"), Some("image/jpg"), Some("audio/mp3"), Some("")]
    {
        let mut upload = stage.media(Method::PUT, "logo.png").body("abc");
        if let Some(content_type) = content_type {
            upload = upload.header("content-type", content_type);
        }
        let response = upload.send().await.unwrap();
        assert_eq!(response.status(), 415, "{content_type:?}");
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(json(response).await["type"], "unsupported-content-type");
    }
    assert_eq!(stage.get("logo.png").await.status(), 404);
}

#[tokio::test]
async fn an_id_without_an_extension_is_400_unless_switched_off() {
    let stage = Stage::start().await;
    let response = stage.put("brand.v1/logo", b"abc").await;
    assert_eq!(response.status(), 400);
    assert_eq!(json(response).await["type"], "request-validation");
    stage.switch(json!({"bandwidth": {"extension_required": false}}));
    assert_eq!(stage.put("brand.v1/logo", b"abc").await.status(), 204);
}

#[tokio::test]
async fn an_empty_body_is_400_unless_switched_off() {
    let stage = Stage::start().await;
    assert_eq!(stage.put("e.png", b"").await.status(), 400);
    stage.switch(json!({"bandwidth": {"body_required": false}}));
    assert_eq!(stage.put("e.png", b"").await.status(), 204);
    assert_eq!(header(&stage.get("e.png").await, "content-length"), Some("0"));
}

#[tokio::test]
async fn an_oversized_body_gets_what_the_switch_says() {
    let stage = Stage::start().await;
    let whole = vec![7_u8; 3_500_000];
    let over = vec![7_u8; 3_500_001];
    let upload = |body: &Vec<u8>| {
        stage.media(Method::PUT, "big.png").header("content-type", "image/png").body(body.clone()).send()
    };
    assert_eq!(upload(&whole).await.unwrap().status(), 204);
    assert_eq!(upload(&over).await.unwrap().status(), 413);
    stage.switch(json!({"bandwidth": {"oversize": "bad_request"}}));
    assert_eq!(upload(&over).await.unwrap().status(), 400);
    stage.switch(json!({"bandwidth": {"oversize": "reset"}}));
    assert!(upload(&over).await.is_err());
    assert_eq!(upload(&whole).await.unwrap().status(), 204);
    assert_eq!(stage.emulator.control().media()[0].size, 3_500_000);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_taken_unless_a_length_is_required() {
    let stage = Stage::start().await;
    let upload = || {
        let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("ab"), Ok("c")]);
        let body = reqwest::Body::wrap_stream(pieces);
        stage.media(Method::PUT, "chunked.png").header("content-type", "image/png").body(body).send()
    };
    assert_eq!(upload().await.unwrap().status(), 204);
    assert_eq!(stage.get("chunked.png").await.text().await.unwrap(), "abc");
    stage.switch(json!({"bandwidth": {"length_required": true}}));
    assert_eq!(upload().await.unwrap().status(), 411);
}

#[tokio::test]
async fn an_encoded_slash_is_400_in_strict_mode_and_a_slash_in_lenient_mode() {
    let stage = Stage::start().await;
    assert_eq!(stage.put("2024%2F1%2flogo.png", b"abc").await.status(), 400);
    assert_eq!(stage.get("2024%2F1%2flogo.png").await.status(), 400);
    assert_eq!(stage.media(Method::DELETE, "a%2Fb.png").send().await.unwrap().status(), 400);
    assert_eq!(stage.put("2024/1/logo.png", b"abc").await.status(), 204);
    stage.switch(json!({"bandwidth": {"strict_slash": false}}));
    assert_eq!(stage.get("2024%2F1%2flogo.png").await.text().await.unwrap(), "abc");
    assert_eq!(stage.put("2024%2F1/logo.png", b"new").await.status(), 204);
    assert_eq!(stage.get("2024/1/logo.png").await.text().await.unwrap(), "new");
}

#[tokio::test]
async fn media_are_stored_by_their_decoded_id() {
    let stage = Stage::start().await;
    assert_eq!(stage.put("my%20l%C3%B6go%23%25%2B.png", b"abc").await.status(), 204);
    assert_eq!(stage.emulator.control().media()[0].id, "my lögo#%+.png");
    assert_eq!(stage.get("my%20l%c3%b6go%23%25+.png").await.status(), 200);
    let listed = json(stage.bandwidth(Method::GET, "/users/9900000/media").send().await.unwrap()).await;
    assert_eq!(listed[0]["mediaName"], "my lögo#%+.png");
    assert_eq!(listed[0]["content"], stage.media_url("my%20l%C3%B6go%23%25%2B.png"));
}

#[tokio::test]
async fn senseless_ids_are_400() {
    let stage = Stage::start().await;
    let auth = basic("bwuser", PASSWORD);
    for id in
        ["..", "a/../b.png", "./a.png", "%2e%2e/x.png", "a//b.png", "a/", "%FF.png", "100%.png", "%zz.png"]
    {
        let request = format!(
            "PUT /api/v2/users/{ACCOUNT}/media/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\n\
             Content-Type: image/png\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        );
        let reply = stage.raw(request.as_bytes()).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 400 "), "{id}: {reply}");
    }
    assert!(stage.emulator.control().media().is_empty());
}

#[tokio::test]
async fn a_missing_media_is_404_in_the_shape_of_the_switch() {
    let stage = Stage::start().await;
    let response = stage.get("gone.png").await;
    assert_eq!(response.status(), 404);
    let body = json(response).await;
    assert!(body["type"].is_string() && body["description"].is_string(), "{body}");
    stage.switch(json!({"bandwidth": {"not_found_body": "servlet"}}));
    let body = json(stage.get("gone.png").await).await;
    assert_eq!(
        (&body["status"], &body["path"]),
        (&json!(404), &json!("/api/v2/users/9900000/media/gone.png"))
    );
    stage.switch(json!({"bandwidth": {"not_found_body": "empty"}}));
    assert_eq!(stage.get("gone.png").await.text().await.unwrap(), "");
}

#[tokio::test]
async fn an_unknown_path_is_404_in_the_servlets_shape() {
    let stage = Stage::start().await;
    for path in
        ["/users/9900000/messages/happy", "/users/9900000/media/", "/users//media", "/users/1", "/", ""]
    {
        let response = stage.bandwidth(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        let body = json(response).await;
        assert_eq!(body["timestamp"], "2026-11-21T16:00:00.000+0000");
        assert_eq!(body["error"], "Not Found");
        assert_eq!(body["message"], "Not Found");
        assert_eq!(body["path"], format!("/api/v2{path}"));
    }
    let elsewhere = stage.http.get(format!("http://{}/nowhere", stage.emulator.addr())).send().await.unwrap();
    assert_eq!((elsewhere.status().as_u16(), &json(elsewhere).await["status"]), (404, &json!(404)));
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_there_are() {
    let stage = Stage::start().await;
    for (method, path, allowed) in [
        (Method::POST, "/users/9900000/media", "GET"),
        (Method::DELETE, "/users/9900000/media", "GET"),
        (Method::POST, "/users/9900000/media/a.png", "GET, PUT, DELETE"),
        (Method::PATCH, "/users/9900000/media/a.png", "GET, PUT, DELETE"),
        (Method::HEAD, "/users/9900000/media/a.png", "GET, PUT, DELETE"),
    ] {
        let response = stage.bandwidth(method.clone(), path).send().await.unwrap();
        assert_eq!(response.status(), 405, "{method} {path}");
        assert_eq!(header(&response, "allow"), Some(allowed));
    }
}

#[tokio::test]
async fn head_mirrors_get_where_it_is_switched_on() {
    let stage = Stage::start().await;
    stage.put("logo.png", b"abc").await;
    stage.switch(json!({"bandwidth": {"head": "mirror"}}));
    let response = stage.media(Method::HEAD, "logo.png").send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "content-length")), (200, Some("3")));
    assert_eq!(stage.media(Method::HEAD, "gone.png").send().await.unwrap().status(), 404);
    assert_eq!(stage.bandwidth(Method::HEAD, "/users/9900000/media").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_delete_is_always_204() {
    let stage = Stage::start().await;
    stage.put("logo.png", b"abc").await;
    for _ in 0..2 {
        let response = stage.media(Method::DELETE, "logo.png").send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (204, ""));
        assert_eq!(stage.get("logo.png").await.status(), 404);
    }
    assert_eq!(stage.put("logo.png", b"new").await.status(), 204);
    assert_eq!(stage.get("logo.png").await.status(), 200);
}

#[tokio::test]
async fn the_list_is_an_array_of_three_fields() {
    let stage = Stage::start().await;
    let list = || stage.bandwidth(Method::GET, "/users/9900000/media?limit=1&x=y").send();
    assert_eq!(json(list().await.unwrap()).await, json!([]));
    stage.put("brand/logo.png", b"abc").await;
    stage.emulator.control().seed_inbound(
        "9900000",
        "14762070468292kw2fuqty55yp2b2/0/bw",
        "image/png",
        "in".into(),
    );
    stage.emulator.control().seed_inbound("another", "x", "image/png", "in".into());
    let response = list().await.unwrap();
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(header(&response, "continuation-token"), None);
    let expected = json!([
        {"mediaName": "14762070468292kw2fuqty55yp2b2/0/bw", "contentLength": 2,
         "content": stage.media_url("14762070468292kw2fuqty55yp2b2/0/bw")},
        {"mediaName": "brand/logo.png", "contentLength": 3, "content": stage.media_url("brand/logo.png")},
    ]);
    assert_eq!(json(response).await, expected);
    assert_eq!(stage.get("14762070468292kw2fuqty55yp2b2/0/bw").await.text().await.unwrap(), "in");
    let deleted = stage.media(Method::DELETE, "14762070468292kw2fuqty55yp2b2/0/bw").send().await.unwrap();
    assert_eq!(
        (deleted.status().as_u16(), json(list().await.unwrap()).await.as_array().unwrap().len()),
        (204, 1)
    );
}

#[tokio::test]
async fn the_list_goes_on_with_a_token_and_ends_without_one() {
    let stage = Stage::start().await;
    stage.switch(json!({"bandwidth": {"page_size": 2}}));
    for id in ["c.png", "a.png", "e/1.png", "b.png", "d.png"] {
        stage.put(id, b"x").await;
    }
    let (mut names, mut sizes, mut token) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let mut request = stage.bandwidth(Method::GET, "/users/9900000/media");
        if let Some(token) = &token {
            assert!(token.contains('+') && token.contains('/') && token.contains('='), "{token}");
            request = request.header("continuation-token", token);
        }
        let response = request.send().await.unwrap();
        token = header(&response, "continuation-token").map(str::to_owned);
        let page = json(response).await;
        sizes.push(page.as_array().unwrap().len());
        names.extend(
            page.as_array().unwrap().iter().map(|entry| entry["mediaName"].as_str().unwrap().to_owned()),
        );
        if token.is_none() {
            break;
        }
    }
    assert_eq!(
        (sizes, names),
        (vec![2, 2, 1], ["a.png", "b.png", "c.png", "d.png", "e/1.png"].map(str::to_owned).to_vec())
    );
    let made_up = stage.bandwidth(Method::GET, "/users/9900000/media").header("continuation-token", "string");
    assert_eq!(made_up.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_media_is_gone_48_hours_after_its_upload() {
    let stage = Stage::start().await;
    stage.put("logo.png", b"abc").await;
    stage.advance(just_before(48 * HOUR));
    assert_eq!(stage.get("logo.png").await.status(), 200);
    stage.advance(Duration::from_millis(1));
    assert_eq!(stage.get("logo.png").await.status(), 404);
    let list = stage.bandwidth(Method::GET, "/users/9900000/media").send().await.unwrap();
    assert_eq!(json(list).await, json!([]));
    let records = stage.emulator.control().media();
    assert_eq!((records.len(), records[0].alive, records[0].size), (1, false, 3));
}

#[tokio::test]
async fn the_real_time_counts_too_and_a_life_can_be_shortened() {
    let stage = Stage::start().await;
    stage.switch(json!({"bandwidth": {"retention": "24s"}}));
    stage.put("logo.png", b"abc").await;
    stage.real_ms.fetch_add(23_999, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(stage.get("logo.png").await.status(), 200);
    stage.real_ms.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(stage.get("logo.png").await.status(), 404);
}

#[tokio::test]
async fn an_overwrite_restarts_the_life_or_not() {
    for (restarts, status) in [(true, 200), (false, 404)] {
        let stage = Stage::start().await;
        stage.switch(json!({"bandwidth": {"overwrite_restarts": restarts}}));
        stage.put("logo.png", b"abc").await;
        stage.advance(30 * HOUR);
        stage.put("logo.png", b"new").await;
        assert_eq!(stage.get("logo.png").await.text().await.unwrap(), "new");
        stage.advance(18 * HOUR);
        assert_eq!(stage.get("logo.png").await.status(), status, "{restarts}");
    }
}

#[tokio::test]
async fn a_sweep_removes_up_to_its_period_early_or_late() {
    // The clock starts at 16:00; sweeps are at midnight.
    for (removal, hours) in [("exact", 48), ("sweep_early", 32), ("sweep_late", 56)] {
        let stage = Stage::start().await;
        stage.switch(json!({"bandwidth": {"removal": removal, "sweep_every": "24h"}}));
        stage.put("logo.png", b"abc").await;
        stage.advance(just_before(hours * HOUR));
        assert_eq!(stage.get("logo.png").await.status(), 200, "{removal}");
        stage.advance(Duration::from_millis(1));
        assert_eq!(stage.get("logo.png").await.status(), 404, "{removal}");
    }
}

#[tokio::test]
async fn a_message_sends_the_old_bytes_of_a_reused_name_for_a_time() {
    let stage = Stage::start().await;
    let sent = |id: &str| {
        let media = stage.emulator.control().send(&stage.media_url(id))?;
        Some((String::from_utf8(media.bytes.to_vec()).unwrap(), media.stale))
    };
    let old = Some(("old".to_owned(), true));
    let new = Some(("new".to_owned(), false));
    stage.put("direct.png", b"old").await;
    stage.put("direct.png", b"new").await;
    assert_eq!(sent("direct.png"), new);
    stage.switch(json!({"bandwidth": {"stale_cache": "1h"}}));
    stage.put("a/logo.png", b"old").await;
    stage.put("a/logo.png", b"old").await;
    assert_eq!(sent("a/logo.png"), Some(("old".to_owned(), false)));
    stage.put("a/logo.png", b"new").await;
    assert_eq!(stage.get("a/logo.png").await.text().await.unwrap(), "new");
    assert_eq!(sent("a/logo.png"), old);
    let body = json!({"media": [stage.media_url("a/logo.png"), stage.media_url("none.png")]}).to_string();
    let (status, reply) = stage.control(Method::POST, "send", &body).await;
    assert_eq!(
        (status, &reply["media"][0]["sent"]["stale"], &reply["media"][1]["sent"]),
        (200, &json!(true), &json!(null))
    );
    stage.advance(HOUR);
    assert_eq!(sent("a/logo.png"), new);
    assert_eq!(sent("none.png"), None);
}

#[tokio::test]
async fn a_429_says_when_to_come_back_in_each_way() {
    let stage = Stage::start().await;
    stage.switch(json!({"bandwidth": {"rate_limit": {"requests": 1, "per": "1s"}}}));
    for (kind, name, value) in [
        ("none", "retry-after", None),
        ("retry_after", "retry-after", Some("1")),
        ("reset_seconds", "x-ratelimit-reset", Some("1795276801")),
        ("reset_milliseconds", "x-ratelimit-reset", Some("1795276801000")),
    ] {
        stage.switch(json!({"bandwidth": {"rate_header": kind}}));
        stage.get("warm-up.png").await;
        let response = stage.get("logo.png").await;
        assert_eq!((response.status().as_u16(), header(&response, name)), (429, value), "{kind}");
        let body = json(response).await;
        assert!(body["type"].is_string() && body["description"].is_string(), "{body}");
    }
    let other = stage.bandwidth(Method::GET, "/users/1/media").send().await.unwrap();
    assert_eq!(other.status(), 200);
    stage.advance(Duration::from_secs(1));
    assert_eq!(stage.get("logo.png").await.status(), 404);
}

#[tokio::test]
async fn the_date_header_follows_the_clock() {
    let stage = Stage::start().await;
    assert_eq!(header(&stage.get("a.png").await, "date"), Some("Sat, 21 Nov 2026 16:00:00 GMT"));
    stage.advance(25 * HOUR);
    assert_eq!(header(&stage.get("a.png").await, "date"), Some("Sun, 22 Nov 2026 17:00:00 GMT"));
}
