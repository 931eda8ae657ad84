//! Test profiles: named sets of variables that a suite is run with.

use super::http_agent::VARIABLES as REQUEST_VARIABLES;
use super::ids::ProfileId;
use super::problem::Problems;
use super::template::{NAME_RULE, is_name};
use super::timestamp::Timestamp;
use super::variables::{NOW, TODAY};
use super::{Draft, DraftReader, is_blank, limits};
use serde::{Deserialize, Serialize};

/// Minimum length of a secret value, in characters: a shorter one would be found in texts
/// that do not contain it.
const MIN_SECRET: usize = 4;

/// The beginning of the text that stands for a secret value.
const SECRET_MARK: &str = "[secret ";

/// One revision of a test profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Profile {
    pub id: ProfileId,
    /// Starts at 1; every save creates a new revision.
    pub revision: u32,
    pub updated_at: Timestamp,
    #[serde(flatten)]
    pub spec: ProfileSpec,
}

/// The user-supplied part of a test profile, validated by [`ProfileSpec::parse`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProfileSpec {
    /// 1–200 characters.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The time zone of `{{today}}` and `{{now}}`, such as `Europe/Berlin`; UTC if absent.
    pub time_zone: Option<String>,
    pub variables: Vec<Variable>,
}

/// A variable of a test profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Variable {
    /// Parts of letters, digits, `_` and `-`, separated by periods; unique within the profile.
    pub name: String,
    /// Whether the value is encrypted and never shown.
    #[serde(default)]
    pub secret: bool,
    /// The text that is filled in. A response has null for a secret; without a value, a
    /// request keeps the stored one.
    #[serde(default)]
    pub value: Option<String>,
    /// Whether a value is stored.
    #[serde(default)]
    pub is_set: bool,
}

/// A test profile as runs and suites refer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProfileRef {
    pub id: ProfileId,
    pub revision: u32,
    /// Name at that revision.
    pub name: String,
}

impl ProfileSpec {
    /// Validates the draft. Secret variables may lack a value.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(Self::read)
    }

    fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        let name = reader.name("name", limits::NAME, true);
        let description = reader.text("description", limits::MESSAGE);
        let time_zone = reader.name("time_zone", limits::NAME, false);
        let variables = variables(&mut reader);
        reader.deny_unknown_fields(&["id", "revision", "updated_at", "idempotency_key", "kind"]);
        let time_zone = Some(time_zone).filter(|zone| !is_blank(zone));
        Some(Self { name, description, time_zone, variables })
    }

    /// Whether the profile has a secret variable.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.variables.iter().any(|variable| variable.secret)
    }
}

fn variables(reader: &mut DraftReader<'_>) -> Vec<Variable> {
    let mut variables: Vec<Variable> = Vec::new();
    for (path, value) in reader.list("variables", limits::ENTRIES) {
        let mut entry = reader.entry(path, value);
        if !entry.is_object() {
            continue;
        }
        let name = entry.text("name", usize::MAX).trim().to_owned();
        if let Some(problem) = name_problem(&name, &variables) {
            entry.problem("name", problem);
        }
        let secret = entry.flag("secret", false);
        let value = entry.text("value", limits::VARIABLE);
        let value = Some(value).filter(|value| !is_blank(value));
        if let Some(problem) = value_problem(value.as_deref(), secret) {
            entry.problem("value", problem);
        }
        entry.deny_unknown_fields(&["is_set"]);
        let is_set = value.is_some();
        variables.push(Variable { name, secret, value, is_set });
    }
    variables
}

fn name_problem(name: &str, variables: &[Variable]) -> Option<String> {
    if !is_name(name) {
        Some(NAME_RULE.to_owned())
    } else if [TODAY, NOW].contains(&name) || REQUEST_VARIABLES.contains(&name) {
        Some(format!("must not be {name}, which Rehearsal sets itself"))
    } else if variables.iter().any(|variable| variable.name == name) {
        Some(format!("must be unique: {name} is used twice"))
    } else {
        None
    }
}

fn value_problem(value: Option<&str>, secret: bool) -> Option<String> {
    match value {
        None if secret => None,
        None => Some("must not be empty".to_owned()),
        Some(value) if secret && value.chars().count() < MIN_SECRET => {
            Some(format!("must have at least {MIN_SECRET} characters, because it is secret"))
        }
        Some(value) if value.contains(SECRET_MARK) => {
            Some(format!("must not contain “{SECRET_MARK}”, which stands for a secret"))
        }
        Some(_) => None,
    }
}

/// The text that stands for the value of a secret variable wherever it is stored or shown.
#[must_use]
pub fn secret_placeholder(name: &str) -> String {
    format!("{SECRET_MARK}{name}]")
}

/// Removes the values of secret variables from the draft of a profile, so that it can be
/// stored.
pub fn remove_secret_variables(draft: &mut Draft) {
    let variables = draft.0.get_mut("variables").into_iter();
    let entries: Vec<&mut serde_json::Value> = variables
        .flat_map(|list| match list {
            serde_json::Value::Array(entries) => entries.iter_mut().collect::<Vec<_>>(),
            serde_json::Value::Object(entries) => entries.values_mut().collect(),
            _ => Vec::new(),
        })
        .collect();
    for entry in entries {
        let is_public =
            entry.get("secret").is_none_or(|secret| super::draft::as_bool(secret) == Some(false));
        if !is_public && let Some(fields) = entry.as_object_mut() {
            fields.remove("value");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn problems(variables: Value) -> Vec<String> {
        let draft = json!({"name": "P", "variables": variables});
        let problems = ProfileSpec::parse(&Draft(draft)).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case(json!([{"name": "a b", "value": "x"}]), "variables[0].name: must be a name such as")]
    #[case(json!([{"name": "", "value": "x"}]), "variables[0].name: must be a name such as")]
    #[case(json!([{"name": "today", "value": "x"}]), "variables[0].name: must not be today")]
    #[case(json!([{"name": "message", "value": "x"}]), "variables[0].name: must not be message")]
    #[case(json!([{"name": "a", "value": "x"}, {"name": "a", "value": "y"}]), "[1].name: must be unique")]
    #[case(json!([{"name": "a"}]), "variables[0].value: must not be empty")]
    #[case(json!([{"name": "a", "value": [1]}]), "variables[0].value: must be text")]
    #[case(json!([{"name": "a", "secret": true, "value": "abc"}]), "at least 4 characters")]
    #[case(json!([{"name": "a", "value": "[secret b]"}]), "must not contain “[secret ”")]
    #[case(json!([{"name": "a", "value": "x".repeat(9000)}]), "must be at most 8192 bytes")]
    #[case(json!([{"name": "a", "value": "x", "typo": 1}]), "variables[0].typo: is not a known field")]
    #[case(json!([7]), "variables[0]: must be an object")]
    #[case(json!("text"), "variables: must be a list")]
    #[case(json!(vec![json!({"name": "a", "value": "b"}); 101]), "must have at most 100 entries")]
    fn bad_variables_are_refused_with_their_path(#[case] variables: Value, #[case] words: &str) {
        let found = problems(variables);
        assert!(found.iter().any(|problem| problem.contains(words)), "{found:?}");
    }

    #[test]
    fn form_and_json_are_read_alike() {
        let form = json!({"name": "P", "time_zone": "", "variables": {"0": {"name": " a ", "secret": "false",
            "value": "1"}, "2": {"name": "b", "secret": "true", "value": ""}}});
        let api = json!({"name": "P", "variables": [{"name": "a", "value": 1},
            {"name": "b", "secret": true, "is_set": true, "value": null}]});
        let spec = ProfileSpec::parse(&Draft(form)).expect("valid");
        assert_eq!(ProfileSpec::parse(&Draft(api)).as_ref(), Ok(&spec));
        assert_eq!(spec.variables[0].value.as_deref(), Some("1"));
        assert!(!spec.variables[1].is_set && spec.has_secrets());
    }

    #[test]
    fn secret_values_are_removed_from_drafts() {
        for list in [
            json!([{"name": "a", "value": "v", "secret": "false"}, {"name": "b", "value": "s", "secret": "true"},
            {"name": "c", "value": "s", "secret": ["?"]}]),
            json!({"3": {"value": "s", "secret": true}}),
        ] {
            let mut draft = Draft(json!({"variables": list}));
            remove_secret_variables(&mut draft);
            let text = draft.0.to_string();
            assert!(!text.contains("\"s\"") && text.contains("\"v\"") == list.is_array(), "{text}");
        }
    }
}
