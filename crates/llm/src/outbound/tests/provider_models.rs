//! Models of providers: when they accept, refuse or fail a call. Deterministic.

use async_trait::async_trait;
use domain::Timestamp;
use llm_types::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Provider};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

use super::{SECOND, START};

/// The answer of a model to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accept,
    /// 429, or 529 if `overloaded`.
    Refuse {
        retry_after: Option<Duration>,
        overloaded: bool,
    },
    /// 500.
    Fail,
}

impl Answer {
    pub(super) fn refuse(retry_after: Option<Duration>) -> Self {
        Self::Refuse { retry_after, overloaded: false }
    }
}

/// Decides about the request `id` (which attempt `attempt` repeats) at a time since the
/// start.
pub(super) type Model = Box<dyn FnMut(Duration, &str, u64) -> Answer + Send>;

/// A provider that answers as its model says, after a latency.
pub(super) struct ModeledProvider {
    state: Mutex<State>,
    latency: Duration,
    began: Instant,
}

struct State {
    model: Model,
    attempts: HashMap<String, u64>,
    seen: Vec<(Duration, Answer)>,
}

impl ModeledProvider {
    pub(super) fn new(latency: Duration, model: Model) -> Self {
        let state = State { model, attempts: HashMap::new(), seen: Vec::new() };
        Self { state: Mutex::new(state), latency, began: Instant::now() }
    }

    /// The times and answers of all requests.
    pub(super) fn seen(&self) -> Vec<(Duration, Answer)> {
        self.state.lock().seen.clone()
    }

    /// The time until then.
    pub(super) fn remaining(&self, until: Timestamp) -> Duration {
        until.since(START.plus(self.began.elapsed()))
    }

    pub(super) fn refused(&self) -> usize {
        let refused = |answer: &Answer| matches!(answer, Answer::Refuse { .. });
        self.state.lock().seen.iter().filter(|(_, answer)| refused(answer)).count()
    }

    /// The highest number of requests within one second.
    pub(super) fn most_per_second(&self) -> usize {
        let (mut recent, mut most) = (VecDeque::new(), 0);
        for (at, _) in self.seen() {
            recent.push_back(at);
            while recent.front().is_some_and(|first| at - *first >= SECOND) {
                recent.pop_front();
            }
            most = most.max(recent.len());
        }
        most
    }
}

#[async_trait]
impl Provider for ModeledProvider {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        let now = self.began.elapsed();
        let answer = {
            let mut state = self.state.lock();
            let attempt = state.attempts.entry(request.call_id.clone()).or_default();
            *attempt += 1;
            let attempt = *attempt;
            let answer = (state.model)(now, &request.call_id, attempt);
            state.seen.push((now, answer));
            answer
        };
        tokio::time::sleep(self.latency).await;
        let answered_at = START.plus(self.began.elapsed());
        match answer {
            Answer::Accept => Ok(crate::testing::reply(1, 1)),
            Answer::Fail => Err(error(Decision::Retry, 500, "The provider failed (500).")),
            Answer::Refuse { retry_after, overloaded } => {
                let until = retry_after.map(|after| answered_at.plus(after));
                let status = if overloaded { 529 } else { 429 };
                Err(error(Decision::Wait { until, overloaded }, status, "Slow down."))
            }
        }
    }
}

fn error(decision: Decision, status: u16, message: &str) -> CallError {
    CallError { status: Some(status), ..CallError::new(decision, message) }
}

/// A token bucket of so many requests per minute that holds `burst`.
pub(super) fn token_bucket(per_minute: u32, burst: u32, retry_after: Option<Duration>) -> Model {
    let (mut tokens, mut at) = (f64::from(burst), Duration::ZERO);
    Box::new(move |now, _, _| {
        let refilled = (now - at).as_secs_f64() * f64::from(per_minute) / 60.0;
        (tokens, at) = ((tokens + refilled).min(burst.into()), now);
        if tokens < 1.0 - 1e-9 {
            return Answer::refuse(retry_after);
        }
        tokens -= 1.0;
        Answer::Accept
    })
}

/// At most `most` requests within any minute. Refusals name the end of the wait.
pub(super) fn sliding_minute(most: usize) -> Model {
    let minute = 60 * SECOND;
    let mut recent = VecDeque::new();
    Box::new(move |now, _, _| {
        while recent.front().is_some_and(|at| now - *at >= minute) {
            recent.pop_front();
        }
        if recent.len() < most {
            recent.push_back(now);
            return Answer::Accept;
        }
        Answer::refuse(recent.front().map(|first| *first + minute - now))
    })
}

/// Refuses and fails random attempts, the same ones for every client.
pub(super) fn random_faults(seed: u64, refused: f64, failed: f64, retry_after: Duration) -> Model {
    Box::new(move |_, id, attempt| {
        let id = id
            .bytes()
            .fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let draw: f64 = SmallRng::seed_from_u64(id.wrapping_add(attempt)).random();
        match draw {
            draw if draw < refused => Answer::refuse(Some(retry_after)),
            draw if draw < refused + failed => Answer::Fail,
            _ => Answer::Accept,
        }
    })
}
