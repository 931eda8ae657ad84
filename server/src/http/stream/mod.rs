//! Server-sent events.

mod active_suites;
mod suite_events;

pub(super) use active_suites::active_suites;
pub(super) use suite_events::suite_events;

use super::client_limits::StreamPermit;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use std::convert::Infallible;
use std::time::Duration;

/// Interval of comments that keep the connection open.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Time after which a browser reconnects.
const RETRY: Duration = Duration::from_secs(2);

fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let ping = KeepAlive::new().interval(PING_INTERVAL).text("ping");
    let mut response = Sse::new(events).keep_alive(ping).into_response();
    let headers = response.headers_mut();
    // Disables response buffering in nginx.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Counts an open stream and holds its permit.
struct OpenStream {
    _permit: StreamPermit,
}

impl OpenStream {
    fn new(permit: StreamPermit) -> Self {
        metrics::gauge!("rehearsal_open_streams").increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("rehearsal_open_streams").decrement(1.0);
    }
}
