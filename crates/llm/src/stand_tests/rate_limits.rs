//! Limits that a server tells of, or keeps by refusing.

use super::{BOTH, rig};
use crate::testing::ask;
use domain::ConnectionKind;
use rstest::rstest;
use mock_provider::{Outcome, RateLimit, RetryAfter, Script, Stand};
use std::time::Duration;
use tokio::time::Instant;

#[rstest]
#[case(RetryAfter::Millis, 200)]
#[case(RetryAfter::Seconds, 200)]
#[case(RetryAfter::Date, 200)]
#[tokio::test]
async fn rate_limits_are_kept_in_every_spelling(
    #[case] retry_after: RetryAfter,
    #[case] window_ms: u64,
) {
    let limit = RateLimit { requests: 1, window_ms, retry_after };
    let rig =
        rig(ConnectionKind::OpenAi, Script { rate_limit: Some(limit), ..Script::default() }).await;
    rig.call(&rig.outbound(), Duration::from_secs(10)).await.expect("the first is free");
    // A path that has learned nothing yet.
    let outbound = rig.outbound();
    let reply = rig.call(&outbound, Duration::from_secs(10)).await.expect("the second waits");
    assert_eq!(reply.attempts, 2, "one 429, then not before it was told");
    assert_eq!(refused(&rig.stand), 1);
}

fn refused(stand: &Stand) -> usize {
    stand.journal().iter().filter(|entry| entry.outcome == Outcome::Answered(429)).count()
}

#[tokio::test]
async fn a_limit_that_was_told_is_kept_without_being_refused() {
    let limit = RateLimit { requests: 3, window_ms: 400, retry_after: RetryAfter::Seconds };
    let rig =
        rig(ConnectionKind::OpenAi, Script { rate_limit: Some(limit), ..Script::default() }).await;
    let (outbound, began) = (rig.outbound(), Instant::now());
    for _ in 0..7 {
        rig.call(&outbound, Duration::from_secs(10)).await.expect("a reply");
    }
    assert_eq!(refused(&rig.stand), 0);
    assert!(began.elapsed() >= Duration::from_millis(800), "3 + 3 + 1: {:?}", began.elapsed());
}

#[tokio::test]
async fn limits_are_told_by_good_and_bad_answers() {
    for kind in BOTH {
        let limit = RateLimit { requests: 1, window_ms: 60_000, retry_after: RetryAfter::None };
        let rig = rig(kind, Script { rate_limit: Some(limit), ..Script::default() }).await;
        let told = rig.ask(&ask("hi")).await.expect("a reply").told.expect("limits");
        assert_eq!(told.requests.map(|limit| (limit.limit, limit.remaining)), Some((1, 0)));
        let told = rig.error().await.told.expect("limits");
        assert!(told.requests.is_some_and(|limit| limit.reset.is_some()), "{kind:?}");
    }
}
