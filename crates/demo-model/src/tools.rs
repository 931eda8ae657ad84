//! The stand-in's way with tools: which one a message asks for, with which
//! arguments, what it says of a result, and results made up.

use llm_types::{ChatRequest, Message, ToolSpec};
use super::lexicon::{concepts, words};
use super::notes::Notes;
use domain::{END_CONVERSATION, ToolCall};
use serde_json::{Map, Value, json};

/// What comes of a wish that a tool fits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    /// Call it.
    Call(ToolCall),
    /// Something must be asked first.
    Ask(String),
}

/// The tool that a message asks for: its name shares a word with it, or its
/// description two. One that was called alike already is not called again.
pub(super) fn wish(request: &ChatRequest, heard: &str, notes: &Notes) -> Option<Wish> {
    let about = concepts(heard);
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
    let arguments = match arguments(tool, request, heard, notes) {
        Ok(arguments) => arguments,
        Err(question) => return Some(Wish::Ask(question)),
    };
    let call = call(request, &tool.name, arguments);
    let again = calls(request).any(|old| old.name == call.name && old.arguments == call.arguments);
    (!again).then_some(Wish::Call(call))
}

/// A call of the tool that ends the conversation, if it is offered.
pub(super) fn hang_up(request: &ChatRequest) -> Option<ToolCall> {
    let tool = request.tools.iter().find(|tool| tool.name == END_CONVERSATION)?;
    let arguments = arguments(tool, request, "The caller said goodbye.", &Notes::default());
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

/// The arguments by the tool's schema, or what must be asked first. What was
/// asked before and not told is "unknown".
fn arguments(
    tool: &ToolSpec,
    request: &ChatRequest,
    heard: &str,
    notes: &Notes,
) -> Result<Value, String> {
    let none = Map::new();
    let properties = tool.parameters["properties"].as_object().unwrap_or(&none);
    let required = |name: &str| {
        tool.parameters["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
    };
    let mut arguments = Map::new();
    for (name, schema) in properties {
        match argument(name, schema, heard, notes) {
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

/// One argument, by its schema and its name; `None` where only the caller
/// could know.
fn argument(name: &str, schema: &Value, heard: &str, notes: &Notes) -> Option<Value> {
    let lower = name.to_lowercase();
    let is = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if let Some(options) = schema["enum"].as_array() {
        let heard = heard.to_lowercase();
        let said = |option: &&Value| {
            option.as_str().is_some_and(|word| heard.contains(&word.to_lowercase()))
        };
        return options.iter().find(said).or(options.first()).cloned();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => {
            let number = words(heard).find_map(|word| word.parse::<u32>().ok());
            return Some(json!(number.unwrap_or(1)));
        }
        Some("boolean") => return Some(json!(true)),
        Some("array") => return Some(json!([])),
        Some("object") => return Some(json!({})),
        _ => {}
    }
    let known = if is(&["date", "day"]) {
        &notes.day
    } else if is(&["time", "hour"]) {
        &notes.time
    } else if is(&["mail"]) {
        &notes.email
    } else if is(&["phone", "tel"]) {
        &notes.phone
    } else if is(&["name"]) {
        &notes.name
    } else if lower.ends_with("id") || is(&["number", "order", "reference", "code", "ticket"]) {
        &notes.number
    } else {
        return Some(json!(heard.chars().take(120).collect::<String>()));
    };
    known.as_ref().map(|text| json!(text))
}

/// What is said after results: the last calls with what came of them.
pub(super) fn report(request: &ChatRequest) -> String {
    let results = request.messages.iter().rev().map_while(|message| match message {
        Message::Tool { call_id, content, is_error } => Some((call_id, content, *is_error)),
        _ => None,
    });
    let mut parts: Vec<String> = results
        .map(|(id, content, is_error)| {
            let tool =
                calls(request).find(|call| call.id == *id).map_or("", |call| call.name.as_str());
            sentence(tool, &readable(content), is_error)
        })
        .collect();
    parts.reverse();
    if !parts.iter().any(|part| part == PUT_THROUGH) {
        parts.push("Is there anything else I can do for you?".to_owned());
    }
    parts.join(" ")
}

const PUT_THROUGH: &str = "I will put you through to a colleague now, please stay on the line.";

fn sentence(tool: &str, result: &str, is_error: bool) -> String {
    let is = |parts: &[&str]| parts.iter().any(|part| tool.contains(part));
    if is_error {
        return format!("I am sorry, that did not work: {result}.");
    }
    if is(&["transfer", "escalate"]) {
        return PUT_THROUGH.to_owned();
    }
    let start = if is(&["avail", "free", "slot"]) {
        "I have looked it up, these times are free"
    } else if is(&["book", "schedule", "create", "reserve"]) {
        "Your appointment is booked"
    } else if is(&["cancel"]) {
        "Your appointment is cancelled"
    } else if is(&["refund"]) {
        "That is refunded"
    } else if is(&["update", "change", "move"]) {
        "That is changed"
    } else {
        "I have found this"
    };
    if result.is_empty() { format!("{start}.") } else { format!("{start}: {result}.") }
}

/// JSON as a person would read it out; other text as it is.
fn readable(content: &str) -> String {
    let text = match serde_json::from_str::<Value>(content) {
        Ok(value) => flat(&value),
        Err(_) => content.to_owned(),
    };
    text.trim().trim_end_matches('.').chars().take(400).collect()
}

fn flat(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let told = map.iter().filter(|(name, _)| *name != "status");
            let parts = told.map(|(name, value)| match name.as_str() {
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

/// A result in the form of a schema, made up.
pub(super) fn invented(schema: &Value) -> Value {
    super::reading::fit(json!({}), schema)
}

/// A plausible text for a field of this name.
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
    use llm_types::testing::ask;

    fn desk(said: &str) -> ChatRequest {
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
            ..ask(said)
        }
    }

    fn wished(said: &str) -> Option<Wish> {
        wish(&desk(said), said, &Notes::take([said]))
    }

    #[test]
    fn a_tool_is_called_when_the_message_asks_for_what_it_does() {
        let Some(Wish::Call(call)) =
            wished("This is Dana Reed, book me an appointment on Friday at 3 pm")
        else {
            unreachable!("it asks for a booking");
        };
        assert_eq!(call.name, "book_appointment");
        assert_eq!(
            call.arguments,
            json!({ "patient_name": "Dana Reed", "day": "Friday", "time": "3 pm" })
        );
        let Some(Wish::Call(call)) = wished("Where is my order A1042?") else {
            unreachable!("it asks for an order");
        };
        assert_eq!(
            (call.name.as_str(), call.arguments),
            ("look_up_order", json!({ "order_id": "A1042" }))
        );
    }

    #[test]
    fn what_is_missing_is_asked_for_and_talk_calls_nothing() {
        let asked = wished("Please book an appointment on Friday at 3 pm");
        assert_eq!(asked, Some(Wish::Ask("May I have the patient name, please?".into())));
        assert_eq!(wished("Good morning, what do you do?"), None);
        assert_eq!(wished("Goodbye, this ends the conversation"), None);
    }

    #[test]
    fn the_same_call_is_not_made_twice() {
        let said = "Where is my order A1042?";
        let mut request = desk(said);
        let Some(Wish::Call(call)) = wish(&request, said, &Notes::take([said])) else {
            unreachable!("it asks for an order");
        };
        request.messages.push(Message::Assistant { text: String::new(), tool_calls: vec![call] });
        assert_eq!(wish(&request, said, &Notes::take([said])), None);
    }

    #[test]
    fn results_are_read_out() {
        let said = "Where is my order A1042?";
        let mut request = desk(said);
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
