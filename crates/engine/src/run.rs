//! A run at work, step by step: talked, judged, final. What to do next is always
//! derived from what is stored, so a run that is taken up again goes the same
//! way as one that never stopped.

use super::calling::{Cut, Line};
use super::patience::Patience;
use super::registry::{Stop, Stopper};
use super::{Shared, judging, talk};
use conversation::{JudgingState, Step, next_step};
use llm::outbound::CallTimes;
use llm::{CallError, ChatReply, ChatRequest};
use store::StoreError;
use store::rows::{Intent, Role, RunRow};
use store::transition::{Change, JUDGING, Lease};
use domain::{
    AgentSpec, ConnectionId, ErrorKind, Evaluation, EvaluationStatus, RunError, ScenarioSpec, Turn,
    Usage,
};
use std::sync::Arc;
use std::time::Duration;

/// Why a run stopped before it was final.
pub(super) enum Ended {
    /// It had to stop.
    Stopped(Stop),
    /// It ends with this.
    Error(RunError),
    /// It ends with this, and a call left something to be stored with it.
    Failed(RunError, Box<Change>),
    /// It is somebody else's: nothing more is stored.
    Lost,
    /// The store did not answer as long as it could hold on: it is taken up
    /// again from what is stored.
    Away,
}

/// A run at work: what is stored of it, and what it adds.
pub(super) struct Live {
    pub(super) shared: Arc<Shared>,
    pub(super) stopper: Stopper,
    pub(super) row: RunRow,
    pub(super) lease: Lease,
    pub(super) agent: AgentSpec,
    pub(super) scenario: ScenarioSpec,
    pub(super) transcript: Vec<Turn>,
    pub(super) evaluation: Option<Evaluation>,
    pub(super) usage: Usage,
    /// The intent of the call that comes next, already stored.
    pub(super) intent: Option<Intent>,
}

/// Commits, and holds on while the store does not answer: what was paid for is
/// in our hands.
pub(super) async fn commit(
    patience: &Patience<'_>,
    lease: &Lease,
    change: Change,
) -> Result<RunRow, StoreError> {
    let shared = patience.shared;
    patience.hold_on(|| shared.queue.commit(lease, change.clone(), shared.clock.now())).await
}

pub(super) fn stored(error: &StoreError) -> Ended {
    match error {
        StoreError::LeaseLost => Ended::Lost,
        StoreError::Unavailable(_) => Ended::Away,
        other => {
            tracing::error!(error = %other, "the store failed");
            let message = "What belongs to this run could not be read or stored. Run it again.";
            Ended::Error(RunError::new(ErrorKind::Internal, message))
        }
    }
}

impl Live {
    /// Step by step until it is final.
    pub(super) async fn run_out(mut self) -> Result<(), Ended> {
        let mut change = Change::default();
        loop {
            let step = self.settle(&mut change);
            let finished = change.finish.is_some();
            self.commit(std::mem::take(&mut change)).await?;
            if finished {
                return Ok(());
            }
            if let Some(why) = self.stopper.stopped() {
                return Err(Ended::Stopped(why));
            }
            change = match step {
                Step::CallAgent { allow_tools } => talk::agent(&self, allow_tools).await?,
                Step::CallSimulatedUser => talk::simulated_user(&mut self).await?,
                Step::AnswerTools { calls } => talk::answer(&mut self, &calls).await?,
                Step::RefuseTools { calls } => talk::refuse(&self, &calls),
                Step::Judge => judging::ask(&self).await?,
                Step::ParseReply { .. } => judging::conclude(&mut self).await?,
                // Settled above, or final already.
                Step::SayUser { .. } | Step::End(_) | Step::Finished => return Ok(()),
            };
        }
    }

    /// Adds to `change` what follows without a call (the script's next user
    /// turn, the end of the conversation), so that it shares the commit, and
    /// the intent of the call that comes then. Answers that step.
    fn settle(&mut self, change: &mut Change) -> Step {
        let mut transcript = self.transcript.clone();
        transcript.extend(numbered(change.turns.clone(), self.row.turns));
        loop {
            let over = change.end_reason.or(self.row.end_reason);
            let evaluation = change.evaluation.as_deref().or(self.evaluation.as_ref());
            let step = next_step(&self.scenario, &transcript, over, state(evaluation));
            match step {
                Step::SayUser { message } => {
                    let turn = talk::user_turn(message, &transcript, self.shared.clock.now());
                    transcript.push(turn.clone());
                    change.turns.push(turn);
                }
                Step::End(reason) => change.end_reason = Some(reason),
                Step::Judge => {
                    if let Some(decided) = judging::without_asking(self, &transcript, over) {
                        judging::finish(change, decided);
                        return Step::Finished;
                    }
                    self.intend(change, Role::Judge, &transcript);
                    return Step::Judge;
                }
                Step::CallAgent { .. } => {
                    self.intend(change, Role::Agent, &transcript);
                    return step;
                }
                Step::CallSimulatedUser => {
                    self.intend(change, Role::SimulatedUser, &transcript);
                    return step;
                }
                Step::AnswerTools { ref calls } => {
                    if talk::needs_simulation(self, calls) {
                        self.intend(change, Role::SimulatedUser, &transcript);
                    }
                    return step;
                }
                Step::RefuseTools { .. } | Step::ParseReply { .. } | Step::Finished => return step,
            }
        }
    }

    /// Notes the call that comes next, so that what a crash may have paid for
    /// is known.
    pub(super) fn intend(&mut self, change: &mut Change, role: Role, transcript: &[Turn]) {
        let turn = u32::try_from(transcript.len()).unwrap_or(u32::MAX);
        let intent = Intent { id: self.shared.clock.uuid(), role, turn };
        change.intents.push(intent.clone());
        self.intent = Some(intent);
    }

    pub(super) async fn commit(&mut self, change: Change) -> Result<(), Ended> {
        if change == Change::default() {
            return Ok(());
        }
        let turns = change.turns.clone();
        if let Some(evaluation) = &change.evaluation {
            self.evaluation = Some((**evaluation).clone());
        }
        let first = self.row.turns;
        let committed = commit(&self.patience(), &self.lease, change).await;
        self.row = committed.map_err(|error| stored(&error))?;
        self.usage = self.row.usage;
        self.transcript.extend(numbered(turns, first));
        Ok(())
    }

    fn patience(&self) -> Patience<'_> {
        let deadline = self.row.deadline_at;
        Patience { shared: &self.shared, stopper: &self.stopper, deadline }
    }

    /// The line over which this run calls now.
    pub(super) fn line(&self, judging: bool) -> Line<'_> {
        let settings = &self.shared.settings;
        let used = Duration::from_millis(self.row.active_ms);
        let talk = Duration::from_millis(self.row.timeout_ms).saturating_sub(used);
        let deadline = self.row.deadline_at.unwrap_or_default();
        let left = deadline.since(self.shared.clock.now());
        let parked = Duration::from_millis(self.row.parked_ms);
        Line {
            shared: &self.shared,
            stopper: &self.stopper,
            user_id: self.row.user_id,
            lease: Some(self.lease.clone()),
            deadline: self.row.deadline_at,
            active_left: if judging { JUDGING.min(left) } else { talk.min(left) },
            wait_left: settings.max_wait.saturating_sub(parked).min(left),
            circuit_left: settings
                .circuit_wait
                .saturating_sub(Duration::from_millis(self.row.circuit_ms)),
        }
    }

    /// Asks the model; a call that fails for good leaves its account behind.
    pub(super) async fn ask(
        &self,
        judging: bool,
        connection: ConnectionId,
        request: &ChatRequest,
        times: &mut CallTimes,
    ) -> Result<ChatReply, Ended> {
        let line = self.line(judging);
        // What this very step has used so far is not stored yet.
        let line = Line {
            active_left: line.active_left.saturating_sub(times.active),
            wait_left: line.wait_left.saturating_sub(times.parked),
            circuit_left: line.circuit_left.saturating_sub(times.circuit),
            ..line
        };
        match line.ask(connection, request, times).await {
            Ok(reply) => Ok(reply),
            Err(Cut::Stopped(why)) => Err(Ended::Stopped(why)),
            Err(Cut::Store(error)) => Err(stored(&error)),
            Err(Cut::Failed(error)) => {
                let account = self.accounted(times, Err(&error));
                let error = RunError::new(error.kind(), error.message);
                Err(Ended::Failed(error, Box::new(account)))
            }
        }
    }

    /// The id under which the next call is noted.
    pub(super) fn call_id(&self) -> String {
        self.intent.as_ref().map(|intent| intent.id.to_string()).unwrap_or_default()
    }

    /// What a call left behind: its time and what became of it.
    pub(super) fn accounted(
        &self,
        times: &CallTimes,
        done: Result<&ChatReply, &CallError>,
    ) -> Change {
        let call = self.intent.as_ref().map(|intent| talk::call_done(intent, done));
        Change {
            active: times.active,
            parked_time: times.parked,
            circuit_time: times.circuit,
            calls_done: call.into_iter().collect(),
            ..Change::default()
        }
    }
}

/// New turns with the numbers that they get when they are stored.
fn numbered(turns: Vec<Turn>, first: u32) -> impl Iterator<Item = Turn> {
    turns.into_iter().zip(first..).map(|(turn, index)| Turn { index, ..turn })
}

/// How far the judging has come, by the stored evaluation.
pub(super) fn state(evaluation: Option<&Evaluation>) -> JudgingState {
    match evaluation {
        None => JudgingState::NotAsked,
        Some(e) if matches!(e.status, EvaluationStatus::Done | EvaluationStatus::Error) => {
            JudgingState::Done
        }
        Some(e) if e.raw_reply.is_none() => JudgingState::NotAsked,
        Some(e) if e.asked >= 2 => JudgingState::Repaired,
        Some(_) => JudgingState::RawReply,
    }
}
