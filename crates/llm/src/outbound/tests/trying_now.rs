//! A person tries by hand, past what holds others back; and a latch until an edit.

use super::{SECOND, Step, kind, limits, rig};
use crate::outbound::{CallLimits, CallTimes};
use crate::testing::endpoint;
use domain::{Breaker, BreakerState, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn trying_now_goes_through_an_open_circuit_and_a_success_closes_it() {
    let rig = rig(vec![Step::Fail; 6]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        rig.call_with(at_once, "m", &mut CallTimes::default()).await.expect_err("it fails");
    }
    let open = rig.circuit();
    assert_eq!((open.state, rig.begun()), (BreakerState::Open, 5));
    let held = rig.outbound.held();
    assert_eq!((held.len(), held[0].nobody), (1, true));
    let left = rig.retries_left();
    let error = rig.try_now().await.expect_err("still out");
    assert_eq!((error.message.as_str(), rig.begun()), ("It said so.", 6));
    assert_eq!(rig.circuit(), open, "a failed try changes nothing");
    assert_eq!(rig.retries_left(), left);
    rig.try_now().await.expect("an answer");
    assert_eq!(rig.circuit(), Breaker::default());
    assert!(rig.outbound.held().is_empty());
    rig.call_with(at_once, "m", &mut CallTimes::default()).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn trying_now_is_kept_back_by_the_provider_alone_and_says_so() {
    let rig = Arc::new(rig(vec![Step::Hang; 20]));
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.call().await.0 })
        })
        .collect();
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.begun(), 8, "eight at once, twelve in the queue");
    rig.script.steps.lock().clear();
    rig.try_now().await.expect("our own queue is no reason");
    rig.script.steps.lock().push_back(Step::Throttle { seconds: Some(60), overloaded: false });
    let error = rig.try_now().await.expect_err("too fast");
    assert!(error.message.starts_with("It said so. Held back by the provider's rate limit"));
    let begun = rig.begun();
    let error = rig.try_now().await.expect_err("too fast");
    assert_eq!((error.kind(), rig.begun()), (ErrorKind::RateLimited, begun), "not asked again");
    busy.iter().for_each(|call| call.abort());
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_says_so() {
    let rig = rig([Step::Hang]);
    let error = rig.try_now().await.expect_err("no answer");
    assert_eq!(error.message, "The provider did not answer within 30 s.");
}

#[tokio::test(start_paused = true)]
async fn behind_a_latch_calls_are_refused_at_once_until_an_edit() {
    let rig = rig([Step::GiveUp(ErrorKind::QuotaExhausted, 402)]);
    assert_eq!(kind(&rig.call().await.0), Some(ErrorKind::QuotaExhausted));
    let before = rig.origin.elapsed();
    let (result, times) = rig.call().await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::QuotaExhausted), 1));
    assert_eq!((rig.origin.elapsed(), times), (before, CallTimes::default()));
    assert_eq!(rig.circuit().state, BreakerState::Latched);
    assert!(rig.outbound.held().is_empty(), "there is nothing to wait for");
    rig.outbound.forget(endpoint("x").connection_id);
    assert_eq!(rig.circuit(), Breaker::default());
    rig.call().await.0.expect("an answer");
}
