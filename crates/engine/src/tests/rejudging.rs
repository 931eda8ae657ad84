//! Judging again while the judge is away: it waits instead of failing, one at a
//! time tries, and nobody waits for ever.

use super::bench::{Bench, failure, obliging, scripted};
use crate::Engine;
use clock::Clock;
use domain::{ErrorKind, Evaluation, EvaluationStatus};
use llm::Decision;
use std::time::Duration;
use store::rows::{EvaluationRow, RunRow};
use store::suites::{NewEvaluation, SuiteStore};

const MINUTE: Duration = Duration::from_secs(60);
const RUNS: usize = 30;

/// Finished runs, and an engine in which nothing was learned.
async fn judged(b: &Bench) -> (Vec<RunRow>, Engine) {
    let all: Vec<_> = (0..RUNS).map(|_| scripted(1)).collect();
    let suite = b.suite(1, &all).await;
    let engine = b.engine().await;
    (b.finished(1, suite).await, engine)
}

/// From now on nothing answers, for so long.
fn out_for(b: &Bench, time: Duration) {
    let (clock, over) = (b.clock, b.clock.now().plus(time));
    b.answers(move |number, request| {
        if clock.now() < over {
            return Box::pin(async move { failure(Decision::Retry) });
        }
        obliging(number, request)
    });
}

/// All are judged again.
async fn judge_again(b: &Bench, engine: &Engine, runs: &[RunRow]) {
    for run in runs {
        let asked = Evaluation::pending(b.clock.uuid().into(), "m", 1, b.clock.now());
        let row = EvaluationRow::requested(run, run.model_snapshot.judge.clone(), asked);
        b.work.create_evaluation(NewEvaluation { row, key: None }).await.expect("is created");
    }
    engine.wake();
}

/// The later judgings as they are.
async fn again(b: &Bench, runs: &[RunRow]) -> Vec<Evaluation> {
    let mut all = Vec::new();
    for run in runs {
        let rows = b.work.evaluations(run.id).await.expect("reads");
        all.extend(rows.into_iter().map(|row| row.view).filter(|view| !view.is_first));
    }
    all
}

fn count(all: &[Evaluation], status: EvaluationStatus) -> usize {
    all.iter().filter(|judging| judging.status == status).count()
}

#[tokio::test(start_paused = true)]
async fn outage_fails_few_rejudges_and_others_wait() {
    let b = Bench::new(obliging);
    let (runs, engine) = judged(&b).await;
    // Two at first, so that the circuit is open when the others are asked for.
    let (first, rest) = runs.split_at(2);
    out_for(&b, 5 * MINUTE);
    let began = b.seen().len();
    judge_again(&b, &engine, first).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(b.seen().len() - began, 5, "it is open");
    judge_again(&b, &engine, rest).await;
    tokio::time::sleep(MINUTE).await;
    let waiting = again(&b, rest).await;
    let pending = count(&waiting, EvaluationStatus::Pending);
    assert!(pending >= rest.len() - 3, "{pending} wait");
    tokio::time::sleep(8 * MINUTE).await;
    let ended = again(&b, &runs).await;
    let (done, lost) =
        (count(&ended, EvaluationStatus::Done), count(&ended, EvaluationStatus::Error));
    assert_eq!(done + lost, RUNS);
    assert!((2..=5).contains(&lost), "two at first, then one a try: {lost}");
    for judging in ended.iter().filter_map(|judging| judging.error.as_ref()) {
        let kinds = [ErrorKind::CircuitOpen, ErrorKind::EvaluationUnavailable];
        assert!(kinds.contains(&judging.kind) && judging.retryable, "{judging:?}");
    }
    let during = b.seen().len() - began - done;
    assert!(during <= 12, "five to open it, then one a try: {during}");
    b.every_call_was_noted();
}

#[tokio::test(start_paused = true)]
async fn endless_outage_ends_all_rejudges_in_time() {
    let b = Bench::new(obliging);
    let (runs, engine) = judged(&b).await;
    out_for(&b, 1000 * MINUTE);
    judge_again(&b, &engine, &runs).await;
    // The longest wait; then eight at a time, each for a minute behind the circuit.
    tokio::time::sleep(b.settings.max_wait + 4 * (MINUTE + MINUTE / 6)).await;
    let ended = again(&b, &runs).await;
    assert_eq!(count(&ended, EvaluationStatus::Error), RUNS, "nobody waits any more");
    for judging in ended {
        let error = judging.error.expect("says why");
        assert!(error.retryable && !error.message.is_empty(), "{error:?}");
    }
}

/// What became of one judging, asked for under a rate limit of so long, after a
/// minute and in the end.
async fn limited_for(time: Duration) -> (EvaluationStatus, Evaluation) {
    let b = Bench::new(obliging);
    let (runs, engine) = judged(&b).await;
    let (clock, until) = (b.clock, b.clock.now().plus(time));
    b.answers(move |number, request| {
        if clock.now() < until {
            let decision = Decision::Wait { until: Some(until), overloaded: false };
            return Box::pin(async move { failure(decision) });
        }
        obliging(number, request)
    });
    // The first one learns of the limit.
    judge_again(&b, &engine, &runs[..1]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    judge_again(&b, &engine, &runs[1..2]).await;
    tokio::time::sleep(MINUTE).await;
    let soon = again(&b, &runs[1..2]).await.remove(0).status;
    tokio::time::sleep(time).await;
    (soon, again(&b, &runs[1..2]).await.remove(0))
}

#[tokio::test(start_paused = true)]
async fn rejudge_waits_for_short_limit_and_fails_at_once_for_long_one() {
    let (soon, then) = limited_for(5 * MINUTE).await;
    assert_eq!((soon, then.status), (EvaluationStatus::Running, EvaluationStatus::Done));
    let (soon, then) = limited_for(30 * MINUTE).await;
    assert_eq!((soon, then.status), (EvaluationStatus::Error, EvaluationStatus::Error));
    let error = then.error.expect("says why");
    assert_eq!((error.kind, error.retryable), (ErrorKind::RateLimited, true));
}
