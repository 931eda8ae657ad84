//! The steps of a start. Everything requested is recorded before anything
//! begins, and exactly once per idempotency key.

use super::preflight_warnings::start_problems;
use super::variables::SuiteVariables;
use super::{Suites, preflight};
use crate::errors::{StoreResultExt, internal, reject_if_any};
use domain::error::{AppError, ErrorCode};
use domain::services::{
    AgentService, AppResult, Caller, IdempotentRequest, SettingsService, StartResponse,
};
use domain::{
    Agent, AgentRef, ErrorKind, ModelChoice, Preflight, Problem, RunError, Scenario,
    ScenarioFilter, ScenarioFinding, ScenarioId, ScenarioRef, SpaceId, StartSuite, Suite, SuiteId,
};
use store::rows::{ModelRef, ModelSnapshot, RequestedModels, RoleModel, RunRow};
use store::spending::SuiteBudget;
use store::suites::{CreateOutcome, IdempotencyRecord, NewRun, NewSuite};

/// The page size when the scenarios of a filter are read.
const PAGE: u32 = 200;

/// The resolved input of a start.
pub(super) struct ResolvedStart {
    pub(super) agent: Agent,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) model_snapshot: ModelSnapshot,
    pub(super) variables: SuiteVariables,
    /// A problem for each scenario that does not exist.
    pub(super) missing: Vec<Problem>,
}

impl Suites {
    pub(super) fn new_run(&self, agent: &Agent, scenario: &Scenario, repetition: u32) -> NewRun {
        let error = preflight::incompatible(agent, scenario)
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
            user_turns_planned: preflight::user_turns(scenario),
            source_run_id: None,
            error,
        }
    }

    /// A suite over these runs, without the options of a request.
    pub(super) fn new_suite(
        &self,
        caller: &Caller,
        agent: &Agent,
        model_snapshot: ModelSnapshot,
        variables: SuiteVariables,
        runs: Vec<NewRun>,
    ) -> NewSuite {
        let agent =
            AgentRef { id: agent.id, revision: agent.revision, name: agent.spec.name.clone() };
        NewSuite {
            id: self.clock.uuid().into(),
            space_id: caller.space_id,
            user_id: caller.user_id,
            agent,
            model_snapshot,
            profile: variables.profile,
            variables_at: Some(variables.at),
            concurrency: self.limits.runs_per_suite,
            repeats: 1,
            note: String::new(),
            parent_id: None,
            part_of: None,
            runs,
            allow_parallel: false,
            queue_per_user: self.limits.queue_per_user,
            key: None,
            budget: SuiteBudget::default(),
            at: self.clock.now(),
        }
    }

    /// The stored response for a key that was used before.
    pub(super) async fn find_replay(
        &self,
        caller: &Caller,
        keyed: &IdempotentRequest,
    ) -> AppResult<Option<StartResponse>> {
        let Some(key) = idempotency_key(keyed, String::new()) else { return Ok(None) };
        let known = self.store.find_replay(caller.user_id, &key, self.clock.now());
        known.await.or_app_error()?.map(|known| self.response(known, None)).transpose()
    }

    /// Stores the suite with its response, and wakes the engine.
    pub(super) async fn create(
        &self,
        mut suite: NewSuite,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        let runs = preflight::count(suite.runs.len());
        reject_if_any(self.exceeds_queue(runs).into_iter().collect())?;
        self.check_transcript_quota(suite.space_id).await?;
        let body = encode(&view(&suite))?;
        suite.key = idempotency_key(keyed, body.clone());
        let id = suite.id;
        let created = self.store.create_suite(suite).await.or_app_error()?;
        if created == CreateOutcome::New {
            tracing::info!(suite = %id, runs = runs, "suite started");
        }
        self.executor.wake();
        self.response(created, Some(StartResponse { suite_id: id, body, replayed: false }))
    }

    /// Refuses a start or a rejudge when the user's transcripts and rejudges take too much
    /// space. Suites that began are finished.
    pub(super) async fn check_transcript_quota(&self, space: SpaceId) -> AppResult<()> {
        let (used, max) = (
            self.store.stored_bytes(space).await.or_app_error()?,
            self.limits.transcript_bytes_per_user,
        );
        if used < max {
            return Ok(());
        }
        let mb = |bytes: u64| bytes / 1_000_000;
        Err(AppError::conflict(format!(
            "Your transcripts and rejudges take {} MB, and this server keeps at most {} MB per user, so \
             nothing was started. Ask its operator to raise REHEARSAL_TRANSCRIPT_MB_PER_USER, or \
             to set REHEARSAL_KEEP_DAYS, which deletes old suites.",
            mb(used),
            mb(max),
        )))
    }

    /// A start that exceeds the queue limit by itself can never succeed.
    fn exceeds_queue(&self, runs: u32) -> Option<Problem> {
        let max = self.limits.queue_per_user;
        let message = format!("would be {runs} runs; at most {max} may be unfinished at once");
        (runs > max).then(|| Problem::new("scenario_ids", message))
    }

    /// The response to a start.
    pub(super) fn response(
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
                let max = self.limits.queue_per_user;
                let detail = format!("{unfinished} of your runs are unfinished, at most {max} may be. Try again when some are done.");
                Err(AppError { retry_after: Some(30), ..AppError::new(ErrorCode::TooMany, detail) })
            }
        }
    }

    /// Loads the agent, the scenarios and the models of a request.
    pub(super) async fn resolved(
        &self,
        caller: &Caller,
        request: &StartSuite,
    ) -> AppResult<ResolvedStart> {
        let agent = self.catalog.agent(caller, request.agent_id).await?;
        let mut missing = Vec::new();
        let scenarios = match &request.scenario_ids {
            Some(ids) => {
                let found = self.catalog.store.scenarios_by_id(caller.space_id, ids);
                let mut found = found.await.or_app_error()?;
                let exists = |id| found.iter().any(|scenario| scenario.id == id);
                let problems = ids.iter().enumerate().filter(|(_, id)| !exists(**id));
                missing.extend(problems.map(|(i, _)| {
                    Problem::new(format!("scenario_ids[{i}]"), "is not a scenario of yours")
                }));
                let mut seen = std::collections::HashSet::new();
                found.retain(|scenario| seen.insert(scenario.id));
                found
            }
            None => self.scenarios_of(caller, &request.filter.clone().unwrap_or_default()).await?,
        };
        let model_snapshot = self
            .model_snapshot(caller, &agent, request.judge.as_ref(), request.simulated_user.as_ref())
            .await?;
        let variables = self.variables(caller, request.profile).await?;
        Ok(ResolvedStart { agent, scenarios, model_snapshot, variables, missing })
    }

    /// The models of the request, else of the settings, else of the agent.
    pub(super) async fn model_snapshot(
        &self,
        caller: &Caller,
        agent: &Agent,
        judge: Option<&ModelChoice>,
        user: Option<&ModelChoice>,
    ) -> AppResult<ModelSnapshot> {
        let settings = self.catalog.settings(caller).await?;
        let own =
            ModelRef { connection_id: agent.spec.connection_id, model: agent.spec.model.clone() };
        let own_role = || RoleModel::from(own.clone());
        let (judge_choice, user_choice) =
            (judge.or(settings.judge.as_ref()), user.or(settings.simulated_user.as_ref()));
        // A deployed agent has no model that could judge or simulate a user.
        let is_deployed = agent.spec.http.is_some();
        let select = |choice: Option<&ModelChoice>, other: Option<&ModelChoice>| {
            let choice = choice.or(other.filter(|_| is_deployed));
            choice.cloned().map_or_else(own_role, RoleModel::from)
        };
        let mut models = ModelSnapshot {
            judge: select(judge_choice, user_choice),
            simulated_user: select(user_choice, judge_choice),
            requested: RequestedModels { judge: judge.is_some(), simulated_user: user.is_some() },
            agent_price: self.catalog.price(caller, &own).await?,
            agent: own,
        };
        for role in [&mut models.judge, &mut models.simulated_user] {
            role.price = self.catalog.price(caller, role).await?;
        }
        Ok(models)
    }

    /// All active scenarios that match a filter.
    async fn scenarios_of(
        &self,
        caller: &Caller,
        filter: &ScenarioFilter,
    ) -> AppResult<Vec<Scenario>> {
        let mut all: Vec<Scenario> = Vec::new();
        let mut after = None;
        loop {
            let page = self.catalog.store.scenarios(caller.space_id, filter, after.take(), PAGE);
            let page = page.await.or_app_error()?;
            let is_full = page.len() == PAGE as usize;
            after = page.last().map(crate::scenarios::cursor_of);
            all.extend(page.into_iter().filter(|scenario| scenario.spec.is_active));
            if !is_full {
                return Ok(all);
            }
        }
    }

    /// The preflight, with the problems of connections.
    pub(super) async fn check_start(
        &self,
        caller: &Caller,
        request: &StartSuite,
        resolved: &ResolvedStart,
    ) -> AppResult<Preflight> {
        let ResolvedStart { agent, scenarios, model_snapshot, variables, missing } = resolved;
        let mut preflight =
            preflight::check(agent, scenarios, request.repeats, request.skip_incompatible);
        if !missing.is_empty() {
            // An empty selection is not reported again.
            preflight.problems.retain(|problem| problem.path != "scenario_ids");
            preflight.problems.splice(0..0, missing.iter().cloned());
        }
        preflight.problems.extend(variables.problems(agent, scenarios));
        preflight.connections = self.warnings(caller, model_snapshot).await;
        preflight.problems.extend(start_problems(&preflight.connections));
        preflight.problems.extend(self.exceeds_queue(preflight.runs));
        let budget = request.budget_usd;
        preflight.problems.extend(self.budget_problems(caller, budget, model_snapshot).await?);
        Ok(preflight)
    }
}

/// A problem for each incompatible scenario, with the path where the request
/// names it. A filter names none; there, scenarios of the same name are
/// distinguished by their ids.
pub(super) fn incompatible(request: &StartSuite, pairs: &[ScenarioFinding]) -> Vec<Problem> {
    let position = |pair: &ScenarioFinding| {
        request.scenario_ids.iter().flatten().position(|id| *id == pair.scenario_id)
    };
    let problem = |pair: &ScenarioFinding| {
        let same = pairs.iter().filter(|other| other.scenario == pair.scenario).count();
        let (path, id) = match position(pair) {
            Some(i) => (format!("scenario_ids[{i}]"), String::new()),
            None if same > 1 => ("scenario_ids".to_owned(), format!(" ({})", pair.scenario_id)),
            None => ("scenario_ids".to_owned(), String::new()),
        };
        Problem::new(path, format!("“{}”{id} cannot be run: {}", pair.scenario, pair.reason))
    };
    pairs.iter().map(problem).collect()
}

/// The scenarios that a start would run a conversation of.
pub(super) fn runnable(resolved: &ResolvedStart) -> Vec<ScenarioId> {
    let fits = |scenario: &&Scenario| preflight::incompatible(&resolved.agent, scenario).is_none();
    resolved.scenarios.iter().filter(fits).map(|scenario| scenario.id).collect()
}

/// Fails if the request would start another number of runs than its sender expects: what
/// was shown before the start is what is started.
pub(super) fn expect_runs(request: &StartSuite, runs: u32) -> AppResult<()> {
    match request.expected_runs {
        Some(expected) if expected != runs => Err(AppError::conflict(format!(
            "This would run {runs} conversations instead of {expected}: the selection or a scenario changed. Nothing was started. Check the number and start again."
        ))),
        _ => Ok(()),
    }
}

/// The idempotency key of a request as it is stored with the response.
pub(super) fn idempotency_key(
    keyed: &IdempotentRequest,
    response: String,
) -> Option<IdempotencyRecord> {
    let IdempotentRequest { key, path, request } = keyed;
    let (path, request) = (path.clone(), request.to_string());
    Some(IdempotencyRecord { key: key.clone()?, path, request, response })
}

/// Encodes a response body.
pub(super) fn encode(body: &impl serde::Serialize) -> AppResult<String> {
    serde_json::to_string(body).map_err(|error| internal(&error, "encode a response"))
}

/// The suite right after its creation.
fn view(new: &NewSuite) -> Suite {
    let rows = new.rows();
    let runs = rows.runs.iter().map(RunRow::view).collect();
    rows.suite.view(rows.counts, None, Some(runs))
}
