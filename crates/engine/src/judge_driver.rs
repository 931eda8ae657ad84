//! The judge steps of a run: call, store the raw reply, parse, decide. The pure
//! function [`judge_step`] decides what comes next.

use super::calling::reply_cost;
use super::conversation_driver::millis;
use super::judging::{self, judge_step};
use super::run_steps::{ActiveRun, RunInterrupted, judging_state};
use conversation::JudgingState;
use domain::{
    EndReason, ErrorKind, Evaluation, EvaluationId, EvaluationStatus, FinishReason, RunError,
    Timestamp, TokenPrice, Turn, replace_nul,
};
use judge::{EvaluationResult, JudgeStep, JudgedConversation, PROMPT_VERSION, RawReply};
use llm::ChatReply;
use store::rows::Intent;
use store::transition::{RunChange, RunOutcome};

/// A new evaluation of a run.
fn fresh(id: EvaluationId, model: &str, at: Timestamp) -> Evaluation {
    let pending = Evaluation::pending(id, model, PROMPT_VERSION, at);
    Evaluation { status: EvaluationStatus::Running, is_first: true, ..pending }
}

/// The stored raw replies, oldest first. The first of two may be missing in an evaluation
/// that an earlier version began.
pub(super) fn raw_replies(evaluation: Option<&Evaluation>) -> Vec<RawReply> {
    let is_stored = judging_state(evaluation) == JudgingState::ReplyStored;
    let Some(evaluation) = evaluation.filter(|_| is_stored) else { return Vec::new() };
    let text = evaluation.raw_reply.clone().unwrap_or_default();
    let newest = RawReply { text, truncated: evaluation.truncated };
    if evaluation.judge_calls < 2 {
        return vec![newest];
    }
    vec![evaluation.earlier_reply.as_deref().unwrap_or_default().into(), newest]
}

/// Adds the judge's raw reply, which is stored before it is parsed.
pub(super) fn record_reply(
    evaluation: &mut Evaluation,
    reply: &ChatReply,
    price: Option<&TokenPrice>,
) {
    if let Some(cost) = reply_cost(price, reply) {
        evaluation.priced_calls += 1;
        evaluation.cost_nano_usd = evaluation.cost_nano_usd.plus(cost);
    }
    evaluation.judge_calls += 1;
    evaluation.earlier_reply = evaluation.raw_reply.take();
    evaluation.raw_reply = Some(replace_nul(reply.text.clone()));
    evaluation.truncated = reply.finish == FinishReason::Length;
    evaluation.adjustments.clone_from(&reply.adjustments);
    evaluation.token_parts.add(reply.token_parts);
    evaluation.latency_ms = Some(millis(reply.latency));
    evaluation.input_tokens = evaluation.input_tokens.saturating_add(reply.input_tokens);
    evaluation.output_tokens = evaluation.output_tokens.saturating_add(reply.output_tokens);
}

/// Copies the outcome into the evaluation.
pub(super) fn apply_outcome(evaluation: &mut Evaluation, outcome: EvaluationResult, at: Timestamp) {
    evaluation.status = EvaluationStatus::Done;
    evaluation.score = outcome.score;
    evaluation.judge_score = outcome.judge_score;
    evaluation.verdict = Some(outcome.verdict);
    evaluation.summary = outcome.summary;
    evaluation.items = outcome.items;
    evaluation.checks = outcome.checks;
    evaluation.issues = outcome.issues;
    evaluation.recommendations = outcome.recommendations;
    evaluation.finished_at = Some(at);
}

/// The error after replies of which the last is unreadable.
pub(super) fn unreadable_reply(problem: &str, truncated: bool) -> RunError {
    if truncated {
        let message = "The judge's reply was cut off at the token limit. Raise the judge's max tokens, or choose another judge in the settings, then rejudge.";
        return RunError::new(ErrorKind::Truncated, message);
    }
    let message = format!(
        "The judge's replies could not be used. The last one could not be read: {problem} Rejudge, or choose another judge in the settings."
    );
    RunError::new(ErrorKind::EvaluationUnparseable, message)
}

/// The error of a run whose judge could not be reached. Errors that a user has to
/// fix keep their kind.
pub(super) fn judge_unavailable(error: &RunError) -> RunError {
    match error.kind {
        ErrorKind::ProviderUnavailable | ErrorKind::ProviderRejected | ErrorKind::Timeout => {
            let message = format!(
                "The judge did not reply: {} The conversation is kept; rejudge it.",
                sentence(&error.message)
            );
            RunError::new(ErrorKind::EvaluationUnavailable, message)
        }
        _ => error.clone(),
    }
}

/// Adds a final period.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// The evaluation if the judge is not needed, because there is nothing to judge or
/// the agent said nothing.
pub(super) async fn decide_without_judge(
    run: &ActiveRun,
    transcript: &[Turn],
    end_reason: Option<EndReason>,
) -> Option<Evaluation> {
    let case =
        JudgedConversation { agent: &run.agent, scenario: &run.scenario, transcript, end_reason };
    let model = &run.row.model_snapshot.judge.model;
    let outcome = judging::decide_without_judge(case).await?;
    let now = run.shared.clock.now();
    let mut evaluation = fresh(run.shared.clock.uuid().into(), model, now);
    apply_outcome(&mut evaluation, outcome, now);
    Some(evaluation)
}

/// Ends a run with the verdict of its evaluation.
pub(super) fn finish(change: &mut RunChange, evaluation: Evaluation) {
    if let Some(verdict) = evaluation.verdict {
        change.finish =
            Some(RunOutcome { status: verdict.into(), score: evaluation.score, error: None });
    }
    change.evaluation = Some(Box::new(evaluation));
}

fn case(run: &ActiveRun) -> JudgedConversation<'_> {
    JudgedConversation {
        agent: &run.agent,
        scenario: &run.scenario,
        transcript: &run.transcript,
        end_reason: run.row.end_reason,
    }
}

/// Calls the judge and returns the change with its raw reply.
pub(super) async fn call_judge(run: &ActiveRun) -> Result<RunChange, RunInterrupted> {
    let evaluation = run.evaluation.as_ref();
    let judge = &run.row.model_snapshot.judge;
    let model = &judge.model;
    let step = judge_step(case(run), raw_replies(evaluation), judge).await;
    let JudgeStep::CallJudge(mut request) = step else {
        // The stored reply is readable: the next step parses it.
        return Ok(RunChange::default());
    };
    request.call_id = run.call_id();
    let now = run.shared.clock.now();
    let mut evaluation =
        evaluation.cloned().unwrap_or_else(|| fresh(run.shared.clock.uuid().into(), model, now));
    let (reply, mut change) = match run.call(true, judge.connection_id, &request).await {
        Ok(called) => called,
        Err(RunInterrupted::ErrorAfterCall(error, called)) => {
            let end = ended(evaluation, judge_unavailable(&error), now);
            let RunChange { active, waited, waited_for_circuit, calls_done, .. } = *called;
            return Ok(RunChange { active, waited, waited_for_circuit, calls_done, ..end });
        }
        Err(other) => return Err(other),
    };
    record_reply(&mut evaluation, &reply, judge.price.as_ref());
    change.usage = Some(run.usage_with(&reply));
    change.evaluation = Some(Box::new(evaluation));
    Ok(change)
}

/// Ends an evaluation without a verdict, and its run.
fn ended(mut evaluation: Evaluation, error: RunError, now: Timestamp) -> RunChange {
    evaluation.status = EvaluationStatus::Error;
    evaluation.error = Some(error.clone());
    evaluation.finished_at = Some(now);
    RunChange {
        evaluation: Some(Box::new(evaluation)),
        finish: Some(RunOutcome::error(error.kind, error.message)),
        ..RunChange::default()
    }
}

/// Parses the stored reply: a verdict, the second request, or an error.
pub(super) async fn parse_reply(run: &mut ActiveRun) -> Result<RunChange, RunInterrupted> {
    let Some(mut evaluation) = run.evaluation.clone() else { return Ok(RunChange::default()) };
    let replies = raw_replies(Some(&evaluation));
    let now = run.shared.clock.now();
    let step = judge_step(case(run), replies, &run.row.model_snapshot.judge).await;
    match step {
        JudgeStep::Decided(outcome) => {
            apply_outcome(&mut evaluation, *outcome, now);
            let mut change = RunChange::default();
            finish(&mut change, evaluation);
            Ok(change)
        }
        JudgeStep::Unparseable { problem, truncated } => {
            Ok(ended(evaluation, unreadable_reply(&problem, truncated), now))
        }
        JudgeStep::CallJudge(_) => {
            // The second request is a separate call, so its intent is stored first.
            let turn = run.row.turns;
            let intent =
                Intent { id: run.shared.clock.uuid(), role: store::rows::Role::Judge, turn };
            run.intent = Some(intent.clone());
            run.commit(RunChange { intents: vec![intent], ..RunChange::default() }).await?;
            call_judge(run).await
        }
    }
}
