//! The provider's default replies, which are deterministic.

use crate::model_request::{ModelRequest, Protocol, Role, tokens};
use crate::responses;
use crate::script::ToolCall;
use serde_json::{Map, Value, json};

/// A reply, before it is encoded for a protocol.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    /// Overrides the protocol's usual finish reason.
    pub(crate) reason: Option<String>,
}

/// After this many turns the simulated user has reached its goal.
const USER_TURNS: usize = 3;

pub(crate) fn default_reply(request: &ModelRequest) -> Reply {
    let filled = request.output_schema.as_ref().map(fill).unwrap_or_default();
    let text = match request.role {
        Role::Agent => agent_text(&request.last_user),
        Role::Judge => judgment(request, filled).to_string(),
        Role::SimulatedUser => user_turn(request, filled).to_string(),
        Role::ToolResult => filled.to_string(),
    };
    Reply { text, ..Reply::default() }
}

/// A valid judge reply about a scenario with one item: the item is met or not,
/// with this quote from turn 1 as evidence.
pub fn judge_reply(met: bool, quote: &str) -> Value {
    json!({
        "items": { "item_0": {
            "reason": "It says so.",
            "met": met,
            "basis": "evidence",
            "evidence": [{ "turn": 1, "quote": quote }],
        } },
        "issues": [],
        "recommendations": [],
        "score": 90,
        "opinion": "Good.",
    })
}

fn agent_text(last_user: &str) -> String {
    let words: Vec<&str> = last_user.split_whitespace().take(8).collect();
    format!("I can help with that: {}", words.join(" "))
}

fn user_turn(request: &ModelRequest, filled: Value) -> Value {
    let turns = request.assistant_messages;
    let over = turns >= USER_TURNS;
    let message = if over {
        "Thank you, that is all I needed.".to_owned()
    } else {
        format!("This is question {} of {USER_TURNS}, please help me.", turns + 1)
    };
    let done = if over { "goal_reached" } else { "no" };
    merge(filled, json!({ "message": message, "done": done }))
}

/// Every expected item is met and no failure condition occurred. The evidence
/// is a real quote from the transcript in the prompt.
fn judgment(request: &ModelRequest, filled: Value) -> Value {
    let item_schema = |index: u64| {
        let place = format!("/properties/items/properties/item_{index}");
        request.output_schema.as_ref().and_then(|schema| schema.pointer(&place))
    };
    let quote = agent_quote(&request.first_user);
    let items = labels(&request.first_user, "ITEMS").filter_map(|(index, label)| {
        // The second request to a judge may ask for some items only.
        let schema = item_schema(index)?;
        let met = !label.contains("failure") && quote.is_some();
        let evidence: Vec<&Value> = quote.iter().filter(|_| met).collect();
        let answer = json!({
            "reason": if met { "The agent said so." } else { "Nothing of the kind was said." },
            "met": met,
            "basis": if met { "evidence" } else { "absence" },
            "evidence": evidence,
        });
        Some((format!("item_{index}"), merge(fill(schema), answer)))
    });
    let items: Map<String, Value> = items.collect();
    let score = json!({ "score": 90 });
    let filled = if filled.get("score").is_some() { merge(filled, score) } else { filled };
    merge(filled, json!({ "items": items }))
}

/// The labels `[number] text` in a section of the prompt.
fn labels<'a>(prompt: &'a str, title: &str) -> impl Iterator<Item = (u64, &'a str)> {
    let heading = format!("# {title}");
    let mut lines = prompt.lines().skip_while(move |line| *line != heading);
    lines.next();
    lines.take_while(|line| !line.starts_with("# ")).filter_map(|line| {
        let (number, text) = line.strip_prefix('[')?.split_once(']')?;
        Some((number.parse().ok()?, text.trim()))
    })
}

/// The first line of an agent turn that has at least twelve characters.
fn agent_quote(prompt: &str) -> Option<Value> {
    let mut turn = None;
    for line in prompt.lines().skip_while(|line| *line != "# TRANSCRIPT").skip(1) {
        if line.starts_with("# ") {
            return None;
        }
        match (line.strip_prefix("| "), turn) {
            (Some(text), Some(turn)) if text.chars().count() >= 12 => {
                let quote: String = text.chars().take(200).collect();
                return Some(json!({ "turn": turn, "quote": quote }));
            }
            (Some(_), _) => {}
            (None, _) => {
                turn = line
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .filter(|(_, speaker)| speaker.trim() == "AGENT")
                    .and_then(|(number, _)| number.parse::<u64>().ok());
            }
        }
    }
    None
}

/// A minimal value that satisfies a schema.
fn fill(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, schema)| (name.clone(), fill(schema))).collect::<Map<_, _>>().into()
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!("ok"),
    }
}

/// Replaces fields of an object.
fn merge(object: Value, fields: Value) -> Value {
    match (object, fields) {
        (Value::Object(mut object), Value::Object(fields)) => {
            object.extend(fields);
            Value::Object(object)
        }
        (_, fields) => fields,
    }
}

/// Encodes a reply for the protocol of its request.
pub(crate) fn encode(reply: &Reply, request: &ModelRequest, number: u64) -> Value {
    let input = request.prompt_tokens();
    let output = tokens(&reply.text).max(1);
    let reason = |usual: &str| reply.reason.clone().unwrap_or_else(|| usual.to_owned());
    match request.protocol {
        Protocol::OpenAi => json!({
            "id": format!("mock-{number}"), "object": "chat.completion", "model": request.model,
            "choices": [{ "index": 0, "message": openai_message(reply, number),
                "finish_reason": reason(if reply.calls.is_empty() { "stop" } else { "tool_calls" }) }],
            "usage": { "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output },
        }),
        Protocol::Responses => responses::encode(reply, request, number),
        Protocol::Anthropic => {
            let (content, usual) = anthropic_content(reply, request, number);
            json!({
                "id": format!("mock-{number}"), "type": "message", "role": "assistant", "model": request.model,
                "content": content, "stop_reason": reason(usual),
                "usage": { "input_tokens": input, "output_tokens": output },
            })
        }
    }
}

fn openai_message(reply: &Reply, number: u64) -> Value {
    let mut message = json!({ "role": "assistant", "content": reply.text });
    if !reply.calls.is_empty() {
        let calls = reply.calls.iter().enumerate().map(|(i, call)| {
            let arguments = match &call.arguments {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            json!({ "id": format!("call_{number}_{i}"), "type": "function", "function": { "name": call.name, "arguments": arguments } })
        });
        message["tool_calls"] = calls.collect();
    }
    message
}

fn anthropic_content(reply: &Reply, request: &ModelRequest, number: u64) -> (Value, &'static str) {
    if let Some(name) = &request.forced_tool
        && let Ok(input) = serde_json::from_str::<Value>(&reply.text)
    {
        let content = json!([{ "type": "tool_use", "id": format!("toolu_{number}"), "name": name, "input": input }]);
        return (content, "tool_use");
    }
    let text = (!reply.text.is_empty()).then(|| json!({ "type": "text", "text": reply.text }));
    let calls = reply.calls.iter().enumerate().map(|(i, call)| {
        json!({ "type": "tool_use", "id": format!("toolu_{number}_{i}"), "name": call.name, "input": call.arguments })
    });
    let reason = if reply.calls.is_empty() { "end_turn" } else { "tool_use" };
    (text.into_iter().chain(calls).collect(), reason)
}
