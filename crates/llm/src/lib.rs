//! The outbound path of model calls.
//!
//! - [`outbound`]: limiter → breaker → attempt → classify → retry.
//! - [`connector`]: chooses the adapter of a connection: [`anthropic`], [`openai`],
//!   [`http_agent`], or the demo model that is passed in. The adapters share the client of [`http`].
//! - [`adjustment`]: leaves out of a request what its server rejects.
//! - [`classify`]: maps status, headers and body to a retry decision.

mod adjusted_call;
pub mod adjustment;
pub mod anthropic;
#[cfg(test)]
mod anthropic_tests;
mod authentication;
pub mod classify;
pub mod connector;
pub mod http;
pub mod http_agent;
#[cfg(test)]
mod mock_provider_tests;
mod model_list;
pub mod network;
pub mod openai;
mod openai_wire;
#[cfg(test)]
mod openai_wire_tests;
pub mod outbound;
mod over_http;
pub mod private_urls;
pub mod rate_headers;
#[cfg(test)]
mod raw_tcp_tests;
mod response_events;
mod responses_wire;
pub mod retry_after;
mod stream;
#[cfg(any(test, feature = "testing"))]
pub use llm_types::testing;
mod error_body;
mod error_text;
mod event_stream;

pub use adjustment::{AdjustmentKey, AdjustmentSink, Adjustments, Learned};
pub use connector::Connector;
pub use http::{HttpClient, HttpOptions, HttpRequest, SentRequest, install_crypto};
pub use llm_types::reasoning;
pub use llm_types::{
    CallError, Cause, ChatReply, ChatRequest, Decision, Endpoint, HttpCall, HttpCallKind,
    HttpReply, LoggedResponse, Message, OutputSchema, Progress, Provider, ResponseLog, ToolSpec,
};
pub use network::OutboundNetwork;
pub use outbound::Outbound;
pub use over_http::outbound_over_http;
