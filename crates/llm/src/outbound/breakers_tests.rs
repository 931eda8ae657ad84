//! Tests of the breakers as a gate, on paused time.

use super::breakers::Breakers;
use super::gate::{CallKey, Gate};
use super::limiter_tests::{clock, connection, granted, key, waiting};
use crate::testing::reply;
use clock::{Clock, TokioClock};
use domain::{BreakerState, ConnectionId, ErrorKind, UserId};
use llm_types::{CallError, Cause, Decision};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use telemetry::capture::Capture;
use tokio::time::Instant;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

/// Breakers with an open circuit of user 1.
pub(super) fn opened(clock: TokioClock) -> Breakers {
    let breakers = Breakers::new(Arc::new(clock));
    let failure = CallError::new(Decision::Retry, "The provider failed (503).");
    for _ in 0..5 {
        granted(breakers.acquire(&key(1), clock.now())).finish(Err(&failure));
    }
    breakers
}

#[tokio::test(start_paused = true)]
async fn circuits_are_per_user_and_connection() {
    let clock = clock();
    let breakers = opened(clock);
    let _ = waiting(breakers.acquire(&key(1), clock.now()));
    granted(breakers.acquire(&key(2), clock.now()));
    let mut elsewhere = key(1);
    elsewhere.connection_id = ConnectionId(Uuid::from_u128(2));
    granted(breakers.acquire(&elsewhere, clock.now()));
    granted(breakers.acquire(&CallKey { is_manual_probe: true, ..key(1) }, clock.now()));
    let user = |n| UserId(Uuid::from_u128(n));
    let state = |n| breakers.view(user(n), connection(), clock.now()).state;
    assert_eq!((state(1), state(2)), (BreakerState::Open, BreakerState::Closed));
    breakers.reset(connection());
    assert_eq!(state(1), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn one_waiter_probes_then_all_proceed() {
    let clock = clock();
    let breakers = Arc::new(opened(clock));
    let began = Instant::now();
    let log = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (breakers, log) = (breakers.clone(), log.clone());
            tokio::spawn(async move {
                let (_, permit) = waiting(breakers.acquire(&key(1), clock.now()));
                let permit = permit.await.expect("a permit");
                log.lock().push(began.elapsed());
                tokio::time::sleep(SECOND).await;
                permit.finish(Ok(&reply(1, 1)));
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("done");
    }
    let log = log.lock().clone();
    assert_eq!(log[..3], [15 * SECOND, 16 * SECOND, 17 * SECOND]);
    assert_eq!((log.len(), log[63]), (64, 17 * SECOND), "two probes, then all other calls");
}

#[tokio::test(start_paused = true)]
async fn cancelled_probe_passes_to_next_waiter() {
    let clock = clock();
    let breakers = opened(clock);
    let (_, first) = waiting(breakers.acquire(&key(1), clock.now()));
    let (_, second) = waiting(breakers.acquire(&key(1), clock.now()));
    let probe = first.await.expect("a permit");
    let second = tokio::spawn(second);
    tokio::time::sleep(30 * SECOND).await;
    assert!(!second.is_finished(), "one probe at a time");
    drop(probe);
    let probe = tokio::time::timeout(SECOND, second).await.expect("at once").expect("joins");
    probe.expect("a permit").finish(Ok(&reply(1, 1)));
}

#[tokio::test(start_paused = true)]
async fn waiters_are_rejected_on_suspension() {
    let clock = clock();
    let breakers = opened(clock);
    let (_, permit) = waiting(breakers.acquire(&key(1), clock.now()));
    let permit = tokio::spawn(permit);
    let unauthorized = CallError {
        status: Some(401),
        ..CallError::new(Decision::GiveUp(ErrorKind::CredentialInvalid), "No valid key.")
    };
    let own = CallKey { is_manual_probe: true, ..key(1) };
    granted(breakers.acquire(&own, clock.now())).finish(Err(&unauthorized));
    let rejected = tokio::time::timeout(SECOND, permit).await.expect("at once").expect("joins");
    assert_eq!(rejected.err().map(|error| error.kind()), Some(ErrorKind::CredentialInvalid));
}

fn forbidden() -> CallError {
    CallError {
        status: Some(403),
        cause: Cause::Forbidden,
        ..CallError::new(Decision::GiveUp(ErrorKind::ProviderRejected), "Words of the provider.")
    }
}

#[tokio::test(start_paused = true)]
async fn model_suspension_is_counted_in_metrics() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let clock = clock();
    let breakers = Breakers::new(Arc::new(clock));
    granted(breakers.acquire(&key(1), clock.now())).finish(Err(&forbidden()));
    let shown = recorder.handle().render();
    assert!(shown.contains("rehearsal_breakers{state=\"latched\"} 1"), "{shown}");
    assert!(shown.contains("rehearsal_breaker_transitions_total{to=\"latched\"} 1"), "{shown}");
    breakers.reset(connection());
    let shown = recorder.handle().render();
    assert!(shown.contains("rehearsal_breakers{state=\"latched\"} 0"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn provider_text_is_not_logged_at_info() {
    let logged = |level| {
        let ((log, _guard), clock) = (Capture::new(level), clock());
        let failure = CallError {
            cause: Cause::ServerError,
            status: Some(503),
            ..CallError::new(Decision::Retry, "Words of the provider.")
        };
        let breakers = Breakers::new(Arc::new(clock));
        for _ in 0..5 {
            granted(breakers.acquire(&key(1), clock.now())).finish(Err(&failure));
        }
        log.text()
    };
    let info = logged(tracing::Level::INFO);
    assert!(!info.contains("Words of the provider"), "{info}");
    assert!(info.contains("server_error") && info.contains("503"), "{info}");
    let debug = logged(tracing::Level::DEBUG);
    assert!(debug.contains("Words of the provider"), "{debug}");
}
