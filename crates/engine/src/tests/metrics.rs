//! The metrics of the engine agree with the runs.

use super::fixture::{Fixture, passing_reply, rejected, scripted, space};
use clock::Clock;
use domain::RunError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use store::rows::RunRow;
use store::suites::SuiteStore;
use telemetry::parser::ParsedMetrics;
use telemetry::scrape::{initialize, recorder};

/// A scenario with this one user message.
fn asking(question: &str) -> Value {
    let mut scenario = scripted(1);
    scenario["conversation_flow"][0]["message"] = json!(question);
    scenario
}

/// The provider replies by the user message.
fn fixture() -> Fixture {
    Fixture::new(|number, request| {
        let messages = format!("{:?}", request.messages);
        if messages.contains("Be rejected") {
            Box::pin(async { rejected() })
        } else if messages.contains("Hang") {
            Box::pin(std::future::pending())
        } else {
            passing_reply(number, request)
        }
    })
}

fn secs(took: Duration) -> f64 {
    took.as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn metrics_match_runs() {
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let numbers = || ParsedMetrics::read(&recorder.handle().render());
    initialize();
    let f = fixture();
    let damaged = json!({"name": "S", "category": "support"});
    let all = [scripted(3), scripted(2), asking("Be rejected"), damaged, scripted(1)];
    let first = f.suite(1, &all).await;
    // With a concurrency of 2 the third run never starts.
    let hanging = [asking("Hang"), asking("Hang"), asking("Hang")];
    let second = f.suite_with(2, &hanging, |suite| suite.concurrency = 2).await;
    let engine = f.start().await;
    let mut runs = f.finished(1, first).await;

    // While two calls hang, the gauges are updated every five seconds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let metrics = numbers();
    let state = |state| metrics.value("rehearsal_runs", &[("state", state)]);
    assert_eq!((state("conversing"), state("pending"), state("evaluating")), (2.0, 1.0, 0.0));
    let oldest = metrics.value("rehearsal_oldest_lease_seconds", &[]);
    assert!((0.0..=6.0).contains(&oldest), "renewed every 5 s: {oldest}");
    assert_eq!(engine.calls_in_flight(), 2);

    let outcome = f.queue.cancel_suite(space(2), second, f.clock.now()).await.unwrap().unwrap();
    engine.cancel(&outcome.leased_runs);
    runs.extend(f.finished(2, second).await);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let metrics = numbers();
    for (labels, left) in metrics.of("rehearsal_runs") {
        assert_eq!(left, 0.0, "{labels:?}");
    }
    assert_eq!(metrics.value("rehearsal_oldest_lease_seconds", &[]), 0.0);
    assert_eq!(engine.calls_in_flight(), 0);
    compare(&metrics, &runs);
}

/// Compares counters and histograms with the runs.
fn compare(metrics: &ParsedMetrics, runs: &[RunRow]) {
    let kind = |error: &Option<RunError>| error.as_ref().map_or("none", |e| e.kind.as_str());
    let mut ends: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut took: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut waits = (0.0, 0.0);
    for run in runs {
        *ends.entry((run.status.as_str(), kind(&run.error))).or_default() += 1.0;
        if let (Some(began), Some(ended)) = (run.started_at, run.finished_at) {
            let (count, sum) = took.entry(run.status.as_str()).or_default();
            (*count, *sum) = (*count + 1.0, *sum + secs(ended.since(began)));
            waits = (waits.0 + 1.0, waits.1 + secs(began.since(run.created_at)));
        }
    }
    assert_eq!(ends.values().sum::<f64>(), 8.0);
    assert!(ends.len() >= 4, "passed, two kinds of errors, cancelled: {ends:?}");
    for (labels, count) in metrics.of("rehearsal_runs_finished_total") {
        let key = (labels["status"].as_str(), labels["error_kind"].as_str());
        assert_eq!(count, ends.get(&key).copied().unwrap_or(0.0), "{key:?}");
    }
    for (labels, count) in metrics.of("rehearsal_run_duration_seconds_count") {
        let status = labels["status"].as_str();
        let (runs, seconds) = took.get(status).copied().unwrap_or_default();
        assert_eq!(count, runs, "{status}");
        let sum = metrics.value("rehearsal_run_duration_seconds_sum", &[("status", status)]);
        assert!((sum - seconds).abs() < 1e-6, "{status}: {sum} of {seconds}");
    }
    assert_eq!(metrics.value("rehearsal_queue_wait_seconds_count", &[]), waits.0);
    let waited = metrics.value("rehearsal_queue_wait_seconds_sum", &[]);
    assert!((waited - waits.1).abs() < 1e-6, "{waited} of {}", waits.1);
}

#[tokio::test(start_paused = true)]
async fn recoveries_and_abandoned_runs_are_counted() {
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    initialize();
    let f = fixture();
    let suite = f.suite(1, &[asking("Hang")]).await;
    for _ in 0..4 {
        let engine = f.start().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        engine.kill().await;
    }
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    let metrics = ParsedMetrics::read(&recorder.handle().render());
    assert_eq!(run.recoveries, 3);
    assert_eq!(metrics.value("rehearsal_runs_recovered_total", &[]), 3.0);
    assert_eq!(metrics.value("rehearsal_runs_reaped_total", &[]), 1.0);
    let labels = [("status", "error"), ("error_kind", "abandoned")];
    assert_eq!(metrics.value("rehearsal_runs_finished_total", &labels), 1.0);
    assert_eq!(
        metrics.value("rehearsal_queue_wait_seconds_count", &[]),
        1.0,
        "the run started once"
    );
}
