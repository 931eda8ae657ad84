//! The outbound path: what is asked of a model, how, and what became of it.
//!
//! - [`types`]: requests, replies and errors, the same for every protocol.
//! - `anthropic`, `openai`, `demo`: one thin adapter a protocol.
//! - `classify`: from status, headers and body to a decision.
//! - `outbound`: limiter → breaker → call → classify → retry, in one place.

pub mod types;

pub use types::{
    CallError, ChatReply, ChatRequest, Decision, Endpoint, Message, OutputSchema, Provider,
    ToolSpec,
};
