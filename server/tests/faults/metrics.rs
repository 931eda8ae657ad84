//! Failure mode: a circuit opens and nobody notices. Metrics cover provider responses,
//! circuits, outcomes of runs and the store. They agree with the provider's
//! request log, and their labels are bounded and contain no user data.

use super::support::{
    TIMEOUT, assert_outcomes, metric_sum, new_server, rule_for_message, wait_until,
};
use fault_injection::Setup;
use mock_provider::{Action, Outcome, Script};
use serde_json::json;

const RUNS: usize = 4;

async fn setup(script: Script) -> Setup {
    let server = new_server().with_env("REHEARSAL_CIRCUIT_WAIT", "0s");
    Setup::start(server.with_env("REHEARSAL_RUNS_PER_USER", 8), script).await
}

#[tokio::test]
async fn metrics_show_circuit_opening_and_closing() {
    let setup = setup(Script::of([rule_for_message("Down", Action::status(503))])).await;
    let all = setup.user.create_scenarios("Down", 8, 1).await;
    let suite = setup.user.start_suite(&setup.agent, &all, json!({"concurrency": 8})).await;
    setup.user.wait_for_suite_within(&suite, TIMEOUT).await;
    let text = setup.server.metrics().await;
    assert_eq!(metric_sum(&text, "rehearsal_breakers", &[("state", "open")]), Some(1.0), "{text}");
    let opened = metric_sum(&text, "rehearsal_breaker_transitions_total", &[("to", "open")]);
    assert_eq!(opened, Some(1.0), "{text}");
    let failed = [("kind", "openai"), ("class", "server_error")];
    let refused = setup.provider.request_log().len() as f64;
    assert_eq!(metric_sum(&text, "rehearsal_provider_answers_total", &failed), Some(refused));

    setup.provider.set_script(Script::default());
    let path = format!("/connections/{}/test", setup.agent["connection_id"].as_str().unwrap());
    assert_eq!(setup.user.create(&path, &json!({"model": "m"})).await["ok"], true);
    let text = setup.server.metrics().await;
    assert_eq!(metric_sum(&text, "rehearsal_breakers", &[("state", "open")]), Some(0.0), "{text}");
    let closed = metric_sum(&text, "rehearsal_breaker_transitions_total", &[("to", "closed")]);
    assert_eq!(closed, Some(1.0), "{text}");
}

#[tokio::test]
async fn metrics_count_calls_and_runs_by_outcome() {
    let rejected = Action::Status { status: 400, body: json!("no"), headers: Default::default() };
    let setup = setup(Script::of([rule_for_message("Odd", rejected)])).await;
    let mut all = setup.user.create_scenarios("Odd", 1, 1).await;
    all.extend(setup.user.create_scenarios("Even", RUNS - 1, 2).await);
    let suite = setup.user.start_suite(&setup.agent, &all, json!({})).await;
    let suite = setup.user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("error/provider_rejected", 1), ("passed", RUNS - 1)]);
    wait_until("the counters of the runs", TIMEOUT, async || {
        let passed = [("status", "passed")];
        let text = setup.server.metrics().await;
        metric_sum(&text, "rehearsal_runs_finished_total", &passed) == Some((RUNS - 1) as f64)
    })
    .await;
    let text = setup.server.metrics().await;
    let value = |name: &str, labels: &[(&str, &str)]| {
        metric_sum(&text, name, labels).unwrap_or_else(|| panic!("no {name}{labels:?} in\n{text}"))
    };
    let ended = [("status", "error"), ("error_kind", "provider_rejected")];
    assert_eq!(value("rehearsal_runs_finished_total", &ended), 1.0);
    assert_eq!(value("rehearsal_run_duration_seconds_count", &[]), RUNS as f64);
    assert_eq!(value("rehearsal_queue_wait_seconds_count", &[]), RUNS as f64);
    let requests = setup.provider.request_log();
    let answered = |status| {
        requests.iter().filter(|entry| entry.outcome == Outcome::Answered(status)).count() as f64
    };
    let class = |class| value("rehearsal_provider_answers_total", &[("class", class)]);
    assert_eq!((class("ok"), class("rejected")), (answered(200), answered(400)));
    assert_eq!(value("rehearsal_call_duration_seconds_count", &[]), requests.len() as f64);
    assert!(value("rehearsal_store_commit_seconds_count", &[]) > 0.0);
    assert!(value("rehearsal_store_batch_size_count", &[]) > 0.0);
    assert!(value("rehearsal_build_info", &[]) >= 1.0);
    for idle in ["rehearsal_calls_in_flight", "rehearsal_limiter_waiting"] {
        assert_eq!(value(idle, &[]), 0.0, "{idle}");
    }
}

#[tokio::test]
async fn labels_contain_no_user_data() {
    let setup = setup(Script::default()).await;
    let all = setup.user.create_scenarios("S", RUNS, 1).await;
    let suite = setup.user.start_suite(&setup.agent, &all, json!({})).await;
    assert_outcomes(&setup.user.wait_for_suite(&suite).await, &[("passed", RUNS)]);
    let text = setup.server.metrics().await;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series > 0 && series < 2_000, "{series} series");
    let connection = setup.agent["connection_id"].as_str().unwrap();
    let secrets = [connection, &suite, "sk-test", "user@example.org", "Desk", "127.0.0.1"];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    let known = [
        "kind",
        "class",
        "state",
        "to",
        "table",
        "what",
        "status",
        "error_kind",
        "limit",
        "version",
        "le",
        "quantile",
    ];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, rest)) = line.split_once('{') else { continue };
        let labels = rest.split_once('}').expect("closed").0;
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let name = label.split_once('=').expect("a value").0;
            assert!(known.contains(&name), "new label {name}: check that it is bounded: {line}");
        }
    }
}
