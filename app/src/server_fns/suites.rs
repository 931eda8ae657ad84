//! Suites: the list, the start form, the live page.

use super::Choice;
use super::scenarios::ScenarioFilterParams;
#[cfg(feature = "ssr")]
use crate::domain::{Agent, Scenario, Suite};
use crate::domain::{NewestRevisions, Preflight, Problems, Run, SuiteSnapshot};
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::ListPage;
use crate::services::SavedForm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{PreflightQuery, StartQuery, SuiteQuery, SuitesQuery, request};

/// The selection for a start, as text from the address or the form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartParams {
    pub agent: String,
    /// The selected scenarios; ignored if `all` is set.
    pub scenarios: Vec<String>,
    /// Selects all active scenarios that match the filter.
    pub all: bool,
    pub filter: ScenarioFilterParams,
    pub repeats: String,
    pub concurrency: String,
    /// The id of the test profile; empty for none.
    pub profile: String,
    pub note: String,
    pub budget_usd: String,
    pub budget_action: String,
    /// Start even if a suite with one of the scenarios is unfinished.
    pub allow_parallel: bool,
    /// Record incompatible scenarios as errors.
    pub skip_incompatible: bool,
    /// The rejected input that replaces the selection.
    pub saved_form: Option<String>,
}

#[cfg(any(feature = "ssr", test))]
impl StartParams {
    /// The request as the form would post it, validated by the same parser as a
    /// start. `None` while nothing is selected, unless another field is invalid.
    ///
    /// # Errors
    /// All problems of the selection.
    fn request(&self) -> Result<Option<crate::domain::StartSuite>, Problems> {
        let mut draft = serde_json::json!({
            "agent_id": self.agent, "repeats": self.repeats, "concurrency": self.concurrency,
            "profile": self.profile, "note": self.note, "budget_usd": self.budget_usd,
            "budget_action": self.budget_action, "allow_parallel": self.allow_parallel,
            "skip_incompatible": self.skip_incompatible,
        });
        if self.all {
            draft["all"] = true.into();
            draft["filter"] = serde_json::to_value(self.filter.parse()).unwrap_or_default();
        } else {
            draft["scenario_ids"] = self.scenarios.clone().into();
        }
        let (agent, some) = (!self.agent.is_empty(), self.all || !self.scenarios.is_empty());
        match crate::domain::StartSuite::parse(&crate::domain::Draft(draft)) {
            Ok(request) => Ok(Some(request)),
            Err(mut problems) => {
                problems.retain(|problem| match problem.path.as_str() {
                    "agent_id" => agent,
                    "scenario_ids" => some,
                    _ => true,
                });
                if problems.is_empty() { Ok(None) } else { Err(problems) }
            }
        }
    }
}

/// The data of the start form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartData {
    /// The idempotency key of the form.
    pub key: String,
    pub params: StartParams,
    pub agents: Vec<Choice>,
    pub profiles: Vec<Choice>,
    /// The scenarios to select from; selected ones come first.
    pub scenarios: Vec<Choice>,
    /// The rejected input to restore.
    pub rejected: Option<SavedForm>,
}

/// What a start would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PreflightData {
    /// The selection that was checked, as it was sent.
    pub checked: StartParams,
    /// `None` while nothing is selected.
    pub found: Option<Preflight>,
    /// Why the preflight failed.
    pub error: Option<AppError>,
    /// The problems of the selection.
    pub problems: Problems,
    pub has_agent: bool,
    /// Start even if a suite with one of the scenarios is unfinished.
    pub allow_parallel: bool,
    /// Record incompatible scenarios as errors.
    pub skip_incompatible: bool,
}

/// The data of the suite page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteData {
    /// The suite, and the event number at which it was read.
    pub snapshot: SuiteSnapshot,
    /// The followed run with its transcript.
    pub followed: Option<Run>,
    /// The idempotency key of the re-run form.
    pub key: String,
    /// What a re-run would use.
    pub newest: NewestRevisions,
}

/// Suites, newest first.
#[cfg(feature = "ssr")]
pub(super) async fn suites(
    SuitesQuery { agent, status, after }: SuitesQuery,
) -> Result<ListPage<Suite>, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let filter = crate::services::HistoryFilter {
        agent: agent.and_then(|id| id.parse().ok()),
        status: status.filter(|word| !word.is_empty()),
        ..Default::default()
    };
    let cursor = crate::services::Cursor { after, limit: None };
    services.results.suites(&caller, &filter, &cursor).await
}

/// The start form. The preflight is a query of its own.
#[cfg(feature = "ssr")]
pub(super) async fn start_form(StartQuery { params }: StartQuery) -> Result<StartData, AppError> {
    use crate::services::Cursor;
    let (services, caller) = (request::services(), request::caller()?);
    let cursor = Cursor { after: None, limit: Some(200) };
    let agents = services.agents.agents(&caller, &cursor).await?.items;
    let rejected = request::rejected(params.saved_form.as_deref()).await;
    let params = resolve(params, rejected.as_ref(), &agents);
    let mut scenarios = Vec::new();
    let mut after = None;
    loop {
        let cursor = Cursor { after, limit: Some(200) };
        let page = services.scenarios.scenarios(&caller, &params.filter.parse(), &cursor).await?;
        scenarios.extend(page.items.into_iter().map(scenario_choice));
        after = page.next;
        if after.is_none() || scenarios.len() >= 2000 {
            break;
        }
    }
    // Selected scenarios come first, so that they are visible.
    scenarios.sort_by_key(|scenario| !params.scenarios.contains(&scenario.id));
    let agents = agents.into_iter().map(|agent| Choice {
        id: agent.id.to_string(),
        name: agent.spec.name,
        about: agent.spec.model,
    });
    let (agents, key) = (agents.collect(), services.suites.new_idempotency_key());
    let profiles = super::profiles::choices(&caller).await?;
    Ok(StartData { key, params, agents, profiles, scenarios, rejected })
}

#[cfg(feature = "ssr")]
fn scenario_choice(scenario: Scenario) -> Choice {
    let spec = scenario.spec;
    let about = format!("{} · {}", spec.category.label(), spec.difficulty.label());
    Choice { id: scenario.id.to_string(), name: spec.name, about }
}

/// What a start would do.
#[cfg(feature = "ssr")]
pub(super) async fn check_start(
    PreflightQuery { params }: PreflightQuery,
) -> Result<PreflightData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let cursor = crate::services::Cursor { after: None, limit: Some(2) };
    let agents = services.agents.agents(&caller, &cursor).await?.items;
    let rejected = request::rejected(params.saved_form.as_deref()).await;
    let checked = params.clone();
    let params = resolve(params, rejected.as_ref(), &agents);
    let mut data = PreflightData {
        checked,
        has_agent: !params.agent.is_empty(),
        allow_parallel: params.allow_parallel,
        skip_incompatible: params.skip_incompatible,
        ..PreflightData::default()
    };
    match params.request() {
        Ok(None) => {}
        Ok(Some(request)) => match services.suites.preflight(&caller, &request).await {
            Ok(found) => data.found = Some(found),
            Err(error) if !error.problems.is_empty() => data.problems = error.problems,
            Err(error) => data.error = Some(error),
        },
        Err(problems) => data.problems = problems,
    }
    Ok(data)
}

/// The selection: from the rejected input, else from the address. A single agent is
/// selected automatically.
#[cfg(feature = "ssr")]
fn resolve(params: StartParams, rejected: Option<&SavedForm>, agents: &[Agent]) -> StartParams {
    let mut params = match rejected {
        Some(rejected) if rejected.draft.at("agent_id").is_some() => from_draft(&rejected.draft),
        _ => params,
    };
    if let [only] = agents
        && params.agent.is_empty()
    {
        params.agent = only.id.to_string();
    }
    params
}

/// The selection of a rejected start form.
#[cfg(feature = "ssr")]
fn from_draft(draft: &crate::domain::Draft) -> StartParams {
    let scenarios = match draft.at("scenario_ids") {
        Some(serde_json::Value::Array(ids)) => {
            ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        }
        Some(serde_json::Value::String(id)) => vec![id.clone()],
        _ => Vec::new(),
    };
    StartParams {
        agent: draft.text("agent_id"),
        scenarios,
        all: draft.flag("all", false),
        filter: ScenarioFilterParams {
            q: draft.text("filter.q"),
            category: draft.text("filter.category"),
            difficulty: draft.text("filter.difficulty"),
            tag: draft.text("filter.tag"),
            built_in: draft.text("filter.built_in"),
        },
        repeats: draft.text("repeats"),
        concurrency: draft.text("concurrency"),
        profile: draft.text("profile"),
        note: draft.text("note"),
        budget_usd: draft.text("budget_usd"),
        budget_action: draft.text("budget_action"),
        allow_parallel: draft.flag("allow_parallel", false),
        skip_incompatible: draft.flag("skip_incompatible", false),
        saved_form: None,
    }
}

/// A suite with the transcript of the followed run: the requested one, or else the
/// most interesting one.
#[cfg(feature = "ssr")]
pub(super) async fn suite_view(SuiteQuery { id, run }: SuiteQuery) -> Result<SuiteData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let id = request::id(&id, "suite")?;
    let snapshot = services.results.suite(&caller, id).await?;
    let runs = snapshot.suite.runs.as_deref().unwrap_or_default();
    let requested = run.and_then(|run| run.parse().ok());
    let follow = requested
        .filter(|id| runs.iter().any(|run| run.id == *id))
        .or_else(|| crate::pages::suite::live_state::default_run_to_follow(runs));
    let followed = match follow {
        Some(run) => Some(services.results.run(&caller, run).await?),
        None => None,
    };
    let newest = services.suites.newest_revisions(&caller, &snapshot.suite).await?;
    Ok(SuiteData { snapshot, followed, key: services.suites.new_idempotency_key(), newest })
}

#[cfg(test)]
mod tests {
    use super::{ScenarioFilterParams, StartParams};

    const ID: &str = "0190a000-0000-7000-8000-000000000001";

    fn chosen() -> StartParams {
        StartParams { agent: ID.into(), scenarios: vec![ID.into()], ..StartParams::default() }
    }

    #[test]
    fn empty_selection_is_no_request() {
        assert_eq!(StartParams::default().request(), Ok(None));
        let params = StartParams { scenarios: Vec::new(), ..chosen() };
        assert_eq!(params.request(), Ok(None));
        let params = StartParams { all: true, ..params };
        let request = params.request().expect("no problem").expect("agent and all");
        assert_eq!((request.repeats, request.scenario_ids), (1, None));
        assert!(request.filter.is_some());
    }

    #[test]
    fn invalid_selection_is_reported_before_start() {
        for (repeats, concurrency, path) in [
            ("99", "", "repeats"),
            ("0", "", "repeats"),
            ("abc", "", "repeats"),
            ("1.5", "", "repeats"),
            ("1", "0", "concurrency"),
            ("1", "65", "concurrency"),
            ("1", "abc", "concurrency"),
        ] {
            let (repeats, concurrency) = (repeats.to_owned(), concurrency.to_owned());
            let params = StartParams { repeats, concurrency, ..chosen() };
            let problems = params.request().expect_err("is refused");
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].path, path);
            // The problem is reported whatever is selected.
            let params = StartParams { agent: String::new(), ..params };
            assert_eq!(params.request(), Err(problems));
        }
        let params = StartParams { repeats: " 20 ".into(), concurrency: "64".into(), ..chosen() };
        let request = params.request().expect("no problem").expect("a request");
        assert_eq!((request.repeats, request.concurrency), (20, Some(64)));
    }

    #[test]
    fn filter_alone_selects_nothing() {
        let filter =
            ScenarioFilterParams { category: "booking".into(), ..ScenarioFilterParams::default() };
        let params = StartParams { filter, ..chosen() };
        let request = params.request().expect("no problem").expect("a request");
        assert_eq!((request.scenario_ids.map(|ids| ids.len()), request.filter), (Some(1), None));
    }
}
