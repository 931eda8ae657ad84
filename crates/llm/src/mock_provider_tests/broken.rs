//! Responses that do not start, stall, drip, are truncated or never end.

use super::{OPTIONS, PROTOCOLS, env, rig_with};
use crate::http::HttpOptions;
use crate::testing::chat_request;
use domain::ConnectionKind;
use llm_types::Decision;
use mock_provider::{Action, MockProvider, Outcome, Rule, Script};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn stalled_response_hits_idle_timeout() {
    let options = HttpOptions { idle_timeout: Duration::from_millis(100), ..OPTIONS };
    for kind in PROTOCOLS {
        let drip = Script::of([Rule::always(Action::Drip { every_ms: 2_000 })]);
        let env = rig_with(kind, drip, options).await;
        let error = env.error().await;
        assert_eq!(error.decision, Decision::Retry);
        assert!(error.message.contains("stopped in the middle"), "{}", error.message);
    }
}

#[tokio::test]
async fn idle_timeout_does_not_apply_before_the_response() {
    let options = HttpOptions { idle_timeout: Duration::from_millis(100), ..OPTIONS };
    let slow = Script { latency_ms: 400, ..Script::default() };
    let env = rig_with(ConnectionKind::OpenAi, slow, options).await;
    assert!(env.chat_request(&chat_request("hi")).await.is_ok());
}

#[tokio::test]
async fn slow_drip_hits_call_timeout() {
    let drip = Action::Drip { every_ms: 30 }; // some 300 bytes: 9 s
    let env = env(ConnectionKind::OpenAi, Script::of([Rule::first(1, drip)])).await;
    let (outbound, began) = (env.outbound(), Instant::now());
    let reply = env
        .call(&outbound, Duration::from_millis(300))
        .await
        .expect("a reply of the second attempt");
    assert_eq!(reply.attempts, 2);
    assert!(reply.latency < Duration::from_millis(300) && began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn call_timeout_disconnects_from_hanging_server() {
    let env = env(ConnectionKind::Anthropic, Script::of([Rule::first(1, Action::Hang)])).await;
    let outbound = env.outbound();
    let reply = env
        .call(&outbound, Duration::from_millis(200))
        .await
        .expect("a reply of the second attempt");
    assert_eq!(reply.attempts, 2);
    assert_eq!(outcomes(&env.mock).await, [Outcome::Disconnected, Outcome::Answered(200)]);
}

#[tokio::test]
async fn dropped_call_disconnects_from_server() {
    let env = env(ConnectionKind::OpenAi, Script::of([Rule::always(Action::Hang)])).await;
    let outbound = env.outbound();
    let call = env.call(&outbound, Duration::from_secs(60));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    assert_eq!(outcomes(&env.mock).await, [Outcome::Disconnected]);
}

/// Waits until no request is in flight, because the server detects a disconnect with a
/// delay. Returns the outcomes.
async fn outcomes(mock: &MockProvider) -> Vec<Outcome> {
    for _ in 0..200 {
        let outcomes: Vec<Outcome> = mock.request_log().iter().map(|entry| entry.outcome).collect();
        if !outcomes.contains(&Outcome::InFlight) {
            return outcomes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    mock.request_log().iter().map(|entry| entry.outcome).collect()
}

#[tokio::test]
async fn oversized_response_is_not_read_completely() {
    for kind in PROTOCOLS {
        let began = Instant::now();
        let env =
            env(kind, Script::of([Rule::always(Action::OversizedBody(500 * 1024 * 1024))])).await;
        let error = env.error().await;
        assert_eq!(error.decision, Decision::Retry);
        assert!(error.message.contains("larger than 1 MiB"), "{}", error.message);
        assert!(began.elapsed() < Duration::from_secs(2), "500 MB were not sent");
    }
}

#[test]
fn default_body_limit_is_four_mebibytes() {
    use crate::http::TransportError;
    let options = HttpOptions::default();
    assert_eq!(options.max_body, 4 * 1024 * 1024);
    let message = TransportError::TooLarge(options.max_body).to_string();
    assert!(message.contains("4 MiB"), "{message}");
}

#[tokio::test]
async fn truncated_response_is_retried() {
    for kind in PROTOCOLS {
        let env = env(kind, Script::of([Rule::first(2, Action::TruncateBody)])).await;
        let reply = env.call(&env.outbound(), Duration::from_secs(10)).await.expect("a reply");
        assert_eq!((reply.attempts, env.mock.request_log().len()), (3, 3));
    }
}
