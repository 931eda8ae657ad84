use super::prompt::JudgedConversation;
use super::reply::{ItemAnswer, JudgeReply, Quote};
use super::verdict::evaluate;
use Verdict::{Failed, Inconclusive, Passed};
use conversation::fixtures::{agent, answers, calls, says, scenario, transcript, user};
use domain::{Basis, Verdict};
use rstest::rstest;
use serde_json::{Value, json};

const OF_THE_TOOL: &str = "The account is closed";
const OF_THE_AGENT: &str = "I will look into that";
const OF_THE_CALL: &str = "find_slot({})";
const OF_THE_USER: &str = "Please open my account";

fn behavior(evidence: &str) -> Value {
    json!({"expected_behaviors": [{"text": "b", "evidence": evidence}]})
}

fn condition() -> Value {
    json!({"failure_conditions": ["f"]})
}

fn criterion() -> Value {
    json!({"success_criteria": {"criteria": ["c"], "min_score": 0}})
}

/// The mocks of the scenario wrote the tool results, so they prove only what is marked with
/// `evidence: tool`; the agent's words and calls prove everything.
#[rstest]
#[case::optional_by_tool(behavior("optional"), OF_THE_TOOL, false, Inconclusive)]
#[case::optional_by_agent(behavior("optional"), OF_THE_AGENT, true, Passed)]
#[case::optional_by_call(behavior("optional"), OF_THE_CALL, true, Passed)]
#[case::optional_by_user(behavior("optional"), OF_THE_USER, false, Inconclusive)]
#[case::required_by_tool(behavior("required"), OF_THE_TOOL, false, Inconclusive)]
#[case::required_by_agent(behavior("required"), OF_THE_AGENT, true, Passed)]
#[case::tool_by_tool(behavior("tool"), OF_THE_TOOL, true, Passed)]
#[case::tool_by_agent(behavior("tool"), OF_THE_AGENT, true, Passed)]
#[case::tool_by_call(behavior("tool"), OF_THE_CALL, true, Passed)]
#[case::tool_by_user(behavior("tool"), OF_THE_USER, false, Inconclusive)]
#[case::criterion_by_tool(criterion(), OF_THE_TOOL, false, Passed)]
#[case::criterion_by_agent(criterion(), OF_THE_AGENT, true, Passed)]
#[case::condition_by_tool(condition(), OF_THE_TOOL, false, Inconclusive)]
#[case::condition_by_agent(condition(), OF_THE_AGENT, true, Failed)]
#[case::condition_by_call(condition(), OF_THE_CALL, true, Failed)]
#[case::condition_by_user(condition(), OF_THE_USER, false, Inconclusive)]
fn tool_results_prove_only_items_marked_with_tool(
    #[case] draft: Value,
    #[case] quote: &str,
    #[case] verified: bool,
    #[case] verdict: Verdict,
) {
    let (agent, scenario) = (agent(json!({})), scenario(draft));
    let transcript = transcript(vec![
        user(OF_THE_USER),
        calls("", &[("c", "find_slot")]),
        answers("c", OF_THE_TOOL),
        says(&format!("{OF_THE_AGENT}.")),
    ]);
    let case = JudgedConversation {
        agent: &agent,
        scenario: &scenario,
        transcript: &transcript,
        end_reason: None,
    };
    for turn in 0..4 {
        let answer = ItemAnswer {
            reason: String::new(),
            met: Some(true),
            basis: Some(Basis::Evidence),
            evidence: vec![Quote { turn, quote: quote.to_owned() }],
        };
        let reply = JudgeReply {
            items: vec![answer],
            issues: vec![],
            recommendations: vec![],
            score: None,
            opinion: None,
        };
        let outcome = evaluate(&case, reply);
        assert_eq!(outcome.verdict, verdict, "turn {turn}: {}", outcome.summary);
        assert_eq!(outcome.items[0].verified, verified, "turn {turn}");
    }
}
