//! Plivo's list.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{AUTH_ID, HOUR, Stage, json};

async fn list(stage: &Stage, query: &str) -> Value {
    let response = stage.plivo(Method::GET, &format!("/Media/{query}")).send().await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    json(response).await
}

fn names(body: &Value) -> Vec<&str> {
    body["objects"].as_array().unwrap().iter().map(|object| object["file_name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_list_is_paged_by_limit_and_offset() {
    let stage = Stage::start().await;
    let empty = list(&stage, "").await;
    assert_eq!((&empty["meta"]["total_count"], names(&empty).len()), (&json!(0), 0));
    for _ in 0..11 {
        stage.post_file("even.png", b"x").await;
        stage.post_file("odd.png", b"x").await;
    }
    let body = list(&stage, "").await;
    assert!(body["api_id"].is_string());
    let meta = json!({"limit": 20, "offset": 0, "total_count": 22, "previous": null,
                      "next": format!("/v1/Account/{AUTH_ID}/Media?offset=20&limit=20")});
    assert_eq!((&body["meta"], names(&body).len()), (&meta, 20));
    let last = list(&stage, "?limit=5&offset=19").await;
    assert_eq!(names(&last), ["odd.png", "even.png", "odd.png"]);
    assert_eq!(last["meta"]["next"], json!(null));
    assert_eq!(last["meta"]["previous"], format!("/v1/Account/{AUTH_ID}/Media?offset=14&limit=5"));
    assert_eq!(names(&list(&stage, "?offset=22").await).len(), 0);
    stage.advance(6 * HOUR);
    assert_eq!(list(&stage, "").await["meta"]["total_count"], 0);
}

#[tokio::test]
async fn a_limit_over_20_or_under_1_is_400() {
    let stage = Stage::start().await;
    for query in ["?limit=21", "?limit=0", "?limit=-1", "?limit=x", "?offset=-1", "?offset=x"] {
        let response = stage.plivo(Method::GET, &format!("/Media/{query}")).send().await.unwrap();
        assert_eq!(response.status(), 400, "{query}");
        assert!(json(response).await["error"].is_string());
    }
}

#[tokio::test]
async fn the_order_and_the_links_follow_switches() {
    let stage = Stage::start().await;
    for name in ["1.png", "2.png", "3.png"] {
        stage.post_file(name, b"x").await;
    }
    assert_eq!(names(&list(&stage, "").await), ["1.png", "2.png", "3.png"]);
    stage.switch(json!({"plivo": {"list_order": "newest_first", "paging_links": "null"}}));
    let body = list(&stage, "?limit=2&offset=1").await;
    assert_eq!((names(&body), &body["meta"]["next"]), (vec!["2.png", "1.png"], &json!(null)));
    stage.switch(json!({"plivo": {"paging_links": "absent"}}));
    let body = list(&stage, "?limit=1").await;
    assert_eq!((body["meta"].get("next"), body["meta"].get("previous")), (None, None));
    stage.switch(json!({"plivo": {"paging_links": "hostile"}}));
    let body = list(&stage, "?limit=20").await;
    assert!(body["meta"]["next"].as_str().unwrap().starts_with("https://media-internal.invalid/v1/Account/"));
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let stage = Stage::start().await;
    let id = stage.post_file("mine.png", b"x").await["media_id"].as_str().unwrap().to_owned();
    let other = "SAODM3ZJEWNTK5YJQ4NJ";
    let ask = async |path: &str| {
        let url = format!("{}/v1/Account/{other}{path}", stage.emulator.base_url_plivo());
        stage.http.get(url).basic_auth(other, Some(crate::support::PASSWORD)).send().await.unwrap()
    };
    assert_eq!(json(ask("/Media/").await).await["meta"]["total_count"], 0);
    assert_eq!(ask(&format!("/Media/{id}/")).await.status(), 404);
}
