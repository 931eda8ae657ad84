//! Waits that end during a pause: the clock advances, and timers stop.

use super::breakers::Breakers;
use super::fair_queue::CallOrder;
use super::gate::{Admission, CallKey, Gate, Permit, PermitFuture};
use super::limiter::Limiter;
use super::token_estimate::RequestSize;
use clock::Clock;
use clock::testing::PausableClock;
use domain::{ConnectionId, Timestamp, UserId};
use llm_types::{CallError, Decision};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

fn key() -> CallKey {
    CallKey {
        user_id: UserId(Uuid::from_u128(1)),
        connection_id: ConnectionId(Uuid::from_u128(1)),
        model: "m".into(),
        order: CallOrder::default(),
        not_before: None,
        is_manual_probe: false,
        size: RequestSize { bytes: 40, max_tokens: 10 },
    }
}

fn granted(gate: &dyn Gate, clock: &PausableClock) -> Box<dyn Permit> {
    match gate.acquire(&key(), clock.now()) {
        Admission::Granted(permit) => permit,
        _ => panic!("expected a permit"),
    }
}

fn waiting(gate: &dyn Gate, clock: &PausableClock) -> (Timestamp, PermitFuture) {
    match gate.acquire(&key(), clock.now()) {
        Admission::Wait { until, permit, .. } => (until.expect("a known end"), permit),
        _ => panic!("expected a wait"),
    }
}

/// Asserts that a wait that ends during a pause is granted soon after the wake-up.
async fn sleeps_through(clock: &PausableClock, (until, permit): (Timestamp, PermitFuture)) {
    let permit = tokio::spawn(permit);
    tokio::time::sleep(SECOND / 10).await;
    assert!(!permit.is_finished());
    clock.pause(HOUR);
    assert!(clock.now() > until);
    let permit = tokio::time::timeout(11 * SECOND, permit).await;
    permit.expect("the wait is not prolonged by the pause").expect("joins").expect("a permit");
}

#[tokio::test(start_paused = true)]
async fn rate_limit_ends_during_machine_pause() {
    let clock = Arc::new(PausableClock::default());
    let limiter = Limiter::new(clock.clone());
    let until = Some(clock.now().plus(HOUR));
    let slow = CallError::new(Decision::Wait { until, overloaded: false }, "slow down");
    for _ in 0..3 {
        granted(&limiter, &clock).finish(Err(&slow));
    }
    sleeps_through(&clock, waiting(&limiter, &clock)).await;
}

#[tokio::test(start_paused = true)]
async fn open_time_ends_during_machine_pause() {
    let clock = Arc::new(PausableClock::default());
    let breakers = Breakers::new(clock.clone());
    let failure = CallError::new(Decision::Retry, "The provider failed (503).");
    for _ in 0..5 {
        granted(&breakers, &clock).finish(Err(&failure));
    }
    sleeps_through(&clock, waiting(&breakers, &clock)).await;
}
