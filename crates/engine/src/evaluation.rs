//! A re-evaluation's life: the same judging as a run's, over a stored
//! transcript and with a lease of its own. It never changes the run.

use super::Shared;
use super::calling::{Cut, Line};
use super::judging::{decide, heard, raw_replies, unparseable, unreached};
use super::life::panicked;
use super::patience::Patience;
use super::registry::{Stop, Stopper};
use judge::{Case, JudgeStep, judge_step};
use llm::outbound::CallTimes;
use store::StoreError;
use store::rows::EvaluationRow;
use store::transition::JUDGING;
use domain::{AgentSpec, Draft, ErrorKind, EvaluationStatus, RunError, ScenarioSpec};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::Instrument;

/// Why it ended without a verdict.
enum Ended {
    Stopped(Stop),
    Error(RunError),
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn error(kind: ErrorKind, message: &str) -> Ended {
    Ended::Error(RunError::new(kind, message))
}

/// Lives a claimed re-evaluation to its end.
pub(super) async fn live(shared: Arc<Shared>, mut row: EvaluationRow) {
    let span = tracing::error_span!(
        "evaluation",
        evaluation = %row.id(), run = %row.run_id, suite = %row.suite_id, attempt = row.attempt,
    );
    async move {
        let (stopper, held) = shared.registry.enter_evaluation(row.id());
        if shared.closing.is_cancelled() {
            stopper.stop(Stop::Shutdown);
        }
        let life = AssertUnwindSafe(judge(&shared, &stopper, &mut row)).catch_unwind().await;
        let internal = "Something went wrong on our side while this was judged. Judge it again.";
        let ended = life.unwrap_or_else(|panic| {
            panicked(panic.as_ref());
            Err(error(ErrorKind::Internal, internal))
        });
        if let Err(ended) = ended {
            end(&shared, &stopper, row, ended).await;
        }
        drop(held);
        shared.wake.notify_one();
    }
    .instrument(span)
    .await;
}

async fn end(shared: &Shared, stopper: &Stopper, mut row: EvaluationRow, ended: Ended) {
    let now = shared.clock.now();
    let patience = Patience { shared, stopper, deadline: row.deadline_at };
    let why = match ended {
        Ended::Stopped(Stop::Lost) | Ended::Store(StoreError::LeaseLost) => return,
        Ended::Store(StoreError::Unavailable(why)) => {
            tracing::warn!(why, "the store does not answer; it is taken up again later");
            return;
        }
        Ended::Stopped(Stop::Shutdown) => {
            let (id, attempt) = (row.id(), row.attempt);
            let back = patience.hold_on(|| shared.queue.hand_back_evaluation(id, attempt));
            if let Err(error) = back.await {
                tracing::warn!(%error, "could not be handed back; its lease will lapse");
            }
            return;
        }
        Ended::Stopped(Stop::Cancelled) => None,
        Ended::Error(error) => Some(error),
        Ended::Store(error) => {
            tracing::error!(%error, "the store failed");
            let message =
                "What belongs to this judging could not be read or stored. Judge it again.";
            Some(RunError::new(ErrorKind::Internal, message))
        }
    };
    row.view.status = match why {
        Some(_) => EvaluationStatus::Error,
        None => EvaluationStatus::Cancelled,
    };
    let kind = why.as_ref().map(|error| error.kind.as_str());
    row.view.error = why;
    row.view.finished_at = Some(now);
    let status = row.view.status;
    let (id, attempt) = (row.id(), row.attempt);
    let stored =
        patience.hold_on(|| shared.queue.commit_evaluation(id, attempt, row.view.clone(), now));
    match stored.await {
        Ok(()) => tracing::info!(status = status.as_str(), kind, "evaluation ended"),
        Err(error) => {
            tracing::warn!(%error, "the end could not be stored; its lease will lapse");
        }
    }
}

async fn judge(
    shared: &Arc<Shared>,
    stopper: &Stopper,
    row: &mut EvaluationRow,
) -> Result<(), Ended> {
    let patience = Patience { shared, stopper, deadline: row.deadline_at };
    let id = row.run_id;
    let (run, work) = patience.hold_on(|| shared.queue.work_of(id)).await?;
    let damaged = "The stored agent or scenario cannot be used any more, so it cannot be judged.";
    let scenario = ScenarioSpec::parse(&Draft(work.scenario.unwrap_or_default()))
        .map_err(|_| error(ErrorKind::InvalidScenario, damaged))?;
    let agent = AgentSpec::parse(&Draft(work.agent.unwrap_or_default()))
        .map_err(|_| error(ErrorKind::InvalidAgent, damaged))?;
    let case = Case {
        agent: &agent,
        scenario: &scenario,
        transcript: &work.transcript,
        end_reason: run.end_reason,
    };
    loop {
        let now = shared.clock.now();
        match judge_step(&case, &raw_replies(Some(&row.view)), &row.judge.model) {
            JudgeStep::Decided(outcome) => {
                decide(&mut row.view, *outcome, now);
                store(&patience, row).await?;
                tracing::info!(status = row.view.status.as_str(), "evaluation ended");
                return Ok(());
            }
            JudgeStep::Unparseable { problem } => return Err(Ended::Error(unparseable(&problem))),
            JudgeStep::Ask(mut request) => {
                let call = shared.clock.uuid();
                request.call_id = call.to_string();
                patience.hold_on(|| shared.queue.intend_evaluation(row, call, now)).await?;
                let mut times = CallTimes::default();
                let line = line(shared, stopper, row);
                let reply = line.ask(row.judge.connection_id, &request, &mut times).await;
                let reply = reply.map_err(|cut| match cut {
                    Cut::Stopped(why) => Ended::Stopped(why),
                    Cut::Store(error) => Ended::Store(error),
                    Cut::Failed(error) => {
                        Ended::Error(unreached(&RunError::new(error.kind(), error.message)))
                    }
                })?;
                heard(&mut row.view, &reply);
                store(&patience, row).await?;
            }
        }
    }
}

fn line<'a>(shared: &'a Arc<Shared>, stopper: &'a Stopper, row: &EvaluationRow) -> Line<'a> {
    let deadline = row.deadline_at.unwrap_or_default();
    let left = deadline.since(shared.clock.now());
    Line {
        shared,
        stopper,
        user_id: row.user_id,
        lease: None,
        deadline: row.deadline_at,
        active_left: JUDGING.min(left),
        wait_left: shared.settings.max_wait.min(left),
        circuit_left: shared.settings.circuit_wait,
    }
}

async fn store(patience: &Patience<'_>, row: &EvaluationRow) -> Result<(), Ended> {
    let shared = patience.shared;
    let now = shared.clock.now();
    let commit = || shared.queue.commit_evaluation(row.id(), row.attempt, row.view.clone(), now);
    Ok(patience.hold_on(commit).await?)
}
