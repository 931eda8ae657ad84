//! A crash at any time loses no turn, duplicates none, and repeats at most the call in
//! flight.

use super::fixture::{Fixture, passing_reply, scripted, space};
use clock::Clock;
use domain::{ErrorKind, RunStatus};
use std::time::Duration;
use store::contract::queue::claim;
use store::queue::{Claim, QueueStore};
use store::suites::SuiteStore;

#[tokio::test(start_paused = true)]
async fn run_recovered_at_any_point_takes_same_path() {
    // The run takes 6 × 100 ms (5 replies and the judge); it is cut after every 50 ms.
    for cut in (1..=13).map(|n| n * 50) {
        let f = Fixture::new(passing_reply);
        let suite = f.suite(1, &[scripted(5)]).await;
        let first = f.start().await;
        tokio::time::sleep(Duration::from_millis(cut)).await;
        first.kill().await;
        let calls_before = f.received_calls().len();
        let _second = f.start().await;
        let run = f.finished(1, suite).await.remove(0);
        assert_eq!(run.status, RunStatus::Passed, "cut at {cut} ms");
        let messages = f.messages(run.id).await;
        assert_eq!(messages.len(), 10, "cut at {cut} ms: {messages:?}");
        for i in 0..5 {
            assert_eq!(messages[i * 2], format!("Question {i}"));
            assert_eq!(
                messages[i * 2 + 1],
                format!("Answer {} from the helpful agent.", i * 2 + 1)
            );
        }
        assert!(f.received_calls().len() <= 7, "at most one repeated call, cut at {cut} ms");
        assert!(calls_before <= 6);
        f.assert_every_call_has_an_intent();
        let turns = f.transcript(run.id).await;
        let indices: Vec<_> = turns.iter().map(|turn| turn.index).collect();
        assert_eq!(indices, (0..10).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn run_that_crashes_its_process_is_abandoned() {
    let f = Fixture::new(|_, _| Box::pin(std::future::pending()));
    let suite = f.suite(1, &[scripted(1)]).await;
    for _ in 0..5 {
        let engine = f.start().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        engine.kill().await;
    }
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.error.as_ref().map(|e| e.kind), Some(ErrorKind::Abandoned));
    assert_eq!(run.recoveries, 3);
    assert!(f.received_calls().len() <= 4);
}

#[tokio::test(start_paused = true)]
async fn graceful_shutdown_releases_without_counting_recovery() {
    let f = Fixture::new(passing_reply);
    let all = vec![scripted(5); 3];
    let suite = f.suite(1, &all).await;
    for _ in 0..4 {
        let engine = f.start().await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let began = tokio::time::Instant::now();
        engine.shutdown().await;
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(engine.task_count(), 0);
    }
    let _engine = f.start().await;
    for run in f.finished(1, suite).await {
        assert_eq!((run.status, run.recoveries), (RunStatus::Passed, 0));
        assert_eq!(f.messages(run.id).await.len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn worker_without_lease_stores_nothing_and_stops() {
    let f = Fixture::new(|_, _| Box::pin(std::future::pending()));
    let suite = f.suite(1, &[scripted(2)]).await;
    let engine = f.start().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.task_count(), 1);
    // Another process recovers and claims the run.
    f.queue.recover_at_boot(f.clock.now()).await.unwrap();
    let claim = Claim { owner: "another".into(), ..claim(1, f.clock.now()) };
    assert_eq!(f.queue.claim(claim).await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(engine.task_count(), 0, "stopped at the heartbeat");
    let run = f.queue.suite(space(1), suite).await.unwrap().unwrap().1.remove(0);
    assert_eq!(run.lease_owner.as_deref(), Some("another"));
    assert_eq!(run.status, RunStatus::Running, "the previous holder did not end the run");
}

#[tokio::test(start_paused = true)]
async fn run_cancelled_during_shutdown_makes_no_call() {
    let f = Fixture::new(|_, _| Box::pin(std::future::pending()));
    let suite = f.suite(1, &[scripted(2)]).await;
    let engine = f.start().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The request is stored, but the engine has not received it yet.
    f.queue.cancel_suite(space(1), suite, f.clock.now()).await.unwrap();
    engine.shutdown().await;
    let run = f.runs(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(f.received_calls().len(), 1);
}
