//! Derives the next step of an evaluation from its stored state.

use super::prompt::{Case, judge_request, questions, repair_request};
use super::reply::parse_reply;
use super::verdict::{EvaluationResult, evaluate, misquote, shorten};
use super::without_judge::decide_without_judge;
use llm_types::ChatRequest;

/// The next step of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgeStep {
    /// Call the judge, store the raw reply and derive the next step again.
    CallJudge(Box<ChatRequest>),
    /// The evaluation has a verdict.
    Decided(Box<EvaluationResult>),
    /// The last reply was unreadable: the run ends with `evaluation_unparseable`.
    Unparseable {
        /// What is wrong with the last reply, as a sentence.
        problem: String,
    },
}

/// Derives the next step from the stored raw replies, oldest first: the first call, one
/// repair call, or the result.
#[must_use]
pub fn judge_step(case: &Case<'_>, raw_replies: &[String], model: &str) -> JudgeStep {
    if let Some(outcome) = decide_without_judge(case) {
        return JudgeStep::Decided(Box::new(outcome));
    }
    let Some(newest) = raw_replies.last() else {
        return JudgeStep::CallJudge(Box::new(judge_request(case, model)));
    };
    let is_first = raw_replies.len() == 1;
    let repair = |problem: &str| {
        let first = judge_request(case, model);
        JudgeStep::CallJudge(Box::new(repair_request(&first, newest, problem)))
    };
    match parse_reply(newest, questions(case.scenario).len()) {
        Ok(reply) => {
            let outcome = evaluate(case, reply);
            match misquotes(&outcome).filter(|_| is_first) {
                Some(problem) => repair(&problem),
                None => JudgeStep::Decided(Box::new(outcome)),
            }
        }
        Err(problem) if is_first => repair(&problem),
        Err(problem) => JudgeStep::Unparseable { problem },
    }
}

/// Names the quotes of required items that are nowhere in the transcript, for the repair
/// request.
fn misquotes(outcome: &EvaluationResult) -> Option<String> {
    const MAX_NAMED: usize = 5;
    let missing = outcome.items.iter().enumerate().filter_map(|(index, item)| {
        let quote = shorten(&misquote(item)?.quote);
        Some(format!("The quote \"{quote}\" of item {index} was not found."))
    });
    let missing: Vec<_> = missing.take(MAX_NAMED).collect();
    let advice = "Copy each quote letter by letter, in whole words and from one turn that the item allows, or answer null if there is nothing to quote.";
    (!missing.is_empty()).then(|| format!("{} {advice}", missing.join(" ")))
}
