//! Reading a JSON response by the pointers of the agent.

use domain::ToolCall;
use domain::http_agent::{HttpAgent, Pointer, ToolCallMapping, ToolVisibility};
use serde_json::{Map, Value};

/// What a response to a message contains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadReply {
    pub text: String,
    /// The calls with their results, if the response has them.
    pub tool_calls: Vec<(ToolCall, Option<String>)>,
    /// Whether the agent ended the conversation.
    pub ended: bool,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// What a response to the request that starts a session contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartReply {
    /// The first words of the agent.
    pub greeting: Option<String>,
}

/// Why a response could not be used. The texts follow "the response cannot be used:".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The endpoint reports an error of its own, in these words.
    Reported(String),
    /// The response does not have the expected form.
    Unreadable(String),
    /// The response ended too early.
    Cut(String),
}

impl ReadError {
    pub(crate) fn unreadable(message: impl Into<String>) -> Self {
        Self::Unreadable(message.into())
    }
}

/// Reads the response to a message.
///
/// # Errors
/// The endpoint reports an error, or a pointer finds nothing.
pub fn read_message(agent: &HttpAgent, document: &Value) -> Result<ReadReply, ReadError> {
    let mapping = &agent.response;
    check_error(mapping.error.as_deref(), document)?;
    let mut reply = ReadReply::default();
    add_common(agent, document, &mut reply)?;
    reply.text = match texts(&mapping.text, document)? {
        Some(texts) => texts.join("\n"),
        // Some endpoints leave out the text when the agent only called tools.
        None if !reply.tool_calls.is_empty() => String::new(),
        None => return Err(nothing_found("response.text", &mapping.text, document)),
    };
    Ok(reply)
}

/// Reads the response to the request that starts a session, without the session id.
///
/// # Errors
/// The endpoint reports an error, or a pointer finds nothing.
pub fn read_start(agent: &HttpAgent, document: &Value) -> Result<StartReply, ReadError> {
    check_error(agent.response.error.as_deref(), document)?;
    let greeting = agent.session.greeting.as_deref().map(|pointer| {
        let found = texts(pointer, document)?;
        found.ok_or_else(|| nothing_found("session.greeting", pointer, document))
    });
    Ok(StartReply { greeting: greeting.transpose()?.map(|texts| texts.join("\n")) })
}

/// Adds tool calls, end and usage; in a stream, those of one event.
pub(crate) fn add_common(
    agent: &HttpAgent,
    document: &Value,
    reply: &mut ReadReply,
) -> Result<(), ReadError> {
    let mapping = &agent.response;
    let calls = mapping.tool_calls.as_ref().filter(|_| agent.tools != ToolVisibility::None);
    if let Some(calls) = calls {
        for call in find(&calls.list, document).into_iter().flat_map(entries) {
            let id = format!("call-{}", reply.tool_calls.len() + 1);
            reply.tool_calls.push(tool_call(calls, call, id)?);
        }
    }
    if let Some(end) = &mapping.end {
        let found = find(end, document);
        let ends = |value: &&Value| match &mapping.end_value {
            Some(wanted) => scalar(value).as_deref() == Some(wanted),
            None => **value == Value::Bool(true),
        };
        reply.ended |= found.iter().any(ends);
    }
    let tokens = |pointer: &Option<String>| {
        let pointer = pointer.as_deref()?;
        find(pointer, document).first().and_then(|value| value.as_u64())
    };
    reply.input_tokens = tokens(&mapping.input_tokens).unwrap_or(reply.input_tokens);
    reply.output_tokens = tokens(&mapping.output_tokens).unwrap_or(reply.output_tokens);
    Ok(())
}

/// Fails if the error pointer finds an error.
pub(crate) fn check_error(pointer: Option<&str>, document: &Value) -> Result<(), ReadError> {
    let found = pointer.map(|pointer| find(pointer, document)).unwrap_or_default();
    let is_error = |value: &&&Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    };
    match found.iter().find(is_error) {
        None => Ok(()),
        Some(value) => {
            let message = value.get("message").unwrap_or(value);
            Err(ReadError::Reported(scalar(message).unwrap_or_else(|| message.to_string())))
        }
    }
}

/// The texts that a pointer finds: one, or the entries of a list. `None` if it finds
/// nothing.
///
/// # Errors
/// If it finds something that is not text.
pub(crate) fn texts(pointer: &str, document: &Value) -> Result<Option<Vec<String>>, ReadError> {
    let found = find(pointer, document);
    if found.is_empty() {
        return Ok(is_empty_list(pointer, document).then(Vec::new));
    }
    let mut texts = Vec::new();
    for value in found.into_iter().flat_map(entries) {
        match value {
            Value::Null => {}
            Value::Object(_) | Value::Array(_) => {
                let kind = if value.is_object() { "an object" } else { "a list" };
                let message = format!("{pointer} points to {kind}, not to text");
                return Err(ReadError::Unreadable(message));
            }
            scalar_value => texts.extend(scalar(scalar_value)),
        }
    }
    Ok(Some(texts))
}

/// Whether the pointer finds nothing because the list before its `*` has no fitting entry.
fn is_empty_list(pointer: &str, document: &Value) -> bool {
    let Some((before, _)) = pointer.split_once("/*") else { return false };
    find(before, document).iter().any(|value| value.is_array())
}

pub(crate) fn find<'a>(pointer: &str, document: &'a Value) -> Vec<&'a Value> {
    Pointer::parse(pointer).map(|pointer| pointer.find(document)).unwrap_or_default()
}

/// The entries of a list, or the value itself.
fn entries(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        other => vec![other],
    }
}

/// A scalar as text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn tool_call(
    mapping: &ToolCallMapping,
    call: &Value,
    id: String,
) -> Result<(ToolCall, Option<String>), ReadError> {
    let part = |pointer: &Option<String>| find(pointer.as_deref()?, call).first().copied();
    let Some(name) = find(&mapping.name, call).first().and_then(|name| name.as_str()) else {
        let message =
            format!("a tool call has no name at {} (response.tool_calls.name)", mapping.name);
        return Err(ReadError::Unreadable(message));
    };
    let arguments = match part(&mapping.arguments) {
        None | Some(Value::Null) => Value::Object(Map::new()),
        // Many endpoints return the arguments as JSON text.
        Some(Value::String(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        Some(other) => other.clone(),
    };
    let result = part(&mapping.result).filter(|result| !result.is_null());
    let result = result.map(|result| scalar(result).unwrap_or_else(|| result.to_string()));
    Ok((ToolCall { id, name: name.to_owned(), arguments }, result))
}

/// Says which part of a pointer found something.
pub(crate) fn nothing_found(field: &str, pointer: &str, document: &Value) -> ReadError {
    let matching = Pointer::parse(pointer).map(|p| p.matching_part(document)).unwrap_or_default();
    let place = if matching.is_empty() { "the response".to_owned() } else { matching.clone() };
    let at = find(&matching, document).first().copied().unwrap_or(document);
    let has = match at {
        Value::Object(map) if map.is_empty() => "is an empty object".to_owned(),
        Value::Object(map) => {
            let keys: Vec<_> = map.keys().take(20).map(String::as_str).collect();
            format!("has the fields {}", keys.join(", "))
        }
        Value::Array(list) => format!("is a list of {} entries", list.len()),
        _ => "has no fields".to_owned(),
    };
    ReadError::unreadable(format!("it has nothing at {pointer} ({field}); {place} {has}"))
}
