//! Validation of requests to start a suite.

use super::ids::{AgentId, ProfileId, ScenarioId};
use super::problem::{Problem, Problems};
use super::settings::ModelChoice;
use super::suite::{ScenarioFilter, StartSuite};
use super::{BudgetAction, Category, Difficulty, Draft, DraftReader, NanoUsd, is_blank, limits};
use serde_json::Value;

impl ScenarioFilter {
    /// Reads the filter's fields; blank fields count as absent.
    pub fn read(reader: &mut DraftReader<'_>) -> Self {
        let text = |text: String| Some(text.trim().to_owned()).filter(|text| !is_blank(text));
        Self {
            category: optional_choice(reader, "category", Category::ALL),
            difficulty: optional_choice(reader, "difficulty", Difficulty::ALL),
            tag: text(reader.name("tag", limits::NAME, false)),
            q: text(reader.name("q", limits::NAME, false)),
            built_in: optional_choice(reader, "built_in", &[("true", true), ("false", false)]),
        }
    }
}

/// One of several options; `None` if absent or blank.
fn optional_choice<T: Copy>(
    reader: &mut DraftReader<'_>,
    field: &'static str,
    options: &[(&str, T)],
) -> Option<T> {
    match reader.value(field) {
        None => None,
        Some(Value::String(text)) if text.trim().is_empty() => None,
        Some(_) => reader.choice(field, options, None),
    }
}

impl StartSuite {
    /// Validates the draft.
    ///
    /// Scenarios are selected by `scenario_ids`, by `filter` (an empty filter selects all
    /// active scenarios) or by `all: true`, which forms send together with a filter. One of
    /// them is required, so that omitting a field never starts all scenarios.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(Self::read)
    }

    fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        let agent_id = agent(&mut reader);
        let (scenario_ids, filter) = scenarios(&mut reader);
        let repeats = reader.integer("repeats", 1, 1, limits::REPEATS);
        let concurrency = reader.optional_integer("concurrency", 1, limits::CONCURRENCY);
        let note = reader.text("note", limits::MESSAGE).trim().to_owned();
        let allow_parallel = reader.flag("allow_parallel", false);
        let skip_incompatible = reader.flag("skip_incompatible", false);
        let expected_runs = reader.optional_integer("expected_runs", 1, u32::MAX);
        let profile = profile(&mut reader);
        let judge = ModelChoice::read(&mut reader, "judge");
        let simulated_user = ModelChoice::read(&mut reader, "simulated_user");
        let budget_usd = read_budget(&mut reader);
        let actions = BudgetAction::ALL;
        let budget_action = reader.choice("budget_action", actions, Some(BudgetAction::default()));
        reader.deny_unknown_fields(&["idempotency_key"]);
        Some(Self {
            agent_id: agent_id?,
            scenario_ids,
            filter,
            repeats,
            concurrency,
            note,
            allow_parallel,
            skip_incompatible,
            expected_runs,
            profile,
            judge,
            simulated_user,
            budget_usd,
            budget_action: budget_action.unwrap_or_default(),
        })
    }

    /// Validates a request to start a single run: `{agent_id, scenario_id}` and the options
    /// of [`StartSuite::parse`].
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse_single(draft: &Draft) -> Result<Self, Problems> {
        let mut draft = draft.clone();
        let mut problems = Problems::new();
        if let Value::Object(map) = &mut draft.0 {
            for field in ["scenario_ids", "filter", "all"] {
                if map.remove(field).is_some() {
                    let message = "is not a known field; a run has one scenario_id";
                    problems.push(Problem::new(field, message));
                }
            }
            let one = map.remove("scenario_id").filter(|one| !one.is_null());
            let one = one.unwrap_or_else(|| Value::String(String::new()));
            map.insert("scenario_ids".to_owned(), Value::Array(vec![one]));
        }
        match Self::parse(&draft) {
            Ok(request) if problems.is_empty() => Ok(request),
            parsed => {
                problems.extend(parsed.err().unwrap_or_default());
                problems.iter_mut().for_each(Self::relabel_scenario_path);
                Err(problems)
            }
        }
    }

    /// Changes the path `scenario_ids[0]` to `scenario_id`, the field of a single-run request.
    pub fn relabel_scenario_path(problem: &mut Problem) {
        if problem.path == "scenario_ids[0]" {
            "scenario_id".clone_into(&mut problem.path);
        }
    }
}

/// Reads the field `budget_usd`; `None` for no budget.
pub fn read_budget(reader: &mut DraftReader<'_>) -> Option<NanoUsd> {
    let budget = NanoUsd::read(reader, "budget_usd", limits::BUDGET_USD);
    if budget == Some(NanoUsd::ZERO) {
        reader.problem("budget_usd", "must be more than 0; leave it empty for no budget");
    }
    budget
}

fn agent(reader: &mut DraftReader<'_>) -> Option<AgentId> {
    let text = reader.text("agent_id", limits::NAME);
    let id = text.parse::<AgentId>().ok();
    if id.is_none() {
        let message = if is_blank(&text) { "must be selected" } else { "is not an agent id" };
        reader.problem("agent_id", message);
    }
    id
}

/// The id of a test profile; `None` if absent or blank.
fn profile(reader: &mut DraftReader<'_>) -> Option<ProfileId> {
    let text = reader.text("profile", limits::NAME);
    let id = text.parse::<ProfileId>().ok();
    if id.is_none() && !is_blank(&text) {
        reader.problem("profile", "is not the id of a test profile");
    }
    id
}

fn scenarios(reader: &mut DraftReader<'_>) -> (Option<Vec<ScenarioId>>, Option<ScenarioFilter>) {
    let all = reader.flag("all", false);
    let filter = reader.value("filter").is_some().then(|| {
        let mut fields = reader.object("filter");
        let filter = ScenarioFilter::read(&mut fields);
        fields.deny_unknown_fields(&[]);
        filter
    });
    let named = reader.value("scenario_ids").is_some();
    let (ids, all_readable) = scenario_ids(reader);
    // Forms send the filter and the selected scenarios regardless of `all`.
    match (all, named, filter) {
        (true, _, filter) => (None, Some(filter.unwrap_or_default())),
        (false, true, filter) => {
            let form_filter = filter.is_none_or(|filter| filter == ScenarioFilter::default());
            if !form_filter {
                reader.problem("filter", "must not be combined with scenario_ids");
            }
            if ids.is_empty() && all_readable {
                reader.problem("scenario_ids", "must name at least one scenario");
            }
            (Some(ids), None)
        }
        (false, false, Some(filter)) => (None, Some(filter)),
        (false, false, None) => {
            let message = "must name scenarios, or give a filter ({} selects all active scenarios)";
            reader.problem("scenario_ids", message);
            (None, None)
        }
    }
}

/// Returns the valid ids and whether all entries were valid.
fn scenario_ids(reader: &mut DraftReader<'_>) -> (Vec<ScenarioId>, bool) {
    let mut ids = Vec::new();
    let mut bad = Vec::new();
    let entries = match reader.value("scenario_ids") {
        // A form with a single checkbox sends a plain string.
        Some(one @ Value::String(text)) if !is_blank(text) => {
            vec![(reader.path("scenario_ids"), one)]
        }
        _ => reader.list("scenario_ids", limits::SELECTED),
    };
    for (path, value) in entries {
        match value.as_str().and_then(|text| text.parse::<ScenarioId>().ok()) {
            Some(id) => ids.push(id),
            None if value.as_str().is_some_and(is_blank) => bad.push((path, "must be selected")),
            None => bad.push((path, "is not a scenario id")),
        }
    }
    let all_readable = bad.is_empty();
    for (path, message) in bad {
        // The reader is at the top level, so the field name is the path.
        reader.problem(&path, message);
    }
    (ids, all_readable)
}

#[cfg(test)]
mod tests {
    use super::StartSuite;
    use crate::Draft;
    use serde_json::{Value, json};

    const AGENT: &str = "0190a000-0000-7000-8000-000000000001";
    const SCENARIO: &str = "0190a000-0000-7000-8000-000000000002";

    fn problems(value: Value) -> Vec<String> {
        match StartSuite::parse(&Draft(value)) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|p| p.path).collect(),
        }
    }

    #[test]
    fn parse_reports_all_problems() {
        let paths = problems(json!({
            "agent_id": "x", "scenario_ids": ["y", SCENARIO], "repeats": 21, "concurrency": 0,
            "note": "n".repeat(40_000), "typo": 1, "judge": {"model": "m"},
        }));
        for path in ["agent_id", "scenario_ids[0]", "repeats", "concurrency", "note", "typo"] {
            assert!(paths.contains(&path.to_owned()), "{path} in {paths:?}");
        }
        assert!(paths.contains(&"judge.connection_id".to_owned()), "{paths:?}");
    }

    #[test]
    fn parse_requires_a_scenario_selection() {
        assert_eq!(problems(json!({"agent_id": AGENT})), ["scenario_ids"]);
        assert_eq!(problems(json!({"agent_id": AGENT, "scenario_ids": []})), ["scenario_ids"]);
        assert!(problems(json!({"agent_id": AGENT, "filter": {}})).is_empty());
        assert!(problems(json!({"agent_id": AGENT, "all": "true"})).is_empty());
    }

    #[test]
    fn parse_reads_forms_and_json_alike() {
        let form = json!({"agent_id": AGENT, "scenario_ids": {"0": SCENARIO}, "repeats": "2",
            "concurrency": "", "allow_parallel": "on", "filter": {"category": "", "q": ""}});
        let api = json!({"agent_id": AGENT, "scenario_ids": [SCENARIO], "repeats": 2,
            "allow_parallel": true});
        assert_eq!(StartSuite::parse(&Draft(form)), StartSuite::parse(&Draft(api)));
    }

    #[test]
    fn parse_single_requires_one_scenario() {
        let parse = |value| StartSuite::parse_single(&Draft(value));
        let single = parse(json!({"agent_id": AGENT, "scenario_id": SCENARIO}));
        let suite = json!({"agent_id": AGENT, "scenario_ids": [SCENARIO]});
        assert_eq!(single, StartSuite::parse(&Draft(suite)));
        let missing = parse(json!({"agent_id": AGENT})).expect_err("no scenario");
        assert_eq!(missing[0].path, "scenario_id");
        assert_eq!(missing.len(), 1);
        let wrong = json!({"filter": {}, "all": true, "scenario_id": "y", "repeats": 0, "typo": 1});
        let wrong = parse(wrong).expect_err("five problems and no agent");
        let mut paths: Vec<_> = wrong.iter().map(|p| p.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["agent_id", "all", "filter", "repeats", "scenario_id", "typo"]);
    }
}
