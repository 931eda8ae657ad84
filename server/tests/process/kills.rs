//! kill -9 in mid-suite, several times: no turn is lost, none is there twice,
//! no run is stuck, and at most the calls in flight are made again.

use super::binary;
use serde_json::json;
use fault_injection::house::{House, id};
use mock_provider::Script;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const TURNS: usize = 5;
const RUNS: usize = 12;
const AT_ONCE: usize = 4;
const KILLS: usize = 4;

#[tokio::test]
async fn a_suite_survives_kills() {
    let stand = mock_provider::start(Script { latency_ms: 60, ..Script::default() }).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("kills@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let mut scenarios = Vec::new();
    for n in 0..RUNS {
        scenarios.push(id(&user.scenario(&format!("S{n}"), TURNS).await));
    }
    let start = json!({"agent_id": agent["id"], "scenario_ids": scenarios, "concurrency": AT_ONCE});
    let suite = id(&user.make("/suites", &start).await);

    // Announced turns, by run and index, gathered from the events of each life.
    let mut announced: HashMap<(String, u64), String> = HashMap::new();
    for kill in 1..=KILLS {
        // Wait for progress, not for time: another stretch of calls was seen.
        let until = kill * (RUNS * TURNS) / (KILLS + 1);
        let calls = async {
            while stand.journal().len() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), calls).await.expect("calls go on");
        for run in user.get(&format!("/suites/{suite}")).await["runs"].as_array().unwrap() {
            let run = user.get(&format!("/runs/{}", id(run))).await;
            for turn in run["transcript"].as_array().unwrap() {
                let key = (id(&run), turn["index"].as_u64().unwrap());
                announced.insert(key, turn["message"].as_str().unwrap().to_owned());
            }
        }
        house.kill();
        house.start().await;
    }

    let suite = user.finished(&suite).await;
    assert_eq!(suite["status"], "finished");
    assert_eq!(suite["counts"]["passed"], RUNS, "{}", suite["counts"]);
    let mut calls = HashSet::new();
    for run in suite["runs"].as_array().unwrap() {
        let run = user.get(&format!("/runs/{}", id(run))).await;
        let transcript = run["transcript"].as_array().unwrap();
        let indices: Vec<_> = transcript.iter().map(|t| t["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, (0..TURNS as u64 * 2).collect::<Vec<_>>(), "none lost, none double");
        for (i, turn) in transcript.iter().enumerate() {
            let speaker = if i % 2 == 0 { "user" } else { "agent" };
            assert_eq!(turn["speaker"], speaker);
            if let Some(told) = announced.get(&(id(&run), i as u64)) {
                assert_eq!(turn["message"], told.as_str(), "what was announced stays");
            }
        }
        assert_eq!(run["evaluations"].as_array().unwrap().len(), 1);
        calls.insert(id(&run));
    }
    assert_eq!(calls.len(), RUNS);
    assert!(!announced.is_empty());

    let made = stand.journal().len();
    let needed = RUNS * (TURNS + 1);
    assert!(made >= needed);
    assert!(made <= needed + KILLS * AT_ONCE, "{made} calls, {needed} needed: too many repeated");

    // The events are gapless over all lives.
    let events = user.ask(reqwest::Method::GET, &format!("/suites/{}/events?after=0", id(&suite)));
    let text = events.send().await.unwrap().text().await.unwrap();
    let ids: Vec<i64> =
        text.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect();
    assert_eq!(ids, (1..=ids.len() as i64).collect::<Vec<_>>());
    let turns = text.lines().filter(|line| *line == "event: turn" || *line == "event:turn").count();
    assert_eq!(turns, RUNS * TURNS * 2, "each turn is told once");
}
