//! What every adapter does alike with a reply.

use crate::ChatReply;
use domain::{Finish, ToolCall, limits, replace_nul};
use serde_json::Value;
use std::time::Duration;

/// What stands in for words where a protocol does not accept none: a blank
/// message of either side is part of the conversation all the same.
pub const NO_WORDS: &str = "(no answer)";

/// The text, or [`NO_WORDS`] for one that is empty or white space.
#[must_use]
pub fn never_blank(text: &str) -> &str {
    if text.trim().is_empty() { NO_WORDS } else { text }
}

/// More tokens than any answer has.
const TOO_MANY_TOKENS: u64 = 1_000_000_000;

/// A reply put together the same way for every protocol: nothing the database
/// cannot hold, and an ending that agrees with its calls. Latency and attempts
/// are the outbound path's to fill in, limits the adapter's.
#[must_use]
pub fn assemble(
    text: String,
    calls: Vec<ToolCall>,
    finish: Finish,
    tokens: (u64, u64),
) -> ChatReply {
    let tool_calls: Vec<ToolCall> = calls
        .into_iter()
        .map(|call| ToolCall {
            id: replace_nul(call.id),
            name: replace_nul(call.name),
            arguments: shallow(without_nul(call.arguments)),
        })
        .collect();
    // Servers that are only compatible say "stop" beside calls, or the reverse.
    let finish = match (finish, tool_calls.is_empty()) {
        (Finish::Stop, false) => Finish::ToolCalls,
        (Finish::ToolCalls, true) => Finish::Stop,
        (finish, _) => finish,
    };
    ChatReply {
        text: replace_nul(text),
        tool_calls,
        finish,
        input_tokens: possible(tokens.0),
        output_tokens: possible(tokens.1),
        latency: Duration::ZERO,
        attempts: 1,
        told: None,
    }
}

/// A number that cannot be is as good as none: it would spoil every sum.
fn possible(tokens: u64) -> u64 {
    if tokens < TOO_MANY_TOKENS { tokens } else { 0 }
}

/// Arguments that nest too deep, as the text that they are: once they stand
/// inside a turn, inside a run, nobody could read them again.
fn shallow(value: Value) -> Value {
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
    fn ending_and_calls_agree() {
        let finish = |finish, calls| assemble(String::new(), calls, finish, (0, 0)).finish;
        assert_eq!(finish(Finish::Stop, vec![call(json!({}))]), Finish::ToolCalls);
        assert_eq!(finish(Finish::ToolCalls, vec![]), Finish::Stop);
        assert_eq!(finish(Finish::Length, vec![call(json!({}))]), Finish::Length);
        assert_eq!(finish(Finish::Refusal, vec![]), Finish::Refusal);
    }

    #[test]
    fn tokens_that_cannot_be_are_not_counted() {
        let tokens = |n| assemble(String::new(), vec![], Finish::Stop, (n, n)).input_tokens;
        assert_eq!((tokens(7), tokens(TOO_MANY_TOKENS), tokens(u64::MAX)), (7, 0, 0));
    }

    #[test]
    fn what_nests_too_deep_stays_text() {
        let nest = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let arguments = |depth| {
            let calls = vec![call(nest(depth))];
            assemble(String::new(), calls, Finish::Stop, (0, 0)).tool_calls[0].arguments.clone()
        };
        assert_eq!(arguments(limits::DEPTH), nest(limits::DEPTH));
        let text = Value::String(nest(limits::DEPTH + 1).to_string());
        assert_eq!(arguments(limits::DEPTH + 1), text);
    }

    #[test]
    fn nul_is_replaced_everywhere() {
        let arguments = json!({ "a\0": ["b\0", { "c": "\0" }] });
        let reply = assemble("x\0y".into(), vec![call(arguments)], Finish::Stop, (1, 2));
        let seen = format!("{reply:?}");
        assert!(!seen.contains("\\0") && reply.text == "x\u{FFFD}y", "{seen}");
    }
}
