//! Listens, lets connections in, and bounds how many there are and how long each of them may take.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::answers::{Context, router};
use super::host::Arrival;
use crate::domain::manifest::Listen;

/// Why nobody can be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    /// The system refuses it.
    #[error(
        "cannot listen on {place}; choose another `listen` in [serve], or make sure that it is free and its folder there"
    )]
    Refused {
        /// Where.
        place: Listen,
        /// Why.
        source: io::Error,
    },
    /// Somebody answers there already.
    #[error("cannot listen on unix:{}: another program answers there; choose another `listen` in [serve]", .0.display())]
    InUse(PathBuf),
    /// Something else is in the socket's place, which is not ours to replace.
    #[error("cannot listen on unix:{}: what is there is no socket; move it away, or choose another `listen` in [serve]", .0.display())]
    NoSocket(PathBuf),
}

/// An open socket and those who came to it.
pub(super) struct Listening {
    place: Listen,
    /// Closed where it is to end.
    open: watch::Sender<()>,
    task: JoinHandle<()>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    pub(super) async fn start(place: &Listen, context: &Arc<Context>) -> Result<Self, ListenError> {
        let refused = |source| ListenError::Refused { place: place.clone(), source };
        let socket = match place {
            Listen::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await.map_err(refused)?),
            Listen::Unix(path) => {
                make_room(path).await?;
                Socket::Unix(bind(path).map_err(refused)?)
            }
        };
        tracing::info!(listen = %place, "serving health, metrics and a page");
        let (open, closed) = watch::channel(());
        let task = tokio::spawn(accept(socket, router(context), closed));
        Ok(Self { place: place.clone(), open, task })
    }

    pub(super) const fn place(&self) -> &Listen {
        &self.place
    }

    /// Lets nobody in any more, and takes the socket away.
    pub(super) async fn stop(self) {
        drop(self.open);
        drop(self.task.await);
        if let Listen::Unix(path) = self.place {
            // Whoever took it away before us did the same.
            drop(std::fs::remove_file(path));
        }
    }
}

/// Makes sure that nobody answers at a socket of that name; what a crash left behind is no hindrance.
async fn make_room(path: &Path) -> Result<(), ListenError> {
    let Ok(there) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !there.file_type().is_socket() {
        return Err(ListenError::NoSocket(path.to_owned()));
    }
    match tokio::time::timeout(Duration::from_secs(1), UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(Err(source)) => Err(ListenError::Refused { place: Listen::Unix(path.to_owned()), source }),
        Ok(Ok(_)) | Err(_) => Err(ListenError::InUse(path.to_owned())),
    }
}

/// A socket that only its owner and group can connect to, from its first moment on: it gets its name when it is ready.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // Left behind by a crash between these lines, if at all.
    drop(std::fs::remove_file(&new));
    let socket = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    rustix::fs::rename(&new, path)?;
    Ok(socket)
}

async fn accept(socket: Socket, router: Router, closed: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut closing = closed.clone();
    loop {
        // Whoever finds no place waits in the system's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            _ = closing.changed() => return,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, arrival)) = accepted else {
            // No file handles are left, say: that passes.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (router, closed) = (router.clone(), closed.clone());
        tokio::spawn(async move {
            serve(stream, arrival, router, closed).await;
            drop(place);
        });
    }
}

/// Answers on one connection until it ends, or its time is up.
async fn serve(stream: Box<dyn Stream>, arrival: Arrival, router: Router, mut closed: watch::Receiver<()>) {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);
    let service = TowerToHyperService::new(router.layer(axum::Extension(arrival)));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // An error is a client that went away or made no sense: its own affair.
        _ = connection.as_mut() => return,
        _ = closed.changed() => {}
        () = tokio::time::sleep(CONNECTION_TIME_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(LAST_ANSWER_TIME_MAX, connection).await);
}

impl Socket {
    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Arrival)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let at = stream.local_addr()?.ip().to_canonical();
                Ok((Box::new(stream), Arrival::Address(at)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Arrival::Socket))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

const SOCKET_MODE: u32 = 0o660;
/// A few scrapers, probes and people.
const CONNECTIONS_MAX: usize = 32;
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// After that a connection ends with its next answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(600);
const LAST_ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the server's end may take.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(1);
