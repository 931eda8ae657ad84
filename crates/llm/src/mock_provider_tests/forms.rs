//! Structured output, also of servers that reject `response_format`.

use super::{BOTH, env};
use crate::testing::chat_request;
use domain::{ConnectionKind, ErrorKind, FinishReason};
use llm_types::{ChatRequest, Decision, OutputSchema};
use mock_provider::{Action, Role, Rule, Script};
use rstest::rstest;
use serde_json::{Value, json};

fn form() -> OutputSchema {
    let schema = json!({ "type": "object", "additionalProperties": false,
        "properties": { "message": { "type": "string" }, "done": { "type": "string", "enum": ["no", "goal_reached", "gave_up"] } },
        "required": ["message", "done"] });
    OutputSchema { name: "simulated_user".into(), schema }
}

#[tokio::test]
async fn structured_output_works_with_both_protocols() {
    for kind in BOTH {
        let env = env(kind, Script::default()).await;
        let reply = env
            .chat_request(&ChatRequest { output: Some(form()), ..chat_request("hi") })
            .await
            .expect("a reply");
        let output: Value = serde_json::from_str(&reply.text).expect("JSON");
        assert_eq!((&output["done"], reply.finish), (&json!("no"), FinishReason::Stop), "{kind:?}");
        assert_eq!(env.mock.request_log()[0].role, Role::SimulatedUser);
    }
}

#[tokio::test]
async fn rejected_response_format_falls_back_to_prompt_and_is_remembered() {
    let script =
        Script { reject_response_format: true, reject_max_tokens: true, ..Script::default() };
    let env = env(ConnectionKind::OpenAi, script).await;
    let request = ChatRequest { output: Some(form()), ..chat_request("hi") };
    let reply = env.chat_request(&request).await.expect("a reply");
    assert!(serde_json::from_str::<Value>(&reply.text).is_ok());
    let tried = env.mock.request_log();
    assert_eq!(tried.len(), 3, "with both fields, without one, without both");
    assert!(tried.iter().all(|entry| entry.call_id == "call-1"));
    let last = &tried[2].body;
    assert_eq!((last.get("response_format"), last.get("max_tokens")), (None, None));
    assert_eq!(last["max_completion_tokens"], 256);
    assert!(
        last["messages"][0]["content"].as_str().is_some_and(|system| system
            .starts_with("You help.")
            && system.contains("goal_reached"))
    );

    env.chat_request(&request).await.expect("a reply");
    assert_eq!(env.mock.request_log().len(), 4, "the fallback is remembered");
    env.chat_request(&ChatRequest { model: "m-2".into(), ..request }).await.expect("a reply");
    assert_eq!(env.mock.request_log().len(), 7, "per model");
}

#[tokio::test]
async fn rejected_request_stops_after_fallbacks_and_is_not_remembered() {
    let env = env(ConnectionKind::OpenAi, Script::of([Rule::first(2, Action::status(400))])).await;
    let request = ChatRequest { output: Some(form()), ..chat_request("hi") };
    let error = env.chat_request(&request).await.expect_err("rejected");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderRejected));
    assert_eq!(env.mock.request_log().len(), 2);
    env.chat_request(&request).await.expect("a reply");
    assert!(env.mock.request_log()[2].body.get("response_format").is_some());
}

#[rstest]
#[case(Action::status(503))]
#[case(Action::Json(json!({ "error": { "code": 502 } })))]
#[tokio::test]
async fn failed_fallback_is_not_remembered(#[case] second: Action) {
    let rules = [Rule::first(1, Action::status(400)), Rule::first(1, second)];
    let env = env(ConnectionKind::OpenAi, Script::of(rules)).await;
    let request = ChatRequest { output: Some(form()), ..chat_request("hi") };
    let error = env.chat_request(&request).await.expect_err("an outage");
    assert_eq!((error.decision, env.mock.request_log().len()), (Decision::Retry, 2));
    env.chat_request(&request).await.expect("a reply");
    assert!(env.mock.request_log()[2].body.get("response_format").is_some());
}
