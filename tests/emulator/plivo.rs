//! Plivo's uploads, look-ups, media host and messages.

use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{AUTH_ID, HOUR, PASSWORD, Stage, basic, header, json, just_before, png};

#[tokio::test]
async fn an_upload_makes_an_object_for_each_file() {
    let stage = Stage::start().await;
    let response = stage.post_files(vec![png("logo.png", b"abc"), png("logo.png", b"defg")]).await;
    assert_eq!(response.status(), 200);
    let body = json(response).await;
    assert_eq!(body["api_id"].as_str().unwrap().len(), 36);
    let objects = body["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 2);
    for (object, size, digits) in [(&objects[0], 3, 6), (&objects[1], 4, 9)] {
        let id = object["media_id"].as_str().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(object["content_type"], "image/png");
        assert_eq!(object["file_name"], "logo.png");
        assert_eq!(object["size"], size);
        assert_eq!((&object["status"], &object["status_code"]), (&json!("success"), &json!(201)));
        let url = format!("{}/media-host/Account/{AUTH_ID}/Media/{id}", stage.emulator.base_url_plivo());
        assert_eq!(object["media_url"], url);
        let time = object["upload_time"].as_str().unwrap();
        assert!(time.starts_with("2026-11-21T16:00:00.000") && time.ends_with('Z'), "{time}");
        assert_eq!(time.len(), "2026-11-21T16:00:00.Z".len() + digits, "{time}");
    }
    assert_ne!(objects[0]["media_id"], objects[1]["media_id"]);
}

#[tokio::test]
async fn a_file_name_is_echoed_as_it_came() {
    let stage = Stage::start().await;
    for name in
        ["/media/XbxZ41fWLeRECPsGIJ/source.gif", "löwe-狮子.png", "a;b#1%.png", "a%22b.png", "my logo.png"]
    {
        assert_eq!(stage.post_file(name, b"abc").await["file_name"], name);
    }
}

#[tokio::test]
async fn the_parts_headers_come_in_any_order() {
    let stage = Stage::start().await;
    let body = "preamble\r\n--B\r\nContent-Type: image/png\r\nX-Other: 1\r\n\
                CONTENT-DISPOSITION: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\nabc\r\n--B--\r\n";
    let request =
        stage.plivo(Method::POST, "/Media/").header("content-type", "multipart/form-data; boundary=\"B\"");
    let object = &json(request.body(body).send().await.unwrap()).await["objects"][0];
    assert_eq!((&object["file_name"], &object["content_type"]), (&json!("a.png"), &json!("image/png")));
}

#[tokio::test]
async fn what_follows_the_closing_boundary_is_not_read() {
    let stage = Stage::start().await;
    let part = |name: &str| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\nabc\r\n--B--\r\n"
        )
    };
    let body = format!("{}{}", part("first.jpg"), part("second.jpg"));
    let request =
        stage.plivo(Method::POST, "/Media/").header("content-type", "multipart/form-data; boundary=B");
    let objects = json(request.body(body).send().await.unwrap()).await["objects"].clone();
    assert_eq!(objects.as_array().unwrap().len(), 1);
    assert_eq!(
        (&objects[0]["file_name"], &objects[0]["content_type"]),
        (&json!("first.jpg"), &json!("image/jpeg"))
    );
}

#[tokio::test]
async fn only_parts_named_file_count_and_there_are_1_to_10_of_them() {
    let stage = Stage::start().await;
    let upload = |form: Form| stage.plivo(Method::POST, "/Media/").multipart(form).send();
    let with = |count: usize| (0..count).fold(Form::new(), |form, _| form.part("file", png("a.png", b"x")));
    let others = Form::new().part("file0", png("a.png", b"x")).text("file", "no file name");
    assert_eq!(upload(with(10)).await.unwrap().status(), 200);
    for form in [with(11), others] {
        let response = upload(form).await.unwrap();
        assert_eq!(response.status(), 400);
        let body = json(response).await;
        assert!(body["api_id"].is_string() && body["error"].is_string(), "{body}");
    }
    let mixed = with(1).part("file1", png("b.png", b"x"));
    assert_eq!(json(upload(mixed).await.unwrap()).await["objects"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_form_is_400_and_stores_nothing() {
    let stage = Stage::start().await;
    let part = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\nabc\r\n";
    for (content_type, body) in [
        ("multipart/form-data; boundary=B", part),
        ("multipart/form-data; boundary=B", ""),
        ("multipart/form-data; boundary=C", part),
        ("multipart/form-data", part),
        ("application/json", "{}"),
        ("", ""),
    ] {
        let request = stage.plivo(Method::POST, "/Media/").header("content-type", content_type).body(body);
        assert_eq!(request.send().await.unwrap().status(), 400, "{content_type} {body}");
    }
    assert!(stage.emulator.control().media().is_empty());
}

#[tokio::test]
async fn a_refused_file_fails_alone_or_with_its_request() {
    let stage = Stage::start().await;
    let over = || Part::bytes(vec![0; 2_000_001]).file_name("big.png").mime_str("image/png").unwrap();
    let odd =
        || Part::bytes(b"x".as_slice()).file_name("a.exe").mime_str("application/x-msdownload").unwrap();
    let whole = Part::bytes(vec![0; 2_000_000]).file_name("whole.png").mime_str("image/png").unwrap();
    let response = stage.post_files(vec![over(), whole, odd()]).await;
    assert_eq!(response.status(), 200);
    let objects = json(response).await["objects"].clone();
    for (index, name, status) in [(0, "big.png", 413), (2, "a.exe", 400)] {
        let object = &objects[index];
        assert_eq!((&object["file_name"], &object["status"]), (&json!(name), &json!("failed")));
        assert_eq!((&object["status_code"], &object["error_code"]), (&json!(status), &json!(status)));
        assert!(object["error_message"].is_string() && object.get("media_id").is_none());
    }
    assert_eq!((&objects[1]["status"], stage.emulator.control().media().len()), (&json!("success"), 1));
    stage.switch(json!({"plivo": {"refusal": "whole_request"}}));
    for (files, status) in [(vec![png("a.png", b"x"), over()], 413), (vec![png("a.png", b"x"), odd()], 400)] {
        let response = stage.post_files(files).await;
        assert_eq!(response.status(), status);
        assert!(json(response).await["error"].is_string());
    }
    assert_eq!(stage.emulator.control().media().len(), 1);
}

#[tokio::test]
async fn the_accepted_types_follow_the_switch() {
    let stage = Stage::start().await;
    for (list, mp3, exe) in [("known", 201, 400), ("documented", 400, 400), ("any", 201, 201)] {
        stage.switch(json!({"plivo": {"types": list}}));
        let part = |mime| Part::bytes(b"x".as_slice()).file_name("a").mime_str(mime).unwrap();
        let body =
            json(stage.post_files(vec![part("audio/mp3"), part("application/x-msdownload")]).await).await;
        assert_eq!(
            (&body["objects"][0]["status_code"], &body["objects"][1]["status_code"]),
            (&json!(mp3), &json!(exe)),
            "{list}"
        );
    }
}

#[tokio::test]
async fn replies_to_uploads_differ_by_switches() {
    let stage = Stage::start().await;
    let change = json!({"plivo": {"object_order": "shuffled", "url_field": "url", "upload_status": 202,
                                  "media_url_prefix": "https://media.example"}});
    stage.switch(change);
    let response = stage.post_files(vec![png("1.png", b"a"), png("2.png", b"b")]).await;
    assert_eq!(response.status(), 202);
    let objects = json(response).await["objects"].clone();
    assert_eq!((&objects[0]["file_name"], &objects[1]["file_name"]), (&json!("2.png"), &json!("1.png")));
    let url =
        format!("https://media.example/Account/{AUTH_ID}/Media/{}", objects[0]["media_id"].as_str().unwrap());
    assert_eq!((&objects[0]["url"], objects[0].get("media_url")), (&json!(url), None));
}

#[tokio::test]
async fn one_media_is_a_flat_object_with_an_api_id() {
    let stage = Stage::start().await;
    let uploaded = stage.post_file("logo.png", b"abc").await;
    let id = uploaded["media_id"].as_str().unwrap();
    for path in [format!("/Media/{id}/"), format!("/Media/{id}")] {
        let mut body = json(stage.plivo(Method::GET, &path).send().await.unwrap()).await;
        assert!(body.as_object_mut().unwrap().remove("api_id").unwrap().is_string());
        let mut expected = uploaded.clone();
        expected.as_object_mut().unwrap().retain(|name, _| !name.starts_with("status"));
        assert_eq!(body, expected);
    }
    stage.switch(json!({"plivo": {"slash_required": true}}));
    assert_eq!(stage.plivo(Method::GET, &format!("/Media/{id}")).send().await.unwrap().status(), 404);
    assert_eq!(stage.plivo(Method::GET, &format!("/Media/{id}/")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_missing_media_is_404_in_the_shape_of_the_switch() {
    let stage = Stage::start().await;
    for (shape, check) in [
        ("error", (|body| body.contains("api_id") && body.contains("error")) as fn(&str) -> bool),
        ("empty_object", |body| body == "{}"),
        ("text", |body| serde_json::from_str::<Value>(body).is_err()),
    ] {
        stage.switch(json!({"plivo": {"not_found_body": shape}}));
        for path in ["/Media/801c2056-33ab-499c-80ef-58b574a462a2/", "/Nowhere/"] {
            let response = stage.plivo(Method::GET, path).send().await.unwrap();
            assert_eq!(response.status(), 404);
            assert!(check(&response.text().await.unwrap()), "{shape}");
        }
    }
}

#[tokio::test]
async fn there_is_no_replace_and_no_delete() {
    let stage = Stage::start().await;
    let id = stage.post_file("logo.png", b"abc").await["media_id"].as_str().unwrap().to_owned();
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::POST] {
        let response = stage.plivo(method.clone(), &format!("/Media/{id}/")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, Some("GET")), "{method}");
    }
    let response = stage.plivo(Method::DELETE, "/Media/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, Some("GET, POST")));
    assert!(stage.emulator.control().media()[0].alive);
}

#[tokio::test]
async fn a_get_with_a_body_is_answered() {
    let stage = Stage::start().await;
    let request = stage.plivo(Method::GET, "/Media/").header("content-type", "application/json").body("\"\"");
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_auth_id_has_a_shape_and_owns_its_path() {
    let stage = Stage::start().await;
    let status = async |user: &str, password: &str| {
        let url = format!("{}/v1/Account/{AUTH_ID}/Media/", stage.emulator.base_url_plivo());
        stage.http.get(url).basic_auth(user, Some(password)).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(AUTH_ID, PASSWORD).await, 200);
    for (user, password) in [
        (AUTH_ID, "wrong"),
        ("MAZTQ4", PASSWORD),
        ("XAZTQ4NJRHOWY3ODK2MT", PASSWORD),
        ("MAztq4njrhowy3odk2mt", PASSWORD),
        ("", PASSWORD),
    ] {
        assert_eq!(status(user, password).await, 401, "{user}");
    }
    for mismatch in [401, 403, 404] {
        stage.switch(json!({"plivo": {"account_mismatch": mismatch}}));
        assert_eq!(status("SAODM3ZJEWNTK5YJQ4NJ", PASSWORD).await, mismatch);
    }
    stage.switch(json!({"plivo": {"auth_ids": ["MAYJK2NDEXOTM5ZWQ3MD"]}}));
    assert_eq!(status(AUTH_ID, PASSWORD).await, 401);
    let url = format!("{}/v1/Account/{AUTH_ID}/Media/", stage.emulator.base_url_plivo());
    assert_eq!(stage.http.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(stage.http.get(&url).bearer_auth("stk_x").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_401_has_an_api_id_or_not() {
    let stage = Stage::start().await;
    let url = format!("{}/v1/Account/{AUTH_ID}/Media/", stage.emulator.base_url_plivo());
    assert!(json(stage.http.get(&url).send().await.unwrap()).await["api_id"].is_string());
    stage.switch(json!({"plivo": {"unauthorized_body": "without_api_id"}}));
    let body = json(stage.http.get(&url).send().await.unwrap()).await;
    assert_eq!(body, json!({"error": "authentication credentials were not provided"}));
}

#[tokio::test]
async fn anybody_can_fetch_a_media_url_until_the_media_expires() {
    let stage = Stage::start().await;
    let url = stage.post_file("logo.png", b"abc").await["media_url"].as_str().unwrap().to_owned();
    let response = stage.http.get(&url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "content-type")), (200, Some("image/png")));
    assert_eq!(response.text().await.unwrap(), "abc");
    assert_eq!(stage.http.head(&url).send().await.unwrap().status(), 200);
    assert_eq!(stage.http.post(&url).send().await.unwrap().status(), 405);
    stage.advance(6 * HOUR);
    assert_eq!(stage.http.get(&url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_media_host_can_ask_for_credentials() {
    let stage = Stage::start().await;
    let url = stage.post_file("logo.png", b"abc").await["media_url"].as_str().unwrap().to_owned();
    stage.switch(json!({"plivo": {"media_host_auth": true}}));
    assert_eq!(stage.http.get(&url).send().await.unwrap().status(), 401);
    let other = stage.http.get(&url).header("authorization", basic("SAODM3ZJEWNTK5YJQ4NJ", PASSWORD));
    assert_eq!(other.send().await.unwrap().status(), 401);
    let owner = stage.http.get(&url).header("authorization", basic(AUTH_ID, PASSWORD));
    assert_eq!(owner.send().await.unwrap().status(), 200);
}

async fn found(stage: &Stage, id: &str) -> bool {
    stage.plivo(Method::GET, &format!("/Media/{id}/")).send().await.unwrap().status() == 200
}

#[tokio::test]
async fn unused_media_live_6_hours() {
    let stage = Stage::start().await;
    let id = stage.post_file("logo.png", b"abc").await["media_id"].as_str().unwrap().to_owned();
    stage.advance(just_before(6 * HOUR));
    assert!(found(&stage, &id).await);
    stage.advance(Duration::from_millis(1));
    assert!(!found(&stage, &id).await);
}

#[tokio::test]
async fn a_sweep_every_6_hours_lets_media_live_up_to_12() {
    // The clock starts at 16:00; sweeps are at 18:00, midnight, 06:00.
    let stage = Stage::start().await;
    stage.switch(json!({"plivo": {"removal": "sweep_late"}}));
    let id = stage.post_file("logo.png", b"abc").await["media_id"].as_str().unwrap().to_owned();
    stage.advance(just_before(8 * HOUR));
    assert!(found(&stage, &id).await);
    stage.advance(Duration::from_millis(1));
    assert!(!found(&stage, &id).await);
}

#[tokio::test]
async fn a_message_keeps_its_media_for_a_year() {
    let stage = Stage::start().await;
    let id = stage.post_file("logo.png", b"abc").await["media_id"].as_str().unwrap().to_owned();
    stage.advance(5 * HOUR);
    let message = json!({"src": "1", "dst": "2", "text": "", "type": "mms", "media_ids": [id]});
    let response = stage.plivo(Method::POST, "/Message/").json(&message).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let uuid = json(response).await["message_uuid"][0].as_str().unwrap().to_owned();
    stage.advance(364 * 24 * HOUR);
    assert!(found(&stage, &id).await);

    let used = json(stage.plivo(Method::GET, &format!("/Message/{uuid}/Media/")).send().await.unwrap()).await;
    assert_eq!(
        (&used["objects"][0]["media_id"], &used["objects"][0]["message_uuid"]),
        (&json!(id), &json!(uuid))
    );
    let one =
        json(stage.plivo(Method::GET, &format!("/Message/{uuid}/Media/{id}/")).send().await.unwrap()).await;
    let url = one["media_url"].as_str().unwrap();
    assert!(url.ends_with(&format!("/Account/{AUTH_ID}/Message/{uuid}/Media/{id}")), "{url}");
    assert_eq!(stage.http.get(url).send().await.unwrap().text().await.unwrap(), "abc");
    let unused = stage.plivo(Method::GET, &format!("/Message/{uuid}/Media/other/")).send().await.unwrap();
    assert_eq!(unused.status(), 404);

    stage.advance(24 * HOUR);
    assert!(!found(&stage, &id).await);
}

#[tokio::test]
async fn a_message_with_an_unknown_or_expired_media_or_too_many_is_400_and_uses_none() {
    let stage = Stage::start().await;
    let expired = stage.post_file("logo.png", b"abc").await["media_id"].clone();
    stage.advance(6 * HOUR);
    let fresh = stage.post_file("logo.png", b"abc").await["media_id"].as_str().unwrap().to_owned();
    for ids in [json!([fresh, expired]), json!([fresh, "unknown"]), json!(vec![&fresh; 11])] {
        let message = json!({"type": "mms", "media_ids": ids});
        let response = stage.plivo(Method::POST, "/Message/").json(&message).send().await.unwrap();
        assert_eq!(response.status(), 400);
        let body = json(response).await;
        assert!(body["api_id"].is_string() && body["error"].is_string(), "{body}");
    }
    let text = json!({"type": "sms", "media_ids": [fresh]});
    assert_eq!(stage.plivo(Method::POST, "/Message/").json(&text).send().await.unwrap().status(), 202);
    stage.advance(6 * HOUR);
    assert!(!found(&stage, &fresh).await);
}

#[tokio::test]
async fn more_than_300_requests_in_5_seconds_are_429() {
    let stage = Stage::start().await;
    stage.switch(json!({"plivo": {"rate_header": "retry_after"}}));
    for _ in 0..300 {
        assert_eq!(stage.plivo(Method::GET, "/Media/").send().await.unwrap().status(), 200);
    }
    let response = stage.plivo(Method::GET, "/Media/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, Some("5")));
    assert!(json(response).await["error"].is_string());
    stage.switch(json!({"plivo": {"rate_header": "none"}}));
    let response = stage.plivo(Method::GET, "/Media/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, None));
    stage.advance(Duration::from_secs(5));
    assert_eq!(stage.plivo(Method::GET, "/Media/").send().await.unwrap().status(), 200);
}
