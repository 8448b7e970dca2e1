//! Health, metrics and the page over HTTP, of the real binary: through a failure and a recovery, by address and by
//! socket.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mediakeep::domain::time::Timestamp;

use crate::stage::{LIFE, PASSWORD, Stage, pause, put};

/// Somebody answers there.
trait Line: std::io::Read + std::io::Write {}
impl<L: std::io::Read + std::io::Write> Line for L {}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

fn ask_on(mut line: impl Line, host: &str, path: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    line.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn ask(address: &str, path: &str) -> Reply {
    ask_on(TcpStream::connect(address).unwrap(), address, path)
}

/// An address where nobody listens. Its port lies below those that the system hands out, so that no other test is given
/// it in the meantime.
fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut addresses = std::iter::repeat_with(|| {
        let number = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        format!("127.0.0.1:{}", 20_000 + number % 10_000)
    });
    addresses.by_ref().take(1_000).find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

fn until_status(stage: &Stage, address: &str, path: &str, status: u16) -> Reply {
    let mut last = None;
    stage.until(&format!("{path} answers {status}"), || {
        let Ok(line) = TcpStream::connect(address) else { return false };
        let reply = ask_on(line, address, path);
        let fits = reply.status == status;
        last = Some(reply);
        fits
    });
    last.unwrap()
}

/// The value of a metric, by its name with its labels.
fn metric(address: &str, name: &str) -> Option<f64> {
    let text = ask(address, "/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.map(|value| value.parse().unwrap())
}

#[test]
fn health_and_metrics_follow_a_failure_and_a_recovery() {
    let address = free_address();
    let stage = Stage::with_config(&format!("[serve]\nlisten = \"{address}\"\n"));
    // Plivo's token is in a file, so that it can be replaced.
    let config = stage.beside("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    put(&config, &text.replace("{ env = \"PLIVO_AUTH_TOKEN\" }", "{ file = \"token\" }"));
    put(&stage.beside("token"), "yesterdays-token");
    let mut daemon = stage.run_with_config();
    let refused = until_status(&stage, &address, "/readyz", 503);
    assert!(!refused.body.is_empty());
    stage.until("it says why", || ask(&address, "/readyz").body.contains("plivo: credentials-refused"));
    assert_eq!(ask(&address, "/livez").status, 200, "a restart would help nobody");
    let value = |name: &str| metric(&address, name);
    assert_eq!(value("mediakeep_credentials_accepted{provider=\"plivo\"}"), Some(0.0));
    assert_eq!(value("mediakeep_ready"), Some(0.0));
    assert!(value("mediakeep_requests_total{provider=\"plivo\",status=\"401\"}").unwrap() >= 1.0);
    assert!(
        value("mediakeep_upload_failures_total{provider=\"plivo\",class=\"credentials-refused\"}").unwrap()
            >= 1.0
    );
    assert_eq!(value("mediakeep_uploads_total{provider=\"plivo\"}"), Some(0.0));
    assert_eq!(value("mediakeep_entries{provider=\"plivo\",state=\"failing\"}"), Some(1.0));

    put(&stage.beside("token"), PASSWORD);
    daemon.signal("HUP");
    stage.until_content("logo.png", "plivo", "logo");
    until_status(&stage, &address, "/readyz", 200);
    stage.until("it is counted", || value("mediakeep_uploads_total{provider=\"plivo\"}") == Some(1.0));
    assert_eq!(value("mediakeep_credentials_accepted{provider=\"plivo\"}"), Some(1.0));
    assert_eq!(value("mediakeep_entries{provider=\"plivo\",state=\"alive\"}"), Some(1.0));
    assert_eq!(value("mediakeep_ready"), Some(1.0));
    let expiry = value("mediakeep_nearest_expiry_timestamp_seconds{provider=\"plivo\"}").unwrap();
    let nearest = (stage.now() - LIFE).saturating_since(Timestamp::from_unix_ms(0)).as_secs_f64();
    let furthest = nearest + 2.0 * LIFE.as_secs_f64();
    assert!((nearest..furthest).contains(&expiry), "{expiry}");
    let renewed = "mediakeep_renewals_total{provider=\"plivo\",source=\"file\"}";
    stage.until("a renewal is counted", || value(renewed).unwrap() >= 1.0);

    // A provider that is down is no reason yet; a URL that is past its deadline is.
    stage
        .fault(serde_json::json!({"provider": "plivo", "count": null, "action": {"reply": {"status": 503}}}));
    stage.until("a URL is past its deadline", || ask(&address, "/readyz").body.contains("past the deadline"));
    assert_eq!(value("mediakeep_entries{provider=\"plivo\",state=\"lapsed\"}"), Some(1.0));
    assert!(ask(&address, "/").body.contains("lapsed"));
    stage.until("it is told", || value("mediakeep_lapses_total{provider=\"plivo\"}") == Some(1.0));
    for path in ["/", "/metrics", "/readyz", "/livez", "/nothing"] {
        let reply = ask(&address, path);
        let said = reply.head + &reply.body;
        assert!(!said.contains(PASSWORD) && !said.contains("yesterdays-token"), "{path}: {said}");
    }
    daemon.stop();
    assert!(!stage.log().contains(PASSWORD));
}

#[test]
fn a_config_that_breaks_shows_in_metrics_and_page_and_not_in_readiness() {
    let address = free_address();
    let serve = format!("[serve]\nlisten = \"{address}\"\n");
    let stage = Stage::with_config(&serve);
    let mut daemon = stage.run_with_config();
    until_status(&stage, &address, "/readyz", 200);
    let usable = || metric(&address, "mediakeep_manifest_last_reload_successful");
    let succeeded = || metric(&address, "mediakeep_manifest_last_reload_success_timestamp_seconds").unwrap();
    assert_eq!(usable(), Some(1.0));
    let first = succeeded();
    let now = stage.now().saturating_since(Timestamp::from_unix_ms(0)).as_secs_f64();
    assert!((0.0..60.0).contains(&(now - first)), "{first} at {now}");

    stage.config(&format!("{serve}allow = \"{PASSWORD}\"\n"));
    stage.until("it shows in the metrics", || usable() == Some(0.0));
    assert!(succeeded() >= first, "it is still told");
    let page = ask(&address, "/").body;
    let config = stage.beside("config.toml");
    let notice = format!("<li>the config {} cannot be used since 2", config.display());
    assert!(page.contains(&notice) && page.contains("unknown key"), "{page}");
    assert!(!page.contains(PASSWORD), "{page}");
    assert_eq!(ask(&address, "/readyz").status, 200, "what is published lives on");
    daemon.stop();

    // From the start on it is the same.
    let mut daemon = stage.run_with_config();
    until_status(&stage, &address, "/readyz", 200);
    assert_eq!(usable(), Some(0.0));
    assert_eq!(metric(&address, "mediakeep_manifest_last_reload_success_timestamp_seconds"), None);
    stage.config(&serve);
    stage.until("it is mended", || usable() == Some(1.0));
    assert!(succeeded() >= first);
    assert!(!ask(&address, "/").body.contains("cannot be used"));
    daemon.stop();
}

#[test]
fn the_page_shows_every_entry_and_only_to_those_it_is_meant_for() {
    let address = free_address();
    let stage =
        Stage::with_config(&format!("[serve]\nlisten = \"{address}\"\nhosts = [\"media.example\"]\n"));
    stage.put("<script>x.png", "script");
    let mut daemon = stage.run_with_config();
    stage.until_content("logo.png", "plivo", "logo");
    stage.until_content("<script>x.png", "plivo", "script");
    let url = stage.url("logo.png", "plivo").unwrap();
    stage.until("the page shows it", || ask(&address, "/").body.contains(&url));
    let Reply { status, head, body } = ask(&address, "/");
    assert_eq!(status, 200);
    assert!(body.contains("logo.png") && body.contains("2 entries alive"), "{body}");
    assert!(body.contains("&lt;script&gt;x.png") && !body.contains("<script"), "{body}");
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'self';",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header}\n{head}");
    }
    let style = ask(&address, "/style.css");
    assert!(
        style.status == 200 && style.head.contains("text/css") && style.body.contains("prefers-color-scheme")
    );
    let of = |host: &str, path: &str| ask_on(TcpStream::connect(&address).unwrap(), host, path).status;
    for path in ["/", "/metrics", "/livez", "/readyz", "/style.css", "/nothing"] {
        assert_eq!(of("evil.example", path), 421, "{path}");
    }
    assert_eq!(
        [of("localhost", "/"), of("MEDIA.example:80", "/"), of(&address, "/nothing")],
        [200, 200, 404]
    );
    let mut line = TcpStream::connect(&address).unwrap();
    line.write_all(
        format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )
    .unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 405"), "{text}");
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn a_socket_is_for_its_group_replaces_what_a_crash_left_and_goes_with_the_daemon() {
    let stage = Stage::with_config("");
    let socket = stage.beside("http.sock");
    stage.config("[serve]\nlisten = \"unix:http.sock\"\n");
    // Nobody listens any more, and the name is still there.
    drop(UnixListener::bind(&socket).unwrap());
    let mut daemon = stage.run_with_config();
    stage.until_content("logo.png", "plivo", "logo");
    stage.until("it answers", || UnixStream::connect(&socket).is_ok());
    stage.until("it is ready", || at(&socket, "/readyz").status == 200);
    assert!(at(&socket, "/").body.contains("logo.png"));
    let there = std::fs::metadata(&socket).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o777, 0o660);
    daemon.kill();
    assert!(socket.exists(), "a crash leaves it behind");
    let mut daemon = stage.run_with_config();
    stage.until("it answers again", || UnixStream::connect(&socket).is_ok());
    daemon.stop();
    assert!(!socket.exists());
}

/// By any name, because no browser gets there.
fn at(socket: &Path, path: &str) -> Reply {
    ask_on(UnixStream::connect(socket).unwrap(), "whatever.example", path)
}

#[test]
fn an_address_that_is_not_to_be_had_is_told_and_ends_nothing_else() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let held_by = tempfile::tempdir().unwrap();
    let file = held_by.path().join("file.sock");
    put(&file, "somebody's file");
    let socket = held_by.path().join("held.sock");
    let _held = UnixListener::bind(&socket).unwrap();
    let unix = |path: &Path| format!("unix:{}", path.display());
    for (listen, said) in [
        (address, "cannot listen on 127.0.0.1"),
        (unix(&file), "is no socket"),
        (unix(&socket), "another program answers there"),
    ] {
        let stage = Stage::with_config(&format!("[serve]\nlisten = \"{listen}\"\n"));
        let mut daemon = stage.run_with_config();
        stage.until_content("logo.png", "plivo", "logo");
        stage.until("it is told", || daemon.said().contains(said));
        assert!(
            daemon.said().contains("[serve]") && daemon.said().contains("nothing is served"),
            "{}",
            daemon.said()
        );
        daemon.stop();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "somebody's file");
}

#[test]
fn another_address_is_followed_by_a_reload_and_a_bad_one_leaves_the_old() {
    let [first, second] = [free_address(), free_address()];
    let table = |address: &str| format!("[serve]\nlisten = \"{address}\"\n");
    // Off at first.
    let stage = Stage::with_config("");
    let mut daemon = stage.run_with_config();
    stage.until_content("logo.png", "plivo", "logo");
    assert!(TcpStream::connect(&first).is_err());
    stage.config(&table(&first));
    daemon.signal("HUP");
    until_status(&stage, &first, "/readyz", 200);
    assert_eq!(metric(&first, "mediakeep_uploads_total{provider=\"plivo\"}"), Some(1.0), "counted before");
    stage.config(&table(&second));
    daemon.signal("HUP");
    until_status(&stage, &second, "/readyz", 200);
    stage.until("the first one is free", || TcpStream::connect(&first).is_err());

    let taken = TcpListener::bind(&first).unwrap();
    stage.config(&table(&first));
    daemon.signal("HUP");
    daemon.until_says("what was served before still is");
    assert_eq!(ask(&second, "/readyz").status, 200);
    drop(taken);
    stage.config(&(table(&second) + "hosts = [\"media.example\"]\n"));
    daemon.signal("HUP");
    let named = || ask_on(TcpStream::connect(&second).unwrap(), "media.example", "/livez").status;
    stage.until("the name counts", || named() == 200);
    stage.config("");
    daemon.signal("HUP");
    stage.until("nobody answers", || TcpStream::connect(&second).is_err());
    pause(Duration::from_millis(200));
    daemon.stop();
    stage.nobody_was_let_down();
}

#[test]
fn the_same_port_of_all_addresses_is_followed_by_a_reload() {
    let address = free_address();
    let stage = Stage::with_config(&format!("[serve]\nlisten = \"{address}\"\n"));
    let mut daemon = stage.run_with_config();
    until_status(&stage, &address, "/livez", 200);
    let (_, port) = address.split_once(':').unwrap();
    stage.config(&format!("[serve]\nlisten = \"0.0.0.0:{port}\"\n"));
    daemon.signal("HUP");
    let elsewhere = format!("127.0.0.2:{port}");
    stage.until("it answers at another address of this machine", || TcpStream::connect(&elsewhere).is_ok());
    until_status(&stage, &address, "/livez", 200);
    daemon.stop();
}

#[test]
fn many_who_say_nothing_keep_nobody_else_from_being_renewed_and_make_no_flood() {
    let address = free_address();
    let stage = Stage::with_config(&format!("[serve]\nlisten = \"{address}\"\n"));
    let mut daemon = stage.run_with_config();
    stage.until_content("logo.png", "plivo", "logo");
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let first = stage.uploaded_at("logo.png", "plivo").unwrap();
    stage.until_uploaded_after("logo.png", "plivo", first);
    let handles = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    assert!(handles < 100, "{handles} open files");
    drop(silent);
    until_status(&stage, &address, "/livez", 200);
    daemon.stop();
    stage.nobody_was_let_down();
}
