//! Replies as turns of a conversation.

use domain::{END_CONVERSATION, FinishReason, Speaker, Timestamp, ToolCall, ToolResult, Turn};
use llm_types::{ChatReply, HttpReply};
use serde_json::json;

/// The result of a tool call that the response does not contain.
const NO_RESULT: &str = "(The response does not contain the result of this call.)";

/// The turns of a reply: the tool calls with their results, then the words of the agent.
#[must_use]
pub fn reply_turns(reply: ChatReply, at: Timestamp) -> Vec<Turn> {
    let HttpReply { tool_results, ended, .. } = reply.http.map(|http| *http).unwrap_or_default();
    let mut turns = Vec::new();
    if !reply.tool_calls.is_empty() {
        let results = tool_results.into_iter().chain(std::iter::repeat(None));
        let results: Vec<Turn> = reply
            .tool_calls
            .iter()
            .zip(results)
            .map(|(call, result)| result_turn(call, result, at))
            .collect();
        turns.push(Turn {
            tool_calls: reply.tool_calls,
            finish: Some(FinishReason::ToolCalls),
            ..Turn::text(Speaker::Agent, "", at)
        });
        turns.extend(results);
    }
    let end = ended.then(|| ToolCall {
        id: END_CONVERSATION.to_owned(),
        name: END_CONVERSATION.to_owned(),
        arguments: json!({}),
    });
    turns.push(Turn {
        tool_calls: end.into_iter().collect(),
        finish: Some(reply.finish),
        latency_ms: Some(u32::try_from(reply.latency.as_millis()).unwrap_or(u32::MAX)),
        input_tokens: Some(reply.input_tokens),
        output_tokens: Some(reply.output_tokens),
        ..Turn::text(Speaker::Agent, reply.text, at)
    });
    turns
}

/// The first words of an agent that speaks in its response to the start of a session.
#[must_use]
pub fn greeting_turn(reply: &ChatReply, at: Timestamp) -> Turn {
    Turn {
        finish: Some(FinishReason::Stop),
        latency_ms: Some(u32::try_from(reply.latency.as_millis()).unwrap_or(u32::MAX)),
        ..Turn::text(Speaker::Agent, reply.text.clone(), at)
    }
}

/// The result of a tool that the agent executed.
fn result_turn(call: &ToolCall, result: Option<String>, at: Timestamp) -> Turn {
    let message = result.unwrap_or_else(|| NO_RESULT.to_owned());
    Turn {
        tool: Some(ToolResult {
            call_id: call.id.clone(),
            name: call.name.clone(),
            is_error: false,
            mocked: true,
            reported: true,
        }),
        ..Turn::text(Speaker::Tool, message, at)
    }
}
