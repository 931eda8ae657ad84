//! Building replies, common to all adapters.

use crate::ChatReply;
use domain::{FinishReason, TokenParts, ToolCall, limits, replace_nul};
use serde_json::Value;
use std::time::Duration;

/// The placeholder for a blank message, because providers reject blank ones.
pub const EMPTY_MESSAGE: &str = "(no answer)";

/// Returns the text, or [`EMPTY_MESSAGE`] if it is blank.
#[must_use]
pub fn or_placeholder(text: &str) -> &str {
    if text.trim().is_empty() { EMPTY_MESSAGE } else { text }
}

/// Greater token counts are ignored: they would distort every sum.
const INVALID_TOKENS: u64 = 1_000_000_000;

/// Builds a reply: replaces text that the database cannot store, and corrects a finish
/// reason that contradicts the tool calls. The outbound path sets latency and attempts,
/// the adapter sets the rate limits.
#[must_use]
pub fn assemble(
    text: String,
    calls: Vec<ToolCall>,
    finish: FinishReason,
    tokens: (u64, u64),
) -> ChatReply {
    let tool_calls: Vec<ToolCall> = calls
        .into_iter()
        .map(|call| ToolCall {
            id: replace_nul(call.id),
            name: replace_nul(call.name),
            arguments: limit_depth(without_nul(call.arguments)),
        })
        .collect();
    // Some compatible servers return "stop" with tool calls, or the reverse.
    let finish = match (finish, tool_calls.is_empty()) {
        (FinishReason::Stop, false) => FinishReason::ToolCalls,
        (FinishReason::ToolCalls, true) => FinishReason::Stop,
        (finish, _) => finish,
    };
    ChatReply {
        text: replace_nul(text),
        tool_calls,
        finish,
        input_tokens: valid_tokens(tokens.0),
        output_tokens: valid_tokens(tokens.1),
        latency: Duration::ZERO,
        first_token: None,
        attempts: 1,
        rate_limits: None,
        adjustments: Vec::new(),
        token_parts: TokenParts::default(),
        provider_state: None,
        http: None,
    }
}

/// Ignores impossible counts.
#[must_use]
pub fn token_parts(cached_input: u64, cache_write: u64, reasoning: u64) -> TokenParts {
    TokenParts {
        cached_input_tokens: valid_tokens(cached_input),
        cache_write_tokens: valid_tokens(cache_write),
        reasoning_tokens: valid_tokens(reasoning),
    }
}

fn valid_tokens(tokens: u64) -> u64 {
    if tokens < INVALID_TOKENS { tokens } else { 0 }
}

/// Converts arguments that are nested too deeply to text, because the stored run could
/// not be parsed again.
fn limit_depth(value: Value) -> Value {
    if depth(&value) > limits::DEPTH { Value::String(value.to_string()) } else { value }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(replace_nul(text)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (replace_nul(key), without_nul(value))).collect()
        }
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(arguments: Value) -> ToolCall {
        ToolCall { id: "1".into(), name: "t".into(), arguments }
    }

    #[test]
    fn finish_reason_agrees_with_tool_calls() {
        let finish = |finish, calls| assemble(String::new(), calls, finish, (0, 0)).finish;
        assert_eq!(finish(FinishReason::Stop, vec![call(json!({}))]), FinishReason::ToolCalls);
        assert_eq!(finish(FinishReason::ToolCalls, vec![]), FinishReason::Stop);
        assert_eq!(finish(FinishReason::Length, vec![call(json!({}))]), FinishReason::Length);
        assert_eq!(finish(FinishReason::Refusal, vec![]), FinishReason::Refusal);
    }

    #[test]
    fn invalid_token_counts_are_ignored() {
        let tokens = |n| assemble(String::new(), vec![], FinishReason::Stop, (n, n)).input_tokens;
        assert_eq!((tokens(7), tokens(INVALID_TOKENS), tokens(u64::MAX)), (7, 0, 0));
    }

    #[test]
    fn deeply_nested_arguments_become_text() {
        let nest = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let arguments = |depth| {
            let calls = vec![call(nest(depth))];
            assemble(String::new(), calls, FinishReason::Stop, (0, 0)).tool_calls[0]
                .arguments
                .clone()
        };
        assert_eq!(arguments(limits::DEPTH), nest(limits::DEPTH));
        let text = Value::String(nest(limits::DEPTH + 1).to_string());
        assert_eq!(arguments(limits::DEPTH + 1), text);
    }

    #[test]
    fn nul_is_replaced_in_text_and_arguments() {
        let arguments = json!({ "a\0": ["b\0", { "c": "\0" }] });
        let reply = assemble("x\0y".into(), vec![call(arguments)], FinishReason::Stop, (1, 2));
        let seen = format!("{reply:?}");
        assert!(!seen.contains("\\0") && reply.text == "x\u{FFFD}y", "{seen}");
    }
}
