//! The metrics agree with the API.

use super::new_server;
use fault_injection::{ApiClient, Setup, TestServer, id, metric_value};
use mock_provider::{Action, Rule, Script, When};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

fn value(metrics: &str, series: &str) -> f64 {
    metric_value(metrics, series).unwrap_or_else(|| panic!("no {series} in {metrics}"))
}

async fn wait_until(server: &TestServer, series: &str, wanted: f64) {
    let started = Instant::now();
    loop {
        let text = server.metrics().await;
        if (value(&text, series) - wanted).abs() < f64::EPSILON {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{series}: {}", value(&text, series));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn metrics_agree_with_the_api() {
    let contains = |text: &str| When { contains: Some(text.to_owned()), ..When::default() };
    let rules = vec![
        Rule { when: contains("Bad"), ..Rule::always(Action::status(400)) },
        Rule { when: contains("Hang"), ..Rule::always(Action::Hang) },
    ];
    let Setup { provider: _provider, server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 20, rules, ..Script::default() }).await;
    let mut scenarios = Vec::new();
    for name in ["Alpha", "Beta", "Gamma", "Bad", "Hang"] {
        scenarios.push(id(&user.create_scenario(name, 2).await));
    }
    let suite = user.start_suite(&agent, &scenarios, json!({"concurrency": 5})).await;
    let reading = {
        let path = format!("/suites/{suite}/events?after=0");
        let request = user.request(reqwest::Method::GET, &path);
        tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
    };
    wait_until(&server, "rehearsal_runs{state=\"conversing\"}", 1.0).await;
    wait_until(&server, "rehearsal_calls_in_flight", 1.0).await;
    wait_until(&server, "rehearsal_open_streams", 1.0).await;
    let text = server.metrics().await;
    assert!(value(&text, "rehearsal_heartbeat_age_seconds") < 20.0);
    assert!(value(&text, "rehearsal_oldest_lease_seconds") < 20.0);
    let cancelled = user.post(&format!("/suites/{suite}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status(), 202);
    let suite = user.wait_for_suite(&suite).await;
    let events = reading.await.unwrap();
    wait_until(&server, "rehearsal_open_streams", 0.0).await;
    wait_until(&server, "rehearsal_runs{state=\"conversing\"}", 0.0).await;
    wait_until(&server, "rehearsal_calls_in_flight", 0.0).await;

    let text = server.metrics().await;
    compare(&user, &text, &suite).await;
    let lag = value(&text, "rehearsal_event_lag_seconds_count");
    let received = events.lines().filter(|line| line.starts_with("id:")).count() as f64;
    assert!(lag >= 1.0 && lag <= received, "{lag} of {received} events");
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("rehearsal_build_info{{version=\"{version}\"}} 1")));
    // The metrics contain no user data.
    for secret in ["user@", "Alpha", "Desk", user.token.as_str(), &id(&suite)] {
        assert!(!text.contains(secret), "{secret} is in the metrics");
    }
}

/// Compares the counters and durations of finished runs with the API.
async fn compare(user: &ApiClient, text: &str, suite: &Value) {
    let mut ends: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut durations: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for run in user.fetch_runs(suite).await {
        let status = run["status"].as_str().unwrap().to_owned();
        let kind = run["error"]["kind"].as_str().unwrap_or("none").to_owned();
        *ends.entry((status.clone(), kind)).or_default() += 1.0;
        let (count, sum) = durations.entry(status).or_default();
        *count += 1.0;
        *sum += run["duration_ms"].as_f64().unwrap() / 1000.0;
    }
    assert_eq!(ends.len(), 3, "passed, an error, cancelled: {ends:?}");
    for ((status, kind), count) in &ends {
        let series =
            format!("rehearsal_runs_finished_total{{status=\"{status}\",error_kind=\"{kind}\"}}");
        assert_eq!(value(text, &series), *count, "{series}");
    }
    let all = text.lines().filter(|line| line.starts_with("rehearsal_runs_finished_total{"));
    let all: f64 = all.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(all, suite["total"].as_f64().unwrap(), "each run counts once");
    for (status, (count, sum)) in &durations {
        let name = "rehearsal_run_duration_seconds";
        assert_eq!(value(text, &format!("{name}_count{{status=\"{status}\"}}")), *count);
        let measured = value(text, &format!("{name}_sum{{status=\"{status}\"}}"));
        assert!((measured - sum).abs() < 0.001, "{status}: {measured} of {sum}");
    }
    assert_eq!(value(text, "rehearsal_queue_wait_seconds_count"), 5.0);
}
