//! Twenty turns for everything: long scripts were cut, and reaching the end
//! was an error. Here each scenario says its own limit from 1 to 200, and
//! reaching it is an ending like another: judged, not an error.

use super::outside::{assert_endings, binary, of_role, problems, runs, start, whole_runs};
use serde_json::{Value, json};
use fault_injection::house::{House, id};
use mock_provider::{Action, Role, Script};

fn long(name: &str, turns: usize, max_turns: u32) -> Value {
    let say = |i| json!({"speaker": "user", "message": format!("Question {i}")});
    let flow: Vec<_> = (0..turns).map(say).collect();
    json!({"name": name, "category": "stress", "conversation_flow": flow,
        "max_turns": max_turns, "expected_behaviors": [{"text": "Offers help"}]})
}

#[tokio::test]
async fn each_scenario_has_its_own_limit_and_reaching_it_is_judged() {
    let on = json!({"message": "And then?", "done": "no"}).to_string();
    let endless = of_role(Role::SimulatedUser, Action::Answer(on));
    let stand = mock_provider::start(Script::of([endless])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("turns@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let mut all = vec![id(&user.make("/scenarios", &long("Long", 60, 60)).await)];
    for most in [1, 25] {
        let scenario = json!({"name": format!("Endless {most}"), "category": "stress",
            "mode": "simulated", "goal": "never to stop", "max_turns": most,
            "expected_behaviors": [{"text": "Offers help"}]});
        all.push(id(&user.make("/scenarios", &scenario).await));
    }
    let suite = start(&user, &agent, &all, json!({})).await;
    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("passed", 3)]);
    let ends: Vec<_> = runs(&suite).iter().map(|run| run["end_reason"].clone()).collect();
    assert_eq!(ends, ["script_finished", "max_turns", "max_turns"]);
    for (run, turns) in whole_runs(&user, &suite).await.iter().zip([60, 1, 25]) {
        let of = |who: &str| {
            let turns = run["transcript"].as_array().unwrap().iter();
            turns.filter(|turn| turn["speaker"] == who).count()
        };
        assert_eq!((of("user"), of("agent")), (turns, turns));
        assert_eq!(run["evaluations"].as_array().unwrap().len(), 1);
    }
    let calls = 60 + 2 * (1 + 25) + 3;
    assert_eq!(stand.journal().len(), calls, "not one call past the limit");
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_is_refused() {
    let house = House::new(&binary()).await;
    let user = house.user("turns@example.org");
    let longest = user.post("/scenarios", &long("Longest", 200, 200)).await;
    assert_eq!(longest.status().as_u16(), 201);
    for (turns, most) in [(3, 0), (3, 201), (3, 2), (201, 200)] {
        let refused = problems(user.post("/scenarios", &long("No", turns, most)).await).await;
        let about = |(path, _): &(String, String)| {
            path.starts_with("max_turns") || path.starts_with("conversation_flow")
        };
        assert!(refused.iter().any(about), "{turns} turns, at most {most}: {refused:?}");
    }
}
