//! Failure mode: a global limit of twenty turns cuts long scripts and counts as an error.
//! Each scenario has its own limit from 1 to 200, and a run that reaches it is
//! judged.

use super::support::{assert_outcomes, new_server, rule_for_role, runs, validation_errors};
use fault_injection::{Setup, id};
use mock_provider::{Action, Role, Script};
use serde_json::{Value, json};

fn long(name: &str, turns: usize, max_turns: u32) -> Value {
    let say = |i| json!({"speaker": "user", "message": format!("Question {i}")});
    let flow: Vec<_> = (0..turns).map(say).collect();
    json!({"name": name, "category": "stress", "conversation_flow": flow,
        "max_turns": max_turns, "expected_behaviors": [{"text": "Offers help"}]})
}

#[tokio::test]
async fn run_that_reaches_max_turns_is_judged() {
    let message = json!({"message": "And then?", "done": "no"}).to_string();
    let endless = rule_for_role(Role::SimulatedUser, Action::Reply(message));
    let Setup { provider, server: _server, user, agent } =
        Setup::start(new_server(), Script::of([endless])).await;
    let mut all = vec![id(&user.create("/scenarios", &long("Long", 60, 60)).await)];
    for max_turns in [1, 25] {
        let scenario = json!({"name": format!("Endless {max_turns}"), "category": "stress",
            "mode": "simulated", "goal": "never to stop", "max_turns": max_turns,
            "expected_behaviors": [{"text": "Offers help"}]});
        all.push(id(&user.create("/scenarios", &scenario).await));
    }
    let suite = user.start_suite(&agent, &all, json!({})).await;
    let suite = user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("passed", 3)]);
    let ends: Vec<_> = runs(&suite).iter().map(|run| run["end_reason"].clone()).collect();
    assert_eq!(ends, ["script_finished", "max_turns", "max_turns"]);
    for (run, turns) in user.fetch_runs(&suite).await.iter().zip([60, 1, 25]) {
        let of = |who: &str| {
            let turns = run["transcript"].as_array().unwrap().iter();
            turns.filter(|turn| turn["speaker"] == who).count()
        };
        assert_eq!((of("user"), of("agent")), (turns, turns));
        assert_eq!(run["evaluations"].as_array().unwrap().len(), 1);
    }
    let calls = 60 + 2 * (1 + 25) + 3;
    assert_eq!(provider.request_log().len(), calls, "no call beyond the limit");
}

#[tokio::test]
async fn invalid_max_turns_is_rejected() {
    let server = new_server().started().await;
    let user = server.create_user("turns@example.org");
    let longest = user.post("/scenarios", &long("Longest", 200, 200)).await;
    assert_eq!(longest.status().as_u16(), 201);
    for (turns, max_turns) in [(3, 0), (3, 201), (3, 2), (201, 200)] {
        let refused =
            validation_errors(user.post("/scenarios", &long("No", turns, max_turns)).await).await;
        let expected = |(path, _): &(String, String)| {
            path.starts_with("max_turns") || path.starts_with("conversation_flow")
        };
        assert!(refused.iter().any(expected), "{turns} turns, max_turns {max_turns}: {refused:?}");
    }
}
