//! The scripted behavior of the mock provider that other tests rely on.

use super::{PROTOCOLS, env};
use crate::testing::chat_request;
use domain::ConnectionKind;
use mock_provider::{Action, Outcome, Role, Rule, Script, When};
use serde_json::json;

#[tokio::test]
async fn script_rule_applies_to_matching_requests() {
    let rule = Rule {
        when: When { contains: Some("magic".into()), ..When::default() },
        ..Rule::always(Action::Reply("abracadabra".into()))
    };
    let env = env(ConnectionKind::OpenAi, Script::of([rule])).await;
    assert_eq!(
        env.chat_request(&chat_request("magic word")).await.expect("a reply").text,
        "abracadabra"
    );
    assert_eq!(
        env.chat_request(&chat_request("plain word")).await.expect("a reply").text,
        "I can help with that: plain word"
    );
}

#[tokio::test]
async fn mock_provider_replies_as_judge_and_simulated_user() {
    use conversation::{UserDecision, fixtures, parse_simulated_user, simulated_user_request};
    use judge::{JudgedConversation, evaluate, judge_request, parse_reply};
    let agent = fixtures::agent(json!({}));
    let scenario = fixtures::scenario(json!({
        "expected_behaviors": [{ "text": "Helps" }, { "text": "Listens", "evidence": "required" }],
        "failure_conditions": ["Shouts"], "success_criteria": { "criteria": ["Is brief"] } }));
    let turns = fixtures::transcript(vec![
        fixtures::user("Hello?"),
        fixtures::says("Yes.\nI can help with that: Hello?"),
    ]);
    let case = JudgedConversation {
        agent: &agent,
        scenario: &scenario,
        transcript: &turns,
        end_reason: None,
    };
    for (kind, reject_response_format) in
        [(PROTOCOLS[0], false), (PROTOCOLS[1], false), (PROTOCOLS[1], true)]
    {
        let script = Script { reject_response_format, ..Script::default() };
        let env = env(kind, script).await;
        let raw = env.chat_request(&judge_request(&case, "m")).await.expect("a reply").text;
        let outcome = evaluate(&case, parse_reply(&raw, 4).expect("a judgment"));
        assert_eq!(
            (outcome.verdict, outcome.score),
            (domain::Verdict::Passed, Some(100.0)),
            "{outcome:#?}"
        );
        let simulated = fixtures::simulated(json!({}));
        let raw = env
            .chat_request(&simulated_user_request(&simulated, "m", &[]))
            .await
            .expect("a reply")
            .text;
        assert_eq!(parse_simulated_user(&raw).map(|(_, done)| done), Ok(UserDecision::Continue));
        let roles: Vec<Role> = env
            .mock
            .request_log()
            .iter()
            .filter(|entry| entry.outcome == Outcome::Answered(200))
            .map(|entry| entry.role)
            .collect();
        assert_eq!(roles, [Role::Judge, Role::SimulatedUser]);
    }
}
