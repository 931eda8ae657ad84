//! Requests to the agent's model.

use domain::{AgentSpec, DEFAULT_MAX_TOKENS, END_CONVERSATION, Speaker, Turn, is_blank};
use llm_types::reply::EMPTY_MESSAGE;
use llm_types::{ChatRequest, Message, ToolSpec};
use serde_json::json;

/// Precedes the first message of an agent that speaks first, because providers expect a
/// message of the user at the beginning.
const BEGINNING: &str = "(The conversation begins.)";

/// Builds the request to the agent's model. Lists the tools even if `allow_tools` is
/// false, because providers reject a conversation that calls unlisted tools; the request
/// then forbids tool calls.
#[must_use]
pub fn agent_request(agent: &AgentSpec, transcript: &[Turn], allow_tools: bool) -> ChatRequest {
    ChatRequest {
        model: agent.model.clone(),
        system: agent.system_prompt.clone(),
        messages: messages(transcript),
        tools: tools(agent),
        tools_optional: agent.tools.is_empty(),
        no_tool_calls: !allow_tools,
        temperature: agent.temperature,
        max_tokens: agent.max_tokens,
        fixed_limit: agent.max_tokens != DEFAULT_MAX_TOKENS,
        reasoning_effort: agent.reasoning_effort,
        extra_body: agent.extra_body.clone(),
        ..ChatRequest::default()
    }
}

fn messages(transcript: &[Turn]) -> Vec<Message> {
    let agent_begins = transcript.first().is_some_and(|turn| turn.speaker == Speaker::Agent);
    let beginning = agent_begins.then(|| Message::User(BEGINNING.to_owned()));
    beginning.into_iter().chain(transcript.iter().map(message)).collect()
}

fn message(turn: &Turn) -> Message {
    match (turn.speaker, &turn.tool) {
        (Speaker::User, _) => Message::User(turn.message.clone()),
        (Speaker::Tool, tool) => Message::Tool {
            call_id: tool.as_ref().map(|tool| tool.call_id.clone()).unwrap_or_default(),
            content: turn.message.clone(),
            is_error: tool.as_ref().is_some_and(|tool| tool.is_error),
        },
        (Speaker::Agent, _) => Message::Assistant {
            text: match (is_blank(&turn.message), turn.tool_calls.is_empty()) {
                (true, true) => EMPTY_MESSAGE.to_owned(),
                (true, false) => String::new(),
                (false, _) => turn.message.clone(),
            },
            tool_calls: turn.tool_calls.clone(),
            provider_state: turn.provider_state.clone(),
        },
    }
}

fn tools(agent: &AgentSpec) -> Vec<ToolSpec> {
    let own = agent.tools.iter().map(|tool| ToolSpec {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters: tool.parameters.clone(),
    });
    own.chain(agent.may_hang_up.then(end_conversation)).collect()
}

fn end_conversation() -> ToolSpec {
    ToolSpec {
        name: END_CONVERSATION.to_owned(),
        description: "Ends the conversation. Say goodbye in the same answer; afterwards nobody \
                      hears you."
            .to_owned(),
        parameters: json!({"type": "object", "properties": {}, "additionalProperties": false}),
    }
}
