//! What is tried again, how often, and which end it has.

use super::turnstile::gated;
use super::{SECOND, Step, kind, limits, rig};
use crate::outbound::{CallLimits, CallTimes};
use domain::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn an_answer_carries_its_own_latency_and_all_attempts() {
    let rig = rig([Step::Fail, Step::Fail, Step::Answer]);
    let (result, times) = rig.call().await;
    let reply = result.expect("an answer");
    assert_eq!((reply.latency, reply.attempts), (SECOND, 3));
    assert_eq!(times.active, rig.origin.elapsed(), "attempts and backoff are active time");
    assert!(times.active >= 3 * SECOND && times.parked.is_zero());
}

#[tokio::test(start_paused = true)]
async fn four_failures_are_the_end() {
    let rig = rig(vec![Step::Fail; 10]);
    let (result, _) = rig.call().await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::ProviderUnavailable), 4));
    let error = result.expect_err("used up");
    assert_eq!((error.message.as_str(), error.status), ("It said so. Tried 4 times.", Some(503)));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_multiplied() {
    // 10 retries at the start: 3 + 3 + 3 + 1, then every call is tried once.
    let (rig, _, _) = gated(vec![Step::Fail; 100], Duration::ZERO);
    for expected in [4, 8, 12, 14, 15, 16] {
        assert_eq!(kind(&rig.call().await.0), Some(ErrorKind::ProviderUnavailable));
        assert_eq!(rig.begun(), expected);
    }
    assert_eq!(rig.retries_left(), 0);
    rig.script.steps.lock().clear();
    for _ in 0..10 {
        rig.call().await.0.expect("an answer");
    }
    assert_eq!(rig.retries_left(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_helped_is_not_tried_again() {
    for (end, status) in [
        (ErrorKind::CredentialInvalid, 401),
        (ErrorKind::ProviderRejected, 400),
        (ErrorKind::QuotaExhausted, 402),
    ] {
        let rig = rig([Step::GiveUp(end, status)]);
        let (result, times) = rig.call().await;
        assert_eq!((kind(&result), rig.begun()), (Some(end), 1));
        assert_eq!(times.active, SECOND, "times are told of errors too");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_a_failure_and_the_run_s_own_end_is_a_timeout() {
    let rig1 = rig([Step::Hang, Step::Answer]);
    let (result, times) = rig1.call().await;
    assert_eq!(result.map(|reply| reply.attempts), Ok(2));
    assert!(times.active >= 121 * SECOND, "{times:?}");
    assert_eq!(rig1.script.dropped.load(Ordering::SeqCst), 1);

    let rig2 = rig([Step::Hang]);
    let short = CallLimits { active_left: 10 * SECOND, ..limits() };
    let mut times = CallTimes::default();
    let result = rig2.call_with(short, "m", &mut times).await;
    assert_eq!((kind(&result), times.active), (Some(ErrorKind::Timeout), 10 * SECOND));

    let rig3 = rig([]);
    let none = CallLimits { active_left: Duration::ZERO, ..limits() };
    let result = rig3.call_with(none, "m", &mut CallTimes::default()).await;
    assert_eq!((kind(&result), rig3.begun()), (Some(ErrorKind::Timeout), 0));
}

#[tokio::test(start_paused = true)]
async fn active_time_ends_retries_too() {
    let rig = rig(vec![Step::Fail; 10]);
    let short = CallLimits { active_left: 2 * SECOND, ..limits() };
    let result = rig.call_with(short, "m", &mut CallTimes::default()).await;
    assert_eq!(kind(&result), Some(ErrorKind::Timeout));
    assert!(rig.origin.elapsed() <= 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_the_attempt() {
    let rig = rig([Step::Hang]);
    let mut times = CallTimes::default();
    let call = rig.call_with(limits(), "m", &mut times);
    assert!(tokio::time::timeout(3 * SECOND, call).await.is_err());
    assert_eq!((rig.begun(), rig.script.dropped.load(Ordering::SeqCst)), (1, 1));
}
