//! Options of a model in one role.

use super::draft::check_storable;
use super::string_enum::string_enum;
use super::{DraftReader, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

string_enum! {
    /// How much a reasoning model thinks before it answers. Which values a model accepts
    /// depends on its provider; a value that it rejects is left out of later requests.
    ReasoningEffort {
        None = "none" / "None",
        Minimal = "minimal" / "Minimal",
        Low = "low" / "Low",
        Medium = "medium" / "Medium",
        High = "high" / "High",
        ExtraHigh = "xhigh" / "Extra high",
        Max = "max" / "Max",
    }
}

/// What a user chose for the calls of one role. Everything that is absent is the choice of
/// Rehearsal or the provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ModelOptions {
    /// Sampling temperature, 0–2.
    pub temperature: Option<f64>,
    /// Maximum tokens of one reply, including reasoning. Never exceeded.
    pub max_tokens: Option<u32>,
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Fields that are added to the body of each request as they are.
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub extra_body: Option<Map<String, Value>>,
    /// How long judging may take, in seconds. Only for the judge; 180 if absent.
    pub timeout_seconds: Option<u32>,
}

/// The temperature is never NaN, because JSON has no such number.
impl Eq for ModelOptions {}

impl ModelOptions {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the options from the fields of an object.
    pub fn read(reader: &mut DraftReader<'_>) -> Self {
        Self {
            temperature: reader.optional_number("temperature", 0.0, 2.0),
            max_tokens: reader.optional_integer("max_tokens", 1, limits::MAX_TOKENS),
            reasoning_effort: read_effort(reader),
            extra_body: read_extra_body(reader),
            timeout_seconds: reader.optional_integer("timeout_seconds", 10, 3600),
        }
    }
}

/// Reads `reasoning_effort`; blank means none chosen.
pub(super) fn read_effort(reader: &mut DraftReader<'_>) -> Option<ReasoningEffort> {
    let text = reader.value("reasoning_effort").and_then(Value::as_str);
    if reader.value("reasoning_effort").is_none() || text.is_some_and(|text| text.trim().is_empty())
    {
        return None;
    }
    reader.choice("reasoning_effort", ReasoningEffort::ALL, None)
}

/// Fields of a request that Rehearsal sets itself.
const OWN_FIELDS: [&str; 11] = [
    "model",
    "messages",
    "system",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "stream",
    "stream_options",
    "response_format",
    "n",
];

/// Reads `extra_body`: an object, or its JSON text (from a form).
pub(super) fn read_extra_body(reader: &mut DraftReader<'_>) -> Option<Map<String, Value>> {
    const FIELD: &str = "extra_body";
    let value = match reader.value(FIELD)? {
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                reader.problem(FIELD, format!("must be JSON: {error}"));
                return None;
            }
        },
        other => other.clone(),
    };
    let Value::Object(map) = &value else {
        reader.problem(FIELD, "must be a JSON object");
        return None;
    };
    let size = value.to_string().len();
    if size > limits::EXTRA_BODY {
        let max = limits::EXTRA_BODY;
        reader.problem(FIELD, format!("must be at most {max} bytes, but is {size}"));
    }
    if let Err(problem) = check_storable(&value) {
        reader.problem(FIELD, problem);
    }
    if let Some(own) = OWN_FIELDS.iter().find(|own| map.contains_key(**own)) {
        reader.problem(FIELD, format!("must not contain {own}, which Rehearsal sets itself"));
    }
    (!map.is_empty()).then(|| map.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draft;
    use rstest::rstest;
    use serde_json::json;

    fn read(draft: Value) -> Result<ModelOptions, String> {
        let parsed = Draft(draft).parse(|mut reader| {
            let options = ModelOptions::read(&mut reader);
            reader.deny_unknown_fields(&[]);
            Some(options)
        });
        parsed.map_err(|problems| problems[0].to_string())
    }

    #[test]
    fn blank_form_chooses_nothing() {
        let form = json!({"temperature": "", "max_tokens": " ", "reasoning_effort": "", "extra_body": "\n"});
        assert_eq!(read(form), Ok(ModelOptions::default()));
        assert_eq!(read(json!({"extra_body": {}})), Ok(ModelOptions::default()));
    }

    #[test]
    fn form_text_and_json_mean_the_same() {
        let text = json!({"temperature": "0.5", "max_tokens": "900", "reasoning_effort": "Low", "extra_body": "{\"top_p\": 0.1}"});
        let json = json!({"temperature": 0.5, "max_tokens": 900, "reasoning_effort": "low", "extra_body": {"top_p": 0.1}});
        let options = read(text).expect("valid");
        assert_eq!(Ok(&options), read(json).as_ref());
        assert_eq!(options.reasoning_effort, Some(ReasoningEffort::Low));
        assert_eq!(options.max_tokens, Some(900));
    }

    #[test]
    fn judging_time_applies_to_the_judge_only() {
        let choice = json!({"connection_id": "018f2f1e-0000-7000-8000-000000000001", "model": "m",
            "options": {"timeout_seconds": 600}});
        let judge = crate::Settings::parse(&Draft(json!({"judge": choice}))).expect("valid");
        let seconds = judge.judge.and_then(|judge| judge.options.timeout_seconds);
        assert_eq!(seconds, Some(600));
        let problems = crate::Settings::parse(&Draft(json!({"simulated_user": choice})));
        let problems = problems.expect_err("a problem");
        assert_eq!(problems[0].path, "simulated_user.options.timeout_seconds");
    }

    #[rstest]
    #[case(json!({"extra_body": "{"}), "extra_body must be JSON")]
    #[case(json!({"extra_body": [1]}), "extra_body must be a JSON object")]
    #[case(json!({"extra_body": {"messages": []}}), "extra_body must not contain messages")]
    #[case(json!({"extra_body": {"stream": true}}), "extra_body must not contain stream")]
    #[case(json!({"extra_body": {"x": "y".repeat(9000)}}), "extra_body must be at most 8192 bytes")]
    #[case(json!({"extra_body": {"x": "\0"}}), "extra_body must not contain")]
    #[case(json!({"reasoning_effort": "lots"}), "reasoning_effort must be one of none")]
    #[case(json!({"temperature": 3}), "temperature must be from 0 to 2")]
    #[case(json!({"max_tokens": 0}), "max_tokens must be from 1")]
    #[case(json!({"timeout_seconds": 5}), "timeout_seconds must be from 10 to 3600")]
    fn problem_names_its_field(#[case] draft: Value, #[case] expected: &str) {
        let problem = read(draft).expect_err("a problem");
        assert!(problem.replace(": ", " ").starts_with(&expected.replace(": ", " ")), "{problem}");
    }
}
