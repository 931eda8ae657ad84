//! Unvalidated input.

use super::draft_reader::DraftReader;
use super::problem::Problems;
use super::text::is_blank;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Unvalidated input from JSON, YAML or a form (where all leaves are strings).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Draft(pub Value);

impl Draft {
    /// The value at a path such as `persona.name` or `conversation_flow[2].message` as form
    /// text; empty if absent.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        match self.at(path) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// The number of entries in the list at `path`.
    #[must_use]
    pub fn len(&self, path: &str) -> usize {
        self.at(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    /// Whether the checkbox at `path` is checked.
    #[must_use]
    pub fn flag(&self, path: &str, default: bool) -> bool {
        self.at(path).and_then(as_bool).unwrap_or(default)
    }

    /// Parses the object with `read`. Fails if `read` reports a problem.
    ///
    /// # Errors
    /// All problems of the draft.
    pub(crate) fn parse<T>(
        &self,
        read: impl FnOnce(DraftReader<'_>) -> Option<T>,
    ) -> Result<T, Problems> {
        let mut problems = Problems::new();
        let reader = DraftReader::new(&self.0, String::new(), &mut problems);
        let parsed = if reader.is_object() { read(reader) } else { None };
        parsed.filter(|_| problems.is_empty()).ok_or(problems)
    }

    /// Whether a scenario's draft has nothing to decide a verdict by, also while it is not
    /// valid: no behavior, failure condition, criterion or rule
    /// ([`ScenarioSpec::checks_nothing`](super::ScenarioSpec::checks_nothing)).
    #[must_use]
    pub fn checks_nothing(&self) -> bool {
        let rules = ["must_include", "must_not_include", "must_call_tools", "max_response_seconds"];
        let criteria = self.at("success_criteria");
        let lists = [self.at("expected_behaviors"), self.at("failure_conditions")];
        let fields = rules.iter().chain(&["criteria"]).map(|field| criteria?.get(field));
        !lists.into_iter().chain(fields).any(has_content)
    }

    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut value = &self.0;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            value = match step.strip_suffix(']') {
                Some(index) => value.get(index.parse::<usize>().ok()?)?,
                None => value.get(step)?,
            };
        }
        Some(value)
    }
}

/// Whether a field of a form is filled in. A row of a list counts by its text.
fn has_content(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(_)) => false,
        Some(Value::Number(_)) => true,
        Some(Value::String(text)) => !is_blank(text),
        Some(Value::Array(entries)) => entries.iter().any(|entry| has_content(Some(entry))),
        Some(Value::Object(fields)) => match fields.get("text") {
            Some(text) => has_content(Some(text)),
            None => fields.values().any(|entry| has_content(Some(entry))),
        },
    }
}

/// The problem of a text with U+0000. [`replace_nul`](super::text::replace_nul) says why.
pub(super) const NUL: &str = "must not contain the character U+0000";

/// Checks that JSON can be stored unchanged and parsed again.
///
/// # Errors
/// What is wrong; reads as a continuation of the field's path.
pub(super) fn check_storable(value: &Value) -> Result<(), &'static str> {
    check_storable_at(value, 0)
}

fn check_storable_at(value: &Value, depth: usize) -> Result<(), &'static str> {
    if depth > super::limits::DEPTH {
        return Err("is nested too deeply");
    }
    match value {
        Value::String(text) if text.contains('\0') => Err(NUL),
        Value::Array(list) => list.iter().try_for_each(|child| check_storable_at(child, depth + 1)),
        Value::Object(map) => map.iter().try_for_each(|(key, child)| {
            if key.contains('\0') { Err(NUL) } else { check_storable_at(child, depth + 1) }
        }),
        _ => Ok(()),
    }
}

pub(super) fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.trim() {
            "true" | "on" | "1" | "yes" => Some(true),
            "false" | "off" | "0" | "no" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
