//! Executes the steps of a run. The next step is always derived from the stored
//! state, so a recovered run takes the same path as one that never stopped.

use super::budgets::CallBudget;
use super::calling::{CallContext, CallInterrupted, HeldLease, reply_cost};
use super::registry::{StopReason, StopSignal};
use super::store_retry::StoreRetry;
use super::{Shared, conversation_driver, http_agent_driver, judge_driver};
use conversation::{JudgingState, RunVariables, Step, next_step};
use domain::{
    AgentSpec, ConnectionId, ErrorKind, Evaluation, EvaluationStatus, NanoUsd, RunError,
    ScenarioSpec, Speaker, TokenPrice, ToolCall, Turn, Usage,
};
use llm::outbound::{CallOrder, CallOutcome, CallTimes};
use llm::{CallError, ChatReply, ChatRequest};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::rows::{Intent, Role, RunRow};
use store::transition::{Lease, RunChange, evaluation_allowance};

/// Why a run stopped before it was final.
pub(super) enum RunInterrupted {
    /// A stop signal.
    Stopped(StopReason),
    /// The run ends with this error.
    Error(RunError),
    /// The run ends with this error, and the last call left a change to commit.
    ErrorAfterCall(RunError, Box<RunChange>),
    /// Another worker holds the run: nothing more is stored.
    LeaseLost,
    /// The store stayed unavailable; the run is resumed later from its stored
    /// state.
    StoreUnavailable,
}

/// What the engine does after the steps that need no call are stored.
enum NextAction {
    CallAgent {
        allow_tools: bool,
    },
    /// End the session of a deployed agent, after the end of the conversation is stored.
    EndSession,
    CallSimulatedUser,
    AnswerTools {
        calls: Vec<ToolCall>,
    },
    RefuseTools {
        calls: Vec<ToolCall>,
    },
    CallJudge,
    ParseJudgeReply,
    /// The run is final.
    Nothing,
}

/// A run in progress: its stored state, and the state between commits.
pub(super) struct ActiveRun {
    pub(super) shared: Arc<Shared>,
    pub(super) stop_signal: StopSignal,
    pub(super) row: RunRow,
    pub(super) lease: Lease,
    pub(super) agent: Arc<AgentSpec>,
    pub(super) scenario: Arc<ScenarioSpec>,
    /// The scenario with secret values, which must not be stored.
    pub(super) sent_scenario: Arc<ScenarioSpec>,
    pub(super) variables: Arc<RunVariables>,
    pub(super) transcript: Vec<Turn>,
    pub(super) evaluation: Option<Evaluation>,
    pub(super) usage: Usage,
    /// The stored intent of the next call.
    pub(super) intent: Option<Intent>,
    pub(super) budget: CallBudget,
}

/// Commits, and retries while the store is unavailable, so that a reply that was
/// paid for is not lost.
pub(super) async fn commit(
    store_retry: &StoreRetry<'_>,
    lease: &Lease,
    change: RunChange,
) -> Result<RunRow, StoreError> {
    let shared = store_retry.shared;
    store_retry
        .retry_while_unavailable(|| shared.queue.commit(lease, change.clone(), shared.clock.now()))
        .await
}

pub(super) fn interruption_of(error: &StoreError) -> RunInterrupted {
    match error {
        StoreError::LeaseLost => RunInterrupted::LeaseLost,
        StoreError::Unavailable(_) => RunInterrupted::StoreUnavailable,
        other => {
            tracing::error!(error = %other, "the store failed");
            let message = "The data of this run could not be read or stored. Re-run it.";
            RunInterrupted::Error(RunError::new(ErrorKind::Internal, message))
        }
    }
}

impl ActiveRun {
    /// Executes steps until the run is final.
    pub(super) async fn run_to_end(mut self) -> Result<(), RunInterrupted> {
        let mut change = RunChange::default();
        loop {
            let action = self.add_steps_without_call(&mut change).await;
            let finished = change.finish.is_some();
            self.commit(std::mem::take(&mut change)).await?;
            if finished {
                return Ok(());
            }
            if let Some(why) = self.stop_signal.stopped() {
                return Err(RunInterrupted::Stopped(why));
            }
            change = match action {
                NextAction::CallAgent { .. } if self.agent.http.is_some() => {
                    http_agent_driver::send_message(&mut self).await?
                }
                NextAction::CallAgent { allow_tools } => {
                    conversation_driver::agent(&mut self, allow_tools).await?
                }
                NextAction::EndSession => http_agent_driver::end_session(&self).await?,
                NextAction::CallSimulatedUser => {
                    conversation_driver::simulated_user(&mut self).await?
                }
                NextAction::AnswerTools { calls } => {
                    conversation_driver::answer(&mut self, &calls).await?
                }
                NextAction::RefuseTools { calls } => conversation_driver::refuse(&self, &calls),
                NextAction::CallJudge => judge_driver::call_judge(&self).await?,
                NextAction::ParseJudgeReply => judge_driver::parse_reply(&mut self).await?,
                NextAction::Nothing => return Ok(()),
            };
        }
    }

    /// Adds to `change` what needs no model call: the next user turn of the script, the end
    /// of the conversation, a verdict without the judge. So they share one commit with the
    /// intent of the call that comes next, which is added too. Returns what to do after that
    /// commit.
    async fn add_steps_without_call(&mut self, change: &mut RunChange) -> NextAction {
        let mut transcript = self.transcript.clone();
        transcript.extend(numbered(change.turns.clone(), self.row.turns));
        loop {
            let over = change.end_reason.or(self.row.end_reason);
            let evaluation = change.evaluation.as_deref().or(self.evaluation.as_ref());
            let agent_begins = over.is_none() && transcript.is_empty() && self.agent.begins();
            if let Some(message) = self.agent.begin_message.as_ref().filter(|_| agent_begins) {
                let turn = Turn::text(Speaker::Agent, message.clone(), self.shared.clock.now());
                transcript.push(turn.clone());
                change.turns.push(turn);
                continue;
            }
            let step = if agent_begins {
                Step::CallAgent { allow_tools: true }
            } else {
                next_step(&self.scenario, &transcript, over, judging_state(evaluation))
            };
            match step {
                Step::SendUserMessage { message } => {
                    let turn = conversation_driver::user_turn(
                        message,
                        &transcript,
                        self.shared.clock.now(),
                    );
                    transcript.push(turn.clone());
                    change.turns.push(turn);
                }
                Step::End(reason) => change.end_reason = Some(reason),
                Step::Judge if self.row.end_reason.is_none() && self.ends_session() => {
                    self.record_intent(change, Role::Agent, &transcript);
                    return NextAction::EndSession;
                }
                Step::Judge => {
                    if let Some(decided) =
                        judge_driver::decide_without_judge(self, &transcript, over).await
                    {
                        judge_driver::finish(change, decided);
                        return NextAction::Nothing;
                    }
                    self.record_intent(change, Role::Judge, &transcript);
                    return NextAction::CallJudge;
                }
                Step::CallAgent { allow_tools } => {
                    http_agent_driver::prepare_session(self, change);
                    self.record_intent(change, Role::Agent, &transcript);
                    return NextAction::CallAgent { allow_tools };
                }
                Step::CallSimulatedUser => {
                    self.record_intent(change, Role::SimulatedUser, &transcript);
                    return NextAction::CallSimulatedUser;
                }
                Step::AnswerTools { calls } => {
                    if conversation_driver::needs_simulation(self, &calls).await {
                        self.record_intent(change, Role::SimulatedUser, &transcript);
                    }
                    return NextAction::AnswerTools { calls };
                }
                Step::RefuseTools { calls } => return NextAction::RefuseTools { calls },
                Step::ParseReply => return NextAction::ParseJudgeReply,
                Step::Finished => return NextAction::Nothing,
            }
        }
    }

    fn ends_session(&self) -> bool {
        self.agent.http.as_ref().is_some_and(|http| http.session.end.is_some())
    }

    /// Adds the intent of the next call, so that calls lost in a crash are known.
    pub(super) fn record_intent(
        &mut self,
        change: &mut RunChange,
        role: Role,
        transcript: &[Turn],
    ) {
        let turn = u32::try_from(transcript.len()).unwrap_or(u32::MAX);
        let intent = Intent { id: self.shared.clock.uuid(), role, turn };
        change.intents.push(intent.clone());
        self.intent = Some(intent);
    }

    pub(super) async fn commit(&mut self, change: RunChange) -> Result<(), RunInterrupted> {
        if change == RunChange::default() {
            return Ok(());
        }
        let turns = change.turns.clone();
        if let Some(evaluation) = &change.evaluation {
            self.evaluation = Some((**evaluation).clone());
        }
        let first = self.row.turns;
        let committed = commit(&self.store_retry(), &self.lease, change).await;
        self.row = committed.map_err(|error| interruption_of(&error))?;
        self.usage = self.row.usage;
        self.transcript.extend(numbered(turns, first));
        Ok(())
    }

    fn store_retry(&self) -> StoreRetry<'_> {
        let deadline = self.row.deadline_at;
        StoreRetry { shared: &self.shared, stop_signal: &self.stop_signal, deadline }
    }

    /// The context of the next call.
    pub(super) fn call_context(&self, judging: bool) -> CallContext<'_> {
        let settings = &self.shared.settings;
        let used = Duration::from_millis(self.row.active_ms);
        let conversation_left = Duration::from_millis(self.row.timeout_ms).saturating_sub(used);
        let deadline = self.row.deadline_at.unwrap_or_default();
        let left = deadline.since(self.shared.clock.now());
        CallContext {
            shared: &self.shared,
            stop_signal: &self.stop_signal,
            user_id: self.row.user_id,
            order: CallOrder {
                began_at: self.row.started_at.unwrap_or(self.row.created_at),
                id: self.row.id.0,
            },
            lease: HeldLease::Run(self.lease.clone()),
            requested_at: self.row.created_at,
            deadline: self.row.deadline_at,
            active_left: if judging {
                evaluation_allowance(&self.row.model_snapshot.judge).min(left)
            } else {
                conversation_left.min(left)
            },
            max_wait: settings.max_wait,
            circuit_left: settings
                .circuit_wait
                .saturating_sub(Duration::from_millis(self.row.circuit_ms)),
            unconfirmed_call: None,
            price: self.price().copied(),
            budget: self.budget.clone(),
        }
    }

    /// The role of the next call.
    fn role(&self) -> Role {
        self.intent.as_ref().map_or(Role::Agent, |intent| intent.role)
    }

    /// What the tokens of the model of the next call cost; `None` if that is unknown.
    fn price(&self) -> Option<&TokenPrice> {
        self.row.model_snapshot.price(self.role())
    }

    /// The usage of the run with that of an answered call.
    pub(super) fn usage_with(&self, reply: &ChatReply) -> Usage {
        let mut usage = self.usage;
        let role = match self.role() {
            Role::Agent => &mut usage.agent,
            Role::SimulatedUser => &mut usage.simulated_user,
            Role::Judge => &mut usage.judge,
        };
        role.add(reply.input_tokens, reply.output_tokens);
        role.token_parts.add(reply.token_parts);
        role.add_cost(reply_cost(self.price(), reply));
        usage
    }

    /// Calls a model. Returns the reply, and the change that records the call's usage.
    /// If the call fails finally, the error carries that change.
    pub(super) async fn call(
        &self,
        judging: bool,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> Result<(ChatReply, RunChange), RunInterrupted> {
        let context = self.call_context(judging);
        if judging {
            return self.exchange(&context, connection, request).await;
        }
        self.call_in(&context, connection, request).await
    }

    /// Like [`call`](Self::call) for a request to the agent or the simulated user, in a
    /// context with other limits. Secret values are in the request and in no result.
    pub(super) async fn call_in(
        &self,
        context: &CallContext<'_>,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> Result<(ChatReply, RunChange), RunInterrupted> {
        let secrets = &self.variables.secrets;
        if secrets.is_empty() {
            return self.exchange(context, connection, request).await;
        }
        let request = secrets.reveal_request(request);
        match self.exchange(context, connection, &request).await {
            Ok((mut reply, change)) => {
                secrets.conceal_reply(&mut reply);
                Ok((reply, change))
            }
            Err(RunInterrupted::ErrorAfterCall(mut error, change)) => {
                error.message = secrets.conceal(&error.message);
                Err(RunInterrupted::ErrorAfterCall(error, change))
            }
            Err(other) => Err(other),
        }
    }

    async fn exchange(
        &self,
        context: &CallContext<'_>,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> Result<(ChatReply, RunChange), RunInterrupted> {
        let outcome = context.call(connection, request).await;
        let CallOutcome { result, times } = outcome;
        match result {
            Ok(reply) => {
                let cost = context.cost(request, &reply);
                let change = self.call_change(&times, Ok(&reply), cost);
                Ok((reply, change))
            }
            Err(CallInterrupted::Stopped(why)) => Err(RunInterrupted::Stopped(why)),
            Err(CallInterrupted::Store(error)) => Err(interruption_of(&error)),
            Err(CallInterrupted::CallError(error)) => {
                let change = self.call_change(&times, Err(&error), None);
                let error = RunError::new(error.kind(), error.message);
                Err(RunInterrupted::ErrorAfterCall(error, Box::new(change)))
            }
        }
    }

    /// The id of the stored intent.
    pub(super) fn call_id(&self) -> String {
        self.intent.as_ref().map(|intent| intent.id.to_string()).unwrap_or_default()
    }

    /// The change that records the time and the outcome of a call.
    fn call_change(
        &self,
        times: &CallTimes,
        done: Result<&ChatReply, &CallError>,
        cost: Option<NanoUsd>,
    ) -> RunChange {
        let call =
            self.intent.as_ref().map(|intent| conversation_driver::call_done(intent, done, cost));
        RunChange {
            active: times.active,
            waited: times.waited,
            waited_for_circuit: times.circuit,
            calls_done: call.into_iter().collect(),
            ..RunChange::default()
        }
    }
}

/// New turns with the indices that they get when they are stored.
fn numbered(turns: Vec<Turn>, first: u32) -> impl Iterator<Item = Turn> {
    turns.into_iter().zip(first..).map(|(turn, index)| Turn { index, ..turn })
}

/// The progress of the judge according to the stored evaluation.
pub(super) fn judging_state(evaluation: Option<&Evaluation>) -> JudgingState {
    match evaluation {
        None => JudgingState::NotStarted,
        Some(e) if matches!(e.status, EvaluationStatus::Done | EvaluationStatus::Error) => {
            JudgingState::Done
        }
        Some(e) if e.raw_reply.is_none() => JudgingState::NotStarted,
        Some(_) => JudgingState::ReplyStored,
    }
}
