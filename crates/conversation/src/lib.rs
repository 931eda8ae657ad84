//! The pure part of a conversation: what is said next, what each model is
//! asked, what tool calls are answered, and when it ends. No I/O, no database,
//! no clock.
//!
//! - [`next_step`]: from what is stored of a run to its next [`Step`].
//! - [`agent_request`]: what the agent's model is asked.
//! - [`simulated_user_request`], [`parse_simulated_user`]: the model that
//!   plays the user.
//! - [`answer_call`], [`refuse_call`]: answers to tool calls;
//!   [`invented_result_request`], [`parse_invented_result`] where they are
//!   made up.
//!
//! Requests leave [`ChatRequest::call_id`](llm_types::ChatRequest) empty:
//! who makes the call knows it. A reply of the simulated user or of an
//! invented tool that does not parse can be asked for once more with
//! [`repair_request`](judge::repair_request).

pub mod blocks;
mod invent;
pub mod json_reply;
mod request;
mod simulated;
mod step;
mod tools;

pub use invent::{INVENTED_RESULT, invented_result_request, parse_invented_result};
pub use request::agent_request;
pub use simulated::{
    Done, SIMULATED_USER, SimulatedRole, parse_simulated_user, read_simulated_prompt,
    simulated_user_request,
};
pub use step::{JudgingState, MAX_TOOL_ROUNDS, Step, next_step};
pub use tools::{ToolOutcome, ToolReply, answer_call, refuse_call};

#[cfg(any(test, feature = "testing"))]
pub mod fixtures;
#[cfg(test)]
mod simulated_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod tools_tests;
