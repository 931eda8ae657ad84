//! Permits of both gates: who holds one, for how long, and what becomes of it.

use super::turnstile::gated;
use super::{Notes, SECOND, Step, kind, limits, rig};
use clock::Clock;
use crate::classify::Effect;
use crate::outbound::{CallLimits, CallTimes, CallWatcher};
use domain::{BreakerState, ErrorKind};
use async_trait::async_trait;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn gates_hear_how_each_attempt_ended() {
    let steps = vec![Step::Fail, Step::GiveUp(ErrorKind::CredentialInvalid, 401)];
    let (rig, limiter, breaker) = gated(steps, Duration::ZERO);
    rig.call().await.0.expect_err("no key");
    rig.call().await.0.expect("an answer");
    let heard = [Effect::Failure, Effect::LatchCredential].map(|effect| format!("{effect:?}"));
    let heard = [heard[0].clone(), heard[1].clone(), "ok".into()];
    assert_eq!((limiter.lock().as_slice(), breaker.lock().as_slice()), (&heard[..], &heard[..]));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_circuit_holds_no_place_at_the_limiter() {
    let (rig, limiter, breaker) = gated(vec![], 20 * SECOND);
    let (notes, mut times) = (Notes::default(), CallTimes::default());
    rig.watched(limits(), "m", &mut times, &notes).await.expect("an answer");
    assert_eq!(*limiter.lock(), ["given back", "ok"]);
    assert_eq!(*breaker.lock(), ["ok"]);
    assert_eq!(notes.0.into_inner(), ["waiting circuit Some(20)", "resumed", "attempt 1"]);
    assert_eq!((times.parked, times.circuit, times.active), (20 * SECOND, 20 * SECOND, SECOND));
}

/// Has its own places again so long after a wait.
struct Late(Duration);

#[async_trait]
impl CallWatcher for Late {
    async fn resumed(&self) {
        tokio::time::sleep(self.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_no_place_of_its_own_keeps_no_turn_from_others() {
    let rig = rig(vec![Step::Fail; 5]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        rig.call_with(at_once, "m", &mut CallTimes::default()).await.expect_err("it fails");
    }
    assert_eq!((rig.circuit().state, rig.begun()), (BreakerState::Open, 5));
    let (began, mut times) = (rig.origin.elapsed(), [CallTimes::default(); 2]);
    let [first, second] = &mut times;
    let late = Late(50 * SECOND);
    let opens = rig.circuit().until.expect("known").since(rig.clock.now());
    let (late, other) = tokio::join!(rig.watched(limits(), "m", first, &late), async {
        // The turn is the first one's by now, and its own place is not free.
        tokio::time::sleep(opens + SECOND / 2).await;
        assert_eq!(rig.begun(), 5);
        let short = CallLimits { circuit_wait: 30 * SECOND, ..limits() };
        rig.call_with(short, "m", second).await
    });
    assert!(late.is_ok() && other.is_ok(), "{late:?} {other:?}");
    let begun = rig.script.begun.lock()[5..].to_vec();
    // The first gives its probe back after a second, and the second has it.
    assert!(begun[0] - began < 20 * SECOND, "{begun:?}");
    assert!(begun[1] - began > 50 * SECOND, "{begun:?}");
    let [first, _] = times;
    assert!(first.parked > 60 * SECOND && first.circuit < 20 * SECOND, "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_place_of_its_own_is_waited_for_no_longer_than_a_wait_may_last() {
    let (rig, limiter, breaker) = gated(vec![], 20 * SECOND);
    let mut times = CallTimes::default();
    let short = CallLimits { max_wait: 90 * SECOND, ..limits() };
    let result = rig.watched(short, "m", &mut times, &Late(3600 * SECOND)).await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::RateLimited), 0));
    assert_eq!((times.parked, times.circuit), (90 * SECOND, 20 * SECOND));
    assert_eq!((limiter.lock().len(), breaker.lock().len()), (1, 1), "given back");
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_has_its_own_patience() {
    let (rig, _, _) = gated(vec![], 100 * SECOND);
    let (result, times) = rig.call().await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::CircuitOpen), 0));
    assert_eq!(times.circuit, 60 * SECOND, "it may close earlier, so it is waited for");
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    let before = rig.origin.elapsed();
    let result = rig.call_with(at_once, "m", &mut CallTimes::default()).await;
    assert_eq!((kind(&result), rig.origin.elapsed()), (Some(ErrorKind::CircuitOpen), before));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_attempt_gives_its_permits_back() {
    let (rig, limiter, breaker) = gated(vec![Step::Hang], Duration::ZERO);
    let mut times = CallTimes::default();
    let call = rig.call_with(limits(), "m", &mut times);
    assert!(tokio::time::timeout(SECOND, call).await.is_err());
    assert_eq!(
        (limiter.lock().as_slice(), breaker.lock().as_slice()),
        (&["given back".into()][..], &["given back".into()][..])
    );
}
