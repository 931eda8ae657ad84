//! Failure mode: the transcript is in memory, so a failure of call 8 loses seven turns.
//! Each turn is committed before the next call, so every turn before a failed call
//! is stored.

use super::support::{assert_outcomes, messages, new_server, outcome};
use fault_injection::{Setup, id};
use mock_provider::{Action, Role, Rule, Script};
use serde_json::{Value, json};

/// Runs a scenario whose `k`th call is rejected. Returns the suite and its run.
async fn run_with_failure_at(setup: &Setup, scenario: &str, k: usize) -> (Value, Value) {
    let Setup { provider, user, agent, .. } = setup;
    let action = Action::Status {
        status: 400,
        body: json!({"error": {"message": format!("rejected at {k}")}}),
        headers: Default::default(),
    };
    provider.clear_request_log();
    // After a 400, a request with an output schema is repeated in the other forms: at most
    // as a forced tool and in the prompt.
    let number = k as u64;
    let rules = (number..number + 3).map(|number| Rule::at(number, action.clone()));
    provider.set_script(Script::of(rules));
    let suite = user.start_suite(agent, &[scenario.to_owned()], json!({})).await;
    let suite = user.wait_for_suite(&suite).await;
    let run = user.fetch_runs(&suite).await.remove(0);
    let requests = provider.request_count();
    assert!((k..k + 3).contains(&requests), "call {k} fails: {requests} requests");
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("rejected at {k}")), "the provider's message: {message}");
    (suite, run)
}

#[tokio::test]
async fn scripted_run_keeps_every_turn_before_a_failed_call() {
    const TURNS: usize = 6;
    let setup = Setup::start(new_server(), Script::default()).await;
    let scenario = id(&setup.user.create_scenario("S", TURNS).await);
    for k in 1..=TURNS {
        let (_, run) = run_with_failure_at(&setup, &scenario, k).await;
        assert_eq!(outcome(&run), "error/provider_rejected");
        let turns = messages(&run);
        assert_eq!(turns.len(), (k - 1) * 2 + 1, "call {k} failed: {turns:?}");
        for (i, turn) in turns.chunks(2).enumerate() {
            assert_eq!(turn[0], format!("S question {i}"));
            if let Some(answer) = turn.get(1) {
                assert_eq!(*answer, format!("I can help with that: S question {i}"));
            }
        }
        assert_eq!(run["usage"]["agent"]["calls"], k - 1, "every call counts");
    }
    // The last call is the judge's.
    let (suite, run) = run_with_failure_at(&setup, &scenario, TURNS + 1).await;
    assert_eq!(outcome(&run), "error/evaluation_unavailable");
    assert_eq!(messages(&run).len(), TURNS * 2);

    // A rerun only makes the missing call.
    setup.provider.set_script(Script::default());
    setup.provider.clear_request_log();
    let rerun = json!({"which": "errors"});
    let rerun_suite = setup.user.create(&format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    assert_outcomes(&setup.user.wait_for_suite(&id(&rerun_suite)).await, &[("passed", 1)]);
    let roles: Vec<_> = setup.provider.request_log().iter().map(|entry| entry.role).collect();
    assert_eq!(roles, [Role::Judge]);
}

#[tokio::test]
async fn simulated_run_keeps_every_turn_before_a_failed_call() {
    let setup = Setup::start_with("anthropic", new_server(), Script::default()).await;
    let scenario = json!({"name": "S", "category": "support", "mode": "simulated",
        "goal": "to be helped", "expected_behaviors": [{"text": "Offers help"}]});
    let scenario = id(&setup.user.create("/scenarios", &scenario).await);
    // User and agent three times each, the user's thanks, the judge.
    for k in 1..=8 {
        let (_, run) = run_with_failure_at(&setup, &scenario, k).await;
        let turns = messages(&run);
        assert_eq!(turns.len(), k - 1, "call {k} failed: {turns:?}");
        let speakers: Vec<_> =
            run["transcript"].as_array().unwrap().iter().map(|turn| &turn["speaker"]).collect();
        for (i, speaker) in speakers.into_iter().enumerate() {
            assert_eq!(speaker, if i % 2 == 0 { "user" } else { "agent" });
        }
    }
}
