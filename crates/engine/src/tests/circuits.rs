//! Circuits as whole suites meet them: waited for within a budget, never behind a
//! begin that could only wait.

use super::bench::{Bench, connection, endpoint, failure, obliging, scripted, user};
use clock::Clock;
use domain::{BreakerState, ErrorKind, RunStatus, WaitReason};
use llm::outbound::{Call, CallLimits, NoopWatcher, Outbound};
use llm::{CallError, ChatRequest, Decision};
use std::time::Duration;
use store::rows::{ModelRef, RunRow};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn outage_fails_few_runs_and_others_wait() {
    let b = Bench::new(obliging);
    let (clock, over) = (b.clock, b.clock.now().plus(5 * MINUTE));
    b.answers(move |number, request| {
        if clock.now() < over {
            return Box::pin(async move { failure(Decision::Retry) });
        }
        obliging(number, request)
    });
    let all: Vec<_> = (0..30).map(|_| scripted(2)).collect();
    let suite = b.suite(1, &all).await;
    let engine = b.engine().await;
    tokio::time::sleep(MINUTE / 2).await;
    let model = ModelRef { connection_id: connection(), model: "m".into() };
    let waits = engine.held_back(user(1), &model).expect("it is said what they wait for");
    assert!(waits.what == WaitReason::Circuit && waits.until.is_some(), "{waits:?}");
    assert_eq!(engine.held_back(user(2), &model), None, "one user's trouble stays theirs");
    let waiting = b.runs(1, suite).await;
    let parked =
        waiting.iter().filter(|run| run.waiting.is_some_and(|w| w.what == WaitReason::Circuit));
    assert_eq!(parked.count(), 3, "what had begun waits, and says so");
    let runs = b.finished(1, suite).await;
    let errors: Vec<_> = runs.iter().filter(|run| run.status == RunStatus::Error).collect();
    assert!((3..=6).contains(&errors.len()), "three at first, then one a probe: {}", errors.len());
    for run in &errors {
        let error = run.error.as_ref().unwrap();
        let kinds = [ErrorKind::CircuitOpen, ErrorKind::ProviderUnavailable];
        assert!(kinds.contains(&error.kind) && error.retryable, "{error:?}");
        assert_eq!(b.said(run.id).await, ["Question 0"], "what was said is kept");
    }
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    assert_eq!(passed + errors.len(), 30);
    let during = b.seen().iter().filter(|seen| seen.at < over).count();
    assert!(during <= 12, "five to open it, then one a probe: {during}");
    b.every_call_was_noted();
}

/// A run of five turns that meets two open circuits of 10 s each.
async fn between_two_outages(circuit_wait: u64) -> (RunRow, usize) {
    let mut b = Bench::new(|number, request| {
        if request.call_id == "trip" {
            return Box::pin(async { failure(Decision::Retry) });
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            obliging(number, request).await
        })
    });
    b.settings.circuit_wait = Duration::from_secs(circuit_wait);
    let suite = b.suite(1, &[scripted(5)]).await;
    let outbound = b.outbound();
    let _engine = b.engine_over(outbound.clone()).await;
    for _ in 0..2 {
        // In the middle of the first turn, and of the fourth.
        tokio::time::sleep(Duration::from_secs(5)).await;
        trip(&outbound).await;
        tokio::time::sleep(Duration::from_secs(35)).await;
    }
    let run = b.finished(1, suite).await.remove(0);
    let said = b.said(run.id).await.len();
    (run, said)
}

/// Opens the circuit of user 1 for 15 s.
async fn trip(outbound: &Outbound) {
    let endpoint = endpoint(connection());
    let limits = CallLimits {
        call_timeout: MINUTE,
        active_left: MINUTE,
        max_wait: MINUTE,
        circuit_wait: Duration::ZERO,
    };
    let request =
        ChatRequest { model: "m".into(), call_id: "trip".into(), ..ChatRequest::default() };
    let calls = (0..5).map(|_| {
        outbound.call(Call {
            user_id: user(1),
            probe: false,
            resolver: &endpoint,
            request: &request,
            limits,
            watcher: &NoopWatcher,
        })
    });
    futures::future::join_all(calls).await;
    let circuit = outbound.circuit(user(1), endpoint.connection_id);
    assert_eq!(circuit.state, BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn time_behind_open_circuits_is_a_budget_of_the_run() {
    let (run, said) = between_two_outages(15).await;
    let error = run.error.as_ref().expect("10 s and 10 s are more than 15 s");
    assert_eq!((error.kind, error.retryable), (ErrorKind::CircuitOpen, true));
    assert!((14_500..=15_500).contains(&run.circuit_ms), "{} ms", run.circuit_ms);
    assert_eq!(said, 9, "what was said is kept");
    let (run, said) = between_two_outages(25).await;
    assert_eq!((run.status, said), (RunStatus::Passed, 10));
}

#[tokio::test(start_paused = true)]
async fn large_suite_on_suspended_connection_ends_in_seconds() {
    let b = Bench::new(|_, _| {
        let decision = Decision::GiveUp(ErrorKind::CredentialInvalid);
        let refused =
            CallError { status: Some(401), ..CallError::new(decision, "No such key (401).") };
        Box::pin(async move { Err(refused) })
    });
    let all: Vec<_> = (0..500).map(|_| scripted(1)).collect();
    let suite = b.suite(1, &all).await;
    let _engine = b.engine().await;
    let began = tokio::time::Instant::now();
    let runs = b.finished(1, suite).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    for run in runs {
        let error = run.error.as_ref().unwrap();
        assert_eq!(error.kind, ErrorKind::CredentialInvalid);
        assert!(error.message.starts_with("No such key (401)."), "{}", error.message);
    }
    assert!(b.seen().len() <= 3, "{} calls", b.seen().len());
}
