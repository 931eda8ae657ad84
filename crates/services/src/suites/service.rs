//! Starts, re-runs, cancels and rejudges. Everything requested is recorded whole
//! before anything begins, and exactly once per idempotency key.

use super::Suites;
use super::preflight_warnings::{reject_start, stopping};
use super::rerun::{matches, own_models};
use super::start::{incompatible, new_key, reference};
use crate::errors::{StoreResultExt, app_error};
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{
    AppResult, Caller, IdempotentRequest, RerunScope, ResultService, StartResponse, SuiteService,
};
use domain::{
    Evaluation, Preflight, Run, RunId, RunStatus, ScenarioFilter, StartSuite, Suite, SuiteId,
    SuiteStatus,
};
use judge::PROMPT_VERSION;
use store::rows::{EvaluationRow, ModelRef, RunRow};
use store::suites::{CreateOutcome, NewEvaluation, NewSuite};

#[async_trait]
impl SuiteService for Suites {
    async fn preflight(&self, caller: &Caller, request: &StartSuite) -> AppResult<Preflight> {
        let start_plan = self.start_plan(caller, request).await?;
        let mut flight = self.flight(caller, request, &start_plan).await?;
        if !start_plan.missing.is_empty() {
            return Err(AppError::invalid(flight.problems));
        }
        let ids: Vec<_> = start_plan.scenarios.iter().map(|scenario| scenario.id).collect();
        let unfinished =
            self.suites.find_unfinished_suite(caller.space_id, start_plan.agent.id, &ids);
        flight.unfinished_suite = unfinished.await.or_app_error()?;
        let past = self.suites.mean_run_duration_ms(caller.space_id, &ids).await.or_app_error()?;
        let places =
            request.concurrency.unwrap_or(self.limits.runs_per_suite).clamp(1, flight.jobs.max(1));
        flight.expected_seconds = past.map(|ms| {
            let all = ms.saturating_mul(flight.jobs.into()) / u64::from(places) / 1000;
            u32::try_from(all).unwrap_or(u32::MAX).max(1)
        });
        Ok(flight)
    }

    async fn start(
        &self,
        caller: &Caller,
        request: &StartSuite,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        if let Some(known) = self.replayed(caller, keyed).await? {
            return Ok(known);
        }
        let start_plan = self.start_plan(caller, request).await?;
        let flight = self.flight(caller, request, &start_plan).await?;
        let mut problems = flight.problems;
        if !request.skip_incompatible {
            problems.extend(incompatible(request, &flight.incompatible));
        }
        reject_start(problems, &flight.connections)?;
        let mut runs = Vec::new();
        for scenario in &start_plan.scenarios {
            for repetition in 1..=request.repeats {
                runs.push(self.new_run(&start_plan.agent, scenario, repetition));
            }
        }
        let suite = NewSuite {
            id: SuiteId(self.clock.uuid()),
            space_id: caller.space_id,
            user_id: caller.user_id,
            agent: reference(&start_plan.agent),
            model_snapshot: start_plan.model_snapshot,
            concurrency: request.concurrency.unwrap_or(self.limits.runs_per_suite),
            repeats: request.repeats,
            note: request.note.clone(),
            parent_id: None,
            runs,
            allow_parallel: request.allow_parallel,
            queue_per_user: self.limits.queue_per_user,
            key: None,
            at: self.clock.now(),
        };
        self.create(suite, keyed).await
    }

    async fn rerun(
        &self,
        caller: &Caller,
        id: SuiteId,
        which: RerunScope,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        if let Some(known) = self.replayed(caller, keyed).await? {
            return Ok(known);
        }
        let found = self.suites.suite(caller.space_id, id).await.or_app_error()?;
        let (parent, rows) = found.ok_or_else(|| AppError::not_found("suite"))?;
        let chosen: Vec<&RunRow> = rows.iter().filter(|row| matches(row, which)).collect();
        if chosen.is_empty() {
            return Err(AppError::conflict(match which {
                RerunScope::Errors => "No run of this suite ended as an error.",
                RerunScope::Failed => "No run of this suite failed.",
                RerunScope::All => "This suite has no finished run.",
            }));
        }
        let agent = self.agents.agent(caller.space_id, parent.agent.id).await.or_app_error()?;
        let gone = || AppError::conflict("The agent of this suite was deleted.");
        let agent = agent.ok_or_else(gone)?;
        let ids: Vec<_> = chosen.iter().map(|row| row.scenario.id).collect();
        let scenarios =
            self.scenarios.scenarios_by_id(caller.space_id, &ids).await.or_app_error()?;
        // A re-run keeps the models that the suite selected itself; everything else
        // is taken from today's settings.
        let (judge, user) = chosen.first().map_or((None, None), |row| own_models(row));
        let model_snapshot =
            self.model_snapshot(caller, &agent, judge.as_ref(), user.as_ref()).await?;
        let mut problems = agent.problems();
        let warnings = self.warnings(caller, &model_snapshot).await;
        problems.extend(stopping(&warnings));
        reject_start(problems, &warnings)?;
        let runs = chosen.iter().map(|row| {
            let scenario = scenarios.iter().find(|scenario| scenario.id == row.scenario.id);
            self.again(row, scenario, &agent, parent.agent.revision)
        });
        let suite = NewSuite {
            id: SuiteId(self.clock.uuid()),
            space_id: caller.space_id,
            user_id: caller.user_id,
            agent: reference(&agent),
            model_snapshot,
            concurrency: parent.concurrency,
            repeats: parent.repeats,
            note: parent.note.clone(),
            parent_id: Some(parent.id),
            runs: runs.collect(),
            allow_parallel: false,
            queue_per_user: self.limits.queue_per_user,
            key: None,
            at: self.clock.now(),
        };
        self.create(suite, keyed).await
    }

    async fn evaluate(
        &self,
        caller: &Caller,
        id: RunId,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        if let Some(known) = self.replayed(caller, keyed).await? {
            return Ok(known);
        }
        let run = self.suites.run(caller.space_id, id).await.or_app_error()?;
        let run = run.ok_or_else(|| AppError::not_found("run"))?;
        if !run.status.is_final() {
            return Err(AppError::conflict(
                "This run is not finished; it is judged automatically.",
            ));
        }
        if run.end_reason.is_none() {
            return Err(AppError::conflict(
                "The conversation of this run was not finished, so there is nothing to judge. Run it again.",
            ));
        }
        // The judge of today's settings, else the judge of the run.
        let settings = self.settings.settings(caller.space_id).await.or_app_error()?;
        let judge = settings.judge.map_or(run.model_snapshot.judge.clone(), |choice| ModelRef {
            connection_id: choice.connection_id,
            model: choice.model,
        });
        self.check_judge(caller, &judge).await?;
        let fresh = self.clock.uuid().into();
        let view = Evaluation::pending(fresh, &judge.model, PROMPT_VERSION, self.clock.now());
        let body = serde_json::to_string(&view)
            .map_err(|error| app_error(store::StoreError::Internal(error.to_string())))?;
        let row = EvaluationRow::requested(&run, judge, view);
        let row = EvaluationRow { user_id: caller.user_id, ..row };
        let new = NewEvaluation { row, key: new_key(keyed, body.clone()) };
        let created = self.suites.create_evaluation(new).await.or_app_error()?;
        self.executor.wake();
        if let CreateOutcome::AlreadyRunning { .. } = created {
            return Err(AppError::conflict("This run is being rejudged already.")
                .with_link(format!("/runs/{id}")));
        }
        self.answer(created, Some(StartResponse { suite_id: run.suite_id, body, replayed: false }))
    }

    async fn cancel_suite(&self, caller: &Caller, id: SuiteId) -> AppResult<Suite> {
        let now = self.clock.now();
        let asked = self.suites.cancel_suite(caller.space_id, id, now).await.or_app_error()?;
        if let Some(outcome) = &asked {
            self.executor.cancel(&outcome.leased_runs);
            self.executor.wake();
        }
        let suite = self.suite(caller, id).await?.suite;
        if asked.is_none() && suite.status == SuiteStatus::Finished {
            return Err(AppError::conflict("This suite has finished already.")
                .with_link(format!("/suites/{id}")));
        }
        Ok(suite)
    }

    async fn cancel_run(&self, caller: &Caller, id: RunId) -> AppResult<Run> {
        let now = self.clock.now();
        let asked = self.suites.cancel_run(caller.space_id, id, now).await.or_app_error()?;
        if let Some(outcome) = &asked {
            self.executor.cancel(&outcome.leased_runs);
            self.executor.wake();
        }
        let run = self.run(caller, id).await?;
        if asked.is_none() && run.status != RunStatus::Cancelled {
            return Err(AppError::conflict("This run has finished already.")
                .with_link(format!("/runs/{id}")));
        }
        Ok(run)
    }

    fn new_idempotency_key(&self) -> String {
        self.clock.uuid().to_string()
    }

    async fn start_demo(
        &self,
        caller: &Caller,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        let agent = self.catalog.demo_agent(caller).await?;
        let request = StartSuite {
            agent_id: agent.id,
            scenario_ids: None,
            filter: Some(ScenarioFilter { built_in: Some(true), ..ScenarioFilter::default() }),
            repeats: 1,
            concurrency: None,
            note: "Demo: these results come from the demo model and tell you nothing about a real model."
                .to_owned(),
            allow_parallel: false,
            skip_incompatible: true,
            judge: None,
            simulated_user: None,
        };
        self.start(caller, &request, keyed).await
    }
}
