//! An agent under construction: its prompt, its tools and its model.

use crate::source::Source;
use crate::variables::fill_variables;
use domain::{Draft, END_CONVERSATION, limits};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Fields of tools that describe how another product executes them.
const EXECUTION: &[&str] = &[
    "url",
    "method",
    "headers",
    "query_params",
    "parameter_type",
    "args_at_root",
    "timeout_ms",
    "response_variables",
    "server",
    "async",
    "wait_for_result",
    "code",
    "backoffPlan",
];
/// Fields of tools about what is spoken around a call.
const SPEECH: &[&str] = &[
    "speak_during_execution",
    "speak_after_execution",
    "execution_message_description",
    "execution_message_type",
    "messages",
    "enable_typing_sound",
];

/// Why fields of tools are not carried over.
pub(crate) const TOOL_REASONS: &[(&[&str], &str)] = &[
    (EXECUTION, "Rehearsal never executes tools: the mocks of a scenario answer the calls."),
    (SPEECH, "What is spoken around a call of a tool is not part of a test over text."),
    (&["tool_id", "id"], "The id has a meaning only in the product that the file is from."),
    (&["strict"], "Rehearsal always checks arguments against the schema and reports mistakes."),
];

/// The prompt, the first message, the tools and the model of an imported agent.
pub(crate) struct AgentBuilder {
    pub(crate) name: String,
    pub(crate) prompt: String,
    /// What the agent says before the user says anything; blank if the user begins.
    pub(crate) begin_message: String,
    pub(crate) model: String,
    /// The path of the model in the file.
    pub(crate) model_path: String,
    pub(crate) temperature: Option<Value>,
    pub(crate) max_tokens: Option<Value>,
    tools: Vec<Value>,
    /// The index in `tools` of each name.
    tool_names: HashMap<String, usize>,
    /// The tool that [`END_CONVERSATION`] replaces.
    hang_up_tool: Option<String>,
}

impl AgentBuilder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            prompt: String::new(),
            begin_message: String::new(),
            model: String::new(),
            model_path: String::new(),
            temperature: None,
            max_tokens: None,
            tools: Vec::new(),
            tool_names: HashMap::new(),
            hang_up_tool: None,
        }
    }

    /// Appends a paragraph to the prompt, unless it is blank.
    pub(crate) fn paragraph(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if !self.prompt.is_empty() {
            self.prompt.push_str("\n\n");
        }
        self.prompt.push_str(text.trim());
    }

    /// Appends a line directly below the last one.
    pub(crate) fn line(&mut self, text: &str) {
        self.prompt.push('\n');
        self.prompt.push_str(text);
    }

    /// Adds a tool with the schema of its arguments. A tool of a name that is already taken
    /// must be equal, because a prompt agent has all of its tools all the time.
    pub(crate) fn add_tool(
        &mut self,
        source: &Source<'_>,
        name: String,
        description: String,
        parameters: Option<&Value>,
    ) {
        let mut tool = Map::new();
        tool.insert("name".to_owned(), name.clone().into());
        tool.insert("description".to_owned(), description.into());
        if let Some(parameters) = parameters {
            tool.insert("parameters".to_owned(), with_object_type(parameters));
        }
        let tool = Value::Object(tool);
        match self.tool_names.get(&name).and_then(|at| self.tools.get(*at)) {
            Some(same) if *same == tool => {}
            Some(_) => {
                let reason = "Another tool has this name. An agent has each tool once, and the \
                              first one was kept.";
                source.report().not_carried_over(&source.path(""), reason);
            }
            None => {
                self.tool_names.insert(name, self.tools.len());
                self.tools.push(tool);
            }
        }
    }

    /// Lets the agent end the conversation with the built-in tool. `name` is the name of the
    /// tool that it replaces.
    pub(crate) fn end_with_built_in_tool(&mut self, source: &Source<'_>, name: &str) {
        self.hang_up_tool = Some(name.to_owned());
        let reason = format!(
            "The built-in tool {END_CONVERSATION} replaces this one, and the end of the prompt \
             says so."
        );
        source.inferred("", &reason);
    }

    /// The document of the agent. `defaults` are the values of variables in the prompt.
    pub(crate) fn build(mut self, source: &Source<'_>, defaults: &Map<String, Value>) -> Draft {
        if let Some(name) = self.hang_up_tool.take() {
            let replaced = if !name.is_empty() && self.prompt.contains(&name) {
                format!(", which replaces {name}")
            } else {
                String::new()
            };
            self.paragraph(&format!(
                "To end the conversation, call the tool {END_CONVERSATION}{replaced}."
            ));
        }
        self.prompt = fill_variables(&self.prompt, defaults, source);
        let begin_message = fill_variables(&self.begin_message, defaults, source);
        let mut agent = Map::new();
        agent.insert("kind".to_owned(), "agent".into());
        let name: String = self.name.trim().chars().take(limits::NAME).collect();
        agent.insert("name".to_owned(), name.into());
        agent.insert("system_prompt".to_owned(), self.prompt.into());
        if !begin_message.trim().is_empty() {
            agent.insert("begin_message".to_owned(), begin_message.into());
        }
        if !self.model.is_empty() {
            let reason = "The model is named as in the file. The connection must offer it under \
                          this name.";
            source.report().inferred(&self.model_path, reason);
            agent.insert("model".to_owned(), self.model.into());
        }
        let numbers = [("temperature", self.temperature), ("max_tokens", self.max_tokens)];
        for (field, value) in numbers {
            if let Some(value) = value {
                agent.insert(field.to_owned(), value);
            }
        }
        agent.insert("tools".to_owned(), Value::Array(self.tools));
        Draft(Value::Object(agent))
    }
}

/// A schema with `"type": "object"`, which some products leave out.
fn with_object_type(parameters: &Value) -> Value {
    match parameters {
        Value::Object(fields) if !fields.contains_key("type") => {
            let mut schema = json!({"type": "object"});
            if let Value::Object(schema) = &mut schema {
                schema.extend(fields.clone());
            }
            schema
        }
        other => other.clone(),
    }
}
