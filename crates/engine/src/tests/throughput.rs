//! What has begun finishes: runs wait for call slots and rate limits as long as calls get
//! through, and the calls of older runs go first.

use super::fixture::{Fixture, passing_reply, scripted};
use super::rate_limits::limited;
use domain::{RunStatus, SuiteId, WaitReason};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::rows::RunRow;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A provider whose calls take this time.
fn slow(latency: Duration) -> Fixture {
    Fixture::new(move |number, request| {
        Box::pin(async move {
            tokio::time::sleep(latency.saturating_sub(SECOND / 10)).await;
            passing_reply(number, request).await
        })
    })
}

/// A scenario with this number of calls: one per turn, and the judge.
fn calls(n: usize) -> Value {
    let mut scenario = scripted(n - 1);
    scenario["timeout_seconds"] = json!(1800);
    scenario["max_turns"] = json!(n);
    scenario
}

fn assert_passed(runs: &[RunRow]) {
    for run in runs {
        assert_eq!((run.status, &run.error), (RunStatus::Passed, &None));
    }
}

/// Waits until all suites are finished, and checks that every run passed.
async fn assert_all_pass(f: &Fixture, suites: &[(u128, SuiteId)]) {
    for (owner, suite) in suites {
        assert_passed(&f.finished(*owner, *suite).await);
    }
}

#[tokio::test(start_paused = true)]
async fn two_call_slots_finish_eight_runs_with_a_short_max_wait() {
    let mut f = slow(3 * SECOND / 2);
    (f.settings.max_calls, f.settings.max_wait) = (2, 15 * SECOND);
    f.settings.circuit_wait = 15 * SECOND;
    let suite = f.suite_with(1, &vec![calls(6); 8], |suite| suite.concurrency = 8).await;
    let _engine = f.start().await;
    let began = tokio::time::Instant::now();
    assert_passed(&f.finished(1, suite).await);
    assert!(began.elapsed() < 8 * 6 * SECOND, "both slots are used: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ten_requests_per_minute_finish_eight_runs_with_a_short_max_wait() {
    for (headers, concurrency) in [(true, 3), (true, 8), (false, 3), (false, 8)] {
        let mut f = Fixture::new(passing_reply);
        f.settings.max_wait = 130 * SECOND;
        f.set_script(limited(Arc::default(), f.clock, 10, headers));
        let suite =
            f.suite_with(1, &vec![calls(6); 8], |suite| suite.concurrency = concurrency).await;
        let _engine = f.start().await;
        let began = tokio::time::Instant::now();
        assert_passed(&f.finished(1, suite).await);
        assert!(began.elapsed() < 8 * MINUTE, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_users_lose_no_run_to_waiting_for_64_call_slots() {
    let f = slow(10 * SECOND);
    let (scenarios, mut suites) = (vec![calls(40); 8], Vec::new());
    for owner in 1..=20 {
        let suite = f.suite_with(owner, &scenarios, |suite| suite.concurrency = 8).await;
        suites.push((owner, suite));
    }
    let _engine = f.start().await;
    let began = tokio::time::Instant::now();
    assert_all_pass(&f, &suites).await;
    // 6,400 calls of 10 s in 64 slots take 1,000 s, and the last runs do not fill them.
    assert!(began.elapsed() < 1_500 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ten_users_lose_no_run_to_waiting_for_a_shared_rate_limit() {
    for headers in [true, false] {
        let f = Fixture::new(passing_reply);
        f.set_script(limited(Arc::default(), f.clock, 50, headers));
        let mut suites = Vec::new();
        for owner in 1..=10 {
            suites.push((owner, f.suite(owner, &vec![calls(20); 3]).await));
        }
        let _engine = f.start().await;
        let began = tokio::time::Instant::now();
        assert_all_pass(&f, &suites).await;
        // 600 calls at 45 per minute.
        assert!(began.elapsed() < 17 * MINUTE, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn older_runs_of_a_user_finish_first() {
    let mut f = slow(10 * SECOND);
    f.settings.max_calls = 4;
    let suite = f.suite_with(1, &vec![calls(5); 4], |suite| suite.concurrency = 2).await;
    let _engine = f.start().await;
    // Another user takes half of the slots.
    let other = f.suite_with(2, &vec![calls(5); 4], |suite| suite.concurrency = 4).await;
    let runs = f.finished(1, suite).await;
    let ends: Vec<_> = runs.iter().map(|run| run.finished_at).collect();
    assert!(ends.is_sorted(), "{ends:?}");
    assert_passed(&runs);
    assert_passed(&f.finished(2, other).await);
}

#[tokio::test(start_paused = true)]
async fn wait_for_a_call_slot_moves_the_deadline() {
    let mut f = Fixture::new(|number, request| {
        Box::pin(async move {
            if number == 0 {
                tokio::time::sleep(50 * MINUTE).await;
            }
            passing_reply(number, request).await
        })
    });
    (f.settings.max_calls, f.settings.call_timeout) = (1, 60 * MINUTE);
    let mut long = scripted(1);
    long["timeout_seconds"] = json!(3600);
    let long = f.suite(1, &[long]).await;
    let _engine = f.start().await;
    tokio::time::sleep(SECOND).await;
    let short = f.suite(2, &[scripted(2)]).await;
    tokio::time::sleep(40 * MINUTE).await;
    let waiting = f.runs(2, short).await.remove(0);
    assert_eq!(waiting.waiting.map(|waiting| waiting.what), Some(WaitReason::Slot));
    assert!(waiting.deadline_at.is_some_and(|at| at < clock::Clock::now(&f.clock)));
    let run = f.finished(2, short).await.remove(0);
    assert_passed(std::slice::from_ref(&run));
    assert_eq!(run.waited_ms, 0, "only waits for the provider count");
    assert!(run.deadline_at > run.finished_at, "the deadline moved");
    assert_passed(&f.finished(1, long).await);
}
