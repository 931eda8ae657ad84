//! Scenarios whose variables are filled in.

use super::variables::{Filler, Variables};
use super::{Problems, ScenarioSpec, TextToFind, limits};

impl ScenarioSpec {
    /// The scenario with its variables filled in: in the description, the persona, the
    /// messages, goal, facts and opening line, in what is checked (behaviors, failure
    /// conditions, criteria, phrases), and in the arguments, results and errors of mocks.
    ///
    /// # Errors
    /// All problems, with their paths.
    pub fn filled(&self, variables: &Variables) -> Result<Self, Problems> {
        let mut scenario = self.clone();
        let mut filler = Filler::new(variables);
        fill_person(&mut scenario, &mut filler);
        fill_checks(&mut scenario, &mut filler);
        fill_mocks(&mut scenario, &mut filler);
        if filler.problems.is_empty() { Ok(scenario) } else { Err(filler.problems) }
    }
}

fn fill_person(scenario: &mut ScenarioSpec, filler: &mut Filler<'_>) {
    let max = limits::MESSAGE;
    let persona = &mut scenario.persona;
    let texts = [
        ("description", &mut scenario.description),
        ("persona.name", &mut persona.name),
        ("persona.mood", &mut persona.mood),
        ("persona.communication_style", &mut persona.communication_style),
        ("persona.background", &mut persona.background),
        ("goal", &mut scenario.goal),
    ];
    for (path, text) in texts {
        filler.text(text, max, || path.to_owned());
    }
    for (i, turn) in scenario.conversation_flow.iter_mut().enumerate() {
        filler.text(&mut turn.message, max, || format!("conversation_flow[{i}].message"));
    }
    fill_list(filler, "known_facts", &mut scenario.known_facts);
    if let Some(line) = &mut scenario.opening_line {
        filler.text(line, max, || "opening_line".to_owned());
    }
}

fn fill_checks(scenario: &mut ScenarioSpec, filler: &mut Filler<'_>) {
    for (i, behavior) in scenario.expected_behaviors.iter_mut().enumerate() {
        let path = || format!("expected_behaviors[{i}].text");
        filler.text(&mut behavior.text, limits::MESSAGE, path);
    }
    fill_list(filler, "failure_conditions", &mut scenario.failure_conditions);
    let criteria = &mut scenario.success_criteria;
    fill_list(filler, "success_criteria.criteria", &mut criteria.criteria);
    let phrases = [
        ("success_criteria.must_include", &mut criteria.must_include),
        ("success_criteria.must_not_include", &mut criteria.must_not_include),
    ];
    for (path, items) in phrases {
        for (i, item) in items.iter_mut().enumerate() {
            let (TextToFind::Text(text) | TextToFind::WithMatch { text, .. }) = item;
            filler.text(text, limits::MESSAGE, || format!("{path}[{i}]"));
        }
    }
}

fn fill_mocks(scenario: &mut ScenarioSpec, filler: &mut Filler<'_>) {
    for (i, mock) in scenario.tool_mocks.iter_mut().enumerate() {
        for value in mock.when.iter_mut().flat_map(|when| when.iter_mut()) {
            let (name, value) = value;
            filler.json(value, limits::MESSAGE, &|| format!("tool_mocks[{i}].when.{name}"));
        }
        if let Some(result) = &mut mock.result {
            filler.json(result, limits::MESSAGE, &|| format!("tool_mocks[{i}].result"));
        }
        if let Some(error) = &mut mock.error {
            filler.text(error, limits::MESSAGE, || format!("tool_mocks[{i}].error"));
        }
    }
}

fn fill_list(filler: &mut Filler<'_>, path: &str, texts: &mut [String]) {
    for (i, text) in texts.iter_mut().enumerate() {
        filler.text(text, limits::MESSAGE, || format!("{path}[{i}]"));
    }
}
