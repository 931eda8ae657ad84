//! The judge: requests, reply parsing, evidence checks and the verdict. Pure: no I/O,
//! no database, no clock.
//!
//! [`judge_step`] derives the next step of an evaluation from its stored replies. Its
//! parts:
//!
//! - [`judge_request`] and [`repair_request`] build the requests. Every evaluation
//!   stores the [`PROMPT_VERSION`].
//! - [`parse_reply`] parses the reply strictly.
//! - [`evaluate`], [`evaluate_checks_only`] and [`fail_if_agent_silent`] compute the
//!   verdict.
//! - [`parse_prompt`] reads a judge request for the demo model.

mod checks;
mod evidence;
mod normalization;
mod prompt;
mod reply;
mod step;
mod verdict;

pub use checks::run_checks;
pub use normalization::{contains_normalized, normalize};
pub use prompt::{
    Case, EVALUATION_SCHEMA, PROMPT_VERSION, ParsedPrompt, Question, judge_request, parse_prompt,
    questions, repair_request, reply_schema,
};
pub use reply::{ItemAnswer, JudgeReply, Quote, parse_reply};
pub use step::{JudgeStep, judge_step};
pub use verdict::{
    EvaluationResult, evaluate, evaluate_checks_only, fail_if_agent_silent, needs_judge,
};

#[cfg(test)]
mod checks_tests;
#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod normalization_tests;
#[cfg(test)]
mod prompt_tests;
#[cfg(test)]
mod recordings_tests;
#[cfg(test)]
mod reply_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod verdict_tests;
