//! Limits of calls per server and of runs per user and suite; no user waits behind the
//! queue of another.

use super::fixture::{Fixture, passing_reply, scripted};
use domain::RunStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn concurrent_calls_stay_within_limit() {
    let mut f = Fixture::new(passing_reply);
    f.settings.max_calls = 5;
    f.settings.runs_per_user = 100;
    let all = vec![scripted(3); 30];
    let suite = f.suite_with(1, &all, |suite| suite.concurrency = 30).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    assert!(runs.iter().all(|run| run.status == RunStatus::Passed));
    assert_eq!(f.provider.max_in_flight.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn suite_stays_within_concurrency() {
    let f = Fixture::new(passing_reply);
    let all = vec![scripted(2); 12];
    let suite = f.suite(1, &all).await;
    let _engine = f.start().await;
    f.finished(1, suite).await;
    assert_eq!(f.provider.max_in_flight.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn long_queue_delays_other_user_by_one_call() {
    let mut f = Fixture::new(passing_reply);
    f.settings.max_calls = 1;
    let all = vec![scripted(2); 50];
    let long = f.suite_with(1, &all, |suite| suite.concurrency = 8).await;
    let engine = f.start().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let short = f.suite(2, &[scripted(3)]).await;
    engine.wake();
    let run = f.finished(2, short).await.remove(0);
    let took = run.finished_at.unwrap().since(run.created_at);
    // Four calls, each delayed by at most one call of the other user.
    assert!(took <= Duration::from_millis(4 * 200 + 100), "{took:?}");
    assert!(
        f.runs(1, long).await.iter().any(|run| !run.status.is_final()),
        "the long suite is unfinished"
    );
}
