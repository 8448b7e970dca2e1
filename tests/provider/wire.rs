//! What is sent, compared with what the official clients send (recorded from Bandwidth's Python client 23.3.1 and
//! Plivo's 4.63.0).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use mediakeep::domain::asset::{MediaId, MediaType};
use mediakeep::provider::http::HttpClient;
use mediakeep::provider::{Cursor, Upload, list_all};
use serde_json::json;

use crate::fakes::{ACCOUNT, AUTH_ID, bandwidth, multipart_content, plivo};
use crate::server::{Act, Seen, Server};

pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

pub(crate) fn upload(id: Option<&str>, file_name: &str, content_type: &str) -> Upload {
    Upload {
        id: id.map(|id| MediaId::new(id).unwrap()),
        file_name: file_name.to_owned(),
        content_type: MediaType::new(content_type).unwrap(),
        cache_control: None,
        body: Bytes::from_static(PNG),
        time_limit: Duration::from_secs(10),
    }
}

/// All headers but those that say where and who: a header too many shows as well as one too few.
fn headers(seen: &Seen) -> BTreeMap<String, String> {
    assert!(seen.header("host").unwrap().starts_with("127.0.0.1:"));
    assert_eq!(seen.header("user-agent").unwrap(), concat!("mediakeep/", env!("CARGO_PKG_VERSION")));
    let told = |name: &str| ["host", "user-agent", "authorization"].contains(&name);
    seen.headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !told(name))
        .collect()
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_bandwidth_upload_is_a_put_of_the_raw_bytes() {
    let server = Server::start(|_| Act::reply(204, "")).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let mut request = upload(Some("logo.png"), "logo.png", "image/png");
    request.cache_control = Some("no-cache".to_owned());
    let receipt = provider.upload(request).await.unwrap();

    let seen = server.only();
    assert_eq!(seen.line(), format!("PUT /api/v2/users/{ACCOUNT}/media/logo.png HTTP/1.1"));
    let length = PNG.len().to_string();
    let sent = expected(&[
        ("accept", "application/json"),
        ("cache-control", "no-cache"),
        ("content-length", &length),
        ("content-type", "image/png"),
    ]);
    assert_eq!(headers(&seen), sent);
    assert_eq!(seen.header("authorization"), Some("Basic Ynd1c2VyOmM0bjRyeTpwImFzcy93K29yZA=="));
    assert_eq!(seen.body, PNG);
    assert_eq!(receipt.url, format!("{}/api/v2/users/{ACCOUNT}/media/logo.png", server.url()));
    assert_eq!(receipt.id.as_str(), "logo.png");
}

#[tokio::test]
async fn bandwidth_names_go_out_encoded_by_segment_with_their_slashes() {
    let server = Server::start(|_| Act::reply(204, "")).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let table = [
        ("abc12345-6def/1/1.mp3", "abc12345-6def/1/1.mp3"),
        ("my logo.png", "my%20logo.png"),
        ("löwe-狮子.png", "l%C3%B6we-%E7%8B%AE%E5%AD%90.png"),
        ("a#b.png", "a%23b.png"),
        ("100%.png", "100%25.png"),
        ("a?b&c=d.png", "a%3Fb%26c%3Dd.png"),
        ("a%2Fb.png", "a%252Fb.png"),
        ("a+b.png", "a%2Bb.png"),
        ("a!$'()*,;:@=~_-.png", "a%21%24%27%28%29%2A%2C%3B%3A%40%3D~_-.png"),
    ];
    for (id, sent) in table {
        let receipt = provider.upload(upload(Some(id), "x", "image/png")).await.unwrap();
        let target = format!("/api/v2/users/{ACCOUNT}/media/{sent}");
        assert_eq!(server.seen().last().unwrap().target, target, "{id}");
        assert_eq!(receipt.url, format!("{}{target}", server.url()));
    }
}

#[tokio::test]
async fn a_bandwidth_name_that_leads_elsewhere_is_never_sent() {
    let server = Server::start(|_| Act::reply(204, "")).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let long = "ä".repeat(200);
    for id in ["../x.png", "a/../b.png", "/x.png", "x/", "a//b", ".", "..", "a/.", long.as_str()] {
        let failure = provider.upload(upload(Some(id), "x", "image/png")).await.unwrap_err();
        assert_eq!(failure.class.as_str(), "content-refused", "{id}: {failure}");
        assert_eq!(provider.find(&MediaId::new(id).unwrap()).await.unwrap(), None);
        assert!(provider.delete(&MediaId::new(id).unwrap()).await.is_err());
    }
    assert!(provider.upload(upload(None, "x", "image/png")).await.is_err());
    let mut request = upload(Some("x"), "x", "image/png");
    request.cache_control = Some("no-cache\r\nX-Evil: 1".to_owned());
    assert!(provider.upload(request).await.is_err());
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn bandwidth_is_asked_and_told_without_a_body() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "DELETE" => Act::reply(204, ""),
        _ => Act::reply(200, PNG).with_header("Content-Type", "image/png"),
    })
    .await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let id = MediaId::new("brand/logo.png").unwrap();
    provider.delete(&id).await.unwrap();
    let found = provider.find(&id).await.unwrap().unwrap();
    assert_eq!(found.size, Some(PNG.len() as u64));

    let seen = server.seen();
    let target = format!("/api/v2/users/{ACCOUNT}/media/brand/logo.png");
    assert_eq!(seen[0].line(), format!("DELETE {target} HTTP/1.1"));
    assert_eq!(headers(&seen[0]), expected(&[("accept", "application/json")]));
    assert_eq!(seen[1].line(), format!("GET {target} HTTP/1.1"));
    assert_eq!(headers(&seen[1]), expected(&[("accept", "*/*")]));
    assert!(seen.iter().all(|seen| seen.body.is_empty()));
}

#[tokio::test]
async fn bandwidths_list_goes_on_with_the_token_as_it_came() {
    let server = Server::start(|seen| match seen.header("continuation-token") {
        None => Act::reply(
            200,
            r#"[{"mediaName": "a", "contentLength": 3, "content": "https://evil.example/a", "x": {}}]"#,
        )
        .with_header("Continuation-Token", "NEXT+tok/en=="),
        Some(_) => Act::reply(
            200,
            r#"[{"mediaName": "14762070468292kw2fuqty55yp2b2/0/bw.png"}, {}, {"mediaName": null}]"#,
        ),
    })
    .await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let listed = list_all(&*provider, 10).await.unwrap();

    let seen = server.seen();
    assert_eq!(seen[0].line(), format!("GET /api/v2/users/{ACCOUNT}/media HTTP/1.1"));
    assert_eq!(headers(&seen[0]), expected(&[("accept", "application/json")]));
    let with_token = expected(&[("accept", "application/json"), ("continuation-token", "NEXT+tok/en==")]);
    assert_eq!(headers(&seen[1]), with_token);
    let ids: Vec<&str> = listed.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["a", "14762070468292kw2fuqty55yp2b2/0/bw.png"]);
    assert_eq!((listed[0].size, listed[1].size), (Some(3), None));
    // The list's own links are not repeated.
    assert_eq!(listed[0].url, Some(format!("{}/api/v2/users/{ACCOUNT}/media/a", server.url())));
}

#[tokio::test]
async fn a_list_that_goes_in_circles_ends() {
    let server = Server::start(|_| Act::reply(200, "[]").with_header("Continuation-Token", "string")).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let failure = list_all(&*provider, 1000).await.unwrap_err();
    assert!(failure.detail.contains("in circles"), "{failure}");
    assert_eq!(server.seen().len(), 2);

    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Act::reply(200, "[]").with_header("Continuation-Token", number.to_string())
    })
    .await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    let failure = list_all(&*provider, 7).await.unwrap_err();
    assert!(failure.detail.contains("after 7 pages"), "{failure}");
    assert_eq!(server.seen().len(), 7);
}

fn plivo_object(host: &str) -> serde_json::Value {
    json!({"media_id": "801c2056-33ab-499c-80ef-58b574a462a2", "size": PNG.len(), "status": "success",
        "status_code": 201, "media_url": format!("http://{host}/Media/1")})
}

#[tokio::test]
async fn a_plivo_upload_is_one_file_in_a_form_of_known_length() {
    let server = Server::start(|seen| {
        let object = plivo_object(seen.header("host").unwrap());
        Act::reply(200, json!({"api_id": "x", "objects": [object]}).to_string())
    })
    .await;
    let provider = plivo(&server.url(), &HttpClient::new(), "PASSWORD");
    let table = [
        ("logo.png", "logo.png"),
        ("sub/dir/logo.png", "logo.png"),
        ("my logo.png", "my logo.png"),
        ("löwe-狮子.png", "löwe-狮子.png"),
        ("a;b#c%.png", "a;b#c%.png"),
        ("a\"b.png", "a_b.png"),
        ("a\\b.png", "a_b.png"),
        ("a\r\nX-Evil: 1\r\n\r\n.png", "a__X-Evil: 1____.png"),
    ];
    for (file_name, sent) in table {
        let receipt = provider.upload(upload(None, file_name, "image/png")).await.unwrap();
        assert_eq!(receipt.url, format!("{}/Media/1", server.url()));
        let seen = server.seen().pop().unwrap();
        assert_eq!(seen.line(), format!("POST /v1/Account/{AUTH_ID}/Media/ HTTP/1.1"));
        let content_type = seen.header("content-type").unwrap();
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert!(boundary.len() == 32 && boundary.bytes().all(|byte| byte.is_ascii_hexdigit()), "{boundary}");
        let length = seen.body.len().to_string();
        let others =
            expected(&[("accept", "*/*"), ("content-length", &length), ("content-type", content_type)]);
        assert_eq!(headers(&seen), others);
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{sent}\"\r\n\
             Content-Type: image/png\r\n\r\n"
        );
        assert!(seen.body.starts_with(head.as_bytes()), "{}", String::from_utf8_lossy(&seen.body));
        assert_eq!(multipart_content(&seen), PNG);
        assert_eq!(seen.body.len(), head.len() + PNG.len() + boundary.len() + 8);
    }
}

#[tokio::test]
async fn plivos_list_is_paged_by_offset_whatever_its_links_say() {
    let server = Server::start(|seen| {
        let offset: usize = seen.target.rsplit('=').next().unwrap().parse().unwrap();
        let page =
            (offset..45).take(20).map(|number| json!({"media_id": format!("id-{number}"), "size": number}));
        let meta =
            json!({"limit": 20, "offset": offset, "total_count": 45, "next": "https://evil.example/next"});
        Act::reply(200, json!({"meta": meta, "objects": page.collect::<Vec<_>>()}).to_string())
    })
    .await;
    let provider = plivo(&server.url(), &HttpClient::new(), "PASSWORD");
    let listed = list_all(&*provider, 100).await.unwrap();
    assert_eq!(listed.len(), 45);
    let seen = server.seen();
    let lines: Vec<String> = seen.iter().map(Seen::line).collect();
    let line = |offset| format!("GET /v1/Account/{AUTH_ID}/Media/?limit=20&offset={offset} HTTP/1.1");
    assert_eq!(lines, [line(0), line(20), line(40)]);
    assert_eq!(headers(&seen[0]), expected(&[("accept", "application/json")]));
    assert!(provider.list(Some(Cursor("https://evil.example".to_owned()))).await.is_err());
}

#[tokio::test]
async fn plivos_list_ends_without_a_total_and_with_a_wrong_one() {
    for (meta, objects, requests) in [
        (json!(null), 20, 2),
        (json!({"total_count": 1_000_000}), 20, 2),
        (json!({"total_count": 0}), 20, 1),
        (json!(null), 3, 1),
    ] {
        let server = Server::start(move |seen| {
            let first = seen.target.ends_with("offset=0");
            let page: Vec<_> =
                (0..if first { objects } else { 0 }).map(|n| json!({"media_id": n.to_string()})).collect();
            Act::reply(200, json!({"meta": meta, "objects": page}).to_string())
        })
        .await;
        let provider = plivo(&server.url(), &HttpClient::new(), "PASSWORD");
        assert_eq!(list_all(&*provider, 100).await.unwrap().len(), objects);
        assert_eq!(server.seen().len(), requests);
    }
}

#[tokio::test]
async fn a_plivo_media_is_looked_up_by_its_own_page() {
    let server =
        Server::start(|seen| Act::reply(200, plivo_object(seen.header("host").unwrap()).to_string())).await;
    let provider = plivo(&server.url(), &HttpClient::new(), "PASSWORD");
    let id = MediaId::new("801c2056-33ab-499c-80ef-58b574a462a2").unwrap();
    assert!(provider.find(&id).await.unwrap().is_some());
    assert_eq!(server.only().line(), format!("GET /v1/Account/{AUTH_ID}/Media/{id}/ HTTP/1.1"));
    // Another media than the one asked for is no answer.
    assert!(provider.find(&MediaId::new("a/../b").unwrap()).await.is_err());
    assert_eq!(server.seen()[1].target, format!("/v1/Account/{AUTH_ID}/Media/a%2F..%2Fb/"));
    assert!(provider.delete(&id).await.is_err());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn connections_are_kept_and_no_more_are_opened_than_uploads_run() {
    let server = Server::start(|_| Act::reply(204, "")).await;
    let provider = bandwidth(&server.url(), &HttpClient::new(), "PASSWORD");
    for number in 0..10 {
        provider.upload(upload(Some(&format!("{number}.png")), "x", "image/png")).await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
    for _ in 0..5 {
        let uploads =
            (0..16).map(|number| provider.upload(upload(Some(&format!("{number}.png")), "x", "image/png")));
        futures_util::future::try_join_all(uploads).await.unwrap();
    }
    let connections = server.seen().iter().map(|seen| seen.connection).max().unwrap() + 1;
    assert!(connections <= 3 * 16, "{connections} connections for 90 uploads, 16 of them at once");
}
