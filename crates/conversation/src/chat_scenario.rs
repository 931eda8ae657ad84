//! A scenario from a conversation that a person had with an agent.

use domain::template::escape;
use domain::{Draft, END_CONVERSATION, Mode, Speaker, ToolCall, Turn, limits};
use serde_json::{Value, json};

/// A scripted scenario: the user repeats the messages, and each tool call is answered as it
/// was in the conversation. Braces in messages and results begin no variables. The answers of the agent are left out, because they need not be
/// good.
#[must_use]
pub fn scenario_of_conversation(agent: &str, turns: &[Turn]) -> Draft {
    let said = turns.iter().filter(|turn| turn.speaker == Speaker::User);
    let flow: Vec<Value> =
        said.map(|turn| json!({"speaker": "user", "message": escape(&turn.message)})).collect();
    let name: String = format!("Chat with {agent}").chars().take(limits::NAME).collect();
    Draft(json!({
        "name": name,
        "category": "happy_path",
        "mode": Mode::Scripted.as_str(),
        "conversation_flow": flow,
        "tool_mocks": mocks(turns),
        "max_turns": flow.len().clamp(20, limits::TURNS),
    }))
}

/// A mock for each distinct call that had a result.
fn mocks(turns: &[Turn]) -> Vec<Value> {
    let mut mocks: Vec<Value> = Vec::new();
    let mut calls: &[ToolCall] = &[];
    for turn in turns {
        if turn.speaker == Speaker::Agent {
            calls = &turn.tool_calls;
        }
        let Some(result) = turn.tool.as_ref().filter(|tool| !tool.is_error) else { continue };
        let call = calls.iter().find(|call| call.id == result.call_id && call.name == result.name);
        let Some(call) = call.filter(|call| call.name != END_CONVERSATION) else { continue };
        let result = serde_json::from_str(&turn.message)
            .unwrap_or_else(|_| Value::String(turn.message.clone()));
        let mut mock = json!({"tool": call.name, "result": escaped(result)});
        if call.arguments.as_object().is_some_and(|arguments| !arguments.is_empty()) {
            mock["when"] = escaped(call.arguments.clone());
        }
        if mocks.len() < limits::ENTRIES && !mocks.contains(&mock) {
            mocks.push(mock);
        }
    }
    mocks
}

fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(escape(&text)),
        Value::Array(list) => list.into_iter().map(escaped).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, escaped(value))).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::scenario_of_conversation;
    use domain::variables::Variables;
    use domain::{ScenarioSpec, Speaker, Timestamp, ToolCall, ToolResult, Turn};
    use serde_json::json;

    fn turn(speaker: Speaker, message: &str) -> Turn {
        Turn::text(speaker, message, Timestamp(0))
    }

    fn call(id: &str, name: &str, arguments: serde_json::Value) -> ToolCall {
        ToolCall { id: id.to_owned(), name: name.to_owned(), arguments }
    }

    fn result(call_id: &str, name: &str, message: &str, is_error: bool) -> Turn {
        let (call_id, name) = (call_id.to_owned(), name.to_owned());
        let tool = ToolResult { call_id, name, is_error, mocked: false, reported: false };
        Turn { tool: Some(tool), ..turn(Speaker::Tool, message) }
    }

    #[test]
    fn braces_of_a_conversation_are_no_variables() {
        let turns = [
            turn(Speaker::User, "What is {{name}}?"),
            Turn {
                tool_calls: vec![call("1", "find", json!({"q": "{{a}}"}))],
                ..turn(Speaker::Agent, "")
            },
            result("1", "find", "{\"text\": [\"{{b}}\"]}", false),
        ];
        let spec = ScenarioSpec::parse(&scenario_of_conversation("Desk", &turns)).expect("valid");
        let filled = spec.filled(&Variables::new(None)).expect("no variables");
        assert_eq!(filled.conversation_flow[0].message, "What is {{name}}?");
        assert_eq!(filled.tool_mocks[0].result, Some(json!({"text": ["{{b}}"]})));
        assert_eq!(filled.tool_mocks[0].when, json!({"q": "{{a}}"}).as_object().cloned());
    }

    #[test]
    fn messages_become_the_script_and_results_become_mocks() {
        let calls = vec![
            call("1", "find", json!({"day": "Monday"})),
            call("2", "note", json!({})),
            call("3", "book", json!({"day": "Friday"})),
            call("4", "end_conversation", json!({})),
        ];
        let turns = [
            turn(Speaker::User, "Is Monday free?"),
            Turn { tool_calls: calls, ..turn(Speaker::Agent, "") },
            result("1", "find", "{\"free\": true}", false),
            result("2", "note", "noted", false),
            result("3", "book", "failed", true),
            result("4", "end_conversation", "The conversation has ended.", false),
            turn(Speaker::Agent, "Yes."),
            turn(Speaker::User, "Thanks"),
        ];
        let draft = scenario_of_conversation("Desk", &turns);
        let spec = ScenarioSpec::parse(&draft).expect("a valid scenario");
        let script: Vec<_> = spec.script().map(|turn| turn.message.as_str()).collect();
        assert_eq!(
            (spec.name.as_str(), script.len()),
            ("Chat with Desk", spec.conversation_flow.len())
        );
        assert_eq!(script, ["Is Monday free?", "Thanks"]);
        let [find, note] = spec.tool_mocks.as_slice() else { panic!("two mocks") };
        assert_eq!(find.when, json!({"day": "Monday"}).as_object().cloned());
        assert_eq!(find.result, Some(json!({"free": true})));
        assert_eq!((note.when.as_ref(), note.result.as_ref()), (None, Some(&json!("noted"))));
    }
}
