//! Tool use of the agent: which tool a message requests, its arguments, what to say about
//! a result, and simulated results.

use super::caller_details::CallerDetails;
use super::lexicon::{concepts, words};
use domain::{END_CONVERSATION, ToolCall};
use llm_types::{ChatRequest, Message, ToolSpec};
use serde_json::{Map, Value, json};

/// How to handle a request that a tool can fulfill.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ToolDecision {
    Call(ToolCall),
    /// Ask this question first.
    AskFirst(String),
}

/// Selects the tool whose name shares a word, or whose description shares two words, with
/// the message. Never repeats an identical call.
pub(super) fn decide(
    request: &ChatRequest,
    user_text: &str,
    details: &CallerDetails,
) -> Option<ToolDecision> {
    let about = concepts(user_text);
    let score = |tool: &ToolSpec| {
        let shared =
            |text: &str| concepts(text).intersection(&about).filter(|word| *word != "ask").count();
        let (name, description) = (shared(&tool.name), shared(&tool.description));
        if name == 0 && description < 2 { 0 } else { 2 * name + description }
    };
    let mut best: Option<(usize, &ToolSpec)> = None;
    for tool in request.tools.iter().filter(|tool| tool.name != END_CONVERSATION) {
        let score = score(tool);
        if score > 0 && best.is_none_or(|(most, _)| score > most) {
            best = Some((score, tool));
        }
    }
    let (_, tool) = best?;
    let arguments = match arguments(tool, request, user_text, details) {
        Ok(arguments) => arguments,
        Err(question) => return Some(ToolDecision::AskFirst(question)),
    };
    let call = call(request, &tool.name, arguments);
    let again = calls(request).any(|old| old.name == call.name && old.arguments == call.arguments);
    (!again).then_some(ToolDecision::Call(call))
}

/// Calls the tool that ends the conversation, if it is offered.
pub(super) fn end_conversation(request: &ChatRequest) -> Option<ToolCall> {
    let tool = request.tools.iter().find(|tool| tool.name == END_CONVERSATION)?;
    let arguments = arguments(tool, request, "The caller said goodbye.", &CallerDetails::default());
    Some(call(request, &tool.name, arguments.unwrap_or_else(|_| json!({}))))
}

fn calls(request: &ChatRequest) -> impl Iterator<Item = &ToolCall> {
    request.messages.iter().flat_map(|message| match message {
        Message::Assistant { tool_calls, .. } => tool_calls.as_slice(),
        _ => &[],
    })
}

fn call(request: &ChatRequest, name: &str, arguments: Value) -> ToolCall {
    let id = format!("demo_call_{}", calls(request).count() + 1);
    ToolCall { id, name: name.to_owned(), arguments }
}

/// Derives the arguments from the tool's schema, or returns the question to ask first. An
/// argument that the caller did not provide when asked is "unknown".
fn arguments(
    tool: &ToolSpec,
    request: &ChatRequest,
    user_text: &str,
    details: &CallerDetails,
) -> Result<Value, String> {
    let none = Map::new();
    let properties = tool.parameters["properties"].as_object().unwrap_or(&none);
    let required = |name: &str| {
        tool.parameters["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
    };
    let mut arguments = Map::new();
    for (name, schema) in properties {
        match argument(name, schema, user_text, details) {
            Some(value) => {
                arguments.insert(name.clone(), value);
            }
            None if required(name) => {
                let spaced = words(name).collect::<Vec<_>>().join(" ");
                let question = format!("May I have the {spaced}, please?");
                let asked = |message: &Message| matches!(message, Message::Assistant { text, .. } if *text == question);
                if !request.messages.iter().any(asked) {
                    return Err(question);
                }
                arguments.insert(name.clone(), json!("unknown"));
            }
            None => {}
        }
    }
    Ok(Value::Object(arguments))
}

/// Derives one argument from its schema and name; `None` if the caller must provide it.
fn argument(name: &str, schema: &Value, user_text: &str, details: &CallerDetails) -> Option<Value> {
    let lower = name.to_lowercase();
    let contains_any = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if let Some(options) = schema["enum"].as_array() {
        let user_text = user_text.to_lowercase();
        let said = |option: &&Value| {
            option.as_str().is_some_and(|word| user_text.contains(&word.to_lowercase()))
        };
        return options.iter().find(said).or(options.first()).cloned();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => {
            let number = words(user_text).find_map(|word| word.parse::<u32>().ok());
            return Some(json!(number.unwrap_or(1)));
        }
        Some("boolean") => return Some(json!(true)),
        Some("array") => return Some(json!([])),
        Some("object") => return Some(json!({})),
        _ => {}
    }
    let known = if contains_any(&["date", "day"]) {
        &details.day
    } else if contains_any(&["time", "hour"]) {
        &details.time
    } else if contains_any(&["mail"]) {
        &details.email
    } else if contains_any(&["phone", "tel"]) {
        &details.phone
    } else if contains_any(&["name"]) {
        &details.name
    } else if lower.ends_with("id")
        || contains_any(&["number", "order", "reference", "code", "ticket"])
    {
        &details.number
    } else {
        return Some(json!(user_text.chars().take(120).collect::<String>()));
    };
    known.as_ref().map(|text| json!(text))
}

/// Reports the results of the last tool calls.
pub(super) fn report(request: &ChatRequest) -> String {
    let results = request.messages.iter().rev().map_while(|message| match message {
        Message::Tool { call_id, content, is_error } => Some((call_id, content, *is_error)),
        _ => None,
    });
    let mut parts: Vec<String> = results
        .map(|(id, content, is_error)| {
            let tool =
                calls(request).find(|call| call.id == *id).map_or("", |call| call.name.as_str());
            sentence(tool, &readable_text(content), is_error)
        })
        .collect();
    parts.reverse();
    if !parts.iter().any(|part| part == TRANSFER_LINE) {
        parts.push("Is there anything else I can do for you?".to_owned());
    }
    parts.join(" ")
}

const TRANSFER_LINE: &str = "I will put you through to a colleague now, please stay on the line.";

fn sentence(tool: &str, result: &str, is_error: bool) -> String {
    let contains_any = |parts: &[&str]| parts.iter().any(|part| tool.contains(part));
    if is_error {
        return format!("I am sorry, that did not work: {result}.");
    }
    if contains_any(&["transfer", "escalate"]) {
        return TRANSFER_LINE.to_owned();
    }
    let start = if contains_any(&["avail", "free", "slot"]) {
        "I have looked it up, these times are free"
    } else if contains_any(&["book", "schedule", "create", "reserve"]) {
        "Your appointment is booked"
    } else if contains_any(&["cancel"]) {
        "Your appointment is cancelled"
    } else if contains_any(&["refund"]) {
        "That is refunded"
    } else if contains_any(&["update", "change", "move"]) {
        "That is changed"
    } else {
        "I have found this"
    };
    if result.is_empty() { format!("{start}.") } else { format!("{start}: {result}.") }
}

/// Formats JSON as a readable sentence fragment; returns other text unchanged.
fn readable_text(content: &str) -> String {
    let text = match serde_json::from_str::<Value>(content) {
        Ok(value) => flat(&value),
        Err(_) => content.to_owned(),
    };
    text.trim().trim_end_matches('.').chars().take(400).collect()
}

fn flat(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let shown = map.iter().filter(|(name, _)| *name != "status");
            let parts = shown.map(|(name, value)| match name.as_str() {
                "day" | "date" | "time" | "free" | "result" => flat(value),
                _ => format!("{} {}", words(name).collect::<Vec<_>>().join(" "), flat(value)),
            });
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        number @ Value::Number(_) => number.to_string(),
    }
}

/// A simulated result that matches a schema.
pub(super) fn simulated_result(schema: &Value) -> Value {
    super::request_kind::fit_to_schema(json!({}), schema)
}

pub(super) fn plausible(name: &str) -> &'static str {
    let lower = name.to_lowercase();
    let table = [
        ("result", r#"{"status":"ok","reference":"A-1042"}"#),
        ("date", "2026-12-01"),
        ("time", "10:00"),
        ("mail", "dana@example.org"),
        ("phone", "555 0100"),
        ("name", "Dana Reed"),
        ("reference", "A-1042"),
        ("number", "A-1042"),
    ];
    let found = table.iter().find(|(part, _)| lower.contains(part)).map(|(_, text)| *text);
    found.unwrap_or(if lower.ends_with("id") { "A-1042" } else { "ok" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use llm_types::testing::chat_request;

    fn request_with_tools(said: &str) -> ChatRequest {
        let tool = |name: &str, description: &str, parameters: Value| ToolSpec {
            name: name.into(),
            description: description.into(),
            parameters,
        };
        let fields = |names: &[&str]| -> Value {
            let properties: Map<String, Value> = names
                .iter()
                .map(|name| ((*name).to_owned(), json!({ "type": "string" })))
                .collect();
            json!({ "type": "object", "properties": properties, "required": names })
        };
        ChatRequest {
            tools: vec![
                tool(
                    "book_appointment",
                    "Books an appointment.",
                    fields(&["patient_name", "day", "time"]),
                ),
                tool("look_up_order", "Finds an order by its number.", fields(&["order_id"])),
                tool(END_CONVERSATION, "Ends the conversation, says goodbye.", json!({})),
            ],
            ..chat_request(said)
        }
    }

    fn decision(said: &str) -> Option<ToolDecision> {
        decide(&request_with_tools(said), said, &CallerDetails::extract([said]))
    }

    #[test]
    fn tool_is_called_when_requested() {
        let Some(ToolDecision::Call(call)) =
            decision("This is Dana Reed, book me an appointment on Friday at 3 pm")
        else {
            unreachable!("it asks for a booking");
        };
        assert_eq!(call.name, "book_appointment");
        assert_eq!(
            call.arguments,
            json!({ "patient_name": "Dana Reed", "day": "Friday", "time": "3 pm" })
        );
        let Some(ToolDecision::Call(call)) = decision("Where is my order A1042?") else {
            unreachable!("it asks for an order");
        };
        assert_eq!(
            (call.name.as_str(), call.arguments),
            ("look_up_order", json!({ "order_id": "A1042" }))
        );
    }

    #[test]
    fn missing_argument_is_asked_for() {
        let asked = decision("Please book an appointment on Friday at 3 pm");
        assert_eq!(
            asked,
            Some(ToolDecision::AskFirst("May I have the patient name, please?".into()))
        );
        assert_eq!(decision("Good morning, what do you do?"), None);
        assert_eq!(decision("Goodbye, this ends the conversation"), None);
    }

    #[test]
    fn identical_call_is_not_repeated() {
        let said = "Where is my order A1042?";
        let mut request = request_with_tools(said);
        let Some(ToolDecision::Call(call)) =
            decide(&request, said, &CallerDetails::extract([said]))
        else {
            unreachable!("it asks for an order");
        };
        request.messages.push(Message::Assistant {
            text: String::new(),
            tool_calls: vec![call],
            provider_state: None,
        });
        assert_eq!(decide(&request, said, &CallerDetails::extract([said])), None);
    }

    #[test]
    fn report_reads_out_results() {
        let said = "Where is my order A1042?";
        let mut request = request_with_tools(said);
        let call = |id: &str, name: &str| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: json!({}),
        };
        let result = |id: &str, content: &str, is_error| Message::Tool {
            call_id: id.into(),
            content: content.into(),
            is_error,
        };
        request.messages.extend([
            Message::Assistant {
                text: String::new(),
                tool_calls: vec![call("1", "look_up_order"), call("2", "book_appointment")],
                provider_state: None,
            },
            result("1", r#"{"order_status":"shipped","late":false}"#, false),
            result("2", "no free slot", true),
        ]);
        let report = report(&request);
        assert!(
            report.contains("order status shipped, late no")
                && report.contains("did not work: no free slot."),
            "{report}"
        );
    }
}
