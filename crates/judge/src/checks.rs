//! Deterministic checks of a transcript.

use super::normalization::contains_normalized;
use domain::{Check, ScenarioSpec, Speaker, Turn, is_blank};

/// Runs all checks of the scenario.
#[must_use]
pub fn run_checks(scenario: &ScenarioSpec, transcript: &[Turn]) -> Vec<Check> {
    let criteria = &scenario.success_criteria;
    let agent: Vec<&Turn> =
        transcript.iter().filter(|turn| turn.speaker == Speaker::Agent).collect();
    let include = criteria.must_include.iter();
    let include = include.map(|text| contains_text("must_include", text, &agent, true));
    let exclude = criteria.must_not_include.iter();
    let exclude = exclude.map(|text| contains_text("must_not_include", text, &agent, false));
    let tools = criteria.must_call_tools.iter().map(|tool| must_call_tool(tool, &agent));
    let response_time =
        criteria.max_response_seconds.map(|limit| max_response_seconds(limit, &agent));
    include.chain(exclude).chain(tools).chain(response_time).collect()
}

/// Checks whether any agent turn contains the text.
fn contains_text(name: &str, text: &str, agent: &[&Turn], expected: bool) -> Check {
    let found = agent.iter().find(|turn| contains_normalized(&turn.message, text));
    Check {
        check: format!("{name} {text:?}"),
        ok: found.is_some() == expected,
        detail: match found {
            Some(turn) => format!("found in turn {}", turn.index),
            None => "not found in any agent turn".to_owned(),
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

/// Compares the latency of each reply, which excludes waits and retries.
fn max_response_seconds(limit: f64, agent: &[&Turn]) -> Check {
    let timed = agent.iter().filter_map(|turn| Some((turn.latency_ms?, turn.index)));
    let slowest = timed.max_by_key(|(latency, _)| *latency);
    let seconds = |millis: u32| f64::from(millis) / 1000.0;
    Check {
        check: format!("max_response_seconds {limit}"),
        ok: slowest.is_none_or(|(latency, _)| seconds(latency) <= limit),
        detail: match slowest {
            Some((latency, turn)) => {
                format!("slowest reply: {:.1} s in turn {turn}", seconds(latency))
            }
            None => "no reply has a measured latency".to_owned(),
        },
    }
}

/// Whether the agent said something or called a tool other than `end_conversation`.
pub(super) fn agent_did_something(transcript: &[Turn]) -> bool {
    transcript.iter().filter(|turn| turn.speaker == Speaker::Agent).any(|turn| {
        let is_other_tool = |name: &str| name != domain::END_CONVERSATION;
        !is_blank(&turn.message) || turn.tool_calls.iter().any(|call| is_other_tool(&call.name))
    })
}
