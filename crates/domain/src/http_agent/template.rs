//! Variables in templates of requests. A name that is not one of [`VARIABLES`] belongs to the
//! test profile of the suite.

use crate::template::{self, Part};
use serde_json::Value;

/// The variables of a request to a deployed agent.
pub const VARIABLES: [&str; 8] =
    ["message", "messages", "session_id", "run_id", "call_id", "turn", "facts", "scenario"];

/// The variable that is a list and cannot be part of a text.
const LIST: &str = "messages";

/// Splits a template into texts and variables.
///
/// # Errors
/// What is wrong, as a continuation of the field's path.
pub fn split(template: &str) -> Result<Vec<Part<'_>>, String> {
    let parts = template::split(template);
    for part in &parts {
        if let Part::Invalid(part) = part {
            return Err(template::invalid_part(part));
        }
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
            if *name == LIST && (parts.len() > 1 || !is_json) {
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
    fn usage_finds_variables_and_problems_at_any_depth() {
        let mut usage = Usage::default();
        let body = json!({"a": ["{{message}}", {"b": "{{no body}}"}], "c": "x {{messages}}",
            "d": "{{messages}}", "e": 1});
        usage.add_json(&body, "");
        assert!(usage.uses("message") && usage.uses("messages") && !usage.uses("turn"));
        assert_eq!(usage.problems.len(), 2, "{:?}", usage.problems);
        assert!(usage.problems[0].starts_with("at /a/1/b: contains {{no body}}, which is no"));
        assert!(usage.problems[1].starts_with("at /c: {{messages}} must be a JSON value"));
    }
}
