//! Derives the next step of an evaluation from its stored state.

use super::prompt::{Case, judge_request, questions, repair_request};
use super::reply::parse_reply;
use super::verdict::{
    EvaluationResult, evaluate, evaluate_checks_only, fail_if_agent_silent, needs_judge,
};
use llm_types::ChatRequest;

/// The next step of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgeStep {
    /// Call the judge, store the raw reply and derive the next step again.
    CallJudge(Box<ChatRequest>),
    /// The evaluation has a verdict.
    Decided(Box<EvaluationResult>),
    /// Both replies were unreadable: the run ends with `evaluation_unparseable`.
    Unparseable {
        /// What is wrong with the second reply, as a sentence.
        problem: String,
    },
}

/// Derives the next step from the stored raw replies, oldest first: the first call, one
/// repair call, or the result.
#[must_use]
pub fn judge_step(case: &Case<'_>, raw_replies: &[String], model: &str) -> JudgeStep {
    if let Some(outcome) = fail_if_agent_silent(case) {
        return JudgeStep::Decided(Box::new(outcome));
    }
    if !needs_judge(case.scenario) {
        return JudgeStep::Decided(Box::new(evaluate_checks_only(case)));
    }
    let Some(newest) = raw_replies.last() else {
        return JudgeStep::CallJudge(Box::new(judge_request(case, model)));
    };
    match (parse_reply(newest, questions(case.scenario).len()), raw_replies.len()) {
        (Ok(reply), _) => JudgeStep::Decided(Box::new(evaluate(case, reply))),
        (Err(problem), 1) => {
            let first = judge_request(case, model);
            JudgeStep::CallJudge(Box::new(repair_request(&first, newest, &problem)))
        }
        (Err(problem), _) => JudgeStep::Unparseable { problem },
    }
}
