//! Failure mode: a process dies and its runs stay *running* forever. A lease protects
//! each run: the next boot recovers the runs of the dead process, another server
//! recovers them when their leases expire, and every run is final by its
//! deadline.

use super::simulation::{Boot, Simulation, T0, error_kind, helpful_reply, scripted_scenario};
use super::support::{TIMEOUT, assert_outcomes, new_server, wait_until};
use domain::{ErrorKind, RunStatus};
use fault_injection::Setup;
use mock_provider::{Action, Outcome, Rule, Script};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn next_boot_recovers_runs_of_killed_process_at_once() {
    let Setup { provider, mut server, user, agent } =
        Setup::start(new_server(), Script::of([Rule::always(Action::Hang)])).await;
    let three = user.create_scenarios("S", 3, 2).await;
    let suite = user.start_suite(&agent, &three, json!({"concurrency": 3})).await;
    wait_until("three calls hang", TIMEOUT, async || provider.request_log().len() == 3).await;
    server.kill();
    provider.set_script(Script::default());
    server.start().await;
    // A lease lasts 30 s, so waiting for its expiry would exceed this timeout.
    let suite = user.wait_for_suite_within(&suite, Duration::from_secs(20)).await;
    assert_outcomes(&suite, &[("passed", 3)]);
    for run in user.fetch_runs(&suite).await {
        assert_eq!(run["recoveries"], 1, "{run}");
        assert_eq!(run["transcript"].as_array().unwrap().len(), 4);
    }
    let requests = provider.request_log();
    assert_eq!(requests.len(), 3 + 3 * 3, "only the calls in flight are repeated");
    assert!(requests[..3].iter().all(|entry| entry.outcome == Outcome::Disconnected));
}

#[test]
fn another_server_recovers_run_when_lease_expires() {
    let simulation = Simulation::new(|_, request| helpful_reply(SECOND, request));
    let suite = simulation.create_suite(T0, 3, &[scripted_scenario(3, 300)]);
    simulation.run_server(T0, Boot::AmongOthers, async |_| sleep(SECOND * 5 / 2).await);
    let died = T0.plus(SECOND * 5 / 2);
    assert_eq!(simulation.request_times().len(), 3, "killed in the third call");
    let run = simulation.run_server(died.plus(SECOND), Boot::AmongOthers, async |server| {
        server.wait_for_suite(suite, SECOND * 60).await.remove(0)
    });
    assert_eq!((run.status, run.recoveries), (RunStatus::Passed, 1));
    assert_eq!(simulation.messages(&run).len(), 6);
    assert_eq!(simulation.request_times().len(), 5, "the third call twice, the judge once");
    let repeated_at = simulation.request_times()[3].since(T0);
    assert!(repeated_at >= SECOND * 30, "not before the lease expired: {repeated_at:?}");
    assert!(repeated_at <= SECOND * 40, "and soon after: {repeated_at:?}");
}

#[test]
fn overdue_run_is_final_two_seconds_after_boot() {
    for boot in [Boot::Single, Boot::AmongOthers] {
        let simulation = Simulation::new(|_, _| Box::pin(std::future::pending()));
        let suite =
            simulation.create_suite(T0, 3, &[scripted_scenario(1, 300), scripted_scenario(1, 300)]);
        simulation.run_server(T0, Boot::Single, async |_| sleep(SECOND).await);
        let running = simulation.runs(suite);
        assert!(running.iter().all(|run| run.status == RunStatus::Running));
        let back = T0.plus(HOUR * 2);
        assert!(running.iter().all(|run| run.deadline_at.is_some_and(|deadline| deadline < back)));
        simulation.run_server(back, boot, async |_| sleep(SECOND * 2).await);
        for run in simulation.runs(suite) {
            assert_eq!(error_kind(&run), Some(ErrorKind::Abandoned));
            assert_eq!(simulation.messages(&run), ["Question 0"], "the transcript is kept");
        }
        assert_eq!(simulation.request_times().len(), 2, "no call after the deadline");
    }
}

#[test]
fn pending_run_is_abandoned_after_a_day() {
    // One run at a time takes nearly an hour, so some do not start within a day.
    let mut simulation = Simulation::new(|_, request| {
        let is_judge = request.output.is_some();
        helpful_reply(if is_judge { SECOND } else { SECOND * 3500 }, request)
    });
    simulation.settings.call_timeout = HOUR * 2;
    let all: Vec<_> = (0..30).map(|_| scripted_scenario(1, 3600)).collect();
    let suite = simulation.create_suite(T0, 1, &all);
    let runs = simulation.run_server(T0, Boot::Single, async |server| {
        server.wait_for_suite(suite, HOUR * 24 + SECOND * 3660).await
    });
    let never_started: Vec<_> = runs.iter().filter(|run| run.started_at.is_none()).collect();
    assert!(never_started.len() >= 5, "{}", never_started.len());
    for run in never_started {
        assert_eq!(error_kind(run), Some(ErrorKind::Abandoned));
        let waited = run.finished_at.unwrap().since(T0);
        assert!(waited >= HOUR * 24 && waited <= HOUR * 24 + SECOND * 6, "{waited:?}");
    }
    assert!(runs.iter().filter(|run| run.status == RunStatus::Passed).count() >= 23);
}

#[test]
fn run_that_kills_its_server_is_abandoned_after_three_recoveries() {
    let simulation = Simulation::new(|_, _| Box::pin(std::future::pending()));
    let suite = simulation.create_suite(T0, 3, &[scripted_scenario(1, 300)]);
    for boot in 0..6 {
        simulation.run_server(T0.plus(SECOND * boot), Boot::Single, async |_| {
            sleep(Duration::from_millis(300)).await;
        });
    }
    assert_eq!(error_kind(&simulation.runs(suite)[0]), Some(ErrorKind::Abandoned));
    assert_eq!(simulation.request_times().len(), 4);
}
