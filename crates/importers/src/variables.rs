//! Variables in prompts, such as `{{customer_name}}`.

use crate::source::Source;
use domain::limits;
use serde_json::{Map, Value};

/// Replaces the variables with a default. The others stay as they are written, each with a
/// note.
pub(crate) fn fill_variables(
    text: &str,
    defaults: &Map<String, Value>,
    source: &Source<'_>,
) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = next_variable(rest) {
        filled.push_str(before);
        match defaults.get(name).and_then(scalar) {
            // The limit keeps a default that is used often from filling the memory. The
            // document is rejected as too long anyway.
            Some(value) if filled.len() <= limits::SYSTEM_PROMPT => {
                let reason = "The default value of the variable is written into the prompt.";
                source.inferred(&format!("{{{{{name}}}}}"), reason);
                filled.push_str(&value);
            }
            _ => {
                let reason = "The file has no value for the variable, so a test profile has to \
                              give one.";
                source.report().not_carried_over(&source.path(&format!("{{{{{name}}}}}")), reason);
                filled.push_str(&rest[before.len()..rest.len() - after.len()]);
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The text before the next variable, its name, and the text after it.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("{{") {
        let start = from + at;
        let inner = &text[start + 2..];
        let length = inner.find(|c: char| !is_name_part(c)).unwrap_or(inner.len());
        let name = inner[..length].trim();
        if !name.is_empty() && inner[length..].starts_with("}}") {
            return Some((&text[..start], name, &inner[length + 2..]));
        }
        from = start + 1;
    }
    None
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ')
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::fill_variables;
    use crate::report::Report;
    use crate::source::Source;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("Hello {{name}}!", "Hello Mia!", 1)]
    #[case("{{ name }} of {{company}}", "Mia of {{company}}", 2)]
    #[case("{{name}}{{name}}", "MiaMia", 1)]
    #[case("JSON: {\"a\": {\"b\": 1}} and {{", "JSON: {\"a\": {\"b\": 1}} and {{", 0)]
    #[case("{{a b}", "{{a b}", 0)]
    #[case("{{{name}}}", "{Mia}", 1)]
    fn defaults_are_filled_in(#[case] text: &str, #[case] expected: &str, #[case] notes: usize) {
        let (report, value) = (Report::default(), json!({}));
        let source = Source::new(&value, String::new(), &report).expect("an object");
        let defaults = json!({"name": "Mia"});
        let filled = fill_variables(text, defaults.as_object().expect("a map"), &source);
        drop(source);
        assert_eq!(filled, expected);
        assert_eq!(report.finish().notes.len(), notes);
    }
}
