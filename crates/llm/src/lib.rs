//! The outbound path: what is asked of a model, how, and what became of it.
//!
//! - [`types`]: requests, replies and errors, the same for every protocol.
//! - [`anthropic`], [`openai`], [`demo`]: one thin adapter a protocol, chosen
//!   by [`connector`], over the one client of [`http`].
//! - [`classify`]: from status, headers and body to a decision.
//! - [`outbound`]: limiter → breaker → call → classify → retry, in one place.

pub mod anthropic;
pub mod classify;
pub mod connector;
pub mod http;
pub mod openai;
mod openai_wire;
pub mod outbound;
pub mod private_urls;
pub mod rate_headers;
#[cfg(test)]
mod raw_tests;
pub mod retry_after;
#[cfg(test)]
mod stand_tests;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod words;

pub use connector::Connector;
pub use http::{HttpClient, HttpOptions, install_crypto};
pub use outbound::{CallLimits, CallTimes, CallWatcher, Outbound, Scope, Unwatched};
pub use llm_types::{
    CallError, Cause, ChatReply, ChatRequest, Decision, Endpoint, Message, OutputSchema, Provider,
    ToolSpec,
};
