//! Rejudges while the judge is unavailable: they wait instead of failing, one at a time
//! probes, and none waits forever.

use super::fixture::{Fixture, passing_reply, scripted};
use crate::Engine;
use clock::Clock;
use domain::{ErrorKind, Evaluation, EvaluationStatus};
use llm::Decision;
use std::time::Duration;
use store::rows::RunRow;
use store::suites::SuiteStore;

const MINUTE: Duration = Duration::from_secs(60);
const RUNS: usize = 30;

/// Finished runs, and their engine.
async fn finished_runs(f: &Fixture) -> (Vec<RunRow>, Engine) {
    let all = vec![scripted(1); RUNS];
    let suite = f.suite(1, &all).await;
    let engine = f.start().await;
    (f.finished(1, suite).await, engine)
}

/// Every call fails for this time.
fn start_outage(f: &Fixture, time: Duration) {
    f.fail_until(f.clock.now().plus(time), Decision::Retry);
}

async fn rejudge_all(f: &Fixture, engine: &Engine, runs: &[RunRow]) {
    for run in runs {
        f.rejudge(run).await;
    }
    engine.wake();
}

/// The current state of the rejudges of these runs.
async fn rejudges(f: &Fixture, runs: &[RunRow]) -> Vec<Evaluation> {
    let mut all = Vec::new();
    for run in runs {
        let rows = f.queue.evaluations(run.id).await.expect("reads");
        all.extend(
            rows.into_iter().map(|row| row.evaluation).filter(|evaluation| !evaluation.is_first),
        );
    }
    all
}

fn count(all: &[Evaluation], status: EvaluationStatus) -> usize {
    all.iter().filter(|evaluation| evaluation.status == status).count()
}

#[tokio::test(start_paused = true)]
async fn outage_fails_few_rejudges_and_others_wait() {
    let f = Fixture::new(passing_reply);
    let (runs, engine) = finished_runs(&f).await;
    // Two at first, so that the circuit is open when the others are requested.
    let (first, rest) = runs.split_at(2);
    start_outage(&f, 5 * MINUTE);
    let before = f.received_calls().len();
    rejudge_all(&f, &engine, first).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(f.received_calls().len() - before, 5, "the circuit is open");
    rejudge_all(&f, &engine, rest).await;
    tokio::time::sleep(MINUTE).await;
    let waiting = rejudges(&f, rest).await;
    let pending = count(&waiting, EvaluationStatus::Pending);
    assert!(pending >= rest.len() - 3, "{pending} are pending");
    tokio::time::sleep(8 * MINUTE).await;
    let ended = rejudges(&f, &runs).await;
    let (done, lost) =
        (count(&ended, EvaluationStatus::Done), count(&ended, EvaluationStatus::Error));
    assert_eq!(done + lost, RUNS);
    assert!((2..=5).contains(&lost), "two at first, then one per probe: {lost}");
    for error in ended.iter().filter_map(|evaluation| evaluation.error.as_ref()) {
        let kinds = [ErrorKind::CircuitOpen, ErrorKind::EvaluationUnavailable];
        assert!(kinds.contains(&error.kind) && error.retryable, "{error:?}");
    }
    let during = f.received_calls().len() - before - done;
    assert!(during <= 12, "five to open the circuit, then one per probe: {during}");
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn endless_outage_ends_all_rejudges_in_time() {
    let f = Fixture::new(passing_reply);
    let (runs, engine) = finished_runs(&f).await;
    start_outage(&f, 1000 * MINUTE);
    rejudge_all(&f, &engine, &runs).await;
    // The longest wait; then eight at a time, each for a minute for the circuit.
    tokio::time::sleep(f.settings.max_wait + 4 * (MINUTE + MINUTE / 6)).await;
    let ended = rejudges(&f, &runs).await;
    assert_eq!(count(&ended, EvaluationStatus::Error), RUNS, "none is pending");
    for evaluation in ended {
        let error = evaluation.error.expect("failed");
        assert!(error.retryable && !error.message.is_empty(), "{error:?}");
    }
}

/// The only call slot of the server is taken for longer than the deadline of a rejudge.
#[tokio::test(start_paused = true)]
async fn wait_for_a_call_slot_moves_the_deadline_of_a_rejudge() {
    let mut f = Fixture::new(passing_reply);
    f.settings.max_calls = 1;
    f.settings.max_wait = MINUTE / 6;
    f.settings.call_timeout = 20 * MINUTE;
    let suite = f.suite(1, &[scripted(1)]).await;
    let engine = f.start().await;
    let runs = f.finished(1, suite).await;
    // The third call, of another user's run, takes ten minutes.
    f.set_script(|number, request| {
        Box::pin(async move {
            if number == 2 {
                tokio::time::sleep(10 * MINUTE).await;
            }
            passing_reply(number, request).await
        })
    });
    let busy = f.suite_with(2, &[scripted(1)], |suite| suite.runs[0].timeout_ms = 3_600_000).await;
    engine.wake();
    tokio::time::sleep(MINUTE / 6).await;
    assert_eq!(f.received_calls().len(), 3, "the slot is taken");
    rejudge_all(&f, &engine, &runs).await;
    tokio::time::sleep(9 * MINUTE).await;
    assert_eq!(rejudges(&f, &runs).await[0].status, EvaluationStatus::Running, "it waits");
    f.finished(2, busy).await;
    tokio::time::sleep(MINUTE).await;
    let ended = rejudges(&f, &runs).await.remove(0);
    assert_eq!(ended.status, EvaluationStatus::Done, "{:?}", ended.error);
}

/// A rejudge that is requested during a rate limit of this duration: its status after a
/// minute, and its final state.
async fn limited_for(time: Duration) -> (EvaluationStatus, Evaluation) {
    let f = Fixture::new(passing_reply);
    let (runs, engine) = finished_runs(&f).await;
    let until = f.clock.now().plus(time);
    f.fail_until(until, Decision::Wait { until: Some(until), overloaded: false });
    // The first one learns of the limit.
    rejudge_all(&f, &engine, &runs[..1]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    rejudge_all(&f, &engine, &runs[1..2]).await;
    tokio::time::sleep(MINUTE).await;
    let soon = rejudges(&f, &runs[1..2]).await.remove(0).status;
    tokio::time::sleep(time).await;
    (soon, rejudges(&f, &runs[1..2]).await.remove(0))
}

#[tokio::test(start_paused = true)]
async fn rejudge_waits_for_short_limit_and_fails_at_once_for_long_one() {
    let (soon, then) = limited_for(5 * MINUTE).await;
    assert_eq!((soon, then.status), (EvaluationStatus::Running, EvaluationStatus::Done));
    let (soon, then) = limited_for(30 * MINUTE).await;
    assert_eq!((soon, then.status), (EvaluationStatus::Error, EvaluationStatus::Error));
    let error = then.error.expect("failed");
    assert_eq!((error.kind, error.retryable), (ErrorKind::RateLimited, true));
}
