//! Deployed agents behind the outbound path, whose timers may interrupt the adapter.

use super::*;
use crate::outbound::{Call, CallLimits, CallOrder, NoHooks, Outbound};
use domain::{ErrorKind, UserId};
use llm_types::{Cause, Decision};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);

/// Sends a message to an agent that answers after 300 ms. Returns the outcome and the
/// number of requests.
async fn send_slowly(
    parts: &Value,
    connection_timeout: Option<Duration>,
    call_timeout: Duration,
    active_left: Duration,
) -> (Result<ChatReply, CallError>, usize) {
    let server = TestServer::start_slow(SHORT * 3, |_| json_response(200, &json!({"reply": "Hi"})));
    let server = server.await;
    let outbound = Outbound::new(
        Arc::new(client(64 * 1024)),
        Arc::new(SystemClock),
        SmallRng::seed_from_u64(1),
    );
    let call = Call {
        user_id: UserId(Uuid::from_u128(1)),
        order: CallOrder::default(),
        is_manual_probe: false,
        resolver: &Endpoint { timeout: connection_timeout, ..endpoint_at(&server.url) },
        request: &ChatRequest {
            http: Some(Box::new(call(&agent(parts), false, false))),
            ..ChatRequest::default()
        },
        limits: CallLimits {
            call_timeout,
            active_left,
            max_wait: Duration::ZERO,
            circuit_wait: Duration::ZERO,
        },
        hooks: &NoHooks,
    };
    (outbound.call(call).await.result, server.requests().len())
}

#[tokio::test]
async fn timeout_of_the_connection_does_not_repeat_a_message() {
    let (outcome, requests) = send_slowly(&json!({}), Some(SHORT), LONG, LONG).await;
    assert_eq!((outcome.map(|reply| reply.text), requests), (Ok("Hi".to_owned()), 1));
}

#[tokio::test]
async fn interrupted_message_has_an_unknown_outcome() {
    for (call_timeout, active_left) in [(SHORT, LONG), (LONG, SHORT)] {
        let (outcome, requests) = send_slowly(&json!({}), None, call_timeout, active_left).await;
        let error = outcome.expect_err("no reply");
        assert_eq!(error.decision, Decision::GiveUp(ErrorKind::OutcomeUnknown), "{error}");
        assert_eq!((error.cause, requests), (Cause::Timeout, 1), "{error}");
        assert!(error.message.contains("unknown whether the agent acted"), "{error}");
    }
}

#[tokio::test]
async fn interrupted_message_of_an_idempotent_agent_is_repeated() {
    let (outcome, requests) = send_slowly(&json!({"idempotent": true}), None, SHORT, LONG).await;
    let error = outcome.expect_err("no reply");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderUnavailable), "{error}");
    assert_eq!(requests, 4);
}
