//! The steps of a start. Everything requested is recorded before anything
//! begins, and exactly once per idempotency key.

use super::preflight_warnings::stopping;
use super::{Suites, plan, reject_if_any};
use crate::errors::StoreResultExt;
use domain::error::{AppError, ErrorCode};
use domain::services::{AppResult, Caller, IdempotentRequest, StartResponse};
use domain::{
    Agent, ErrorKind, Incompatibility, ModelChoice, Preflight, Problem, RunError, Scenario,
    ScenarioFilter, ScenarioRef, StartSuite, Suite, SuiteId,
};
use store::rows::{ModelRef, ModelSnapshot, OwnModels, RunRow};
use store::suites::{CreateOutcome, IdempotencyKey, NewRun, NewSuite};

/// The page size when the scenarios of a filter are read.
const PAGE: u32 = 200;

/// The resolved input of a start.
pub(super) struct StartPlan {
    pub(super) agent: Agent,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) model_snapshot: ModelSnapshot,
    /// A problem for each scenario that does not exist.
    pub(super) missing: Vec<Problem>,
}

impl Suites {
    pub(super) fn new_run(&self, agent: &Agent, scenario: &Scenario, repetition: u32) -> NewRun {
        let error = plan::incompatible(agent, scenario)
            .map(|reason| RunError::new(ErrorKind::Incompatible, format!("Not run: {reason}.")));
        NewRun {
            id: self.clock.uuid().into(),
            scenario: ScenarioRef {
                id: scenario.id,
                revision: scenario.revision,
                name: scenario.spec.name.clone(),
            },
            repetition,
            timeout_ms: u64::from(scenario.spec.timeout_seconds) * 1000,
            user_turns_planned: plan::user_turns(scenario),
            source_run_id: None,
            error,
        }
    }

    /// The stored response for a key that was used before.
    pub(super) async fn replayed(
        &self,
        caller: &Caller,
        keyed: &IdempotentRequest,
    ) -> AppResult<Option<StartResponse>> {
        let Some(key) = new_key(keyed, String::new()) else { return Ok(None) };
        let known = self.suites.find_replay(caller.user_id, &key, self.clock.now());
        match known.await.or_app_error()? {
            None => Ok(None),
            Some(known) => self.answer(known, None).map(Some),
        }
    }

    /// Stores the suite with its response, and wakes the engine.
    pub(super) async fn create(
        &self,
        mut suite: NewSuite,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        let jobs = plan::count(suite.runs.len());
        reject_if_any(self.exceeds_queue(jobs).into_iter().collect())?;
        let view = view(&suite);
        let body = serde_json::to_string(&view).map_err(|error| {
            crate::errors::app_error(store::StoreError::Internal(error.to_string()))
        })?;
        suite.key = new_key(keyed, body.clone());
        let id = suite.id;
        let created = self.suites.create_suite(suite).await.or_app_error()?;
        if created == CreateOutcome::New {
            tracing::info!(suite = %id, runs = jobs, "suite started");
        }
        self.executor.wake();
        self.answer(created, Some(StartResponse { suite_id: id, body, replayed: false }))
    }

    /// A start that exceeds the queue limit by itself can never succeed.
    fn exceeds_queue(&self, jobs: u32) -> Option<Problem> {
        let most = self.limits.queue_per_user;
        let message = format!("would be {jobs} runs; at most {most} may wait at once");
        (jobs > most).then(|| Problem::new("scenario_ids", message))
    }

    /// The response to a start.
    pub(super) fn answer(
        &self,
        created: CreateOutcome,
        fresh: Option<StartResponse>,
    ) -> AppResult<StartResponse> {
        let link = |suite: SuiteId| format!("/suites/{suite}");
        match created {
            CreateOutcome::New => fresh.ok_or_else(|| AppError::new(ErrorCode::Internal, "Nothing was started.")),
            CreateOutcome::Replayed { suite_id, response } => {
                Ok(StartResponse { suite_id, body: response, replayed: true })
            }
            CreateOutcome::KeyReused { suite_id } => Err(AppError {
                link: Some(link(suite_id)),
                ..AppError::problem("idempotency_key", "was used for another request already")
            }),
            CreateOutcome::AlreadyRunning { suite_id } => Err(AppError::conflict(
                "This agent has an unfinished suite over one of these scenarios. Wait for it, cancel it, or allow running in parallel.",
            )
            .with_link(link(suite_id))),
            CreateOutcome::Gone => Err(AppError::not_found("run")),
            CreateOutcome::QueueFull { unfinished } => {
                let most = self.limits.queue_per_user;
                let detail = format!("{unfinished} of your runs are unfinished, at most {most} may be. Try again when some are done.");
                Err(AppError { retry_after: Some(30), ..AppError::new(ErrorCode::TooMany, detail) })
            }
        }
    }

    /// Loads the agent, the scenarios and the models of a request.
    pub(super) async fn start_plan(
        &self,
        caller: &Caller,
        request: &StartSuite,
    ) -> AppResult<StartPlan> {
        let agent = self.agents.agent(caller.space_id, request.agent_id).await.or_app_error()?;
        let agent = agent.ok_or_else(|| AppError::not_found("agent"))?;
        let mut missing = Vec::new();
        let scenarios = match &request.scenario_ids {
            Some(ids) => {
                let found =
                    self.scenarios.scenarios_by_id(caller.space_id, ids).await.or_app_error()?;
                let there = |id| found.iter().any(|scenario| scenario.id == id);
                let problems = ids.iter().enumerate().filter(|(_, id)| !there(**id));
                missing.extend(problems.map(|(i, _)| {
                    Problem::new(format!("scenario_ids[{i}]"), "is not a scenario of yours")
                }));
                let mut seen = std::collections::HashSet::new();
                found.into_iter().filter(|scenario| seen.insert(scenario.id)).collect()
            }
            None => self.of_filter(caller, &request.filter.clone().unwrap_or_default()).await?,
        };
        let model_snapshot = self
            .model_snapshot(caller, &agent, request.judge.as_ref(), request.simulated_user.as_ref())
            .await?;
        Ok(StartPlan { agent, scenarios, model_snapshot, missing })
    }

    /// The models of the request, else of the settings, else of the agent.
    pub(super) async fn model_snapshot(
        &self,
        caller: &Caller,
        agent: &Agent,
        judge: Option<&ModelChoice>,
        user: Option<&ModelChoice>,
    ) -> AppResult<ModelSnapshot> {
        let settings = self.settings.settings(caller.space_id).await.or_app_error()?;
        let own =
            ModelRef { connection_id: agent.spec.connection_id, model: agent.spec.model.clone() };
        let pick = |asked: Option<&ModelChoice>, set: Option<&ModelChoice>| match asked.or(set) {
            Some(choice) => {
                ModelRef { connection_id: choice.connection_id, model: choice.model.clone() }
            }
            None => own.clone(),
        };
        Ok(ModelSnapshot {
            judge: pick(judge, settings.judge.as_ref()),
            simulated_user: pick(user, settings.simulated_user.as_ref()),
            own: OwnModels { judge: judge.is_some(), simulated_user: user.is_some() },
            agent: own.clone(),
        })
    }

    /// All active scenarios that match a filter.
    async fn of_filter(
        &self,
        caller: &Caller,
        filter: &ScenarioFilter,
    ) -> AppResult<Vec<Scenario>> {
        let mut all: Vec<Scenario> = Vec::new();
        let mut after = None;
        loop {
            let page = self.scenarios.scenarios(caller.space_id, filter, after.take(), PAGE);
            let page = page.await.or_app_error()?;
            let full = page.len() == PAGE as usize;
            after = page.last().map(crate::scenarios::place);
            all.extend(page.into_iter().filter(|scenario| scenario.spec.is_active));
            if !full {
                return Ok(all);
            }
        }
    }

    /// The plan, with the problems of connections.
    pub(super) async fn flight(
        &self,
        caller: &Caller,
        request: &StartSuite,
        start_plan: &StartPlan,
    ) -> AppResult<Preflight> {
        let StartPlan { agent, scenarios, model_snapshot, missing } = start_plan;
        let mut flight =
            plan::preflight(agent, scenarios, request.repeats, request.skip_incompatible);
        if !missing.is_empty() {
            // An empty selection is not reported again.
            flight.problems.retain(|problem| problem.path != "scenario_ids");
            flight.problems.splice(0..0, missing.iter().cloned());
        }
        flight.connections = self.warnings(caller, model_snapshot).await;
        flight.problems.extend(stopping(&flight.connections));
        flight.problems.extend(self.exceeds_queue(flight.jobs));
        Ok(flight)
    }
}

/// A problem for each incompatible scenario, with the path where the request
/// names it. A filter names none; there, scenarios of the same name are
/// distinguished by their ids.
pub(super) fn incompatible(request: &StartSuite, pairs: &[Incompatibility]) -> Vec<Problem> {
    let place = |pair: &Incompatibility| {
        request.scenario_ids.iter().flatten().position(|id| *id == pair.scenario_id)
    };
    let problem = |pair: &Incompatibility| {
        let same = pairs.iter().filter(|other| other.scenario == pair.scenario).count();
        let (path, id) = match place(pair) {
            Some(i) => (format!("scenario_ids[{i}]"), String::new()),
            None if same > 1 => ("scenario_ids".to_owned(), format!(" ({})", pair.scenario_id)),
            None => ("scenario_ids".to_owned(), String::new()),
        };
        Problem::new(path, format!("“{}”{id} cannot be run: {}", pair.scenario, pair.reason))
    };
    pairs.iter().map(problem).collect()
}

pub(super) fn reference(agent: &Agent) -> domain::AgentRef {
    domain::AgentRef { id: agent.id, revision: agent.revision, name: agent.spec.name.clone() }
}

pub(super) fn new_key(keyed: &IdempotentRequest, response: String) -> Option<IdempotencyKey> {
    let key = keyed.key.clone()?;
    Some(IdempotencyKey {
        path: keyed.path.clone(),
        key,
        request: keyed.request.to_string(),
        response,
    })
}

/// The suite right after its creation.
fn view(new: &NewSuite) -> Suite {
    let rows = new.rows();
    let runs = rows.runs.iter().map(RunRow::view).collect();
    rows.suite.view(rows.counts, None, Some(runs))
}
