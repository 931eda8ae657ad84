//! A gateway that refuses and fails some calls: a suite takes little longer than the same
//! calls of a client that only obeys `Retry-After`.

use super::fixture::{Fixture, failure, passing_reply, reply, scripted};
use clock::{Clock, TokioClock};
use domain::{RunStatus, Timestamp};
use futures::future::BoxFuture;
use llm::{CallError, ChatReply, ChatRequest, Decision};
use mock_provider::judge_reply;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

const RUNS: usize = 200;
const TURNS: usize = 5;
const CONCURRENCY: usize = 32;
const LATENCY: Duration = Duration::from_millis(50);
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Fault {
    Refused,
    Failed,
}

/// The fault of the `number`th request: 5 % are refused, and 2 % fail.
fn fault(seed: u64, number: usize) -> Option<Fault> {
    let mut rng = SmallRng::seed_from_u64(seed.wrapping_mul(1_000_003) + number as u64);
    match rng.random_range(0..100) {
        0..5 => Some(Fault::Refused),
        5..7 => Some(Fault::Failed),
        _ => None,
    }
}

async fn answer(
    fault: Option<Fault>,
    clock: TokioClock,
    request: ChatRequest,
) -> Result<ChatReply, CallError> {
    tokio::time::sleep(LATENCY).await;
    match (fault, &request.output) {
        (Some(Fault::Refused), _) => {
            let until = Some(clock.now().plus(RETRY_AFTER));
            failure(Decision::Wait { until, overloaded: false })
        }
        (Some(Fault::Failed), _) => failure(Decision::Retry),
        (None, None) => reply("Answer from the helpful agent."),
        (None, Some(_)) => reply(judge_reply(true, "from the helpful agent").to_string()),
    }
}

/// The time of a suite.
async fn suite(seed: u64) -> Duration {
    let mut f = Fixture::new(passing_reply);
    f.settings.runs_per_user = CONCURRENCY.try_into().expect("a small number");
    let clock = f.clock;
    f.set_script(move |number, request| -> BoxFuture<'static, _> {
        Box::pin(answer(fault(seed, number), clock, request))
    });
    let all = vec![scripted(TURNS); RUNS];
    let suite = f.suite_with(1, &all, |suite| suite.concurrency = 32).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    let other: Vec<_> = runs.iter().filter(|run| run.status != RunStatus::Passed).collect();
    assert!(other.is_empty(), "{} of 200: {:?}", other.len(), other[0].error);
    let start = f.received_calls()[0].at;
    runs.iter().filter_map(|run| run.finished_at).max().unwrap_or(Timestamp(0)).since(start)
}

/// The time of a client with as many places. It meets as many faults, waits after a refusal
/// without leaving its place, and retries a failure at once.
async fn bare_client(seed: u64) -> Duration {
    let began = tokio::time::Instant::now();
    let conversations = Arc::new(Mutex::new((0..RUNS).collect::<VecDeque<_>>()));
    let number = Arc::new(Mutex::new(0));
    let places = (0..CONCURRENCY).map(|_| {
        let (conversations, number) = (conversations.clone(), number.clone());
        tokio::spawn(async move {
            while next(&conversations).is_some() {
                for _ in 0..=TURNS {
                    call(seed, &number).await;
                }
            }
        })
    });
    for place in places.collect::<Vec<_>>() {
        place.await.expect("it does not panic");
    }
    began.elapsed()
}

fn next(conversations: &Mutex<VecDeque<usize>>) -> Option<usize> {
    conversations.lock().pop_front()
}

async fn call(seed: u64, number: &Mutex<usize>) {
    loop {
        let fault = {
            let mut number = number.lock();
            *number += 1;
            fault(seed, *number - 1)
        };
        tokio::time::sleep(LATENCY).await;
        match fault {
            None => return,
            Some(Fault::Refused) => tokio::time::sleep(RETRY_AFTER).await,
            Some(Fault::Failed) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn flaky_gateway_delays_a_suite_little() {
    let mut ratios = Vec::new();
    for seed in 1..=5 {
        let bare = bare_client(seed).await;
        ratios.push(suite(seed).await.as_secs_f64() / bare.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[2] <= 1.25, "median of {ratios:?}");
}
