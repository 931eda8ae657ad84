//! Results of tool calls. Rehearsal never executes a tool.

use super::tool_schema::argument_problems;
use domain::{
    AgentSpec, END_CONVERSATION, OnUnmocked, ScenarioSpec, ToolCall, ToolMock, ToolResult,
};
use serde_json::{Map, Value, json};

/// How to answer a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolReply {
    Answer(ToolOutcome),
    /// A model must simulate the result: see
    /// [`simulated_result_request`](super::simulated_result_request).
    NeedsSimulation,
}

/// A tool result, ready to be stored as a tool turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutcome {
    pub message: String,
    pub is_error: bool,
    /// See [`ToolResult::mocked`].
    pub mocked: bool,
    /// Whether the arguments violated the schema of the tool, which is a finding about the
    /// agent.
    pub invalid_args: bool,
    pub delay_ms: u32,
}

impl ToolOutcome {
    fn result(message: String) -> Self {
        Self { message, is_error: false, mocked: true, invalid_args: false, delay_ms: 0 }
    }

    fn error(message: String) -> Self {
        Self { is_error: true, ..Self::result(message) }
    }

    /// A result simulated by a model.
    #[must_use]
    pub fn simulated(message: String) -> Self {
        Self { mocked: false, ..Self::result(message) }
    }

    /// Builds the metadata of the tool turn that answers `call`.
    #[must_use]
    pub fn result_of(&self, call: &ToolCall) -> ToolResult {
        ToolResult {
            call_id: call.id.clone(),
            name: call.name.clone(),
            is_error: self.is_error,
            mocked: self.mocked,
            reported: false,
        }
    }
}

/// Answers a tool call. In order of precedence: the built-in tool, an error for an
/// unknown tool, an error for invalid arguments, the first matching mock, `on_unmocked`.
///
/// Validation of the arguments takes up to a fraction of a second: not on a thread that
/// other tasks need.
#[must_use]
pub fn answer_call(scenario: &ScenarioSpec, agent: &AgentSpec, call: &ToolCall) -> ToolReply {
    if call.name == END_CONVERSATION {
        return ToolReply::Answer(conversation_ended());
    }
    let Some(tool) = agent.tools.iter().find(|tool| tool.name == call.name) else {
        return ToolReply::Answer(error("unknown_tool", "There is no tool of this name.", &[]));
    };
    // Some models send null for "no arguments".
    let no_arguments = Value::Object(Map::new());
    let arguments = if call.arguments.is_null() { &no_arguments } else { &call.arguments };
    let problems = argument_problems(&tool.parameters, arguments);
    if !problems.is_empty() {
        let message = "The arguments do not fit the schema of this tool.";
        let outcome = error("invalid_args", message, &problems);
        return ToolReply::Answer(ToolOutcome { invalid_args: true, ..outcome });
    }
    let mut mocks = scenario.tool_mocks.iter().filter(|mock| mock.tool == call.name);
    match (mocks.find(|mock| matches(mock, arguments)), scenario.on_unmocked) {
        (Some(mock), _) => ToolReply::Answer(mock_outcome(mock)),
        (None, OnUnmocked::Simulate) => ToolReply::NeedsSimulation,
        (None, OnUnmocked::Error) => {
            let outcome = error("unavailable", "This tool is not available at the moment.", &[]);
            ToolReply::Answer(ToolOutcome { mocked: false, ..outcome })
        }
    }
}

/// Answers a call made after the last allowed round.
#[must_use]
pub fn refuse_call(call: &ToolCall) -> ToolOutcome {
    if call.name == END_CONVERSATION {
        return conversation_ended();
    }
    error("too_many_calls", "No more tools in this turn. Answer the user now.", &[])
}

/// The result of [`END_CONVERSATION`].
#[must_use]
pub fn conversation_ended() -> ToolOutcome {
    ToolOutcome::result("The conversation has ended.".to_owned())
}

fn error(kind: &str, message: &str, problems: &[String]) -> ToolOutcome {
    let mut body = json!({"error": kind, "message": message});
    if !problems.is_empty() {
        body["problems"] = json!(problems);
    }
    ToolOutcome::error(body.to_string())
}

fn mock_outcome(mock: &ToolMock) -> ToolOutcome {
    let outcome = match (&mock.error, &mock.result) {
        (Some(error), _) => ToolOutcome::error(error.clone()),
        (None, Some(Value::String(text))) => ToolOutcome::result(text.clone()),
        (None, Some(result)) => ToolOutcome::result(result.to_string()),
        (None, None) => ToolOutcome::result(String::new()),
    };
    ToolOutcome { delay_ms: mock.delay_ms.unwrap_or(0), ..outcome }
}

fn matches(mock: &ToolMock, arguments: &Value) -> bool {
    mock.when.as_ref().is_none_or(|when| {
        arguments.as_object().is_some_and(|arguments| is_subset_of_object(when, arguments))
    })
}

/// Whether `value` contains `pattern`. Objects may have additional fields, lists must
/// have equal length, and numbers compare by value.
fn is_subset(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::Object(pattern), Value::Object(value)) => is_subset_of_object(pattern, value),
        (Value::Array(pattern), Value::Array(value)) => {
            pattern.len() == value.len() && pattern.iter().zip(value).all(|(p, v)| is_subset(p, v))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (pattern, value) => pattern == value,
    }
}

fn is_subset_of_object(pattern: &Map<String, Value>, value: &Map<String, Value>) -> bool {
    pattern.iter().all(|(key, part)| value.get(key).is_some_and(|value| is_subset(part, value)))
}
