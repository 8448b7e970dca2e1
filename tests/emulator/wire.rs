//! What is below HTTP's surface: addresses, connections, hostile bytes.

use std::time::Duration;

use mediakeep::emulator::Emulator;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{PASSWORD, Stage, basic, options};

#[tokio::test]
async fn it_listens_on_loopback_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let (mut options, _) = options();
        options.listen = address.parse().unwrap();
        let error = Emulator::start(options).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains(address) && text.contains("use 127.0.0.1:0"), "{text}");
    }
}

#[tokio::test]
async fn a_taken_port_and_a_senseless_switch_are_errors() {
    let stage = Stage::start().await;
    let (mut taken, _) = options();
    taken.listen = stage.emulator.addr();
    let address = taken.listen.to_string();
    let error = Emulator::start(taken).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address), "{error}");
    let (mut senseless, _) = options();
    senseless.switches.bandwidth.page_size = 0;
    assert_eq!(Emulator::start(senseless).await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn stopping_frees_the_port_and_cuts_what_hangs() {
    let stage = Stage::start().await;
    let address = stage.emulator.addr();
    stage.fault(json!({"action": "hang"}));
    let request = stage.media(Method::GET, "a.png");
    let hanging = tokio::spawn(request.send());
    while stage.emulator.control().requests_total() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut idle = TcpStream::connect(address).await.unwrap();
    stage.emulator.stop().await;
    let error = hanging.await.unwrap().unwrap_err();
    assert!(!error.is_timeout(), "cut, not given up: {error}");
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    let (mut again, _) = options();
    again.listen = address;
    assert_eq!(Emulator::start(again).await.unwrap().addr(), address);
}

#[tokio::test]
async fn dropping_it_ends_it() {
    let stage = Stage::start().await;
    let mut idle = TcpStream::connect(stage.emulator.addr()).await.unwrap();
    // A whole exchange, so that the connection has been accepted.
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 4096]).await.unwrap() > 0);
    drop(stage.emulator);
    assert_eq!(idle.read(&mut [0; 4096]).await.unwrap_or(0), 0);
}

fn put_head(auth: &str, extra: &str) -> String {
    format!(
        "PUT /api/v2/users/1/media/a.png HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\n\
         Content-Type: image/png\r\nContent-Length: 3\r\nConnection: close\r\n{extra}\r\n"
    )
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_before_it_sends_the_body() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(stage.emulator.addr()).await.unwrap();
    let head = put_head(&basic("u", PASSWORD), "Expect: 100-continue\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 204 "), "{rest}");
}

#[tokio::test]
async fn a_client_that_waits_is_refused_without_its_body() {
    let stage = Stage::start().await;
    let head = put_head(&basic("u", "wrong"), "Expect: 100-continue\r\n");
    let reply = stage.raw(head.as_bytes()).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 401 "), "{reply}");
}

#[tokio::test]
async fn a_body_beyond_all_limits_is_not_read() {
    let stage = Stage::start().await;
    let auth = basic("u", PASSWORD);
    let head = put_head(&auth, "").replace("Content-Length: 3", "Content-Length: 99999999999");
    let reply = stage.raw(head.as_bytes()).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.contains("connection: close"), "{reply}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_stores_nothing() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(stage.emulator.addr()).await.unwrap();
    stream.write_all(put_head(&basic("u", PASSWORD), "").as_bytes()).await.unwrap();
    stream.write_all(b"ab").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    assert!(!reply.starts_with(b"HTTP/1.1 2"));
    assert!(stage.emulator.control().media().is_empty());
}

#[tokio::test]
async fn hostile_bytes_are_answered_with_an_error_and_the_next_request_is_fine() {
    let stage = Stage::start().await;
    let auth = basic("MAZTQ4NJRHOWY3ODK2MT", PASSWORD);
    let boundary = "Content-Type: multipart/form-data; boundary=";
    let post = |content: &str, body: &str| {
        format!(
            "POST /v1/Account/MAZTQ4NJRHOWY3ODK2MT/Media/ HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\n\
             {content}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let requests: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1_000_000)).into_bytes(),
        format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500)).into_bytes(),
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        b"PUT /api/v2/users/%/media/%00%ff%.png HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /api/v2/users/1/media HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\xff\r\nConnection: close\r\n\r\n"
            .to_vec(),
        b"GET //_emulator//clock HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        post(boundary, "x"),
        post(&format!("{boundary}{}", "b".repeat(5000)), "--b"),
        post(&format!("{boundary}B"), &"--B\r\n".repeat(10_000)),
        post(&format!("{boundary}B"), &format!("--B\r\n{}\r\n\r\n--B--", "X: y\r\n".repeat(1000))),
        post(&format!("{boundary}B"), "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\\\"\r\n\r\nx\r\n--B--"),
        b"PUT /api/v2/users/1/media/a.png HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nZZ\r\n"
            .to_vec(),
    ];
    for request in requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        // A cut connection is an answer too; a success is not.
        if let Ok(reply) = stage.raw(&request).await {
            let status = reply.get(9..10).unwrap_or("none");
            assert!(["4", "none"].contains(&status), "{shown}: {reply}");
        }
        assert_eq!(stage.put("fine.png", b"abc").await.status(), 204, "{shown}");
    }
}
