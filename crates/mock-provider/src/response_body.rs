//! Response bodies: broken ones, and one that notices its end.

use crate::request_log::PendingRequest;
use axum::body::{Body, Bytes, HttpBody};
use futures::stream;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Sends one byte at a time.
pub(crate) fn drip(body: Vec<u8>, every: Duration) -> Body {
    Body::from_stream(stream::unfold(body.into_iter(), move |mut rest| async move {
        tokio::time::sleep(every).await;
        let byte = rest.next()?;
        Some((Ok::<_, io::Error>(Bytes::from(vec![byte])), rest))
    }))
}

/// Sends half of the body, then resets the connection.
pub(crate) fn truncate(mut body: Vec<u8>) -> Body {
    body.truncate(body.len() / 2);
    Body::from_stream(stream::unfold(Some(body), |rest| async move {
        match rest {
            Some(half) => Some((Ok(Bytes::from(half)), None)),
            None => {
                // Otherwise the reset may discard the half that was not sent yet.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::other("truncated on purpose")), None))
            }
        }
    }))
}

/// Never sends a byte and never ends.
pub(crate) fn stall() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, io::Error>>())
}

/// Sends `bytes` spaces, generated while they are sent.
pub(crate) fn oversized(bytes: usize) -> Body {
    const CHUNK: usize = 64 * 1024;
    Body::from_stream(stream::unfold(bytes, |left| async move {
        let chunk = left.min(CHUNK);
        (chunk > 0).then(|| (Ok::<_, io::Error>(Bytes::from(vec![b' '; chunk])), left - chunk))
    }))
}

/// A body that keeps the log entry of its request open until it was sent.
struct Tracked {
    body: Body,
    _pending: PendingRequest,
}

/// Drops `pending` together with the body.
pub(crate) fn track(body: Body, pending: PendingRequest) -> Body {
    Body::new(Tracked { body, _pending: pending })
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    // An exact hint keeps the `content-length` header.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
