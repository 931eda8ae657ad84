//! A scenario had no limit: one call that hung held everything for an hour,
//! a suite for a night. Here every level has its end: a call, the active time
//! of a run, its judging, and the deadline, which is shown while it runs.

use super::outside::{binary, ending, runs, scenarios, start};
use super::world::{Boot, T0, World, kind, not_before, obliging, scripted};
use domain::{ErrorKind, Timestamp};
use serde_json::{Value, json};
use fault_injection::house::House;
use mock_provider::{Action, Outcome, Rule, Script};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Runs one scenario over a provider that answers like this; answers the run
/// and what became of the requests.
async fn run_over(house: &House, kind: &str, action: Action) -> (Value, Vec<Outcome>) {
    let stand = mock_provider::start(Script::of([Rule::always(action)])).await.unwrap();
    let user = house.user(&format!("{kind}{}@example.org", stand.addr.port()));
    let url = if kind == "openai" { stand.openai_url() } else { stand.anthropic_url() };
    let agent = user.agent(kind, &url).await;
    let one = scenarios(&user, "S", 1, 2).await;
    let suite = start(&user, &agent, &one, json!({})).await;
    let suite = user.finished_within(&suite, Duration::from_secs(30)).await;
    (runs(&suite)[0].clone(), stand.journal().iter().map(|entry| entry.outcome).collect())
}

#[tokio::test]
async fn a_server_that_hangs_or_drips_is_left_after_the_longest_call() {
    let settings = [("CALL_TIMEOUT", "400ms"), ("MAX_WAIT", "5m"), ("CIRCUIT_WAIT", "60s")];
    let mut house = House::of(&binary());
    for (name, value) in settings {
        house = house.with(&format!("REHEARSAL_{name}"), value);
    }
    let house = house.started().await;
    // A drip never pauses for long: only the whole call's limit ends it.
    let (hangs, drips) = tokio::join!(
        run_over(&house, "openai", Action::Hang),
        run_over(&house, "anthropic", Action::Drip { every_ms: 50 }),
    );
    for (run, requests) in [&hangs, &drips] {
        assert_eq!(ending(run), "error/provider_unavailable");
        assert_eq!(requests.len(), 4, "four attempts, one layer: {requests:?}");
    }
    assert!(hangs.1.iter().all(|outcome| *outcome == Outcome::Dropped), "the server sees us go");
    // 300 s active, 5 min parked, 180 s for judging: told from the first moment on.
    let at = |name: &str| Timestamp::parse(hangs.0[name].as_str().unwrap()).unwrap();
    assert_eq!(at("deadline_at").since(at("started_at")), Duration::from_secs(300 + 300 + 180));
}

#[test]
fn a_run_ends_when_its_active_time_is_used_up() {
    let world = World::new(|_, request| obliging(SECOND * 90, request));
    let suite = world.suite(T0, 3, &[scripted(20, 300)]);
    let run = world
        .live(T0, Boot::Alone, async |life| life.finished(suite, SECOND * 400).await.remove(0));
    assert_eq!(kind(&run), Some(ErrorKind::Timeout));
    let took = run.finished_at.unwrap().since(T0);
    assert!(took >= SECOND * 300 && took <= SECOND * 302, "{took:?}");
    assert_eq!(world.said(&run).len(), 7, "three answers and the fourth question are kept");
}

#[test]
fn waits_and_a_judge_that_hangs_end_before_the_deadline() {
    let world = World::new(|clock, request| {
        if request.output.is_some() {
            return Box::pin(std::future::pending());
        }
        // The second answer is refused once, for most of the longest wait.
        let waited = clock::Clock::now(&clock).since(T0) > SECOND * 590;
        if request.messages.len() == 3 && !waited {
            return not_before(T0.plus(SECOND * 595));
        }
        obliging(SECOND * 70, request)
    });
    let suite = world.suite(T0, 3, &[scripted(4, 300)]);
    let run = world
        .live(T0, Boot::Alone, async |life| life.finished(suite, SECOND * 1200).await.remove(0));
    assert!(
        [Some(ErrorKind::EvaluationUnavailable), Some(ErrorKind::Abandoned)].contains(&kind(&run)),
        "{:?}",
        run.error
    );
    let deadline = run.deadline_at.unwrap();
    assert_eq!(deadline.since(T0), SECOND * (300 + 600 + 180));
    assert!(run.finished_at.unwrap() <= deadline.plus(SECOND * 5), "five seconds late at most");
    assert_eq!(world.said(&run).len(), 8, "the conversation is kept");
    assert!(run.active_ms <= 300_000 + 180_000, "waiting is not active time: {}", run.active_ms);
}

#[test]
fn a_suite_over_a_provider_that_hangs_costs_a_call_a_run() {
    const RUNS: usize = 20;
    let world = World::new(|_, _| Box::pin(std::future::pending()));
    let all: Vec<_> = (0..RUNS).map(|_| scripted(20, 3600)).collect();
    let suite = world.suite(T0, 3, &all);
    // Once the circuit is open, runs begin one at a time, each as its probe:
    // 120 s closed to everybody, 120 s until the call is given up.
    let longest = SECOND * 240 * RUNS as u32;
    let runs = world.live(T0, Boot::Alone, async |life| life.finished(suite, longest).await);
    assert!(runs.iter().all(|run| run.error.as_ref().is_some_and(|error| error.retryable)));
    let asked = world.seen().len();
    assert!(asked <= RUNS + 10, "ten retries for all of them together: {asked}");
}
