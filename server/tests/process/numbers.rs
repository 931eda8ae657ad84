//! `/metrics` says the same as the API.

use super::binary;
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use mock_provider::{Action, Rule, Script, When};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

async fn scrape(house: &House) -> String {
    let answer = house.client.get(format!("http://{}/metrics", house.addr)).send().await.unwrap();
    assert!(answer.status().is_success());
    answer.text().await.unwrap()
}

/// The value of a series, spelled as it stands.
fn value(text: &str, series: &str) -> f64 {
    let line =
        text.lines().find(|line| line.strip_prefix(series).is_some_and(|l| l.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("no {series} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn until(house: &House, series: &str, wanted: f64) {
    let began = Instant::now();
    loop {
        let text = scrape(house).await;
        if (value(&text, series) - wanted).abs() < f64::EPSILON {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{series}: {}", value(&text, series));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn metrics_say_what_the_api_says() {
    let contains = |text: &str| When { contains: Some(text.to_owned()), ..When::default() };
    let rules = vec![
        Rule { when: contains("Bad"), ..Rule::always(Action::status(400)) },
        Rule { when: contains("Hang"), ..Rule::always(Action::Hang) },
    ];
    let stand = mock_provider::start(Script { latency_ms: 20, rules, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("numbers@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let mut scenarios = Vec::new();
    for name in ["Alpha", "Beta", "Gamma", "Bad", "Hang"] {
        scenarios.push(id(&user.scenario(name, 2).await));
    }
    let start = json!({"agent_id": agent["id"], "scenario_ids": scenarios, "concurrency": 5});
    let suite = id(&user.make("/suites", &start).await);
    let reading = {
        let path = format!("/suites/{suite}/events?after=0");
        let request = user.ask(reqwest::Method::GET, &path);
        tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
    };
    until(&house, "rehearsal_runs{state=\"conversing\"}", 1.0).await;
    until(&house, "rehearsal_calls_in_flight", 1.0).await;
    until(&house, "rehearsal_open_streams", 1.0).await;
    let text = scrape(&house).await;
    assert!(value(&text, "rehearsal_heartbeat_age_seconds") < 20.0);
    assert!(value(&text, "rehearsal_oldest_lease_seconds") < 20.0);
    let cancelled = user.post(&format!("/suites/{suite}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status(), 202);
    let suite = user.finished(&suite).await;
    let events = reading.await.unwrap();
    until(&house, "rehearsal_open_streams", 0.0).await;
    until(&house, "rehearsal_runs{state=\"conversing\"}", 0.0).await;
    until(&house, "rehearsal_calls_in_flight", 0.0).await;

    let text = scrape(&house).await;
    compare(&user, &text, &suite).await;
    let lag = value(&text, "rehearsal_event_lag_seconds_count");
    let told = events.lines().filter(|line| line.starts_with("id:")).count() as f64;
    assert!(lag >= 1.0 && lag <= told, "{lag} of {told} events");
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("rehearsal_build_info{{version=\"{version}\"}} 1")));
    // Whoever reads it learns of nobody.
    for secret in ["numbers@", "Alpha", "Desk", user.token.as_str(), &id(&suite)] {
        assert!(!text.contains(secret), "{secret} is in the metrics");
    }
}

/// Ends by status and kind, and durations, run by run.
async fn compare(user: &User, text: &str, suite: &Value) {
    let mut ends: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut durations: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for run in suite["runs"].as_array().unwrap() {
        let run = user.get(&format!("/runs/{}", id(run))).await;
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
    assert_eq!(all, suite["total"].as_f64().unwrap(), "each once");
    for (status, (count, sum)) in &durations {
        let name = "rehearsal_run_duration_seconds";
        assert_eq!(value(text, &format!("{name}_count{{status=\"{status}\"}}")), *count);
        let measured = value(text, &format!("{name}_sum{{status=\"{status}\"}}"));
        assert!((measured - sum).abs() < 0.001, "{status}: {measured} of {sum}");
    }
    assert_eq!(value(text, "rehearsal_queue_wait_seconds_count"), 5.0);
}
