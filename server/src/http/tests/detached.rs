//! Handlers that write are not interrupted.

use super::support::fake_state;
use crate::http::detached::detach_writes;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

#[tokio::test]
async fn handler_that_writes_completes_after_the_client_disconnected() {
    let (sent, mut received) = mpsc::unbounded_channel();
    let may_go = Arc::new(Notify::new());
    let go = may_go.clone();
    let handler = post(async move || {
        let _ = sent.send("begun");
        may_go.notified().await;
        let _ = sent.send("done");
    });
    let detached = from_fn_with_state(fake_state(), detach_writes);
    let router: Router = Router::new().route("/", handler).route_layer(detached);
    let request = Request::post("/").body(Body::empty()).expect("a request");
    let client = tokio::spawn(router.oneshot(request));
    assert_eq!(received.recv().await, Some("begun"));
    client.abort();
    assert!(client.await.is_err_and(|error| error.is_cancelled()));
    go.notify_one();
    assert_eq!(received.recv().await, Some("done"));
}
