//! What a start would do. Pure, so that preflight and start cannot differ.

use domain::http_agent::ToolVisibility;
use domain::{
    Agent, END_CONVERSATION, EvidenceRule, Mode, Preflight, Problem, Scenario, ScenarioFinding,
    is_blank,
};

/// What an agent lacks for a scenario, as a sentence; `None` if nothing.
#[must_use]
pub fn incompatible(agent: &Agent, scenario: &Scenario) -> Option<String> {
    let visibility = agent.spec.http.as_ref().map(|http| http.tools);
    let mut missing: Vec<&str> = Vec::new();
    let must_call = &scenario.spec.success_criteria.must_call_tools;
    for tool in scenario.spec.required_tools.iter().chain(must_call) {
        if tool != END_CONVERSATION
            // A deployed agent has its own tools, which need not be listed.
            && visibility.is_none()
            && !agent.spec.has_tool(tool)
            && !missing.contains(&tool.as_str())
        {
            missing.push(tool);
        }
    }
    let mut reasons = Vec::new();
    if visibility == Some(ToolVisibility::None) {
        let needs_call = must_call.iter().any(|tool| tool != END_CONVERSATION);
        let evidence = &scenario.spec.expected_behaviors;
        let needs_result = evidence.iter().any(|behavior| behavior.evidence == EvidenceRule::Tool);
        let what = match (needs_call, needs_result) {
            (true, _) => Some("it requires tool calls (must_call_tools)"),
            (false, true) => Some("an expected behavior needs evidence from a tool"),
            (false, false) => None,
        };
        reasons.extend(what.map(|what| format!("{what}, and this agent’s calls are not visible")));
    }
    match missing.as_slice() {
        [] => {}
        [one] => reasons.push(format!("the agent has no tool {one}")),
        many => reasons.push(format!("the agent has none of the tools {}", many.join(", "))),
    }
    if let Some(wanted) = scenario.spec.agent_category.as_deref().filter(|c| !is_blank(c)) {
        let has = agent.spec.category.trim();
        if has.to_lowercase() != wanted.trim().to_lowercase() {
            let has = if has.is_empty() { "none".to_owned() } else { format!("“{has}”") };
            reasons.push(format!(
                "it is for agents of category “{}”, this one has {has}",
                wanted.trim()
            ));
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Tools of the agent without a mock in the scenario.
#[must_use]
pub fn unmocked(agent: &Agent, scenario: &Scenario) -> Vec<String> {
    // A deployed agent executes its tools itself.
    if agent.spec.http.is_some() {
        return Vec::new();
    }
    let has_mock = |name: &str| scenario.spec.tool_mocks.iter().any(|mock| mock.tool == name);
    let tools = agent.spec.tools.iter().map(|tool| tool.name.clone());
    tools.filter(|name| !has_mock(name)).collect()
}

/// The maximum number of model calls of one run, without tool rounds: agent,
/// simulated user and judge.
#[must_use]
pub fn max_model_calls(scenario: &Scenario) -> u32 {
    let calls_per_turn = match scenario.spec.mode {
        Mode::Scripted => 1,
        Mode::Simulated => 2,
    };
    user_turns(scenario) * calls_per_turn + u32::from(judge::needs_judge(&scenario.spec))
}

/// The number of user turns of the script, or the maximum in simulated mode.
#[must_use]
pub fn user_turns(scenario: &Scenario) -> u32 {
    match scenario.spec.mode {
        Mode::Scripted => count(scenario.spec.script().count()),
        Mode::Simulated => scenario.spec.max_turns,
    }
}

/// What would run, without what needs I/O (connections, unfinished suites, past
/// durations).
#[must_use]
pub fn check(agent: &Agent, scenarios: &[Scenario], repeats: u32, skip: bool) -> Preflight {
    let mut preflight = Preflight { problems: agent.problems(), ..Preflight::default() };
    let mut runnable = 0;
    for scenario in scenarios {
        let entry = |reason: String| ScenarioFinding {
            scenario_id: scenario.id,
            scenario: scenario.spec.name.clone(),
            reason,
        };
        if let Some(reason) = incompatible(agent, scenario) {
            preflight.incompatible.push(entry(reason));
            continue;
        }
        runnable += 1;
        preflight.max_model_calls += max_model_calls(scenario) * repeats;
        if scenario.spec.checks_nothing() {
            let reason = "it has no expected behavior, failure condition, criterion or rule, so its runs end as inconclusive";
            preflight.nothing_to_check.push(entry(reason.to_owned()));
        }
        let unmocked = unmocked(agent, scenario);
        if !unmocked.is_empty() {
            preflight.unmocked_tools.push(entry(unmocked.join(", ")));
        }
    }
    preflight.scenarios = count(scenarios.len());
    preflight.runs = repeats * if skip { count(scenarios.len()) } else { runnable };
    if scenarios.is_empty() {
        preflight
            .problems
            .push(Problem::new("scenario_ids", "no scenario is chosen, or none matches"));
    }
    preflight
}

pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
