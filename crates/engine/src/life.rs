//! One run's life around its steps: how a claimed run begins, what becomes of a
//! panic, and how its end is stored or left to another.

use super::Shared;
use super::patience::Patience;
use super::registry::{Stop, Stopper};
use super::run::{Ended, Live, commit, stored};
use store::rows::RunRow;
use store::transition::{Change, Final, Lease};
use domain::{AgentSpec, Draft, ErrorKind, Problems, RunError, ScenarioSpec};
use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::Instrument;

/// Lives a claimed run to its end. A panic ends this run as `internal` and
/// nothing else.
pub(super) async fn live(shared: Arc<Shared>, row: RunRow) {
    // Of the highest level, so that whatever is logged within names the run.
    let span =
        tracing::error_span!("run", run = %row.id, suite = %row.suite_id, attempt = row.attempt);
    let lease = Lease { run_id: row.id, attempt: row.attempt };
    let deadline = row.deadline_at;
    async move {
        let (stopper, held) = shared.registry.enter(row.id);
        if shared.closing.is_cancelled() {
            stopper.stop(Stop::Shutdown);
        }
        let life = AssertUnwindSafe(begin(&shared, &stopper, row)).catch_unwind().await;
        let ended = life.unwrap_or_else(|panic| {
            panicked(panic.as_ref());
            let message = "Something went wrong on our side while this ran. Run it again.";
            Err(Ended::Error(RunError::new(ErrorKind::Internal, message)))
        });
        if let Err(ended) = ended {
            end(&Patience { shared: &shared, stopper: &stopper, deadline }, &lease, ended).await;
        }
        drop(held);
        shared.wake.notify_one();
    }
    .instrument(span)
    .await;
}

/// Logs a panic. Its words may quote what was said, so they are for debugging
/// alone; the place is told by the process's hook.
pub(super) fn panicked(panic: &(dyn Any + Send)) {
    tracing::error!("panicked; this ends as an internal error");
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::debug!(words = words.unwrap_or("none"), "what the panic said");
}

async fn begin(shared: &Arc<Shared>, stopper: &Stopper, row: RunRow) -> Result<(), Ended> {
    let patience = Patience { shared, stopper, deadline: row.deadline_at };
    let work = patience.hold_on(|| shared.queue.work(&row)).await;
    let work = work.map_err(|error| stored(&error))?;
    let damaged = |kind, what: &str, problems: Problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        let message =
            format!("The stored {what} cannot be used: {first}. Save it again and rerun.");
        Ended::Error(RunError::new(kind, message))
    };
    let scenario = ScenarioSpec::parse(&Draft(work.scenario.unwrap_or_default()))
        .map_err(|problems| damaged(ErrorKind::InvalidScenario, "scenario", problems))?;
    let agent = AgentSpec::parse(&Draft(work.agent.unwrap_or_default()))
        .map_err(|problems| damaged(ErrorKind::InvalidAgent, "agent", problems))?;
    let lease = Lease { run_id: row.id, attempt: row.attempt };
    let usage = row.usage;
    let live = Live {
        shared: shared.clone(),
        stopper: stopper.clone(),
        row,
        lease,
        agent,
        scenario,
        transcript: work.transcript,
        evaluation: work.evaluation,
        usage,
        intent: None,
    };
    live.run_out().await
}

/// Stores how it ended, if it is ours to say.
async fn end(patience: &Patience<'_>, lease: &Lease, ended: Ended) {
    let shared = patience.shared;
    let (ended, change) = match ended {
        Ended::Failed(error, change) => (Ended::Error(error), *change),
        other => (other, Change::default()),
    };
    let finish = match ended {
        Ended::Lost | Ended::Stopped(Stop::Lost) => {
            tracing::info!("the lease is lost; nothing more is stored");
            return;
        }
        Ended::Away => {
            tracing::warn!("the store does not answer; it is taken up again later");
            return;
        }
        Ended::Stopped(Stop::Shutdown) => {
            let back = patience.hold_on(|| shared.queue.hand_back(lease, shared.clock.now()));
            if let Err(error) = back.await {
                tracing::warn!(%error, "could not be handed back; its lease will lapse");
            }
            return;
        }
        Ended::Stopped(Stop::Cancelled) => Final::cancelled(),
        Ended::Error(error) | Ended::Failed(error, _) => Final::error(error.kind, error.message),
    };
    let change = Change { finish: Some(finish), ..change };
    if let Err(error) = commit(patience, lease, change).await {
        tracing::warn!(%error, "the end could not be stored; its lease will lapse");
    }
}
