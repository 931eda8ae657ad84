//! Open circuits of whole suites: runs wait for them within a budget, and no run starts
//! that could only wait.

use super::fixture::{Fixture, connection, endpoint, failure, passing_reply, scripted, user};
use clock::Clock;
use domain::{BreakerState, ErrorKind, RunStatus, WaitReason};
use llm::outbound::{Call, CallLimits, CallOrder, NoHooks, Outbound};
use llm::{ChatRequest, Decision};
use std::time::Duration;
use store::rows::{ModelRef, RunRow};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn outage_fails_few_runs_and_others_wait() {
    let f = Fixture::new(passing_reply);
    let over = f.clock.now().plus(5 * MINUTE);
    f.fail_until(over, Decision::Retry);
    let all = vec![scripted(2); 30];
    let suite = f.suite(1, &all).await;
    let engine = f.start().await;
    tokio::time::sleep(MINUTE / 2).await;
    let model = ModelRef { connection_id: connection(), model: "m".into() };
    let waits = engine.expected_wait(user(1), &model).expect("the wait is reported");
    assert!(waits.what == WaitReason::Circuit && waits.until.is_some(), "{waits:?}");
    assert_eq!(engine.expected_wait(user(2), &model), None, "circuits are per user");
    let waiting = f.runs(1, suite).await;
    let parked =
        waiting.iter().filter(|run| run.waiting.is_some_and(|w| w.what == WaitReason::Circuit));
    assert_eq!(parked.count(), 3, "started runs wait, and their wait is stored");
    let runs = f.finished(1, suite).await;
    let errors: Vec<_> = runs.iter().filter(|run| run.status == RunStatus::Error).collect();
    assert!(
        (3..=6).contains(&errors.len()),
        "three at first, then one per probe: {}",
        errors.len()
    );
    for run in &errors {
        let error = run.error.as_ref().unwrap();
        let kinds = [ErrorKind::CircuitOpen, ErrorKind::ProviderUnavailable];
        assert!(kinds.contains(&error.kind) && error.retryable, "{error:?}");
        assert_eq!(f.messages(run.id).await, ["Question 0"], "the messages are kept");
    }
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    assert_eq!(passed + errors.len(), 30);
    let during = f.received_calls().iter().filter(|call| call.at < over).count();
    assert!(during <= 12, "five to open the circuit, then one per probe: {during}");
    f.assert_every_call_has_an_intent();
}

/// A run of five turns with two open circuits of 10 s each.
async fn between_two_outages(circuit_wait: u64) -> (RunRow, usize) {
    let mut f = Fixture::new(|number, request| {
        if request.call_id == "trip" {
            return Box::pin(async { failure(Decision::Retry) });
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            passing_reply(number, request).await
        })
    });
    f.settings.circuit_wait = Duration::from_secs(circuit_wait);
    let suite = f.suite(1, &[scripted(5)]).await;
    let outbound = f.outbound();
    let _engine = f.start_with_outbound(outbound.clone()).await;
    for _ in 0..2 {
        // In the middle of the first turn, and of the fourth.
        tokio::time::sleep(Duration::from_secs(5)).await;
        trip(&outbound).await;
        tokio::time::sleep(Duration::from_secs(35)).await;
    }
    let run = f.finished(1, suite).await.remove(0);
    let messages = f.messages(run.id).await.len();
    (run, messages)
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
            order: CallOrder::default(),
            is_manual_probe: false,
            resolver: &endpoint,
            request: &request,
            limits,
            hooks: &NoHooks,
        })
    });
    futures::future::join_all(calls).await;
    let circuit = outbound.circuit(user(1), endpoint.connection_id);
    assert_eq!(circuit.state, BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn time_behind_open_circuits_is_a_budget_of_the_run() {
    let (run, messages) = between_two_outages(15).await;
    let error = run.error.as_ref().expect("10 s and 10 s are more than 15 s");
    assert_eq!((error.kind, error.retryable), (ErrorKind::CircuitOpen, true));
    assert!((14_500..=15_500).contains(&run.circuit_ms), "{} ms", run.circuit_ms);
    assert_eq!(messages, 9, "the messages are kept");
    let (run, messages) = between_two_outages(25).await;
    assert_eq!((run.status, messages), (RunStatus::Passed, 10));
}
