//! The transcript lived in memory: call 8 failed and the seven turns before it
//! were gone. Here each turn is committed before the next call is made, so
//! whichever call fails, everything before it is there.

use super::outside::{assert_endings, binary, ending, said, start, whole_runs};
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use mock_provider::{Action, Role, Rule, Script, Stand};

struct Rig {
    _house: House,
    user: User,
    agent: Value,
    stand: Stand,
}

async fn rig(kind: &str) -> Rig {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("turns@example.org");
    let url = if kind == "openai" { stand.openai_url() } else { stand.anthropic_url() };
    let agent = user.agent(kind, &url).await;
    Rig { _house: house, user, agent, stand }
}

impl Rig {
    /// Runs a scenario whose `k`th call is refused; answers the suite and its
    /// run. Every call before it is in the journal, and none after it.
    async fn failing_at(&self, scenario: &str, k: usize) -> (Value, Value) {
        let action = Action::Status {
            status: 400,
            body: json!({"error": {"message": format!("refused at {k}")}}),
            headers: Default::default(),
        };
        self.stand.forget();
        // A 400 to a form is asked again without it: refuse both.
        let number = k as u64;
        self.stand.play(Script::of([
            Rule::at(number, action.clone()),
            Rule::at(number + 1, action.clone()),
        ]));
        let one = [scenario.to_owned()];
        let suite = start(&self.user, &self.agent, &one, json!({})).await;
        let suite = self.user.finished(&suite).await;
        let run = whole_runs(&self.user, &suite).await.remove(0);
        let asked = self.stand.journal().len();
        assert!([k, k + 1].contains(&asked), "call {k} fails: {asked} requests");
        let message = run["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("refused at {k}")), "the provider's words: {message}");
        (suite, run)
    }
}

#[tokio::test]
async fn of_a_script_every_turn_before_the_call_that_fails_is_kept() {
    const TURNS: usize = 6;
    let rig = rig("openai").await;
    let scenario = id(&rig.user.scenario("S", TURNS).await);
    for k in 1..=TURNS {
        let (_, run) = rig.failing_at(&scenario, k).await;
        assert_eq!(ending(&run), "error/provider_rejected");
        let said = said(&run);
        assert_eq!(said.len(), (k - 1) * 2 + 1, "call {k} failed: {said:?}");
        for (i, turn) in said.chunks(2).enumerate() {
            assert_eq!(turn[0], format!("S question {i}"));
            if let Some(answer) = turn.get(1) {
                assert_eq!(*answer, format!("I can help with that: S question {i}"));
            }
        }
        assert_eq!(run["usage"]["agent"]["calls"], k - 1, "what was paid for is counted");
    }
    // The last call is the judge's.
    let (suite, run) = rig.failing_at(&scenario, TURNS + 1).await;
    assert_eq!(ending(&run), "error/evaluation_unavailable");
    assert_eq!(said(&run).len(), TURNS * 2);

    // Run again, only the missing call is made.
    rig.stand.play(Script::default());
    rig.stand.forget();
    let rerun = json!({"which": "errors"});
    let again = rig.user.make(&format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    assert_endings(&rig.user.finished(&id(&again)).await, &[("passed", 1)]);
    let roles: Vec<_> = rig.stand.journal().iter().map(|entry| entry.role).collect();
    assert_eq!(roles, [Role::Judge]);
}

#[tokio::test]
async fn of_a_simulated_talk_every_turn_before_the_call_that_fails_is_kept() {
    let rig = rig("anthropic").await;
    let scenario = json!({"name": "S", "category": "support", "mode": "simulated",
        "goal": "to be helped", "expected_behaviors": [{"text": "Offers help"}]});
    let scenario = id(&rig.user.make("/scenarios", &scenario).await);
    // User and agent in turn, three times; the user's thanks; the judge.
    for k in 1..=8 {
        let (_, run) = rig.failing_at(&scenario, k).await;
        let said = said(&run);
        assert_eq!(said.len(), k - 1, "call {k} failed: {said:?}");
        let speakers: Vec<_> =
            run["transcript"].as_array().unwrap().iter().map(|turn| &turn["speaker"]).collect();
        for (i, speaker) in speakers.into_iter().enumerate() {
            assert_eq!(speaker, if i % 2 == 0 { "user" } else { "agent" });
        }
    }
}
