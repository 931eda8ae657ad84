//! What a connection is doing, and until when it may do that.

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Time limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionTimeouts {
    /// For the headers of a request, from its first byte; also for the first byte of a
    /// new connection.
    pub(crate) headers: Duration,
    /// For the next request of a connection, and for a client that does not read its
    /// response.
    pub(crate) idle: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for the next request.
    Idle(Instant),
    /// Some bytes of the headers have arrived.
    Headers(Instant),
    /// Handles a request, until its response is sent or dropped.
    Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    phase: Phase,
    /// Since when the client has accepted no bytes of a response.
    blocked: Option<Instant>,
}

impl State {
    fn deadline(self, timeouts: ConnectionTimeouts) -> Option<Instant> {
        // The rest of a response is sent after its request has ended.
        if let Some(since) = self.blocked {
            return Some(since + timeouts.idle);
        }
        match self.phase {
            Phase::Idle(since) => Some(since + timeouts.idle),
            Phase::Headers(since) => Some(since + timeouts.headers),
            Phase::Request => None,
        }
    }
}

/// Tracks one connection. Its parts share it.
#[derive(Clone)]
pub(super) struct Activity(Arc<watch::Sender<State>>);

impl Activity {
    /// A new connection has the time of the headers for its first request.
    pub(super) fn new() -> Self {
        let state = State { phase: Phase::Headers(Instant::now()), blocked: None };
        Self(Arc::new(watch::channel(state).0))
    }

    /// Bytes have arrived.
    pub(super) fn received(&self) {
        self.update(|state| {
            if let Phase::Idle(_) = state.phase {
                state.phase = Phase::Headers(Instant::now());
            }
        });
    }

    /// A write could not continue, or did.
    pub(super) fn set_blocked(&self, blocked: bool) {
        self.update(|state| match (blocked, state.blocked) {
            (true, None) => state.blocked = Some(Instant::now()),
            (false, Some(_)) => {
                state.blocked = None;
                match &mut state.phase {
                    Phase::Idle(since) | Phase::Headers(since) => *since = Instant::now(),
                    Phase::Request => {}
                }
            }
            _ => {}
        });
    }

    /// The headers of a request are complete.
    pub(super) fn request(&self) -> RequestGuard {
        self.update(|state| state.phase = Phase::Request);
        RequestGuard(self.clone())
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        self.0.send_if_modified(|state| {
            let before = *state;
            change(state);
            *state != before
        });
    }

    /// Completes when a time limit has passed.
    pub(super) async fn expired(&self, timeouts: ConnectionTimeouts) {
        let mut states = self.0.subscribe();
        loop {
            let deadline = states.borrow_and_update().deadline(timeouts);
            let expired = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Cannot fail, because `self` holds the sender.
                _ = states.changed() => {}
                () = expired => return,
            }
        }
    }
}

/// Marks a request in progress. The connection is idle when it is dropped.
pub(super) struct RequestGuard(Activity);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.update(|state| state.phase = Phase::Idle(Instant::now()));
    }
}

/// A response body that keeps its request in progress.
pub(super) struct GuardedBody {
    body: Body,
    _guard: RequestGuard,
}

impl GuardedBody {
    pub(super) fn new(body: Body, guard: RequestGuard) -> Self {
        Self { body, _guard: guard }
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
