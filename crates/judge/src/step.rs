//! Derives the next step of an evaluation from its stored state.

use super::prompt::{
    JudgedConversation, items_of, judge_request, second_request, second_request_for_items,
};
use super::reply::{PartialReply, complete, parse_partial, parse_reply};
use super::verdict::{EvaluationResult, evaluate, misquote, shorten};
use super::without_judge::decide_without_judge;
use conversation::with_schema_bounds;
use domain::ModelOptions;
use llm_types::ChatRequest;
use llm_types::reasoning::JUDGE_FLOOR;

/// The next step of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgeStep {
    /// Call the judge, store the raw reply and derive the next step again.
    CallJudge(Box<ChatRequest>),
    /// The evaluation has a verdict.
    Decided(Box<EvaluationResult>),
    /// The last reply was unreadable: the run ends with `evaluation_unparseable`, or with
    /// `truncated`.
    Unparseable {
        /// What is wrong with the last reply, as a sentence.
        problem: String,
        /// Whether the last reply was cut off at the token limit.
        truncated: bool,
    },
}

/// A stored reply of the judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawReply {
    pub text: String,
    /// Whether it was cut off at the token limit.
    pub truncated: bool,
}

impl From<&str> for RawReply {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), truncated: false }
    }
}

/// The model that judges, and what the user chose for it.
#[derive(Clone, Copy, Debug)]
pub struct JudgeModel<'a> {
    pub model: &'a str,
    pub options: &'a ModelOptions,
}

/// Derives the next step from the stored raw replies, oldest first: the first call, one
/// second call, or the result.
#[must_use]
pub fn judge_step(
    case: &JudgedConversation<'_>,
    raw_replies: &[RawReply],
    judge: JudgeModel<'_>,
) -> JudgeStep {
    if let Some(outcome) = decide_without_judge(case) {
        return JudgeStep::Decided(Box::new(outcome));
    }
    let request = || judge_request(case, judge.model).with_options(judge.options, JUDGE_FLOOR);
    let call = |request: ChatRequest| JudgeStep::CallJudge(Box::new(request));
    match raw_replies {
        [] => call(request()),
        [first] => match first_result(case, first) {
            FirstResult::Decided(outcome) => JudgeStep::Decided(outcome),
            FirstResult::Partial { problem, items, .. } => {
                call(second_request_for_items(&request(), &first.text, &problem, &items))
            }
            FirstResult::Unreadable { problem } if first.truncated => {
                match request().with_doubled_limit() {
                    Some(longer) => call(with_schema_bounds(longer)),
                    None => JudgeStep::Unparseable { problem, truncated: true },
                }
            }
            FirstResult::Unreadable { problem } => {
                call(second_request(&request(), &first.text, &problem))
            }
        },
        [.., first, last] => match second_result(case, first, last) {
            Ok(outcome) => JudgeStep::Decided(Box::new(outcome)),
            Err(problem) => JudgeStep::Unparseable { problem, truncated: last.truncated },
        },
    }
}

/// What follows from the first reply.
enum FirstResult {
    Decided(Box<EvaluationResult>),
    /// Some items have no answer, or one that cannot be verified.
    Partial {
        problem: String,
        items: Vec<usize>,
        reply: PartialReply,
    },
    Unreadable {
        problem: String,
    },
}

fn first_result(case: &JudgedConversation<'_>, first: &RawReply) -> FirstResult {
    let count = items_of(case.scenario).len();
    let reply = match parse_partial(&first.text, count) {
        Ok(reply) => reply,
        Err(problem) => return FirstResult::Unreadable { problem },
    };
    let missing: Vec<usize> = (0..count).filter(|index| reply.items[*index].is_none()).collect();
    if !missing.is_empty() && missing.len() < count {
        let numbers: Vec<String> = missing.iter().map(usize::to_string).collect();
        let problem = match numbers.as_slice() {
            [one] => format!("Item {one} was not answered."),
            several => format!("Items {} were not answered.", several.join(", ")),
        };
        return FirstResult::Partial { problem, items: missing, reply };
    }
    let outcome = match complete(reply.clone()) {
        Ok(reply) => evaluate(case, reply),
        Err(problem) => return FirstResult::Unreadable { problem },
    };
    match misquotes(&outcome) {
        Some((problem, items)) => FirstResult::Partial { problem, items, reply },
        None => FirstResult::Decided(Box::new(outcome)),
    }
}

/// The result of both replies. What the second request asked for must be in its reply; what
/// the first one answered well stays.
fn second_result(
    case: &JudgedConversation<'_>,
    first: &RawReply,
    last: &RawReply,
) -> Result<EvaluationResult, String> {
    let count = items_of(case.scenario).len();
    let FirstResult::Partial { mut reply, items, .. } = first_result(case, first) else {
        return Ok(evaluate(case, parse_reply(&last.text, count)?));
    };
    for index in items {
        reply.items[index] = None;
    }
    let last = parse_partial(&last.text, count)?;
    Ok(evaluate(case, complete(reply.merge(last))?))
}

/// Names the quotes of required items that are nowhere in the transcript, for the second
/// request, and these items.
fn misquotes(outcome: &EvaluationResult) -> Option<(String, Vec<usize>)> {
    const MAX_NAMED: usize = 5;
    let quoted = |(index, item)| Some((index, shorten(&misquote(item)?.quote)));
    let missing: Vec<(usize, String)> =
        outcome.items.iter().enumerate().filter_map(quoted).collect();
    let sentences: Vec<String> = missing
        .iter()
        .take(MAX_NAMED)
        .map(|(index, quote)| format!("The quote \"{quote}\" of item {index} was not found."))
        .collect();
    let advice = "Copy each quote letter by letter, in whole words and from one turn that the item allows, or answer null if there is nothing to quote.";
    let items = missing.iter().map(|(index, _)| *index).collect();
    (!missing.is_empty()).then(|| (format!("{} {advice}", sentences.join(" ")), items))
}
