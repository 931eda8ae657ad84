//! JSON Schemas of tool arguments: limits of their complexity, and validation within a
//! budget.
//!
//! The author of an agent chooses the schema and a model chooses the arguments, so
//! neither may cost more than a fraction of a second. References are expanded, so a
//! schema of 2 KB can describe 2^30 parts; patterns run on an engine that needs
//! linear time.

use super::schema_measure::{Measure, measure};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Maximum number of argument problems reported to the model.
const MAX_REPORTED_PROBLEMS: usize = 5;
/// Maximum length of one reported problem in characters. A problem quotes the value.
const MAX_PROBLEM_CHARS: usize = 300;
/// Maximum size of a compiled pattern in bytes. Bounded repetitions are expanded.
const MAX_PATTERN_BYTES: usize = 256 * 1024;
/// Maximum number of steps of one validation, about a third of a second.
const MAX_STEPS: u64 = 5_000_000;

/// Checks that a schema can be used to validate arguments.
///
/// # Errors
/// What is wrong; reads as a continuation of the field's path.
pub fn check_tool_schema(schema: &Value) -> Result<(), String> {
    compile(schema).map(drop)
}

/// Validates arguments. The result is empty if the schema cannot be used, or if the
/// validation would take too long, because the agent is not at fault.
pub(super) fn argument_problems(schema: &Value, arguments: &Value) -> Vec<String> {
    if !arguments.is_object() {
        return vec!["The arguments must be a JSON object.".to_owned()];
    }
    let Ok((validator, measure)) = compile(schema) else { return Vec::new() };
    if steps(measure, arguments) > MAX_STEPS {
        return Vec::new();
    }
    validator
        .iter_errors(arguments)
        .take(MAX_REPORTED_PROBLEMS)
        .map(|error| {
            let text = match error.instance_path().as_str() {
                "" => error.to_string(),
                path => format!("{path}: {error}"),
            };
            shorten(text)
        })
        .collect()
}

fn compile(schema: &Value) -> Result<(Validator, Measure), String> {
    let measure = measure(schema)?;
    let validator = jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN_BYTES))
        .build(schema)
        .map_err(|error| {
            let place = error.instance_path().to_string();
            let pattern = place.ends_with("/pattern") || place.contains("/patternProperties");
            let place = if place.is_empty() { place } else { format!(" (at {place})") };
            let hint = if pattern {
                ": patterns must be regular expressions of moderate size, without look-around \
                 and backreferences"
            } else {
                ""
            };
            format!("is not a valid JSON Schema{place}{hint}")
        })?;
    Ok((validator, measure))
}

/// An upper bound of the work of a validation: every part of the schema is applied to
/// every value, and every pattern to every character.
fn steps(measure: Measure, arguments: &Value) -> u64 {
    let (values, bytes) = size(arguments);
    let applied = measure.parts.saturating_mul(values);
    applied.saturating_add(measure.patterns.saturating_mul(bytes))
}

/// The number of values and of bytes of text.
fn size(value: &Value) -> (u64, u64) {
    let length = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
    let sum = |(values, bytes): (u64, u64), part: (u64, u64)| (values + part.0, bytes + part.1);
    match value {
        Value::String(text) => (1, length(text)),
        Value::Array(list) => list.iter().map(size).fold((1, 0), sum),
        Value::Object(map) => {
            map.iter().map(|(key, value)| sum((1, length(key)), size(value))).fold((1, 0), sum)
        }
        _ => (1, 0),
    }
}

fn shorten(text: String) -> String {
    if text.chars().count() <= MAX_PROBLEM_CHARS {
        return text;
    }
    text.chars().take(MAX_PROBLEM_CHARS - 1).chain(['…']).collect()
}
