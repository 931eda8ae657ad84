//! Retell agents with one prompt and, where they have them, states.

use crate::agent::AgentBuilder;
use crate::retell::{REASONS, add_tool, default_variables, set_begin_message};
use crate::source::Source;
use domain::Draft;

/// What is lost when the states become sections of one prompt.
const FLATTENED: &str = "The states became sections of one prompt. Nothing but the model follows \
                         the transitions, and the tools of all states are always available.";

/// One agent with the general prompt, and a section per state.
pub(crate) fn agent(source: Source<'_>, name: &str) -> Draft {
    let mut agent = AgentBuilder::new(name);
    agent.model = source.text("model");
    agent.model_path = source.path("model");
    agent.temperature = source.value("model_temperature").cloned();
    set_begin_message(&mut agent, &source);
    agent.paragraph(&source.text("general_prompt"));
    for tool in source.objects("general_tools") {
        add_tool(&mut agent, tool);
    }
    let states = source.objects("states");
    let start = source.text("starting_state");
    if !states.is_empty() {
        source.report().not_carried_over(&source.path("states"), FLATTENED);
        agent.paragraph("# States of the conversation");
        let first = if start.is_empty() {
            states.first().map(|state| state.text("name")).unwrap_or_default()
        } else {
            start
        };
        agent.paragraph(&format!("Begin in the state “{first}”."));
    }
    for state in states {
        add_state(&mut agent, state);
    }
    let defaults = default_variables(&source);
    let draft = agent.build(&source, &defaults);
    source.finish(REASONS);
    draft
}

fn add_state(agent: &mut AgentBuilder, state: Source<'_>) {
    agent.paragraph(&format!("## {}", state.text("name")));
    agent.paragraph(&state.text("state_prompt"));
    let edges = state.objects("edges");
    if !edges.is_empty() {
        agent.paragraph("Continue with:");
    }
    for edge in edges {
        let conditions = [edge.text("description"), edge.text("condition")];
        let conditions: Vec<_> = conditions.iter().filter(|text| !text.is_empty()).collect();
        let target = edge.text("destination_state_name");
        let when = match conditions.as_slice() {
            [] => String::new(),
            [one] => format!(" when: {one}"),
            [one, more, ..] => format!(" when: {one} ({more})"),
        };
        agent.line(&format!("- “{target}”{when}"));
        let reason = "The variables that a transition collects are not collected.";
        edge.skip("parameters", reason);
        edge.finish(&[]);
    }
    for tool in state.objects("tools") {
        add_tool(agent, tool);
    }
    state.finish(&[]);
}
