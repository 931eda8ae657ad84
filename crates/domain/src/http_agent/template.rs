//! Variables in templates: `{{name}}` in a text. There is no other syntax.

use serde_json::Value;

/// The variables of a request to a deployed agent.
pub const VARIABLES: [&str; 8] =
    ["message", "messages", "session_id", "run_id", "call_id", "turn", "facts", "scenario"];

/// The variable that is a list and cannot be part of a text.
const LIST: &str = "messages";

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Splits a template into texts and variables.
///
/// # Errors
/// What is wrong, as a sentence without subject.
pub fn split(template: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let (text, after) = (&rest[..start], &rest[start + 2..]);
        let Some(end) = after.find("}}") else {
            return Err("contains {{ without }}".to_owned());
        };
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        parts.push(Part::Variable(after[..end].trim()));
        rest = &after[end + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// The variables that a template uses, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) variables: Vec<String>,
    /// Each reads as a continuation of the field's path.
    pub(super) problems: Vec<String>,
}

impl Usage {
    pub(super) fn uses(&self, variable: &str) -> bool {
        self.variables.iter().any(|used| used == variable)
    }

    /// Checks a text. `place` says where it is, for the message.
    pub(super) fn add_text(&mut self, text: &str, place: &str, is_json: bool) {
        let parts = match split(text) {
            Ok(parts) => parts,
            Err(problem) => return self.problems.push(format!("{place}{problem}")),
        };
        for part in &parts {
            let Part::Variable(name) = part else { continue };
            if !VARIABLES.contains(name) {
                let known = VARIABLES.join(", ");
                let message = format!("{place}has the unknown variable {{{{{name}}}}}");
                self.problems.push(format!("{message}; known variables: {known}"));
            } else if *name == LIST && (parts.len() > 1 || !is_json) {
                let message = "must be a JSON value of its own, because it is a list";
                self.problems.push(format!("{place}{{{{{LIST}}}}} {message}"));
            }
            self.variables.push((*name).to_owned());
        }
    }

    /// Checks all texts of a body.
    pub(super) fn add_json(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::String(text) => {
                let place =
                    if pointer.is_empty() { String::new() } else { format!("at {pointer}: ") };
                self.add_text(text, &place, true);
            }
            Value::Array(list) => {
                for (i, entry) in list.iter().enumerate() {
                    self.add_json(entry, &format!("{pointer}/{i}"));
                }
            }
            Value::Object(map) => {
                for (key, entry) in map {
                    self.add_json(entry, &format!("{pointer}/{key}"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn template_is_split_at_variables() {
        use Part::{Text, Variable};
        assert_eq!(split(""), Ok(vec![]));
        assert_eq!(split("a"), Ok(vec![Text("a")]));
        assert_eq!(split("{{ turn }}"), Ok(vec![Variable("turn")]));
        assert_eq!(
            split("a {{x}}{{y}} }} b"),
            Ok(vec![Text("a "), Variable("x"), Variable("y"), Text(" }} b")])
        );
        assert!(split("a {{x} b").is_err());
    }

    #[test]
    fn usage_finds_variables_and_problems_at_any_depth() {
        let mut usage = Usage::default();
        let body = json!({"a": ["{{message}}", {"b": "{{nobody}}"}], "c": "x {{messages}}",
            "d": "{{messages}}", "e": 1});
        usage.add_json(&body, "");
        assert!(usage.uses("message") && usage.uses("messages") && !usage.uses("turn"));
        assert_eq!(usage.problems.len(), 2, "{:?}", usage.problems);
        assert!(usage.problems[0].starts_with("at /a/1/b: has the unknown variable {{nobody}}"));
        assert!(usage.problems[1].starts_with("at /c: {{messages}} must be a JSON value"));
    }
}
