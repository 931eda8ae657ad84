//! Fifty requests a minute were allowed and two hundred wanted: every call was
//! retried into the wall, hours were waited, and the circuit opened on 429s.
//! Here what the provider says is a floor for everybody in the bucket, waiting
//! is no failure, and a 429 never counts against the circuit.

use super::outside::{assert_endings, binary, scenarios, start};
use super::world::{Boot, T0, World, not_before, obliging, scripted};
use app::domain::RunStatus;
use parking_lot::Mutex;
use serde_json::json;
use server::clock::Clock;
use soak::house::House;
use stand::{Outcome, RateLimit, RetryAfter, Script};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn four_times_what_is_allowed_comes_through_without_running_into_the_wall() {
    const RUNS: usize = 30;
    const CALLS: usize = RUNS * 3;
    let limit = RateLimit { requests: 15, window_ms: 1000, retry_after: RetryAfter::Millis };
    let script = Script { rate_limit: Some(limit), ..Script::default() };
    let stand = stand::start(script).await.unwrap();
    let house = House::of(&binary()).with("REHEARSAL_RUNS_PER_USER", RUNS).started().await;
    let user = house.user("limits@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", RUNS, 2).await;
    let suite = start(&user, &agent, &all, json!({"concurrency": RUNS})).await;
    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("passed", RUNS)]);
    let journal = stand.journal();
    let refused = |entry: &&stand::Entry| entry.outcome == Outcome::Answered(429);
    let walls = journal.iter().filter(refused).count();
    assert_eq!(journal.len() - walls, CALLS, "each call was answered once");
    // Those in flight when the limit is met for the first time; after that,
    // hardly any: everybody keeps to what one of them was told.
    assert!(walls <= RUNS + CALLS / 10, "{walls} requests were refused, {CALLS} answered");
    let path = format!("/connections/{}", agent["connection_id"].as_str().unwrap());
    assert_eq!(user.get(&path).await["breaker"]["state"], "closed");
}

#[test]
fn five_hundred_runs_at_fifty_a_minute_all_finish() {
    const RUNS: usize = 500;
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
    let all: Vec<_> = (0..RUNS).map(|_| scripted(1, 300)).collect();
    let suite = world.suite(T0, 64, &all);
    let runs = world
        .live(T0, Boot::Alone, async |life| life.finished(suite, Duration::from_secs(3600)).await);
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    let errors: Vec<_> = runs.iter().filter_map(|run| run.error.as_ref()).take(3).collect();
    assert_eq!(passed, RUNS, "{errors:#?}");
    let (needed, asked) = (RUNS * 2, world.seen().len());
    assert!(asked <= needed * 7 / 5, "{asked} requests for {needed} answers");
    let took = runs.iter().filter_map(|run| run.finished_at).max().unwrap().since(T0);
    assert!(took <= MINUTE * 25, "at fifty a minute it takes twenty: {took:?}");
}
