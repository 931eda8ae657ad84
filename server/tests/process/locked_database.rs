//! Another process locks the database for ten seconds during a suite: writes get a
//! clear error, reads work, nothing is lost, no call is repeated, and the suite
//! continues by itself.

use super::new_server;
use fault_injection::Setup;
use mock_provider::Script;
use reqwest::Method;
use serde_json::json;
use sqlx::Connection as _;
use std::time::Duration;
use tokio::time::Instant;

const TURNS: usize = 5;
const RUNS: usize = 8;
const LOCK_DURATION: Duration = Duration::from_secs(10);

#[tokio::test]
async fn locked_database_gives_clear_errors_and_loses_nothing() {
    let Setup { provider, server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 60, ..Script::default() }).await;
    let scenarios = user.create_scenarios("S", RUNS, TURNS).await;
    let suite = user.start_suite(&agent, &scenarios, json!({"concurrency": 4})).await;
    let calls = async {
        while provider.request_log().len() < RUNS * TURNS / 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), calls).await.expect("calls continue");

    let lock = server.lock_database().await;
    let locked_at = Instant::now();

    let refused = json!({"name": "Refused", "category": "support", "conversation_flow":
        [{"speaker": "user", "message": "hello"}], "expected_behaviors": [{"text": "Offers help"}]});
    let answer = user.post("/scenarios", &refused).await;
    assert_eq!(answer.status(), 503);
    let after = answer.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap();
    assert!((1..=60).contains(&after));
    let problem: serde_json::Value = answer.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("nothing was changed"), "{detail}");
    assert_eq!(problem["retry_after"], after);

    // The writer has timed out by now, so the next error comes quickly.
    let health = |path: &str| server.client.get(format!("http://{}/health/{path}", server.addr));
    let start = Instant::now();
    let ready = health("ready").send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("does not accept writes"));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(health("live").send().await.unwrap().status(), 200);

    // Reads work, and no call is made without a stored intent.
    let requests = provider.request_log().len();
    let shown = user.get(&format!("/suites/{suite}")).await;
    assert_eq!(shown["status"], "running");
    tokio::time::sleep_until(locked_at + LOCK_DURATION).await;
    assert_eq!(provider.request_count(), requests, "no call while nothing can be stored");
    lock.close().await.unwrap();

    let ended = user.wait_for_suite(&suite).await;
    assert_eq!(ended["counts"]["passed"], RUNS, "{}", ended["counts"]);
    assert_eq!(provider.request_log().len(), RUNS * (TURNS + 1), "no repeated call");
    for run in user.fetch_runs(&ended).await {
        assert_eq!(run["transcript"].as_array().unwrap().len(), TURNS * 2);
        assert_eq!((run["attempt"].as_u64(), run["recoveries"].as_u64()), (Some(1), Some(0)));
    }
    assert_eq!(health("ready").send().await.unwrap().status(), 200);
    let listed = user.request(Method::GET, "/scenarios?limit=100").send().await.unwrap();
    assert!(
        !listed.text().await.unwrap().contains("\"Refused\""),
        "the refused scenario is not stored"
    );
    let metrics = server.metrics().await;
    for name in [
        "rehearsal_store_errors_total{what=\"begin\"}",
        "rehearsal_store_commit_seconds",
        "rehearsal_store_batch_size",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
}
