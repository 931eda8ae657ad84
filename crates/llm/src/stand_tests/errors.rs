//! What is made of each error that comes back, and what its words may not hold.

use super::{BOTH, OPTIONS, http, rig, rig_with};
use clock::{Clock, SharedClock};
use crate::http::HttpOptions;
use crate::openai::OpenAi;
use crate::testing::ask;
use llm_types::{Decision, Provider};
use domain::{ConnectionKind, ErrorKind, Timestamp, UserId};
use rstest::rstest;
use serde_json::json;
use mock_provider::{Action, Rule, Script};
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
#[case(Action::Garbage, Decision::Retry)]
#[case(Action::Cut, Decision::Retry)]
#[case(Action::Raw(json!({ "object": "list" })), Decision::Retry)]
#[tokio::test]
async fn whatever_comes_back_is_decided(#[case] action: Action, #[case] decision: Decision) {
    for kind in BOTH {
        let rig = rig(kind, Script::of([Rule::always(action.clone())])).await;
        let error = rig.error().await;
        assert_eq!(error.decision, decision, "{kind:?}: {}", error.message);
        assert_eq!(rig.stand.journal().len(), 1, "one attempt is one request");
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    let body = json!({ "error": { "message": "slow down", "code": 429 } });
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::always(Action::Raw(body))])).await;
    let error = rig.error().await;
    assert_eq!(error.decision, Decision::Wait { until: None, overloaded: false });
    assert!(error.message.contains("slow down"), "{}", error.message);
}

/// A machine's clock that can be set.
struct Wall(AtomicI64);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_latch_outlives_no_clock_that_is_set_back() {
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::always(Action::status(401))])).await;
    let start = Timestamp(7_200_000);
    let wall = Arc::new(Wall(AtomicI64::new(start.0)));
    let clock: SharedClock = wall.clone();
    let outbound = crate::commands::outbound(&clock, true).expect("a path");
    wall.0.store(3_600_000, Ordering::SeqCst);
    rig.call(&outbound, Duration::from_secs(10)).await.expect_err("no valid key");
    let circuit = outbound.circuit(UserId(Uuid::from_u128(1)), rig.endpoint.connection_id);
    assert!(circuit.until >= Some(start.plus(Duration::from_secs(300))), "{circuit:?}");
}

#[tokio::test]
async fn no_message_holds_the_key() {
    for kind in BOTH {
        for status in [400, 401, 403, 429, 500] {
            let body = json!({ "error": { "message": "Incorrect API key provided: test-key" } });
            let action = Action::Status { status, body, headers: [].into() };
            let rig = rig(kind, Script::of([Rule::always(action)])).await;
            let error = rig.error().await;
            assert!(
                error.message.contains("[key]") && !error.message.contains("test-key"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn private_addresses_are_never_dialled_unless_allowed() {
    let options = HttpOptions { allow_private_urls: false, ..OPTIONS };
    for kind in BOTH {
        let mut rig = rig_with(kind, Script::default(), options).await;
        let port = rig.stand.addr.port();
        for host in ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"] {
            rig.endpoint.base_url = format!("http://{host}:{port}/v1");
            let error = rig.error().await;
            assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderRejected), "{host}");
            assert!(error.message.contains("private network"), "{host}: {}", error.message);
        }
        assert!(rig.stand.journal().is_empty());
    }
}

#[tokio::test]
async fn nobody_there_is_a_failure() {
    let rig = rig(ConnectionKind::OpenAi, Script::default()).await;
    let gone = rig.stand.addr;
    drop(rig.stand);
    let provider = OpenAi::new(http(OPTIONS));
    // The port is free again once the task has let go of it.
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(gone).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = provider.complete(&rig.endpoint, &ask("hi")).await.expect_err("nobody");
    assert_eq!((error.decision, error.status), (Decision::Retry, None));
    assert!(error.message.starts_with("The provider cannot be reached"), "{}", error.message);
}

#[tokio::test]
async fn metrics_tell_what_came_back() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let rules = [
        Rule::first(1, Action::Ending { text: "No.".into(), reason: "content_filter".into() }),
        Rule::first(1, Action::status(503)),
        Rule::first(1, Action::Cut),
    ];
    let rig = rig(ConnectionKind::OpenAi, Script::of(rules)).await;
    let outbound = rig.outbound();
    for _ in 0..2 {
        rig.call(&outbound, Duration::from_secs(10)).await.expect("a reply");
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
