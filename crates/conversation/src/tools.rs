//! Answers to tool calls. Rehearsal never executes a tool.

use domain::{
    AgentSpec, END_CONVERSATION, OnUnmocked, ScenarioSpec, ToolAnswer, ToolCall, ToolMock,
};
use serde_json::{Map, Value, json};

/// Most problems of one call's arguments that are named to the model.
const NAMED_PROBLEMS: usize = 5;

/// What a call gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolReply {
    /// This answer.
    Answer(ToolOutcome),
    /// An invented one: ask for it with
    /// [`invented_result_request`](super::invented_result_request).
    NeedsSimulation,
}

/// An answer to a call, ready to be stored as a tool turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutcome {
    /// The result as text.
    pub message: String,
    /// Whether it is an error.
    pub is_error: bool,
    /// False where the scenario should have had a mock and has none; true
    /// also for answers that need none (refusals, `end_conversation`).
    pub mocked: bool,
    /// Whether the arguments did not fit: a finding about the agent.
    pub invalid_args: bool,
    /// How long the answer is to take.
    pub delay_ms: u32,
}

impl ToolOutcome {
    fn result(message: String) -> Self {
        Self { message, is_error: false, mocked: true, invalid_args: false, delay_ms: 0 }
    }

    fn error(message: String) -> Self {
        Self { is_error: true, ..Self::result(message) }
    }

    /// An invented result.
    #[must_use]
    pub fn invented(message: String) -> Self {
        Self { mocked: false, ..Self::result(message) }
    }

    /// What makes the turn that stores it the answer to `call`.
    #[must_use]
    pub fn answer_to(&self, call: &ToolCall) -> ToolAnswer {
        ToolAnswer {
            call_id: call.id.clone(),
            name: call.name.clone(),
            is_error: self.is_error,
            mocked: self.mocked,
        }
    }
}

/// The answer to a call: the built-in tool, else an error for a tool that
/// the agent has not, else one for arguments that do not fit its schema, else
/// the first mock that matches, else what `on_unmocked` says.
#[must_use]
pub fn answer_call(scenario: &ScenarioSpec, agent: &AgentSpec, call: &ToolCall) -> ToolReply {
    if call.name == END_CONVERSATION {
        return ToolReply::Answer(hung_up());
    }
    let Some(tool) = agent.tools.iter().find(|tool| tool.name == call.name) else {
        return ToolReply::Answer(error("unknown_tool", "There is no tool of this name.", &[]));
    };
    // Some models send nothing at all for "no arguments".
    let nothing = Value::Object(Map::new());
    let arguments = if call.arguments.is_null() { &nothing } else { &call.arguments };
    let problems = argument_problems(&tool.parameters, arguments);
    if !problems.is_empty() {
        let message = "The arguments do not fit the schema of this tool.";
        let outcome = error("invalid_args", message, &problems);
        return ToolReply::Answer(ToolOutcome { invalid_args: true, ..outcome });
    }
    let mut mocks = scenario.tool_mocks.iter().filter(|mock| mock.tool == call.name);
    match (mocks.find(|mock| matches(mock, arguments)), scenario.on_unmocked) {
        (Some(mock), _) => ToolReply::Answer(mocked(mock)),
        (None, OnUnmocked::Simulate) => ToolReply::NeedsSimulation,
        (None, OnUnmocked::Error) => {
            let outcome = error("unavailable", "This tool is not available at the moment.", &[]);
            ToolReply::Answer(ToolOutcome { mocked: false, ..outcome })
        }
    }
}

/// The answer to a call that was made after the last allowed round.
#[must_use]
pub fn refuse_call(call: &ToolCall) -> ToolOutcome {
    if call.name == END_CONVERSATION {
        return hung_up();
    }
    error("too_many_calls", "No more tools in this turn. Answer the user now.", &[])
}

fn hung_up() -> ToolOutcome {
    ToolOutcome::result("The conversation has ended.".to_owned())
}

fn error(kind: &str, message: &str, problems: &[String]) -> ToolOutcome {
    let mut body = json!({"error": kind, "message": message});
    if !problems.is_empty() {
        body["problems"] = json!(problems);
    }
    ToolOutcome::error(body.to_string())
}

fn mocked(mock: &ToolMock) -> ToolOutcome {
    let outcome = match (&mock.error, &mock.result) {
        (Some(error), _) => ToolOutcome::error(error.clone()),
        (None, Some(Value::String(text))) => ToolOutcome::result(text.clone()),
        (None, Some(result)) => ToolOutcome::result(result.to_string()),
        (None, None) => ToolOutcome::result(String::new()),
    };
    ToolOutcome { delay_ms: mock.delay_ms.unwrap_or(0), ..outcome }
}

/// What is wrong with arguments. A schema that cannot be used (it does not
/// compile, or refers to another document) means no check but that the
/// arguments are an object: the fault is not the agent's.
fn argument_problems(schema: &Value, arguments: &Value) -> Vec<String> {
    if !arguments.is_object() {
        return vec!["The arguments must be a JSON object.".to_owned()];
    }
    let Ok(validator) = jsonschema::validator_for(schema) else { return Vec::new() };
    validator
        .iter_errors(arguments)
        .take(NAMED_PROBLEMS)
        .map(|error| match error.instance_path().as_str() {
            "" => error.to_string(),
            path => format!("{path}: {error}"),
        })
        .collect()
}

fn matches(mock: &ToolMock, arguments: &Value) -> bool {
    mock.when.as_ref().is_none_or(|when| {
        arguments.as_object().is_some_and(|arguments| is_subset_of_object(when, arguments))
    })
}

/// Whether every part of `pattern` stands in `value` too. Objects may have
/// more fields; lists have the same length; numbers compare by value.
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
