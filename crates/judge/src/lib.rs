//! The judge: requests, reply parsing, evidence checks and the verdict. Pure: no I/O,
//! no database, no clock.
//!
//! [`judge_step`] derives the next step of an evaluation from its stored replies. Its
//! parts:
//!
//! - [`judge_request`] and [`second_request`] build the requests. Every evaluation
//!   stores the [`PROMPT_VERSION`].
//! - [`parse_reply`] parses a complete reply strictly; of an incomplete first reply,
//!   [`judge_step`] uses what it can.
//! - [`evaluate`] and [`decide_without_judge`] compute the verdict.
//! - [`parse_prompt`] reads a judge request for the demo model.

mod budget;
mod evidence;
mod markdown;
mod normalization;
mod prompt;
mod reply;
mod rules;
mod step;
mod text_search;
mod verdict;
mod without_judge;
mod word_match;

pub use normalization::normalize;
pub use prompt::{
    EVALUATION_SCHEMA, JudgedConversation, PROMPT_VERSION, ParsedPrompt, UnjudgedItem, items_of,
    judge_request, parse_prompt, reply_schema, second_request,
};
pub use reply::{ItemAnswer, JudgeReply, Quote, parse_reply};
pub use rules::check_rules;
pub use step::{JudgeModel, JudgeStep, RawReply, judge_step};
pub use verdict::{EvaluationResult, evaluate};
pub use without_judge::{decide_without_judge, needs_judge};

#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod markdown_tests;
#[cfg(test)]
mod normalization_tests;
#[cfg(test)]
mod prompt_tests;
#[cfg(test)]
mod recordings_tests;
#[cfg(test)]
mod reply_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod text_search_tests;
#[cfg(test)]
mod tool_evidence_tests;
#[cfg(test)]
mod verdict_tests;
#[cfg(test)]
mod without_judge_tests;
