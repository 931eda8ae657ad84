//! Runs wait instead of failing; the wait is visible and occupies no slot.

use super::fixture::{Fixture, connection, failure, passing_reply, scripted, user};
use clock::Clock;
use domain::{ErrorKind, RunStatus, Timestamp, WaitReason};
use llm::Decision;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn rate_limit_wait_is_visible() {
    let f = Fixture::new(passing_reply);
    let clock = f.clock;
    f.set_script(move |number, request| {
        if number == 1 {
            let until = Some(clock.now().plus(Duration::from_secs(40)));
            return Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) });
        }
        passing_reply(number, request)
    });
    let suite = f.suite(1, &[scripted(3)]).await;
    let _engine = f.start().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let waiting = f.runs(1, suite).await.remove(0);
    assert_eq!(waiting.waiting.map(|w| w.what), Some(WaitReason::RateLimit));
    assert!(waiting.waiting.and_then(|w| w.until).is_some_and(|until| until > f.clock.now()));
    assert!(waiting.parked, "its slots are free for others");
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed);
    assert!(run.waited_ms >= 39_000, "{}", run.waited_ms);
    assert!(run.active_ms < 2_000, "parked time is not active time: {}", run.active_ms);
    let calls = f.received_calls();
    let gap = calls[2].at.since(calls[1].at);
    assert!(gap >= Duration::from_secs(40), "Retry-After is a floor: {gap:?}");
    assert_eq!(user(1), run.user_id);
}

/// Edits the connection while runs wait because of `decision`. Returns the base URLs of
/// all calls, and the number of calls before the edit.
async fn edit_while_runs_wait(decision: fn(Timestamp) -> Decision) -> (Vec<String>, usize) {
    let f = Fixture::new(passing_reply);
    let clock = f.clock;
    f.set_script(move |_, _| Box::pin(async move { failure(decision(clock.now())) }));
    let suite = f.suite(1, &[scripted(1), scripted(1), scripted(1)]).await;
    let outbound = f.outbound();
    let _engine = f.start_with_outbound(outbound.clone()).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let waiting = f.runs(1, suite).await;
    assert!(waiting.iter().all(|run| run.status == RunStatus::Running), "{waiting:?}");
    assert!(waiting.iter().any(|run| run.parked), "{waiting:?}");
    let before = f.received_calls().len();
    f.set_script(passing_reply);
    f.set_base_url("http://127.0.0.1:2");
    outbound.reset_connection(connection());
    let runs = f.finished(1, suite).await;
    assert!(runs.iter().all(|run| run.status == RunStatus::Passed), "{runs:?}");
    (f.received_calls().into_iter().map(|call| call.base_url).collect(), before)
}

#[tokio::test(start_paused = true)]
async fn waiting_call_uses_edited_connection() {
    let rate_limited = |now: Timestamp| Decision::Wait {
        until: Some(now.plus(Duration::from_secs(300))),
        overloaded: false,
    };
    for decision in [rate_limited, |_| Decision::Retry] {
        let (urls, before) = edit_while_runs_wait(decision).await;
        assert!(urls[..before].iter().all(|url| url == "http://127.0.0.1:1"), "{urls:?}");
        assert!(urls[before..].iter().all(|url| url == "http://127.0.0.1:2"), "{urls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn parked_too_long_ends_as_retryable_rate_limited() {
    let f = Fixture::new(passing_reply);
    let clock = f.clock;
    f.set_script(move |_, _| {
        let until = Some(clock.now().plus(Duration::from_secs(3600)));
        Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) })
    });
    let run = f.run(scripted(1)).await;
    let error = run.error.as_ref().unwrap();
    assert_eq!((error.kind, error.retryable), (ErrorKind::RateLimited, true));

    // In the middle of a conversation, its messages are kept.
    f.set_script(move |number, request| {
        if request.messages.len() < 3 {
            return passing_reply(number, request);
        }
        let until = Some(clock.now().plus(Duration::from_secs(3600)));
        Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) })
    });
    tokio::time::sleep(Duration::from_secs(7200)).await;
    let suite = f.suite(1, &[scripted(3)]).await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.error.as_ref().map(|error| error.kind), Some(ErrorKind::RateLimited));
    assert_eq!(f.messages(run.id).await.len(), 3);
}
