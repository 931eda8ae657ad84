//! Executes a claimed run: its start, panics, and how its end is stored or left to
//! another worker.

use super::Shared;
use super::budgets::Budgets;
use super::registry::{StopReason, StopSignal};
use super::run_steps::{ActiveRun, RunInterrupted, commit, interruption_of};
use super::store_retry::StoreRetry;
use domain::{AgentSpec, Draft, ErrorKind, Problems, RunError, ScenarioSpec};
use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use store::rows::RunRow;
use store::transition::{Lease, RunChange, RunOutcome};
use tracing::Instrument;

/// Executes a claimed run until it is final or has to stop. A panic ends only this
/// run, as `internal`.
pub(super) async fn run(shared: Arc<Shared>, row: RunRow) {
    // At the highest level, so that every log line of the run has its id.
    let span = tracing::error_span!("run", run = %row.id, suite = %row.suite_id, lease_epoch = row.lease_epoch);
    let lease = row.lease();
    let deadline = row.deadline_at;
    async move {
        let (stop_signal, registration) = shared.register(row.id.0);
        let result = catch_panic(execute(&shared, &stop_signal, row)).await;
        let result = result.unwrap_or_else(|| {
            let message = "An internal error occurred during this run. Re-run it.";
            Err(RunInterrupted::Error(RunError::new(ErrorKind::Internal, message)))
        });
        if let Err(interrupted) = result {
            let store_retry = StoreRetry { shared: &shared, stop_signal: &stop_signal, deadline };
            end(&store_retry, &lease, interrupted).await;
        }
        drop(registration);
        shared.wake.notify_one();
    }
    .instrument(span)
    .await;
}

/// Executes a task; `None` if it panicked. The message of a panic may contain
/// conversation text, so it is logged at debug level only; the panic hook of the process
/// logs the location.
pub(super) fn catch_panic<T>(task: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
    AssertUnwindSafe(task).catch_unwind().map(|result| result.map_err(log_panic).ok())
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn log_panic(panic: Box<dyn Any + Send>) {
    tracing::error!("panicked; this ends as an internal error");
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::debug!(panic = message.unwrap_or("none"), "panic message");
}

async fn execute(
    shared: &Arc<Shared>,
    stop_signal: &StopSignal,
    row: RunRow,
) -> Result<(), RunInterrupted> {
    // Canceled between its claim and its start.
    if let Some(why) = stop_signal.stopped() {
        return Err(RunInterrupted::Stopped(why));
    }
    let store_retry = StoreRetry { shared, stop_signal, deadline: row.deadline_at };
    let input = store_retry.retry_while_unavailable(|| shared.queue.run_input(&row)).await;
    let input = input.map_err(|error| interruption_of(&error))?;
    let damaged = |kind, what: &str, problems: Problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        let message =
            format!("The stored {what} cannot be used: {first}. Save it again, then re-run.");
        RunInterrupted::Error(RunError::new(kind, message))
    };
    let scenario = ScenarioSpec::parse_stored(&Draft(input.scenario.unwrap_or_default()))
        .map_err(|problems| damaged(ErrorKind::InvalidScenario, "scenario", problems))?;
    let agent = AgentSpec::parse(&Draft(input.agent.unwrap_or_default()))
        .map_err(|problems| damaged(ErrorKind::InvalidAgent, "agent", problems))?;
    let texts = shared.fill_texts(agent, scenario, input.variables.as_ref());
    let texts = texts.map_err(RunInterrupted::Error)?;
    let budget = Budgets::of_run(&store_retry, row.suite_id, row.user_id).await;
    let budget = budget.map_err(|error| interruption_of(&error))?;
    let lease = row.lease();
    let usage = row.usage;
    let run = ActiveRun {
        shared: shared.clone(),
        stop_signal: stop_signal.clone(),
        row,
        lease,
        agent: texts.agent,
        scenario: texts.scenario,
        sent_scenario: texts.sent_scenario,
        variables: texts.variables,
        transcript: input.transcript,
        evaluation: input.evaluation,
        usage,
        intent: None,
        budget,
    };
    run.run_to_end().await
}

/// Stores the end of the run, unless another worker holds it.
async fn end(store_retry: &StoreRetry<'_>, lease: &Lease, interrupted: RunInterrupted) {
    let shared = store_retry.shared;
    let mut change = RunChange::default();
    let outcome = match interrupted {
        RunInterrupted::LeaseLost | RunInterrupted::Stopped(StopReason::Lost) => {
            tracing::info!("the lease is lost; nothing more is stored");
            return;
        }
        RunInterrupted::StoreUnavailable => {
            tracing::warn!("the store is unavailable; the run is resumed later");
            return;
        }
        RunInterrupted::Stopped(StopReason::Shutdown) => {
            let released = store_retry
                .retry_while_unavailable(|| shared.queue.release(lease, shared.clock.now()));
            if let Err(error) = released.await {
                tracing::warn!(%error, "could not be released; the lease will expire");
            }
            return;
        }
        RunInterrupted::Stopped(StopReason::Cancelled) => RunOutcome::cancelled(),
        RunInterrupted::Error(error) => RunOutcome::error(error.kind, error.message),
        RunInterrupted::ErrorAfterCall(error, failed) => {
            change = *failed;
            RunOutcome::error(error.kind, error.message)
        }
    };
    change.finish = Some(outcome);
    if let Err(error) = commit(store_retry, lease, change).await {
        tracing::warn!(%error, "the end could not be stored; the lease will expire");
    }
}
