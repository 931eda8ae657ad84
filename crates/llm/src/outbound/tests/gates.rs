//! The permits of both gates: when they are held, released and finished.

use super::fake_gates::gated;
use super::{Notes, SECOND, Step, env, kind, limits};
use crate::classify::Effect;
use crate::outbound::{CallHooks, CallLimits, CallOutcome};
use async_trait::async_trait;
use clock::Clock;
use domain::{BreakerState, ErrorKind};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn gates_receive_attempt_outcomes() {
    let steps = vec![Step::Fail, Step::GiveUp(ErrorKind::CredentialInvalid, 401)];
    let (env, limiter, breaker) = gated(steps, Duration::ZERO);
    env.call().await.0.expect_err("no key");
    env.call().await.0.expect("a reply");
    let effects = [Effect::Failure, Effect::SuspendCredential].map(|effect| format!("{effect:?}"));
    let expected = [effects[0].clone(), effects[1].clone(), "ok".into()];
    assert_eq!(
        (limiter.lock().as_slice(), breaker.lock().as_slice()),
        (&expected[..], &expected[..])
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_circuit_releases_limiter_permit() {
    let (env, limiter, breaker) = gated(vec![], 20 * SECOND);
    let notes = Notes::default();
    let CallOutcome { result, times } = env.watched(limits(), "m", &notes).await;
    result.expect("a reply");
    assert_eq!(*limiter.lock(), ["released", "ok"]);
    assert_eq!(*breaker.lock(), ["ok"]);
    assert_eq!(notes.0.into_inner(), ["waiting circuit Some(20)", "resumed", "attempt 1"]);
    assert_eq!((times.waited, times.circuit, times.active), (20 * SECOND, 20 * SECOND, SECOND));
}

#[tokio::test(start_paused = true)]
async fn error_behind_open_circuit_names_the_failure_of_the_provider() {
    let env = env(vec![Step::Fail; 5]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        env.call_with(at_once, "m").await.result.expect_err("it fails");
    }
    let error = env.call_with(at_once, "m").await.result.expect_err("the circuit is open");
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    let reason = env.circuit().reason.expect("a reason");
    assert!(reason.starts_with("5 calls in a row failed: "), "{reason}");
    assert!(error.message.starts_with("Gave up waiting for the provider to recover"), "{error:?}");
    assert!(error.message.ends_with(&format!(" {reason}")), "{error:?}");
}

/// Acquires its own slots this long after a wait.
struct SlowResume(Duration);

#[async_trait]
impl CallHooks for SlowResume {
    async fn resumed(&self) {
        tokio::time::sleep(self.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn permit_is_released_while_waiting_for_own_slot() {
    let env = env(vec![Step::Fail; 5]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        env.call_with(at_once, "m").await.result.expect_err("it fails");
    }
    assert_eq!((env.circuit().state, env.begun()), (BreakerState::Open, 5));
    let began = env.origin.elapsed();
    let late = SlowResume(50 * SECOND);
    let opens = env.circuit().until.expect("known").since(env.clock.now());
    let (late, other) = tokio::join!(env.watched(limits(), "m", &late), async {
        // The first call has the permit by now, and waits for its own slot.
        tokio::time::sleep(opens + SECOND / 2).await;
        assert_eq!(env.begun(), 5);
        let short = CallLimits { circuit_wait: 30 * SECOND, ..limits() };
        env.call_with(short, "m").await.result
    });
    let CallOutcome { result, times } = late;
    assert!(result.is_ok() && other.is_ok(), "{result:?} {other:?}");
    let begun = env.script.begun.lock()[5..].to_vec();
    // The first call releases the probe after 1 s, and the second one gets it.
    assert!(begun[0] - began < 20 * SECOND, "{begun:?}");
    assert!(begun[1] - began > 50 * SECOND, "{begun:?}");
    assert!(times.waited < 20 * SECOND && times.circuit < 20 * SECOND, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn wait_for_own_slot_ends_no_call() {
    let (env, limiter, breaker) = gated(vec![], 20 * SECOND);
    let short = CallLimits { max_wait: 90 * SECOND, ..limits() };
    let CallOutcome { result, times } = env.watched(short, "m", &SlowResume(3600 * SECOND)).await;
    result.expect("the provider is not to blame");
    let waited = (times.waited, times.circuit);
    assert_eq!(waited, (20 * SECOND, 20 * SECOND), "the slot is not counted");
    assert_eq!(*limiter.lock(), ["released", "ok"]);
    assert_eq!(*breaker.lock(), ["released", "ok"], "both were released meanwhile");
}

#[tokio::test(start_paused = true)]
async fn hanging_provider_opens_circuit_whatever_the_active_time() {
    for (active, expected) in [(10, BreakerState::Open), (1, BreakerState::Open)] {
        let env = env(vec![Step::Hang; 10]);
        let short = CallLimits { active_left: active * SECOND, ..limits() };
        for _ in 0..5 {
            let CallOutcome { result, .. } = env.call_with(short, "m").await;
            assert_eq!(kind(&result), Some(ErrorKind::Timeout));
        }
        assert_eq!(env.circuit().state, expected, "{active} s");
    }
    let env = env(vec![Step::Hang; 10]);
    let rest = CallLimits { active_left: SECOND / 2, ..limits() };
    for _ in 0..10 {
        let CallOutcome { result, .. } = env.call_with(rest, "m").await;
        assert_eq!(kind(&result), Some(ErrorKind::Timeout));
    }
    assert_eq!(env.circuit().state, BreakerState::Closed, "half a second says nothing");
}

#[tokio::test(start_paused = true)]
async fn circuit_wait_has_its_own_limit() {
    let (env, _, _) = gated(vec![], 100 * SECOND);
    let (result, times) = env.call().await;
    assert_eq!((kind(&result), env.begun()), (Some(ErrorKind::CircuitOpen), 0));
    assert_eq!(times.circuit, 60 * SECOND, "it may close earlier, so the call waits");
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    let before = env.origin.elapsed();
    let CallOutcome { result, .. } = env.call_with(at_once, "m").await;
    assert_eq!((kind(&result), env.origin.elapsed()), (Some(ErrorKind::CircuitOpen), before));
}

#[tokio::test(start_paused = true)]
async fn cancelled_attempt_releases_permits() {
    let (env, limiter, breaker) = gated(vec![Step::Hang], Duration::ZERO);
    let call = env.call_with(limits(), "m");
    assert!(tokio::time::timeout(SECOND, call).await.is_err());
    assert_eq!(
        (limiter.lock().as_slice(), breaker.lock().as_slice()),
        (&["released".into()][..], &["released".into()][..])
    );
}
