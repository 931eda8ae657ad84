//! Waiting instead of failing: visible, and without anybody else's place.

use super::bench::{Bench, connection, failure, obliging, scripted, user};
use clock::Clock;
use domain::{ErrorKind, RunStatus, Timestamp, WaitReason};
use llm::Decision;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn rate_limit_wait_is_visible() {
    let b = Bench::new(obliging);
    let clock = b.clock;
    b.answers(move |number, request| {
        if number == 1 {
            let until = Some(clock.now().plus(Duration::from_secs(40)));
            return Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) });
        }
        obliging(number, request)
    });
    let suite = b.suite(1, &[scripted(3)]).await;
    let _engine = b.engine().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let waiting = b.runs(1, suite).await.remove(0);
    assert_eq!(waiting.waiting.map(|w| w.what), Some(WaitReason::RateLimit));
    assert!(waiting.waiting.and_then(|w| w.until).is_some_and(|until| until > b.clock.now()));
    assert!(waiting.parked, "its slots are free for others");
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed);
    assert!(run.parked_ms >= 39_000, "{}", run.parked_ms);
    assert!(run.active_ms < 2_000, "parked time is not active time: {}", run.active_ms);
    let seen = b.seen();
    let gap = seen[2].at.since(seen[1].at);
    assert!(gap >= Duration::from_secs(40), "Retry-After is a floor: {gap:?}");
    assert_eq!(user(1), run.user_id);
}

/// Runs that wait for `decision` while their connection is edited: where the
/// calls went, and how often after the edit.
async fn edited_while_they_wait(decision: fn(Timestamp) -> Decision) -> (Vec<String>, usize) {
    let b = Bench::new(obliging);
    let clock = b.clock;
    b.answers(move |_, _| Box::pin(async move { failure(decision(clock.now())) }));
    let suite = b.suite(1, &[scripted(1), scripted(1), scripted(1)]).await;
    let outbound = b.outbound();
    let _engine = b.engine_over(outbound.clone()).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let waiting = b.runs(1, suite).await;
    assert!(waiting.iter().all(|run| run.status == RunStatus::Running), "{waiting:?}");
    assert!(waiting.iter().any(|run| run.parked), "{waiting:?}");
    let before = b.seen().len();
    b.answers(obliging);
    b.moves_to("http://127.0.0.1:2");
    outbound.reset_connection(connection());
    let runs = b.finished(1, suite).await;
    assert!(runs.iter().all(|run| run.status == RunStatus::Passed), "{runs:?}");
    (b.seen().into_iter().map(|seen| seen.base_url).collect(), before)
}

#[tokio::test(start_paused = true)]
async fn waiting_call_uses_edited_connection() {
    let told = |now: Timestamp| Decision::Wait {
        until: Some(now.plus(Duration::from_secs(300))),
        overloaded: false,
    };
    for decision in [told, |_| Decision::Retry] {
        let (went, before) = edited_while_they_wait(decision).await;
        assert!(went[..before].iter().all(|url| url == "http://127.0.0.1:1"), "{went:?}");
        assert!(went[before..].iter().all(|url| url == "http://127.0.0.1:2"), "{went:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn parked_too_long_ends_as_retryable_rate_limited() {
    let b = Bench::new(obliging);
    let clock = b.clock;
    b.answers(move |_, _| {
        let until = Some(clock.now().plus(Duration::from_secs(3600)));
        Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) })
    });
    let suite = b.suite(1, &[scripted(1)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    let error = run.error.as_ref().unwrap();
    assert_eq!((error.kind, error.retryable), (ErrorKind::RateLimited, true));

    // In the middle of a conversation what was said is kept.
    b.answers(move |number, request| {
        if request.messages.len() < 3 {
            return obliging(number, request);
        }
        let until = Some(clock.now().plus(Duration::from_secs(3600)));
        Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) })
    });
    tokio::time::sleep(Duration::from_secs(7200)).await;
    let suite = b.suite(1, &[scripted(3)]).await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.error.as_ref().map(|error| error.kind), Some(ErrorKind::RateLimited));
    assert_eq!(b.said(run.id).await.len(), 3);
}
