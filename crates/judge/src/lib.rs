//! The judge: what it is asked, how its reply is read, whether its quotes
//! stand, and what follows. Pure: no I/O, no database, no clock.
//!
//! [`judge_step`] leads through one judging from what is stored of it; its
//! parts are here for those who need them singly:
//!
//! - [`judge_request`], [`repair_request`]: the question, and the same once
//!   more with what was wrong with the reply. [`PROMPT_VERSION`] is stored
//!   with every evaluation.
//! - [`parse`]: the reply, strictly read.
//! - [`evaluate`], [`nothing_said`], [`evaluate_checks`]: the verdict.
//! - [`read_prompt`]: the question read back, for stand-ins that answer
//!   without a model.

mod checks;
mod evidence;
mod fold;
mod parse;
mod prompt;
mod step;
mod verdict;

pub use checks::run_checks;
pub use fold::{contains_folded, fold};
pub use parse::{ItemAnswer, JudgeReply, Quote, parse};
pub use prompt::{
    Case, EVALUATION, JudgeQuestion, PROMPT_VERSION, Question, judge_request, questions,
    read_prompt, repair_request, reply_schema,
};
pub use step::{JudgeStep, judge_step};
pub use verdict::{Outcome, evaluate, evaluate_checks, needs_judge, nothing_said};

#[cfg(test)]
mod checks_tests;
#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod fold_tests;
#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod prompt_tests;
#[cfg(test)]
mod recordings_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod verdict_tests;
