//! Failure mode: one hanging call blocks a run for an hour and a suite for a night. Every
//! level has a limit: a call, the active time of a run, its evaluation, and the
//! deadline, which the API shows while the run is active.

use super::simulation::{
    Boot, Simulation, T0, error_kind, helpful_reply, rate_limited_until, scripted_scenario,
};
use super::support::{new_server, outcome, runs};
use domain::{ErrorKind, Timestamp};
use fault_injection::{TestServer, base_url};
use mock_provider::{Action, Outcome, Rule, Script};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Runs one scenario against a provider with this action. Returns the run and the
/// outcomes of the requests.
async fn run_with_action(server: &TestServer, kind: &str, action: Action) -> (Value, Vec<Outcome>) {
    let provider = mock_provider::start(Script::of([Rule::always(action)])).await.unwrap();
    let user = server.create_user(&format!("{kind}{}@example.org", provider.addr.port()));
    let agent = user.create_agent(kind, &base_url(kind, &provider)).await;
    let one = user.create_scenarios("S", 1, 2).await;
    let suite = user.start_suite(&agent, &one, json!({})).await;
    let suite = user.wait_for_suite_within(&suite, Duration::from_secs(30)).await;
    (runs(&suite)[0].clone(), provider.request_log().iter().map(|entry| entry.outcome).collect())
}

#[tokio::test]
async fn hanging_and_dripping_calls_end_at_the_call_timeout() {
    let settings = [("CALL_TIMEOUT", "400ms"), ("MAX_WAIT", "5m"), ("CIRCUIT_WAIT", "60s")];
    let mut server = new_server();
    for (name, value) in settings {
        server = server.with_env(&format!("REHEARSAL_{name}"), value);
    }
    let server = server.started().await;
    // A drip never pauses for long, so only the limit of the whole call ends it.
    let (hangs, drips) = tokio::join!(
        run_with_action(&server, "openai", Action::Hang),
        run_with_action(&server, "anthropic", Action::Drip { every_ms: 50 }),
    );
    for (run, requests) in [&hangs, &drips] {
        assert_eq!(outcome(run), "error/provider_unavailable");
        assert_eq!(requests.len(), 4, "four attempts in one retry layer: {requests:?}");
    }
    assert!(
        hangs.1.iter().all(|outcome| *outcome == Outcome::Disconnected),
        "the client disconnects"
    );
    // 300 s active, 5 min parked, 180 s for the evaluation.
    let at = |name: &str| Timestamp::parse(hangs.0[name].as_str().unwrap()).unwrap();
    assert_eq!(at("deadline_at").since(at("started_at")), Duration::from_secs(300 + 300 + 180));
}

#[test]
fn run_ends_when_active_time_is_used_up() {
    let simulation = Simulation::new(|_, request| helpful_reply(SECOND * 90, request));
    let suite = simulation.create_suite(T0, 3, &[scripted_scenario(20, 300)]);
    let run = simulation.run_server(T0, Boot::Single, async |server| {
        server.wait_for_suite(suite, SECOND * 400).await.remove(0)
    });
    assert_eq!(error_kind(&run), Some(ErrorKind::Timeout));
    let elapsed = run.finished_at.unwrap().since(T0);
    assert!(elapsed >= SECOND * 300 && elapsed <= SECOND * 302, "{elapsed:?}");
    assert_eq!(
        simulation.messages(&run).len(),
        7,
        "three replies and the fourth question are kept"
    );
}

#[test]
fn waits_and_hanging_judge_end_before_the_deadline() {
    let simulation = Simulation::new(|clock, request| {
        if request.output.is_some() {
            return Box::pin(std::future::pending());
        }
        // The second reply is rate limited once, for most of the maximum wait.
        let waited = clock::Clock::now(&clock).since(T0) > SECOND * 590;
        if request.messages.len() == 3 && !waited {
            return rate_limited_until(T0.plus(SECOND * 595));
        }
        helpful_reply(SECOND * 70, request)
    });
    let suite = simulation.create_suite(T0, 3, &[scripted_scenario(4, 300)]);
    let run = simulation.run_server(T0, Boot::Single, async |server| {
        server.wait_for_suite(suite, SECOND * 1200).await.remove(0)
    });
    assert!(
        [Some(ErrorKind::EvaluationUnavailable), Some(ErrorKind::Abandoned)]
            .contains(&error_kind(&run)),
        "{:?}",
        run.error
    );
    // The deadline stands still during the wait for the rate limit, from 70 s to 595 s.
    let deadline = run.deadline_at.unwrap();
    assert_eq!(deadline.since(T0), SECOND * (300 + 600 + 180 + 525));
    assert!(run.finished_at.unwrap() <= deadline.plus(SECOND * 5), "at most five seconds late");
    assert_eq!(simulation.messages(&run).len(), 8, "the conversation is kept");
    assert!(
        run.active_ms <= 300_000 + 180_000,
        "waits do not count as active time: {}",
        run.active_ms
    );
}

#[test]
fn suite_with_hanging_provider_makes_one_call_per_run() {
    const RUNS: usize = 20;
    let simulation = Simulation::new(|_, _| Box::pin(std::future::pending()));
    let all: Vec<_> = (0..RUNS).map(|_| scripted_scenario(20, 3600)).collect();
    let suite = simulation.create_suite(T0, 3, &all);
    // With an open circuit, runs start one at a time, each as a probe: 120 s until
    // the probe, 120 s until its timeout.
    let timeout = SECOND * 240 * RUNS as u32;
    let runs = simulation
        .run_server(T0, Boot::Single, async |server| server.wait_for_suite(suite, timeout).await);
    assert!(runs.iter().all(|run| run.error.as_ref().is_some_and(|error| error.retryable)));
    let requests = simulation.request_times().len();
    assert!(requests <= RUNS + 10, "ten retries for all runs together: {requests}");
}
