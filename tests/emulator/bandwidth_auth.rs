//! Who may ask Bandwidth.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Stage, basic, header, json};

async fn token(stage: &Stage, secret: &str, form: &'static str) -> (u16, Value) {
    let request = stage.http.post(stage.emulator.token_url()).basic_auth("client", Some(secret));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), json(response).await)
}

async fn status_with(stage: &Stage, method: Method, path: &str, authorization: Option<&str>) -> u16 {
    let mut request = stage.http.request(method, format!("{}{path}", stage.emulator.base_url_bandwidth()));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn credentials_come_before_everything() {
    let stage = Stage::start().await;
    let good = basic("anybody", PASSWORD);
    let (wrong, nobody) = (basic("anybody", "wrong"), basic("", PASSWORD));
    for (authorization, listed, missing) in [
        (Some(good.as_str()), 200, 404),
        (None, 401, 401),
        (Some(wrong.as_str()), 401, 401),
        (Some(nobody.as_str()), 401, 401),
        (Some("Basic !!!"), 401, 401),
        (Some("Bearer made-up"), 401, 401),
        (Some("Digest x"), 401, 401),
        (Some(""), 401, 401),
    ] {
        assert_eq!(
            status_with(&stage, Method::GET, "/users/1/media", authorization).await,
            listed,
            "{authorization:?}"
        );
        for (method, path) in [(Method::GET, "/users/1/media/a.png"), (Method::GET, "/nowhere")] {
            assert_eq!(
                status_with(&stage, method, path, authorization).await,
                missing,
                "{authorization:?} {path}"
            );
        }
        // Without credentials neither the type nor the method matters.
        if listed == 401 {
            assert_eq!(status_with(&stage, Method::PUT, "/users/1/media/a.png", authorization).await, 401);
            assert_eq!(status_with(&stage, Method::POST, "/users/1/media", authorization).await, 401);
        }
    }
}

#[tokio::test]
async fn a_401_has_the_documented_body_or_none() {
    let stage = Stage::start().await;
    let ask = || stage.http.get(format!("{}/users/1/media", stage.emulator.base_url_bandwidth())).send();
    let response = ask().await.unwrap();
    assert!(header(&response, "www-authenticate").unwrap().starts_with("Basic "));
    assert_eq!(json(response).await, json!({"type": "unauthorized", "description": "Authentication Failed"}));
    stage.switch(json!({"bandwidth": {"unauthorized_body": "empty"}}));
    assert_eq!(ask().await.unwrap().text().await.unwrap(), "");
}

#[tokio::test]
async fn a_wrong_account_is_403_once_the_accounts_are_named() {
    let stage = Stage::start().await;
    let ask = |account: &str| stage.bandwidth(Method::GET, &format!("/users/{account}/media")).send();
    assert_eq!(ask("5500012").await.unwrap().status(), 200);
    stage.switch(json!({"bandwidth": {"accounts": ["9900000"]}}));
    assert_eq!(ask("9900000").await.unwrap().status(), 200);
    let response = ask("5500012").await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(json(response).await, json!({"type": "forbidden", "description": "Access Denied"}));
}

#[tokio::test]
async fn a_token_admits_until_it_expires() {
    let stage = Stage::start().await;
    stage.switch(json!({"bandwidth": {"token_expires_in": 90}}));
    let (status, body) = token(&stage, PASSWORD, "grant_type=client_credentials").await;
    assert_eq!((status, &body["expires_in"], &body["token_type"]), (200, &json!(90), &json!("Bearer")));
    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    stage.advance(Duration::from_secs(89));
    assert_eq!(status_with(&stage, Method::GET, "/users/1/media", Some(&bearer)).await, 200);
    stage.advance(Duration::from_secs(1));
    assert_eq!(status_with(&stage, Method::GET, "/users/1/media", Some(&bearer)).await, 401);
}

#[tokio::test]
async fn the_token_endpoint_knows_its_errors() {
    let stage = Stage::start().await;
    for (secret, form, status, error) in [
        ("wrong", "grant_type=client_credentials", 401, "invalid_client"),
        (PASSWORD, "", 400, "invalid_request"),
        (PASSWORD, "grant_type=password", 400, "unsupported_grant_type"),
    ] {
        assert_eq!(token(&stage, secret, form).await, (status, json!({"error": error})), "{form}");
    }
    let get = stage.http.get(stage.emulator.token_url()).send().await.unwrap();
    assert_eq!((get.status().as_u16(), header(&get, "allow")), (405, Some("POST")));
}

#[tokio::test]
async fn basic_credentials_can_be_switched_off() {
    let stage = Stage::start().await;
    stage.switch(json!({"bandwidth": {"basic": false}}));
    assert_eq!(status_with(&stage, Method::GET, "/users/1/media", Some(&basic("u", PASSWORD))).await, 401);
    let (_, body) = token(&stage, PASSWORD, "grant_type=client_credentials&scope=x").await;
    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    assert_eq!(status_with(&stage, Method::GET, "/users/1/media", Some(&bearer)).await, 200);
}
