//! The judging of a run: asked, stored raw, read, decided. Led by
//! [`judge_step`], which knows no database.

use super::run::{Ended, Live, state};
use super::talk::millis;
use conversation::JudgingState;
use judge::{Case, JudgeStep, Outcome, PROMPT_VERSION, judge_step};
use llm::ChatReply;
use llm::outbound::CallTimes;
use store::rows::Intent;
use store::transition::{Change, Final};
use domain::{
    EndReason, ErrorKind, Evaluation, EvaluationId, EvaluationStatus, RunError, Timestamp, Turn,
    replace_nul,
};

/// A run's own evaluation that was just begun.
fn fresh(id: EvaluationId, model: &str, at: Timestamp) -> Evaluation {
    let asked = Evaluation::asked(id, model, PROMPT_VERSION, at);
    Evaluation { status: EvaluationStatus::Running, is_first: true, ..asked }
}

/// The raw replies that are stored, oldest first: of two only the newest.
pub(super) fn raw_replies(evaluation: Option<&Evaluation>) -> Vec<String> {
    let newest = evaluation.and_then(|e| e.raw_reply.clone());
    match (state(evaluation), newest) {
        (JudgingState::NotAsked | JudgingState::Done, _) | (_, None) => Vec::new(),
        (JudgingState::RawReply, Some(raw)) => vec![raw],
        (JudgingState::Repaired, Some(raw)) => vec![String::new(), raw],
    }
}

/// The judge's reply, stored before it is read.
pub(super) fn heard(evaluation: &mut Evaluation, reply: &ChatReply) {
    evaluation.asked += 1;
    evaluation.raw_reply = Some(replace_nul(reply.text.clone()));
    evaluation.latency_ms = Some(millis(reply.latency));
    evaluation.input_tokens = evaluation.input_tokens.saturating_add(reply.input_tokens);
    evaluation.output_tokens = evaluation.output_tokens.saturating_add(reply.output_tokens);
}

/// What was decided, put into the evaluation.
pub(super) fn decide(evaluation: &mut Evaluation, outcome: Outcome, at: Timestamp) {
    evaluation.status = EvaluationStatus::Done;
    evaluation.score = Some(outcome.score);
    evaluation.judge_score = outcome.judge_score;
    evaluation.verdict = Some(outcome.verdict);
    evaluation.summary = outcome.summary;
    evaluation.items = outcome.items;
    evaluation.checks = outcome.checks;
    evaluation.issues = outcome.issues;
    evaluation.recommendations = outcome.recommendations;
    evaluation.finished_at = Some(at);
}

/// That two replies could not be read.
pub(super) fn unparseable(problem: &str) -> RunError {
    let message = format!(
        "The judge's answer could not be read, twice: {problem} Judge again, or choose another judge in the settings."
    );
    RunError::new(ErrorKind::EvaluationUnparseable, message)
}

/// The error of a judge that could not be reached, as its run ends with it:
/// what a person has to repair keeps its kind.
pub(super) fn unreached(error: &RunError) -> RunError {
    match error.kind {
        ErrorKind::ProviderUnavailable | ErrorKind::ProviderRejected | ErrorKind::Timeout => {
            let message = format!(
                "The judge gave no answer: {} The conversation is kept; judge it again.",
                sentence(&error.message)
            );
            RunError::new(ErrorKind::EvaluationUnavailable, message)
        }
        _ => error.clone(),
    }
}

/// With a full stop at its end.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// The evaluation that decides without the judge, where there is nothing to
/// ask or nobody said anything.
pub(super) fn without_asking(
    live: &Live,
    transcript: &[Turn],
    end_reason: Option<EndReason>,
) -> Option<Evaluation> {
    let case = Case { agent: &live.agent, scenario: &live.scenario, transcript, end_reason };
    let model = &live.row.frozen.judge.model;
    let JudgeStep::Decided(outcome) = judge_step(&case, &[], model) else { return None };
    let now = live.shared.clock.now();
    let mut evaluation = fresh(live.shared.clock.uuid().into(), model, now);
    decide(&mut evaluation, *outcome, now);
    Some(evaluation)
}

/// Ends a run by its decided evaluation.
pub(super) fn finish(change: &mut Change, evaluation: Evaluation) {
    if let Some(verdict) = evaluation.verdict {
        change.finish =
            Some(Final { status: verdict.into(), score: evaluation.score, error: None });
    }
    change.evaluation = Some(Box::new(evaluation));
}

fn case(live: &Live) -> Case<'_> {
    Case {
        agent: &live.agent,
        scenario: &live.scenario,
        transcript: &live.transcript,
        end_reason: live.row.end_reason,
    }
}

/// Asks the judge and stores what it said.
pub(super) async fn ask(live: &Live) -> Result<Change, Ended> {
    let evaluation = live.evaluation.as_ref();
    let model = &live.row.frozen.judge.model;
    let JudgeStep::Ask(mut request) = judge_step(&case(live), &raw_replies(evaluation), model)
    else {
        // Readable after all: the next step reads it.
        return Ok(Change::default());
    };
    request.call_id = live.call_id();
    let mut times = CallTimes::default();
    let now = live.shared.clock.now();
    let mut evaluation =
        evaluation.cloned().unwrap_or_else(|| fresh(live.shared.clock.uuid().into(), model, now));
    let connection = live.row.frozen.judge.connection_id;
    let asked = live.ask(true, connection, &request, &mut times).await;
    let reply = match asked {
        Ok(reply) => reply,
        Err(Ended::Failed(error, account)) => {
            let end = ended(evaluation, unreached(&error), now);
            let Change { active, parked_time, calls_done, .. } = *account;
            return Ok(Change { active, parked_time, calls_done, ..end });
        }
        Err(other) => return Err(other),
    };
    heard(&mut evaluation, &reply);
    let mut change = live.accounted(&times, Ok(&reply));
    let mut usage = live.usage;
    usage.judge.add(reply.input_tokens, reply.output_tokens);
    change.usage = Some(usage);
    change.evaluation = Some(Box::new(evaluation));
    Ok(change)
}

/// An evaluation without a verdict, and its run's end.
fn ended(mut evaluation: Evaluation, error: RunError, now: Timestamp) -> Change {
    evaluation.status = EvaluationStatus::Error;
    evaluation.error = Some(error.clone());
    evaluation.finished_at = Some(now);
    Change {
        evaluation: Some(Box::new(evaluation)),
        finish: Some(Final {
            status: domain::RunStatus::Error,
            score: None,
            error: Some(error),
        }),
        ..Change::default()
    }
}

/// Reads the stored reply: a verdict, one more question, or an error.
pub(super) async fn conclude(live: &mut Live) -> Result<Change, Ended> {
    let Some(mut evaluation) = live.evaluation.clone() else { return Ok(Change::default()) };
    let replies = raw_replies(Some(&evaluation));
    let now = live.shared.clock.now();
    match judge_step(&case(live), &replies, &live.row.frozen.judge.model) {
        JudgeStep::Decided(outcome) => {
            decide(&mut evaluation, *outcome, now);
            let mut change = Change::default();
            finish(&mut change, evaluation);
            Ok(change)
        }
        JudgeStep::Unparseable { problem } => Ok(ended(evaluation, unparseable(&problem), now)),
        JudgeStep::Ask(_) => {
            // The repair is a call of its own: noted before it is made.
            let turn = live.row.turns;
            let intent = Intent {
                id: live.shared.clock.uuid(),
                role: store::rows::Role::Judge,
                turn,
            };
            live.intent = Some(intent.clone());
            live.commit(Change { intents: vec![intent], ..Change::default() }).await?;
            ask(live).await
        }
    }
}
