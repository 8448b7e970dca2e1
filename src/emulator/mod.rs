//! A faithful Bandwidth and Plivo on loopback: same paths, statuses, headers, bodies, limits and retention, with a
//! clock that can be moved and faults that can be scripted. It knows nothing of the rest of this program, and it
//! never listens to the network.
//!
//! | what | where |
//! |---|---|
//! | Bandwidth's media | `/api/v2/users/{account}/media[/{id}]` |
//! | Bandwidth's tokens | `/api/v1/oauth2/token` |
//! | Plivo's media and messages | `/v1/Account/{auth_id}/Media/[{id}/]`, `/v1/Account/{auth_id}/Message/` |
//! | the bytes of Plivo's media | `/media-host/Account/{auth_id}/Media/{id}` |
//! | control | `/_emulator/…` |
//!
//! One password serves all: any user of Bandwidth's Basic credentials, its client secret, and the auth token of any
//! well-shaped auth ID.
//!
//! # Control API
//!
//! JSON in and out. A mistake in a request is 400 with `{"error": "…"}` and changes nothing; unknown fields are
//! mistakes. A length of time is a text such as `"24s"` or a number of seconds.
//!
//! | request | body | effect and reply |
//! |---|---|---|
//! | `GET /_emulator/` | | `{"control": […]}`: this list |
//! | `GET clock` | | `{"now": "…", "ahead": "0s"}` |
//! | `POST clock` | `{"advance": "24h"}` | moves the clock forward |
//! | `GET switches` | | every [switch](Switches) with its value |
//! | `POST switches` | `{"bandwidth": {"strict_slash": false}}` | changes those; what is stored keeps its end of life |
//! | `GET faults` | | the faults that are still to be played |
//! | `POST faults` | one [fault](Fault), or a list of them | adds them to the script |
//! | `DELETE faults` | | empties the script |
//! | `GET requests` | | `{"total": 3, "requests": […]}`: the last [requests](RequestRecord) |
//! | `DELETE requests` | | forgets them; `total` goes on |
//! | `GET media` | | `{"media": […]}`: what is [stored](MediaRecord), and the last that was |
//! | `POST media` | `{"account": …, "id": …, "content_type": …, "text": …}` | an inbound media at Bandwidth |
//! | `DELETE media` | `{"provider": …, "account": …, "id": …}` | loses a media before its time |
//! | `POST send` | `{"media": ["URL", …]}` | what a message would [send](SentMedia); `null` for what is not available |
//! | `POST reset` | | everything as at the start, the clock included |
//!
//! A fault says what it meets (`provider`, `method`, a part of `path`; all optional), how many such requests it lets
//! pass first (`skip`) and how many it meets (`count`; 1 by default, `null` for all), a `delay` in real time, and an
//! `action`. The first fault that fits is played, one at most for a request. Actions:
//!
//! ```json
//! {"provider": "bandwidth", "method": "PUT", "action": {"reply": {"status": 503, "headers": {"Retry-After": "5"}, "body": ""}}}
//! {"path": "/Media/", "count": 3, "action": "html"}
//! {"action": {"empty": 502}}
//! {"action": {"wrong_type": "text/html"}}
//! {"action": {"reset": "head"}}
//! {"action": {"reset": "request_body"}}
//! {"action": {"reset": "reply_body"}}
//! {"action": "half_body"}
//! {"action": "lost_reply"}
//! {"action": "hang"}
//! {"count": null, "delay": "200ms"}
//! ```

mod api;
mod bandwidth;
mod body;
mod clock;
mod connection;
mod control;
mod exchange;
mod faults;
mod length;
mod options;
mod plivo;
mod rate;
mod record;
mod request_log;
mod server;
mod shelf;
mod switch_words;
mod switches;
mod world;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::clock::{Clock, NowFn};
use self::connection::{Doorman, Line, Lines};
pub use self::control::{Control, SentMedia};
pub use self::faults::{Action, Fault, MadeUp, ResetPoint, ScriptedFault, SenselessFault};
pub use self::length::Length;
pub use self::options::{NotARetention, Options, ProviderKind, RetentionArg};
pub use self::record::MediaRecord;
pub use self::request_log::RequestRecord;
pub use self::switches::{
    BandwidthNotFound, BandwidthSwitches, BandwidthUnauthorized, DownloadType, Head, ListOrder, ObjectOrder,
    Oversize, PagingLinks, PlivoNotFound, PlivoSwitches, PlivoTypes, PlivoUnauthorized, RateHeader,
    RateLimit, Refusal, Removal, SwitchError, Switches, UrlField,
};
use self::world::Shared;

/// A running emulator. It ends when it is dropped: its connections are cut, whatever is going on in them.
pub struct Emulator {
    address: SocketAddr,
    control: Control,
    lines: Lines,
    server: JoinHandle<()>,
}

impl Emulator {
    /// Starts to listen. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the address is not on loopback or cannot be bound, or a switch makes no sense.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options { listen, password, switches, log_capacity, now } = options;
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        if !listen.ip().is_loopback() {
            let port = listen.port();
            return Err(invalid(format!(
                "the emulator listens on loopback only, so not on {listen}; use 127.0.0.1:{port}"
            )));
        }
        switches.check().map_err(|why| invalid(why.to_string()))?;
        let cannot = |why: io::Error| io::Error::new(why.kind(), format!("cannot listen on {listen}: {why}"));
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr()?;
        let origin = format!("http://{address}");
        let shared = Arc::new(Shared::new(Clock::new(now), origin, password, switches, log_capacity));
        let control = Control::new(Arc::clone(&shared));
        let app = Router::new()
            .route("/_emulator/", get(api::index))
            .nest("/_emulator", api::router())
            .fallback(server::handle)
            .with_state(shared);
        let lines = Lines::default();
        let doorman = Doorman { listener, lines: lines.clone() };
        let serving = axum::serve(doorman, app.into_make_service_with_connect_info::<Line>());
        let server = tokio::spawn(async {
            // It never ends by itself.
            let _ = serving.await;
        });
        Ok(Self { address, control, lines, server })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Bandwidth's base URL here.
    #[must_use]
    pub fn base_url_bandwidth(&self) -> String {
        format!("http://{}{}", self.address, bandwidth::BASE_PATH)
    }

    /// Bandwidth's token URL here.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("http://{}{}", self.address, bandwidth::TOKEN_PATH)
    }

    /// Plivo's base URL here.
    #[must_use]
    pub fn base_url_plivo(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The virtual clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.control.clock()
    }

    /// The handle on what it stores, logs and does wrong.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Ends it and waits until its port and connections are free, for at most a second.
    pub async fn stop(mut self) {
        self.close();
        // An error means that the task was aborted, which it was.
        let _ = (&mut self.server).await;
        for _ in 0..100 {
            if self.lines.open() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn close(&self) {
        self.server.abort();
        self.lines.close();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Emulator({})", self.address)
    }
}
