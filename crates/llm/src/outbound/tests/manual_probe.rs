//! Manual probes of open circuits, and the suspension of a connection until an edit.

use super::{SECOND, Step, kind, limits, rig};
use crate::outbound::{CallLimits, CallTimes};
use crate::testing::endpoint;
use domain::{Breaker, BreakerState, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn manual_probe_passes_open_circuit_and_success_closes_it() {
    let rig = rig(vec![Step::Fail; 6]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        rig.call_with(at_once, "m").await.result.expect_err("it fails");
    }
    let open = rig.circuit();
    assert_eq!((open.state, rig.begun()), (BreakerState::Open, 5));
    let waits = rig.outbound.backpressure();
    assert_eq!((waits.len(), waits[0].blocks_all), (1, true));
    let left = rig.retries_left();
    let error = rig.probe().await.expect_err("the outage continues");
    assert_eq!((error.message.as_str(), rig.begun()), ("Provider error.", 6));
    assert_eq!(rig.circuit(), open, "a failed probe changes nothing");
    assert_eq!(rig.retries_left(), left);
    rig.probe().await.expect("a reply");
    assert_eq!(rig.circuit(), Breaker::default());
    assert!(rig.outbound.backpressure().is_empty());
    rig.call_with(at_once, "m").await.result.expect("a reply");
}

#[tokio::test(start_paused = true)]
async fn manual_probe_waits_only_for_provider_limits() {
    let rig = Arc::new(rig(vec![Step::Hang; 20]));
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.call().await.0 })
        })
        .collect();
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.begun(), 8, "8 calls in flight, 12 in the queue");
    rig.script.steps.lock().clear();
    rig.probe().await.expect("the concurrency limit does not apply");
    rig.script.steps.lock().push_back(Step::Throttle { seconds: Some(60), overloaded: false });
    let error = rig.probe().await.expect_err("too fast");
    assert!(
        error.message.starts_with("Provider error. Gave up waiting for the provider's rate limit")
    );
    let begun = rig.begun();
    let error = rig.probe().await.expect_err("too fast");
    assert_eq!((error.kind(), rig.begun()), (ErrorKind::RateLimited, begun), "no further request");
    busy.iter().for_each(|call| call.abort());
}

#[tokio::test(start_paused = true)]
async fn manual_probe_timeout_is_reported() {
    let rig = rig([Step::Hang]);
    let error = rig.probe().await.expect_err("a timeout");
    assert_eq!(error.message, "The provider did not answer within 30 s.");
}

#[tokio::test(start_paused = true)]
async fn suspended_connection_rejects_calls_until_edit() {
    let rig = rig([Step::GiveUp(ErrorKind::QuotaExhausted, 402)]);
    assert_eq!(kind(&rig.call().await.0), Some(ErrorKind::QuotaExhausted));
    let before = rig.origin.elapsed();
    let (result, times) = rig.call().await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::QuotaExhausted), 1));
    assert_eq!((rig.origin.elapsed(), times), (before, CallTimes::default()));
    assert_eq!(rig.circuit().state, BreakerState::Suspended);
    assert!(rig.outbound.backpressure().is_empty(), "there is nothing to wait for");
    rig.outbound.reset_connection(endpoint("x").connection_id);
    assert_eq!(rig.circuit(), Breaker::default());
    rig.call().await.0.expect("a reply");
}
