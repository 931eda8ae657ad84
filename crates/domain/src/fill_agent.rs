//! Agents whose variables are filled in.

use super::http_agent::{RequestTemplate, VARIABLES};
use super::template::{self, Part};
use super::variables::{Filler, Variables};
use super::{AgentSpec, Problem, Problems, limits};
use serde_json::Value;

impl AgentSpec {
    /// The agent with its variables filled in: in the system prompt, the first message, the
    /// purpose of a deployed agent and the descriptions of tools. The templates of a deployed
    /// agent are filled in with each request; here they are only checked.
    ///
    /// # Errors
    /// All problems, with their paths.
    pub fn filled(&self, variables: &Variables) -> Result<Self, Problems> {
        let mut agent = self.clone();
        let mut filler = Filler::new(variables);
        let path = |field: &'static str| move || field.to_owned();
        filler.text(&mut agent.system_prompt, limits::SYSTEM_PROMPT, path("system_prompt"));
        if let Some(message) = &mut agent.begin_message {
            filler.text(message, limits::MESSAGE, path("begin_message"));
        }
        for (i, tool) in agent.tools.iter_mut().enumerate() {
            let path = || format!("tools[{i}].description");
            filler.text(&mut tool.description, limits::MESSAGE, path);
        }
        if let Some(http) = &mut agent.http {
            filler.text(&mut http.purpose, limits::SYSTEM_PROMPT, path("http.purpose"));
            let session = &http.session;
            let parts = [
                ("http.request", Some(&http.request)),
                ("http.session.start", session.start.as_ref()),
                ("http.session.end", session.end.as_ref()),
            ];
            for (path, template) in parts {
                if let Some(template) = template {
                    check_request(template, variables, path, &mut filler.problems);
                }
            }
        }
        if filler.problems.is_empty() { Ok(agent) } else { Err(filler.problems) }
    }
}

fn check_request(
    template: &RequestTemplate,
    variables: &Variables,
    path: &str,
    problems: &mut Problems,
) {
    let mut check = |text: &str, path: String| {
        let found = check_template(text, variables);
        problems.extend(found.into_iter().map(|message| Problem::new(path.clone(), message)));
    };
    check(&template.path, format!("{path}.path"));
    for (name, value) in &template.headers {
        check(value, format!("{path}.headers.{name}"));
    }
    if let Some(body) = &template.body {
        check_json(body, &format!("{path}.body"), "", &mut check);
    }
}

fn check_json(value: &Value, path: &str, pointer: &str, check: &mut impl FnMut(&str, String)) {
    match value {
        Value::String(text) if pointer.is_empty() => check(text, path.to_owned()),
        Value::String(text) => check(text, format!("{path} at {pointer}")),
        Value::Array(list) => {
            for (i, entry) in list.iter().enumerate() {
                check_json(entry, path, &format!("{pointer}/{i}"), check);
            }
        }
        Value::Object(map) => {
            for (key, entry) in map {
                check_json(entry, path, &format!("{pointer}/{key}"), check);
            }
        }
        _ => {}
    }
}

/// The problems of a template, apart from the variables that every request has.
fn check_template(text: &str, variables: &Variables) -> Vec<String> {
    let mut own = String::new();
    for part in template::split(text) {
        match part {
            Part::Variable(name) if VARIABLES.contains(&name) => {}
            Part::Variable(name) => own.push_str(&format!("{{{{{name}}}}}")),
            // The parser has refused other parts.
            Part::Text(_) | Part::Invalid(_) => {}
        }
    }
    variables.fill(&own, limits::SYSTEM_PROMPT).err().unwrap_or_default()
}
