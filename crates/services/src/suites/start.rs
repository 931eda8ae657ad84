//! Starting: what is asked for is recorded whole before anything begins, and
//! exactly once a key.

use super::preflight_warnings::stopping;
use super::{Suites, none_of, plan};
use crate::errors::StoreResultExt;
use domain::error::{AppError, ErrorCode};
use domain::services::{AppResult, Caller, Keyed, Started};
use domain::{
    Agent, Counts, ErrorKind, Incompatibility, ModelChoice, Preflight, Problem, Run, RunError,
    Scenario, ScenarioFilter, ScenarioRef, StartSuite, Suite, SuiteId, SuiteProgress, SuiteStatus,
    pass_rate,
};
use store::rows::{Frozen, ModelRef, OwnModels};
use store::suites::{Created, NewKey, NewRun, NewSuite};

/// Scenarios that a filter may start at once are read in pages of this size.
const PAGE: u32 = 200;

/// What a start is made of.
pub(super) struct Planned {
    pub(super) agent: Agent,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) frozen: Frozen,
    /// A problem for each scenario that is not there.
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

    /// The answer of a key that was used before.
    pub(super) async fn replayed(
        &self,
        caller: &Caller,
        keyed: &Keyed,
    ) -> AppResult<Option<Started>> {
        let Some(key) = new_key(keyed, String::new()) else { return Ok(None) };
        let known = self.suites.answered(caller.user_id, &key, self.clock.now());
        match known.await.or_app_error()? {
            None => Ok(None),
            Some(known) => self.answer(known, None).map(Some),
        }
    }

    /// Records the suite with its answer, and tells the engine.
    pub(super) async fn create(&self, mut suite: NewSuite, keyed: &Keyed) -> AppResult<Started> {
        let jobs = plan::count(suite.runs.len());
        none_of(self.too_many(jobs).into_iter().collect())?;
        let view = view(&suite);
        let body = serde_json::to_string(&view).map_err(|error| {
            crate::errors::app_error(store::StoreError::Damaged(error.to_string()))
        })?;
        suite.key = new_key(keyed, body.clone());
        let id = suite.id;
        let created = self.suites.create_suite(suite).await.or_app_error()?;
        if created == Created::New {
            tracing::info!(suite = %id, runs = jobs, "suite started");
        }
        self.executor.wake();
        self.answer(created, Some(Started { suite_id: id, body, replayed: false }))
    }

    /// A start that alone is more than may wait can never be made.
    fn too_many(&self, jobs: u32) -> Option<Problem> {
        let most = self.limits.queue_per_user;
        let message = format!("would be {jobs} runs; at most {most} may wait at once");
        (jobs > most).then(|| Problem::new("scenario_ids", message))
    }

    /// What a person is told of a start.
    pub(super) fn answer(&self, created: Created, fresh: Option<Started>) -> AppResult<Started> {
        let link = |suite: SuiteId| format!("/suites/{suite}");
        match created {
            Created::New => fresh.ok_or_else(|| AppError::new(ErrorCode::Internal, "Nothing was started.")),
            Created::Replayed { suite_id, response } => {
                Ok(Started { suite_id, body: response, replayed: true })
            }
            Created::KeyReused { suite_id } => Err(AppError {
                link: Some(link(suite_id)),
                ..AppError::problem("idempotency_key", "was used for another request already")
            }),
            Created::AlreadyRunning { suite_id } => Err(AppError::conflict(
                "This agent has an unfinished suite over one of these scenarios. Wait for it, cancel it, or allow running in parallel.",
            )
            .with_link(link(suite_id))),
            Created::Gone => Err(AppError::not_found("run")),
            Created::QueueFull { unfinished } => {
                let most = self.limits.queue_per_user;
                let detail = format!("{unfinished} of your runs are unfinished, at most {most} may be. Try again when some are done.");
                Err(AppError { retry_after: Some(30), ..AppError::new(ErrorCode::TooMany, detail) })
            }
        }
    }

    /// Reads agent, scenarios and settings of a request.
    pub(super) async fn planned(
        &self,
        caller: &Caller,
        request: &StartSuite,
    ) -> AppResult<Planned> {
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
        let frozen = self
            .frozen(caller, &agent, request.judge.as_ref(), request.simulated_user.as_ref())
            .await?;
        Ok(Planned { agent, scenarios, frozen, missing })
    }

    /// The models as they are now: of the request, else of the settings, else
    /// the agent's own.
    pub(super) async fn frozen(
        &self,
        caller: &Caller,
        agent: &Agent,
        judge: Option<&ModelChoice>,
        user: Option<&ModelChoice>,
    ) -> AppResult<Frozen> {
        let settings = self.settings.settings(caller.space_id).await.or_app_error()?;
        let own =
            ModelRef { connection_id: agent.spec.connection_id, model: agent.spec.model.clone() };
        let pick = |asked: Option<&ModelChoice>, set: Option<&ModelChoice>| match asked.or(set) {
            Some(choice) => {
                ModelRef { connection_id: choice.connection_id, model: choice.model.clone() }
            }
            None => own.clone(),
        };
        Ok(Frozen {
            judge: pick(judge, settings.judge.as_ref()),
            simulated_user: pick(user, settings.simulated_user.as_ref()),
            own: OwnModels { judge: judge.is_some(), simulated_user: user.is_some() },
            agent: own.clone(),
        })
    }

    /// All active scenarios of a filter.
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

    /// The plan, with what the connections say.
    pub(super) async fn flight(
        &self,
        caller: &Caller,
        request: &StartSuite,
        planned: &Planned,
    ) -> AppResult<Preflight> {
        let Planned { agent, scenarios, frozen, missing } = planned;
        let mut flight =
            plan::preflight(agent, scenarios, request.repeats, request.skip_incompatible);
        if !missing.is_empty() {
            // That none is left is no problem of its own.
            flight.problems.retain(|problem| problem.path != "scenario_ids");
            flight.problems.splice(0..0, missing.iter().cloned());
        }
        flight.connections = self.troubles(caller, frozen).await;
        flight.problems.extend(stopping(&flight.connections));
        flight.problems.extend(self.too_many(flight.jobs));
        Ok(flight)
    }
}

/// A problem for each pair that cannot work, at the place where the request
/// names its scenario. A filter names none: there two of one name are told
/// apart by their ids.
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

pub(super) fn new_key(keyed: &Keyed, response: String) -> Option<NewKey> {
    let key = keyed.key.clone()?;
    Some(NewKey { path: keyed.path.clone(), key, request: keyed.request.to_string(), response })
}

/// The suite as it looks the moment it is made.
fn view(new: &NewSuite) -> Suite {
    let runs: Vec<Run> =
        new.runs.iter().enumerate().map(|(i, run)| new_view(new, run, i)).collect();
    let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
    let nothing = counts.done() == counts.total();
    Suite {
        id: new.id,
        agent: new.agent.clone(),
        status: if nothing { SuiteStatus::Finished } else { SuiteStatus::Pending },
        total: counts.total(),
        counts,
        pass_rate: pass_rate(&counts),
        progress: SuiteProgress { done: counts.done(), total: counts.total(), eta_seconds: None },
        concurrency: new.concurrency,
        repeats: new.repeats,
        parent_id: new.parent_id,
        note: new.note.clone(),
        created_at: new.at,
        started_at: None,
        finished_at: nothing.then_some(new.at),
        cancel_requested_at: None,
        runs: Some(runs),
    }
}

fn new_view(new: &NewSuite, run: &NewRun, position: usize) -> Run {
    store::rows::RunRow::fresh(new, run, plan::count(position)).view()
}
