//! Incoming connections: how many, from whom, and how long each may do nothing.
//!
//! A client that opens connections and sends nothing must not keep others out, so the
//! headers of a request, pauses between requests and unread responses have time limits,
//! and connections are limited per server and per client address. The time limit of a
//! request body is in [`crate::http`], because it has a response.

mod activity;
pub(crate) mod file_limit;
pub(crate) mod keyed_limit;
#[cfg(test)]
mod tests;
mod tracked_io;

pub(crate) use activity::ConnectionTimeouts;

use crate::http::Network;
use activity::{Activity, GuardedBody};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyed_limit::{ClientAddress, KeyedLimit, KeyedPermit};
use std::convert::Infallible;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracked_io::TrackedIo;

/// Pause after an error of `accept`, for example when no file descriptor is left.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// The answer to a connection above a limit. It is sent without reading the request.
const REJECTION: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
retry-after: 5\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 52\r\n\r\n\
Too many connections are open. Try again in seconds.";

/// Limits of connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// Open connections of this server.
    pub(crate) total: usize,
    /// Open connections of one client address. Does not apply to trusted proxies, which
    /// carry the requests of many clients.
    pub(crate) per_address: usize,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) timeouts: ConnectionTimeouts,
}

/// Serves connections until `stop`, then waits for the open ones to complete their
/// requests.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
) {
    let open = OpenConnections::new(limits.clone());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_connection(&error) {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
                continue;
            }
        };
        let Some(permit) = open.acquire(peer) else {
            reject(stream);
            continue;
        };
        // Without TCP_NODELAY, an event waits for the acknowledgement of the previous
        // one, up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, peer, app, limits.timeouts, stop).await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Whether an error of `accept` concerns only the connection that was accepted.
fn is_of_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// Answers without waiting for the client.
fn reject(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        // The client may be gone, and the connection is closed in any case.
        let _ = stream.write(REJECTION);
    }
}

/// Serves one connection until it closes, a time limit passes, or after `stop` its
/// request is complete.
async fn serve_connection(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    timeouts: ConnectionTimeouts,
    stop: CancellationToken,
) {
    let activity = Activity::new();
    let io = TokioIo::new(TrackedIo::new(io, activity.clone()));
    let requests = activity.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = requests.request();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = app.clone().oneshot(request);
        async move {
            let response = response.await?;
            Ok::<_, Infallible>(response.map(|body| GuardedBody::new(body, guard)))
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(io, service));
    let mut expired = pin!(activity.expired(timeouts));
    let mut stopping = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::trace!(%error, "a connection failed");
                }
                return;
            }
            () = expired.as_mut() => {
                metrics::counter!("rehearsal_connections_timed_out_total").increment(1);
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The open connections.
struct OpenConnections {
    limits: ConnectionLimits,
    by_address: Arc<KeyedLimit<ClientAddress>>,
    total: Arc<KeyedLimit<()>>,
}

/// An open connection.
struct ConnectionPermit {
    _total: KeyedPermit<()>,
    _address: Option<KeyedPermit<ClientAddress>>,
}

impl OpenConnections {
    fn new(limits: ConnectionLimits) -> Self {
        Self { limits, by_address: Arc::default(), total: Arc::default() }
    }

    /// `None` if a limit is reached.
    fn acquire(&self, peer: SocketAddr) -> Option<ConnectionPermit> {
        let rejected = |limit: &'static str| {
            metrics::counter!("rehearsal_connections_rejected_total", "limit" => limit)
                .increment(1);
        };
        let ip = peer.ip();
        let trusted = self.limits.trusted_proxies.iter().any(|network| network.contains(ip));
        let address = if trusted {
            None
        } else {
            let permit = self.by_address.acquire(ip.into(), self.limits.per_address);
            Some(permit.or_else(|| {
                rejected("address");
                None
            })?)
        };
        let total = self.total.acquire((), self.limits.total).or_else(|| {
            rejected("server");
            None
        })?;
        metrics::gauge!("rehearsal_open_connections").increment(1.0);
        Some(ConnectionPermit { _total: total, _address: address })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        metrics::gauge!("rehearsal_open_connections").decrement(1.0);
    }
}
