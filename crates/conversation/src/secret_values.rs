//! The values of secret variables and their placeholders. What is stored has placeholders;
//! the requests to the agent and to the simulated user have the values.

use domain::{ToolCall, Turn, url::percent_encode};
use llm_types::{CallError, ChatReply, ChatRequest, Message};
use serde_json::{Map, Value};
use std::fmt;

/// The secret values of one run.
#[derive(Clone, Default)]
pub struct SecretValues {
    /// Placeholders and what they stand for.
    reveal: Vec<(String, String)>,
    /// What must not be stored, and what is stored in its place.
    conceal: Vec<(String, String)>,
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretValues").finish_non_exhaustive()
    }
}

impl SecretValues {
    /// Pairs of placeholder and value.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        let mut conceal = Vec::new();
        for (placeholder, value) in &pairs {
            // A placeholder that a model writes by itself stands for nothing.
            let forged = placeholder.replace('[', "(").replace(']', ")");
            conceal.push((placeholder.clone(), forged));
            let json = Value::from(value.as_str()).to_string();
            let json = json.trim_matches('"').to_owned();
            let encoded = percent_encode(value);
            for form in [value.clone(), json, encoded.replace('/', "%2F"), encoded] {
                if !conceal.iter().any(|(known, _)| *known == form) {
                    conceal.push((form, placeholder.clone()));
                }
            }
        }
        Self { reveal: pairs, conceal }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reveal.is_empty()
    }

    /// The text with values in place of placeholders.
    #[must_use]
    pub fn reveal(&self, text: &str) -> String {
        replace_all(text, &self.reveal)
    }

    /// The text with placeholders in place of values. A value is found as it is written, as
    /// in JSON, and percent-encoded.
    #[must_use]
    pub fn conceal(&self, text: &str) -> String {
        replace_all(text, &self.conceal)
    }

    /// JSON with values in place of placeholders.
    #[must_use]
    pub fn reveal_json(&self, value: &Value) -> Value {
        map_json(value, &|text| self.reveal(text))
    }

    /// JSON with placeholders in place of values, also in names of fields and numbers.
    #[must_use]
    pub fn conceal_json(&self, value: &Value) -> Value {
        map_json(value, &|text| self.conceal(text))
    }

    /// A call with the values that its agent wrote.
    #[must_use]
    pub fn reveal_call(&self, call: &ToolCall) -> ToolCall {
        ToolCall { arguments: self.reveal_json(&call.arguments), ..call.clone() }
    }

    /// The turns as their speakers wrote them.
    #[must_use]
    pub fn reveal_turns(&self, turns: &[Turn]) -> Vec<Turn> {
        let reveal = |turn: &Turn| Turn { message: self.reveal(&turn.message), ..turn.clone() };
        turns.iter().map(reveal).collect()
    }

    /// The request with values in place of placeholders. A request to a deployed agent is
    /// rendered with the values already.
    #[must_use]
    pub fn reveal_request(&self, request: &ChatRequest) -> ChatRequest {
        let mut request = request.clone();
        request.system = self.reveal(&request.system);
        for message in &mut request.messages {
            match message {
                Message::User(text) => *text = self.reveal(text),
                Message::Assistant { text, tool_calls, provider_state } => {
                    *text = self.reveal(text);
                    tool_calls.iter_mut().for_each(|call| *call = self.reveal_call(call));
                    *provider_state = provider_state.as_ref().map(|state| self.reveal_json(state));
                }
                Message::Tool { content, .. } => *content = self.reveal_result(content),
            }
        }
        for tool in &mut request.tools {
            tool.description = self.reveal(&tool.description);
        }
        request
    }

    /// The result of a tool. A value in JSON must not change the structure.
    fn reveal_result(&self, content: &str) -> String {
        match serde_json::from_str::<Value>(content) {
            Ok(json @ (Value::Object(_) | Value::Array(_))) => {
                let revealed = self.reveal_json(&json);
                if revealed == json { content.to_owned() } else { revealed.to_string() }
            }
            _ => self.reveal(content),
        }
    }

    /// Conceals what a model or a deployed agent replied.
    pub fn conceal_reply(&self, reply: &mut ChatReply) {
        reply.text = self.conceal(&reply.text);
        for call in &mut reply.tool_calls {
            call.arguments = self.conceal_json(&call.arguments);
        }
        reply.provider_state = reply.provider_state.as_ref().map(|state| self.conceal_json(state));
        if let Some(http) = &mut reply.http {
            for result in http.tool_results.iter_mut().flatten() {
                *result = self.conceal(result);
            }
        }
    }

    /// Conceals what a provider said about a request.
    pub fn conceal_error(&self, error: &mut CallError) {
        error.message = self.conceal(&error.message);
        error.provider_message = self.conceal(&error.provider_message);
    }
}

/// Replaces texts in one pass, the longest one at each place, so that nothing is replaced
/// twice.
fn replace_all(text: &str, pairs: &[(String, String)]) -> String {
    let mut found: Vec<(usize, usize, &str)> = Vec::new();
    for (from, to) in pairs {
        found
            .extend(text.match_indices(from.as_str()).map(|(at, _)| (at, from.len(), to.as_str())));
    }
    if found.is_empty() {
        return text.to_owned();
    }
    found.sort_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)));
    let mut replaced = String::with_capacity(text.len());
    let mut end = 0;
    for (at, length, to) in found {
        if at >= end {
            replaced.push_str(&text[end..at]);
            replaced.push_str(to);
            end = at + length;
        }
    }
    replaced.push_str(&text[end..]);
    replaced
}

/// Maps all texts of a JSON value, and the numbers that the mapping changes.
fn map_json(value: &Value, map: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(map(text)),
        Value::Number(number) => {
            let text = number.to_string();
            let mapped = map(&text);
            if mapped == text { value.clone() } else { Value::String(mapped) }
        }
        Value::Array(list) => list.iter().map(|entry| map_json(entry, map)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, entry)| (map(name), map_json(entry, map)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn secrets() -> SecretValues {
        let pair = |name: &str, value: &str| (format!("[secret {name}]"), value.to_owned());
        SecretValues::new(vec![
            pair("pin", "4711"),
            pair("long", "4711-0815"),
            pair("odd", "a\"b\\c d/é"),
            pair("word", "secret"),
        ])
    }

    #[rstest]
    #[case::nothing("Hello", "Hello")]
    #[case::plain("My PIN is 4711.", "My PIN is [secret pin].")]
    #[case::longest_first("4711-0815 4711", "[secret long] [secret pin]")]
    #[case::in_json(r#"{"x": "a\"b\\c d/é"}"#, r#"{"x": "[secret odd]"}"#)]
    #[case::percent_encoded("?q=a%22b%5Cc%20d%2F%C3%A9", "?q=[secret odd]")]
    #[case::forged("Say [secret pin]", "Say (secret pin)")]
    #[case::once("secret", "[secret word]")]
    fn values_are_concealed(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(secrets().conceal(text), expected);
    }

    #[test]
    fn revealing_a_concealed_text_returns_it() {
        for text in ["My PIN is 4711.", "4711-0815 4711", "secret: a\"b\\c d/é", ""] {
            assert_eq!(secrets().reveal(&secrets().conceal(text)), text);
        }
    }

    #[test]
    fn json_keeps_its_structure() {
        let secrets = secrets();
        let call = json!({"pin": 4711, "nested": [{"4711": "x a\"b\\c d/é"}], "n": 5});
        let concealed = secrets.conceal_json(&call);
        let expected = json!({"pin": "[secret pin]", "n": 5,
            "nested": [{"[secret pin]": "x [secret odd]"}]});
        assert_eq!(concealed, expected);
        let request = ChatRequest {
            system: "PIN [secret pin]".into(),
            messages: vec![Message::Tool {
                call_id: String::new(),
                content: json!({"a": "[secret odd]", "b": 1}).to_string(),
                is_error: false,
            }],
            ..ChatRequest::default()
        };
        let revealed = secrets.reveal_request(&request);
        assert_eq!(revealed.system, "PIN 4711");
        let Message::Tool { content, .. } = &revealed.messages[0] else { panic!("a result") };
        let content: Value = serde_json::from_str(content).expect("still JSON");
        assert_eq!(content, json!({"a": "a\"b\\c d/é", "b": 1}));
    }
}
