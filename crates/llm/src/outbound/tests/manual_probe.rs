//! Manual probes of open circuits, and the suspension of a connection until an edit.

use super::{SECOND, Step, env, kind, limits};
use crate::outbound::{CallLimits, CallTimes};
use crate::testing::endpoint;
use domain::{Breaker, BreakerState, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn manual_probe_passes_open_circuit_and_success_closes_it() {
    let env = env(vec![Step::Fail; 6]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        env.call_with(at_once, "m").await.result.expect_err("it fails");
    }
    let open = env.circuit();
    assert_eq!((open.state, env.begun()), (BreakerState::Open, 5));
    let waits = env.outbound.backpressure();
    assert_eq!((waits.len(), waits[0].blocks_all), (1, true));
    let left = env.retries_left();
    let error = env.probe().await.expect_err("the outage continues");
    assert_eq!((error.message.as_str(), env.begun()), ("Provider error.", 6));
    assert_eq!(env.circuit(), open, "a failed probe changes nothing");
    assert_eq!(env.retries_left(), left);
    env.probe().await.expect("a reply");
    assert_eq!(env.circuit(), Breaker::default());
    assert!(env.outbound.backpressure().is_empty());
    env.call_with(at_once, "m").await.result.expect("a reply");
}

#[tokio::test(start_paused = true)]
async fn manual_probe_waits_only_for_provider_limits() {
    let env = Arc::new(env(vec![Step::Hang; 20]));
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let env = env.clone();
            tokio::spawn(async move { env.call().await.0 })
        })
        .collect();
    tokio::time::sleep(SECOND).await;
    assert_eq!(env.begun(), 4, "4 calls in flight, 16 in the queue");
    env.script.steps.lock().clear();
    env.probe().await.expect("the concurrency limit does not apply");
    busy.iter().for_each(|call| call.abort());
}

#[tokio::test(start_paused = true)]
async fn manual_probe_passes_a_stop_of_a_day_and_its_success_ends_it() {
    let throttle = Step::Throttle { seconds: Some(86_400), overloaded: false };
    let env = env(vec![throttle; 4]);
    // The model of the probe.
    let call = async || env.call_with(limits(), "m-1").await.result;
    for _ in 0..3 {
        assert_eq!(kind(&call().await), Some(ErrorKind::RateLimited));
    }
    let stopped = async || {
        let begun = env.begun();
        let rejected = kind(&call().await) == Some(ErrorKind::RateLimited);
        rejected && env.begun() == begun && !env.outbound.backpressure().is_empty()
    };
    assert!(stopped().await, "calls are not sent until tomorrow");
    let begun = env.begun();
    let error = env.probe().await.expect_err("the limit is still reached");
    let expected = "Provider error. Gave up waiting for the provider's rate limit";
    assert!(error.message.starts_with(expected), "{}", error.message);
    assert_eq!(env.begun(), begun + 1, "each click sends one request");
    assert!(stopped().await, "a refused probe changes nothing");
    env.probe().await.expect("a reply");
    assert!(env.outbound.backpressure().is_empty());
    call().await.expect("a reply");
}

#[tokio::test(start_paused = true)]
async fn manual_probe_timeout_is_reported() {
    let env = env([Step::Hang]);
    let error = env.probe().await.expect_err("a timeout");
    assert_eq!(error.message, "The provider did not answer within 30 s.");
}

#[tokio::test(start_paused = true)]
async fn suspended_connection_rejects_calls_until_edit() {
    let env = env([Step::GiveUp(ErrorKind::QuotaExhausted, 402)]);
    assert_eq!(kind(&env.call().await.0), Some(ErrorKind::QuotaExhausted));
    let before = env.origin.elapsed();
    let (result, times) = env.call().await;
    assert_eq!((kind(&result), env.begun()), (Some(ErrorKind::QuotaExhausted), 1));
    assert_eq!((env.origin.elapsed(), times), (before, CallTimes::default()));
    assert_eq!(env.circuit().state, BreakerState::Suspended);
    let limits = env.outbound.backpressure();
    assert!(limits.len() == 1 && limits[0].is_suspended && limits[0].blocks_all, "{limits:?}");
    env.outbound.reset_connection(endpoint("x").connection_id);
    assert_eq!(env.circuit(), Breaker::default());
    env.call().await.0.expect("a reply");
}
