//! Structured output, also of servers that reject `response_format`.

use super::{OPTIONS, PROTOCOLS, env, http};
use crate::adjustment::OutputForm;
use crate::testing::chat_request;
use crate::{AdjustmentKey, AdjustmentSink, Adjustments, Connector, Learned};
use domain::{ConnectionId, ConnectionKind, ErrorKind, FinishReason, ReasoningEffort};
use llm_types::{ChatRequest, Decision, OutputSchema, Provider};
use mock_provider::{Action, RejectedField, Role, Rule, Script};
use parking_lot::Mutex;
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;

fn form() -> OutputSchema {
    let schema = json!({ "type": "object", "additionalProperties": false,
        "properties": { "message": { "type": "string" }, "done": { "type": "string", "enum": ["no", "goal_reached", "gave_up"] } },
        "required": ["message", "done"] });
    OutputSchema { name: "simulated_user".into(), schema }
}

#[tokio::test]
async fn structured_output_works_with_all_protocols() {
    for kind in PROTOCOLS {
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

fn rejects(field: &str, body: Value) -> RejectedField {
    RejectedField { field: field.into(), status: 400, body }
}

fn structured() -> ChatRequest {
    ChatRequest {
        output: Some(form()),
        temperature: Some(0.5),
        max_tokens: 9000,
        ..chat_request("hi")
    }
}

#[tokio::test]
async fn four_rejections_are_adjusted_within_one_attempt_and_remembered() {
    let error = |message: &str, param: &str| json!({"error": {"message": message, "param": param}});
    let mut script = Script {
        rejects: vec![
            rejects("/temperature", error("Unsupported value", "temperature")),
            rejects("/reasoning_effort", error("Unsupported parameter", "reasoning_effort")),
            rejects("/max_tokens", error("Unsupported parameter", "max_tokens")),
            rejects("/response_format", error("Unsupported parameter", "response_format")),
        ],
        ..Script::default()
    };
    let env = env(ConnectionKind::OpenAi, script.clone()).await;
    let request = ChatRequest { reasoning_effort: Some(ReasoningEffort::Low), ..structured() };
    let reply = env.chat_request(&request).await.expect("a reply");
    let lost =
        ["temperature left out", "reasoning_effort left out", "output schema sent in the prompt"];
    assert_eq!(reply.adjustments, lost);
    assert_eq!(env.mock.request_log().len(), 5);
    let again = env.chat_request(&request).await.expect("a reply");
    assert_eq!((again.adjustments, env.mock.request_log().len()), (reply.adjustments, 6));

    script.rejects.push(rejects("/model", error("Unsupported parameter", "max_completion_tokens")));
    env.mock.set_script(script);
    let other = ChatRequest { model: "m-2".into(), ..request };
    env.chat_request(&other).await.expect_err("a fifth rejection is final");
    assert_eq!(env.mock.request_log().len(), 11);
}

#[tokio::test]
async fn older_claude_is_forced_to_call_a_tool() {
    let message = "output_config.format: Extra inputs are not permitted";
    let body =
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
    let script = Script { rejects: vec![rejects("/output_config", body)], ..Script::default() };
    let env = env(ConnectionKind::Anthropic, script).await;
    let reply = env.chat_request(&structured()).await.expect("a reply");
    assert!(serde_json::from_str::<Value>(&reply.text).is_ok(), "{}", reply.text);
    assert_eq!(reply.adjustments, ["output schema sent as a tool"]);
    assert_eq!(env.mock.request_log()[1].body["tool_choice"]["name"], "simulated_user");
}

#[tokio::test]
async fn restored_adjustments_are_used_and_new_ones_stored_until_the_connection_changes() {
    #[derive(Default)]
    struct Stored(Mutex<Vec<String>>);
    impl AdjustmentSink for Stored {
        fn learned(&self, key: &AdjustmentKey, adjustments: &Adjustments) {
            self.0.lock().push(format!("{} {:?}", key.model, adjustments.output));
        }
        fn forgotten(&self, _: ConnectionId) {
            self.0.lock().push("forgotten".into());
        }
    }
    let script = Script { reject_response_format: true, ..Script::default() };
    let env = env(ConnectionKind::OpenAi, script).await;
    let stored = Arc::new(Stored::default());
    let known = Adjustments { output: OutputForm::Prompt, ..Adjustments::default() };
    let key = AdjustmentKey::new(&env.endpoint, "m-1");
    let learned = Learned::restore([(key, known)], stored.clone());
    let provider = Connector::with_learned(http(OPTIONS), Arc::clone(&env.provider), learned);
    provider.complete(&env.endpoint, &structured()).await.expect("a reply");
    assert_eq!(env.mock.request_log().len(), 1, "nothing is tried again");
    let other = ChatRequest { model: "m-2".into(), ..structured() };
    provider.complete(&env.endpoint, &other).await.expect("a reply");
    provider.forget_adjustments(env.endpoint.connection_id);
    provider.complete(&env.endpoint, &structured()).await.expect("a reply");
    assert_eq!(*stored.0.lock(), ["m-2 Prompt", "forgotten", "m-1 Prompt"]);
}
