//! Starts, re-runs, cancels and rejudges. Everything requested is recorded whole
//! before anything begins, and exactly once per idempotency key.

use super::preflight_warnings::{reject_start, start_problems};
use super::rerun::{check_rerun, matches, newest, part_of, requested_models};
use super::start::{ResolvedStart, encode, expect_runs, idempotency_key, incompatible, runnable};
use super::{Suites, preflight};
use crate::costs::estimate::{CostEstimate, estimate};
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{
    AppResult, Caller, IdempotentRequest, RerunRequest, RerunScope, ResultService, SettingsService,
    StartResponse, SuiteService,
};
use domain::{
    BudgetAction, Evaluation, NanoUsd, NewestRevisions, Preflight, Run, RunId, RunStatus,
    ScenarioFilter, StartSuite, Suite, SuiteId, SuiteStatus,
};
use judge::PROMPT_VERSION;
use std::collections::HashSet;
use store::rows::{EvaluationRow, RoleModel, RunRow};
use store::spending::SuiteBudget;
use store::suites::{CancelOutcome, CreateOutcome, NewRejudge, NewSuite};

#[async_trait]
impl SuiteService for Suites {
    async fn preflight(&self, caller: &Caller, request: &StartSuite) -> AppResult<Preflight> {
        let resolved = self.resolved(caller, request).await?;
        let mut preflight = self.check_start(caller, request, &resolved).await?;
        if !resolved.missing.is_empty() {
            return Err(AppError::invalid(preflight.problems));
        }
        let ids: Vec<_> = resolved.scenarios.iter().map(|scenario| scenario.id).collect();
        let unfinished = self.store.find_unfinished_suite(caller.space_id, resolved.agent.id, &ids);
        preflight.unfinished_suite = unfinished.await.or_app_error()?;
        let past = self.store.mean_run_duration_ms(caller.space_id, &ids).await.or_app_error()?;
        let concurrency = request.concurrency.unwrap_or(self.limits.runs_per_suite);
        let concurrency = concurrency.clamp(1, preflight.runs.max(1));
        preflight.expected_seconds = past.map(|ms| {
            let total = ms.saturating_mul(preflight.runs.into()) / u64::from(concurrency) / 1000;
            u32::try_from(total).unwrap_or(u32::MAX).max(1)
        });
        let past =
            self.store.past_usage(caller.space_id, resolved.agent.id).await.or_app_error()?;
        let CostEstimate { cost, runs, scenarios_without_cost } =
            estimate(&past, &runnable(&resolved), request.repeats);
        preflight.expected_cost_usd = cost.map(NanoUsd::as_usd);
        (preflight.cost_runs, preflight.scenarios_without_cost) = (runs, scenarios_without_cost);
        Ok(preflight)
    }

    async fn start(
        &self,
        caller: &Caller,
        request: &StartSuite,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        if let Some(known) = self.find_replay(caller, keyed).await? {
            return Ok(known);
        }
        let resolved = self.resolved(caller, request).await?;
        let preflight = self.check_start(caller, request, &resolved).await?;
        let mut problems = preflight.problems;
        if !request.skip_incompatible {
            problems.extend(incompatible(request, &preflight.incompatible));
        }
        reject_start(problems, &preflight.connections)?;
        let mut runs = Vec::new();
        for scenario in &resolved.scenarios {
            for repetition in 1..=request.repeats {
                runs.push(self.new_run(&resolved.agent, scenario, repetition));
            }
        }
        expect_runs(request, preflight::count(runs.len()))?;
        let ResolvedStart { agent, model_snapshot, variables, .. } = resolved;
        let suite = self.new_suite(caller, &agent, model_snapshot, variables, runs);
        let suite = NewSuite {
            concurrency: request.concurrency.unwrap_or(suite.concurrency),
            repeats: request.repeats,
            note: request.note.clone(),
            allow_parallel: request.allow_parallel,
            budget: SuiteBudget { limit: request.budget_usd, action: request.budget_action },
            ..suite
        };
        self.create(suite, keyed).await
    }

    async fn rerun(
        &self,
        caller: &Caller,
        id: SuiteId,
        request: RerunRequest,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        if let Some(known) = self.find_replay(caller, keyed).await? {
            return Ok(known);
        }
        let which = request.which;
        let (parent, rows) = self.rows(caller, id).await?;
        let selected: Vec<&RunRow> = rows.iter().filter(|row| matches(row, which)).collect();
        if selected.is_empty() {
            return Err(AppError::conflict(match which {
                RerunScope::Errors => "No run of this suite ended as an error.",
                RerunScope::Failed => "No run of this suite failed.",
                RerunScope::All => "This suite has no finished run.",
            }));
        }
        let catalog = &self.catalog.store;
        let agent = catalog.agent(caller.space_id, parent.agent.id).await.or_app_error()?;
        let deleted = || {
            AppError::conflict("The agent of this suite was deleted, so nothing can be run again.")
        };
        let agent = agent.ok_or_else(deleted)?;
        let ids: Vec<_> = selected.iter().map(|row| row.scenario.id).collect();
        let scenarios = catalog.scenarios_by_id(caller.space_id, &ids).await.or_app_error()?;
        check_rerun(which, &selected, &agent, &scenarios)?;
        // A re-run keeps the models that the suite selected itself; everything else
        // is taken from today's settings.
        let (judge, user) = selected.first().map_or((None, None), |row| requested_models(row));
        let model_snapshot =
            self.model_snapshot(caller, &agent, judge.as_ref(), user.as_ref()).await?;
        let variables = self.variables_of_rerun(caller, &parent).await?;
        let mut problems = agent.problems();
        problems.extend(variables.problems(&agent, &scenarios));
        let warnings = self.warnings(caller, &model_snapshot).await;
        problems.extend(start_problems(&warnings));
        let limit = request.budget_usd.or(parent.budget.limit);
        problems.extend(self.budget_problems(caller, limit, &model_snapshot).await?);
        reject_start(problems, &warnings)?;
        let runs = selected.iter().map(|row| {
            let scenario = scenarios.iter().find(|scenario| scenario.id == row.scenario.id);
            self.rerun_of(row, scenario, &agent, parent.agent.revision)
        });
        let suite = NewSuite {
            concurrency: parent.concurrency,
            repeats: parent.repeats,
            note: parent.note.clone(),
            parent_id: Some(parent.id),
            part_of: part_of(&parent, selected.len()),
            budget: SuiteBudget { limit, action: parent.budget.action },
            ..self.new_suite(caller, &agent, model_snapshot, variables, runs.collect())
        };
        self.create(suite, keyed).await
    }

    async fn newest_revisions(&self, caller: &Caller, suite: &Suite) -> AppResult<NewestRevisions> {
        let catalog = &self.catalog.store;
        let agent = catalog.agent(caller.space_id, suite.agent.id).await.or_app_error()?;
        let runs = suite.runs.iter().flatten();
        let ids: HashSet<_> = runs.map(|run| run.scenario.id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let scenarios = catalog.scenarios_by_id(caller.space_id, &ids).await.or_app_error()?;
        Ok(newest(agent.as_ref(), &scenarios))
    }

    async fn rejudge(
        &self,
        caller: &Caller,
        id: RunId,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        if let Some(known) = self.find_replay(caller, keyed).await? {
            return Ok(known);
        }
        let run = self.run_row(caller, id).await?;
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
        let settings = self.catalog.settings(caller).await?;
        let mut judge = settings.judge.map_or(run.model_snapshot.judge.clone(), RoleModel::from);
        judge.price = self.catalog.price(caller, &judge).await?;
        self.check_judge(caller, &judge).await?;
        self.check_daily_budget(caller, &judge).await?;
        self.check_transcript_quota(caller.space_id).await?;
        let new_id = self.clock.uuid().into();
        let evaluation =
            Evaluation::pending(new_id, &judge.model, PROMPT_VERSION, self.clock.now());
        let body = encode(&evaluation)?;
        let row = EvaluationRow::requested(&run, judge, evaluation);
        let row = EvaluationRow { user_id: caller.user_id, ..row };
        let new = NewRejudge { row, key: idempotency_key(keyed, body.clone()) };
        let created = self.store.create_rejudge(new).await.or_app_error()?;
        self.executor.wake();
        if let CreateOutcome::AlreadyRunning { .. } = created {
            return Err(AppError::conflict("This run is being rejudged already.")
                .with_link(format!("/runs/{id}")));
        }
        self.response(
            created,
            Some(StartResponse { suite_id: run.suite_id, body, replayed: false }),
        )
    }

    async fn cancel_suite(&self, caller: &Caller, id: SuiteId) -> AppResult<Suite> {
        let cancelled = self.store.cancel_suite(caller.space_id, id, self.clock.now());
        let cancelled = cancelled.await.or_app_error()?;
        self.stop_leased_runs(cancelled.as_ref());
        let suite = self.suite(caller, id).await?.suite;
        if cancelled.is_none() && suite.status == SuiteStatus::Finished {
            return Err(AppError::conflict("This suite has finished already.")
                .with_link(format!("/suites/{id}")));
        }
        Ok(suite)
    }

    async fn cancel_run(&self, caller: &Caller, id: RunId) -> AppResult<Run> {
        let cancelled = self.store.cancel_run(caller.space_id, id, self.clock.now());
        let cancelled = cancelled.await.or_app_error()?;
        self.stop_leased_runs(cancelled.as_ref());
        let run = self.run(caller, id).await?;
        if cancelled.is_none() && run.status != RunStatus::Cancelled {
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
            expected_runs: None,
            profile: None,
            judge: None,
            simulated_user: None,
            budget_usd: None,
            budget_action: BudgetAction::default(),
        };
        self.start(caller, &request, keyed).await
    }
}

impl Suites {
    fn stop_leased_runs(&self, cancelled: Option<&CancelOutcome>) {
        if let Some(outcome) = cancelled {
            self.executor.cancel(&outcome.leased_runs);
            self.executor.wake();
        }
    }
}
