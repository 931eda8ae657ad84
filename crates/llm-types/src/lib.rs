//! Requests, replies and errors of model calls, independent of the protocol.

mod chat_reply;
mod endpoint;
mod error;
mod http_call;
mod provider;
pub mod reasoning;
pub mod reply;
mod request;
#[cfg(feature = "testing")]
pub mod testing;

pub use chat_reply::{ChatReply, RateLimit, RateLimits};
pub use endpoint::Endpoint;
pub use error::{CallError, Cause, Decision};
pub use http_call::{
    HttpCall, HttpCallKind, HttpReply, LoggedResponse, RenderedRequest, ResponseLog,
};
pub use provider::{Progress, Provider};
pub use request::{ChatRequest, Message, OutputSchema, ToolSpec};
