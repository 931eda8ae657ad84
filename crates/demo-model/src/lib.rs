//! The demo model: a deterministic provider without network access. It lets users try
//! Rehearsal without an API key; pages mark its results as demo results.
//!
//! The agent makes some mistakes on purpose: it does not verify the identity of callers,
//! promises refunds and ignores complaints. The judge finds these mistakes by reading and
//! quoting the transcript.

mod agent;
mod caller_details;
#[cfg(test)]
mod conversation_tests;
mod judge;
mod lexicon;
mod request_kind;
#[cfg(test)]
mod tests;
mod tools;
mod topics;
mod user;

use async_trait::async_trait;
use domain::{FinishReason, ToolCall};
use llm_types::reply::assemble;
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Message, Provider};
use request_kind::RequestKind;
use serde_json::Value;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct DemoModel {
    /// Factor of the simulated latency; 0 disables it.
    latency_factor: f64,
}

impl DemoModel {
    /// Creates a model whose simulated latency (150–700 ms) is multiplied by `latency_factor`.
    #[must_use]
    pub fn new(latency_factor: f64) -> Self {
        Self {
            latency_factor: if latency_factor.is_finite() { latency_factor.max(0.0) } else { 1.0 },
        }
    }
}

impl Default for DemoModel {
    fn default() -> Self {
        Self::new(1.0)
    }
}

/// Text and tool calls of a reply.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reply {
    text: String,
    calls: Vec<ToolCall>,
}

#[async_trait]
impl Provider for DemoModel {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        let reply = answer(request);
        tokio::time::sleep(latency(request, &reply).mul_f64(self.latency_factor)).await;
        let input_bytes: usize = request.messages.iter().map(length).sum();
        let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX);
        let usage = (tokens(input_bytes + request.system.len()), tokens(reply.text.len()).max(1));
        Ok(assemble(reply.text, reply.calls, FinishReason::Stop, usage))
    }
}

/// Answers in the role that the request asks for.
fn answer(request: &ChatRequest) -> Reply {
    let json = |value: Value| Reply { text: value.to_string(), calls: Vec::new() };
    match request_kind::classify(request) {
        RequestKind::Agent => agent::answer(request),
        RequestKind::Judge { prompt, schema } => {
            json(request_kind::fit_to_schema(judge::judge(&prompt), &schema))
        }
        RequestKind::User { role, schema } => {
            json(request_kind::fit_to_schema(user::turn(&role, &request.messages), &schema))
        }
        RequestKind::Json { schema } => json(tools::simulated_result(&schema)),
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::User(text) | Message::Assistant { text, .. } => text.len(),
        Message::Tool { content, .. } => content.len(),
    }
}

/// A latency of 150–700 ms, derived from the request and the reply.
fn latency(request: &ChatRequest, reply: &Reply) -> Duration {
    let words = request.messages.last().map(|message| format!("{message:?}{}", reply.text));
    // FNV-1a: sufficiently uniform and identical on every machine.
    let hash = words.unwrap_or_default().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Duration::from_millis(150 + (hash >> 32) % 551)
}
