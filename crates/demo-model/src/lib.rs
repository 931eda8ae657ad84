//! The stand-in: a provider without a network and without a model, the same
//! answer to the same question every time. It lets a person see the whole way
//! in a minute and without a key, and says on the page that it is a stand-in.
//!
//! It is no cheat. Its agent is good at some things and bad at others (it
//! does not ask who somebody is, promises refunds, talks past complaints), and
//! its judge reads the transcript it is given, quotes it, and finds that out.

mod agent;
mod judge;
mod lexicon;
mod notes;
mod reading;
#[cfg(test)]
mod tests;
mod tools;
mod topics;
mod user;
#[cfg(test)]
mod verdict_tests;

use llm_types::reply::assemble;
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Message, Provider};
use domain::{Finish, ToolCall};
use async_trait::async_trait;
use reading::Asked;
use serde_json::Value;
use std::time::Duration;

/// The stand-in.
#[derive(Clone, Copy, Debug)]
pub struct Demo {
    /// By how much the natural delays are stretched; 0 = none.
    pace: f64,
}

impl Demo {
    /// A stand-in whose delays (150–700 ms) are multiplied by `pace`.
    #[must_use]
    pub fn new(pace: f64) -> Self {
        Self { pace: if pace.is_finite() { pace.max(0.0) } else { 1.0 } }
    }
}

impl Default for Demo {
    /// With natural delays.
    fn default() -> Self {
        Self::new(1.0)
    }
}

/// Words and calls, before they are a reply.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    text: String,
    calls: Vec<ToolCall>,
}

#[async_trait]
impl Provider for Demo {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        let said = answer(request);
        tokio::time::sleep(natural_delay(request, &said).mul_f64(self.pace)).await;
        let asked: usize = request.messages.iter().map(length).sum();
        let tokens = |characters: usize| u64::try_from(characters.div_ceil(4)).unwrap_or(u64::MAX);
        let used = (tokens(asked + request.system.len()), tokens(said.text.len()).max(1));
        Ok(assemble(said.text, said.calls, Finish::Stop, used))
    }
}

/// The answer in the role that the request asks for.
fn answer(request: &ChatRequest) -> Said {
    let json = |value: Value| Said { text: value.to_string(), calls: Vec::new() };
    match reading::read(request) {
        Asked::Agent => agent::answer(request),
        Asked::Judge { question, schema } => json(reading::fit(judge::judge(&question), &schema)),
        Asked::User { role, schema } => {
            json(reading::fit(user::turn(&role, &request.messages), &schema))
        }
        Asked::Form { schema } => json(tools::invented(&schema)),
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::User(text) | Message::Assistant { text, .. } => text.len(),
        Message::Tool { content, .. } => content.len(),
    }
}

/// 150–700 ms, the same for the same exchange.
fn natural_delay(request: &ChatRequest, said: &Said) -> Duration {
    let words = request.messages.last().map(|message| format!("{message:?}{}", said.text));
    // FNV-1a: spreads well enough, and is the same on every machine.
    let hash = words.unwrap_or_default().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Duration::from_millis(150 + (hash >> 32) % 551)
}
