//! Many conversations at once: over the outbound path, and over a bare client that makes
//! the same calls.

use super::provider_models::{Model, ModeledProvider};
use super::{SECOND, START};
use crate::outbound::{Call, CallLimits, CallOrder, NoHooks, Outbound};
use crate::testing::{chat_request, endpoint};
use clock::TokioClock;
use domain::UserId;
use llm_types::{CallError, ChatRequest, Decision, Provider};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

pub(super) const MAX_WAIT: Duration = Duration::from_secs(600);

/// Conversations of sequential calls.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) users: u32,
    /// Per user.
    pub(super) conversations: u32,
    pub(super) calls: u32,
    /// The number of conversations of a user at the same time.
    pub(super) concurrency: u32,
}

/// The result of a simulation.
pub(super) struct Simulated {
    pub(super) took: Duration,
    pub(super) replies: u32,
    pub(super) errors: Vec<CallError>,
    pub(super) provider: Arc<ModeledProvider>,
}

/// Makes all calls over an outbound path that knows nothing yet.
pub(super) async fn simulate(load: Load, latency: Duration, model: Model) -> Simulated {
    let clock = TokioClock::starting_at(START);
    let provider = Arc::new(ModeledProvider::new(latency, model));
    let rng = SmallRng::seed_from_u64(1);
    let outbound = Arc::new(Outbound::new(provider.clone(), Arc::new(clock), rng));
    let began = Instant::now();
    let tasks = each_place(load, move |user, conversation| {
        let outbound = outbound.clone();
        async move { converse(&outbound, user, conversation, load.calls).await }
    });
    let (mut replies, mut errors) = (0, Vec::new());
    for task in tasks {
        for result in task.await.expect("a simulated conversation does not panic") {
            match result {
                Ok(calls) => replies += calls,
                Err(error) => errors.push(error),
            }
        }
    }
    Simulated { took: began.elapsed(), replies, errors, provider }
}

/// The calls of one run, with the budget of a run.
async fn converse(
    outbound: &Outbound,
    user: u32,
    conversation: u32,
    calls: u32,
) -> Result<u32, CallError> {
    let mut active_left = 300 * SECOND;
    for number in 0..calls {
        let limits = CallLimits {
            call_timeout: 120 * SECOND,
            active_left,
            max_wait: MAX_WAIT,
            circuit_wait: 60 * SECOND,
        };
        let call = Call {
            user_id: UserId(Uuid::from_u128(user.into())),
            order: CallOrder {
                began_at: START.plus(Duration::from_millis(conversation.into())),
                id: Uuid::nil(),
            },
            is_manual_probe: false,
            resolver: &endpoint("http://x"),
            request: &request(user, conversation, number),
            limits,
            hooks: &NoHooks,
        };
        let outcome = outbound.call(call).await;
        active_left = active_left.saturating_sub(outcome.times.active);
        outcome.result?;
    }
    Ok(calls)
}

/// The same calls by a client that keeps its place while it waits, obeys Retry-After for
/// the refused call only, and retries a failure at once.
pub(super) async fn bare_client(load: Load, latency: Duration, model: Model) -> Duration {
    let provider = Arc::new(ModeledProvider::new(latency, model));
    let began = Instant::now();
    let tasks = each_place(load, move |user, conversation| {
        let provider = provider.clone();
        async move {
            for number in 0..load.calls {
                retry_bare(&provider, &request(user, conversation, number)).await;
            }
        }
    });
    for task in tasks {
        task.await.expect("a bare conversation does not panic");
    }
    began.elapsed()
}

async fn retry_bare(provider: &ModeledProvider, request: &ChatRequest) {
    while let Err(error) = provider.complete(&endpoint("http://x"), request).await {
        if let Decision::Wait { until: Some(until), .. } = error.decision {
            tokio::time::sleep(provider.remaining(until)).await;
        }
    }
}

/// Runs the conversations of all users, as many at once as the load says.
fn each_place<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    load: Load,
    converse: impl Fn(u32, u32) -> F + Clone + Send + 'static,
) -> Vec<tokio::task::JoinHandle<Vec<T>>> {
    let mut places = Vec::new();
    for user in 1..=load.users {
        let next = Arc::new(Mutex::new(0..load.conversations));
        for _ in 0..load.concurrency {
            let (next, converse) = (next.clone(), converse.clone());
            places.push(tokio::spawn(async move {
                let mut results = Vec::new();
                loop {
                    let Some(conversation) = next.lock().next() else { return results };
                    results.push(converse(user, conversation).await);
                }
            }));
        }
    }
    places
}

fn request(user: u32, conversation: u32, number: u32) -> ChatRequest {
    ChatRequest { call_id: format!("{user}-{conversation}-{number}"), ..chat_request("hi") }
}
