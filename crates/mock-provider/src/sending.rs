//! A body that tells the journal when its last byte has gone.

use crate::journal::Open;
use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The answer to a request, and the request's entry, open as long as this is.
struct Sending {
    body: Body,
    _open: Open,
}

/// The same body; `open` is dropped with it.
pub(crate) fn sending(body: Body, open: Open) -> Body {
    Body::new(Sending { body, _open: open })
}

impl HttpBody for Sending {
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

    // Exact where it is known, so that the length is announced as before.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
