//! Conversation logic without I/O, database or clock: the next step of a run,
//! the requests to the models, and the results of tool calls.
//!
//! - [`next_step`] derives the next [`Step`] from the stored state of a run.
//! - [`agent_request`] builds the request to the agent's model.
//! - [`simulated_user_request`] and [`parse_simulated_user`] handle the model that
//!   plays the user.
//! - [`answer_call`] and [`refuse_call`] answer tool calls.
//!   [`simulated_result_request`] and [`parse_simulated_result`] let a model simulate
//!   the result.
//! - [`RunVariables`] are the variables of a run, and [`SecretValues`] keep secret ones out
//!   of what is stored.
//! - [`scenario_of_conversation`] makes a scenario from a chat.
//!
//! Requests leave [`ChatRequest::call_id`](llm_types::ChatRequest) empty; the caller
//! sets it.

mod chat_scenario;
pub mod json_reply;
mod request;
mod run_variables;
mod schema_bounds;
mod schema_measure;
mod secret_values;
pub mod sections;
mod simulated_tool;
mod simulated_user;
mod step;
mod tool_schema;
mod tools;

pub use chat_scenario::scenario_of_conversation;
pub use request::agent_request;
pub use run_variables::{RunVariables, is_time_zone};
pub use schema_bounds::with_schema_bounds;
pub use secret_values::SecretValues;
pub use simulated_tool::{
    SIMULATED_RESULT_SCHEMA, parse_simulated_result, simulated_result_request,
};
pub use simulated_user::{
    SIMULATED_USER_SCHEMA, SimulatedRole, UserDecision, parse_simulated_user,
    parse_simulated_user_prompt, simulated_user_request,
};
pub use step::{JudgingState, MAX_TOOL_ROUNDS, Step, next_step};
pub use tool_schema::check_tool_schema;
pub use tools::{ToolOutcome, ToolReply, answer_call, conversation_ended, refuse_call};

#[cfg(any(test, feature = "testing"))]
pub mod fixtures;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod simulated_user_tests;
#[cfg(test)]
mod step_properties_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod tool_schema_tests;
#[cfg(test)]
mod tools_tests;
