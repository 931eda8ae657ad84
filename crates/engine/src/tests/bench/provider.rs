//! A provider that answers by a script and writes down what it saw; and what it
//! may say.

use async_trait::async_trait;
use clock::{Clock, TokioClock};
use domain::{ErrorKind, FinishReason, Timestamp};
use futures::future::BoxFuture;
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Provider};
use mock_provider::judge_reply;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What the provider saw of a call.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) call_id: String,
    /// `agent`, or the name of the asked-for form.
    pub(crate) role: String,
    /// Where it went.
    pub(crate) base_url: String,
    pub(crate) at: Timestamp,
}

pub(super) type Answer = BoxFuture<'static, Result<ChatReply, CallError>>;
pub(crate) type Script = dyn Fn(usize, ChatRequest) -> Answer + Send + Sync;

/// A provider that answers by a function of the call's number and its request,
/// and writes down what it saw.
pub(crate) struct Scripted {
    pub(super) script: Mutex<Arc<Script>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) flying: AtomicU32,
    pub(crate) most_flying: AtomicU32,
    pub(super) clock: TokioClock,
}

/// Counts a call as in flight until it is answered or dropped.
struct Flight<'a>(&'a AtomicU32);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        let number = {
            let mut seen = self.seen.lock();
            seen.push(Seen {
                call_id: request.call_id.clone(),
                role: request.output.as_ref().map_or("agent".into(), |output| output.name.clone()),
                base_url: endpoint.base_url.clone(),
                at: self.clock.now(),
            });
            seen.len() - 1
        };
        let now = self.flying.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_flying.fetch_max(now, Ordering::SeqCst);
        let _flight = Flight(&self.flying);
        let script = self.script.lock().clone();
        script(number, request.clone()).await
    }
}

pub(crate) fn reply(text: impl Into<String>) -> Result<ChatReply, CallError> {
    Ok(ChatReply {
        text: text.into(),
        tool_calls: Vec::new(),
        finish: FinishReason::Stop,
        input_tokens: 10,
        output_tokens: 5,
        latency: Duration::ZERO,
        attempts: 1,
        rate_limits: None,
    })
}

pub(crate) fn failure(decision: Decision) -> Result<ChatReply, CallError> {
    Err(CallError::new(decision, "the provider's own words"))
}

pub(crate) fn rejected() -> Result<ChatReply, CallError> {
    failure(Decision::GiveUp(ErrorKind::ProviderRejected))
}

/// Agents say "Answer n …", judges find it met.
pub(crate) fn obliging(_: usize, request: ChatRequest) -> Answer {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match &request.output {
            None => reply(format!("Answer {} from the helpful agent.", request.messages.len())),
            Some(_) => reply(judge_reply(true, "from the helpful agent").to_string()),
        }
    })
}
