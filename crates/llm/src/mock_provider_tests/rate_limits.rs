//! Limits that a server reports, or enforces by rejections.

use super::{PROTOCOLS, env};
use crate::testing::chat_request;
use domain::ConnectionKind;
use mock_provider::{MockProvider, Outcome, RetryAfter, Script, WindowLimit};
use rstest::rstest;
use std::time::Duration;
use tokio::time::Instant;

#[rstest]
#[case(RetryAfter::Millis, 200)]
#[case(RetryAfter::Seconds, 200)]
#[case(RetryAfter::Date, 200)]
#[tokio::test]
async fn retry_after_is_respected_in_every_format(
    #[case] retry_after: RetryAfter,
    #[case] window_ms: u64,
) {
    let limit = WindowLimit { max: 1, window_ms, retry_after };
    let env =
        env(ConnectionKind::OpenAi, Script { rate_limit: Some(limit), ..Script::default() }).await;
    env.call(&env.outbound(), Duration::from_secs(10)).await.expect("the first is free");
    // A new path without learned limits.
    let outbound = env.outbound();
    let reply = env.call(&outbound, Duration::from_secs(10)).await.expect("the second waits");
    assert_eq!(reply.attempts, 2, "one 429, then a wait for Retry-After");
    assert_eq!(rejections(&env.mock), 1);
}

fn rejections(mock: &MockProvider) -> usize {
    mock.request_log().iter().filter(|entry| entry.outcome == Outcome::Answered(429)).count()
}

#[tokio::test]
async fn reported_limit_is_respected_without_rejections() {
    let limit = WindowLimit { max: 3, window_ms: 400, retry_after: RetryAfter::Seconds };
    let env =
        env(ConnectionKind::OpenAi, Script { rate_limit: Some(limit), ..Script::default() }).await;
    let (outbound, began) = (env.outbound(), Instant::now());
    for _ in 0..7 {
        env.call(&outbound, Duration::from_secs(10)).await.expect("a reply");
    }
    assert_eq!(rejections(&env.mock), 0);
    assert!(began.elapsed() >= Duration::from_millis(800), "3 + 3 + 1: {:?}", began.elapsed());
}

#[tokio::test]
async fn limits_are_read_from_successes_and_rejections() {
    for kind in PROTOCOLS {
        let limit = WindowLimit { max: 1, window_ms: 60_000, retry_after: RetryAfter::None };
        let env = env(kind, Script { rate_limit: Some(limit), ..Script::default() }).await;
        let rate_limits = env
            .chat_request(&chat_request("hi"))
            .await
            .expect("a reply")
            .rate_limits
            .expect("limits");
        assert_eq!(rate_limits.requests.map(|limit| (limit.limit, limit.remaining)), Some((1, 0)));
        let rate_limits = env.error().await.rate_limits.expect("limits");
        assert!(rate_limits.requests.is_some_and(|limit| limit.reset.is_some()), "{kind:?}");
    }
}
