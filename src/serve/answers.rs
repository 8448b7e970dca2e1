//! What is answered to which request.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

use super::host::{Arrival, is_meant_for_us};
use super::metrics::Counters;
use super::{health, metrics, page};
use crate::daemon::board::Board;
use crate::domain::manifest::ServeOptions;
use crate::domain::time::Timestamp;
use crate::local::clock::Clock;

/// What answers are made from.
pub(super) struct Context {
    pub(super) board: Arc<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
    pub(super) started: Timestamp,
    options: watch::Receiver<Option<ServeOptions>>,
    /// Answers that are made at the same time.
    desks: Arc<Semaphore>,
}

impl Context {
    pub(super) fn new(
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        options: watch::Receiver<Option<ServeOptions>>,
    ) -> Self {
        let started = clock.now().wall;
        Self { board, clock, counters, started, options, desks: Arc::new(Semaphore::new(DESKS)) }
    }

    /// Makes an answer that takes work in the number of entries, where it holds up nobody.
    async fn work_out<T: Send + 'static>(
        self: Arc<Self>,
        make: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let desk = Arc::clone(&self.desks).acquire_owned().await.ok()?;
        let work = move || {
            let answer = make(&self);
            // Not before: whoever goes away leaves the work behind.
            drop(desk);
            answer
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// Every address that there is.
pub(super) fn router(context: &Arc<Context>) -> Router {
    Router::new()
        .route("/", get(show_page))
        .route("/style.css", get(style))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(measure))
        .fallback(nothing_there)
        .layer(from_fn_with_state(Arc::clone(context), guard))
        .with_state(Arc::clone(context))
}

/// Refuses what is not meant for us, and tells browsers to be careful with what is answered.
async fn guard(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
    next: Next,
) -> Response {
    let meant = {
        let options = context.options.borrow();
        let hosts = options.as_ref().map_or(&[][..], |options| &options.hosts);
        is_meant_for_us(request.headers(), request.uri(), arrival, hosts)
    };
    let mut response = if meant { next.run(request).await } else { misdirected() };
    for (name, value) in CAUTION {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn misdirected() -> Response {
    let text = "this server is not known by the name in the Host header; add it to `hosts` in [serve]\n";
    text_response(StatusCode::MISDIRECTED_REQUEST, text.to_owned())
}

async fn nothing_there() -> Response {
    text_response(StatusCode::NOT_FOUND, "there is nothing here but / /livez /readyz /metrics\n".to_owned())
}

async fn live(State(context): State<Arc<Context>>) -> Response {
    verdict(&health::not_alive(&context.board.heartbeat).into_iter().collect::<Vec<_>>())
}

async fn ready(State(context): State<Arc<Context>>) -> Response {
    verdict(&context.work_out(Context::not_ready).await.unwrap_or_else(|| vec![DEFECT.to_owned()]))
}

impl Context {
    /// Why readers of the state file should not rely on it.
    pub(super) fn not_ready(&self) -> Vec<String> {
        let view = self.board.view();
        health::not_ready(view.as_deref(), &self.board.heartbeat, self.clock.now())
    }
}

/// 200 where nothing speaks against it.
fn verdict(against: &[String]) -> Response {
    if against.is_empty() {
        return text_response(StatusCode::OK, "ok\n".to_owned());
    }
    text_response(StatusCode::SERVICE_UNAVAILABLE, against.join("\n") + "\n")
}

async fn measure(State(context): State<Arc<Context>>) -> Response {
    match context.work_out(metrics::exposition).await {
        Some(text) => {
            let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        None => text_response(StatusCode::INTERNAL_SERVER_ERROR, DEFECT.to_owned() + "\n"),
    }
}

async fn show_page(State(context): State<Arc<Context>>, RawQuery(query): RawQuery) -> Response {
    let wish = page::Wish::of(query.as_deref().unwrap_or_default());
    let made = context.work_out(move |context| {
        let (view, now) = (context.board.view(), context.clock.now());
        page::page(view.as_deref(), &context.not_ready(), wish, now)
    });
    match made.await {
        Some(text) => axum::response::Html(text).into_response(),
        None => text_response(StatusCode::INTERNAL_SERVER_ERROR, DEFECT.to_owned() + "\n"),
    }
}

async fn style() -> Response {
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    (HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]), page::STYLE).into_response()
}

fn text_response(status: StatusCode, text: String) -> Response {
    (status, text).into_response()
}

/// Nothing is loaded but the style sheet, nothing runs, nobody frames it, no cache keeps it, and who follows a link to a
/// media tells nobody where from.
const CAUTION: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const DEFECT: &str = "a defect in mediakeep: the answer could not be made";
/// One for a scraper and one for a person.
const DESKS: usize = 2;
