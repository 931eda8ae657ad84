//! SIGTERM: gone in seconds whatever hangs, streams ended properly, nothing
//! lost, nothing counted as a recovery, and everything goes on after the start.

use super::binary;
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use sqlx::{Connection, SqliteConnection};
use mock_provider::{Action, Outcome, Rule, Script, Stand, When};
use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;
use tokio::time::Instant;

const TURNS: usize = 6;
const RUNS: usize = 6;
const AT_ONCE: usize = 4;
const READERS: usize = 5;
/// More than it takes, and far less than an impatient service manager waits.
const SOON: Duration = Duration::from_secs(8);

/// Answers, but never to who asks to be left hanging.
fn hanging() -> Script {
    let when = When { contains: Some("Hang".to_owned()), ..When::default() };
    let rules = vec![Rule { when, ..Rule::always(Action::Hang) }];
    Script { latency_ms: 60, rules, ..Script::default() }
}

/// A suite in which one run hangs at its first call; its id and the number of
/// runs.
async fn busy_suite(user: &User, stand: &Stand) -> String {
    let agent = user.agent("openai", &stand.openai_url()).await;
    let mut scenarios = vec![id(&user.scenario("Hang", TURNS).await)];
    for n in 1..RUNS {
        scenarios.push(id(&user.scenario(&format!("S{n}"), TURNS).await));
    }
    let start = json!({"agent_id": agent["id"], "scenario_ids": scenarios, "concurrency": AT_ONCE});
    id(&user.make("/suites", &start).await)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The ids of a stream's events, in order.
fn ids(text: &str) -> Vec<i64> {
    text.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect()
}

async fn stream(user: &User, suite: &str, after: i64) -> reqwest::Result<String> {
    let path = format!("/suites/{suite}/events?after={after}");
    user.ask(reqwest::Method::GET, &path).send().await?.text().await
}

#[tokio::test]
async fn a_stop_in_the_middle_loses_and_repeats_nothing() {
    let stand = mock_provider::start(hanging()).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("stops@example.org");
    let suite = busy_suite(&user, &stand).await;
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (user, suite) = (user.clone(), suite.clone());
            tokio::spawn(async move { stream(&user, &suite, 0).await })
        })
        .collect();
    let open = || stand.journal().iter().filter(|call| call.outcome == Outcome::Open).count();
    until("calls are made", || stand.journal().len() > 3 * AT_ONCE).await;
    assert!(open() >= 1, "one hangs");

    house.signal();
    let (status, took) = house.ended().await;
    let code = status.code();
    eprintln!("stopped in {took:?}");
    assert_eq!(code, Some(0));
    assert!(took < SOON, "{took:?}");
    until("calls in flight are dropped", || open() == 0).await;
    let made = stand.journal().len();
    // A body that was cut off would be an error here.
    let mut seen = 0;
    for reader in readers {
        let text = reader.await.unwrap().expect("the stream ended properly");
        let ids = ids(&text);
        assert_eq!(ids, (1..=ids.len() as i64).collect::<Vec<_>>(), "no gap, no double");
        assert!(!text.contains("event: finished") && !ids.is_empty());
        seen = ids.len() as i64;
    }

    stand.play(Script { latency_ms: 20, ..Script::default() });
    house.start().await;
    let rest = stream(&user, &suite, seen).await.unwrap();
    assert_eq!(ids(&rest).first(), Some(&(seen + 1)), "what comes next follows on");
    let suite = user.finished(&suite).await;
    assert_eq!(suite["counts"]["passed"], RUNS, "{}", suite["counts"]);
    whole(&user, &suite).await;
    let (needed, all) = (RUNS * (TURNS + 1), stand.journal().len());
    assert!(all <= needed + AT_ONCE, "{all} calls ({made} before), {needed} needed");
}

/// Every turn once, in order, and no recovery.
async fn whole(user: &User, suite: &Value) {
    for run in suite["runs"].as_array().unwrap() {
        let run = user.get(&format!("/runs/{}", id(run))).await;
        assert_eq!(run["recoveries"], 0, "a planned stop is none");
        let transcript = run["transcript"].as_array().unwrap();
        let indices: Vec<_> = transcript.iter().map(|t| t["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, (0..TURNS as u64 * 2).collect::<Vec<_>>(), "none lost, none double");
        let said = transcript.iter().filter(|turn| turn["speaker"] == "user");
        let said: HashSet<_> = said.map(|turn| turn["message"].as_str().unwrap()).collect();
        assert_eq!(said.len(), TURNS);
    }
}

/// Holds the database so that nobody can write.
async fn held(house: &House) -> SqliteConnection {
    let url = format!("sqlite:{}", house.data().join("rehearsal.db").display());
    let mut holder = SqliteConnection::connect(&url).await.unwrap();
    // Between two of the server's own transactions.
    let began = Instant::now();
    while sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "the lock cannot be had");
    }
    holder
}

#[tokio::test]
async fn with_the_database_locked_it_ends_in_time_and_says_not_ready_at_once() {
    let stand = mock_provider::start(hanging()).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("locked@example.org");
    let suite = busy_suite(&user, &stand).await;
    until("calls are made", || stand.journal().len() > AT_ONCE).await;
    let holder = held(&house).await;

    let (began, url) = (Instant::now(), format!("http://{}/health/ready", house.addr));
    house.signal();
    let mut told = false;
    while !told && began.elapsed() < Duration::from_secs(5) {
        if let Ok(answer) = house.client.get(&url).send().await {
            let status = answer.status();
            told = status == 503 && answer.text().await.unwrap().contains("Shutting down");
        }
    }
    assert!(told, "while it stops it says that it is not ready");
    assert!(began.elapsed() < Duration::from_secs(2), "at once: {:?}", began.elapsed());
    let (status, _) = house.ended().await;
    let code = status.code();
    let took = began.elapsed();
    eprintln!("ended with {code:?} in {took:?}, the database locked");
    assert!(took < Duration::from_secs(21), "{took:?}");
    assert!(code.is_some(), "by itself");

    holder.close().await.unwrap();
    stand.play(Script::default());
    house.start().await;
    let suite = user.finished(&suite).await;
    assert_eq!(suite["counts"]["passed"], RUNS, "{}", suite["counts"]);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let stand = mock_provider::start(hanging()).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("twice@example.org");
    busy_suite(&user, &stand).await;
    until("calls are made", || stand.journal().len() > AT_ONCE).await;
    let _holder = held(&house).await;
    house.signal();
    let began = Instant::now();
    while !house.log().contains("asked to stop") {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", house.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    house.signal();
    let (status, took) = house.ended().await;
    let code = status.code();
    assert_eq!(code, Some(1), "not in good order");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(house.log().contains("asked to stop again"));
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_is_not_waited_for_long() {
    let mut house = House::new(&binary()).await;
    let mut slow = std::net::TcpStream::connect(house.addr).unwrap();
    let head = "POST /forms/sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nemail=";
    slow.write_all(head.as_bytes()).unwrap();
    // Its request is being read by now: another one, sent later, is answered.
    let live = format!("http://{}/health/live", house.addr);
    assert!(house.client.get(live).send().await.unwrap().status().is_success());
    house.signal();
    let (status, took) = house.ended().await;
    let code = status.code();
    assert_eq!(code, Some(0), "a client's fault is none of ours");
    assert!(took < SOON, "{took:?}");
    drop(slow);
}
