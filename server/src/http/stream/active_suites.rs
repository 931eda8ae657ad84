//! The stream of a caller's unfinished suites, without runs.

use super::{OpenStream, RETRY, respond};
use crate::http::HttpState;
use crate::http::client_limits::StreamPermit;
use crate::http::stream_auth::StreamAuth;
use axum::response::Response;
use axum::response::sse::Event;
use domain::Suite;
use domain::services::{AppResult, Caller};
use futures::stream;
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;

const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Streams the unfinished suites of the caller, now and after each change.
///
/// # Errors
/// The error of the first read.
pub(in crate::http) async fn active_suites(
    state: HttpState,
    caller: Caller,
    auth: StreamAuth,
    permit: StreamPermit,
) -> AppResult<Response> {
    let last_sent = active_suites_json(&state, &caller).await?;
    let first = Event::default().event("suites").data(&last_sent).retry(RETRY);
    let stream = ActiveSuites { state, caller, auth, last_sent, _open: OpenStream::new(permit) };
    Ok(respond(stream::unfold((stream, Some(first)), |(mut stream, first)| async move {
        let event = match first {
            Some(event) if !stream.state.shutdown.is_cancelled() => event,
            Some(_) => return None,
            None => stream.next().await?,
        };
        Some((Ok(event), (stream, None)))
    })))
}

struct ActiveSuites {
    state: HttpState,
    caller: Caller,
    auth: StreamAuth,
    last_sent: String,
    _open: OpenStream,
}

impl ActiveSuites {
    /// Waits for a change; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let shutdown = timeout(POLL_INTERVAL, self.state.shutdown.cancelled()).await.is_ok();
            if shutdown || !self.auth.is_valid(&self.state).await {
                return None;
            }
            let current = active_suites_json(&self.state, &self.caller).await.ok()?;
            if current != self.last_sent {
                let event = Event::default().event("suites").data(&current);
                self.last_sent = current;
                return Some(event);
            }
        }
    }
}

/// `{"live": […]}`
async fn active_suites_json(state: &HttpState, caller: &Caller) -> AppResult<String> {
    #[derive(Serialize)]
    struct ActiveSuitesEvent {
        live: Vec<Suite>,
    }
    let live = state.services.results.unfinished_suites(caller).await?;
    Ok(serde_json::to_string(&ActiveSuitesEvent { live }).unwrap_or_default())
}
