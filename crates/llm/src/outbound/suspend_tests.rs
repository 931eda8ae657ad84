//! Waits that a machine sleeps through: its clock goes on, and timers stand
//! still.

use super::breakers::Breakers;
use super::gate::{Admission, CallKey, Gate, Permit, Turn};
use super::limiter::Limiter;
use super::size::Size;
use clock::Clock;
use clock::testing::Laptop;
use llm_types::{CallError, Decision};
use domain::{ConnectionId, Timestamp, UserId};
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
        probe: false,
        size: Size { chars: 40, max_tokens: 10 },
    }
}

/// Leave to go now.
fn granted(gate: &dyn Gate, laptop: &Laptop) -> Box<dyn Permit> {
    match gate.admit(&key(), laptop.now()) {
        Admission::Granted(permit) => permit,
        _ => panic!("it was to go"),
    }
}

/// A call that has to wait, and until when.
fn waiting(gate: &dyn Gate, laptop: &Laptop) -> (Timestamp, Turn) {
    match gate.admit(&key(), laptop.now()) {
        Admission::Wait { until, turn, .. } => (until.expect("known until when"), turn),
        _ => panic!("it was to wait"),
    }
}

/// The moment comes in the machine's sleep; the call goes soon after it wakes.
async fn sleeps_through(laptop: &Laptop, (until, turn): (Timestamp, Turn)) {
    let turn = tokio::spawn(turn);
    tokio::time::sleep(SECOND / 10).await;
    assert!(!turn.is_finished());
    laptop.suspend(HOUR);
    assert!(laptop.now() > until);
    let turn = tokio::time::timeout(11 * SECOND, turn).await;
    turn.expect("it does not wait for longer by the time asleep").expect("joins").expect("a turn");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_ends_in_suspend_is_over() {
    let laptop = Arc::new(Laptop::default());
    let limiter = Limiter::new(laptop.clone());
    let until = Some(laptop.now().plus(HOUR));
    let slow = CallError::new(Decision::Wait { until, overloaded: false }, "slow down");
    granted(&limiter, &laptop).finish(Err(&slow));
    sleeps_through(&laptop, waiting(&limiter, &laptop)).await;
}

#[tokio::test(start_paused = true)]
async fn a_circuit_whose_time_ends_in_suspend_lets_one_try() {
    let laptop = Arc::new(Laptop::default());
    let breakers = Breakers::new(laptop.clone());
    let failure = CallError::new(Decision::Retry, "The provider failed (503).");
    for _ in 0..5 {
        granted(&breakers, &laptop).finish(Err(&failure));
    }
    sleeps_through(&laptop, waiting(&breakers, &laptop)).await;
}
