//! Executes a claimed run: its start, panics, and how its end is stored or left to
//! another worker.

use super::Shared;
use super::registry::{Stop, StopSignal};
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
        let (stop_signal, held) = shared.registry.enter(row.id);
        if shared.closing.is_cancelled() {
            stop_signal.stop(Stop::Shutdown);
        }
        let outcome = AssertUnwindSafe(begin(&shared, &stop_signal, row)).catch_unwind().await;
        let ended = outcome.unwrap_or_else(|panic| {
            panicked(panic.as_ref());
            let message = "An internal error occurred during this run. Re-run it.";
            Err(RunInterrupted::Error(RunError::new(ErrorKind::Internal, message)))
        });
        if let Err(ended) = ended {
            end(
                &StoreRetry { shared: &shared, stop_signal: &stop_signal, deadline },
                &lease,
                ended,
            )
            .await;
        }
        drop(held);
        shared.wake.notify_one();
    }
    .instrument(span)
    .await;
}

/// Logs a panic. Its message may contain conversation text, so it is logged at debug
/// level only; the panic hook of the process logs the location.
pub(super) fn panicked(panic: &(dyn Any + Send)) {
    tracing::error!("panicked; this ends as an internal error");
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::debug!(words = words.unwrap_or("none"), "panic message");
}

async fn begin(
    shared: &Arc<Shared>,
    stop_signal: &StopSignal,
    row: RunRow,
) -> Result<(), RunInterrupted> {
    let store_retry = StoreRetry { shared, stop_signal, deadline: row.deadline_at };
    let work = store_retry.retry_while_unavailable(|| shared.queue.run_input(&row)).await;
    let work = work.map_err(|error| interruption_of(&error))?;
    let damaged = |kind, what: &str, problems: Problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        let message =
            format!("The stored {what} cannot be used: {first}. Save it again, then re-run.");
        RunInterrupted::Error(RunError::new(kind, message))
    };
    let scenario = ScenarioSpec::parse(&Draft(work.scenario.unwrap_or_default()))
        .map_err(|problems| damaged(ErrorKind::InvalidScenario, "scenario", problems))?;
    let agent = AgentSpec::parse(&Draft(work.agent.unwrap_or_default()))
        .map_err(|problems| damaged(ErrorKind::InvalidAgent, "agent", problems))?;
    let lease = row.lease();
    let usage = row.usage;
    let live = ActiveRun {
        shared: shared.clone(),
        stop_signal: stop_signal.clone(),
        row,
        lease,
        agent,
        scenario,
        transcript: work.transcript,
        evaluation: work.evaluation,
        usage,
        intent: None,
    };
    live.run_to_end().await
}

/// Stores the end of the run, unless another worker holds it.
async fn end(store_retry: &StoreRetry<'_>, lease: &Lease, ended: RunInterrupted) {
    let shared = store_retry.shared;
    let (ended, change) = match ended {
        RunInterrupted::Failed(error, change) => (RunInterrupted::Error(error), *change),
        other => (other, RunChange::default()),
    };
    let finish = match ended {
        RunInterrupted::LeaseLost | RunInterrupted::Stopped(Stop::Lost) => {
            tracing::info!("the lease is lost; nothing more is stored");
            return;
        }
        RunInterrupted::StoreUnavailable => {
            tracing::warn!("the store is unavailable; the run is resumed later");
            return;
        }
        RunInterrupted::Stopped(Stop::Shutdown) => {
            let back = store_retry
                .retry_while_unavailable(|| shared.queue.release(lease, shared.clock.now()));
            if let Err(error) = back.await {
                tracing::warn!(%error, "could not be released; the lease will expire");
            }
            return;
        }
        RunInterrupted::Stopped(Stop::Cancelled) => RunOutcome::cancelled(),
        RunInterrupted::Error(error) | RunInterrupted::Failed(error, _) => {
            RunOutcome::error(error.kind, error.message)
        }
    };
    let change = RunChange { finish: Some(finish), ..change };
    if let Err(error) = commit(store_retry, lease, change).await {
        tracing::warn!(%error, "the end could not be stored; the lease will expire");
    }
}
