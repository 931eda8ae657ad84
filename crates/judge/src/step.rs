//! One judging, from what is stored of it to what is done next. The same for
//! a run's first evaluation and for later ones.

use super::parse::parse;
use super::prompt::{Case, judge_request, questions, repair_request};
use super::verdict::{Outcome, evaluate, evaluate_checks, needs_judge, nothing_said};
use llm_types::ChatRequest;

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgeStep {
    /// Call the judge with this, then store the raw reply, then ask again
    /// what is next.
    Ask(Box<ChatRequest>),
    /// There is a verdict.
    Decided(Box<Outcome>),
    /// Two replies could not be read: `evaluation_unparseable`, with what is
    /// wrong with the second.
    Unparseable {
        /// A sentence.
        problem: String,
    },
}

/// What comes next, given the judge's raw replies that are stored, oldest
/// first: the question, its one repair, or the end.
#[must_use]
pub fn judge_step(case: &Case<'_>, raw_replies: &[String], model: &str) -> JudgeStep {
    if let Some(outcome) = nothing_said(case) {
        return JudgeStep::Decided(Box::new(outcome));
    }
    if !needs_judge(case.scenario) {
        return JudgeStep::Decided(Box::new(evaluate_checks(case)));
    }
    let Some(newest) = raw_replies.last() else {
        return JudgeStep::Ask(Box::new(judge_request(case, model)));
    };
    match (parse(newest, questions(case.scenario).len()), raw_replies.len()) {
        (Ok(reply), _) => JudgeStep::Decided(Box::new(evaluate(case, reply))),
        (Err(problem), 1) => {
            let first = judge_request(case, model);
            JudgeStep::Ask(Box::new(repair_request(&first, newest, &problem)))
        }
        (Err(problem), _) => JudgeStep::Unparseable { problem },
    }
}
