//! Tests of the outbound path on paused time over a scripted provider.

mod fake_gates;
mod gates;
mod learned_limits;
mod manual_probe;
mod provider_models;
mod rate_limits;
mod retries;
mod simulation;

use crate::outbound::{
    Call, CallHooks, CallLimits, CallOrder, CallOutcome, CallTimes, NoHooks, Outbound,
};
use crate::testing::{chat_request, endpoint};
use async_trait::async_trait;
use clock::TokioClock;
use domain::{Breaker, ErrorKind, FinishReason, Timestamp, UserId, Waiting};
use llm_types::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Provider};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);
const START: Timestamp = Timestamp(1_000_000);

#[derive(Clone, Debug)]
enum Step {
    Reply,
    Fail,
    Throttle { seconds: Option<u64>, overloaded: bool },
    GiveUp(ErrorKind, u16),
    Hang,
}

/// Replies after 1 s. Records the start times and counts dropped attempts.
#[derive(Default)]
struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    begun: Mutex<Vec<Duration>>,
    dropped: AtomicU32,
}

struct CountDrop<'a>(&'a AtomicU32, bool);

impl Drop for CountDrop<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct TestEnv {
    script: Arc<Scripted>,
    outbound: Outbound,
    clock: TokioClock,
    origin: Instant,
}

#[async_trait]
impl Provider for ScriptedAt {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.script.begun.lock().push(self.origin.elapsed());
        let step = self.script.steps.lock().pop_front().unwrap_or(Step::Reply);
        let mut guard = CountDrop(&self.script.dropped, false);
        if matches!(step, Step::Hang) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(SECOND).await;
        guard.1 = true;
        let error =
            |decision, status| CallError { status, ..CallError::new(decision, "Provider error.") };
        match step {
            Step::Reply | Step::Hang => Ok(ChatReply {
                text: request.model.clone(),
                tool_calls: vec![],
                finish: FinishReason::Stop,
                input_tokens: 1,
                output_tokens: 1,
                latency: Duration::ZERO,
                first_token: None,
                attempts: 0,
                rate_limits: None,
                adjustments: Vec::new(),
                token_parts: domain::TokenParts::default(),
                provider_state: None,
                http: None,
            }),
            Step::Fail => Err(error(Decision::Retry, Some(503))),
            Step::Throttle { seconds, overloaded } => {
                let now = START.plus(self.origin.elapsed());
                let until = seconds.map(|seconds| now.plus(Duration::from_secs(seconds)));
                Err(error(Decision::Wait { until, overloaded }, Some(429)))
            }
            Step::GiveUp(kind, status) => Err(error(Decision::GiveUp(kind), Some(status))),
        }
    }
}

struct ScriptedAt {
    script: Arc<Scripted>,
    origin: Instant,
}

fn env(steps: impl IntoIterator<Item = Step>) -> TestEnv {
    let (clock, origin) = (TokioClock::starting_at(START), Instant::now());
    let script = Arc::new(Scripted {
        steps: Mutex::new(steps.into_iter().collect()),
        ..Scripted::default()
    });
    let provider = Arc::new(ScriptedAt { script: Arc::clone(&script), origin });
    let outbound = Outbound::new(provider, Arc::new(clock), SmallRng::seed_from_u64(1));
    TestEnv { script, outbound, clock, origin }
}

fn limits() -> CallLimits {
    CallLimits {
        call_timeout: 120 * SECOND,
        active_left: 300 * SECOND,
        max_wait: 600 * SECOND,
        circuit_wait: 60 * SECOND,
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

#[async_trait]
impl CallHooks for Notes {
    async fn waiting(&self, waiting: Waiting) {
        let until = waiting.until.map(|until| until.since(START).as_secs());
        self.0.lock().push(format!("waiting {} {until:?}", waiting.what));
    }
    async fn resumed(&self) {
        self.0.lock().push("resumed".into());
    }
    async fn attempt_started(&self, attempt: u32) {
        self.0.lock().push(format!("attempt {attempt}"));
    }
}

impl TestEnv {
    async fn call_with(&self, limits: CallLimits, model: &str) -> CallOutcome {
        self.watched(limits, model, &NoHooks).await
    }

    async fn watched(&self, limits: CallLimits, model: &str, hooks: &dyn CallHooks) -> CallOutcome {
        let call = Call {
            user_id: UserId(Uuid::from_u128(1)),
            order: CallOrder::default(),
            is_manual_probe: false,
            resolver: &endpoint("http://x"),
            request: &ChatRequest { model: model.into(), ..chat_request("hi") },
            limits,
            hooks,
        };
        self.outbound.call(call).await
    }

    async fn call(&self) -> (Result<ChatReply, CallError>, CallTimes) {
        let CallOutcome { result, times } = self.call_with(limits(), "m").await;
        (result, times)
    }

    fn retries_left(&self) -> u32 {
        self.outbound.retries_left(UserId(Uuid::from_u128(1)), endpoint("x").connection_id)
    }

    fn begun(&self) -> usize {
        self.script.begun.lock().len()
    }
}

fn kind(result: &Result<ChatReply, CallError>) -> Option<ErrorKind> {
    match result.as_ref().map_err(|error| error.decision) {
        Err(Decision::GiveUp(kind)) => Some(kind),
        Err(other) => unreachable!("a final error has the decision GiveUp, not {other:?}"),
        Ok(_) => None,
    }
}

impl TestEnv {
    /// A manual probe, as the connection page makes it.
    async fn probe(&self) -> Result<ChatReply, CallError> {
        let limits = CallLimits {
            call_timeout: 30 * SECOND,
            active_left: 30 * SECOND,
            max_wait: Duration::ZERO,
            circuit_wait: Duration::ZERO,
        };
        let call = Call {
            user_id: UserId(Uuid::from_u128(1)),
            order: CallOrder::default(),
            is_manual_probe: true,
            resolver: &endpoint("http://x"),
            request: &chat_request("hi"),
            limits,
            hooks: &NoHooks,
        };
        self.outbound.call(call).await.result
    }

    fn circuit(&self) -> Breaker {
        self.outbound.circuit(UserId(Uuid::from_u128(1)), endpoint("x").connection_id)
    }
}
