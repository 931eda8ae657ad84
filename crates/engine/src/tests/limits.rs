//! Limits hold: calls of a server, runs of a user and of a suite, and nobody
//! waits behind another's queue.

use super::bench::{Bench, obliging, scripted};
use domain::RunStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn concurrent_calls_stay_within_limit() {
    let mut b = Bench::new(obliging);
    b.settings.max_calls = 5;
    b.settings.runs_per_user = 100;
    let all: Vec<_> = (0..30).map(|_| scripted(3)).collect();
    let suite = b.suite_with(1, &all, |suite| suite.concurrency = 30).await;
    let _engine = b.engine().await;
    let runs = b.finished(1, suite).await;
    assert!(runs.iter().all(|run| run.status == RunStatus::Passed));
    assert_eq!(b.provider.most_flying.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn suite_stays_within_concurrency() {
    let b = Bench::new(obliging);
    let all: Vec<_> = (0..12).map(|_| scripted(2)).collect();
    let suite = b.suite(1, &all).await;
    let _engine = b.engine().await;
    b.finished(1, suite).await;
    assert_eq!(b.provider.most_flying.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn long_queue_delays_other_user_by_one_call() {
    let mut b = Bench::new(obliging);
    b.settings.max_calls = 1;
    let all: Vec<_> = (0..50).map(|_| scripted(2)).collect();
    let long = b.suite_with(1, &all, |suite| suite.concurrency = 8).await;
    let engine = b.engine().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let short = b.suite(2, &[scripted(3)]).await;
    engine.wake();
    let run = b.finished(2, short).await.remove(0);
    let took = run.finished_at.unwrap().since(run.created_at);
    // Four calls of its own, each behind at most one of the other's.
    assert!(took <= Duration::from_millis(4 * 200 + 100), "{took:?}");
    assert!(b.runs(1, long).await.iter().any(|run| !run.status.is_final()), "the long one goes on");
}
