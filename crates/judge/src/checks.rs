//! The checks by rule: no model, no opinion.

use super::fold::contains_folded;
use domain::{Check, ScenarioSpec, Speaker, Turn, is_blank};

/// Every check of the scenario, with where it was decided.
#[must_use]
pub fn run_checks(scenario: &ScenarioSpec, transcript: &[Turn]) -> Vec<Check> {
    let criteria = &scenario.success_criteria;
    let agent: Vec<&Turn> =
        transcript.iter().filter(|turn| turn.speaker == Speaker::Agent).collect();
    let include = criteria.must_include.iter().map(|text| must_include(text, &agent));
    let exclude = criteria.must_not_include.iter().map(|text| must_not_include(text, &agent));
    let tools = criteria.must_call_tools.iter().map(|tool| must_call_tool(tool, &agent));
    let pace = criteria.max_response_seconds.map(|limit| max_response_seconds(limit, &agent));
    include.chain(exclude).chain(tools).chain(pace).collect()
}

fn must_include(text: &str, agent: &[&Turn]) -> Check {
    let found = agent.iter().find(|turn| contains_folded(&turn.message, text));
    Check {
        check: format!("must_include {text:?}"),
        ok: found.is_some(),
        detail: match found {
            Some(turn) => format!("said in turn {}", turn.index),
            None => "said in no turn of the agent".to_owned(),
        },
    }
}

fn must_not_include(text: &str, agent: &[&Turn]) -> Check {
    let found = agent.iter().find(|turn| contains_folded(&turn.message, text));
    Check {
        check: format!("must_not_include {text:?}"),
        ok: found.is_none(),
        detail: match found {
            Some(turn) => format!("said in turn {}", turn.index),
            None => "said in no turn of the agent".to_owned(),
        },
    }
}

fn must_call_tool(tool: &str, agent: &[&Turn]) -> Check {
    let found = agent.iter().find(|turn| turn.tool_calls.iter().any(|call| call.name == tool));
    Check {
        check: format!("must_call_tools {tool}"),
        ok: found.is_some(),
        detail: match found {
            Some(turn) => format!("called in turn {}", turn.index),
            None => "never called".to_owned(),
        },
    }
}

/// Each answer of the model counts by itself, waiting and retries not at all.
fn max_response_seconds(limit: f64, agent: &[&Turn]) -> Check {
    let timed = agent.iter().filter_map(|turn| Some((turn.latency_ms?, turn.index)));
    let slowest = timed.max_by_key(|(latency, _)| *latency);
    let seconds = |millis: u32| f64::from(millis) / 1000.0;
    Check {
        check: format!("max_response_seconds {limit}"),
        ok: slowest.is_none_or(|(latency, _)| seconds(latency) <= limit),
        detail: match slowest {
            Some((latency, turn)) => {
                format!("slowest answer: {:.1} s in turn {turn}", seconds(latency))
            }
            None => "no answer was timed".to_owned(),
        },
    }
}

/// Whether the agent did anything that can be judged: said words, or called
/// a tool (hanging up alone is nothing).
pub(super) fn agent_did_something(transcript: &[Turn]) -> bool {
    transcript.iter().filter(|turn| turn.speaker == Speaker::Agent).any(|turn| {
        let real = |name: &str| name != domain::END_CONVERSATION;
        !is_blank(&turn.message) || turn.tool_calls.iter().any(|call| real(&call.name))
    })
}
