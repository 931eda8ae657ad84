//! Retell agents with a conversation flow: nodes, and edges between them.

use crate::agent::AgentBuilder;
use crate::retell::{REASONS, add_tool, default_variables, set_begin_message};
use crate::source::Source;
use domain::Draft;
use std::collections::HashMap;

/// What is lost when the nodes become sections of one prompt.
const FLATTENED: &str = "The nodes became sections of one prompt. Nothing but the model follows \
                         the edges, and all tools are always available.";
/// Maximum length of the label of a node, in characters. Every edge repeats a label.
const MAX_LABEL: usize = 100;

/// Fields of nodes without a counterpart.
const NODE_REASONS: &[(&[&str], &str)] = &[
    (&["display_position"], "It is the position of the node in Retell's editor."),
    (
        &["finetune_conversation_examples", "finetune_transition_examples"],
        "Examples that tune one node have no counterpart in a prompt.",
    ),
    (
        &["interruption_sensitivity", "speak_during_execution", "skip_response_edge"],
        "It concerns speech and the telephone. Rehearsal tests over text.",
    ),
    (
        &["wait_for_result", "tool_type", "model_choice", "knowledge_base_ids"],
        "It is a setting of how Retell executes the node.",
    ),
];

/// The names by which the prompt refers to nodes and tools.
struct Labels {
    nodes: HashMap<String, String>,
    tools: HashMap<String, String>,
}

/// One agent with the global prompt, and a section per node.
pub(crate) fn agent(source: Source<'_>, name: &str) -> Option<Draft> {
    let mut agent = AgentBuilder::new(name);
    agent.temperature = source.value("model_temperature").cloned();
    if let Some(choice) = source.object("model_choice") {
        agent.model = choice.text("model");
        agent.model_path = choice.path("model");
        choice.skip("type", "It is a setting of Retell's own access to models.");
        choice.finish(REASONS);
    }
    set_begin_message(&mut agent, &source);
    agent.paragraph(&source.text("global_prompt"));
    let nodes = source.objects("nodes");
    if nodes.is_empty() {
        source.problem("nodes", "must contain at least one node");
        return None;
    }
    let mut labels = Labels { nodes: HashMap::new(), tools: HashMap::new() };
    for node in &nodes {
        labels.nodes.insert(node.text("id"), label(node));
    }
    for tool in source.objects("tools") {
        labels.tools.insert(tool.text("tool_id"), tool.text("name"));
        add_tool(&mut agent, tool);
    }
    source.report().not_carried_over(&source.path("nodes"), FLATTENED);
    agent.paragraph("# Steps of the conversation");
    let start = source.text("start_node_id");
    if let Some(first) = labels.nodes.get(&start) {
        agent.paragraph(&format!("Begin with the step “{first}”."));
    } else if !start.is_empty() {
        source.problem("start_node_id", "is not the id of a node");
    }
    for node in nodes {
        add_node(&mut agent, node, &labels);
    }
    let defaults = default_variables(&source);
    let draft = agent.build(&source, &defaults);
    source.finish(REASONS);
    Some(draft)
}

fn label(node: &Source<'_>) -> String {
    let name = node.text("name");
    let name = if name.is_empty() { node.text("id") } else { name };
    name.chars().take(MAX_LABEL).collect()
}

fn add_node(agent: &mut AgentBuilder, node: Source<'_>, labels: &Labels) {
    agent.paragraph(&format!("## {}", label(&node)));
    if let Some(setting) = node.object("global_node_setting") {
        add_global_setting(agent, setting);
    }
    let kind = node.text("type");
    if let Some(instruction) = node.object("instruction") {
        let text = instruction.text("text");
        match instruction.text("type").as_str() {
            "static_text" => agent.paragraph(&format!("Say exactly: {text}")),
            _ => agent.paragraph(&text),
        }
        instruction.finish(&[]);
    }
    match kind.as_str() {
        "conversation" | "subagent" => {}
        "end" => {
            agent.paragraph("Then end the conversation.");
            agent.end_with_built_in_tool(&node, "");
        }
        "function" => {
            let tool = node.text("tool_id");
            match labels.tools.get(&tool) {
                Some(name) => agent.paragraph(&format!("Call the tool {name}.")),
                None => node.problem("tool_id", "is not the id of a tool in this file"),
            }
        }
        "extract_dynamic_variables" => add_variables(agent, &node),
        "logic_split" | "branch" => {
            agent.paragraph("Say nothing here. Decide at once how to continue.");
        }
        other => {
            let reason = format!(
                "A node of the type “{other}” has no counterpart. Its instruction and its edges \
                 are in the prompt."
            );
            node.report().not_carried_over(&node.path("type"), &reason);
        }
    }
    add_edges(agent, &node, labels);
    node.finish(NODE_REASONS);
}

fn add_global_setting(agent: &mut AgentBuilder, setting: Source<'_>) {
    agent.paragraph(&format!(
        "Come to this step from any other one when: {}",
        setting.text("condition")
    ));
    let back = setting.objects("go_back_conditions");
    if !back.is_empty() {
        agent.paragraph("Go back to the step before this one when:");
    }
    for condition in back {
        agent.line(&format!("- {}", transition(&condition)));
        condition.skip("id", "The id has a meaning only in the product that the file is from.");
        condition.finish(&[]);
    }
    setting.finish(&[(
        &["positive_finetune_examples", "negative_finetune_examples"],
        "Examples that tune one node have no counterpart in a prompt.",
    )]);
}

fn add_variables(agent: &mut AgentBuilder, node: &Source<'_>) {
    let reason = "The values are not stored in variables. The prompt tells the model to note them.";
    node.report().not_carried_over(&node.path("variables"), reason);
    agent.paragraph("Say nothing here. Note these values from what the user said:");
    for variable in node.objects("variables") {
        let choices = variable.texts("choices");
        let choices = if choices.is_empty() {
            String::new()
        } else {
            format!(" (one of: {})", choices.join(", "))
        };
        let (name, about) = (variable.text("name"), variable.text("description"));
        agent.line(&format!("- {name}: {about}{choices}"));
        variable.skip("type", "The type of a variable is not checked.");
        variable.finish(&[]);
    }
}

/// Appends where the conversation continues.
fn add_edges(agent: &mut AgentBuilder, node: &Source<'_>, labels: &Labels) {
    let mut edges = node.objects("edges");
    for field in ["edge", "always_edge", "else_edge"] {
        edges.extend(node.object(field));
    }
    if !edges.is_empty() {
        agent.paragraph("Continue with:");
    }
    for edge in edges {
        let target = edge.text("destination_node_id");
        let condition = transition(&edge);
        match labels.nodes.get(&target) {
            Some(label) if condition.is_empty() => agent.line(&format!("- “{label}”")),
            Some(label) => agent.line(&format!("- “{label}” when: {condition}")),
            None if target.is_empty() => {
                let reason = "The edge leads nowhere.";
                edge.report().not_carried_over(&edge.path("destination_node_id"), reason);
            }
            None => edge.problem("destination_node_id", "is not the id of a node"),
        }
        edge.skip("id", "The id has a meaning only in the product that the file is from.");
        edge.finish(&[]);
    }
}

/// The condition of an edge in words.
fn transition(edge: &Source<'_>) -> String {
    let Some(condition) = edge.object("transition_condition") else { return String::new() };
    let kind = condition.text("type");
    let prompt = condition.text("prompt");
    let text = if kind == "equation" {
        let joined = if condition.text("operator") == "||" { " or " } else { " and " };
        let equations = condition.objects("equations");
        let equations = equations.into_iter().map(|equation| {
            let parts = ["left", "operator", "right"].map(|field| equation.text(field));
            equation.finish(&[]);
            parts.join(" ").trim().to_owned()
        });
        equations.collect::<Vec<_>>().join(joined)
    } else if prompt.trim().eq_ignore_ascii_case("else") {
        "no other condition holds".to_owned()
    } else {
        prompt
    };
    condition.finish(&[]);
    text
}
