//! What the stand itself says, as far as other tests lean on it.

use super::{BOTH, rig};
use crate::testing::ask;
use domain::ConnectionKind;
use serde_json::json;
use mock_provider::{Action, Outcome, Role, Rule, Script, When};

#[tokio::test]
async fn rules_apply_to_what_they_name() {
    let rule = Rule {
        when: When { contains: Some("magic".into()), ..When::default() },
        ..Rule::always(Action::Answer("abracadabra".into()))
    };
    let rig = rig(ConnectionKind::OpenAi, Script::of([rule])).await;
    assert_eq!(rig.ask(&ask("magic word")).await.expect("a reply").text, "abracadabra");
    assert_eq!(
        rig.ask(&ask("plain word")).await.expect("a reply").text,
        "I can help with that: plain word"
    );
}

#[tokio::test]
async fn the_stand_judges_and_plays_in_forms_that_can_be_read() {
    use conversation::{Done, fixtures, parse_simulated_user, simulated_user_request};
    use judge::{Case, evaluate, judge_request, parse};
    let agent = fixtures::agent(json!({}));
    let scenario = fixtures::scenario(json!({
        "expected_behaviors": [{ "text": "Helps" }, { "text": "Listens", "evidence": "required" }],
        "failure_conditions": ["Shouts"], "success_criteria": { "criteria": ["Is brief"] } }));
    let turns = fixtures::transcript(vec![
        fixtures::user("Hello?"),
        fixtures::says("Yes.\nI can help with that: Hello?"),
    ]);
    let case = Case { agent: &agent, scenario: &scenario, transcript: &turns, end_reason: None };
    for (kind, refuse_response_format) in [(BOTH[0], false), (BOTH[1], false), (BOTH[1], true)] {
        let script = Script { refuse_response_format, ..Script::default() };
        let rig = rig(kind, script).await;
        let raw = rig.ask(&judge_request(&case, "m")).await.expect("a reply").text;
        let outcome = evaluate(&case, parse(&raw, 4).expect("a judgement"));
        assert_eq!(
            (outcome.verdict, outcome.score),
            (domain::Verdict::Passed, 100.0),
            "{outcome:#?}"
        );
        let simulated = fixtures::simulated(json!({}));
        let raw =
            rig.ask(&simulated_user_request(&simulated, "m", &[])).await.expect("a reply").text;
        assert_eq!(parse_simulated_user(&raw).map(|(_, done)| done), Ok(Done::No));
        let roles: Vec<Role> = rig
            .stand
            .journal()
            .iter()
            .filter(|entry| entry.outcome == Outcome::Answered(200))
            .map(|entry| entry.role)
            .collect();
        assert_eq!(roles, [Role::Judge, Role::SimulatedUser]);
    }
}
