//! Which errors are retried, how often, and how a call ends.

use super::fake_gates::gated;
use super::{SECOND, Step, env, kind, limits};
use crate::outbound::{CallLimits, CallOutcome};
use domain::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn reply_has_own_latency_and_attempt_count() {
    let env = env([Step::Fail, Step::Fail, Step::Reply]);
    let (result, times) = env.call().await;
    let reply = result.expect("a reply");
    assert_eq!((reply.latency, reply.attempts), (SECOND, 3));
    assert_eq!(times.active, env.origin.elapsed(), "attempts and backoff are active time");
    assert!(times.active >= 3 * SECOND && times.waited.is_zero());
}

#[tokio::test(start_paused = true)]
async fn call_fails_after_four_failures() {
    let env = env(vec![Step::Fail; 10]);
    let (result, _) = env.call().await;
    assert_eq!((kind(&result), env.begun()), (Some(ErrorKind::ProviderUnavailable), 4));
    let error = result.expect_err("no retries left");
    assert_eq!(
        (error.message.as_str(), error.status),
        ("Provider error. Tried 4 times.", Some(503))
    );
}

#[tokio::test(start_paused = true)]
async fn retry_budget_limits_load_of_outage() {
    // The budget of 10 retries is used as 3 + 3 + 3 + 1; later calls are not retried.
    let (env, _, _) = gated(vec![Step::Fail; 100], Duration::ZERO);
    for expected in [4, 8, 12, 14, 15, 16] {
        assert_eq!(kind(&env.call().await.0), Some(ErrorKind::ProviderUnavailable));
        assert_eq!(env.begun(), expected);
    }
    assert_eq!(env.retries_left(), 0);
    env.script.steps.lock().clear();
    for _ in 0..10 {
        env.call().await.0.expect("a reply");
    }
    assert_eq!(env.retries_left(), 1);
}

#[tokio::test(start_paused = true)]
async fn permanent_errors_are_not_retried() {
    for (end, status) in [
        (ErrorKind::CredentialInvalid, 401),
        (ErrorKind::ProviderRejected, 400),
        (ErrorKind::QuotaExhausted, 402),
    ] {
        let env = env([Step::GiveUp(end, status)]);
        let (result, times) = env.call().await;
        assert_eq!((kind(&result), env.begun()), (Some(end), 1));
        assert_eq!(times.active, SECOND, "a failed call reports its times");
    }
}

#[tokio::test(start_paused = true)]
async fn call_timeout_is_retried_and_active_time_end_is_final() {
    let rig1 = env([Step::Hang, Step::Reply]);
    let (result, times) = rig1.call().await;
    assert_eq!(result.map(|reply| reply.attempts), Ok(2));
    assert!(times.active >= 121 * SECOND, "{times:?}");
    assert_eq!(rig1.script.dropped.load(Ordering::SeqCst), 1);

    let rig2 = env([Step::Hang]);
    let short = CallLimits { active_left: 10 * SECOND, ..limits() };
    let CallOutcome { result, times } = rig2.call_with(short, "m").await;
    assert_eq!((kind(&result), times.active), (Some(ErrorKind::Timeout), 10 * SECOND));

    let rig3 = env([]);
    let none = CallLimits { active_left: Duration::ZERO, ..limits() };
    let CallOutcome { result, .. } = rig3.call_with(none, "m").await;
    assert_eq!((kind(&result), rig3.begun()), (Some(ErrorKind::Timeout), 0));
}

#[tokio::test(start_paused = true)]
async fn active_time_limits_retries() {
    let env = env(vec![Step::Fail; 10]);
    let short = CallLimits { active_left: 2 * SECOND, ..limits() };
    let CallOutcome { result, .. } = env.call_with(short, "m").await;
    assert_eq!(kind(&result), Some(ErrorKind::Timeout));
    assert!(env.origin.elapsed() <= 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn dropped_call_cancels_attempt() {
    let env = env([Step::Hang]);
    let call = env.call_with(limits(), "m");
    assert!(tokio::time::timeout(3 * SECOND, call).await.is_err());
    assert_eq!((env.begun(), env.script.dropped.load(Ordering::SeqCst)), (1, 1));
}
