//! Answers in a form, also of servers that refuse to be asked for one.

use super::{BOTH, rig};
use crate::testing::ask;
use llm_types::{ChatRequest, Decision, OutputSchema};
use domain::{ConnectionKind, ErrorKind, Finish};
use rstest::rstest;
use serde_json::{Value, json};
use mock_provider::{Action, Role, Rule, Script};

fn form() -> OutputSchema {
    let schema = json!({ "type": "object", "additionalProperties": false,
        "properties": { "message": { "type": "string" }, "done": { "type": "string", "enum": ["no", "goal_reached", "gave_up"] } },
        "required": ["message", "done"] });
    OutputSchema { name: "simulated_user".into(), schema }
}

#[tokio::test]
async fn structured_answers_over_both_protocols() {
    for kind in BOTH {
        let rig = rig(kind, Script::default()).await;
        let reply =
            rig.ask(&ChatRequest { output: Some(form()), ..ask("hi") }).await.expect("a reply");
        let answer: Value = serde_json::from_str(&reply.text).expect("JSON");
        assert_eq!((&answer["done"], reply.finish), (&json!("no"), Finish::Stop), "{kind:?}");
        assert_eq!(rig.stand.journal()[0].role, Role::SimulatedUser);
    }
}

#[tokio::test]
async fn a_refused_response_format_is_asked_for_in_words_and_remembered() {
    let script =
        Script { refuse_response_format: true, refuse_max_tokens: true, ..Script::default() };
    let rig = rig(ConnectionKind::OpenAi, script).await;
    let request = ChatRequest { output: Some(form()), ..ask("hi") };
    let reply = rig.ask(&request).await.expect("a reply");
    assert!(serde_json::from_str::<Value>(&reply.text).is_ok());
    let tried = rig.stand.journal();
    assert_eq!(tried.len(), 3, "with both, without the one, without either");
    assert!(tried.iter().all(|entry| entry.call_id == "call-1"));
    let last = &tried[2].body;
    assert_eq!((last.get("response_format"), last.get("max_tokens")), (None, None));
    assert_eq!(last["max_completion_tokens"], 256);
    assert!(
        last["messages"][0]["content"].as_str().is_some_and(|system| system
            .starts_with("You help.")
            && system.contains("goal_reached"))
    );

    rig.ask(&request).await.expect("a reply");
    assert_eq!(rig.stand.journal().len(), 4, "what was learned is kept");
    rig.ask(&ChatRequest { model: "m-2".into(), ..request }).await.expect("a reply");
    assert_eq!(rig.stand.journal().len(), 7, "another model is another matter");
}

#[tokio::test]
async fn a_request_that_is_wrong_anyway_is_not_asked_for_ever_and_teaches_nothing() {
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::first(2, Action::status(400))])).await;
    let request = ChatRequest { output: Some(form()), ..ask("hi") };
    let error = rig.ask(&request).await.expect_err("rejected");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderRejected));
    assert_eq!(rig.stand.journal().len(), 2);
    rig.ask(&request).await.expect("a reply");
    assert!(rig.stand.journal()[2].body.get("response_format").is_some());
}

#[rstest]
#[case(Action::status(503))]
#[case(Action::Raw(json!({ "error": { "code": 502 } })))]
#[tokio::test]
async fn an_answer_that_is_no_success_teaches_nothing(#[case] second: Action) {
    let rules = [Rule::first(1, Action::status(400)), Rule::first(1, second)];
    let rig = rig(ConnectionKind::OpenAi, Script::of(rules)).await;
    let request = ChatRequest { output: Some(form()), ..ask("hi") };
    let error = rig.ask(&request).await.expect_err("an outage");
    assert_eq!((error.decision, rig.stand.journal().len()), (Decision::Retry, 2));
    rig.ask(&request).await.expect("a reply");
    assert!(rig.stand.journal()[2].body.get("response_format").is_some());
}
