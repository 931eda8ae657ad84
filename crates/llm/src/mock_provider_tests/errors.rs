//! The decisions for error responses, and the redaction of keys.

use super::{OPTIONS, PROTOCOLS, env, http, rig_with};
use crate::http::HttpOptions;
use crate::openai::OpenAi;
use crate::testing::chat_request;
use crate::{Learned, OutboundNetwork, outbound_over_http};
use clock::{Clock, SharedClock};
use domain::{ConnectionKind, ErrorKind, Timestamp, UserId};
use llm_types::{Decision, Provider};
use mock_provider::{Action, Rule, Script};
use rstest::rstest;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use uuid::Uuid;

#[rstest]
#[case(Action::status(503), Decision::Retry)]
#[case(Action::status(401), Decision::GiveUp(ErrorKind::CredentialInvalid))]
#[case(Action::status(402), Decision::GiveUp(ErrorKind::QuotaExhausted))]
#[case(Action::status(403), Decision::GiveUp(ErrorKind::ProviderRejected))]
#[case(Action::status(404), Decision::GiveUp(ErrorKind::ProviderRejected))]
#[case(Action::status(429), Decision::Wait { until: None, overloaded: false })]
#[case(Action::status(529), Decision::Wait { until: None, overloaded: true })]
#[case(Action::Redirect("/elsewhere".into()), Decision::GiveUp(ErrorKind::ProviderRejected))]
#[case(Action::Html, Decision::Retry)]
#[case(Action::TruncateBody, Decision::Retry)]
#[case(Action::Json(json!({ "object": "list" })), Decision::Retry)]
#[tokio::test]
async fn every_response_has_its_decision(#[case] action: Action, #[case] decision: Decision) {
    for kind in PROTOCOLS {
        let env = env(kind, Script::of([Rule::always(action.clone())])).await;
        let error = env.error().await;
        assert_eq!(error.decision, decision, "{kind:?}: {}", error.message);
        assert_eq!(env.mock.request_log().len(), 1, "one attempt is one request");
    }
}

#[tokio::test]
async fn error_body_with_status_200_is_an_error() {
    let body = json!({ "error": { "message": "slow down", "code": 429 } });
    let env = env(ConnectionKind::OpenAi, Script::of([Rule::always(Action::Json(body))])).await;
    let error = env.error().await;
    assert_eq!(error.decision, Decision::Wait { until: None, overloaded: false });
    assert!(error.message.contains("slow down"), "{}", error.message);
}

/// A wall clock that can be set.
struct WallClock(AtomicI64);

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn suspension_ignores_clock_that_is_set_back() {
    let env = env(ConnectionKind::OpenAi, Script::of([Rule::always(Action::status(401))])).await;
    let start = Timestamp(7_200_000);
    let wall = Arc::new(WallClock(AtomicI64::new(start.0)));
    let clock: SharedClock = wall.clone();
    let outbound = outbound_over_http(
        &clock,
        true,
        &OutboundNetwork::default(),
        Arc::new(OpenAi::new(http(OPTIONS))),
        Learned::default(),
        1,
    )
    .expect("a path");
    wall.0.store(3_600_000, Ordering::SeqCst);
    env.call(&outbound, Duration::from_secs(10)).await.expect_err("no valid key");
    let circuit = outbound.circuit(UserId(Uuid::from_u128(1)), env.endpoint.connection_id);
    assert!(circuit.until >= Some(start.plus(Duration::from_secs(300))), "{circuit:?}");
}

#[tokio::test]
async fn error_messages_never_contain_the_key() {
    for kind in PROTOCOLS {
        for status in [400, 401, 403, 429, 500] {
            let body = json!({ "error": { "message": "Incorrect API key provided: test-key" } });
            let action = Action::Status { status, body, headers: [].into() };
            let env = env(kind, Script::of([Rule::always(action)])).await;
            let error = env.error().await;
            assert!(
                error.message.contains("[key]") && !error.message.contains("test-key"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn private_addresses_are_never_dialed_unless_allowed() {
    let options = HttpOptions { allow_private_urls: false, ..OPTIONS };
    for kind in PROTOCOLS {
        let mut env = rig_with(kind, Script::default(), options).await;
        let port = env.mock.addr.port();
        for host in ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"] {
            env.endpoint.base_url = format!("http://{host}:{port}/v1");
            let error = env.error().await;
            assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderRejected), "{host}");
            assert!(error.message.contains("private network"), "{host}: {}", error.message);
        }
        assert!(env.mock.request_log().is_empty());
    }
}

#[tokio::test]
async fn refused_connection_is_retried() {
    let env = env(ConnectionKind::OpenAi, Script::default()).await;
    let gone = env.mock.addr;
    drop(env.mock);
    let provider = OpenAi::new(http(OPTIONS));
    // The port is free when the server task has ended.
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(gone).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = provider.complete(&env.endpoint, &chat_request("hi")).await.expect_err("nobody");
    assert_eq!((error.decision, error.status), (Decision::Retry, None));
    assert!(error.message.starts_with("The provider cannot be reached"), "{}", error.message);
}

#[tokio::test]
async fn metrics_count_responses_by_class() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let rules = [
        Rule::first(1, Action::Finish { text: "No.".into(), reason: "content_filter".into() }),
        Rule::first(1, Action::status(503)),
        Rule::first(1, Action::TruncateBody),
    ];
    let env = env(ConnectionKind::OpenAi, Script::of(rules)).await;
    let outbound = env.outbound();
    for _ in 0..2 {
        env.call(&outbound, Duration::from_secs(10)).await.expect("a reply");
    }
    let shown = recorder.handle().render();
    for line in [
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"content_filter\"} 1",
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"server_error\"} 1",
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"cut\"} 1",
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"ok\"} 1",
        "rehearsal_retries_total{kind=\"openai\"} 2",
        "rehearsal_retry_budget_least 8.2",
        "rehearsal_call_duration_seconds_count{kind=\"openai\"} 4",
        "rehearsal_limiter_wait_seconds_count 4",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}
