//! Executes a claimed rejudge: the same steps as for a run, over a stored transcript
//! and with its own lease. It never changes the run.

use super::Shared;
use super::budgets::{Budgets, CallBudget};
use super::calling::{CallContext, CallInterrupted, HeldLease};
use super::conversation_driver::call_done;
use super::judge_driver::{
    apply_outcome, judge_unavailable, raw_replies, record_reply, unreadable_reply,
};
use super::judging::judge_step;
use super::registry::{StopReason, StopSignal};
use super::run_worker::catch_panic;
use super::store_retry::StoreRetry;
use domain::{AgentSpec, Draft, ErrorKind, EvaluationStatus, RunError, ScenarioSpec};
use judge::{JudgeStep, JudgedConversation};
use llm::outbound::CallOrder;
use llm::{ChatReply, ChatRequest};
use std::sync::Arc;
use store::rows::{EvaluationRow, Intent, Role};
use store::transition::evaluation_allowance;
use store::{StoreError, StoreResult};
use tracing::Instrument;
use uuid::Uuid;

/// Why a rejudge ended without a verdict.
enum Interrupted {
    Stopped(StopReason),
    Error(RunError),
    Store(StoreError),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn error(kind: ErrorKind, message: &str) -> Interrupted {
    Interrupted::Error(RunError::new(kind, message))
}

/// Executes a claimed rejudge.
pub(super) async fn run(shared: Arc<Shared>, mut row: EvaluationRow) {
    let span = tracing::error_span!(
        "evaluation",
        evaluation = %row.id(), run = %row.run_id, suite = %row.suite_id, lease_epoch = row.lease_epoch,
    );
    async move {
        let (stop_signal, registration) = shared.register(row.id().0);
        let result = catch_panic(judge(&shared, &stop_signal, &mut row)).await;
        let internal = "An internal error occurred during this rejudge. Rejudge it.";
        let result = result.unwrap_or_else(|| Err(error(ErrorKind::Internal, internal)));
        if let Err(interrupted) = result {
            end(&shared, &stop_signal, row, interrupted).await;
        }
        drop(registration);
        shared.wake.notify_one();
    }
    .instrument(span)
    .await;
}

async fn end(
    shared: &Shared,
    stop_signal: &StopSignal,
    mut row: EvaluationRow,
    interrupted: Interrupted,
) {
    let now = shared.clock.now();
    let store_retry = StoreRetry { shared, stop_signal, deadline: row.deadline_at };
    let error = match interrupted {
        Interrupted::Stopped(StopReason::Lost) | Interrupted::Store(StoreError::LeaseLost) => {
            return;
        }
        Interrupted::Store(StoreError::Unavailable(why)) => {
            tracing::warn!(why, "the store is unavailable; the rejudge is resumed later");
            return;
        }
        Interrupted::Stopped(StopReason::Shutdown) => {
            let (id, lease_epoch) = (row.id(), row.lease_epoch);
            let released = store_retry
                .retry_while_unavailable(|| shared.queue.release_rejudge(id, lease_epoch, now));
            if let Err(error) = released.await {
                tracing::warn!(%error, "could not be released; the lease will expire");
            }
            return;
        }
        Interrupted::Stopped(StopReason::Cancelled) => None,
        Interrupted::Error(error) => Some(error),
        Interrupted::Store(error) => {
            tracing::error!(%error, "the store failed");
            let message = "The data of this evaluation could not be read or stored. Rejudge it.";
            Some(RunError::new(ErrorKind::Internal, message))
        }
    };
    row.evaluation.status = match error {
        Some(_) => EvaluationStatus::Error,
        None => EvaluationStatus::Cancelled,
    };
    row.evaluation.error = error;
    row.evaluation.finished_at = Some(now);
    match store(&store_retry, &row).await {
        Ok(_) => log_end(&row),
        Err(error) => {
            tracing::warn!(%error, "the end could not be stored; the lease will expire");
        }
    }
}

async fn judge(
    shared: &Arc<Shared>,
    stop_signal: &StopSignal,
    row: &mut EvaluationRow,
) -> Result<(), Interrupted> {
    let store_retry = StoreRetry { shared, stop_signal, deadline: row.deadline_at };
    let id = row.run_id;
    let (run, input) =
        store_retry.retry_while_unavailable(|| shared.queue.run_with_input(id)).await?;
    let damaged =
        "The stored agent or scenario can no longer be used, so this run cannot be judged.";
    let scenario = ScenarioSpec::parse_stored(&Draft(input.scenario.unwrap_or_default()))
        .map_err(|_| error(ErrorKind::InvalidScenario, damaged))?;
    let agent = AgentSpec::parse(&Draft(input.agent.unwrap_or_default()))
        .map_err(|_| error(ErrorKind::InvalidAgent, damaged))?;
    let texts = shared.fill_texts(agent, scenario, input.variables.as_ref());
    let texts = texts.map_err(Interrupted::Error)?;
    let case = JudgedConversation {
        agent: &texts.agent,
        scenario: &texts.scenario,
        transcript: &input.transcript,
        end_reason: run.end_reason,
    };
    let budget = Budgets::of_rejudge(&store_retry, row.user_id).await?;
    loop {
        let now = shared.clock.now();
        match judge_step(case, raw_replies(Some(&row.evaluation)), &row.judge).await {
            JudgeStep::Decided(outcome) => {
                apply_outcome(&mut row.evaluation, *outcome, now);
                store(&store_retry, row).await?;
                log_end(row);
                return Ok(());
            }
            JudgeStep::Unparseable { problem, truncated } => {
                return Err(Interrupted::Error(unreadable_reply(&problem, truncated)));
            }
            JudgeStep::CallJudge(mut request) => {
                let call = shared.clock.uuid();
                request.call_id = call.to_string();
                store_retry
                    .retry_while_unavailable(|| shared.queue.record_judge_call(row, call, now))
                    .await?;
                let context = call_context(shared, stop_signal, row, budget.clone());
                let outcome = context.call(row.judge.connection_id, &request).await;
                store_outcome(&store_retry, (call, &request), &context, &outcome.result).await?;
                let reply = outcome.result.map_err(|interrupted| match interrupted {
                    CallInterrupted::Stopped(why) => Interrupted::Stopped(why),
                    CallInterrupted::Store(error) => Interrupted::Store(error),
                    CallInterrupted::CallError(error) => Interrupted::Error(judge_unavailable(
                        &RunError::new(error.kind(), error.message),
                    )),
                })?;
                record_reply(&mut row.evaluation, &reply, row.judge.price.as_ref());
                // The deadline may have moved while the call waited for a slot.
                *row = store(&store_retry, row).await?;
            }
        }
    }
}

fn call_context<'a>(
    shared: &'a Arc<Shared>,
    stop_signal: &'a StopSignal,
    row: &EvaluationRow,
    budget: CallBudget,
) -> CallContext<'a> {
    let deadline = row.deadline_at.unwrap_or_default();
    let left = deadline.since(shared.clock.now());
    CallContext {
        shared,
        stop_signal,
        user_id: row.user_id,
        // Before all runs, because a user waits for the result.
        order: CallOrder::default(),
        lease: HeldLease::Rejudge { id: row.id(), lease_epoch: row.lease_epoch },
        requested_at: row.evaluation.created_at,
        deadline: row.deadline_at,
        active_left: evaluation_allowance(&row.judge).min(left),
        max_wait: shared.settings.max_wait.min(left),
        circuit_left: shared.settings.circuit_wait,
        unconfirmed_call: None,
        price: row.judge.price,
        budget,
    }
}

/// Stores the outcome of a call before its reply, so that a reply that was paid for is
/// counted also if the server crashes in between.
async fn store_outcome(
    store_retry: &StoreRetry<'_>,
    (call, request): (Uuid, &ChatRequest),
    context: &CallContext<'_>,
    result: &Result<ChatReply, CallInterrupted>,
) -> StoreResult<()> {
    let (done, cost) = match result {
        Ok(reply) => (Ok(reply), context.cost(request, reply)),
        Err(CallInterrupted::CallError(error)) => (Err(error), None),
        Err(_) => return Ok(()),
    };
    let intent = Intent { id: call, role: Role::Judge, turn: 0 };
    let (done, shared) = (call_done(&intent, done, cost), store_retry.shared);
    let finish = || shared.queue.finish_judge_call(done.clone(), shared.clock.now());
    store_retry.retry_while_unavailable(finish).await
}

fn log_end(row: &EvaluationRow) {
    let kind = row.evaluation.error.as_ref().map(|error| error.kind.as_str());
    tracing::info!(status = row.evaluation.status.as_str(), kind, "rejudge ended");
}

async fn store(store_retry: &StoreRetry<'_>, row: &EvaluationRow) -> StoreResult<EvaluationRow> {
    let shared = store_retry.shared;
    let now = shared.clock.now();
    let commit =
        || shared.queue.commit_rejudge(row.id(), row.lease_epoch, row.evaluation.clone(), now);
    store_retry.retry_while_unavailable(commit).await
}
