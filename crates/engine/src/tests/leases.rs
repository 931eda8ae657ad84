//! A run whose lease is lost makes no further call, and its evaluation ends with it.

use super::faulty_store::FaultyStore;
use super::fixture::{Fixture, failure, passing_reply, scripted, space};
use clock::Clock;
use domain::{EvaluationStatus, RunStatus};
use llm::Decision;
use std::time::Duration;
use store::queue::QueueStore;
use store::suites::SuiteStore;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn parked_run_without_lease_makes_no_call() {
    let f = Fixture::new(passing_reply);
    let until = Some(f.clock.now().plus(14 * SECOND));
    f.fail_until(f.clock.now().plus(SECOND), Decision::Wait { until, overloaded: false });
    let suite = f.suite(1, &[scripted(2)]).await;
    let store = FaultyStore::over(&f);
    let _engine = f.start_with_store(store.clone()).await;
    tokio::time::sleep(7 * SECOND).await;
    let run = f.runs(1, suite).await.remove(0);
    assert!(run.parked, "{run:?}");
    // Another process ends the run, and no heartbeat tells this one.
    store.block_heartbeats(true);
    f.queue.cancel_run(space(1), run.id, f.clock.now()).await.expect("cancels");
    f.queue.release(&run.lease(), f.clock.now()).await.expect("releases");
    assert_eq!(f.runs(1, suite).await[0].status, RunStatus::Cancelled);
    let calls = f.received_calls().len();
    tokio::time::sleep(12 * SECOND).await;
    assert_eq!(f.received_calls().len(), calls, "no call without the lease");
}

#[tokio::test(start_paused = true)]
async fn run_makes_no_call_while_its_lease_may_have_expired() {
    let f = Fixture::new(|number, request| {
        if number == 0 {
            return Box::pin(async {
                tokio::time::sleep(40 * SECOND).await;
                failure(Decision::Retry)
            });
        }
        passing_reply(number, request)
    });
    let suite = f.suite(1, &[scripted(1)]).await;
    let store = FaultyStore::over(&f);
    let _engine = f.start_with_store(store.clone()).await;
    tokio::time::sleep(SECOND).await;
    store.block_heartbeats(true);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(f.received_calls().len(), 1, "the retry waits for a heartbeat");
    store.block_heartbeats(false);
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!((run.status, run.lease_epoch), (RunStatus::Passed, 1));
}

#[tokio::test(start_paused = true)]
async fn evaluation_of_a_run_cancelled_in_the_second_judge_call_is_final() {
    let f = Fixture::new(|number, request| match (&request.output, number) {
        (Some(_), 1) => Box::pin(async { super::fixture::reply("{}") }),
        (Some(_), 2) => Box::pin(std::future::pending()),
        _ => passing_reply(number, request),
    });
    let suite = f.suite(1, &[scripted(1)]).await;
    let engine = f.start().await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(f.received_calls().len(), 3, "the second judge call is in flight");
    let outcome = f.queue.cancel_suite(space(1), suite, f.clock.now()).await.unwrap().unwrap();
    engine.cancel(&outcome.leased_runs);
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    let first = f.queue.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert_eq!(first.status, EvaluationStatus::Cancelled);
    assert!(first.raw_reply.is_some() && first.finished_at.is_some());
    let rejudge = f.rejudge(&run).await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(f.evaluation(&run, rejudge).await.evaluation.status, EvaluationStatus::Done);
}
