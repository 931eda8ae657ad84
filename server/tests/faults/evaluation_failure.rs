//! Failure mode: the judge's call fails and the paid conversation is thrown away. The
//! transcript is stored before the evaluation, and a new evaluation or a rerun
//! only makes the judge's calls.

use super::support::{TIMEOUT, assert_outcomes, messages, new_server, rule_for_role, wait_until};
use fault_injection::{Setup, id};
use mock_provider::{Action, Role, Script};
use serde_json::json;

#[tokio::test]
async fn evaluation_failure_keeps_the_conversation() {
    const RUNS: usize = 3;
    let script = Script::of([rule_for_role(Role::Judge, Action::status(404))]);
    let Setup { provider, server: _server, user, agent } =
        Setup::start_with("anthropic", new_server(), script).await;
    let all = user.create_scenarios("S", RUNS, 3).await;
    let suite = user.start_suite(&agent, &all, json!({})).await;
    let suite = user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("error/evaluation_unavailable", RUNS)]);
    assert!(
        suite["pass_rate"].is_null(),
        "an error does not count as a failure: {}",
        suite["pass_rate"]
    );
    let before = user.fetch_runs(&suite).await;
    for run in &before {
        assert_eq!(run["transcript"].as_array().unwrap().len(), 6);
        assert_eq!(run["end_reason"], "script_finished");
        assert!(run["score"].is_null() && run["passed"].is_null());
    }

    // A new evaluation has a verdict and does not change the run.
    provider.set_script(Script::default());
    provider.clear_request_log();
    let first = id(&before[0]);
    user.create(&format!("/runs/{first}/evaluate"), &json!({})).await;
    wait_until("the evaluation is done", TIMEOUT, async || {
        user.get(&format!("/runs/{first}")).await["evaluations"][0]["status"] == "done"
    })
    .await;
    let judged = user.get(&format!("/runs/{first}")).await;
    assert_eq!(judged["evaluations"][0]["verdict"], "passed");
    assert_eq!(
        judged["evaluations"].as_array().unwrap().len(),
        2,
        "the failed evaluation stays listed"
    );
    for field in ["status", "score", "error", "transcript", "finished_at"] {
        assert_eq!(judged[field], before[0][field], "{field} of the run is unchanged");
    }

    // A rerun copies and judges the conversations.
    let rerun = json!({"which": "errors"});
    let rerun_suite = user.create(&format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    let rerun_suite = user.wait_for_suite(&id(&rerun_suite)).await;
    assert_outcomes(&rerun_suite, &[("passed", RUNS)]);
    for (run, source) in user.fetch_runs(&rerun_suite).await.iter().zip(&before) {
        assert_eq!(run["source_run_id"], source["id"]);
        assert_eq!(messages(run), messages(source));
    }
    let roles: Vec<_> = provider.request_log().iter().map(|entry| entry.role).collect();
    assert_eq!(roles, [Role::Judge; 1 + RUNS], "no call of the agent");
}
