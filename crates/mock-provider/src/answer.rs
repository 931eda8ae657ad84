//! What the stand says by itself: always the same to the same question.

use crate::question::{Protocol, Question, Role};
use crate::script::Call;
use serde_json::{Map, Value, json};

/// What is said, before it is wrapped for a protocol.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    /// The protocol's own word; by default the usual one.
    pub(crate) reason: Option<String>,
}

/// After so many of its own turns the simulated user has what it wants.
const USER_TURNS: usize = 3;

/// The stand's own answer.
pub(crate) fn own(question: &Question) -> Said {
    let filled = question.form.as_ref().map(|(_, schema)| fill(schema)).unwrap_or_default();
    let text = match question.role {
        Role::Agent => help(&question.last_user),
        Role::Judge => judgement(question, filled).to_string(),
        Role::SimulatedUser => user_turn(question, filled).to_string(),
        Role::ToolResult => filled.to_string(),
    };
    Said { text, ..Said::default() }
}

fn help(last_user: &str) -> String {
    let words: Vec<&str> = last_user.split_whitespace().take(8).collect();
    format!("I can help with that: {}", words.join(" "))
}

fn user_turn(question: &Question, filled: Value) -> Value {
    let over = question.spoken >= USER_TURNS;
    let message = if over {
        "Thank you, that is all I needed.".to_owned()
    } else {
        format!("This is question {} of {USER_TURNS}, please help me.", question.spoken + 1)
    };
    let done = if over { "goal_reached" } else { "no" };
    with(filled, json!({ "message": message, "done": done }))
}

/// Every item is met, and nothing that must not happen did; each with a quote
/// that really stands in the transcript of the prompt.
fn judgement(question: &Question, filled: Value) -> Value {
    let item_form = question
        .form
        .as_ref()
        .and_then(|(_, schema)| schema.pointer("/properties/items/items").cloned())
        .unwrap_or_default();
    let quote = agent_quote(&question.first_user);
    let items: Vec<Value> = labels(&question.first_user, "ITEMS")
        .map(|(index, label)| {
            let bad = label.contains("failure");
            let shown = !bad && quote.is_some();
            let evidence: Vec<&Value> = quote.iter().filter(|_| shown).collect();
            let answer = json!({
                "index": index,
                "reason": if shown { "The agent said so." } else { "Nothing of the kind was said." },
                "met": shown,
                "basis": if shown { "evidence" } else { "absence" },
                "evidence": evidence,
            });
            with(fill(&item_form), answer)
        })
        .collect();
    with(filled, json!({ "items": items, "score": 90 }))
}

/// The labels `[number] words` of a section of the prompt.
fn labels<'a>(prompt: &'a str, title: &str) -> impl Iterator<Item = (u64, &'a str)> {
    let heading = format!("# {title}");
    let mut lines = prompt.lines().skip_while(move |line| *line != heading);
    lines.next();
    lines.take_while(|line| !line.starts_with("# ")).filter_map(|line| {
        let (number, words) = line.strip_prefix('[')?.split_once(']')?;
        Some((number.parse().ok()?, words.trim()))
    })
}

/// The first line of the first agent turn that has twelve characters.
fn agent_quote(prompt: &str) -> Option<Value> {
    let mut turn = None;
    for line in prompt.lines().skip_while(|line| *line != "# TRANSCRIPT").skip(1) {
        if line.starts_with("# ") {
            return None;
        }
        match (line.strip_prefix("| "), turn) {
            (Some(said), Some(turn)) if said.chars().count() >= 12 => {
                let quote: String = said.chars().take(200).collect();
                return Some(json!({ "turn": turn, "quote": quote }));
            }
            (Some(_), _) => {}
            (None, _) => {
                turn = line
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .filter(|(_, who)| who.trim() == "AGENT")
                    .and_then(|(number, _)| number.parse::<u64>().ok());
            }
        }
    }
    None
}

/// The least that fits a schema.
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
            let fields = schema["properties"].as_object().cloned().unwrap_or_default();
            fields
                .iter()
                .map(|(name, schema)| (name.clone(), fill(schema)))
                .collect::<Map<_, _>>()
                .into()
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!("ok"),
    }
}

/// An object with some fields replaced.
fn with(object: Value, fields: Value) -> Value {
    match (object, fields) {
        (Value::Object(mut object), Value::Object(fields)) => {
            object.extend(fields);
            Value::Object(object)
        }
        (_, fields) => fields,
    }
}

fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// What a question is said to cost.
pub(crate) fn tokens_asked(question: &Question) -> usize {
    tokens(&question.system) + tokens(&question.last_user) + 4 * question.messages
}

/// The body of an answer in the protocol of the question.
pub(crate) fn wrap(said: &Said, question: &Question, number: u64) -> Value {
    let asked = tokens_asked(question);
    let answered = tokens(&said.text).max(1);
    match question.protocol {
        Protocol::OpenAi => json!({
            "id": format!("stand-{number}"), "object": "chat.completion", "model": question.model,
            "choices": [{ "index": 0, "message": openai_message(said, number),
                "finish_reason": said.reason.clone().unwrap_or_else(|| if said.calls.is_empty() { "stop" } else { "tool_calls" }.to_owned()) }],
            "usage": { "prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered },
        }),
        Protocol::Anthropic => {
            let (content, usual) = anthropic_content(said, question, number);
            json!({
                "id": format!("stand-{number}"), "type": "message", "role": "assistant", "model": question.model,
                "content": content, "stop_reason": said.reason.clone().unwrap_or_else(|| usual.to_owned()),
                "usage": { "input_tokens": asked, "output_tokens": answered },
            })
        }
    }
}

fn openai_message(said: &Said, number: u64) -> Value {
    let mut message = json!({ "role": "assistant", "content": said.text });
    if !said.calls.is_empty() {
        let calls = said.calls.iter().enumerate().map(|(i, call)| {
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

fn anthropic_content(said: &Said, question: &Question, number: u64) -> (Value, &'static str) {
    if let Some((name, _)) = &question.form
        && let Ok(input) = serde_json::from_str::<Value>(&said.text)
    {
        let answer = json!([{ "type": "tool_use", "id": format!("toolu_{number}"), "name": name, "input": input }]);
        return (answer, "tool_use");
    }
    let words = (!said.text.is_empty()).then(|| json!({ "type": "text", "text": said.text }));
    let calls = said.calls.iter().enumerate().map(|(i, call)| {
        json!({ "type": "tool_use", "id": format!("toolu_{number}_{i}"), "name": call.name, "input": call.arguments })
    });
    let reason = if said.calls.is_empty() { "end_turn" } else { "tool_use" };
    (words.into_iter().chain(calls).collect(), reason)
}
