//! The values of variables, and texts in which they are filled in.

use super::template::{self, Part};
use super::{Problem, Problems};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The variable that stands for the date on which a suite was started.
pub const TODAY: &str = "today";
/// The variable that stands for the time at which a suite was started.
pub const NOW: &str = "now";

/// The variables that one run knows. A text is read once: a value that looks like a
/// variable stays as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables {
    values: BTreeMap<String, String>,
    /// Secret variables that have no value yet.
    unset: BTreeSet<String>,
    /// The name of the test profile; `None` if none is selected.
    profile: Option<String>,
}

impl fmt::Debug for Variables {
    /// Omits the values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Variables {
    /// No variables but those that are set later. `profile` is the name of the test profile.
    #[must_use]
    pub fn new(profile: Option<String>) -> Self {
        Self { profile, ..Self::default() }
    }

    pub fn set(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value);
    }

    /// Notes a secret variable without a value.
    pub fn set_missing(&mut self, name: &str) {
        self.unset.insert(name.to_owned());
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Fills in the variables of a text.
    ///
    /// # Errors
    /// What is wrong, each as a continuation of the field's path: an unknown variable, or
    /// more than `max` bytes.
    pub fn fill<'a>(&self, text: &'a str, max: usize) -> Result<Cow<'a, str>, Vec<String>> {
        if !text.contains("{{") {
            return Ok(Cow::Borrowed(text));
        }
        let parts = template::split(text);
        let mut problems: Vec<String> = Vec::new();
        let mut length = 0;
        for part in &parts {
            match part {
                Part::Text(text) => length += text.len(),
                Part::Variable(name) => match self.get(name) {
                    Some(value) => length += value.len(),
                    None => push_new(&mut problems, self.unknown(name)),
                },
                Part::Invalid(part) => push_new(&mut problems, template::invalid_part(part)),
            }
        }
        // Checked before anything is copied: a short text may repeat a long value.
        if length > max {
            let message = "with its variables filled in";
            problems.push(format!("must be at most {max} bytes, but is {length} {message}"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut filled = String::with_capacity(length);
        for part in parts {
            match part {
                Part::Text(text) | Part::Invalid(text) => filled.push_str(text),
                Part::Variable(name) => filled.push_str(self.get(name).unwrap_or_default()),
            }
        }
        Ok(Cow::Owned(filled))
    }

    /// Why a variable has no value.
    fn unknown(&self, name: &str) -> String {
        match &self.profile {
            _ if self.unset.contains(name) => {
                let profile = self.profile.as_deref().unwrap_or_default();
                format!(
                    "uses the secret {{{{{name}}}}}, which has no value in the test profile “{profile}” yet"
                )
            }
            Some(profile) => {
                format!(
                    "uses {{{{{name}}}}}, but the test profile “{profile}” has no such variable"
                )
            }
            None => format!("uses {{{{{name}}}}}, but no test profile is selected"),
        }
    }
}

fn push_new(problems: &mut Vec<String>, problem: String) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

/// Fills in the variables of the fields of one object and collects all problems.
pub(crate) struct Filler<'a> {
    variables: &'a Variables,
    pub(crate) problems: Problems,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(variables: &'a Variables) -> Self {
        Self { variables, problems: Problems::new() }
    }

    /// Fills in a text. Its path is computed only for a problem.
    pub(crate) fn text(&mut self, text: &mut String, max: usize, path: impl Fn() -> String) {
        match self.variables.fill(text, max) {
            Ok(Cow::Borrowed(_)) => {}
            Ok(Cow::Owned(filled)) => *text = filled,
            Err(problems) => {
                self.problems
                    .extend(problems.into_iter().map(|message| Problem::new(path(), message)));
            }
        }
    }

    /// Fills in all texts of a JSON value, but not the names of its fields.
    pub(crate) fn json(
        &mut self,
        value: &mut serde_json::Value,
        max: usize,
        path: &impl Fn() -> String,
    ) {
        self.json_at(value, max, path, "");
    }

    fn json_at(
        &mut self,
        value: &mut serde_json::Value,
        max: usize,
        path: &impl Fn() -> String,
        pointer: &str,
    ) {
        use serde_json::Value;
        match value {
            Value::String(text) => {
                let place = || match pointer {
                    "" => path(),
                    pointer => format!("{} at {pointer}", path()),
                };
                self.text(text, max, place);
            }
            Value::Array(list) => {
                for (i, entry) in list.iter_mut().enumerate() {
                    self.json_at(entry, max, path, &format!("{pointer}/{i}"));
                }
            }
            Value::Object(map) => {
                for (key, entry) in map {
                    self.json_at(entry, max, path, &format!("{pointer}/{key}"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentSpec, Draft, ScenarioSpec};
    use rstest::rstest;
    use serde_json::json;

    fn variables() -> Variables {
        let mut variables = Variables::new(Some("P".to_owned()));
        variables.set("name", "Lena \"{{name}}\" \\{{".to_owned());
        variables.set("day", "Friday".to_owned());
        variables.set_missing("pin");
        variables
    }

    #[rstest]
    #[case::plain("Hello", "Hello")]
    #[case::filled("On {{day}}, {{ day }}", "On Friday, Friday")]
    #[case::once("{{name}}", "Lena \"{{name}}\" \\{{")]
    #[case::escaped("\\{{day}} {{day}}", "{{day}} Friday")]
    #[case::other_braces("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}")]
    fn values_are_filled_in_once(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(variables().fill(text, 1000).as_deref(), Ok(expected));
    }

    #[rstest]
    #[case("{{Day}}", "uses {{Day}}, but the test profile “P” has no such variable")]
    #[case("{{pin}}", "uses the secret {{pin}}, which has no value in the test profile “P” yet")]
    #[case("{{#if x}}", "contains {{#if x}}, which is no variable")]
    #[case("{{day", "contains {{day, which is not closed")]
    fn unresolved_variables_are_problems(#[case] text: &str, #[case] expected: &str) {
        let problems = variables().fill(text, 1000).expect_err("is unresolved");
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{problems:?}");
        let twice = format!("{text} {text}");
        assert_eq!(variables().fill(&twice, 1000).expect_err("is unresolved").len(), 1);
    }

    #[test]
    fn without_a_profile_the_problem_says_so() {
        let problems = Variables::new(None).fill("{{day}}", 10).expect_err("is unresolved");
        assert_eq!(problems, ["uses {{day}}, but no test profile is selected"]);
    }

    #[test]
    fn short_text_cannot_grow_beyond_the_limit() {
        let mut variables = Variables::new(None);
        variables.set("x", "y".repeat(8192));
        assert!(variables.fill("{{x}}", 8192).is_ok());
        let problems = variables.fill(&"{{x}}".repeat(10_000), 65_536).expect_err("is too long");
        assert!(problems[0].contains("but is 81920000 with its variables"), "{problems:?}");
    }

    #[test]
    fn every_text_of_a_scenario_is_filled_in_or_reported() {
        let v = "{{day}}";
        let document = |v: &str| {
            json!({"name": "N", "category": "booking", "description": v, "mode": "simulated",
                "persona": {"name": v, "mood": v, "communication_style": v, "background": v},
                "conversation_flow": [{"speaker": "user", "message": v}, {"speaker": "agent", "message": v}],
                "goal": v, "known_facts": [v], "opening_line": v,
                "expected_behaviors": [v], "failure_conditions": [v],
                "success_criteria": {"must_include": [v, {"text": v, "match": "part"}],
                    "must_not_include": [v], "criteria": [v]},
                "tool_mocks": [{"tool": "t", "when": {"a": {"b": [v]}}, "result": {"c": [1, v]}},
                    {"tool": "t", "error": v}]})
        };
        let parse = |v: &str| ScenarioSpec::parse(&Draft(document(v))).expect("valid");
        assert_eq!(parse(v).filled(&variables()), Ok(parse("Friday")));
        let problems = parse("{{no}}").filled(&variables()).expect_err("all are unknown");
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths.len(), document(v).to_string().matches(v).count(), "{paths:?}");
        for path in [
            "conversation_flow[1].message",
            "tool_mocks[0].when.a at /b/0",
            "tool_mocks[0].result at /c/1",
            "success_criteria.must_include[1]",
            "known_facts[0]",
        ] {
            assert!(paths.contains(&path), "{path} in {paths:?}");
        }
    }

    #[test]
    fn every_text_of_an_agent_is_filled_in_or_reported() {
        let connection = "0190a000-0000-7000-8000-000000000001";
        let prompt = |v: &str| {
            AgentSpec::parse(&Draft(json!({"name": "A", "connection_id": connection, "model": "m",
                "system_prompt": v, "begin_message": v, "tools": [{"name": "t", "description": v}]})))
            .expect("valid")
        };
        assert_eq!(prompt("{{day}}").filled(&variables()), Ok(prompt("Friday")));
        let problems = prompt("{{no}}").filled(&variables()).expect_err("all are unknown");
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["system_prompt", "begin_message", "tools[0].description"]);
    }

    #[test]
    fn templates_of_deployed_agents_are_checked_and_stay() {
        let connection = "0190a000-0000-7000-8000-000000000001";
        let agent = |v: &str| {
            AgentSpec::parse(&Draft(json!({"name": "A", "connection_id": connection, "http": {
                "purpose": v, "session": {"mode": "server", "id": {"at": "/id"},
                    "start": {"path": "/start", "body": {"a": [v]}}},
                "request": {"path": format!("/{v}/{{{{session_id}}}}"), "headers": {"X-A": v},
                    "body": {"m": "{{message}}", "n": format!("{{{{turn}}}} {v}")}},
                "response": {"text": "/text"}}})))
            .expect("valid")
        };
        let filled = agent("{{day}}").filled(&variables()).expect("known");
        let http = filled.http.expect("deployed");
        assert_eq!(
            (http.purpose.as_str(), http.request.path.as_str()),
            ("Friday", "/{{day}}/{{session_id}}")
        );
        let problems = agent("{{no}}").filled(&variables()).expect_err("all are unknown");
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "http.purpose",
                "http.request.path",
                "http.request.headers.X-A",
                "http.request.body at /n",
                "http.session.start.body at /a/0"
            ]
        );
    }
}
