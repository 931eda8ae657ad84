//! The judge's call failed, and the conversation that had been paid for was
//! thrown away. Here the transcript stands before it is judged; judging again
//! and running again make the judge's calls and no other.

use super::outside::{assert_endings, binary, of_role, scenarios, start, whole_runs};
use serde_json::json;
use fault_injection::house::{House, id};
use mock_provider::{Action, Role, Script};

#[tokio::test]
async fn the_conversation_is_kept_and_only_the_missing_is_done() {
    const RUNS: usize = 3;
    let away = Script::of([of_role(Role::Judge, Action::status(404))]);
    let stand = mock_provider::start(away).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("judge@example.org");
    let agent = user.agent("anthropic", &stand.anthropic_url()).await;
    let all = scenarios(&user, "S", RUNS, 3).await;
    let suite = start(&user, &agent, &all, json!({})).await;
    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("error/evaluation_unavailable", RUNS)]);
    assert!(suite["pass_rate"].is_null(), "no verdict is no failure: {}", suite["pass_rate"]);
    let before = whole_runs(&user, &suite).await;
    for run in &before {
        assert_eq!(run["transcript"].as_array().unwrap().len(), 6);
        assert_eq!(run["end_reason"], "script_finished");
        assert!(run["score"].is_null() && run["passed"].is_null());
    }

    // Judged again: a verdict beside the run, which stays what it was.
    stand.play(Script::default());
    stand.forget();
    let first = id(&before[0]);
    user.make(&format!("/runs/{first}/evaluate"), &json!({})).await;
    super::outside::until("it is judged", super::outside::SOON, async || {
        user.get(&format!("/runs/{first}")).await["evaluations"][0]["status"] == "done"
    })
    .await;
    let judged = user.get(&format!("/runs/{first}")).await;
    assert_eq!(judged["evaluations"][0]["verdict"], "passed");
    assert_eq!(judged["evaluations"].as_array().unwrap().len(), 2, "the failed one stays listed");
    for field in ["status", "score", "error", "transcript", "finished_at"] {
        assert_eq!(judged[field], before[0][field], "{field} of the run is not touched");
    }

    // Run again: the conversations are copied and judged.
    let rerun = json!({"which": "errors"});
    let again = user.make(&format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    let again = user.finished(&id(&again)).await;
    assert_endings(&again, &[("passed", RUNS)]);
    for (run, source) in whole_runs(&user, &again).await.iter().zip(&before) {
        assert_eq!(run["source_run_id"], source["id"]);
        let words = |run: &serde_json::Value| {
            super::outside::said(run).iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words(run), words(source));
    }
    let roles: Vec<_> = stand.journal().iter().map(|entry| entry.role).collect();
    assert_eq!(roles, [Role::Judge; 1 + RUNS], "nobody talked again");
}
