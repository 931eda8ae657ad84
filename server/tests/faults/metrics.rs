//! A circuit opened and nobody knew. Here it can be scraped and alerted on:
//! what providers answer, what circuits do, how runs end and how the store
//! keeps up; in numbers that agree with the provider's journal, with labels
//! that stay few and tell nothing of people.

use super::outside::{
    SOON, about, assert_endings, binary, metric, metrics, scenarios, start, until,
};
use serde_json::json;
use fault_injection::house::{House, User};
use mock_provider::{Action, Outcome, Script, Stand};

const RUNS: usize = 4;

struct Rig {
    house: House,
    user: User,
    stand: Stand,
    agent: serde_json::Value,
}

async fn rig(script: Script) -> Rig {
    let stand = mock_provider::start(script).await.unwrap();
    let house = House::of(&binary())
        .with("REHEARSAL_CIRCUIT_WAIT", "0s")
        .with("REHEARSAL_RUNS_PER_USER", 8)
        .started()
        .await;
    let user = house.user("metrics@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    Rig { house, user, stand, agent }
}

#[tokio::test]
async fn an_open_circuit_is_seen_and_so_is_its_end() {
    let rig = rig(Script::of([about("Down", Action::status(503))])).await;
    let all = scenarios(&rig.user, "Down", 8, 1).await;
    let suite = start(&rig.user, &rig.agent, &all, json!({"concurrency": 8})).await;
    rig.user.finished_within(&suite, SOON).await;
    let text = metrics(&rig.house).await;
    assert_eq!(metric(&text, "rehearsal_breakers", &[("state", "open")]), Some(1.0), "{text}");
    let opened = metric(&text, "rehearsal_breaker_transitions_total", &[("to", "open")]);
    assert_eq!(opened, Some(1.0), "{text}");
    // The numbers are the provider's.
    let failed = [("kind", "openai"), ("class", "server_error")];
    let refused = rig.stand.journal().len() as f64;
    assert_eq!(metric(&text, "rehearsal_provider_answers_total", &failed), Some(refused));

    rig.stand.play(Script::default());
    let path = format!("/connections/{}/test", rig.agent["connection_id"].as_str().unwrap());
    assert_eq!(rig.user.make(&path, &json!({"model": "m"})).await["ok"], true);
    let text = metrics(&rig.house).await;
    assert_eq!(metric(&text, "rehearsal_breakers", &[("state", "open")]), Some(0.0), "{text}");
    let closed = metric(&text, "rehearsal_breaker_transitions_total", &[("to", "closed")]);
    assert_eq!(closed, Some(1.0), "{text}");
}

#[tokio::test]
async fn calls_and_runs_are_counted_as_they_ended() {
    let rejected = Action::Status { status: 400, body: json!("no"), headers: Default::default() };
    let rig = rig(Script::of([about("Odd", rejected)])).await;
    let mut all = scenarios(&rig.user, "Odd", 1, 1).await;
    all.extend(scenarios(&rig.user, "Even", RUNS - 1, 2).await);
    let suite = start(&rig.user, &rig.agent, &all, json!({})).await;
    let suite = rig.user.finished(&suite).await;
    assert_endings(&suite, &[("error/provider_rejected", 1), ("passed", RUNS - 1)]);
    until("the runs are counted", SOON, async || {
        let passed = [("status", "passed")];
        let text = metrics(&rig.house).await;
        metric(&text, "rehearsal_runs_finished_total", &passed) == Some((RUNS - 1) as f64)
    })
    .await;
    let text = metrics(&rig.house).await;
    let value = |name: &str, labels: &[(&str, &str)]| {
        metric(&text, name, labels).unwrap_or_else(|| panic!("no {name}{labels:?} in\n{text}"))
    };
    let ended = [("status", "error"), ("error_kind", "provider_rejected")];
    assert_eq!(value("rehearsal_runs_finished_total", &ended), 1.0);
    assert_eq!(value("rehearsal_run_duration_seconds_count", &[]), RUNS as f64);
    assert_eq!(value("rehearsal_queue_wait_seconds_count", &[]), RUNS as f64);
    let journal = rig.stand.journal();
    let answered = |status| {
        journal.iter().filter(|entry| entry.outcome == Outcome::Answered(status)).count() as f64
    };
    let class = |class| value("rehearsal_provider_answers_total", &[("class", class)]);
    assert_eq!((class("ok"), class("rejected")), (answered(200), answered(400)));
    assert_eq!(value("rehearsal_call_duration_seconds_count", &[]), journal.len() as f64);
    assert!(value("rehearsal_store_commit_seconds_count", &[]) > 0.0);
    assert!(value("rehearsal_store_batch_size_count", &[]) > 0.0);
    assert!(value("rehearsal_build_info", &[]) >= 1.0);
    for idle in ["rehearsal_calls_in_flight", "rehearsal_limiter_waiting"] {
        assert_eq!(value(idle, &[]), 0.0, "{idle}");
    }
}

#[tokio::test]
async fn labels_tell_nothing_of_people_and_things() {
    let rig = rig(Script::default()).await;
    let all = scenarios(&rig.user, "S", RUNS, 1).await;
    let suite = start(&rig.user, &rig.agent, &all, json!({})).await;
    assert_endings(&rig.user.finished(&suite).await, &[("passed", RUNS)]);
    let text = metrics(&rig.house).await;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series > 0 && series < 2_000, "{series} series");
    let connection = rig.agent["connection_id"].as_str().unwrap();
    let secrets = [connection, &suite, "sk-test", "metrics@example.org", "Desk", "127.0.0.1"];
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
        "version",
        "le",
        "quantile",
    ];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, rest)) = line.split_once('{') else { continue };
        let labels = rest.split_once('}').expect("closed").0;
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let name = label.split_once('=').expect("a value").0;
            assert!(known.contains(&name), "a new label, {name}: is it bounded? {line}");
        }
    }
}
