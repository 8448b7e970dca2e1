//! A server on loopback that shows every byte it gets, and answers as it is told: also in ways that no server
//! library would.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) raw: Vec<u8>,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection it came in on, counted from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {} {}", self.method, self.target, self.version)
    }
}

/// What to do about a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answer properly.
    Reply { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// Write these bytes, and close the connection.
    Raw(Vec<u8>),
    /// Write these bytes, then go on writing the second ones until nobody reads any more.
    Endless(Vec<u8>, Vec<u8>),
    /// Write these bytes, then nothing, and keep the connection.
    Stall(Vec<u8>),
    /// Write these bytes, then one more every few milliseconds until nobody reads any more.
    Drip(Vec<u8>),
    /// Close the connection without a word.
    HangUp,
    /// Reset the connection.
    Reset,
}

impl Act {
    pub(crate) fn reply(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }
}

type Handler = dyn Fn(&Seen) -> Act + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let handler: Arc<Handler> = Arc::new(handler);
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, number, Arc::clone(&log), Arc::clone(&handler)));
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "one request: {seen:?}");
        seen.remove(0)
    }

    pub(crate) fn bytes_seen(&self) -> usize {
        self.seen.lock().unwrap().iter().map(|seen| seen.raw.len()).sum()
    }
}

async fn serve(mut stream: TcpStream, connection: usize, log: Arc<Mutex<Vec<Seen>>>, handler: Arc<Handler>) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut stream, &mut buffer, connection).await {
        let act = handler(&seen);
        log.lock().unwrap().push(seen);
        if perform(&mut stream, act).await.is_none() {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let head_end = loop {
        if let Some(position) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break position + 4;
        }
        read_more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next()?.splitn(3, ' ').map(str::to_owned);
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let length = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < head_end + length {
        read_more(stream, buffer).await?;
    }
    let raw: Vec<u8> = buffer.drain(..head_end + length).collect();
    let body = raw[head_end..].to_vec();
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    Some(Seen { raw, method, target, version, headers, body, connection })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = vec![0; 65536];
    let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&chunk[..count]);
    Some(())
}

/// `None` where the connection is over.
async fn perform(stream: &mut TcpStream, act: Act) -> Option<()> {
    match act {
        Act::Reply { status, headers, body } => {
            let mut lines = vec![format!("HTTP/1.1 {status} X")];
            let has_body = status != 204 && status != 304;
            if has_body {
                lines.push(format!("Content-Length: {}", body.len()));
            }
            lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
            let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
            if has_body {
                bytes.extend_from_slice(&body);
            }
            stream.write_all(&bytes).await.ok()
        }
        Act::Raw(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            let _closed = stream.shutdown().await;
            None
        }
        Act::Endless(first, again) => {
            stream.write_all(&first).await.ok()?;
            while stream.write_all(&again).await.is_ok() {}
            None
        }
        Act::Stall(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            // Until the other side gives up.
            let mut rest = [0; 16];
            let _count = stream.read(&mut rest).await;
            None
        }
        Act::Drip(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            None
        }
        Act::HangUp => None,
        Act::Reset => {
            stream.set_zero_linger().unwrap();
            None
        }
    }
}
