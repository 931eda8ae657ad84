//! Bodies that go wrong.

use axum::body::{Body, Bytes};
use futures::stream;
use std::io;
use std::time::Duration;

/// One byte at a time.
pub(crate) fn drip(body: Vec<u8>, every: Duration) -> Body {
    Body::from_stream(stream::unfold(body.into_iter(), move |mut rest| async move {
        tokio::time::sleep(every).await;
        let byte = rest.next()?;
        Some((Ok::<_, io::Error>(Bytes::from(vec![byte])), rest))
    }))
}

/// Half of it, then the connection breaks.
pub(crate) fn cut(mut body: Vec<u8>) -> Body {
    body.truncate(body.len() / 2);
    Body::from_stream(stream::unfold(Some(body), |rest| async move {
        match rest {
            Some(half) => Some((Ok(Bytes::from(half)), None)),
            None => {
                // The half must be on its way before the break.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::other("cut on purpose")), None))
            }
        }
    }))
}

/// Nothing, and then the connection breaks.
pub(crate) fn gone() -> Body {
    cut(Vec::new())
}

/// Nothing, for ever.
pub(crate) fn stall() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, io::Error>>())
}

/// So many bytes, made while they are sent.
pub(crate) fn huge(bytes: usize) -> Body {
    const PIECE: usize = 64 * 1024;
    Body::from_stream(stream::unfold(bytes, |left| async move {
        let piece = left.min(PIECE);
        (piece > 0).then(|| (Ok::<_, io::Error>(Bytes::from(vec![b' '; piece])), left - piece))
    }))
}
