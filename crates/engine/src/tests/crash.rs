//! A crash at any moment loses no turn, says none twice, and repeats at most
//! the one call in flight.

use super::bench::{Bench, obliging, scripted, space};
use clock::Clock;
use domain::{ErrorKind, RunStatus};
use std::time::Duration;
use store::queue::QueueStore;
use store::suites::SuiteStore;

#[tokio::test(start_paused = true)]
async fn run_recovered_at_any_point_takes_same_path() {
    // The run takes 6 × 100 ms (5 answers and the judge); cut it every 50 ms.
    for cut in (1..=13).map(|n| n * 50) {
        let b = Bench::new(obliging);
        let suite = b.suite(1, &[scripted(5)]).await;
        let first = b.engine().await;
        tokio::time::sleep(Duration::from_millis(cut)).await;
        first.kill().await;
        let calls_before = b.seen().len();
        let _second = b.engine().await;
        let run = b.finished(1, suite).await.remove(0);
        assert_eq!(run.status, RunStatus::Passed, "cut at {cut} ms");
        let said = b.said(run.id).await;
        assert_eq!(said.len(), 10, "cut at {cut} ms: {said:?}");
        for i in 0..5 {
            assert_eq!(said[i * 2], format!("Question {i}"));
            assert_eq!(said[i * 2 + 1], format!("Answer {} from the helpful agent.", i * 2 + 1));
        }
        assert!(b.seen().len() <= 7, "at most one repeated call, cut at {cut} ms");
        assert!(calls_before <= 6);
        b.every_call_was_noted();
        let turns = b.transcript(run.id).await;
        let indices: Vec<_> = turns.iter().map(|turn| turn.index).collect();
        assert_eq!(indices, (0..10).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn run_that_crashes_its_process_is_abandoned() {
    let b = Bench::new(|_, _| Box::pin(std::future::pending()));
    let suite = b.suite(1, &[scripted(1)]).await;
    for _ in 0..5 {
        let engine = b.engine().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        engine.kill().await;
    }
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.error.as_ref().map(|e| e.kind), Some(ErrorKind::Abandoned));
    assert_eq!(run.recoveries, 3);
    assert!(b.seen().len() <= 4);
}

#[tokio::test(start_paused = true)]
async fn graceful_shutdown_releases_without_counting_recovery() {
    let b = Bench::new(obliging);
    let all: Vec<_> = (0..3).map(|_| scripted(5)).collect();
    let suite = b.suite(1, &all).await;
    for _ in 0..4 {
        let engine = b.engine().await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let began = tokio::time::Instant::now();
        engine.shutdown().await;
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(engine.held(), 0);
    }
    let _engine = b.engine().await;
    for run in b.finished(1, suite).await {
        assert_eq!((run.status, run.recoveries), (RunStatus::Passed, 0));
        assert_eq!(b.said(run.id).await.len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn worker_without_lease_stores_nothing_and_stops() {
    let b = Bench::new(|_, _| Box::pin(std::future::pending()));
    let suite = b.suite(1, &[scripted(2)]).await;
    let engine = b.engine().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.held(), 1);
    // Another node reaps it and holds it now.
    b.work.recover_at_boot(b.clock.now()).await.unwrap();
    let claim = store::queue::Claim {
        owner: "another".into(),
        runs_per_user: 8,
        max_wait: Duration::from_secs(600),
        most: 1,
        admission_limits: Vec::new(),
        now: b.clock.now(),
    };
    assert_eq!(b.work.claim(claim).await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(engine.held(), 0, "stopped at the heartbeat");
    let run = b.work.suite(space(1), suite).await.unwrap().unwrap().1.remove(0);
    assert_eq!(run.lease_owner.as_deref(), Some("another"));
    assert_eq!(run.status, RunStatus::Running, "it did not end what is not its own");
}

#[tokio::test(start_paused = true)]
async fn run_cancelled_during_shutdown_makes_no_call() {
    let b = Bench::new(|_, _| Box::pin(std::future::pending()));
    let suite = b.suite(1, &[scripted(2)]).await;
    let engine = b.engine().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Stored, and not yet told to the engine.
    b.work.cancel_suite(space(1), suite, b.clock.now()).await.unwrap();
    engine.shutdown().await;
    let run = b.runs(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(b.seen().len(), 1);
}
