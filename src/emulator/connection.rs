//! Connections that can be cut: the listener hands out sockets that a request's handler, or the emulator's end,
//! can reset or close in the middle of anything. That is how a network really fails; no reply shows it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// With a TCP reset: what the other side has not read may be lost.
    Reset,
    /// With an orderly end of the stream.
    Close,
}

const OPEN: u8 = 0;
const RESET: u8 = 1;
const CLOSED: u8 = 2;

/// The handle on a connection that each of its requests gets.
#[derive(Clone)]
pub(super) struct Line(Arc<Shared>);

struct Shared {
    state: AtomicU8,
    /// How many more bytes may be written before the cut.
    allowance: AtomicU64,
    /// The connection's task. It reads and writes in one task, so one waker is enough.
    waker: AtomicWaker,
}

impl Line {
    fn new() -> Self {
        let shared =
            Shared { state: AtomicU8::new(OPEN), allowance: AtomicU64::new(0), waker: AtomicWaker::new() };
        Self(Arc::new(shared))
    }

    /// Cuts the connection now.
    pub(super) fn cut(&self, how: Cut) {
        self.cut_after(0, how);
    }

    /// Cuts the connection once so many more bytes have been written. Nothing is read any more.
    pub(super) fn cut_after(&self, bytes: u64, how: Cut) {
        self.0.allowance.store(bytes, Ordering::SeqCst);
        let state = if how == Cut::Reset { RESET } else { CLOSED };
        self.0.state.store(state, Ordering::SeqCst);
        self.0.waker.wake();
    }

    fn is_cut(&self) -> bool {
        self.0.state.load(Ordering::SeqCst) != OPEN
    }

    /// How many of `wanted` bytes may be written; an error once the connection is cut.
    fn allow(&self, wanted: usize) -> io::Result<usize> {
        if !self.is_cut() {
            return Ok(wanted);
        }
        let left = self.0.allowance.load(Ordering::SeqCst);
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the emulator cut this connection"));
        }
        Ok(wanted.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    fn wrote(&self, bytes: usize) {
        if self.is_cut() {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let left = self.0.allowance.load(Ordering::SeqCst);
            self.0.allowance.store(left.saturating_sub(bytes), Ordering::SeqCst);
        }
    }
}

impl Connected<IncomingStream<'_, Doorman>> for Line {
    fn connect_info(stream: IncomingStream<'_, Doorman>) -> Self {
        stream.io().line.clone()
    }
}

/// The connections that are open, so that the emulator's end can cut them.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Register>>);

#[derive(Default)]
struct Register {
    closed: bool,
    next: u64,
    open: HashMap<u64, Line>,
}

impl Lines {
    /// Cuts every connection, and every one that comes from now on.
    pub(super) fn close(&self) {
        let mut register = self.lock();
        register.closed = true;
        for line in register.open.values() {
            line.cut(Cut::Close);
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.lock().open.len()
    }

    fn enter(&self, line: &Line) -> u64 {
        let mut register = self.lock();
        if register.closed {
            line.cut(Cut::Close);
        }
        register.next += 1;
        let number = register.next;
        register.open.insert(number, line.clone());
        number
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        // Nothing under this lock can leave the register half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listener: lets connections in and enters them in the register.
pub(super) struct Doorman {
    pub(super) listener: TcpListener,
    pub(super) lines: Lines,
}

impl Listener for Doorman {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (Connection::new(stream, &self.lines), peer),
                // A failed connection is its own affair; out of file handles, waiting is all that helps.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A socket that can be cut.
pub(super) struct Connection {
    stream: TcpStream,
    line: Line,
    lines: Lines,
    number: u64,
}

impl Connection {
    fn new(stream: TcpStream, lines: &Lines) -> Self {
        // Without it small replies wait for an acknowledgement; where it fails they are merely slower.
        let _ = stream.set_nodelay(true);
        let line = Line::new();
        let number = lines.enter(&line);
        Self { stream, line, lines: lines.clone(), number }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.lines.lock().open.remove(&self.number);
        if self.line.0.state.load(Ordering::SeqCst) == RESET {
            // Where it fails the stream ends in an orderly way, which is a cut too.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.0.waker.register(context.waker());
        if self.line.is_cut() {
            // Only the end of what may still be written ends the connection.
            return match self.line.allow(1) {
                Ok(_) => Poll::Pending,
                Err(cut) => Poll::Ready(Err(cut)),
            };
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.0.waker.register(context.waker());
        let allowed = self.line.allow(bytes.len())?;
        let wrote = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed]))?;
        self.line.wrote(wrote);
        Poll::Ready(Ok(wrote))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.0.waker.register(context.waker());
        self.line.allow(1)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An orderly end must not come before a reset.
        self.line.allow(1)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn pair() -> (TcpStream, Connection, Lines) {
        let lines = Lines::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (connection, _) = Doorman { listener, lines: lines.clone() }.accept().await;
        (client, connection, lines)
    }

    #[tokio::test]
    async fn closing_wakes_a_connection_that_waits_for_bytes() {
        let (_client, mut connection, lines) = pair().await;
        let reading = tokio::spawn(async move { connection.read(&mut [0]).await });
        // On one thread the reader runs here until it waits.
        tokio::task::yield_now().await;
        lines.close();
        let read = reading.await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(lines.open(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_comes_after_the_end_is_cut() {
        let (_client, _first, lines) = pair().await;
        lines.close();
        let late = Line::new();
        lines.enter(&late);
        assert!(late.allow(1).is_err());
    }

    #[tokio::test]
    async fn so_many_bytes_are_still_written_before_the_cut() {
        let (mut client, mut connection, _lines) = pair().await;
        connection.line.cut_after(5, Cut::Close);
        assert!(connection.write_all(b"HTTP/1.1").await.is_err());
        drop(connection);
        let mut received = String::new();
        client.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "HTTP/");
    }
}
