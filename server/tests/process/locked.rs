//! Somebody else locks the database for ten seconds in mid-suite: it is said,
//! reading goes on, nothing is lost, no call is made twice, and all goes on by
//! itself.

use super::binary;
use reqwest::Method;
use serde_json::json;
use fault_injection::house::{House, id};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use mock_provider::Script;
use std::time::Duration;
use tokio::time::Instant;

const TURNS: usize = 5;
const RUNS: usize = 8;
const LOCKED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_locked_database_is_told_and_nothing_is_lost() {
    let stand = mock_provider::start(Script { latency_ms: 60, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("locked@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let mut scenarios = Vec::new();
    for n in 0..RUNS {
        scenarios.push(id(&user.scenario(&format!("S{n}"), TURNS).await));
    }
    let start = json!({"agent_id": agent["id"], "scenario_ids": scenarios, "concurrency": 4});
    let suite = id(&user.make("/suites", &start).await);
    let calls = async {
        while stand.journal().len() < RUNS * TURNS / 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), calls).await.expect("calls go on");

    let file = SqliteConnectOptions::new().filename(house.data().join("rehearsal.db"));
    let mut other = SqliteConnection::connect_with(&file).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let locked = Instant::now();

    let refused = json!({"name": "Refused", "category": "support", "conversation_flow":
        [{"speaker": "user", "message": "hello"}], "expected_behaviors": [{"text": "Offers help"}]});
    let answer = user.post("/scenarios", &refused).await;
    assert_eq!(answer.status(), 503);
    let after = answer.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap();
    assert!((1..=60).contains(&after));
    let problem: serde_json::Value = answer.json().await.unwrap();
    let sentence = problem["detail"].as_str().unwrap();
    assert!(sentence.contains("nothing was changed"), "{sentence}");
    assert_eq!(problem["retry_after"], after);

    // The writer has given up waiting by now, so the next hears it soon.
    let health = |path: &str| house.client.get(format!("http://{}/health/{path}", house.addr));
    let asked = Instant::now();
    let ready = health("ready").send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("takes no writes"));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(health("live").send().await.unwrap().status(), 200);

    // Reading goes on; and no call is made whose intent is not stored.
    let seen = stand.journal().len();
    let shown = user.get(&format!("/suites/{suite}")).await;
    assert_eq!(shown["status"], "running");
    tokio::time::sleep_until(locked + LOCKED).await;
    assert_eq!(stand.journal().len(), seen, "no call while nothing can be stored");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();

    let ended = user.finished(&suite).await;
    assert_eq!(ended["counts"]["passed"], RUNS, "{}", ended["counts"]);
    assert_eq!(stand.journal().len(), RUNS * (TURNS + 1), "no call was made twice");
    for run in ended["runs"].as_array().unwrap() {
        let run = user.get(&format!("/runs/{}", id(run))).await;
        assert_eq!(run["transcript"].as_array().unwrap().len(), TURNS * 2);
        assert_eq!((run["attempt"].as_u64(), run["recoveries"].as_u64()), (Some(1), Some(0)));
    }
    assert_eq!(health("ready").send().await.unwrap().status(), 200);
    let listed = user.ask(Method::GET, "/scenarios?limit=100").send().await.unwrap();
    assert!(!listed.text().await.unwrap().contains("\"Refused\""), "what was refused is not there");
    let metrics = house.client.get(format!("http://{}/metrics", house.addr)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for name in [
        "rehearsal_store_errors_total{what=\"begin\"}",
        "rehearsal_store_commit_seconds",
        "rehearsal_store_batch_size",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
}
