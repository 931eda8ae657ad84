//! Fifty requests a minute were allowed and two hundred wanted: every call was
//! retried into the wall, hours were waited, and the circuit opened on 429s.
//! Here what the provider says is a floor for everybody in the bucket, waiting
//! is no failure, and a 429 never counts against the circuit.

use super::outside::{assert_endings, binary, scenarios, start};
use super::world::{Boot, T0, World, not_before, obliging, scripted};
use domain::RunStatus;
use parking_lot::Mutex;
use serde_json::json;
use clock::Clock;
use fault_injection::house::House;
use mock_provider::{LimitHeaders, Outcome, RateLimit, RetryAfter, Script};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// 20 runs of 3 calls each, all at once, over a provider of 15 requests a
/// second that tells of its limit in this way; answers how many were refused.
async fn four_times_what_is_allowed(house: &House, headers: LimitHeaders) -> usize {
    let limit = RateLimit { requests: 15, window_ms: 1000, retry_after: RetryAfter::Millis };
    let script = Script { rate_limit: Some(limit), limit_headers: headers, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let user = house.user(&format!("limits{}@example.org", stand.addr.port()));
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", RUNS, 2).await;
    let suite = start(&user, &agent, &all, json!({"concurrency": RUNS})).await;
    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("passed", RUNS)]);
    let path = format!("/connections/{}", agent["connection_id"].as_str().unwrap());
    assert_eq!(user.get(&path).await["breaker"]["state"], "closed", "a 429 is no failure");
    let journal = stand.journal();
    let refused = |entry: &&mock_provider::Entry| entry.outcome == Outcome::Answered(429);
    let walls = journal.iter().filter(refused).count();
    assert_eq!(journal.len() - walls, CALLS, "each call was answered once");
    walls
}

const RUNS: usize = 20;
const CALLS: usize = RUNS * 3;

#[tokio::test]
async fn four_times_what_is_allowed_comes_through_without_running_into_the_wall() {
    let house = House::of(&binary()).with("REHEARSAL_RUNS_PER_USER", RUNS).started().await;
    let (told, untold) = tokio::join!(
        four_times_what_is_allowed(&house, LimitHeaders::OpenAi),
        four_times_what_is_allowed(&house, LimitHeaders::None),
    );
    assert!(told <= CALLS / 10, "{told} refused, though the limit was told");
    // Untold, those that are out when a window is full run into it, up to 15 in
    // each of four; the others keep to what those were told.
    assert!((1..=CALLS).contains(&untold), "{untold} refused");
}

#[test]
fn five_hundred_runs_at_fifty_a_minute_all_finish() {
    const MANY: usize = 500;
    const MINUTE: Duration = Duration::from_secs(60);
    let answered: Arc<Mutex<VecDeque<_>>> = Arc::default();
    let world = World::new(move |clock, request| {
        let now = clock.now();
        let mut answered = answered.lock();
        while answered.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            answered.pop_front();
        }
        if answered.len() < 50 {
            answered.push_back(now);
            return obliging(Duration::from_secs(2), request);
        }
        // It tells nothing of its limit but this.
        not_before(answered.front().map_or(now, |first| first.plus(MINUTE)))
    });
    let all: Vec<_> = (0..MANY).map(|_| scripted(1, 300)).collect();
    let suite = world.suite(T0, 64, &all);
    let runs = world
        .live(T0, Boot::Alone, async |life| life.finished(suite, Duration::from_secs(3600)).await);
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    let errors: Vec<_> = runs.iter().filter_map(|run| run.error.as_ref()).take(3).collect();
    assert_eq!(passed, MANY, "{errors:#?}");
    let (needed, asked) = (MANY * 2, world.seen().len());
    assert!(asked <= needed * 7 / 5, "{asked} requests for {needed} answers");
    let took = runs.iter().filter_map(|run| run.finished_at).max().unwrap().since(T0);
    assert!(took <= MINUTE * 25, "at fifty a minute it takes twenty: {took:?}");
}
