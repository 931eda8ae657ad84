//! Several SIGKILLs during a suite: no turn is lost or duplicated, no run is stuck,
//! and only the calls in flight are repeated.

use super::new_server;
use fault_injection::{Setup, id};
use mock_provider::Script;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const TURNS: usize = 5;
const RUNS: usize = 12;
const CONCURRENCY: usize = 4;
const KILLS: usize = 4;

#[tokio::test]
async fn suite_survives_kills() {
    let Setup { provider, mut server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 60, ..Script::default() }).await;
    let scenarios = user.create_scenarios("S", RUNS, TURNS).await;
    let suite = user.start_suite(&agent, &scenarios, json!({"concurrency": CONCURRENCY})).await;

    // The messages that the API showed before a kill, by run and index.
    let mut observed: HashMap<(String, u64), String> = HashMap::new();
    for kill in 1..=KILLS {
        // Waits for progress instead of time.
        let until = kill * (RUNS * TURNS) / (KILLS + 1);
        let calls = async {
            while provider.request_log().len() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), calls).await.expect("calls continue");
        for run in user.fetch_runs(&user.get(&format!("/suites/{suite}")).await).await {
            for turn in run["transcript"].as_array().unwrap() {
                let key = (id(&run), turn["index"].as_u64().unwrap());
                observed.insert(key, turn["message"].as_str().unwrap().to_owned());
            }
        }
        server.kill();
        server.start().await;
    }

    let suite = user.wait_for_suite(&suite).await;
    assert_eq!(suite["status"], "finished");
    assert_eq!(suite["counts"]["passed"], RUNS, "{}", suite["counts"]);
    let mut ids = HashSet::new();
    for run in user.fetch_runs(&suite).await {
        let transcript = run["transcript"].as_array().unwrap();
        let indices: Vec<_> = transcript.iter().map(|t| t["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, (0..TURNS as u64 * 2).collect::<Vec<_>>(), "no lost or duplicate turn");
        for (i, turn) in transcript.iter().enumerate() {
            let speaker = if i % 2 == 0 { "user" } else { "agent" };
            assert_eq!(turn["speaker"], speaker);
            if let Some(before) = observed.get(&(id(&run), i as u64)) {
                assert_eq!(turn["message"], before.as_str(), "observed turns stay");
            }
        }
        assert_eq!(run["evaluations"].as_array().unwrap().len(), 1);
        ids.insert(id(&run));
    }
    assert_eq!(ids.len(), RUNS);
    assert!(!observed.is_empty());

    let calls = provider.request_log().len();
    let needed = RUNS * (TURNS + 1);
    assert!(calls >= needed);
    assert!(
        calls <= needed + KILLS * CONCURRENCY,
        "{calls} calls, {needed} needed: too many repeated"
    );

    // The events of all processes have no gap.
    let events =
        user.request(reqwest::Method::GET, &format!("/suites/{}/events?after=0", id(&suite)));
    let text = events.send().await.unwrap().text().await.unwrap();
    let numbers: Vec<i64> =
        text.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    let turns = text.lines().filter(|line| *line == "event: turn" || *line == "event:turn").count();
    assert_eq!(turns, RUNS * TURNS * 2, "one event per turn");
}
