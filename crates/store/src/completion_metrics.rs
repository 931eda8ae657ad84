//! Counts and logs each completed run and suite once. A worker, a cancel request,
//! the reaper or the recovery at boot completes it.

use super::rows::EventRow;
use domain::{FinishedEvent, Run, RunStatus, SuiteId};
use std::time::Duration;

pub(super) fn record(suite: SuiteId, event: &EventRow) {
    match event {
        EventRow::Run(run) => record_run(run),
        EventRow::Finished(finished) => log_suite(suite, finished),
        EventRow::Turn { .. } => {}
    }
}

fn record_run(run: &Run) {
    let status = run.status.as_str();
    let kind = run.error.as_ref().map(|error| error.kind.as_str());
    let error_kind = kind.filter(|_| run.status == RunStatus::Error).unwrap_or("none");
    metrics::counter!(
        "rehearsal_runs_finished_total",
        "status" => status, "error_kind" => error_kind
    )
    .increment(1);
    if let Some(duration) = run.duration_ms.map(Duration::from_millis) {
        metrics::histogram!("rehearsal_run_duration_seconds", "status" => status).record(duration);
    }
    tracing::info!(
        run = %run.id,
        suite = %run.suite_id,
        status,
        kind,
        lease_epoch = run.lease_epoch,
        recoveries = run.recoveries,
        duration_ms = run.duration_ms,
        "run ended"
    );
}

fn log_suite(suite: SuiteId, FinishedEvent { status, counts }: &FinishedEvent) {
    tracing::info!(
        %suite,
        status = status.as_str(),
        passed = counts.passed,
        failed = counts.failed,
        inconclusive = counts.inconclusive,
        error = counts.error,
        cancelled = counts.cancelled,
        "suite ended"
    );
}
