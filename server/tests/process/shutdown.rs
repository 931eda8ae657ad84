//! SIGTERM: the process exits within seconds, streams end properly, nothing is
//! lost, no recovery is counted, and runs continue after the next start.

use super::new_server;
use fault_injection::{ApiClient, Setup};
use mock_provider::{Action, Outcome, Rule, Script, When};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;
use tokio::time::Instant;

const TURNS: usize = 6;
const RUNS: usize = 6;
const CONCURRENCY: usize = 4;
const READERS: usize = 5;
/// Well below the timeout of a service manager.
const MAX_EXIT_TIME: Duration = Duration::from_secs(8);

/// Hangs on messages that contain "Hang".
fn script_with_hang() -> Script {
    let when = When { contains: Some("Hang".to_owned()), ..When::default() };
    let rules = vec![Rule { when, ..Rule::always(Action::Hang) }];
    Script { latency_ms: 60, rules, ..Script::default() }
}

/// Starts a suite in which one run hangs at its first call.
async fn start_busy_suite(user: &ApiClient, agent: &Value) -> String {
    let mut scenarios = user.create_scenarios("Hang", 1, TURNS).await;
    scenarios.extend(user.create_scenarios("S", RUNS - 1, TURNS).await);
    user.start_suite(agent, &scenarios, json!({"concurrency": CONCURRENCY})).await
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn ids(text: &str) -> Vec<i64> {
    text.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect()
}

async fn read_stream(user: &ApiClient, suite: &str, after: i64) -> reqwest::Result<String> {
    let path = format!("/suites/{suite}/events?after={after}");
    user.request(reqwest::Method::GET, &path).send().await?.text().await
}

#[tokio::test]
async fn shutdown_loses_and_repeats_nothing() {
    let Setup { provider, mut server, user, agent } =
        Setup::start(new_server(), script_with_hang()).await;
    let suite = start_busy_suite(&user, &agent).await;
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (user, suite) = (user.clone(), suite.clone());
            tokio::spawn(async move { read_stream(&user, &suite, 0).await })
        })
        .collect();
    let open =
        || provider.request_log().iter().filter(|call| call.outcome == Outcome::InFlight).count();
    wait_until("calls", || provider.request_log().len() > 3 * CONCURRENCY).await;
    assert!(open() >= 1, "one call hangs");

    server.send_sigterm();
    let (status, exit_time) = server.wait_for_exit().await;
    let code = status.code();
    eprintln!("exited in {exit_time:?}");
    assert_eq!(code, Some(0));
    assert!(exit_time < MAX_EXIT_TIME, "{exit_time:?}");
    wait_until("calls in flight are dropped", || open() == 0).await;
    let calls_before = provider.request_log().len();
    // A truncated body would be an error here.
    let mut seen = 0;
    for reader in readers {
        let text = reader.await.unwrap().expect("the stream ended properly");
        let ids = ids(&text);
        assert_eq!(ids, (1..=ids.len() as i64).collect::<Vec<_>>(), "no gap and no duplicate");
        assert!(!text.contains("event: finished") && !ids.is_empty());
        seen = ids.len() as i64;
    }

    provider.set_script(Script { latency_ms: 20, ..Script::default() });
    server.start().await;
    let rest = read_stream(&user, &suite, seen).await.unwrap();
    assert_eq!(ids(&rest).first(), Some(&(seen + 1)), "the next event follows");
    let suite = user.wait_for_suite(&suite).await;
    assert_eq!(suite["counts"]["passed"], RUNS, "{}", suite["counts"]);
    assert_complete(&user, &suite).await;
    let (needed, all) = (RUNS * (TURNS + 1), provider.request_log().len());
    assert!(all <= needed + CONCURRENCY, "{all} calls ({calls_before} before), {needed} needed");
}

/// Every turn exists once, in order, and no recovery is counted.
async fn assert_complete(user: &ApiClient, suite: &Value) {
    for run in user.fetch_runs(suite).await {
        assert_eq!(run["recoveries"], 0, "a shutdown is not a recovery");
        let transcript = run["transcript"].as_array().unwrap();
        let indices: Vec<_> = transcript.iter().map(|t| t["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, (0..TURNS as u64 * 2).collect::<Vec<_>>(), "no lost or duplicate turn");
        let user_turns = transcript.iter().filter(|turn| turn["speaker"] == "user");
        let messages: HashSet<_> =
            user_turns.map(|turn| turn["message"].as_str().unwrap()).collect();
        assert_eq!(messages.len(), TURNS);
    }
}

#[tokio::test]
async fn shutdown_with_locked_database_ends_in_time_and_reports_not_ready() {
    let Setup { provider, mut server, user, agent } =
        Setup::start(new_server(), script_with_hang()).await;
    let suite = start_busy_suite(&user, &agent).await;
    wait_until("calls", || provider.request_log().len() > CONCURRENCY).await;
    let holder = server.lock_database().await;

    let (start, url) = (Instant::now(), format!("http://{}/health/ready", server.addr));
    server.send_sigterm();
    let mut reported = false;
    while !reported && start.elapsed() < Duration::from_secs(5) {
        if let Ok(answer) = server.client.get(&url).send().await {
            let status = answer.status();
            reported = status == 503 && answer.text().await.unwrap().contains("Shutting down");
        }
    }
    assert!(reported, "a stopping server is not ready");
    assert!(start.elapsed() < Duration::from_secs(2), "at once: {:?}", start.elapsed());
    let (status, _) = server.wait_for_exit().await;
    let code = status.code();
    let exit_time = start.elapsed();
    eprintln!("exited with {code:?} in {exit_time:?}, the database locked");
    assert!(exit_time < Duration::from_secs(21), "{exit_time:?}");
    assert!(code.is_some(), "not by a signal");

    holder.close().await.unwrap();
    provider.set_script(Script::default());
    server.start().await;
    let suite = user.wait_for_suite(&suite).await;
    assert_eq!(suite["counts"]["passed"], RUNS, "{}", suite["counts"]);
}

#[tokio::test]
async fn second_sigterm_ends_process_at_once() {
    let Setup { provider, mut server, user, agent } =
        Setup::start(new_server(), script_with_hang()).await;
    start_busy_suite(&user, &agent).await;
    wait_until("calls", || provider.request_log().len() > CONCURRENCY).await;
    let _holder = server.lock_database().await;
    server.send_sigterm();
    let start = Instant::now();
    while !server.log().contains("shutdown requested") {
        assert!(start.elapsed() < Duration::from_secs(10), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.send_sigterm();
    let (status, exit_time) = server.wait_for_exit().await;
    let code = status.code();
    assert_eq!(code, Some(1), "a forced exit");
    assert!(exit_time < Duration::from_secs(2), "{exit_time:?}");
    assert!(server.log().contains("shutdown requested again"));
}

#[tokio::test]
async fn shutdown_does_not_wait_for_slow_request() {
    let mut server = new_server().started().await;
    let mut slow = std::net::TcpStream::connect(server.addr).unwrap();
    let head = "POST /forms/sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nemail=";
    slow.write_all(head.as_bytes()).unwrap();
    // A later request has a response, so the server reads the slow one by now.
    let live = format!("http://{}/health/live", server.addr);
    assert!(server.client.get(live).send().await.unwrap().status().is_success());
    server.send_sigterm();
    let (status, exit_time) = server.wait_for_exit().await;
    let code = status.code();
    assert_eq!(code, Some(0), "a slow client is not an error");
    assert!(exit_time < MAX_EXIT_TIME, "{exit_time:?}");
    drop(slow);
}
